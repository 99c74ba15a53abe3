//! Prometheus or the recorder lost sight of a node that others reached.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::failure_modes::presence::store_never_up::never_up;
use crate::diagnose::failure_modes::presence::store_presence::{
    is_badly_connected, is_starved, unplanned,
};
use crate::diagnose::findings::finding::{FindingKind, Target, TargetKind};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, KNOWN_DEPTHS, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{
    MemberOutage, Presence, Reachability, Silence, scraped_nodes, unscraped, was_never_up,
};
use crate::model::{Gap, SETTLE_MS, ScrapedBy, Source, TimeRange, Timestamp};

/// The declaration of this failure of the observer.
pub const MODE: Mode = Mode {
    name: "scrape_loss",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "its metrics could not be scraped; the node itself kept running",
    said: None,
    subsumes: &[],
    // A failed scrape moves no load and slows no disk.
    never_explains: &KNOWN_DEPTHS,
    needs: &[Need::TikvMetrics, Need::PdStores],
    metrics: &["up"],
    surest: 0.95,
    advice: Advice {
        check: "in Prometheus, Status, Targets: the error of this target",
        remedy: "mend the scrape (address, TLS, firewall); the cluster needs nothing",
        risk: "until then a fault of this node may go unseen",
        documentation: "https://docs.pingcap.com/tidb/stable/deploy-monitoring-services",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found: Vec<Claim> = unseen_stores(observed);
    found.extend(unseen_members(observed));
    found.extend(blind(observed));
    if observed.evidence.scraped_by == ScrapedBy::Recorder {
        found.iter_mut().for_each(|claim| claim.advice = Some(SCRAPED_ADVICE));
    }
    found
}

/// What a person does where the recorder itself scrapes.
const SCRAPED_ADVICE: Advice =
    Advice { check: "from the recorder's machine: curl http://NODE:20180/metrics", ..MODE.advice };

/// How many scrapes must fail: a single one is a hiccup.
const FAILED: usize = 2;

fn unseen_stores(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let explained = never_up(observed).into_iter().map(|outage| (outage.store, outage.onset));
    let explained: BTreeSet<(usize, Timestamp)> = explained.collect();
    let unseen = unplanned(observed, Presence::Unseen)
        .filter(|outage| outage.scrapes.as_ref().is_some_and(|scrapes| scrapes.failed >= FAILED))
        .filter(|outage| !is_starved(observed, outage) && !is_badly_connected(observed, outage))
        .filter(|outage| !explained.contains(&(outage.store, outage.onset)));
    unseen
        .map(|outage| {
            let target = Target::store(&observed.evidence.nodes.stores[outage.store]);
            let heard = outage.pd == Reachability::Heard;
            let confidence = if heard { 0.95 } else { 0.6 };
            let mut claim = Claim::new(target, outage.onset, outage.uncertainty_ms(), confidence);
            claim.end = outage.end;
            claim.evidence.clone_from(&outage.findings);
            if heard {
                return claim;
            }
            let confidence = claim.confidence;
            let what = format!("{}: whether PD heard it meanwhile", claim.target.name);
            let open = claim.depends_on(&what, "pd-ctl store");
            // What was so from the first scrape on is no loss of sight: it may never have been there.
            if was_never_up(observed.evidence, outage) {
                return open;
            }
            Claim { confidence, ..open }
        })
        .collect()
}

fn unseen_members(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let seen_by_one = observed.members.iter().filter(|one| {
        let observers = [one.recorder, one.prometheus];
        observers.contains(&Reachability::Silent)
            && observers.contains(&Reachability::Heard)
            && one.restart.is_none()
    });
    let seen_by_one = seen_by_one.filter(|one| !waits_for_a_leader(observed, one));
    seen_by_one
        .filter(|one| one.scrapes.as_ref().is_none_or(|scrapes| scrapes.failed >= FAILED))
        .map(|one| {
            let target =
                Target::member(&one.member, observed.evidence.nodes.member_address(&one.member));
            let mut claim = Claim::new(target, one.onset, one.uncertainty_ms(), 0.9);
            claim.end = one.end;
            claim.evidence.clone_from(&one.findings);
            let who = match (one.recorder, observed.evidence.scraped_by) {
                (Reachability::Silent, ScrapedBy::Prometheus) => {
                    "only the recorder does not hear it"
                }
                (Reachability::Silent, ScrapedBy::Recorder) => {
                    "only the recorder's requests to PD fail, and its scrapes do not"
                }
                (_, ScrapedBy::Prometheus) => "only Prometheus does not hear it",
                (_, ScrapedBy::Recorder) => {
                    "only the recorder's scrapes fail, and its requests to PD do not"
                }
            };
            claim.but(who)
        })
        .collect()
}

/// Whether a member lets the recorder wait because PD's leader is gone: it hands requests on to the leader.
fn waits_for_a_leader(observed: &ObservedWindow<'_>, one: &MemberOutage) -> bool {
    let range = one.range(observed.open());
    let mut leaders = observed.members.iter().filter(|other| other.led);
    one.recorder == Reachability::Silent
        && one.refused != Some(true)
        && !one.led
        && leaders.any(|leader| leader.range(observed.open()).overlaps(&range))
}

/// Whether the recorder itself recorded a gap there. Then it is unknown whether Prometheus scraped.
fn is_recorded(observed: &ObservedWindow<'_>, instance: &str, silence: &Silence) -> bool {
    let evidence = observed.evidence;
    let range = silence.range(evidence.as_of);
    let open = evidence.gaps.iter().filter(|gap| {
        matches!(gap.source, Source::Prometheus | Source::Recorder)
            && !gap.is_partial()
            && gap.is_open(evidence.as_of)
    });
    let within =
        |gap: &Gap| (gap.range.end.min(range.end) - gap.range.start.max(range.start)).max(0);
    let recorded_ms: i64 = open.map(within).sum();
    // Beside that, as much may be missing as passes for no silence, and what had not settled.
    let rest_ms = range.millis() - recorded_ms;
    recorded_ms > 0 && rest_ms <= 3 * evidence.series.interval_of(instance) + SETTLE_MS
}

/// A claim for each stretch in which samples are missing altogether: where that is so for all targets
/// at once, Prometheus itself was away.
fn blind(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut by_start: BTreeMap<Timestamp, Vec<(String, Option<Timestamp>)>> = BTreeMap::new();
    let silences = unscraped(observed.evidence).into_iter();
    for (instance, silence) in
        silences.filter(|(instance, silence)| !is_recorded(observed, instance, silence))
    {
        // Targets are scraped within one interval of each other.
        let within = observed.evidence.series.interval_of(&instance) * 4 / 3;
        let near = by_start.keys().copied().find(|start| (silence.last - *start).abs() <= within);
        by_start.entry(near.unwrap_or(silence.last)).or_default().push((instance, silence.next));
    }
    let mut found = Vec::new();
    for (start, instances) in by_start {
        let all = instances.len() == scraped_nodes(observed.evidence).count();
        let target = if all {
            Target::named(TargetKind::Observer, observed.evidence.scraped_by.name())
        } else {
            let name = format!("{} targets", observed.evidence.scraped_by.name());
            let mut target = Target::named(TargetKind::Observer, &name);
            target.concerns = instances.iter().map(|(instance, _)| instance.clone()).collect();
            target
        };
        let end = instances.iter().map(|(_, next)| *next).min().flatten();
        let mut claim = Claim::new(target.clone(), start, 15_000, 0.9);
        claim.end = end;
        claim.readings.push(crossing(Crossing {
            kind: FindingKind::ScrapesMissing,
            target,
            range: TimeRange::new(start, end.unwrap_or(observed.open())),
            uncertainty_ms: 15_000,
            lasts: end.is_none(),
            text: match instances.len() {
                1 => "1 target has no samples".to_owned(),
                several => format!("{several} targets have no samples"),
            },
            read: ("up", "the last before".to_owned()),
            plot: Vec::new(),
        }));
        found.push(claim);
    }
    found
}
