//! A store was killed for its memory: it rose to the limit just before the process died, once or again and
//! again.

use std::collections::BTreeMap;

use crate::diagnose::failure_modes::presence::store_presence::{claim, unplanned};
use crate::diagnose::failure_modes::presence::{store_crash, store_flap, store_restart};
use crate::diagnose::findings::finding::{Finding, FindingKind, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::host_signs::signs_of;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::hosts::memory_limit;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::diagnose::observations::{HostSignKind, Outage, Presence};
use crate::model::{LogKind, TimeRange, Timestamp};
use crate::nodes::{NodeIndex, Way};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "oom_kill",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "the store's process was killed for its memory",
    said: None,
    subsumes: &[&store_crash::MODE, &store_restart::MODE, &store_flap::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[RSS, QUOTA, START],
    surest: 0.98,
    advice: Advice {
        check: "dmesg -T | grep -i oom; block-cache capacity beside the memory limit",
        remedy: "less storage.block-cache.capacity, or more memory (a change)",
        risk: "a smaller cache reads more from disk; a restart moves leaders",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.2"),
    },
    judge,
};

const RSS: &str = "process_resident_memory_bytes";
const START: &str = "process_start_time_seconds";
const QUOTA: &str = "tikv_server_memory_quota_bytes";

/// The share of the limit from which on memory was near it: the kernel kills at the limit, and the last
/// scrape may be one interval before that.
const NEAR_QUOTA: f64 = 0.8;

/// How many times memory must have grown within the two minutes before, where the limit is unknown, to
/// end at its highest: block cache and memtables fill over hours, except in the first minute of a
/// process.
const GREW: f64 = 2.0;
/// How far a line about a kill may lie from the last sign of the process and from the first missing one, in
/// milliseconds: signs are a scrape apart.
const LOG_SLACK_MS: i64 = 30_000;
/// The age in milliseconds up to which a process may still be filling its caches.
const YOUNG_MS: i64 = 60_000;

/// How many deaths at the same height of memory show a limit that the process cannot see, such as that of
/// a container: one may be chance.
const DEATHS: usize = 2;
/// How far apart those heights may be, as the greatest divided by the least: samples are taken at any time in
/// the interval before a death, in which memory still grows.
const SAME_HEIGHT: f64 = 1.25;
/// The least share of its own highest that memory had just before a death.
const AT_HIGHEST: f64 = 0.97;
/// How many times memory must have grown before each death.
const CLIMBED: f64 = 1.05;
/// How far back the growth is measured from, in milliseconds.
const CLIMB_MS: i64 = 150_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let died: Vec<&Outage> = unplanned(observed, Presence::Died).collect();
    let mut by_store: BTreeMap<usize, Vec<Death<'_>>> = BTreeMap::new();
    for outage in &died {
        by_store.entry(outage.store).or_default().extend(Death::new(observed, outage));
    }
    let mut found: Vec<Claim> = by_host(observed, &died);
    let is_told = |found: &[Claim], store| found.iter().any(|one| one.stores.contains(&store));
    for (store, deaths) in by_store {
        if !is_told(&found, store) {
            found
                .extend(of_store(observed, &deaths).map(|claim| weighed(observed, &deaths, claim)));
        }
    }
    for outage in died {
        if !is_told(&found, outage.store) {
            found.extend(by_log(observed, outage));
        }
    }
    found.into_iter().map(|claim| Claim { asks: None, ..claim }).collect()
}

/// The claim of each store of which its machine or Kubernetes says so, however its memory looked.
fn by_host(observed: &ObservedWindow<'_>, died: &[&Outage]) -> Vec<Claim> {
    let mut found: BTreeMap<usize, Claim> = BTreeMap::new();
    for outage in died {
        let signs = signs_of(observed, outage);
        let surest = signs.filter_map(|sign| match sign.kind {
            HostSignKind::OutOfMemory { is_own: true } => Some(0.98),
            // The machine does not say which process it was.
            HostSignKind::OutOfMemory { is_own: false } => Some(0.92),
            _ => None,
        });
        let Some(confidence) = surest.reduce(f64::max) else { continue };
        match found.get_mut(&outage.store) {
            Some(known) => {
                known.evidence.extend(&outage.findings);
                known.end = outage.end;
                known.confidence = known.confidence.max(confidence);
            }
            None => {
                found.insert(outage.store, claim(observed, outage, confidence));
            }
        }
    }
    let with_memory = |(store, mut claim): (usize, Claim)| {
        let deaths = died.iter().filter(|outage| outage.store == store);
        let deaths = deaths.filter_map(|outage| Death::new(observed, outage));
        claim.readings.extend(deaths.take(1).map(|death| {
            let limit = limit(observed, store, death.instance);
            reading(observed, &death, limit)
        }));
        claim
    };
    found.into_iter().map(with_memory).collect()
}

