//! `operator record`.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::sync::watch;

use super::replay::ReplayArgs;
use crate::capture::{CaptureReader, CaptureWriter};
use crate::cli::around::{self, Around, AroundArgs, CommandEnd};
use crate::cli::attaching;
use crate::cli::before::Expected;
use crate::cli::config::further_jobs::add_further_jobs;
use crate::cli::config::logs::LogArgs;
use crate::cli::config::membership::{self, Finding};
use crate::cli::config::plan::{self, LiveArgs, PastArgs, Plan, RECORDING};
use crate::cli::config::retention::{self, RunLock};
use crate::cli::config::scraping;
use crate::cli::config::sources::{self, Found, PdFound, PrometheusFound, Without};
use crate::cli::exit::{CliError, Code};
use crate::cli::lookup::{self, path_text};
use crate::cli::observed::observes_anything;
use crate::cli::recording::{self, Followers, Sources, Watchers};
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::progress::Reporter;
use crate::cli::terminal::remarks::{self, remark};
use crate::cli::{Global, clock};
use crate::model::{RunName, TimeRange, Timestamp, escape, escape_path, shell_word};
use crate::pd::{self, Pasted};
use crate::record::{self, Ending, Incident, PdImport, ResumePolicy, Segments, Stop, Succession};
use crate::report;
use crate::source::{Addresses, HttpOptions};

const EXAMPLES: &str = "\
Examples:
  operator record --pd http://pd0:2379         until Ctrl-C
  operator record --run chaos-01 --pd http://pd0:2379 --for 10m
  operator record --prometheus http://prometheus:9090 --from -2h
  operator record --run incident --prometheus http://prometheus:9090 \\
      --from 2026-11-24T16:00:00Z --to 2026-11-24T17:00:00Z --pd-log pd.jsonl.gz
  operator record --run prod --pd http://pd0:2379 --keep 7d --max-bytes 20GB
      for months
  operator record --prometheus http://prometheus:9090 --from -1h \\
      --log tikv-1=/var/log/tikv/
  operator replay prod                         the newest segment of it
  operator record --once --pd http://pd0:2379  how it is now, with the verdict
  operator record --pd http://pd0:2379 --scrape
      where there is no Prometheus
  operator record --tiup prod --scrape=fallback
      a cluster that TiUP deployed, also while its Prometheus is away
  operator record --run chaos-11 --pd http://pd0:2379 --before 3m --after 5m \\
      -- ./break.sh
      a run around a command

With --scrape no Prometheus is needed: the metrics of the members and stores that PD lists are \
read from themselves every --interval, at least 1s, and recorded as a Prometheus would have \
scraped them. With --scrape=fallback that happens while the Prometheus does not answer; what it \
has itself when it is back counts instead.

The settings of the stores that PD lists are read from their status addresses when the \
recording begins, every hour and after a restart of a store; `operator show RUN --settings` \
prints them, and --no-settings leaves them out.

With --from or --to the past is copied and the recording ends; with --from and --for it then \
goes on live. The minutes before --from that rules look back at are copied, too; the run begins \
at --from. The first Ctrl-C finishes the tick and seals the capture, a second one leaves at \
once, without loss; where that was before the end that --for, --from or --to names, the command \
exits with 14. The same --run again goes on where it stopped.

With --keep or --max-bytes the recording lies in segments, RUN-TIME.capture, each with the hour \
before it inside; RUN alone means the newest. A segment ends after an eighth of what is kept, \
and after six hours at most. The oldest is removed when it is older than --keep, when all take \
more than --max-bytes, or when the disk is full; never the one that is written, nor one with an \
`operator mark --event kind=incident`. While the disk is full and nothing may go, PD's answers \
are held in memory up to 16 MiB, the rest is a gap, and recording goes on when there is room.

With a command after --, the recording goes on for --before, runs the command and goes on for \
--after. When the command began, what it printed and how it ended stands on the timeline; the \
verdict is printed, and its exit code returned, or 12 where the command failed, 14 where the time \
after it was cut short, and 130 where it was interrupted itself. The capture is whole and sealed in \
any case, and `operator replay RUN` ends with the verdict's own exit code. \
Where no source could be observed before, the command is not run, and the exit code is 13.

