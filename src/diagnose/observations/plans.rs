//! What somebody decided: drained, removed and added stores, schedulers, configuration.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::FindingRef;
use crate::diagnose::observations::outages::{Outage, Reachability};
use crate::model::{NodeState, Timestamp};

/// A store that gave its leaders away while it was well.
#[derive(Clone, Debug)]
pub struct Drain {
    /// Index of [`Evidence::stores`].
    pub store: usize,
    /// When PD saw it without leaders first.
    pub at: Timestamp,
    /// The listing before.
    pub since: Timestamp,
    /// How many it led before; none where it led nothing already.
    pub had: u64,
    /// When it led again; `None` where it did not.
    pub end: Option<Timestamp>,
    /// When an evict-leader scheduler stood beside it.
    pub scheduler: Option<Timestamp>,
    /// What shows it.
    pub findings: Vec<FindingRef>,
}

/// A scheduler that came, went, or was paused.
#[derive(Clone, Debug)]
pub struct SchedulerChange {
    /// Its name.
    pub name: String,
    /// When it was first seen so.
    pub at: Timestamp,
    /// When that was over.
    pub end: Option<Timestamp>,
    /// Paused, or added.
    pub paused: bool,
}

/// A store whose place in its life changed.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Index of [`Evidence::stores`].
    pub store: usize,
    /// When that was first seen.
    pub at: Timestamp,
    /// It is being removed or gone; otherwise it joined.
    pub leaves: bool,
}

/// A scheduler that is there by somebody's decision. PD itself brings the others.
pub fn is_drain(name: &str) -> bool {
    name.starts_with("evict-leader-scheduler")
}

/// Schedulers that were added or paused after the first listing.
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

/// From the first leader that leaves to the last, as PD's answers tell: its schedulers are listed once a
/// minute, and a store tells how many leaders are left with its heartbeat, every 10 s, of which PD is
/// asked another 10 s later. What is left is the time that some dozens of leaders take to leave.
const DRAINS_MS: i64 = 90_000;

/// A store of which PD thinks this ill of is slow to it (`slowStoreThreshold` of PD's `core/store.go`),
/// and loses its leaders for that at 100.
const IS_SLOW: u64 = 80;

/// Leaders leave a store that is slow or silent, and come back, within a minute: PD's schedulers move
/// several a second, regions tell of their leaders once a minute.
const BESIDE_MS: i64 = 60_000;

/// Drains: a store that led at least two regions leads none from one listing to the next few,
/// while it sends heartbeats, and not because its disk is slow (PD evicts those by itself).
pub fn drains(evidence: &Evidence, outages: &[Outage]) -> Vec<Drain> {
    let evictions: Vec<SchedulerChange> = scheduler_changes(evidence)
        .into_iter()
        .filter(|change| !change.paused && is_drain(&change.name))
        .collect();
    // A drain that was under way when the window began is known by its scheduler alone.
    let from_start =
        evidence.pd.schedulers.first().filter(|(_, names)| names.iter().any(|n| is_drain(n)));
    let mut found = Vec::new();
    for (store, known) in evidence.nodes.stores.iter().enumerate() {
        let Some(history) = known.id.and_then(|id| evidence.pd.stores.get(&id)) else { continue };
        for (index, (at, counts)) in history.counts.iter().enumerate() {
            let Some((before_at, before)) = index.checked_sub(1).map(|i| history.counts[i]) else {
                continue;
            };
            if counts.leaders != 0 || before.leaders == 0 {
                continue;
            }
            let window_start = at.saturating_add_millis(-DRAINS_MS);
            let recent = history.counts[..index].iter().filter(|(at, _)| *at >= window_start);
            let had = recent.map(|(_, counts)| counts.leaders).max();
            let had = had.unwrap_or(0).max(before.leaders);
            let slow = history
                .slow
                .iter()
                .any(|(seen, score)| *score >= IS_SLOW && (*seen - *at).abs() <= BESIDE_MS);
            let silent = outages.iter().any(|outage| {
                outage.store == store
                    && (outage.pd == Reachability::Silent || outage.peers_cut())
                    && outage.onset <= *at
                    && outage.end.is_none_or(|end| *at <= end.saturating_add_millis(BESIDE_MS))
            });
            let scheduler = evictions
                .iter()
                .find(|change| (*at - change.at).abs() <= DRAINS_MS)
                .map(|change| change.at)
                .or(from_start.map(|(at, _)| *at));
            if had < 2 && scheduler.is_none() || slow || silent {
                continue;
            }
            let end = history.counts[index..].iter().find(|(_, counts)| counts.leaders > 0);
            found.push(Drain {
                store,
                at: *at,
                since: before_at.max(window_start),
                had,
                end: end.map(|(at, _)| *at),
                scheduler,
                findings: Vec::new(),
            });
        }
    }
    // Beside a store that a scheduler emptied, one whose single leader went away by itself is none.
    let emptied: BTreeSet<Timestamp> =
        found.iter().filter(|drain| drain.had >= 2).filter_map(|drain| drain.scheduler).collect();
    found.retain(|drain| drain.had >= 2 || drain.scheduler.is_none_or(|at| !emptied.contains(&at)));
    if let Some((at, _)) = from_start {
        found.extend(drained_from_the_start(evidence, outages, *at));
    }
    for eviction in &evictions {
        if !found.iter().any(|drain| drain.scheduler == Some(eviction.at)) {
            found.extend(drained_of_nothing(evidence, outages, eviction));
        }
    }
    found.sort_by_key(|drain| (drain.at, drain.store));
    found
}

/// The store that an evict-leader scheduler was added for though it led nothing already: the only one
/// that leads nothing and is heard then.
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

/// A store that leads nothing in the first listing, with an evict-leader scheduler in place at
/// `scheduler`: it was drained before the window began, and may have been stopped by then. PD does not
/// tell whom its scheduler evicts; where several stores lead nothing, it is none of those that are
/// silent.
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

/// Stores that joined after the first listing, and stores that began to leave.
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

/// Stores that are being removed at some time of the window.
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
