//! The contents of a capture as text for `show`.
//!
//! The JSON of the same command is made in `cli`.

use std::collections::BTreeSet;
use std::path::Path;

use super::page::wrap;
use super::quantities::{count, size};
use super::table::table;
use crate::capture::{CaptureReader, Inventory};
use crate::diagnose::counted;
use crate::model::{
    Event, EventKind, Gap, SCRAPED, TimeRange, cut, duration_text, escape, escape_path,
};

/// Targets that are listed.
const TARGETS_SHOWN: usize = 1_000;
/// Gaps that are listed; as many events and damaged parts are.
const ROWS_SHOWN: usize = 200;

/// The widest line.
const COLUMNS: usize = 80;
/// The longest text of a gap or an event, in characters: an error with the start of an answer fits.
const LONGEST_TEXT: usize = 512;

/// An open capture with what was read of it.
pub struct CaptureContents<'a> {
    /// The path of the capture.
    pub path: &'a Path,
    /// The reader of the capture, which knows its damage.
    pub reader: &'a CaptureReader,
    /// The numbers of series, samples and bytes.
    pub inventory: &'a Inventory,
    /// The version of PD, and those of TiKV.
    pub versions: (Option<String>, BTreeSet<String>),
    /// Its gaps, adjoining ones joined.
    pub gaps: &'a [Gap],
    /// Its events, ascending by time.
    pub events: &'a [Event],
}

