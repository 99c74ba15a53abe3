//! Shared by the modes about a limit inside one store: a quantity that stays at or above a limit.

use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::invariants::above;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::diagnose::observations::{Nearest, Selected};
use crate::model::Labels;

/// A limit that a quantity of a store must not reach.
pub struct Limit<'a> {
    /// The metric, for the citation and the plot.
    pub metric: &'a str,
    /// How it is plotted.
    pub how: PlotHow,
    /// The kind of finding that a crossing is.
    pub kind: FindingKind,
    /// The sentence of the finding, by the value farthest beyond the limit.
    pub text: fn(f64) -> String,
    /// The least value that crosses the limit.
    pub least: f64,
    /// The least number of points in a row at or above it.
    pub hold: usize,
    /// The confidence of a claim, from 0 to 1.
    pub confidence: f64,
}

/// A claim for each store whose quantity, as `of` computes it by the `instance` label, crosses the limit.
pub fn crossings(
    observed: &ObservedWindow<'_>,
    limit: &Limit<'_>,
    of: impl Fn(&str) -> Track,
) -> Vec<Claim> {
    let mut found = Vec::new();
    for (store, known) in observed.evidence.nodes.stores.iter().enumerate() {
        let Some(instance) = known.instance.as_deref() else { continue };
        let track = of(instance);
        observed.note(|| near(limit, &track, &known.name()));
        let Some(stretch) = above(&track, limit.least, limit.hold).into_iter().next() else {
            continue;
        };
        let target = Target::store(known);
        let uncertainty_ms = (stretch.range.start - stretch.since).max(1_000);
        let mut claim =
            Claim::new(target.clone(), stretch.range.start, uncertainty_ms, limit.confidence);
        claim.stores = vec![store];
        claim.end = (!stretch.lasts).then_some(stretch.range.end);
        let selected = Selected::all(limit.metric, instance);
        let reference = match limit.how {
            PlotHow::Gauge => selected.selector(""),
            _ => selected.rate(),
        };
        let reading = crossing(Crossing {
            kind: limit.kind,
            target,
            range: stretch.range,
            uncertainty_ms,
            lasts: stretch.lasts,
            text: (limit.text)(stretch.peak),
            read: (&reference, number(stretch.peak)),
            plot: vec![Plot {
                metric: limit.metric.to_owned(),
                how: limit.how,
                instance: instance.to_owned(),
                label: None,
            }],
        });
        claim.readings.push(reading.read_at(stretch.peak_at));
        if observed.disturbed(stretch.range.start) {
            claim.confidence -= 0.3;
            claim = claim.but("it began while a node was missing");
        }
        found.push(claim);
    }
    found
}

/// How near a quantity of a store came to its limit.
fn near(limit: &Limit<'_>, track: &Track, store: &str) -> Option<Nearest> {
    let how = match limit.how {
        PlotHow::Rate => ", a second",
        _ => "",
    };
    let near = Nearest::to_limit(track, (limit.least, limit.hold))?;
    Some(near.named(&format!("{}{how}", limit.metric), "", store))
}

/// The metric of the CPU time of TiKV's threads, in seconds.
pub const THREADS: &str = "tikv_thread_cpu_seconds_total";

/// The busy share at which a pool of threads is saturated: TiKV's own alerts fire at 80 %
/// (`TiKV_raftstore_thread_cpu` and the like). It must hold for a minute, longer than a burst.
const BUSY: f64 = 0.8;

/// A claim for each store whose pool of threads is busy; `is_member` accepts the names of its threads.
pub fn busy_pools(observed: &ObservedWindow<'_>, is_member: fn(&str) -> bool) -> Vec<Claim> {
    let limit = Limit {
        metric: THREADS,
        how: PlotHow::Rate,
        kind: FindingKind::ThreadsSaturated,
        text: |peak| format!("share of the pool's threads that is busy: {}", number(peak)),
        least: BUSY,
        hold: 4,
        confidence: 0.8,
    };
    crossings(observed, &limit, |instance| pool_share(observed, instance, is_member))
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
