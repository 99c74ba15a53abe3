//! `operator seal`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture::{self, CaptureReader};
use crate::cli::exit::CliError;
use crate::cli::lookup::Found;
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::remarks::remark;
use crate::cli::{Global, lookup};
use crate::model::{Timestamp, escape, escape_path};
use crate::report;
use crate::score::{KnownNode, Truth};
use crate::session::Session;

/// The largest ground truth, in bytes. It is usually a page of text.
const MAX_TRUTH_BYTES: u64 = 16 << 20;

const EXAMPLES: &str = "\
Examples:
  operator seal chaos-01 --truth truth.json
  operator seal chaos-01 --truth truth.json --dry-run
      checks it and changes nothing
  operator seal --truth truth.json --dry-run
      checks it before there is a run
  operator seal chaos-01 --remove     takes it out again

The truth is for scoring. `replay` cannot read it, and `show` only says that it is there. It is \
a JSON object that has `fault` or `change`; the other fields may be absent. A field that resembles one of these is \
refused, any other is kept as a note:

  fault        the failure mode that was injected, such as \"store_crash\";
               null: nothing was broken
  change       the planned change that was made, such as \"rolling_restart\"
  node         the name of the node: \"store 4\", \"pd-0\", or the first part of
               its host's name; beside store_id or address, any name; none of
               them: it is about the workload
  store_id     the id of the store, a number
  address      host and port of the node
  t_inject_ms  when it was injected, within the run: milliseconds since 1970,
               or a date and time such as \"2026-11-24T16:30:50Z\"

`operator score --help` says what is done with it; docs/failure-modes.md lists the modes.";

/// Arguments of `seal`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SealArgs {
    /// A run's name, `latest`, or the path of a capture
    #[arg(value_name = "RUN", required_unless_present = "dry_run")]
    run: Option<OsString>,
    /// The file that says what was done to the cluster
    #[arg(long, value_name = "FILE", required_unless_present = "remove")]
    truth: Option<PathBuf>,
    /// Only check that the truth can be scored, and change nothing. Without RUN, its place and time are not checked. A
    /// run that has a truth already needs --replace here too
    #[arg(long)]
    dry_run: bool,
    /// Replace a truth that is sealed inside already
    #[arg(long)]
    replace: bool,
    /// Take the truth out of RUN again
    #[arg(long, conflicts_with_all = ["truth", "dry_run", "replace"])]
    remove: bool,
}

/// Seals a ground truth inside a capture.
///
/// # Errors
///
/// Where there is no such run, the truth cannot be read, or the capture not be written.
pub fn run(global: &Global, args: &SealArgs) -> anyhow::Result<()> {
    let path = args.run.as_ref().map(|run| lookup::find(&global.dir, run)).transpose()?;
    let Some(file) = &args.truth else {
        return path.map_or(Ok(()), |path| remove(global, &path));
    };
    let cannot_read = || format!("cannot read {}", escape_path(file));
    let bytes = fs::metadata(file).with_context(cannot_read)?.len();
    anyhow::ensure!(
        bytes <= MAX_TRUTH_BYTES,
        "{} is larger than {}",
        escape_path(file),
        report::size(MAX_TRUTH_BYTES)
    );
    let truth = fs::read(file).with_context(cannot_read)?;
    let bad_truth = || format!("{} is no truth", escape_path(file));
    let checked = Truth::parse(&truth).with_context(bad_truth)?;
    let nodes = path.as_deref().map(nodes).transpose()?.unwrap_or_default();
    let checks = [checked.check_modes(), checked.check_place(&nodes)];
    let wrong =
        checked.wrong_fields().into_iter().chain(checks.into_iter().filter_map(Result::err));
    let mut wrong: Vec<String> = wrong.map(|one| one.to_string()).collect();
    wrong.extend(path.as_deref().map(|path| out_of_time(path, &checked)).transpose()?.flatten());
    if !wrong.is_empty() {
        return Err(CliError::Usage(wrong.join("; "))).with_context(bad_truth);
    }
    checked.warnings().iter().for_each(|warning| remark(&format!("warning: {warning}")));
    let Some(path) = path else { return told_dry(global, &checked, None) };
    if !args.replace {
        unless_sealed(&path, &checked, file)?;
    }
    if args.dry_run {
        return told_dry(global, &checked, Some(path.shown()));
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

/// The stores and members of PD that the capture knows.
fn nodes(path: &Path) -> anyhow::Result<Vec<KnownNode>> {
    let nodes = Session::open(path)?.evidence()?.nodes;
    let stores = nodes.stores.iter().map(|store| KnownNode {
        store_id: store.id.map(|id| id.0),
        name: store.name(),
        address: store.address.clone(),
    });
    let members = nodes.members.iter().map(|member| KnownNode {
        store_id: None,
        name: member.name.clone(),
        address: member.address.clone(),
    });
    Ok(stores.chain(members).collect())
}

/// Takes the truth out of a capture.
fn remove(global: &Global, path: &Found) -> anyhow::Result<()> {
    let shown = path.shown();
    if !CaptureReader::open(path)?.has_truth() {
        let text = format!("no truth is sealed inside {}", escape_path(shown));
        return Err(CliError::Usage(text).into());
    }
    capture::remove_truths(path)?;
    match global.format {
        Format::Json => {
            output::json(&json!({ "capture": lookup::path_text(shown), "removed": true }))?
        }
        Format::Text => output::line(&format!("took the truth out of {}", escape_path(shown)))?,
    }
    Ok(())
}

/// Refuses a truth where another is sealed.
fn unless_sealed(path: &Path, truth: &Truth, file: &Path) -> anyhow::Result<()> {
    if !CaptureReader::open(path)?.has_truth() {
        return Ok(());
    }
    let (file, what) = (escape_path(file), escape(&truth.text()));
    let text = format!(
        "{file} is a truth ({what}), and another is sealed inside already: --replace puts it in its place"
    );
    Err(CliError::Usage(text).into())
}

/// What is wrong with a truth of another time than the run's.
fn out_of_time(path: &Path, truth: &Truth) -> anyhow::Result<Option<String>> {
    let window = CaptureReader::open(path)?.window();
    let injected = truth.t_inject_ms.map(Timestamp::from_millis);
    let outside = injected.filter(|at| !window.is_empty() && !window.contains(*at));
    Ok(outside.map(|at| {
        let (start, end) = (window.start, window.end);
        format!("t_inject_ms is {at}, outside of the run: the capture covers {start} to {end}")
    }))
}

/// Says that a truth can be sealed, and changes nothing.
fn told_dry(global: &Global, truth: &Truth, path: Option<&Path>) -> anyhow::Result<()> {
    match global.format {
        Format::Json => output::json(&json!({
            "capture": path.map(lookup::path_text), "truth": truth.name(), "dry_run": true,
        }))?,
        Format::Text => {
            let place = path.map(|path| format!(" inside {}", escape_path(path)));
            output::line(&format!(
                "the truth can be sealed{}: {}",
                place.unwrap_or_default(),
                escape(&truth.text())
            ))?;
        }
    }
    Ok(())
}
