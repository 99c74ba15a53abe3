//! What a report does not know, in sentences: what was not observed, was lost, or could not be checked.

use super::page::clock;
use super::replay_report::ReplayReport;
use crate::diagnose::{Unchecked, Verdict};
use crate::model::{Gap, duration_text};

/// What is missing, a sentence each, the gravest first.
pub(super) fn missing_lines(replay: &ReplayReport, verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(verdict.damage.iter().map(|damage| damage.summary.clone()));
    lines.extend(verdict.unchecked.iter().map(|one| format!("Not checked: {}", unchecked(one))));
    for cause in &verdict.causes {
        let of = &cause.mode;
        let each = |one: &Unchecked| format!("Not checked of {of}: {}", unchecked(one));
        lines.extend(cause.unchecked.iter().map(each));
    }
    if let Some(export) = &replay.meta.export {
        lines.extend(export.left_out.iter().map(|what| format!("Left out of the file: {what}")));
    }
    lines.extend(replay.gaps.iter().map(gap));
    lines.extend(replay.damage.iter().map(|one| format!("Damaged: {}: {}", one.part, one.why)));
    lines.extend(verdict.clocks.clone());
    if !verdict.other_clusters.is_empty() {
        lines.push(format!("Left out: other clusters {}", verdict.other_clusters.join(", ")));
    }
    lines
}

fn gap(gap: &Gap) -> String {
    let healed = if gap.healed_at.is_some() { ", fetched later" } else { "" };
    format!(
        "Not recorded: {} from {} to {} ({}), {}{healed}: {}",
        gap.source,
        clock(gap.range.start),
        clock(gap.range.end),
        duration_text(gap.range.millis()),
        gap.reason,
        gap.detail
    )
}

fn unchecked(one: &Unchecked) -> String {
    match &one.command {
        Some(command) => format!("{}; try: {command}", one.what),
        None => one.what.clone(),
    }
}

/// The versions of what was recorded, for the table at the end.
pub(super) fn versions(report: &ReplayReport) -> Vec<(&'static str, String)> {
    let meta = &report.meta;
    let known = [
        ("PD", report.pd_version()),
        ("TiKV", report.tikv_version()),
        ("Prometheus", meta.versions.prometheus.clone()),
        ("Recorded by", Some(format!("operator {}", meta.versions.operator))),
        ("Exported by", meta.export.as_ref().map(|export| format!("operator {}", export.build))),
        ("Cluster", meta.cluster_id.clone()),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
