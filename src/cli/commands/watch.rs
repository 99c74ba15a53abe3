//! `operator watch`.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;

use crate::capture::{CaptureReader, CaptureWriter};
use crate::cli::askers::Askers;
use crate::cli::asking::Asking;
use crate::cli::command;
use crate::cli::commands::record::report;
use crate::cli::config::file::ConfigFile;
use crate::cli::config::further_jobs::add_further_jobs;
use crate::cli::config::plan::{self, LiveArgs, Plan, RECORDING};
use crate::cli::config::retention::{self, Incident, RunLock};
use crate::cli::config::scraping;
use crate::cli::config::sources::{self, PdFound, Without};
use crate::cli::exit::CliError;
use crate::cli::fault_profiles::FaultProfiles;
use crate::cli::incident_logs::IncidentLogs;
use crate::cli::log_search;
use crate::cli::recording::{self, Followers, Sources, Watchers};
use crate::cli::source_fix::alertmanager_fix;
use crate::cli::terminal::progress::Reporter;
use crate::cli::terminal::{judgements, remarks};
use crate::cli::{Global, clock};
use crate::diagnose::{HORIZON_MS, reads};
use crate::model::{
    LogEvent, RunName, Sample, SettingsEvent, TimeRange, Timestamp, escape, escape_path,
    parse_duration_ms,
};
use crate::record::{
    self, CommitIncrement, Ending, LiveFeed, NodeAnswer, RecentWindow, ResumePolicy, Retention,
    Segment, Segments, Stop, close,
};
use crate::source::{Alertmanager, HttpOptions, Webhook};
use crate::watch::{Alerts, Audience, Judging, Monitor, Notified, Notifiers, Occasion};

/// The name of the run where none is given.
const RUN: &str = "watch";
/// How long segments are kept where `--keep` is not given.
const KEEP: &str = "24h";

const EXAMPLES: &str = "\
Examples:
  operator watch --pd http://pd0:2379
  operator watch --tiup prod
  operator watch --pd http://pd0:2379 --prometheus http://prometheus:9090 \\
      --keep 7d
  operator watch --pd http://pd0:2379 \\
      --exec 'jq -r .verdict.summary | mail -s TiKV oncall'
  operator watch --pd http://pd0:2379 --webhook https://example.com/hook \\
      --format json
  operator watch --pd http://pd0:2379 --alertmanager http://alertmanager:9093

Records and judges at once: what it says at an instant is what `operator replay --at` says of \
the capture as of that instant, which lies 11 s back, when every scrape has shown. It looks back \
an hour, so what has lasted longer counts as normal unless PD or Raft know better.

The recording lies in segments, RUN-TIME.capture, each with the hour before it inside. Segments \
older than --keep (24h, if not said) are removed, and the oldest where all take more than \
--max-bytes or the disk is full. One with a fault inside ends three minutes after the fault, \
becomes RUN-incident-TIME.capture and stays, as does one with an `operator mark --event \
kind=incident`. The first Ctrl-C seals, a second one leaves at once, or ends what --logs still asks.

--exec and --webhook get one JSON document, a line, when a cause begins, changes, ends or is \
withdrawn, or when the outcome changes; with --on change when a planned change does too, with \
--on all also when a finding does. The first one comes with the first of these. \
It holds `verdict` as of `operator replay --format json`, and `notices`, what is new in it. One \
runs at a time; while it does, the newest verdict waits. One that takes longer than \
--exec-timeout, or than 10 s for each of three attempts to post, is ended.

--alertmanager posts each fault to Alertmanager's API (v2) as the alert `operator_fault` with \
the labels mode, target, run and severity (critical), and the evidence, the capture's name, the \
confidence and what to do as annotations. It is posted again every minute and as resolved when \
the fault ends; a fault that is over at once fires for two minutes. At the start, Alertmanager is \
asked for its version, so that one that does not answer is known before there is a fault. When the watch ends, \
Alertmanager ends it after `resolve_timeout`.

With --logs, the nodes that a fault names are asked for their logs as soon as it is told, eight at \
most, and all members and stores for the rest when the segment of the incident is complete. What \
they say becomes part of it, and of what is told: see `operator attach --help`.

With --profiles, the members of PD that a fault is about are asked for what their memory holds and \
what their goroutines do, and where memory grows, for their memory again after two minutes.

With --listen, /metrics has `operator_fault{mode,target}`, which is 1 while a fault lasts, and \
beside it operator_fault_onset_timestamp_seconds and operator_fault_confidence (0 to 1), of 32 \
faults at most.";