With --once every member of PD is asked for everything once, and of each series the last sample \
of the past five minutes is copied. The verdict is printed, and its exit code returned.

Durations have a unit, as in Prometheus: 90s, 10m, 1h30m, 7d. \
Times: RFC 3339 with a zone, a time of day in UTC (03:10), unix seconds, `now`, or an offset \
from now such as -2h; in --to also one from --from such as +5m.

With --log and --logs, logs of nodes are read when the recording has ended, and what they say of \
its time is part of the capture: see `operator attach --help`.

The keys of --config are the long flags but those of logs: `pd = [\"http://pd0:2379\"]`, `for = \
\"10m\"`. Secrets come from files or the environment and are never written anywhere: a URL with \
a user and a password belongs into PROMETHEUS_URL or the file of --config. Of a URL, the capture \
keeps scheme, host, port and the path, with *** for each part of the path that does not read as \
words.";

/// Arguments of `record`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RecordArgs {
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    past: PastArgs,
    #[command(flatten)]
    around: AroundArgs,
    #[command(flatten)]
    logs: LogArgs,
    /// Record one moment and print the verdict on it
    #[arg(long, conflicts_with_all = ["from", "to", "length", "keep", "max_bytes", "command"], help_heading = RECORDING)]
    once: bool,
}

/// How long is recorded.
enum Course {
    /// As long as the plan says.
    Planned,
    /// One moment.
    Once,
    /// Before, while and after a command runs.
    Around(Around),
}

/// How long is recorded by a plan, with a command in the middle, or at once.
fn course(plan: &Plan, around: Option<Around>, once: bool) -> anyhow::Result<Course> {
    match around {
        Some(around) => {
            around.check(plan)?;
            Ok(Course::Around(around))
        }
        None if once => {
            check_moment(plan)?;
            Ok(Course::Once)
        }
        None => Ok(Course::Planned),
    }
}

/// Refuses to add to a recording that is complete: one around a command, or one with a truth, is about one experiment.
fn check_is_new(plan: &Plan, course: &Course) -> anyhow::Result<()> {
    if plan.retention.is_some() || !plan.path.exists() {
        return Ok(());
    }
    // What was tried and observed nothing is no run yet.
    if CaptureReader::open(&plan.path).is_ok_and(|reader| !observes_anything(&reader)) {
        return Ok(());
    }
    let why = if matches!(course, Course::Around(_)) {
        "is recorded already, and a run around a command is a new one"
    } else if CaptureReader::open(&plan.path).is_ok_and(|reader| reader.has_truth()) {
        "has a truth inside, which is not about what would be added"
    } else {
        return Ok(());
    };
    let text = format!("{} {why}: record under another --run", escape_path(&plan.path));
    Err(CliError::Usage(text).into())
}

/// Refuses the plan of a moment that a configuration file makes a longer one, or not one file.
fn check_moment(plan: &Plan) -> Result<(), CliError> {
    let is_now = plan.history.is_none() && plan.live.is_some_and(|live| live.until.is_none());
    if is_now && plan.retention.is_none() {
        return Ok(());
    }
    let text = "a moment is recorded of PD or Prometheus and into one file: leave out from, to, for, keep and max-bytes";
    Err(CliError::Usage(text.to_owned()))
}

