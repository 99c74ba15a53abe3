//! `operator seal`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture::{self, CaptureReader};
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::remarks::remark;
use crate::cli::{Global, lookup};
use crate::model::{Timestamp, escape, escape_path};
use crate::report;
use crate::score::Truth;
use crate::session::{Session, View};

/// The largest ground truth, in bytes. It is usually a page of text.
const MAX_TRUTH_BYTES: u64 = 16 << 20;

const EXAMPLES: &str = "\
Examples:
  operator seal chaos-01 --truth truth.json
  operator seal chaos-01 --truth truth.json --dry-run
      checks it and changes nothing

The truth is for scoring. `replay` cannot read it, and `show` only says that it is there. It is \
a JSON object; each of these fields may be absent or null, and others are kept as notes:

  fault        the failure mode that was injected, such as \"store_crash\";
               none: nothing was broken
  change       the planned change that was made, such as \"rolling_restart\"
  node         the name of the node, such as \"tikv-0\"; none: it is about the
               workload
  store_id     the id of the store, a number
  address      host and port of the node
  t_inject_ms  when it was injected, in milliseconds since 1970, within the
               run";

/// Arguments of `seal`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SealArgs {
    /// A run's name, `latest`, or the path of a capture
    #[arg(value_name = "RUN")]
    run: OsString,
    /// The file that says what was done to the cluster
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// Only check that the run is there and the truth can be scored
    #[arg(long)]
    dry_run: bool,
    /// Replace a truth that is sealed inside already
    #[arg(long)]
    replace: bool,
}

/// Seals a ground truth inside a capture.
///
/// # Errors
///
/// Where there is no such run, the truth cannot be read, or the capture not be written.
pub fn run(global: &Global, args: &SealArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let cannot_read = || format!("cannot read {}", escape_path(&args.truth));
    let bytes = fs::metadata(&args.truth).with_context(cannot_read)?.len();
    anyhow::ensure!(
        bytes <= MAX_TRUTH_BYTES,
        "{} is larger than {}",
        escape_path(&args.truth),
        report::size(MAX_TRUTH_BYTES)
    );
    let truth = fs::read(&args.truth).with_context(cannot_read)?;
    let bad_truth = || format!("{} is no truth", escape_path(&args.truth));
    let checked = Truth::parse(&truth).with_context(bad_truth)?;
    check_place(&path, &checked, args)?;
    checked.check_fields().with_context(bad_truth)?;
    checked.check_modes().with_context(bad_truth)?;
    checked.check_store(&stores(&path)?).with_context(bad_truth)?;
    if checked.fault.is_some() && checked.t_inject_ms.is_none() {
        remark("warning: without t_inject_ms nobody can say how long after it a fault was named");
    }
    if args.dry_run {
        return told_dry(global, &checked, path.shown());
    }
    capture::seal_truth(&path, &truth)?;
    match global.format {
        Format::Json => output::json(
            &json!({ "capture": lookup::path_text(path.shown()), "truth_bytes": truth.len() }),
        )?,
        Format::Text => {
            let (path, what) = (escape_path(path.shown()), escape(&checked.text()));
            output::line(&format!("sealed a truth inside {path}: {what}"))?
        }
    }
    Ok(())
}

/// The stores that PD lists, with their addresses.
fn stores(path: &Path) -> anyhow::Result<Vec<(u64, String)>> {
    let nodes = Session::open(path)?.load(View::WHOLE)?.evidence()?.nodes;
    let known = nodes.stores.into_iter();
    Ok(known.filter_map(|store| Some((store.id?.0, store.address))).collect())
}

/// Refuses a truth of another time than the run's, and one where another is sealed unless that is to be replaced.
fn check_place(path: &Path, truth: &Truth, args: &SealArgs) -> anyhow::Result<()> {
    let reader = CaptureReader::open(path)?;
    if reader.has_truth() && !args.replace {
        let text = "a truth is sealed inside already: --replace puts this one in its place";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    let window = reader.window();
    let outside = truth.t_inject_ms.map(Timestamp::from_millis);
    if let Some(at) = outside.filter(|at| !window.is_empty() && !window.contains(*at)) {
        let text = format!(
            "t_inject_ms is {at}, outside of the run: the capture covers {} to {}",
            window.start, window.end
        );
        return Err(CliError::Usage(text).into());
    }
    Ok(())
}

/// Says that a truth can be sealed, and changes nothing.
fn told_dry(global: &Global, truth: &Truth, path: &Path) -> anyhow::Result<()> {
    match global.format {
        Format::Json => output::json(
            &json!({ "capture": lookup::path_text(path), "truth": truth.name(), "dry_run": true }),
        )?,
        Format::Text => {
            let path = escape_path(path);
            output::line(&format!(
                "the truth can be sealed inside {path}: {}",
                escape(&truth.text())
            ))?;
        }
    }
    Ok(())
}
