//! Planned changes: drained, removed and added stores, and schedulers that were added or paused.
//!
//! Changes of the configuration stand in `pd_history`; which stops were planned is decided in
//! `hypotheses`.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::FindingRef;
use crate::diagnose::observations::outages::{Outage, Reachability};
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::diagnose::observations::states::IS_SLOW;
use crate::model::{NodeState, Timestamp};

/// A drain: a healthy store gave all its leaders away.
#[derive(Clone, Debug)]
pub struct Drain {
    /// The store, as an index of `evidence.nodes.stores`.
    pub store: usize,
    /// When PD first listed it without leaders.
    pub at: Timestamp,
    /// When PD last listed it with leaders.
    pub since: Timestamp,
    /// The number of regions that it led before; 0 where it led none already.
    pub had: u64,
    /// When it led a region again; `None` where it did not.
    pub end: Option<Timestamp>,
    /// When PD listed an evict-leader scheduler for it; `None` where it listed none.
    pub scheduler: Option<Timestamp>,
    /// The findings that show the drain.
    pub findings: Vec<FindingRef>,
}

/// A scheduler that was added or paused.
#[derive(Clone, Debug)]
pub struct SchedulerChange {
    /// The name of the scheduler.
    pub name: String,
    /// When PD first listed it as added or paused.
    pub at: Timestamp,
    /// When PD listed it as that no more; `None` where it lasts.
    pub end: Option<Timestamp>,
    /// Whether it was paused rather than added.
    pub paused: bool,
}

/// A store that joined the cluster or is being removed from it.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The store, as an index of `evidence.nodes.stores`.
    pub store: usize,
    /// When PD first listed it so.
    pub at: Timestamp,
    /// Whether it is being removed, or is removed, rather than joined.
    pub leaves: bool,
}

/// Whether a scheduler was added on purpose, to drain a store. PD itself adds the others.
fn drains_a_store(name: &str) -> bool {
    name.starts_with("evict-leader-scheduler")
}

/// Schedulers that were added or paused after the first listing: those added first, each ascending in
/// time.
pub fn scheduler_changes(evidence: &Evidence) -> Vec<SchedulerChange> {
    let mut found = Vec::new();
    let lists = [(&evidence.pd.schedulers, false), (&evidence.pd.paused, true)];
    for (list, paused) in lists {
        for (index, pair) in list.windows(2).enumerate() {
            for name in pair[1].1.difference(&pair[0].1) {
                let gone = list[index + 1..].iter().find(|(_, names)| !names.contains(name));
                found.push(SchedulerChange {
                    name: name.clone(),
                    at: pair[1].0,
                    end: gone.map(|(at, _)| *at),
                    paused,
                });
            }
        }
    }
    found
}

/// The longest time from the first leader that leaves to the last, in milliseconds, as PD's answers
/// show it: PD's schedulers are listed once a minute, a store reports its number of leaders with its
/// heartbeat every 10 s, and PD is asked up to 10 s later. The rest is the time that some dozens of
/// leaders take to leave.
const DRAINS_MS: i64 = 90_000;

/// How close in time a loss of leaders and a slow or silent store must be, in milliseconds, so that one
/// explains the other: PD's schedulers move several leaders a second, and regions report their leaders
/// once a minute.
const BESIDE_MS: i64 = 60_000;