/// Arguments of `watch`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WatchArgs {
    #[command(flatten)]
    live: LiveArgs,
    /// What --exec and --webhook are notified of
    #[arg(long, value_enum, default_value_t, value_name = "WHAT", help_heading = "Notifications")]
    on: On,
    /// A command of the shell that gets each new verdict as JSON on its standard input
    #[arg(long, value_name = "COMMAND", help_heading = "Notifications")]
    exec: Option<String>,
    /// How long that command may run before it is killed, with all that it started
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        requires = "exec",
        help_heading = "Notifications"
    )]
    exec_timeout: String,
    /// A URL to which each new verdict is posted as JSON
    #[arg(
        long,
        value_name = "URL",
        env = "OPERATOR_WEBHOOK",
        hide_env_values = true,
        help_heading = "Notifications"
    )]
    webhook: Option<String>,
    /// An Alertmanager's base URL, to which faults are posted as alerts, and as resolved when they end
    #[arg(
        long,
        value_name = "URL",
        env = "OPERATOR_ALERTMANAGER",
        hide_env_values = true,
        help_heading = "Notifications"
    )]
    alertmanager: Option<String>,
    /// Ask the nodes of each fault for their logs when it is told, and every member and store when its segment is
    /// complete
    #[arg(long, help_heading = RECORDING)]
    logs: bool,
    /// Take profiles of PD's members when a fault of PD is told, and of their memory once more two minutes later where
    /// it grows
    #[arg(long, help_heading = RECORDING)]
    profiles: bool,
}

/// What hooks are notified of.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum On {
    /// Faults: one begins, changes, ends or is withdrawn
    #[default]
    Fault,
    /// Planned changes too
    Change,
    /// Findings too
    All,
}

impl From<On> for Occasion {
    fn from(on: On) -> Self {
        match on {
            On::Fault => Self::Fault,
            On::Change => Self::Change,
            On::All => Self::All,
        }
    }
}

/// Records a cluster and diagnoses it at the same time, until the user stops it.
///
/// # Errors
///
/// As `record`; and where a hook cannot be set up.
pub fn run(global: &Global, mut args: WatchArgs) -> anyhow::Result<()> {
    let file = ConfigFile::read(args.live.config.as_deref())?;
    if args.live.run.is_none() && file.run.is_none() {
        args.live.run = Some(RUN.to_owned());
    }
    if args.live.retention.keep.is_none() && file.keep.is_none() {
        args.live.retention.keep = Some(KEEP.to_owned());
    }
    let webhook = args.webhook.as_deref();
    let webhook = webhook.map(|url| Webhook::new(url, &HttpOptions::default())).transpose()?;
    if let Some(webhook) = &webhook {
        remarks::hide(webhook.redactor());
    }
    let alertmanager = args.alertmanager.as_deref();
    let alertmanager =
        alertmanager.map(|url| Alertmanager::new(url, &HttpOptions::default())).transpose()?;
    if let Some(alertmanager) = &alertmanager {
        remarks::hide(alertmanager.redactor());
    }
    args.exec.as_deref().map_or(Ok(()), command::check_shell)?;
    let command_timeout = Duration::from_millis(
        u64::try_from(parse_duration_ms(&args.exec_timeout)?).unwrap_or_default(),
    );
    let command_output: Option<fn() -> Stdio> = Some(|| std::io::stderr().into());
    let notified =
        Notified { command: args.exec, command_timeout, command_output, webhook, alertmanager };
    let now = clock::now();
    let mut plan = plan::live_plan(global, args.live, now)?;
    remarks::show_run(&plan.run.to_string());
    let run = plan.run.clone();
    let retention = plan.retention.context("what is watched is kept for a time")?;
    let _lock = RunLock::take(&global.dir, &run)?;
    let segment =
        record::current_segment(&global.dir, &run, &retention, ResumePolicy::WhileRecent, now)?;
    plan.run = segment.name.clone();
    plan.path = segment.path.clone();
    crate::cli::block_on(watch(
        global,
        plan,
        Watched {
            run,
            retention,
            segment,
            notified,
            occasion: args.on.into(),
            logs: args.logs,
            profiles: args.profiles,
        },
    ))
}

/// The parts of `watch` that `record` does not have.
struct Watched {
    run: RunName,
    retention: Retention,
    segment: Segment,
    notified: Notified,
    occasion: Occasion,
    logs: bool,
    profiles: bool,
}

