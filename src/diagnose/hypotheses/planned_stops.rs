//! Planned stops: which stops of a process were part of a drain, a rolling restart or a removal.
//!
//! All other stops are for the failure modes to judge.

use std::collections::BTreeMap;

use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Drain, Outage, Presence, Restart, presence};
use crate::diagnose::thresholds::SHORT_MS;
use crate::model::TimeRange;

/// Why a process was stopped on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The store had been drained of its leaders.
    Drain,
    /// Nodes were restarted one after the other.
    Rolling,
    /// The store was being removed from the cluster.
    Removal,
}

/// How long a node may be down in a rolling restart, in milliseconds: stop, start, and replay of the
/// log.
const ROLLING_DOWN_MS: i64 = 180_000;

/// The plan that an outage belongs to; `None` where there is no sign of one.
pub fn plan_of(observed: &ObservedWindow<'_>, outage: &Outage) -> Option<Plan> {
    if presence(outage) == Presence::Unseen {
        return None;
    }
    if observed.leaving.contains(&outage.store) {
        return Some(Plan::Removal);
    }
    if rolling(observed).contains(&outage.store) && outage.restart.is_some() {
        return Some(Plan::Rolling);
    }
    // A graceful stop moves its leaders away too, without a scheduler. Where that is the only sign
    // and the store is back at once, it is a restart rather than a drain.
    let long = outage.restart.is_none_or(|restart| !is_short(observed, restart, outage));
    let drained = match drain_before(observed, outage) {
        Some(drain) => drain.scheduler.is_some() || long,
        None => {
            let minute = TimeRange::new(outage.onset.saturating_add_millis(-60_000), outage.onset);
            let listed = observed.evidence.pd.listings.iter().any(|at| minute.contains(*at));
            !listed && long && observed.gave_leaders_away(outage.store, outage.onset)
        }
    };
    drained.then_some(Plan::Drain)
}

/// The drain of a store that was complete before it stopped. A drain with a scheduler in place counts up to the
/// last heartbeat: PD says when leaders left and when it heard the store, by one clock, while Prometheus's may be
/// behind and show failed scrapes too early.
fn drain_before<'o>(observed: &'o ObservedWindow<'_>, outage: &Outage) -> Option<&'o Drain> {
    let heard = outage.heartbeats.as_ref().map_or(outage.onset, |silence| silence.last);
    let by_pd = || observed.drained_before(outage.store, heard.max(outage.onset));
    let before = observed.drained_before(outage.store, outage.onset);
    before.or_else(|| by_pd().filter(|drain| drain.scheduler.is_some()))
}

/// Whether a process was away for no longer than a restart takes.
pub fn is_short(observed: &ObservedWindow<'_>, restart: Restart, outage: &Outage) -> bool {
    let most = observed.evidence.thresholds.at("restart-takes", SHORT_MS as f64);
    (restart.at - outage.onset) as f64 <= most
}

/// The stores, as indices, that were restarted one after the other, each once and never two at a time:
/// at least all but one, or at least two that had been drained first. Faults do not take turns.
pub fn rolling(observed: &ObservedWindow<'_>) -> Vec<usize> {
    let mut by_store: BTreeMap<usize, Vec<&Outage>> = BTreeMap::new();
    for outage in observed.outages.iter().filter(|outage| presence(outage) == Presence::Died) {
        by_store.entry(outage.store).or_default().push(outage);
    }
    let mut once: Vec<&Outage> =
        by_store.values().filter(|list| once_only(list)).map(|list| list[0]).collect();
    once.sort_by_key(|outage| outage.onset);
    let back = |outage: &Outage| {
        outage.restart.is_some_and(|restart| restart.at - outage.onset <= ROLLING_DOWN_MS)
    };
    let in_turn = once.windows(2).all(|pair| {
        let restarted = pair[0].restart.map_or(pair[0].onset, |restart| restart.at);
        pair[1].onset >= restarted.saturating_add_millis(-2_000)
    });
    if once.len() < 2 || !in_turn || !once.iter().all(|outage| back(outage)) {
        return Vec::new();
    }
    let drained =
        once.iter().filter(|one| observed.drained_before(one.store, one.onset).is_some()).count();
    let all_but_one = once.len() >= 3 && once.len() + 1 >= observed.evidence.nodes.stores.len();
    let stores = || once.iter().map(|outage| outage.store).collect();
    if all_but_one || drained == once.len() { stores() } else { Vec::new() }
}

fn once_only(outages: &[&Outage]) -> bool {
    outages.len() == 1 && outages[0].restarts <= 1
}

/// The PD members that were restarted one after the other, each once; none unless that is true of all
/// of them.
pub fn rolling_members(observed: &ObservedWindow<'_>) -> Vec<String> {
    let restarted: Vec<_> = observed.members.iter().filter(|one| one.restart.is_some()).collect();
    let mut names: Vec<String> = restarted.iter().map(|one| one.member.clone()).collect();
    names.sort();
    names.dedup();
    let in_turn = restarted
        .windows(2)
        .all(|pair| pair[1].onset >= pair[0].restart.map_or(pair[0].onset, |restart| restart.at));
    let all = names.len() >= 3 && names.len() == observed.member_names.len();
    if all && in_turn && names.len() == restarted.len() { names } else { Vec::new() }
}
