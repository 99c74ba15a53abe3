//! `operator show`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::capture::{CaptureReader, Inventory};
use crate::cli::exit::CliError;
use crate::cli::lookup::path_text;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::model::{Event, Gap, KnownSettings, ProfileEvent, SettingsEvent, joined};
use crate::nodes::{NodeIndex, Nodes};
use crate::report::{
    CaptureContents, SettingsReport, capture_text, nodes_json, nodes_text, profiles_json,
    profiles_text,
};
use crate::session::{Session, recorded_versions};

/// The number of metrics that are listed without `--metrics`.
const METRICS_SHOWN: usize = 10;
/// Columns of the table of nodes.
const WIDTH: usize = 80;

const EXAMPLES: &str = "\
Examples:
  operator show chaos-01
  operator show chaos-01 --metrics
  operator show chaos-01 --nodes
  operator show chaos-01 --settings
  operator show chaos-01 --settings --node store-4
  operator show chaos-01 --profiles
  operator show latest --format json";

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// A run's name, `latest`, or the path of a capture or of an exported file
    #[arg(value_name = "RUN")]
    run: OsString,
    /// List every metric, not only those with the most series
    #[arg(long)]
    metrics: bool,
    /// Show which scrape target is which store and member of PD, and why
    #[arg(long, conflicts_with = "metrics")]
    nodes: bool,
    /// Show the settings of TiKV stores, those that differ between stores first, and when they were read
    #[arg(long, conflicts_with_all = ["metrics", "nodes"])]
    settings: bool,
    /// Show the profiles that were taken of PD's members: what they hold, and what grew between two
    #[arg(long, conflicts_with_all = ["metrics", "nodes", "settings"])]
    profiles: bool,
    /// Show only the settings of this store: its id, its address, or the name of its host or pod
    #[arg(long, value_name = "NAME", requires = "settings")]
    node: Option<String>,
}

/// Prints what a capture contains.
///
/// # Errors
///
/// Where there is no such run or it cannot be read, and where a part of it is damaged.
pub fn run(global: &Global, args: &ShowArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    if args.nodes {
        return show_nodes(global, &path);
    }
    if args.settings {
        return show_settings(global, &path, args.node.as_deref());
    }
    let reader = CaptureReader::open(&path)?;
    if args.profiles {
        return show_profiles(global, &path, &reader);
    }
    let inventory = reader.inventory()?;
    let (gaps, events) = (joined(&reader.gaps()?), reader.events()?);
    match global.format {
        Format::Json => show_json(path.shown(), &reader, &inventory, (&gaps, &events))?,
        Format::Text => {
            let metrics = if args.metrics { usize::MAX } else { METRICS_SHOWN };
            let (path, reader, inventory) = (path.shown(), &reader, &inventory);
            let versions = recorded_versions(reader)?;
            let (gaps, events) = (&gaps, &events);
            let contents = CaptureContents { path, reader, inventory, versions, gaps, events };
            output::write(capture_text(&contents, metrics).as_bytes())?;
        }
    }
    Ok(CliError::unless_whole(path.shown(), reader.damaged_rows())?)
}

fn show_nodes(global: &Global, path: &Path) -> anyhow::Result<()> {
    let session = Session::open(path)?;
    let nodes = session.evidence()?.nodes;
    match global.format {
        Format::Json => output::json(&nodes_json(&nodes))?,
        Format::Text => output::write(nodes_text(&nodes, WIDTH).as_bytes())?,
    }
    Ok(CliError::unless_whole(path, session.reader().damaged_rows())?)
}

fn show_settings(global: &Global, path: &Path, node: Option<&str>) -> anyhow::Result<()> {
    let session = Session::open(path)?;
    let events = session.reader().events()?;
    let read: Vec<SettingsEvent> = events.iter().filter_map(SettingsEvent::of_event).collect();
    let evidence = session.evidence()?;
    let stores = evidence.pd.stores.iter();
    let versions = stores.map(|(id, store)| (*id, store.version.clone())).collect();
    let nodes = evidence.nodes;
    let only = node.map(|name| store_called(&nodes, name)).transpose()?;
    let report = SettingsReport::new(KnownSettings::of(&read), &nodes, &versions, only);
    match global.format {
        Format::Json => output::json(&report.json())?,
        Format::Text => output::write(report.text().as_bytes())?,
    }
    Ok(CliError::unless_whole(path, session.reader().damaged_rows())?)
}

fn show_profiles(global: &Global, path: &Path, reader: &CaptureReader) -> anyhow::Result<()> {
    let profiles: Vec<ProfileEvent> =
        reader.events()?.iter().filter_map(ProfileEvent::of_event).collect();
    match global.format {
        Format::Json => output::json(&profiles_json(&profiles))?,
        Format::Text => output::write(profiles_text(&profiles).as_bytes())?,
    }
    Ok(CliError::unless_whole(path, reader.damaged_rows())?)
}

/// The store that somebody means, as an index: by any name that a node has, or `store-4`.
fn store_called(nodes: &Nodes, name: &str) -> Result<usize, CliError> {
    let id = name.strip_prefix("store-").unwrap_or(name);
    match nodes.named(name, "tikv").or_else(|| nodes.named(id, "tikv")) {
        Some(NodeIndex::Store(index)) => Ok(index),
        _ => {
            let known: Vec<String> = nodes.stores.iter().map(|store| store.name()).collect();
            let why = match known.is_empty() {
                true => "the recording names none".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            Err(CliError::Usage(format!("no store is called {name:?}: {why}")))
        }
    }
}

fn show_json(
    path: &Path,
    reader: &CaptureReader,
    inventory: &Inventory,
    (gaps, events): (&[Gap], &[Event]),
) -> anyhow::Result<()> {
    let targets: Vec<_> = inventory
        .targets
        .iter()
        .map(|(target, series, samples)| {
            json!({ "job": target.job, "instance": target.instance, "series": series, "samples": samples })
        })
        .collect();
    let metrics: BTreeMap<_, _> = inventory.metrics.iter().cloned().collect();
    let parts: BTreeMap<_, _> = inventory.bytes.iter().cloned().collect();
    let damage: Vec<_> = reader
        .damage()
        .into_iter()
        .map(|damage| json!({ "part": damage.part, "why": damage.why, "range": damage.range }))
        .collect();
    Ok(output::json(&json!({
        "schema": 1,
        "file": path_text(path),
        "format": inventory.format,
        "file_bytes": inventory.file_bytes,
        "bytes": parts,
        "meta": reader.meta(),
        "window": reader.window(),
        "samples": inventory.samples,
        "series": inventory.series,
        "targets": targets,
        "metrics": metrics,
        "pd_answers": inventory.pd_answers,
        "pd_documents": inventory.pd_documents,
        "truth_sealed": inventory.truth_sealed,
        "gaps": gaps,
        "events": events,
        "damage": damage,
    }))?)
}
