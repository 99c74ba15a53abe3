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
use crate::diagnose::counted;
use crate::model::{Event, Gap, escape, escape_path, joined};
use crate::report;

/// Metrics listed without `--metrics`.
const METRICS_SHOWN: usize = 10;
/// Targets listed, and gaps, events and damaged parts; JSON has all.
const TARGETS_SHOWN: usize = 1_000;
const HAPPENINGS_SHOWN: usize = 200;

const EXAMPLES: &str = "\
Examples:
  operator show chaos-01
  operator show chaos-01 --metrics
  operator show latest --format json";

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// A run's name, `latest`, or the path of a capture
    #[arg(value_name = "RUN")]
    run: OsString,
    /// List every metric, not only those with the most series
    #[arg(long)]
    metrics: bool,
}

/// Tells what is inside a capture.
///
/// # Errors
///
/// Where there is no such run or it cannot be read, and where a part of it is damaged.
pub fn run(global: &Global, args: &ShowArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let reader = CaptureReader::open(&path)?;
    let inventory = reader.inventory()?;
    let (gaps, events) = (joined(&reader.gaps()?), reader.events()?);
    match global.format {
        Format::Json => show_json(&path, &reader, &inventory, (&gaps, &events))?,
        Format::Text => {
            let metrics = if args.metrics { usize::MAX } else { METRICS_SHOWN };
            let mut text = head(&path, &reader, &inventory);
            text.push_str(&contents(&inventory, metrics));
            text.push_str(&happenings(&gaps, &events));
            let damage = reader.damage();
            for damage in damage.iter().take(HAPPENINGS_SHOWN) {
                text.push_str(&format!(
                    "damaged: {}: {}\n",
                    escape(&damage.part),
                    escape(&damage.why)
                ));
            }
            text.push_str(&and_more(damage.len(), HAPPENINGS_SHOWN));
            output::write(text.as_bytes())?;
        }
    }
    Ok(CliError::unless_whole(&path, reader.damage().len())?)
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

fn head(path: &Path, reader: &CaptureReader, inventory: &Inventory) -> String {
    let (meta, window) = (reader.meta(), reader.window());
    let unknown = || "unknown".to_owned();
    let mut rows = vec![
        ("run", format!("{} ({}, format {})", meta.run, meta.subject, inventory.format)),
        ("file", format!("{} ({})", escape_path(path), report::size(inventory.file_bytes))),
        (
            "window",
            format!("{} to {} ({})", window.start, window.end, report::duration(window.millis())),
        ),
        ("recorded", format!("by operator {}", meta.versions.operator)),
    ];
    if let Some(url) = &meta.endpoints.prometheus {
        let version = meta.versions.prometheus.clone().unwrap_or_else(unknown);
        let how = meta.copied_by.join(", ");
        rows.push(("prometheus", format!("{url} (version {version}; {how})")));
    }
    for (member, url) in &meta.endpoints.pd {
        rows.push(("pd", format!("{member} {url}")));
    }
    if let Some(version) = &meta.versions.pd {
        rows.push(("pd version", version.clone()));
    }
    for selector in &meta.selectors {
        rows.push(("selector", selector.clone()));
    }
    let sealed = if inventory.truth_sealed { "sealed inside" } else { "none" };
    rows.push(("truth", sealed.to_owned()));
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    report::table(&rows)
}

fn contents(inventory: &Inventory, metrics_shown: usize) -> String {
    let per_sample = |bytes: u64| bytes as f64 / inventory.samples.max(1) as f64;
    let mut text = format!(
        "\n{} samples of {} series; {} PD answers, {} documents; {:.3} B a sample\n",
        report::count(inventory.samples),
        report::count(inventory.series),
        report::count(inventory.pd_answers),
        report::count(inventory.pd_documents),
        per_sample(inventory.file_bytes)
    );
    let mut rows = vec![["JOB", "INSTANCE", "SERIES", "SAMPLES"].map(str::to_owned).to_vec()];
    let targets = inventory.targets.iter().take(TARGETS_SHOWN);
    rows.extend(targets.map(|(target, series, samples)| {
        let counts = [report::count(*series), report::count(*samples)];
        [vec![target.job.clone(), target.instance.clone()], counts.to_vec()].concat()
    }));
    text.push_str(&format!("\n{}", report::table(&rows)));
    text.push_str(&and_more(inventory.targets.len(), TARGETS_SHOWN));
    let mut metrics: Vec<_> = inventory.metrics.iter().collect();
    metrics.sort_by(|left, right| (right.1, &left.0).cmp(&(left.1, &right.0)));
    let mut rows = vec![["METRIC", "SERIES"].map(str::to_owned).to_vec()];
    rows.extend(
        metrics
            .iter()
            .take(metrics_shown)
            .map(|(name, series)| vec![name.clone(), report::count(*series)]),
    );
    if metrics.len() > metrics_shown {
        rows.push(vec![format!(
            "and {} more",
            report::count((metrics.len() - metrics_shown) as u64)
        )]);
    }
    text.push_str(&format!("\n{}", report::table(&rows)));
    let mut rows = vec![["PART", "BYTES", "B/SAMPLE"].map(str::to_owned).to_vec()];
    rows.extend(inventory.bytes.iter().map(|(part, bytes)| {
        vec![part.clone(), report::count(*bytes), format!("{:.4}", per_sample(*bytes))]
    }));
    text.push_str(&format!("\n{}", report::table(&rows)));
    text
}

fn happenings(gaps: &[Gap], events: &[Event]) -> String {
    let mut text = format!("\n{}\n", counted(gaps.len() as u64, "gap"));
    let rows: Vec<Vec<String>> = gaps
        .iter()
        .take(HAPPENINGS_SHOWN)
        .map(|gap| {
            let healed = if gap.healed_at.is_some() { "healed" } else { "" };
            vec![
                gap.range.start.to_string(),
                report::duration(gap.range.millis()),
                gap.source.to_string(),
                gap.reason.to_string(),
                healed.to_owned(),
                gap.detail.clone(),
            ]
        })
        .collect();
    text.push_str(&report::table(&rows));
    text.push_str(&and_more(gaps.len(), HAPPENINGS_SHOWN));
    text.push_str(&format!("\n{}\n", counted(events.len() as u64, "event")));
    let rows: Vec<Vec<String>> = events
        .iter()
        .take(HAPPENINGS_SHOWN)
        .map(|event| {
            let fields: Vec<String> =
                event.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
            vec![event.at.to_string(), event.kind.to_string(), event.text.clone(), fields.join(" ")]
        })
        .collect();
    text.push_str(&report::table(&rows));
    text.push_str(&and_more(events.len(), HAPPENINGS_SHOWN));
    text
}

/// How many rows are left out where only so many are shown; empty where none are.
fn and_more(rows: usize, shown: usize) -> String {
    match rows.saturating_sub(shown) {
        0 => String::new(),
        more => format!("and {} more; --format json has all\n", report::count(more as u64)),
    }
}
