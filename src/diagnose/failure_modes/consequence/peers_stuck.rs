//! Regions stay without enough peers, and PD creates no operator for them.

use crate::diagnose::findings::finding::{FindingKind, Target, counted};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{NeverEmpty, is_moment, never_empty};
use crate::model::{NodeState, TimeRange, Timestamp};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "peers_stuck",
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "regions lack peers, and their repair makes no progress",
    said: Some("regions lacked peers, and their repair made no progress"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    surest: 0.85,
    advice: Advice {
        check: "pd-ctl region check miss-peer; operator show; store (free space)",
        remedy: "add a store, free space, or correct labels and rules (a change)",
        risk: "higher limits of scheduling load the stores that still serve",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("5.1"),
    },
    judge,
};

/// How long a count must not fall, in milliseconds. PD waits 30 min (`max-store-down-time`) before it replaces a peer of a silent store, and the
/// regions of a removed store leave at 15 a minute; a count that does not fall for ten minutes without a
/// single operator is stuck.
const LASTS_MS: i64 = 600_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let pd = &observed.evidence.pd;
    let open = observed.open();
    let mut found: Vec<Claim> = never_empties(observed).into_iter().collect();
    if is_moment(observed.evidence) {
        found.extend(at_a_moment(observed));
    }
    for (name, from_start) in STUCK {
        let Some(counts) = pd.checks.get(name) else { continue };
        let Some((last_at, last)) = counts.last() else { continue };
        let raised = counts.iter().rev().take_while(|(_, count)| *count > 0).last();
        let Some((since, first)) = raised else { continue };
        if !from_start && counts.first().is_some_and(|(_, count)| *count > 0) {
            continue;
        }
        let operated = pd.operators.iter().any(|list| list.at >= *since && !list.answer.is_empty());
        if *last == 0 || last < first || operated || open - *since < LASTS_MS {
            continue;
        }
        let mut target = Target::cluster();
        if name == "offline-peer" {
            target.concerns = removing(observed);
        }
        let mut claim = Claim::new(target, *since, 60_000, 0.7);
        claim.readings.push(crossing(Crossing {
            kind: FindingKind::RegionsAbnormal,
            target: Target::cluster(),
            range: TimeRange::new(*since, *last_at),
            uncertainty_ms: 60_000,
            lasts: true,
            text: format!(
                "{} with {name}, not falling, without any operator",
                counted(*last, "region")
            ),
            read: ("PD /regions/check", format!("{name} {last}")),
            plot: Vec::new(),
        }));
        found.push(claim.unchecked_now(
            "why PD finds no target",
            "pd-ctl scheduler describe balance-region-scheduler",
        ));
    }
    found
}

/// The checks of regions that lack a peer, or have one that cannot catch up, and whether that is abnormal also
/// where it was so from the first answer on: regions with TiFlash have learners at all times, and a peer that is
/// too many does no harm where PD leaves it.
const STUCK: [(&str, bool); 6] = [
    ("miss-peer", true),
    ("down-peer", true),
    ("offline-peer", true),
    ("pending-peer", true),
    ("learner-peer", false),
    ("extra-peer", false),
];

/// The names of the stores that are being removed and still hold regions.
fn removing(observed: &ObservedWindow<'_>) -> Vec<String> {
    let stores = observed.evidence.pd.stores.iter();
    let removing = stores.filter(|(_, history)| {
        let state = history.states.last().map(|(_, _, node)| *node);
        let holds = history.counts.last().is_some_and(|(_, held)| held.regions > 0);
        state == Some(NodeState::Removing) && holds
    });
    removing.map(|(id, _)| format!("store {id}")).collect()
}

/// The claim of stores that are being removed while too few others are left to hold every replica: PD finds no
/// place for their last regions.
fn never_empties(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let NeverEmpty { removing, at, left, replicas } = never_empty(observed.evidence)?;
    let stores: Vec<String> = removing.iter().map(|id| format!("store {id}")).collect();
    let mut target = Target::cluster();
    target.concerns.clone_from(&stores);
    let mut claim = Claim::new(target.clone(), at, 10_000, 0.85);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::RegionsAbnormal,
        target,
        range: TimeRange::new(at, observed.open().max(at)),
        uncertainty_ms: 10_000,
        lasts: true,
        text: format!(
            "{} can never become empty: {} left for {replicas} replicas of each region",
            stores.join(", "),
            counted(left as u64, "store")
        ),
        read: ("PD /stores node_state", "removing".to_owned()),
        plot: Vec::new(),
    }));
    Some(claim.unchecked(
        "whether the removal was meant",
        "pd-ctl store cancel-delete ID; pd-ctl config set max-replicas N",
    ))
}

/// The claim of regions that lack peers while PD repairs none, where one answer is all that is known.
fn at_a_moment(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let pd = &observed.evidence.pd;
    let lacking = ["down-peer", "miss-peer"].into_iter().filter_map(|name| {
        let (at, count) = pd.checks.get(name)?.last()?;
        (*count > 0).then_some((*at, name, *count))
    });
    let lacking: Vec<(Timestamp, &str, u64)> = lacking.collect();
    let (at, _, _) = *lacking.first()?;
    if pd.operators.iter().any(|list| !list.answer.is_empty()) {
        return None;
    }
    let counts =
        lacking.iter().map(|(_, name, count)| format!("{} with {name}", counted(*count, "region")));
    let counts: Vec<String> = counts.collect();
    let mut claim = Claim::new(Target::cluster(), at, 60_000, 0.6);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::RegionsAbnormal,
        target: Target::cluster(),
        range: TimeRange::new(at, observed.open().max(at)),
        uncertainty_ms: 60_000,
        lasts: true,
        text: format!("{}, and no operator repairs them", counts.join(", ")),
        read: ("PD /regions/check", counts.join(", ")),
        plot: Vec::new(),
    }));
    Some(claim.unchecked_now("which stores hold the lost peers", "pd-ctl region check down-peer"))
}
