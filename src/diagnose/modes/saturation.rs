//! What the modes about a limit inside one store share: a quantity at or above a line for a while.

use crate::diagnose::case::Case;
use crate::diagnose::finding::{FindingKind, Plot, PlotHow, Target, number};
use crate::diagnose::limits::above;
use crate::diagnose::mode::Claim;
use crate::diagnose::series::{Point, Track};
use crate::diagnose::tell::{Crossing, crossing};
use crate::model::Labels;

/// A line that a quantity of a store must not reach.
pub struct Line<'a> {
    /// The metric, for the citation and the plot.
    pub metric: &'a str,
    /// How it is plotted.
    pub how: PlotHow,
    /// What crossing it is told as.
    pub kind: FindingKind,
    /// What it means, in words.
    pub meaning: &'a str,
    /// The line.
    pub limit: f64,
    /// For how many points.
    pub hold: usize,
    /// How sure a crossing is.
    pub confidence: f64,
}

/// A claim per store whose quantity, as `of` computes it, crosses the line.
pub fn crossings(case: &Case<'_>, line: &Line<'_>, of: impl Fn(&str) -> Track) -> Vec<Claim> {
    let mut found = Vec::new();
    for (store, known) in case.evidence.stores.iter().enumerate() {
        let Some(instance) = known.instance.as_deref() else { continue };
        let track = of(instance);
        let Some(stretch) = above(&track, line.limit, line.hold).into_iter().next() else {
            continue;
        };
        let target = Target::store(known);
        let uncertainty_ms = (stretch.range.start - stretch.since).max(1_000);
        let mut claim =
            Claim::new(target.clone(), stretch.range.start, uncertainty_ms, line.confidence);
        claim.stores = vec![store];
        claim.end = (!stretch.lasts).then_some(stretch.range.end);
        claim.readings.push(crossing(Crossing {
            kind: line.kind,
            target,
            range: stretch.range,
            uncertainty_ms,
            lasts: stretch.lasts,
            text: format!("{}: {}", line.meaning, number(stretch.peak)),
            read: (&format!("{}{{instance=\"{instance}\"}}", line.metric), number(stretch.peak)),
            plot: vec![Plot {
                metric: line.metric.to_owned(),
                how: line.how,
                instance: instance.to_owned(),
                label: None,
            }],
        }));
        if case.disturbed(stretch.range.start) {
            claim.confidence -= 0.3;
            claim = claim.but("it began while a node was missing");
        }
        found.push(claim);
    }
    found
}

/// The share of a pool of threads that is busy: CPU seconds a second over the threads of the pool.
pub fn pool_share(case: &Case<'_>, instance: &str, is_member: fn(&str) -> bool) -> Track {
    let keep = |labels: &Labels| labels.get("name").is_some_and(is_member);
    let metric = "tikv_thread_cpu_seconds_total";
    let threads = case.evidence.series.of(metric, instance).filter(|one| keep(&one.labels)).count();
    let mut track = case.evidence.series.rate(metric, instance, keep);
    for Point { value, .. } in &mut track.0 {
        *value /= threads.max(1) as f64;
    }
    track
}