/// A claim by memory alone, weighed against what Kubernetes says of how the process ended: an exit by itself is no
/// kill, and a kill of which the container's memory shows nothing is hardly one for memory.
fn weighed(observed: &ObservedWindow<'_>, deaths: &[Death<'_>], mut claim: Claim) -> Claim {
    let mut ends = deaths.iter().flat_map(|death| signs_of(observed, death.outage));
    let code = ends.find_map(|sign| match &sign.kind {
        HostSignKind::Ended { code, .. } => *code,
        _ => None,
    });
    match code {
        Some(KILLED) => {
            claim.confidence -= 0.3;
            claim.but("Kubernetes saw it killed, and no want of memory")
        }
        Some(code) => {
            claim.confidence = claim.confidence.min(0.2);
            claim.but(&format!("Kubernetes saw it end with exit code {code}, not killed"))
        }
        None => claim,
    }
}

/// The exit code of a process that was ended by SIGKILL.
const KILLED: i64 = 137;

/// The claim where a log says so, whatever memory was seen: it may rise between two scrapes.
fn by_log(observed: &ObservedWindow<'_>, outage: &Outage) -> Option<Claim> {
    let from = outage.last_sign.saturating_add_millis(-LOG_SLACK_MS);
    let range = TimeRange::new(from, outage.onset.saturating_add_millis(LOG_SLACK_MS));
    let says_so = observed.logged.iter().any(|(logged, _)| {
        logged.line.kind == LogKind::OutOfMemory
            && logged.node == Some(NodeIndex::Store(outage.store))
            && range.contains(logged.line.at)
    });
    says_so.then(|| claim(observed, outage, 0.97))
}

/// A death of a store's process, and its memory before.
struct Death<'a> {
    outage: &'a Outage,
    instance: &'a str,
    /// Resident memory in bytes, from the start of the process, or of the window, to its death.
    life: Vec<Point>,
    /// The last of these samples.
    last: Point,
    /// Whether the process was so young that its caches may have been filling.
    young: bool,
}

impl<'a> Death<'a> {
    /// `None` where no sample of the process is known.
    fn new(observed: &'a ObservedWindow<'_>, outage: &'a Outage) -> Option<Self> {
        let instance = observed.evidence.nodes.stores[outage.store].instance.as_deref()?;
        let series = &observed.evidence.series;
        let rss = series.gauge(RSS, instance, |_| true);
        let last = *rss.last_by(outage.onset)?;
        let starts = series.gauge(START, instance, |_| true);
        let start = starts.last_by(last.at).map(|one| (one.value * 1000.0) as i64);
        let start = start.map_or(Timestamp::MIN, Timestamp::from_millis);
        let life = rss.within(TimeRange::new(start, last.at + 1)).to_vec();
        let young = last.at - start < YOUNG_MS;
        Some(Self { outage, instance, life, last, young })
    }

    /// The least memory of this process in a stretch before its death, in bytes.
    fn least(&self, millis: i64) -> f64 {
        let from = self.last.at.saturating_add_millis(-millis);
        let recent = self.life.iter().filter(|point| point.at >= from);
        recent.map(|point| point.value).fold(self.last.value, f64::min)
    }

    /// Whether its memory climbed up to the last sample and had never been higher.
    fn climbed(&self) -> bool {
        let highest = self.life.iter().map(|point| point.value).fold(0.0, f64::max);
        self.last.value >= AT_HIGHEST * highest && self.last.value >= CLIMBED * self.least(CLIMB_MS)
    }
}