/// The metadata, the numbers of samples and bytes, and the gaps, events and damage of a capture. At most
/// `metrics_shown` metrics are listed, those with the most series.
pub fn capture_text(contents: &CaptureContents<'_>, metrics_shown: usize) -> String {
    let mut text = head(contents);
    text.push_str(&amounts(contents.inventory, metrics_shown));
    text.push_str(&happenings(contents.gaps, contents.events));
    let damage = contents.reader.damage();
    for damage in damage.iter().take(ROWS_SHOWN) {
        let line = format!("damaged: {}: {}", damage.part, damage.why);
        wrap(&escape(&line), COLUMNS).iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    text.push_str(&and_more(damage.len(), ROWS_SHOWN));
    text
}

fn window_text(window: TimeRange) -> String {
    if window.is_empty() {
        return "nothing was recorded".to_owned();
    }
    format!("{} to {} ({})", window.start, window.end, duration_text(window.millis()))
}

fn head(contents: &CaptureContents<'_>) -> String {
    let CaptureContents { path, reader, inventory, versions: (pd, tikv), .. } = contents;
    let (meta, window) = (reader.meta(), reader.window());
    let unknown = || "unknown".to_owned();
    let mut rows = vec![
        ("run", format!("{} ({}, format {})", meta.run, meta.subject, inventory.format)),
        ("file", format!("{} ({})", escape_path(path), size(inventory.file_bytes))),
        ("window", window_text(window)),
        ("recorded", format!("by operator {}", meta.versions.operator)),
    ];
    let recorded = reader.recorded();
    if recorded.start < window.start {
        let text = format!("from {}, for what looks back", recorded.start);
        rows.insert(3, ("run-in", text));
    }
    let mut ways = meta.copied_by.iter().map(String::as_str);
    if let Some(url) = &meta.endpoints.prometheus {
        let version = meta.versions.prometheus.clone().unwrap_or_else(unknown);
        let how: Vec<&str> = ways.clone().filter(|how| *how != SCRAPED).collect();
        let how = how.join(", ");
        rows.push(("prometheus", format!("{url} (version {version}; {how})")));
    }
    if ways.any(|how| how == SCRAPED) {
        rows.push((
            "scraped",
            "the members and stores that PD lists, by operator itself".to_owned(),
        ));
    }
    for (member, url) in &meta.endpoints.pd {
        rows.push(("pd", format!("{member} {url}")));
    }
    if let Some(version) = pd {
        rows.push(("pd version", version.clone()));
    }
    if !tikv.is_empty() {
        let tikv: Vec<&str> = tikv.iter().map(String::as_str).collect();
        rows.push(("tikv version", tikv.join(" and ")));
    }
    for selector in &meta.selectors {
        rows.push(("selector", selector.clone()));
    }
    if let Some(export) = &meta.export {
        rows.push(("exported", format!("by operator {}: {}", export.build, export.verdict)));
        rows.push(("redacted", if export.replaced.is_empty() { "no" } else { "yes" }.to_owned()));
        rows.extend(export.lost.iter().map(|lost| ("lost before", lost.to_string())));
        rows.extend(export.left_out.iter().map(|what| ("left out", what.clone())));
    }
    let sealed = if inventory.truth_sealed { "sealed inside" } else { "none" };
    rows.push(("truth", sealed.to_owned()));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let rows = rows.iter().map(|(name, value)| named_row(name, width, value));
    rows.collect()
}

/// A name in a column of `width` and its value in the lines beside it.
fn named_row(name: &str, width: usize, value: &str) -> String {
    let lines = wrap(&escape(value), COLUMNS - width - 2);
    let lines = lines.iter().enumerate().map(|(place, line)| {
        let name = if place == 0 { name } else { "" };
        format!("{name:width$}  {line}\n")
    });
    lines.collect()
}

/// Rows of a table whose last cell, which is text, stands on lines of its own where it does not fit beside the others.
fn with_texts(rows: Vec<(Vec<String>, String)>) -> String {
    let heads: Vec<Vec<String>> = rows.iter().map(|(head, _)| head.clone()).collect();
    let heads = table(&heads);
    let width = heads.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (head, (_, last)) in heads.lines().zip(&rows) {
        let last = cut(&escape(last), LONGEST_TEXT).into_owned();
        match width + 2 + last.chars().count() <= COLUMNS {
            true => text.push_str(format!("{head:width$}  {last}").trim_end()),
            false => {
                let lines = wrap(&last, COLUMNS - 4);
                text.push_str(&format!("{head}\n    {}", lines.join("\n    ")));
            }
        }
        text.push('\n');
    }
    text
}

fn amounts(inventory: &Inventory, metrics_shown: usize) -> String {
    let per_sample = |bytes: u64| bytes as f64 / inventory.samples.max(1) as f64;
    let mut text = format!(
        "\n{} samples of {} series, {:.3} B a sample\n{} requests to PD, {} documents\n",
        count(inventory.samples),
        count(inventory.series),
        per_sample(inventory.file_bytes),
        count(inventory.pd_answers),
        count(inventory.pd_documents)
    );
    let mut rows = vec![["JOB", "INSTANCE", "SERIES", "SAMPLES"].map(str::to_owned).to_vec()];
    let targets = inventory.targets.iter().take(TARGETS_SHOWN);
    rows.extend(targets.map(|(target, series, samples)| {
        let counts = [count(*series), count(*samples)];
        [vec![target.job.clone(), target.instance.clone()], counts.to_vec()].concat()
    }));
    text.push_str(&format!("\n{}", table(&rows)));
    text.push_str(&and_more(inventory.targets.len(), TARGETS_SHOWN));
    let mut metrics: Vec<_> = inventory.metrics.iter().collect();
    metrics.sort_by(|left, right| (right.1, &left.0).cmp(&(left.1, &right.0)));
    let mut rows = vec![["METRIC", "SERIES"].map(str::to_owned).to_vec()];
    rows.extend(
        metrics.iter().take(metrics_shown).map(|(name, series)| vec![name.clone(), count(*series)]),
    );
    if metrics.len() > metrics_shown {
        rows.push(vec![format!("and {} more", count((metrics.len() - metrics_shown) as u64))]);
    }
    text.push_str(&format!("\n{}", table(&rows)));
    let mut rows = vec![["PART", "BYTES", "B/SAMPLE"].map(str::to_owned).to_vec()];
    rows.extend(inventory.bytes.iter().map(|(part, bytes)| {
        vec![part.clone(), count(*bytes), format!("{:.4}", per_sample(*bytes))]
    }));
    text.push_str(&format!("\n{}", table(&rows)));
    text
}

fn happenings(gaps: &[Gap], events: &[Event]) -> String {
    let mut text = format!("\n{}\n", counted(gaps.len() as u64, "gap"));
    let rows = gaps.iter().take(ROWS_SHOWN).map(|gap| {
        let healed = if gap.healed_at.is_some() { "healed" } else { "" };
        let head = vec![
            gap.range.start.to_string(),
            duration_text(gap.range.millis()),
            gap.source.to_string(),
            gap.reason.to_string(),
            healed.to_owned(),
        ];
        (head, gap.detail.clone())
    });
    text.push_str(&with_texts(rows.collect()));
    text.push_str(&and_more(gaps.len(), ROWS_SHOWN));
    // Readings of settings have a form of their own, and would crowd out what people marked.
    let (settings, events): (Vec<&Event>, Vec<&Event>) =
        events.iter().partition(|event| event.kind.0 == EventKind::SETTINGS);
    let (profiles, events): (Vec<&Event>, Vec<&Event>) =
        events.into_iter().partition(|event| event.kind.0 == EventKind::PROFILE);
    if !settings.is_empty() {
        let readings = counted(settings.len() as u64, "reading");
        text.push_str(&format!("\n{readings} of the settings of stores: show --settings\n"));
    }
    if !profiles.is_empty() {
        let profiles = counted(profiles.len() as u64, "profile");
        text.push_str(&format!("\n{profiles}: show --profiles\n"));
    }
    text.push_str(&format!("\n{}\n", counted(events.len() as u64, "event")));
    let rows = events.iter().take(ROWS_SHOWN).map(|event| {
        let fields: Vec<String> =
            event.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let said = [vec![event.text.clone()], fields].concat().join("  ");
        (vec![event.at.to_string(), event.kind.to_string()], said)
    });
    text.push_str(&with_texts(rows.collect()));
    text.push_str(&and_more(events.len(), ROWS_SHOWN));
    text
}

/// A line with the number of rows that are not shown; empty where all are shown.
fn and_more(rows: usize, shown: usize) -> String {
    match rows.saturating_sub(shown) {
        0 => String::new(),
        more => format!("and {} more; --format json has all\n", count(more as u64)),
    }
}
