//! What the modes about a limit inside one store share: a quantity at or above a line for a while.

use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::invariants::above;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::Labels;

/// A line that a quantity of a store must not reach.
pub struct Limit<'a> {
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
pub fn crossings(
    observed: &ObservedWindow<'_>,
    line: &Limit<'_>,
    of: impl Fn(&str) -> Track,
) -> Vec<Claim> {
    let mut found = Vec::new();
    for (store, known) in observed.evidence.nodes.stores.iter().enumerate() {
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
        if observed.disturbed(stretch.range.start) {
            claim.confidence -= 0.3;
            claim = claim.but("it began while a node was missing");
        }
        found.push(claim);
    }
    found
}

/// CPU time of TiKV's threads.
pub const THREADS: &str = "tikv_thread_cpu_seconds_total";

/// The official alerts on pools of threads fire at 80 % of them (`TiKV_raftstore_thread_cpu` and
/// its kin); it must hold for a minute, so that a burst is none.
const BUSY: f64 = 0.8;

/// A claim per store one of whose pools of threads is busy: that of threads which `is_member`.
pub fn busy_pools(observed: &ObservedWindow<'_>, is_member: fn(&str) -> bool) -> Vec<Claim> {
    let line = Limit {
        metric: THREADS,
        how: PlotHow::Rate,
        kind: FindingKind::ThreadsSaturated,
        meaning: "share of the pool's threads that is busy",
        limit: BUSY,
        hold: 4,
        confidence: 0.8,
    };
    crossings(observed, &line, |instance| pool_share(observed, instance, is_member))
}

/// The share of a pool of threads that is busy: CPU seconds a second over the threads of the pool.
fn pool_share(observed: &ObservedWindow<'_>, instance: &str, is_member: fn(&str) -> bool) -> Track {
    let keep = |labels: &Labels| labels.get("name").is_some_and(is_member);
    let threads =
        observed.evidence.series.of(THREADS, instance).filter(|one| keep(&one.labels)).count();
    let mut track = observed.evidence.series.rate(THREADS, instance, keep);
    for Point { value, .. } in &mut track.0 {
        *value /= threads.max(1) as f64;
    }
    track
}