/// The claim of a store whose memory explains its deaths.
fn of_store(observed: &ObservedWindow<'_>, deaths: &[Death<'_>]) -> Option<Claim> {
    let first = deaths.first()?;
    let limit = limit(observed, first.outage.store, first.instance);
    let rss = observed.evidence.series.gauge(RSS, first.instance, |_| true);
    let near = |death: &&Death<'_>| death.last.value >= NEAR_QUOTA * limit;
    let grew = |death: &&Death<'_>| grew(death, &rss);
    let (shown, confidence): (Vec<&Death<'_>>, f64) = if deaths.iter().any(|one| near(&one)) {
        (deaths.iter().filter(near).collect(), 0.98)
    } else if deaths.iter().any(|one| grew(&one)) {
        (deaths.iter().filter(grew).collect(), 0.8)
    } else if at_one_height(observed, deaths) {
        (deaths.iter().collect(), 0.75)
    } else {
        return None;
    };
    let mut found = claim(observed, shown[0].outage, confidence);
    for death in &shown[1..] {
        found.evidence.extend(&death.outage.findings);
    }
    found.end = shown.last().and_then(|death| death.outage.end);
    found.readings.extend(shown.iter().map(|death| reading(observed, death, limit)));
    let command = match observed.evidence.nodes.way_to_store(first.outage.store) {
        // Kubernetes keeps why a container ended, and a container does not see the kernel's log.
        way @ Way::Pod(_) => way.state_of("tikv-server"),
        way => way.run_beside("dmesg | grep -i 'killed process'"),
    };
    Some(found.unchecked("the kernel's log", &command))
}

/// The limit of a process's memory in bytes; infinite where it is unknown. The quota is read from the cgroup
/// at start, so the new process may report it better. Kubernetes knows the limit of a container.
fn limit(observed: &ObservedWindow<'_>, store: usize, instance: &str) -> f64 {
    let quota = observed.evidence.series.gauge(QUOTA, instance, |_| true);
    let quota = quota.values().filter(|limit| *limit > 0.0).fold(f64::INFINITY, f64::min);
    memory_limit(observed.evidence, NodeIndex::Store(store)).map_or(quota, |own| own.min(quota))
}

/// Whether memory multiplied within minutes and ended at its highest of all.
fn grew(death: &Death<'_>, rss: &Track) -> bool {
    let before = TimeRange::new(death.last.at.saturating_add_millis(-CLIMB_MS), death.last.at);
    let usual = rss.within(before).iter().map(|point| point.value).min_by(f64::total_cmp);
    let highest = rss.values().fold(0.0, f64::max);
    let times = usual.map_or(0.0, |usual| death.last.value / usual.max(1.0));
    times >= GREW && death.last.value >= highest && !death.young
}

/// Whether a process died each time as its memory had climbed to the same height, and no other store died: a
/// limit that it does not know of. Whoever kills it on purpose does not wait for that.
fn at_one_height(observed: &ObservedWindow<'_>, deaths: &[Death<'_>]) -> bool {
    let heights = || deaths.iter().map(|death| death.last.value);
    let (least, most) = (heights().fold(f64::INFINITY, f64::min), heights().fold(0.0, f64::max));
    let mut others = unplanned(observed, Presence::Died);
    let own = deaths[0].outage.store;
    deaths.len() >= DEATHS
        && most <= SAME_HEIGHT * least
        && deaths.iter().all(Death::climbed)
        && others.all(|outage| outage.store == own)
}

fn reading(observed: &ObservedWindow<'_>, death: &Death<'_>, limit: f64) -> Finding {
    let mib = |bytes: f64| number(bytes / 1_048_576.0);
    let Death { outage, instance, last, .. } = death;
    crossing(Crossing {
        kind: FindingKind::MemoryRose,
        target: Target::store(&observed.evidence.nodes.stores[outage.store]),
        range: TimeRange::new(last.at, outage.onset),
        uncertainty_ms: outage.onset - last.at,
        lasts: false,
        text: format!(
            "resident memory stood at {} MiB before it died, {} shortly before, limit {}",
            mib(last.value),
            mib(death.least(CLIMB_MS)),
            if limit.is_finite() { mib(limit) } else { "unknown".to_owned() }
        ),
        read: (&format!("{RSS}{{instance=\"{instance}\"}}"), number(last.value)),
        plot: vec![plot(RSS, PlotHow::Gauge, instance)],
    })
}
