//! `operator attach`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::capture;
use crate::cli::attaching::{self, Attachment};
use crate::cli::config::logs::LogArgs;
use crate::cli::config::tls::TlsArgs;
use crate::cli::exit::CliError;
use crate::cli::profiling;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, clock, lookup};
use crate::model::{escape_path, parse_duration_ms};

const EXAMPLES: &str = "\
Examples:
  operator attach chaos-01 \\
      --log tikv-1=/var/log/tikv/tikv.log --log pd0=pd.log.gz
  operator attach incident --log 'store 4=logs/tikv-4/' --tz +08:00
  operator attach tonight --logs               asks the nodes themselves
  kubectl logs --timestamps basic-tikv-0 > tikv-0.log
  operator attach incident --log basic-tikv-0=tikv-0.log \\
      --to with-logs.capture
  kubectl get pods,events -n tidb -o json > tidb.json
  operator attach incident --kubectl tidb.json
  operator attach tonight --profiles           what grows in PD's memory

Read are logs of TiKV, PD and TiDB since 4.0 in the text and the JSON format, RocksDB's, what \
stands in *_stderr.log, and what `kubectl logs`, `journalctl -o json` and `docker logs` make of \
them; plain, gzipped and rotated. Of the time of the recording, lines are counted by message, \
and lines that say what no metric says are kept, without keys, SQL and addresses. All files of a \
node are attached at once. Of pods and events of Kubernetes, all files at once too: how \
containers of the cluster ended, evictions, failing probes, and what became of their machines.

With --logs the capture's members and stores are asked, one at a time, at the addresses that PD \
lists: TiKV and PD since 4.0.16 search their own log files, where they write text to files. Of a \
recording of more than an hour, an hour around what broke first is asked for, or the last one. A \
node that gives no line is reported, also in the capture.

With --profiles, PD's members are asked for what their memory holds and what their goroutines do, \
and after --apart for their memory again; `show --profiles` names what grew, and so does \
`explain` of memory that rose. Kept are names of functions of Go and of public modules with \
bytes and numbers, nothing else.";

/// Arguments of `attach`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AttachArgs {
    /// A run's name, `latest`, or the path of a capture
    #[arg(value_name = "RUN")]
    run: OsString,
    /// Write a new file, which must not exist, and leave the capture as it is
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    logs: LogArgs,
    /// Take profiles of PD's members now: heap and goroutines, and after a while the heap again
    #[arg(long)]
    profiles: bool,
    /// The time between the two heap profiles
    #[arg(long, value_name = "DURATION", default_value = "2m", requires = "profiles")]
    apart: String,
    #[command(flatten)]
    tls: TlsArgs,
}

/// Attaches logs of nodes to a capture.
///
/// # Errors
///
/// Where there is no such run, a log cannot be read or placed in time, or the capture cannot be written.
pub fn run(global: &Global, args: &AttachArgs) -> anyhow::Result<()> {
    if args.logs.is_empty() && !args.profiles {
        let what = "name what to attach: --log NODE=PATH, --logs to ask the nodes, --kubectl FILE, or --profiles";
        return Err(CliError::Usage(what.to_owned()).into());
    }
    let found = lookup::find(&global.dir, &args.run)?;
    crate::cli::block_on(async { Ok(clock::let_writes_fail()?) })?;
    let path: &Path = match &args.to {
        Some(to) => {
            capture::copy_as(&found, to, global.file_mode)?;
            to
        }
        None if capture::is_packed(&found) => {
            let why = "a packed capture is not changed: write a new file with --to";
            return Err(CliError::Usage(why.to_owned()).into());
        }
        None => &found,
    };
    let http = args.tls.options();
    let tell = |text: &str| global.tell(text);
    let apart = parse_duration_ms(&args.apart)?;
    let attach = || {
        let attachment = attaching::attach_unless_stopped(path, &args.logs, &http, &tell)?;
        let apart = Duration::from_millis(u64::try_from(apart).unwrap_or_default());
        let Attachment { attached, is_stopped } = attachment;
        let (taken, is_stopped) = match args.profiles && !is_stopped {
            true => profiling::attach(path, &http, apart, tell)?,
            false => (Vec::new(), is_stopped),
        };
        anyhow::Ok((attached, taken, is_stopped))
    };
    let (attached, taken, is_stopped) = attach().inspect_err(|_| {
        // A new file without its logs is nobody's; where it cannot be removed, the first error says more.
        if args.to.is_some() {
            let _ = capture::remove(path);
        }
    })?;
    match global.format {
        Format::Json => {
            let logs: Vec<Value> = attached.iter().map(attaching::json).collect();
            let mut printed = json!({ "file": lookup::path_text(path), "logs": logs });
            if args.profiles {
                printed["profiles"] = taken.iter().map(profiling::json).collect();
            }
            output::json(&printed)?;
        }
        Format::Text => {
            for one in &attached {
                output::line(&attaching::text(one))?;
            }
            for one in &taken {
                output::line(&profiling::text(one))?;
            }
            output::line(&format!("attached to {}", escape_path(path)))?;
        }
    }
    if is_stopped { Err(CliError::NotAllAsked.into()) } else { Ok(()) }
}