/// Records a cluster live, copies its past, or imports logs of PD's answers. Of one moment, and with a command in
/// the middle, it prints the verdict and returns its exit code, or that of a command that failed.
///
/// # Errors
///
/// Where the arguments make no sense together, no source is there at the start, another recorder
/// holds the run, history cannot be copied, or the capture cannot be written.
pub fn run(global: &Global, args: RecordArgs) -> anyhow::Result<Code> {
    let now = clock::now();
    let around = args.around.around()?;
    let zone = args.logs.tz.map(|zone| zone.at(now)).unwrap_or_default();
    let plan = plan::plan(global, args.live, PastArgs { zone, ..args.past }, now)?;
    remarks::show_run(&plan.run.to_string());
    // Read before the recording, so that a mistyped path costs none.
    args.logs.files()?;
    let has_logs = !args.logs.is_empty();
    if has_logs && plan.retention.is_some() {
        let why =
            "logs are for a recording in one file: attach them to a segment by `operator attach`";
        return Err(CliError::Usage(why.to_owned()).into());
    }
    let course = course(&plan, around, args.once)?;
    check_is_new(&plan, &course)?;
    let is_judged = !matches!(course, Course::Planned);
    let path = plan.path.clone();
    let http = plan.sources.pd_options();
    let (ending, end) = crate::cli::block_on(record(global, plan, now, course))?;
    if has_logs {
        attach(global, &path, &args.logs, &http)?;
    }
    if ending == Ending::Early {
        return Err(CliError::EndedEarly { path: escape_path(&path) }.into());
    }
    if !is_judged {
        return Ok(Code::Ok);
    }
    let replay = format!("operator replay {}", shell_word(&path.to_string_lossy()));
    let shown = path.clone();
    let verdict = super::replay::run(global, &ReplayArgs::of(path.into_os_string()))?;
    let failed = |how: String, recording: &str| {
        let code = Code::CommandFailed;
        remark(&format!("exit {}: {how}; {recording}: {replay}", code as u8));
        code
    };
    Ok(match end {
        CommandEnd::Succeeded => verdict,
        CommandEnd::Failed(how) => failed(how, "the recording went on to the planned end"),
        CommandEnd::StoppedAfter(Some(how)) => {
            failed(how, "the recording was stopped before the planned end")
        }
        CommandEnd::StoppedAfter(None) => {
            return Err(CliError::EndedEarly { path: escape_path(&shown) }.into());
        }
        CommandEnd::Interrupted | CommandEnd::NotRun(_) => Code::Interrupted,
    })
}

/// Attaches logs to the capture that was recorded.
fn attach(global: &Global, path: &Path, logs: &LogArgs, http: &HttpOptions) -> anyhow::Result<()> {
    let tell = |text: &str| global.tell(text);
    let attachment = attaching::attach_unless_stopped(path, logs, http, &tell)
        .with_context(|| format!("{} is recorded, and logs are not attached", escape_path(path)))?;
    for one in &attachment.attached {
        match global.format {
            Format::Json => output::json_line(&json!({
                "schema": 1, "event": "log", "log": attaching::json(one),
            }))?,
            Format::Text => output::line(&attaching::text(one))?,
        }
    }
    if attachment.is_stopped { Err(CliError::NotAllAsked.into()) } else { Ok(()) }
}

/// Carries out a plan. How the recording ended, whose capture is sealed, and the command that runs in the middle;
/// without one, it succeeded.
async fn record(
    global: &Global,
    mut plan: Plan,
    now: Timestamp,
    course: Course,
) -> anyhow::Result<(Ending, CommandEnd)> {
    let stop = clock::stop_on_signals()?;
    let exporter = recording::exporter(&plan).await?;
    let without = if plan.history.is_some() { Without::Ends } else { Without::GoesOn };
    let found = sources::find(&plan.sources, without, &stop).await?;
    let (pd, prometheus) = (found.pd.as_ref(), found.prometheus.as_ref());
    check_history(&plan, pd, prometheus)?;
    let run = plan.run.clone();
    let reporter = Arc::new(Mutex::new(Reporter::new(global, clock::now())));
    let watchers = Watchers { reporter: &reporter, exporter };
    let _lock = plan.retention.map(|_| RunLock::take(&global.dir, &run)).transpose()?;
    let mut segments = segments(global, &mut plan, now, &reporter)?;
    let further = add_further_jobs(&mut plan, prometheus, now).await;
    let held = recording::held(&plan.path);
    // A recording in segments has its name from the run before it.
    let other = lookup::file_of_run(&global.dir, &run);
    let shadowed = other.filter(|other| plan.retention.is_none() && *other != plan.path);
    let open = || recording::open(&plan, &found);
    let mut writer = match &mut segments {
        Some(segments) => retention::open_making_room(segments, open)?,
        None => open()?,
    };
    watchers.reporter().line(&beginning(&plan, &run, held));
    if let Some(other) = shadowed.filter(|_| held.is_none()) {
        let (other, path) = (escape_path(&other), escape_path(&plan.path));
        let text = format!("warning: {other} has that name too; from now on {run} means {path}");
        watchers.reporter().line(&text);
    }
    watchers.further_jobs(&further);
    warn_of_no_metrics(&plan, &found, &watchers);
    warn_of_membership(&plan, pd, prometheus, now, &watchers).await;
    for log in &plan.pd_logs {
        import(&mut writer, log, now, &mut watchers.reporter())?;
    }
    let expected = expected(&plan, &found);
    let theirs = scraping::target_labels(&plan, &found, now).await;
    let sources = Sources::of(&plan, found, theirs)?;
    let succession = segments.map(|segments| -> Box<dyn Succession> { Box::new(segments) });
    let followers = Followers { succession, ..Followers::default() };
    let is_moment = matches!(course, Course::Once);
    let recorded = (writer, sources, followers);
    let (ending, end) = follow((course, expected), &plan, recorded, stop, &watchers).await;
    watchers.reporter().finish();
    let ending = ending?;
    let last = plan.retention.and_then(|_| record::segments(&global.dir, &run).pop());
    let path = last.map_or_else(|| plan.path.clone(), |last| last.path);
    report(global, &path, &run, ending)?;
    if let CommandEnd::NotRun(why) = end {
        return Err(CliError::CommandNotRun(why).into());
    }
    // Of a moment the verdict says what is absent.
    if ending.is_sealed() && !is_moment {
        recording::refuse_empty(&plan, &path)?;
    }
    match ending {
        Ending::Abandoned => Err(CliError::Interrupted.into()),
        sealed => Ok((sealed, end)),
    }
}

