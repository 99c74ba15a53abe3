//! Scans saturate the read pool, or its tasks wait and do not end.

mod wasted;

use std::collections::BTreeSet;

use crate::diagnose::failure_modes::saturation::bound_stage::{Limit, THREADS, crossings};
use crate::diagnose::failure_modes::workload::traffic_surge;
use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, TargetKind, number};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
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
    says: "the read pool is full: scans fill it, or its tasks wait and do not end",
    said: Some("the read pool was full: scans filled it, or its tasks waited and did not end"),
    subsumes: &[&traffic_surge::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[ERRORS, RUNNING, THREADS, REQUESTS, wasted::SCANS],
    surest: 0.9,
    advice: Advice {
        check: "slow queries since the onset: which statement, which new plan?",
        remedy: "end that statement, or bind its former plan (a change)",
        risk: "clients send a statement again that was ended",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.3"),
    },
    judge,
};

const ERRORS: &str = "tikv_coprocessor_request_error";

/// Whether a request was refused for lack of room: the queue of the read pool is full, or the memory of
/// requests that wait. Up to release 3.1, `outdated` is what waited longer than it may (60 s by default).
fn refused_for_room(labels: &Labels) -> bool {
    let reason = labels.get("reason");
    // The label up to release 3.1, since 4.0, and since 7.5.
    let full = ["full", "max_pending_tasks_exceeded", "memory_quota_exceeded"];
    reason.is_some_and(|reason| full.contains(&reason) || reason == "outdated")
}

/// Since release 4.0, what waited longer than it may. Clients may set that limit themselves, to less than
/// a second.
fn waited_too_long(labels: &Labels) -> bool {
    labels.get("reason") == Some("deadline_exceeded")
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let refused = refused(observed);
    let mut found = stuck(observed);
    let known: BTreeSet<usize> = found.iter().flat_map(|claim| claim.stores.clone()).collect();
    let (same, others): (Vec<Claim>, Vec<Claim>) = refused
        .into_iter()
        .partition(|claim| claim.stores.iter().any(|store| known.contains(store)));
    for refused in same {
        let stuck = found.iter_mut().find(|claim| claim.stores == refused.stores);
        stuck.expect("it is one of them").readings.extend(refused.readings);
    }
    found.extend(others.into_iter().map(of_workload));
    if found.is_empty() {
        found = crowding(observed);
    }
    if found.is_empty() {
        found.extend(wasted::claim(observed));
    }
    found
}

/// A claim about a store's clients, of which the store is only where it shows.
fn of_workload(mut claim: Claim) -> Claim {
    let mut target = Target::named(TargetKind::Workload, "workload");
    target.concerns.push(claim.target.text());
    claim.target = target;
    claim
}

/// Requests that a store refused or gave up. A few late ones are no pressure, since clients set their own
/// limits.
fn refused(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let limit = Limit {
        metric: ERRORS,
        how: PlotHow::Rate,
        kind: FindingKind::RequestsRefused,
        text: |peak| format!("coprocessor requests refused or given up a second: {}", number(peak)),
        least: f64::MIN_POSITIVE,
        hold: 2,
        confidence: 0.8,
    };
    let series = &observed.evidence.series;
    let rate = |instance: &str, keep: fn(&Labels) -> bool| series.rate(ERRORS, instance, keep);
    let mut found = crossings(observed, &limit, |instance| rate(instance, refused_for_room));
    let late = Limit {
        text: |peak| {
            format!("coprocessor requests that waited too long a second: {}", number(peak))
        },
        least: 1.0,
        hold: 4,
        confidence: 0.6,
        ..limit
    };
    let late = crossings(observed, &late, |instance| rate(instance, waited_too_long));
    let known: BTreeSet<usize> = found.iter().flat_map(|claim| claim.stores.clone()).collect();
    found.extend(
        late.into_iter().filter(|claim| !claim.stores.iter().any(|one| known.contains(one))),
    );
    found
}

const RUNNING: &str = "tikv_unified_read_pool_running_tasks";

/// Read tasks of a store that are ten times as many as usual, and two hundred more, for a minute. Between
/// two scrapes a healthy pool ends all of its tasks but a few for each thread.
const QUEUE: DepartureThreshold =
    DepartureThreshold { name: "read-tasks", ratio: 10.0, floor: 200.0, hold: 4, baseline: 4 };

/// The most cores that a read pool uses whose tasks only wait.
const IDLE_CORES: f64 = 0.1;

/// A store whose read tasks grow in number while the pool's threads do nothing: they wait for something
/// that never comes, such as a snapshot, and the pool refuses further reads once it is full.
fn stuck(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let series = &observed.evidence.series;
    let stores = observed.evidence.nodes.stores.iter().enumerate();
    let scraped =
        stores.filter_map(|(store, known)| Some((store, known, known.instance.as_deref()?)));
    let found = scraped.filter_map(|(store, known, instance)| {
        let tasks = series.gauge(RUNNING, instance, |_| true);
        let departure = departures(&tasks, QUEUE).into_iter().next()?;
        let range = departure.range(observed.open() + 1);
        let (before, now) = before_and_in(&series.rate(THREADS, instance, of_read_pool), range);
        if now > IDLE_CORES.max(before) {
            return None;
        }
        let target = Target::store(known);
        let mut claim = Claim::new(target.clone(), departure.onset, departure.uncertainty_ms, 0.85);
        claim.stores = vec![store];
        claim.end = departure.end;
        let text = format!(
            "read tasks rise from {} to {}, and the read pool uses {} cores after {}: none ends",
            number(departure.baseline),
            number(departure.peak),
            number(now),
            number(before)
        );
        let reading = crossing(Crossing {
            kind: FindingKind::RequestsRefused,
            target,
            range: TimeRange::new(departure.onset, departure.end.unwrap_or(observed.open())),
            uncertainty_ms: departure.uncertainty_ms,
            lasts: departure.end.is_none(),
            text,
            read: (&format!("{RUNNING}{{instance=\"{instance}\"}}"), number(departure.peak)),
            plot: vec![plot(RUNNING, PlotHow::Gauge, instance)],
        });
        claim.readings.push(reading.read_at(departure.peak_at));
        Some(claim.unchecked_now(
            "what the reads wait for",
            "curl http://TIKV:20180/metrics | grep 'async_request_total.*snapshot'",
        ))
    });
    found.collect()
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
