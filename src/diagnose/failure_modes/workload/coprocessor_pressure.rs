//! Scans saturate the read pool.

use crate::diagnose::failure_modes::saturation::bound_stage::{Limit, THREADS, crossings};
use crate::diagnose::failure_modes::workload::traffic_surge;
use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, TargetKind, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::departures::departures;
use crate::diagnose::observations::{REQUESTS, before_and_in, scans, total};
use crate::diagnose::thresholds::DepartureThreshold;
use crate::model::{Labels, TimeRange};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "coprocessor_pressure",
    nature: Nature::Fault,
    depth: Depth::Workload,
    says: "scans fill the read pool",
    subsumes: &[&traffic_surge::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[ERRORS, THREADS, REQUESTS],
    judge,
};

const ERRORS: &str = "tikv_coprocessor_request_error";

fn crowded(labels: &Labels) -> bool {
    matches!(labels.get("reason"), Some("full" | "outdated"))
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = refused(observed);
    if found.is_empty() {
        found = crowding(observed);
    }
    found
}

/// `full` and `outdated` are answered only once the queue of the read pool is full or a request
/// waited longer than it may (60 s by default).
fn refused(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let limit = Limit {
        metric: ERRORS,
        how: PlotHow::Rate,
        kind: FindingKind::RequestsRefused,
        meaning: "coprocessor requests refused or given up a second",
        least: f64::MIN_POSITIVE,
        hold: 2,
        confidence: 0.8,
    };
    let mut found = crossings(observed, &limit, |instance| {
        observed.evidence.series.rate(ERRORS, instance, crowded)
    });
    for claim in &mut found {
        let mut target = Target::named(TargetKind::Workload, "workload");
        target.concerns.push(claim.target.text());
        claim.target = target;
    }
    found
}

/// A rise of scans a second to three times as many, and five more.
const SCANS: DepartureThreshold =
    DepartureThreshold { name: "scans", ratio: 3.0, floor: 5.0, hold: 3, baseline: 4 };

/// How many times as much CPU time as before the read pools must use, over all stores. Point reads take
/// tens of microseconds each; it is scans that fill a read pool.
const WORK_RATIO: f64 = 4.0;
/// How many cores more than before the read pools must use, over all stores.
const WORK_CORES: f64 = 0.25;

fn of_read_pool(labels: &Labels) -> bool {
    let name = labels.get("name").unwrap_or_default();
    ["unified_read_po", "cop_", "store_read_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Scans that were not there before, for which the read pool works many times as much.
fn crowding(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let series = &observed.evidence.series;
    let instances: Vec<&str> = observed
        .evidence
        .nodes
        .stores
        .iter()
        .filter_map(|store| store.instance.as_deref())
        .collect();
    let all = total(observed.evidence, &scans(observed.evidence));
    let found = departures(&all, SCANS).into_iter().filter_map(|departure| {
        let range = departure.range(observed.open() + 1);
        let work = instances
            .iter()
            .map(|instance| before_and_in(&series.rate(THREADS, instance, of_read_pool), range));
        let (before, now) = work.fold((0.0, 0.0), |(a, b), (before, now)| (a + before, b + now));
        if now < WORK_RATIO * before || now < before + WORK_CORES {
            return None;
        }
        let target = Target::named(TargetKind::Workload, "workload");
        let mut claim = Claim::new(target.clone(), departure.onset, departure.uncertainty_ms, 0.9);
        claim.end = departure.end;
        claim.readings.push(crossing(Crossing {
            kind: FindingKind::ScansRose,
            target,
            range: TimeRange::new(departure.onset, departure.end.unwrap_or(observed.open())),
            uncertainty_ms: departure.uncertainty_ms,
            lasts: departure.end.is_none(),
            text: format!(
                "scans rise from {} to {} a second; read pools use {} cores after {}",
                number(departure.baseline),
                number(departure.typical),
                number(now),
                number(before)
            ),
            read: (
                &format!("sum(rate({REQUESTS}{{type=~\".*scan.*|coprocessor.*\"}}))"),
                number(departure.typical),
            ),
            plot: instances
                .iter()
                .map(|instance| Plot {
                    metric: REQUESTS.to_owned(),
                    how: PlotHow::Rate,
                    instance: (*instance).to_owned(),
                    label: None,
                })
                .collect(),
        }));
        Some(claim)
    });
    found.collect()
}