/// Records as long as the course says. How the recording ended, and the command.
async fn follow(
    (course, expected): (Course, Expected),
    plan: &Plan,
    (writer, sources, followers): (CaptureWriter, Sources, Followers),
    stop: watch::Receiver<Stop>,
    watchers: &Watchers<'_>,
) -> (anyhow::Result<Ending>, CommandEnd) {
    match course {
        Course::Planned => {
            let all = recording::phases(plan, writer, sources, stop, watchers, followers);
            (all.await, CommandEnd::Succeeded)
        }
        Course::Once => {
            let ending = recording::moment(writer, sources, stop, watchers).await;
            (ending, CommandEnd::Succeeded)
        }
        Course::Around(around) => {
            let (told, recording_stop) = around::recording_stop();
            let command = around.run(plan.path.clone(), expected, stop, told);
            let all = recording::phases(plan, writer, sources, recording_stop, watchers, followers);
            around::beside(all, command).await
        }
    }
}

/// That a recording begins or, where its capture holds this range already, goes on.
fn beginning(plan: &Plan, run: &RunName, held: Option<TimeRange>) -> String {
    let path = escape_path(&plan.path);
    match held {
        None => format!("recording {run} into {path}"),
        Some(held) if held.is_empty() => {
            format!("continuing {run} in {path}, which holds nothing yet")
        }
        Some(held) => {
            format!("continuing {run} in {path}, which holds {}", report::range_text(held))
        }
    }
}

/// What a recording with these sources is to observe.
fn expected(plan: &Plan, found: &Found) -> Expected {
    let samples = match plan.sources.scrapes_alone() {
        true => Some("what is scraped".to_owned()),
        false => found.prometheus_url().map(|url| format!("Prometheus {url}")),
    };
    let pd_answers = found.pd.as_ref().is_some_and(|pd| pd.addresses != Addresses::Unlisted);
    let has_answered = pd_answers || found.prometheus.is_some();
    Expected { pd: found.pd.is_some(), samples, has_answered }
}

/// Refuses to copy the past where PD answers and names no Prometheus of which it could be copied.
fn check_history(
    plan: &Plan,
    pd: Option<&PdFound>,
    prometheus: Option<&PrometheusFound>,
) -> Result<(), CliError> {
    let pd_answers = pd.is_some_and(|pd| pd.addresses != Addresses::Unlisted);
    if plan.history.is_some() && prometheus.is_none() && pd_answers {
        let text = "PD names no Prometheus of which --from could be copied: give --prometheus, or leave --from out";
        return Err(CliError::Usage(text.to_owned()));
    }
    Ok(())
}