async fn watch(global: &Global, mut plan: Plan, watched: Watched) -> anyhow::Result<()> {
    let stop = clock::stop_on_signals()?;
    let exporter = recording::exporter(&plan).await?;
    let found = sources::find(&plan.sources, Without::GoesOn, &stop).await?;
    let further = add_further_jobs(&mut plan, found.prometheus.as_ref(), clock::now()).await;
    let reporter = Arc::new(Mutex::new(Reporter::new(global, clock::now())));
    let incident = Arc::new(Mutex::new(Incident::default()));
    let (askers, answers) = askers(&plan, &watched, found.pd.as_ref(), (&stop, &reporter))?;
    let Watched { run, retention, segment, notified, occasion, .. } = watched;
    check_alertmanager(&notified, &reporter);
    let begun = segment.begun;
    let listener = retention::listener(run.clone(), global.format, Arc::clone(&reporter));
    let mut segments = Segments::new(
        &global.dir,
        run.clone(),
        retention,
        segment,
        Arc::clone(&incident),
        askers.beside(listener),
    );
    let open = || recording::open(&plan, &found);
    let mut writer = retention::open_making_room(&mut segments, open)?;
    askers.resume(&plan.path)?;
    lock(&reporter).line(&format!("watching {} into {}", run, escape_path(&plan.path)));
    let clock_offset = recording::clock_offset(&plan, found.prometheus.as_ref());
    let theirs = scraping::target_labels(&plan, &found, clock::now()).await;
    let sources = Sources::of(&plan, found, theirs)?;
    let watchers = Watchers { reporter: &reporter, exporter };
    watchers.further_jobs(&further);
    writer = copy_past(&plan, writer, &sources, &stop, &watchers).await?;
    let (feed, news) = LiveFeed::new(reads);
    let alerts = notified.alertmanager.as_ref().map(|_| Alerts::new(run.clone(), begun));
    let monitor = Monitor {
        alerts,
        recent: recent_window(&plan.path, clock::now())?,
        audience: askers.after(audience(global, &watchers, &reporter)),
        incident: Arc::clone(&incident),
        notifiers: Notifiers::start(notified, stop.clone())?,
        told: plan.told.clone(),
        scraped_by: plan.sources.scraped_by(),
        clock_offsets: clock_offset.into_iter().collect(),
        run: run.clone(),
        begun,
        since: clock::now(),
        occasion,
        before: None,
        outcome: None,
    };
    let judging = monitor.start(news).context("cannot start a thread")?;
    let followers = Followers {
        feed: Some(feed),
        answers: Some(answers),
        succession: Some(Box::new(segments)),
    };
    let beside = Beside { judging, askers, incident, reporter: Arc::clone(&reporter) };
    let ending = recording::phases(&plan, writer, sources, stop, &watchers, followers).await;
    beside.end(global, &plan, &run, ending).await
}

/// What goes on beside the recording, and ends after it.
struct Beside {
    judging: Judging,
    askers: Askers,
    incident: Arc<Mutex<Incident>>,
    reporter: Arc<Mutex<Reporter>>,
}

impl Beside {
    /// Waits for the last judgement and the last questions to nodes, and says how the watch ended.
    async fn end(
        self,
        global: &Global,
        plan: &Plan,
        run: &RunName,
        ending: anyhow::Result<Ending>,
    ) -> anyhow::Result<()> {
        let Self { judging, askers, incident, reporter } = self;
        // The feed was dropped with the recording, so the monitor ends.
        let judged = judging.join();
        lock(&reporter).finish();
        let ending = ending?;
        judged.map_err(|_| anyhow::anyhow!("the judging thread panicked"))?;
        let incident = *incident.lock().unwrap_or_else(PoisonError::into_inner);
        let last = close(&global.dir, run, incident, ending).unwrap_or_else(|| plan.path.clone());
        // Signals are heard meanwhile: a second one ends the questions.
        let finish = tokio::task::spawn_blocking({
            let last = last.clone();
            move || askers.finish(&last)
        });
        finish.await.context("the thread that asks nodes panicked")?;
        conclude(global, plan, (&last, run), ending)
    }
}

/// Says that an Alertmanager does not answer or is none, which is known before there is a fault to post. The
/// recording does not wait for that.
fn check_alertmanager(notified: &Notified, reporter: &Arc<Mutex<Reporter>>) {
    let Some(alertmanager) = notified.alertmanager.clone() else { return };
    let reporter = Arc::clone(reporter);
    tokio::spawn(async move {
        if let Err(error) = alertmanager.version().await {
            let (text, fix) = (error.to_string(), alertmanager_fix(&error));
            lock(&reporter).warn(&format!("warning: --alertmanager: {}; {fix}", escape(&text)));
        }
    });
}

