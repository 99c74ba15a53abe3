//! The cluster at one end of the window, as a header for the timeline.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::{Series, Store, Timestamp, is_stale};
use crate::pd::Topology;
use crate::timeline::target_changes::target;

/// A store at one end of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreLine {
    /// The id that PD gave it.
    pub id: u64,
    /// Where clients reach it, host and port.
    pub address: String,
    /// `Up`, `Disconnected`, `Down`, `Offline` or `Tombstone`.
    pub state: String,
    /// Where it stands in its life; empty before release 6, which does not say.
    pub node_state: String,
    /// How many regions it leads.
    pub leaders: u64,
    /// How many regions have a peer on it.
    pub regions: u64,
    /// 1 to 100; `None` where it has not said.
    pub slow_score: Option<u64>,
}

/// One scrape target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TargetLine {
    /// Job and instance.
    pub target: String,
    /// Whether Prometheus could scrape it.
    pub up: bool,
}

/// The largest and the smallest score among stores that are up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Imbalance {
    /// `leader_score` or `region_score`.
    pub score: String,
    /// The smallest score of a store.
    pub least: f64,
    /// Which store has it.
    pub least_store: u64,
    /// The largest score of a store.
    pub most: f64,
    /// Which store has it.
    pub most_store: u64,
}

/// The cluster at one instant. Empty lists mean that nothing was observed, not that there is
/// nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StateSummary {
    /// The instant of this state.
    pub at: Timestamp,
    /// PD's members by name, with their versions.
    pub members: Vec<(String, String)>,
    /// The name of PD's leader.
    pub leader: Option<String>,
    /// Stores by id.
    pub stores: Vec<StoreLine>,
    /// The versions of TiKV among them, ascending.
    pub tikv_versions: BTreeSet<String>,
    /// How many regions there are.
    pub regions: Option<u64>,
    /// Scrape targets by name.
    pub targets: Vec<TargetLine>,
    /// Scores among stores that are up; empty with fewer than two.
    pub imbalance: Vec<Imbalance>,
}

/// Which sample of `up` a summary reads.
#[derive(Clone, Copy)]
pub(crate) enum End {
    First,
    Last,
}

pub(crate) fn summary(
    topology: &Topology,
    series: &[&Series],
    end: End,
    at: Timestamp,
) -> StateSummary {
    let version = |member: &crate::model::Member| {
        let told = topology.views.get(&member.name).and_then(|view| view.status.as_ref());
        told.map_or_else(|| member.version.clone(), |status| status.version.clone())
    };
    let mut members: Vec<(String, String)> =
        topology.members.values().map(|member| (member.name.clone(), version(member))).collect();
    members.sort();
    StateSummary {
        at,
        members,
        leader: topology.leader.clone(),
        stores: topology.stores.values().map(store_line).collect(),
        tikv_versions: topology.tikv_versions(),
        regions: topology.region_count,
        targets: targets(series, end),
        imbalance: [
            imbalance(topology, "leader_score", |store| store.leader_score),
            imbalance(topology, "region_score", |store| store.region_score),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

fn store_line(store: &Store) -> StoreLine {
    StoreLine {
        id: store.id.0,
        address: store.address.clone(),
        state: store.state_name.clone(),
        node_state: store.known_node_state().map_or_else(String::new, |state| state.to_string()),
        leaders: store.leader_count,
        regions: store.region_count,
        slow_score: store.slow_score,
    }
}

fn targets(series: &[&Series], end: End) -> Vec<TargetLine> {
    let mut lines: Vec<TargetLine> = series
        .iter()
        .filter(|series| series.labels.metric() == "up")
        .filter_map(|series| {
            let sample = match end {
                End::First => series.samples.first(),
                End::Last => series.samples.last(),
            };
            let sample = sample.filter(|sample| !is_stale(sample.value))?;
            Some(TargetLine { target: target(series), up: sample.value != 0.0 })
        })
        .collect();
    lines.sort();
    lines
}

fn imbalance(
    topology: &Topology,
    score: &str,
    of: impl Fn(&Store) -> Option<f64>,
) -> Option<Imbalance> {
    let up = topology.stores.values().filter(|store| store.state_name == "Up");
    let mut scores: Vec<(f64, u64)> =
        up.filter_map(|store| of(store).map(|score| (score, store.id.0))).collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let ((least, least_store), (most, most_store)) = (*scores.first()?, *scores.last()?);
    let score = score.to_owned();
    (scores.len() > 1).then_some(Imbalance { score, least, least_store, most, most_store })
}
