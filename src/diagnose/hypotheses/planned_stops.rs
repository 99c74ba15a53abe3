//! Which stops of a process were somebody's plan.

use std::collections::BTreeMap;

use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Outage, Presence, Restart, leaving, presence};
use crate::diagnose::thresholds::SHORT_MS;
use crate::model::TimeRange;

/// Why a process was stopped on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Its leaders had been led away.
    Drain,
    /// One node after the other.
    Rolling,
    /// It was being removed.
    Removal,
}

/// A node is down for less than this in a rolling restart: stop, start, and replay of the log.
const ROLLING_DOWN_MS: i64 = 180_000;

/// The plan behind a stop; `None` where there is no sign of one.
pub fn plan_of(observed: &ObservedWindow<'_>, outage: &Outage) -> Option<Plan> {
    if presence(outage) == Presence::Unseen {
        return None;
    }
    let leaves = leaving(observed.evidence).contains(&outage.store);
    if leaves {
        return Some(Plan::Removal);
    }
    if rolling(observed).contains(&outage.store) && outage.restart.is_some() {
        return Some(Plan::Rolling);
    }
    // A graceful stop leads its leaders away too, without a scheduler; of a short one that is
    // the only trace, and "stopped, and back at once" is a restart all the same.
    let long = outage.restart.is_none_or(|restart| !is_short(observed, restart, outage));
    let drained = match observed.drained_before(outage.store, outage.onset) {
        Some(drain) => drain.scheduler.is_some() || long,
        None => {
            let minute = TimeRange::new(outage.onset.saturating_add_millis(-60_000), outage.onset);
            let listed = observed.evidence.pd.listings.iter().any(|at| minute.contains(*at));
            !listed && long && observed.gave_leaders_away(outage.store, outage.onset)
        }
    };
    drained.then_some(Plan::Drain)
}

/// Whether a process was away for no longer than a restart takes.
pub fn is_short(observed: &ObservedWindow<'_>, restart: Restart, outage: &Outage) -> bool {
    let most = observed.evidence.thresholds.at("restart-takes", SHORT_MS as f64);
    (restart.at - outage.onset) as f64 <= most
}

/// Stores that were restarted one after the other, each once and never two at a time: all but
/// one of them at least, or at least two whose leaders had been led away first. Faults do not
/// take turns.
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

/// PD members that were restarted one after the other, each once: all of them.
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