/// Says how the watch ended, and of which capture.
fn conclude(
    global: &Global,
    plan: &Plan,
    (last, run): (&Path, &RunName),
    ending: Ending,
) -> anyhow::Result<()> {
    report(global, last, run, ending)?;
    if ending.is_sealed() {
        recording::refuse_empty(plan, last)?;
    }
    match ending {
        Ending::Sealed => Ok(()),
        Ending::Early => Err(CliError::EndedEarly { path: escape_path(last) }.into()),
        Ending::Abandoned => Err(CliError::Interrupted.into()),
    }
}

/// Copies the past out of Prometheus that a new recording needs as a baseline.
async fn copy_past(
    plan: &Plan,
    writer: CaptureWriter,
    sources: &Sources,
    stop: &Receiver<Stop>,
    watchers: &Watchers<'_>,
) -> anyhow::Result<CaptureWriter> {
    // One that does not answer now is copied from now on, once it does.
    let copier = sources.copier.as_ref().filter(|copier| copier.is_connected());
    let Some((copier, range)) = copier.zip(past(&writer, clock::now())) else {
        return Ok(writer);
    };
    let (writer, ending) = recording::history(plan, writer, copier, range, stop, watchers).await?;
    if ending == Ending::Abandoned { Err(CliError::Interrupted.into()) } else { Ok(writer) }
}

/// Whoever asks nodes about faults, and what nodes say.
fn askers(
    plan: &Plan,
    watched: &Watched,
    pd: Option<&PdFound>,
    (stop, reporter): (&Receiver<Stop>, &Arc<Mutex<Reporter>>),
) -> anyhow::Result<(Askers, mpsc::UnboundedReceiver<NodeAnswer>)> {
    let (found, answers) = mpsc::unbounded_channel();
    let urls = pd.map(PdFound::urls).unwrap_or_default();
    let asking = Arc::new(Asking {
        http: plan.sources.pd_options(),
        scheme: log_search::scheme(urls.values()),
        since: clock::now(),
        stop: stop.clone(),
        found,
        reporter: Arc::clone(reporter),
    });
    let logs = || IncidentLogs::new(watched.run.clone(), Arc::clone(&asking));
    let profiles = || FaultProfiles::new(Arc::clone(&asking));
    let askers = Askers {
        logs: watched.logs.then(logs),
        profiles: watched.profiles.then(profiles).transpose()?,
    };
    Ok((askers, answers))
}

/// An audience that prints, and serves the faults that last where the recorder listens.
fn audience(global: &Global, watchers: &Watchers<'_>, reporter: &Arc<Mutex<Reporter>>) -> Audience {
    let mut printed = judgements::audience(Arc::clone(reporter), global.format);
    let exporter = watchers.exporter.clone();
    Box::new(move |judged| {
        printed(judged);
        if let Some(exporter) = &exporter {
            exporter.publish_verdict(judged.verdict);
        }
    })
}

fn lock(reporter: &Mutex<Reporter>) -> MutexGuard<'_, Reporter> {
    reporter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The past to copy out of Prometheus before a new recording begins, so that the first diagnosis has a
/// baseline.
fn past(writer: &CaptureWriter, now: Timestamp) -> Option<TimeRange> {
    let start = now.saturating_add_millis(-HORIZON_MS);
    writer.copied_through().is_none().then(|| TimeRange::new(start, now))
}

/// The last hour of a capture in which a recording continues.
fn recent_window(path: &Path, now: Timestamp) -> anyhow::Result<RecentWindow> {
    let mut recent = RecentWindow::new(HORIZON_MS);
    let reader = CaptureReader::open(path)?;
    let window = reader.window();
    if window.is_empty() {
        return Ok(recent);
    }
    let range = TimeRange::new(now.saturating_add_millis(-HORIZON_MS), Timestamp::MAX);
    let events = reader.events()?;
    recent.add(CommitIncrement {
        first: Some(window.start),
        pd: reader.pd_answers(range)?,
        gaps: reader.gaps()?,
        settings: events.iter().filter_map(SettingsEvent::of_event).collect(),
        logs: events.iter().filter_map(LogEvent::of_event).collect(),
        ..CommitIncrement::default()
    });
    reader.scan_accepted(reads, range, |run| {
        let labels = run.labels();
        // A bucket that has counted nothing yet says nothing, as in what is recorded live.
        let counts = |sample: Sample| sample.value != 0.0;
        let is_read = !labels.metric().ends_with("_bucket")
            || recent.holds(&labels)
            || run.samples().any(counts);
        if is_read {
            recent.add_samples(&labels, run.samples());
        }
    })?;
    Ok(recent)
}