/// Says that only PD's answers are recorded.
fn warn_of_no_metrics(plan: &Plan, found: &Found, watchers: &Watchers<'_>) {
    let is_read = found.prometheus_url().is_some() || plan.sources.scrapes_alone();
    if is_read || plan.sources.pd.is_empty() {
        return;
    }
    let text = match plan.history {
        Some(_) => "so nothing of --from is copied; give --prometheus".to_owned(),
        None => format!("so only PD's answers are recorded; {}", scraping::INSTEAD),
    };
    watchers.reporter().line(&format!("warning: no Prometheus is known, {text}"));
}

/// Says what of PD's cluster the Prometheus does not scrape.
async fn warn_of_membership(
    plan: &Plan,
    pd: Option<&PdFound>,
    prometheus: Option<&PrometheusFound>,
    now: Timestamp,
    watchers: &Watchers<'_>,
) {
    let (Some(pd), Some(prometheus)) = (pd, prometheus) else { return };
    let until = plan.history.map_or(now, |range| range.end.min(now));
    let nodes =
        membership::scraped_nodes(pd, prometheus, (&plan.selectors, &plan.told), until).await;
    for finding in nodes.iter().flat_map(membership::findings) {
        if let Finding::Partial(text, fix) | Finding::Foreign(text, fix) = finding {
            watchers.reporter().line(&format!("warning: {}; {fix}", escape(&text)));
        }
    }
}

/// The segments of a recording of which only a part is kept. The plan is changed to begin with the newest.
fn segments(
    global: &Global,
    plan: &mut Plan,
    now: Timestamp,
    reporter: &Arc<Mutex<Reporter>>,
) -> anyhow::Result<Option<Segments>> {
    let Some(retention) = plan.retention else { return Ok(None) };
    let run = plan.run.clone();
    let segment =
        record::current_segment(&global.dir, &run, &retention, ResumePolicy::Always, now)?;
    plan.run = segment.name.clone();
    plan.path = segment.path.clone();
    let listener = retention::listener(run.clone(), global.format, Arc::clone(reporter));
    let incident = Arc::new(Mutex::new(Incident::default()));
    Ok(Some(Segments::new(&global.dir, run, retention, segment, incident, listener)))
}

/// Imports a log of PD answers, and reports how many were new.
fn import(
    writer: &mut CaptureWriter,
    path: &Path,
    now: Timestamp,
    reporter: &mut Reporter,
) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", escape_path(path));
    let file = File::open(path).with_context(cannot)?;
    let PdImport { read, written, broken } = match pasted(path).with_context(cannot)? {
        Some(found) => record::import_pasted(writer, found, now)?,
        None => record::import_pd_log(writer, file)?,
    };
    anyhow::ensure!(read > 0 || broken == 0, "{} holds no PD answer", escape_path(path));
    reporter.imported(written);
    let left_out = match broken {
        0 => String::new(),
        broken => format!(", {} broken lines left out as gaps", report::count(broken)),
    };
    reporter.line(&format!(
        "{}: {} new PD answers{left_out}",
        escape_path(path),
        report::count(written)
    ));
    Ok(())
}

/// The longest file that may be pasted bodies, in bytes: people paste less, and logs are longer.
const PASTED_BYTES: u64 = 8 << 20;

/// The bodies of PD in a file that is no log of its answers; `None` where it holds none.
fn pasted(path: &Path) -> std::io::Result<Option<Pasted>> {
    if std::fs::metadata(path)?.len() > PASTED_BYTES {
        return Ok(None);
    }
    let bytes = std::fs::read(path)?;
    let found = std::str::from_utf8(&bytes).map(pd::pasted).unwrap_or_default();
    Ok((!found.answers.is_empty()).then_some(found))
}

/// Prints the capture that a recording has made.
///
/// # Errors
///
/// An I/O error where stdout is closed.
pub fn report(global: &Global, path: &Path, run: &RunName, ending: Ending) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    match global.format {
        Format::Json => output::json_line(&json!({
            "schema": 1, "event": "end", "run": run, "file": path_text(path),
            "file_bytes": bytes, "sealed": ending.is_sealed(), "early": ending == Ending::Early,
        }))?,
        Format::Text => {
            output::line(&format!("{} ({})", escape_path(path), report::size(bytes)))?;
        }
    }
    Ok(())
}