/// Every drain, ascending by time and store: a store that led at least two regions leads none in the
/// next few listings, while it sends heartbeats and its disk is not slow. PD evicts the leaders of a
/// slow store by itself.
pub fn drains(evidence: &Evidence, outages: &[Outage]) -> Vec<Drain> {
    let evictions: Vec<SchedulerChange> = scheduler_changes(evidence)
        .into_iter()
        .filter(|change| !change.paused && drains_a_store(&change.name))
        .collect();
    // A drain that was under way when the window began is known by its scheduler alone.
    let first = evidence.pd.schedulers.first();
    let first = first.filter(|(_, names)| names.iter().any(|name| drains_a_store(name)));
    let from_start = first.map(|(at, _)| *at);
    let scheduler_at = |at: Timestamp| {
        let near = evictions.iter().find(|change| (at - change.at).abs() <= DRAINS_MS);
        near.map(|change| change.at).or(from_start)
    };
    let mut found = Vec::new();
    for (store, known) in evidence.nodes.stores.iter().enumerate() {
        let Some(history) = known.id.and_then(|id| evidence.pd.stores.get(&id)) else { continue };
        let emptied = (1..history.counts.len()).filter_map(|index| emptied(store, history, index));
        let scheduled = emptied.map(|drain| Drain { scheduler: scheduler_at(drain.at), ..drain });
        let healthy =
            scheduled.filter(|drain| !was_slow(history, drain.at) && !was_silent(outages, drain));
        found.extend(healthy.filter(|drain| drain.had >= 2 || drain.scheduler.is_some()));
    }
    // A store whose only leader left by itself, beside one that a scheduler emptied, is no drain.
    let emptied: BTreeSet<Timestamp> =
        found.iter().filter(|drain| drain.had >= 2).filter_map(|drain| drain.scheduler).collect();
    found.retain(|drain| drain.had >= 2 || drain.scheduler.is_none_or(|at| !emptied.contains(&at)));
    if let Some(at) = from_start {
        found.extend(drained_from_the_start(evidence, outages, at));
    }
    for eviction in &evictions {
        if !found.iter().any(|drain| drain.scheduler == Some(eviction.at)) {
            found.extend(drained_of_nothing(evidence, outages, eviction));
        }
    }
    found.sort_by_key(|drain| (drain.at, drain.store));
    found
}

/// The loss of a store's last leaders at entry `index` of its counts, which is 1 or more, as a drain
/// without a scheduler; `None` where it lost none there, or not all.
fn emptied(store: usize, history: &StoreHistory, index: usize) -> Option<Drain> {
    let (before_at, before) = history.counts[index - 1];
    let (at, counts) = history.counts[index];
    if counts.leaders != 0 || before.leaders == 0 {
        return None;
    }
    let earliest = at.saturating_add_millis(-DRAINS_MS);
    let recent = history.counts[..index].iter().filter(|(at, _)| *at >= earliest);
    let most = recent.map(|(_, counts)| counts.leaders).max();
    let end = history.counts[index..].iter().find(|(_, counts)| counts.leaders > 0);
    Some(Drain {
        store,
        at,
        since: before_at.max(earliest),
        had: most.unwrap_or(0).max(before.leaders),
        end: end.map(|(at, _)| *at),
        scheduler: None,
        findings: Vec::new(),
    })
}

/// Whether PD considered the store slow about `at`.
fn was_slow(history: &StoreHistory, at: Timestamp) -> bool {
    let mut scores = history.slow.iter();
    scores.any(|(seen, score)| *score >= IS_SLOW && (*seen - at).abs() <= BESIDE_MS)
}

/// Whether the store lost its leaders because PD or its peers did not hear it. With a scheduler in place, PD's
/// own clock decides: it heard the store up to its last heartbeat, even where a Prometheus whose clock is behind
/// shows it as missing before.
fn was_silent(outages: &[Outage], drain: &Drain) -> bool {
    let since = |outage: &Outage| match (&outage.heartbeats, drain.scheduler) {
        (Some(silence), Some(_)) => outage.onset.max(silence.last),
        _ => outage.onset,
    };
    outages.iter().any(|outage| {
        outage.store == drain.store
            && (outage.pd == Reachability::Silent || outage.peers_cut())
            && since(outage) <= drain.at
            && outage.end.is_none_or(|end| drain.at <= end.saturating_add_millis(BESIDE_MS))
    })
}

/// The drain of a store that led nothing already when its evict-leader scheduler was added: the only
/// store that leads nothing and is heard at that time.
fn drained_of_nothing(
    evidence: &Evidence,
    outages: &[Outage],
    eviction: &SchedulerChange,
) -> Option<Drain> {
    // PD is asked for its schedulers once a minute.
    let since = eviction.at.saturating_add_millis(-60_000);
    let leads_nothing = |store: &usize| {
        let history = evidence.nodes.stores[*store].id.and_then(|id| evidence.pd.stores.get(&id));
        let counts = history.and_then(|history| history.counts_at(since));
        counts.is_some_and(|counts| counts.leaders == 0 && counts.regions > 0)
    };
    let is_silent = |store: usize| {
        let of = |one: &&Outage| one.store == store && one.pd == Reachability::Silent;
        outages.iter().filter(of).any(|one| one.range(evidence.as_of).contains(since))
    };
    let heard =
        (0..evidence.nodes.stores.len()).filter(leads_nothing).filter(|one| !is_silent(*one));
    let stores: Vec<usize> = heard.collect();
    let &[store] = stores.as_slice() else { return None };
    Some(Drain {
        store,
        at: since,
        since,
        had: 0,
        end: eviction.end,
        scheduler: Some(eviction.at),
        findings: Vec::new(),
    })
}

