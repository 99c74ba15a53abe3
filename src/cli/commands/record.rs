//! `operator record`.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture::CaptureWriter;
use crate::cli::attaching;
use crate::cli::config::logs::LogArgs;
use crate::cli::config::membership::{self, Finding};
use crate::cli::config::plan::{self, LiveArgs, PastArgs, Plan};
use crate::cli::config::{retention, sources};
use crate::cli::exit::CliError;
use crate::cli::lookup::path_text;
use crate::cli::recording::{self, Followers, Sources, Watchers};
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::progress::Reporter;
use crate::cli::{Global, clock};
use crate::model::{RunName, Timestamp, escape, escape_path};
use crate::record::{self, Ending, Incident, PdImport, ResumePolicy, Segments, Succession};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  operator record --pd http://pd0:2379                       until Ctrl-C
  operator record --run chaos-01 --pd http://pd0:2379 --for 10m
  operator record --prometheus http://prometheus:9090 --from -2h
  operator record --run incident --prometheus http://prometheus:9090 \\
      --from 2026-11-24T16:00:00Z --to 2026-11-24T17:00:00Z --pd-log pd.jsonl.gz
  operator record --run prod --pd http://pd0:2379 --keep 7d --max-bytes 20GB     for months
  operator record --prometheus http://prometheus:9090 --from -1h --log tikv-1=/var/log/tikv/
  operator replay prod                                       the newest segment of it

With --from or --to the past is copied and the recording ends; with --from and --for it then
goes on live. The first Ctrl-C finishes the tick and seals the capture, a second one leaves at
once, without loss. The same --run again goes on where it stopped.

With --keep or --max-bytes the recording lies in segments, RUN-TIME.capture, each with the hour
before it inside; RUN alone means the newest. A segment ends after an eighth of what is kept, and after
six hours at most. The oldest is removed when it is older than --keep, when all take more than
--max-bytes, or when the disk is full; never the one that is written, nor one with an
`operator mark --event kind=incident`. While the disk is full and nothing may go, PD's answers are held
in memory up to 16 MiB, the rest is a gap, and recording goes on when there is room.

Times: RFC 3339 with a zone, unix seconds, `now`, or an offset from now such as -2h.

With --log, logs of nodes are read when the recording has ended, and what they say of its time is part
of the capture: see `operator attach --help`.

The keys of --config are the long flags but --log and --tz: `pd = [\"http://pd0:2379\"]`, `for = \"10m\"`.
Secrets come from files or the environment and are never written anywhere: a URL with a user and
a password belongs into PROMETHEUS_URL or the file of --config. Of a URL, the capture keeps scheme,
host, port and the path, with *** for each part of the path that does not read as words.";

/// Arguments of `record`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RecordArgs {
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    past: PastArgs,
    #[command(flatten)]
    logs: LogArgs,
}

/// Records a cluster live, copies its past, or imports logs of PD's answers.
///
/// # Errors
///
/// Where the arguments make no sense together, no source is there at the start, another recorder
/// holds the run, history cannot be copied, or the capture cannot be written.
pub fn run(global: &Global, args: RecordArgs) -> anyhow::Result<()> {
    let now = clock::now();
    let plan = plan::plan(global, args.live, args.past, now)?;
    // Read before the recording, so that a mistyped path costs none.
    let has_logs = !args.logs.files()?.is_empty();
    if has_logs && plan.retention.is_some() {
        let why =
            "--log is for a recording in one file: attach logs to a segment by `operator attach`";
        return Err(CliError::Usage(why.to_owned()).into());
    }
    let path = plan.path.clone();
    crate::cli::block_on(record(global, plan, now))?;
    if has_logs {
        attach(global, &path, &args.logs)?;
    }
    Ok(())
}

/// Attaches logs to the capture that was recorded.
fn attach(global: &Global, path: &Path, logs: &LogArgs) -> anyhow::Result<()> {
    let attached = attaching::attach(path, logs)
        .with_context(|| format!("{} is recorded, and logs are not attached", escape_path(path)))?;
    for one in &attached {
        match global.format {
            Format::Json => output::json_line(&json!({
                "schema": 1, "event": "log", "log": attaching::json(one),
            }))?,
            Format::Text => output::line(&attaching::text(one))?,
        }
    }
    Ok(())
}

async fn record(global: &Global, mut plan: Plan, now: Timestamp) -> anyhow::Result<()> {
    let stop = clock::stop_on_signals()?;
    let exporter = recording::exporter(&plan).await?;
    let (pd, prometheus) = sources::find(&plan.sources, &stop).await?;
    let run = plan.run.clone();
    let reporter = Arc::new(Mutex::new(Reporter::new(global, clock::now())));
    let watchers = Watchers { reporter: &reporter, exporter };
    let mut segments = segments(global, &mut plan, now, &reporter)?;
    let open = || recording::open(&plan, pd.as_ref(), prometheus.as_ref());
    let mut writer = match &mut segments {
        Some(segments) => retention::open_making_room(segments, open)?,
        None => open()?,
    };
    watchers.reporter().line(&format!("recording {run} into {}", escape_path(&plan.path)));
    if let (Some(pd), Some(prometheus)) = (&pd, &prometheus) {
        let until = plan.history.map_or(now, |range| range.end.min(now));
        let nodes = membership::scraped_nodes(pd, prometheus, &plan.selectors, until).await;
        for finding in nodes.iter().flat_map(membership::findings) {
            if let Finding::Partial(text, fix) | Finding::Foreign(text, fix) = finding {
                watchers.reporter().line(&format!("warning: {}; {fix}", escape(&text)));
            }
        }
    }
    for log in &plan.pd_logs {
        import(&mut writer, log, &watchers.reporter())?;
    }
    let sources = Sources::of(&plan, pd, prometheus);
    let succession = segments.map(|segments| -> Box<dyn Succession> { Box::new(segments) });
    let followers = Followers { succession, ..Followers::default() };
    let ending = recording::phases(&plan, writer, sources, stop, &watchers, followers).await;
    watchers.reporter().finish();
    let ending = ending?;
    let last = plan.retention.and_then(|_| record::segments(&global.dir, &run).pop());
    report(global, &last.map_or(plan.path, |last| last.path), &run, ending)?;
    if ending == Ending::Abandoned { Err(CliError::Interrupted.into()) } else { Ok(()) }
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
fn import(writer: &mut CaptureWriter, path: &Path, reporter: &Reporter) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", escape_path(path)))?;
    let PdImport { read, written, broken } = record::import_pd_log(writer, file)?;
    anyhow::ensure!(read > 0 || broken == 0, "{} holds no PD answer", escape_path(path));
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

/// Prints the capture that a recording has made.
///
/// # Errors
///
/// An I/O error where stdout is closed.
pub fn report(global: &Global, path: &Path, run: &RunName, ending: Ending) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let sealed = ending == Ending::Sealed;
    match global.format {
        Format::Json => output::json_line(&json!({
            "schema": 1, "event": "end", "run": run, "file": path_text(path),
            "file_bytes": bytes, "sealed": sealed,
        }))?,
        Format::Text => {
            output::line(&format!("{} ({})", escape_path(path), report::size(bytes)))?;
        }
    }
    Ok(())
}
