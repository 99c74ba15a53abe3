//! Regions without a quorum: most of their peers are on stores that are gone.

use crate::diagnose::failure_modes::presence::{
    store_crash, store_partition, store_pause, store_restart, store_unreachable,
};
use std::collections::BTreeSet;

use crate::diagnose::findings::finding::{FindingKind, Target};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{
    Outage, Presence, is_moment, lost_stores, max_replicas, presence,
};
use crate::model::{StoreId, TimeRange, Timestamp};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "region_unavailable",
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "regions have lost their quorum",
    said: Some("regions had lost their quorum"),
    // Stores that failed together and in the same way are one fault, which this mode describes.
    subsumes: &[
        &store_crash::MODE,
        &store_restart::MODE,
        &store_pause::MODE,
        &store_partition::MODE,
        &store_unreachable::MODE,
    ],
    never_explains: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    surest: 0.98,
    advice: Advice {
        check: "pd-ctl region check down-peer: which stores hold the majorities?",
        remedy: "bring one of those stores back; lossy recovery only as a last resort",
        risk: "pd-ctl unsafe remove-failed-stores (a change) loses data for good",
        documentation: "https://docs.pingcap.com/tidb/stable/online-unsafe-recovery",
        section: None,
    },
    judge,
};

/// How long two stores must be gone together, in milliseconds: Raft elects a leader within 20 s wherever
/// it can (`raft-max-election-timeout-ticks`, 20 of a second), and twice that is an outage.
const LASTS_MS: i64 = 40_000;

/// How far the onsets of one fault may differ, in milliseconds: a missing sign is noticed up to a
/// heartbeat or a scrape later, 15 s each.
const TOGETHER_MS: i64 = 30_000;

/// Regions that lost their quorum while two stores were gone.
struct Loss<'a> {
    first: &'a Outage,
    second: &'a Outage,
    range: TimeRange,
    end: Option<Timestamp>,
    regions: Vec<String>,
}

/// The regions that lose their quorum while two stores are gone; `None` where there are none, or not
/// for long. Of the two, `first` failed first.
fn loss<'a>(
    observed: &ObservedWindow<'_>,
    first: &'a Outage,
    second: &'a Outage,
) -> Option<Loss<'a>> {
    let ends = [first.end, second.end].into_iter().flatten();
    let end = ends.min();
    let range = TimeRange::new(second.onset, end.unwrap_or(observed.open()).max(second.onset));
    let ids = [first, second].map(|outage| observed.evidence.nodes.stores[outage.store].id);
    let missing = |stores: &BTreeSet<StoreId>| {
        let lost = stores.iter().filter(|id| ids.contains(&Some(**id))).count();
        2 * lost > stores.len()
    };
    let lost = observed.evidence.pd.peers.iter().filter(|(_, stores)| missing(stores));
    let regions: Vec<String> = lost.map(|(region, _)| format!("region {region}")).collect();
    (range.millis() >= LASTS_MS && !regions.is_empty()).then_some(Loss {
        first,
        second,
        range,
        end,
        regions,
    })
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let gone: Vec<&Outage> = observed
        .outages
        .iter()
        .filter(|outage| outage.link.is_none())
        .filter(|outage| !matches!(presence(outage), Presence::Unseen | Presence::CutFromPd))
        .collect();
    let pairs = gone.iter().enumerate().flat_map(|(index, first)| {
        let others = gone.iter().skip(index + 1).filter(|second| second.store != first.store);
        others.filter_map(|second| loss(observed, first, second))
    });
    let Some(found) = pairs.min_by_key(|loss| loss.range.start) else {
        return at_a_moment(observed).into_iter().collect();
    };
    let Loss { first, second, range, end, regions } = found;
    let mut target = Target::cluster();
    target.concerns = regions;
    let mut claim = Claim::new(target.clone(), range.start, 20_000, 0.85);
    claim.end = end;
    if second.onset - first.onset <= TOGETHER_MS && presence(first) == presence(second) {
        claim.onset = first.onset;
        claim.onset_uncertainty_ms = first.uncertainty_ms();
        claim.confidence = 0.98;
        claim.stores = vec![first.store, second.store];
        claim.evidence = first.findings.iter().chain(&second.findings).copied().collect();
    }
    let text = format!(
        "{} of the busiest regions have most peers on stores that are gone",
        target.concerns.len()
    );
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::RegionsAbnormal,
        target,
        range,
        uncertainty_ms: 20_000,
        lasts: end.is_none(),
        text,
        read: ("peers of PD /regions/writeflow", "most on missing stores".to_owned()),
        plot: Vec::new(),
    }));
    vec![
        claim.unchecked_now(
            "regions outside PD's lists of busy ones",
            "pd-ctl region check down-peer",
        ),
    ]
}

/// The claim where one answer of PD's is all that is known: so many stores are gone that a majority of a
/// region's replicas may be.
fn at_a_moment(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let evidence = observed.evidence;
    let lost = is_moment(evidence).then(|| lost_stores(evidence))?;
    let replicas = max_replicas(evidence)?;
    let first = lost.iter().min_by_key(|one| one.heard)?;
    if lost.len() <= (replicas.max(1) - 1) / 2 {
        return None;
    }
    let names: Vec<String> =
        lost.iter().map(|one| evidence.nodes.stores[one.store].name()).collect();
    let target = Target { concerns: names.clone(), ..Target::cluster() };
    let mut claim = Claim::new(target.clone(), first.heard, 10_000, 0.8);
    claim.stores = lost.iter().map(|one| one.store).collect();
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::RegionsAbnormal,
        target,
        range: TimeRange::new(first.at, observed.open().max(first.at)),
        uncertainty_ms: 10_000,
        lasts: true,
        text: format!(
            "{} are gone: regions with {replicas} replicas may have lost most of them",
            names.join(", ")
        ),
        read: ("PD /stores state_name", first.state.clone()),
        plot: Vec::new(),
    }));
    Some(
        claim
            .unchecked_now("which regions have lost their quorum", "pd-ctl region check down-peer"),
    )
}