/// Drains of stores that lead nothing in the first listing, with an evict-leader scheduler listed at
/// `scheduler`: they were drained before the window began, and may have been stopped by then. PD does
/// not report which store its scheduler drains; where several stores lead nothing, silent ones are left
/// out.
fn drained_from_the_start(
    evidence: &Evidence,
    outages: &[Outage],
    scheduler: Timestamp,
) -> Vec<Drain> {
    let first_counts = |store: usize| {
        let history = evidence.pd.stores.get(&evidence.nodes.stores[store].id?)?;
        Some((history, history.counts.first()?.1))
    };
    let empty = |store: &usize| {
        first_counts(*store).is_some_and(|(_, counts)| counts.leaders == 0 && counts.regions > 0)
    };
    let is_silent = |store: usize| {
        let silent = |one: &&Outage| one.store == store && one.onset <= scheduler;
        outages.iter().any(|one| silent(&one) && one.pd == Reachability::Silent)
    };
    let empty: Vec<usize> = (0..evidence.nodes.stores.len()).filter(empty).collect();
    let alone = empty.len() == 1;
    let drained = empty.into_iter().filter(|store| alone || !is_silent(*store));
    drained
        .filter_map(|store| {
            let (history, _) = first_counts(store)?;
            let listed = evidence.pd.listings.first().copied()?;
            // It led nothing when it was last heard, which may be before the window.
            let at = history.heartbeats.first().map_or(listed, |(_, sent)| (*sent).min(listed));
            let end = history.counts.iter().find(|(_, counts)| counts.leaders > 0);
            Some(Drain {
                store,
                at,
                since: at,
                had: 0,
                end: end.map(|(at, _)| *at),
                scheduler: Some(scheduler),
                findings: Vec::new(),
            })
        })
        .collect()
}

/// Stores that joined after the first listing, and stores whose removal began, ascending in time.
pub fn moved(evidence: &Evidence) -> Vec<Moved> {
    let first = evidence.pd.listings.first().copied();
    let mut found = Vec::new();
    for (store, known) in evidence.nodes.stores.iter().enumerate() {
        let Some(history) = known.id.and_then(|id| evidence.pd.stores.get(&id)) else { continue };
        // PD's first listing may precede the registration of the last store of a new cluster.
        let settled = first.map(|at| at.saturating_add_millis(30_000));
        if settled.is_some_and(|settled| history.first_seen > settled) {
            found.push(Moved { store, at: history.first_seen, leaves: false });
        }
        let leaving = |name: &str, node: NodeState| {
            matches!(node, NodeState::Removing | NodeState::Removed)
                || matches!(name, "Offline" | "Tombstone")
        };
        let left = history.states.iter().find(|(_, name, node)| leaving(name, *node));
        let began_so = history.states.first().is_some_and(|(_, name, node)| leaving(name, *node));
        if let Some((at, _, _)) = left.filter(|_| !began_so) {
            found.push(Moved { store, at: *at, leaves: true });
        }
    }
    found.sort_by_key(|one| (one.at, one.store));
    found
}

/// Stores, as indices, that are being removed or are removed at some time of the window.
pub fn leaving(evidence: &Evidence) -> BTreeSet<usize> {
    let mut stores: BTreeSet<usize> =
        moved(evidence).into_iter().filter(|one| one.leaves).map(|one| one.store).collect();
    for (store, known) in evidence.nodes.stores.iter().enumerate() {
        let history = known.id.and_then(|id| evidence.pd.stores.get(&id));
        let gone = history.is_some_and(|history| {
            history
                .states
                .iter()
                .any(|(_, name, _)| matches!(name.as_str(), "Offline" | "Tombstone"))
        });
        if gone {
            stores.insert(store);
        }
    }
    stores
}
