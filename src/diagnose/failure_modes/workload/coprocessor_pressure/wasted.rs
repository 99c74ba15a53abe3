//! Scans pass over far more versions than they return: deleted rows and old versions that GC has not removed.

use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, TargetKind, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::invariants::above;
use crate::diagnose::observations::total;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::{Labels, TimeRange};

/// What scans of the coprocessor did, by column family and step (`src/coprocessor/metrics.rs` of TiKV).
pub const SCANS: &str = "tikv_coprocessor_scan_details";

/// How many versions scans must pass over for each key that they process: where GC keeps up, and rows are not
/// deleted as fast as they are written, it is a few.
const FOR_EACH: f64 = 1_000.0;
/// How many versions a second they must pass over at all stores: a thread passes over a million.
const MANY: f64 = 100_000.0;
/// How long, in milliseconds.
const LASTS_MS: i64 = 300_000;

/// A claim where scans do little but pass over versions.
pub fn claim(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let is_next = |labels: &Labels| is_step(labels, "next");
    let is_key = |labels: &Labels| is_step(labels, "processed_keys");
    let (passed, keys) = (of_all(observed, is_next), of_all(observed, is_key));
    let wasted = |point: &Point| {
        let keys = keys.last_by(point.at).map_or(0.0, |keys| keys.value);
        let many = point.value >= MANY;
        Point { value: if many { point.value / keys.max(1.0) } else { 0.0 }, ..*point }
    };
    let wasted = Track(passed.0.iter().map(wasted).collect());
    let long = |range: TimeRange| range.millis() >= LASTS_MS;
    let stretch = above(&wasted, FOR_EACH, 2).into_iter().find(|one| long(one.range))?;
    let target = Target::named(TargetKind::Workload, "workload");
    let uncertainty_ms = (stretch.range.start - stretch.since).max(1_000);
    let mut claim = Claim::new(target.clone(), stretch.range.start, uncertainty_ms, 0.8);
    claim.end = (!stretch.lasts).then_some(stretch.range.end);
    let at_peak = passed.last_by(stretch.peak_at).map_or(0.0, |point| point.value);
    let instances =
        observed.evidence.nodes.stores.iter().filter_map(|store| store.instance.clone());
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::ScansRose,
        target,
        range: stretch.range,
        uncertainty_ms,
        lasts: stretch.lasts,
        text: format!(
            "scans pass over {} versions a second, {} for each key that they process",
            number(at_peak),
            number(stretch.peak.round())
        ),
        read: (&format!("sum(rate({SCANS}{{cf=\"write\",tag=\"next\"}}))"), number(at_peak)),
        plot: instances
            .map(|instance| Plot {
                metric: SCANS.to_owned(),
                how: PlotHow::Rate,
                instance,
                label: Some(("tag".to_owned(), "next".to_owned())),
            })
            .collect(),
    }));
    Some(claim.unchecked(
        "which rows: many versions, or rows deleted as fast as they are written",
        "tikv-ctl region-properties -r REGION; the slow log's total_keys beside processed_keys",
    ))
}

fn is_step(labels: &Labels, step: &str) -> bool {
    labels.get("cf") == Some("write") && labels.get("tag") == Some(step)
}

/// What all stores do of it a second.
fn of_all(observed: &ObservedWindow<'_>, keep: fn(&Labels) -> bool) -> Track {
    let series = &observed.evidence.series;
    let of_store = |instance: &Option<String>| {
        instance.as_ref().map(|name| series.rate(SCANS, name, keep)).unwrap_or_default()
    };
    let stores = observed.evidence.nodes.stores.iter();
    let tracks: Vec<Track> = stores.map(|store| of_store(&store.instance)).collect();
    total(observed.evidence, &tracks)
}
