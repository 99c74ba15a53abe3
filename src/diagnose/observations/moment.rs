//! What PD's answers say at one instant, where that is all there is: who is missing, and whether the stores
//! that are left can hold every replica.
//!
//! Recordings that last show the same better, by what changes: see `outages` and `members`.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::model::{NodeState, StoreId, Timestamp};

/// The longest time between the first and the last listing of the stores that is one moment, in milliseconds:
/// PD finds a store Disconnected after 20 s without a heartbeat, so nothing shorter shows a change.
const MOMENT_MS: i64 = 20_000;

/// Whether PD's answers show no more than one instant.
pub fn is_moment(evidence: &Evidence) -> bool {
    let listings = &evidence.pd.listings;
    match (listings.first(), listings.last()) {
        (Some(first), Some(last)) => *last - *first <= MOMENT_MS,
        _ => !evidence.pd.health.is_empty() && evidence.window.millis() <= MOMENT_MS,
    }
}

/// A store that PD lists as Disconnected or Down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostStore {
    /// The store, as an index of `evidence.nodes.stores`.
    pub store: usize,
    /// The name of its state: `Disconnected` or `Down`.
    pub state: String,
    /// When PD received its last heartbeat, by PD's clock.
    pub heard: Timestamp,
    /// When PD listed it so.
    pub at: Timestamp,
}

/// The stores that PD lists as Disconnected or Down, ascending. A store without any heartbeat has only just
/// registered. Where all are Disconnected, PD has a new leader, which has not heard any yet.
pub fn lost_stores(evidence: &Evidence) -> Vec<LostStore> {
    let stores = evidence.nodes.stores.iter().enumerate();
    let found: Vec<LostStore> = stores
        .filter_map(|(index, store)| {
            let history = evidence.pd.stores.get(&store.id?)?;
            let (at, state, _) = history.states.last()?;
            let (_, heard) = history.heartbeats.last()?;
            let lost = ["Disconnected", "Down"].contains(&state.as_str());
            let registered_later = history.starts.last().is_some_and(|(_, start)| {
                let start = Timestamp::from_millis(start.saturating_mul(1000));
                *heard < evidence.clocks.node_by_prometheus(start)
            });
            (lost && !registered_later && heard.as_millis() > 0).then(|| LostStore {
                store: index,
                state: state.clone(),
                heard: *heard,
                at: *at,
            })
        })
        .collect();
    let serving = evidence.pd.stores.values().filter(|history| !history.is_removed()).count();
    let new_leader = found.len() == serving && found.iter().all(|one| one.state != "Down");
    if new_leader { Vec::new() } else { found }
}

/// How many replicas each region shall have (`max-replicas`); `None` where PD was not asked.
pub fn max_replicas(evidence: &Evidence) -> Option<usize> {
    evidence.pd.config.get("replication.max-replicas")?.parse().ok()
}

/// Stores that are being removed and can never become empty, since fewer stores than replicas are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeverEmpty {
    /// The stores that are being removed and still hold regions.
    pub removing: Vec<StoreId>,
    /// When PD first listed one of them so.
    pub at: Timestamp,
    /// How many stores could take their regions, or hold them.
    pub left: usize,
    /// How many replicas each region shall have.
    pub replicas: usize,
}

/// The stores that can never become empty; `None` where there are none, or `max-replicas` is unknown.
pub fn never_empty(evidence: &Evidence) -> Option<NeverEmpty> {
    let replicas = max_replicas(evidence)?;
    let state = |history: &StoreHistory| history.states.last().map(|(_, _, node)| *node);
    let stores = || evidence.pd.stores.iter().filter(|(_, history)| !history.is_tiflash);
    let removing: Vec<(StoreId, Timestamp)> = stores()
        .filter(|(_, history)| state(history) == Some(NodeState::Removing))
        .filter(|(_, history)| history.counts.last().is_some_and(|(_, held)| held.regions > 0))
        .filter_map(|(id, history)| Some((*id, history.states.last()?.0)))
        .collect();
    let down =
        |history: &StoreHistory| history.states.last().is_some_and(|(_, name, _)| name == "Down");
    let gone = [Some(NodeState::Removing), Some(NodeState::Removed)];
    let left =
        stores().filter(|(_, history)| !gone.contains(&state(history)) && !down(history)).count();
    let at = removing.iter().map(|(_, at)| *at).min()?;
    (left < replicas).then(|| NeverEmpty {
        removing: removing.into_iter().map(|(id, _)| id).collect(),
        at,
        left,
        replicas,
    })
}

/// A member that others do not reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhealthy {
    /// The name of the member, or its id where it has none yet.
    pub member: String,
    /// When that was said first.
    pub at: Timestamp,
    /// Who said so.
    pub by: BTreeSet<String>,
}

/// The members that every other one that was asked calls unhealthy, ascending by name.
pub fn unhealthy(evidence: &Evidence) -> Vec<Unhealthy> {
    let last = || evidence.pd.health.iter().filter_map(|(by, rows)| Some((by, rows.last()?)));
    let names: BTreeSet<&String> = last().flat_map(|(_, (_, row))| row.keys()).collect();
    let found = names.into_iter().filter_map(|name| {
        let others = || last().filter(|(by, _)| *by != name);
        let said = || others().filter(|(_, (_, row))| row.get(name) == Some(&false));
        let at = said().map(|(_, (at, _))| *at).min()?;
        (said().count() == others().count()).then(|| Unhealthy {
            member: name.clone(),
            at,
            by: said().map(|(by, _)| by.clone()).collect(),
        })
    });
    found.collect()
}

/// Members that `/members` lists with one URL: the URL, and their names, two or more.
pub fn with_one_url(evidence: &Evidence) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (name, url) in evidence.pd.listed.iter().filter(|(_, url)| !url.is_empty()) {
        match found.iter_mut().find(|(known, _)| known == url) {
            Some((_, names)) => names.push(name.clone()),
            None => found.push((url.clone(), vec![name.clone()])),
        }
    }
    found.retain(|(_, names)| names.len() > 1);
    found
}
