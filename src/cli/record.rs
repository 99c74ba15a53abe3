//! `operator record`.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::exit::CliError;
use super::lookup::path_text;
use super::output::{self, Format};
use super::plan::{self, LiveArgs, PastArgs, Plan};
use super::progress::Reporter;
use super::recording::{self, Followers, Sources, Watchers};
use super::{Global, clock, sources};
use crate::capture::CaptureWriter;
use crate::model::{RunName, escape_path};
use crate::record::{self, Ending, PdImport};

const EXAMPLES: &str = "\
Examples:
  operator record --pd http://pd0:2379                       until Ctrl-C
  operator record --run chaos-01 --pd http://pd0:2379 --for 10m
  operator record --prometheus http://prometheus:9090 --from -2h
  operator record --run incident --prometheus http://prometheus:9090 \\
      --from 2026-11-24T16:00:00Z --to 2026-11-24T17:00:00Z --pd-log pd.jsonl.gz

With --from or --to the past is copied and the recording ends; with --from and --for it then
goes on live. The first Ctrl-C finishes the tick and seals the capture, a second one leaves at
once, without loss. The same --run again goes on where it stopped.

Times: RFC 3339 with a zone, unix seconds, `now`, or an offset from now such as -2h.

The keys of --config are the long flags: `pd = [\"http://pd0:2379\"]`, `for = \"10m\"`.
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
}

/// Records.
///
/// # Errors
///
/// Where the arguments make no sense together, no source is there at the start, another recorder
/// holds the run, history cannot be copied, or the capture cannot be written.
pub fn run(global: &Global, args: RecordArgs) -> anyhow::Result<()> {
    let plan = plan::plan(global, args.live, args.past, clock::now())?;
    super::block_on(record(global, plan))
}

async fn record(global: &Global, plan: Plan) -> anyhow::Result<()> {
    let stop = clock::stop_on_signals()?;
    let exporter = recording::exporter(&plan).await?;
    let (pd, prometheus) = sources::find(&plan.sources, &stop).await?;
    let mut writer = recording::open(&plan, pd.as_ref(), prometheus.as_ref())?;
    let reporter = Reporter::new(global, clock::now());
    reporter.line(&format!("recording {} into {}", plan.run, escape_path(&plan.path)));
    for log in &plan.pd_logs {
        import(&mut writer, log, &reporter)?;
    }
    let sources = Sources::of(&plan, pd, prometheus);
    let reporter = Mutex::new(reporter);
    let watchers = Watchers { reporter: &reporter, exporter };
    let ending =
        recording::phases(&plan, writer, sources, stop, &watchers, Followers::default()).await;
    watchers.reporter().finish();
    let ending = ending?;
    report(global, &plan.path, &plan.run, ending)?;
    if ending == Ending::Abandoned { Err(CliError::Interrupted.into()) } else { Ok(()) }
}

/// Imports a log of PD answers and says what it brought.
fn import(writer: &mut CaptureWriter, path: &Path, reporter: &Reporter) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", escape_path(path)))?;
    let PdImport { read, written, broken } = record::import_pd_log(writer, file)?;
    anyhow::ensure!(read > 0 || broken == 0, "{} holds no PD answer", escape_path(path));
    let left_out = match broken {
        0 => String::new(),
        broken => format!(", {} broken lines left out as gaps", output::count(broken)),
    };
    reporter.line(&format!(
        "{}: {} new PD answers{left_out}",
        escape_path(path),
        output::count(written)
    ));
    Ok(())
}

/// Tells what a recording left.
pub fn report(global: &Global, path: &Path, run: &RunName, ending: Ending) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let sealed = ending == Ending::Sealed;
    match global.format {
        Format::Json => output::json_line(&json!({
            "schema": 1, "event": "end", "run": run, "file": path_text(path),
            "file_bytes": bytes, "sealed": sealed,
        }))?,
        Format::Text => {
            output::line(&format!("{} ({})", escape_path(path), output::size(bytes)))?;
        }
    }
    Ok(())
}
