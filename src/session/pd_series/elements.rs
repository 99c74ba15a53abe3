//! What one answer of PD says, as labels and values.

use crate::model::{Labels, Size, Store};
use crate::pd::PdDocument;

pub(super) fn of_member(document: &PdDocument, member: &str) -> Vec<(Labels, f64)> {
    match document {
        PdDocument::Status(status) => {
            let name = "operator_pd_member_start_time_seconds";
            let started = status.started_unix_s.into_iter();
            started.map(|at| element(name, &[("member", member)], at as f64)).collect()
        }
        PdDocument::Health(row) => row
            .iter()
            .map(|(name, healthy)| {
                let labels = [("member", name.as_str()), ("by", member)];
                element("operator_pd_member_health", &labels, f64::from(*healthy))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A store's elements, of one metric where `only` names it: a day of a large cluster has a hundred
/// million of all.
pub(super) fn of_store(store: &Store, only: Option<&str>) -> Vec<(Labels, f64)> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let id = store.id.to_string();
    let labels = [("store", id.as_str()), ("address", store.address.as_str())];
    let with_state = |name, state: &str| {
        wanted(name).then(|| element(name, &[labels[0], labels[1], ("state", state)], 1.0))
    };
    let size = |size: &Option<Size>| {
        size.as_ref().and_then(|size| size.approximate_bytes).map(|bytes| bytes as f64)
    };
    let numbers = [
        ("operator_pd_store_leader_count", Some(store.leader_count as f64)),
        ("operator_pd_store_leader_score", store.leader_score),
        ("operator_pd_store_region_count", Some(store.region_count as f64)),
        ("operator_pd_store_region_score", store.region_score),
        ("operator_pd_store_pending_peer_count", Some(store.pending_peer_count as f64)),
        ("operator_pd_store_slow_score", store.slow_score.map(|score| score as f64)),
        ("operator_pd_store_busy", Some(f64::from(store.is_busy))),
        ("operator_pd_store_capacity_bytes", size(&store.capacity)),
        ("operator_pd_store_available_bytes", size(&store.available)),
        ("operator_pd_store_used_bytes", size(&store.used)),
        ("operator_pd_store_start_time_seconds", store.started_unix_s.map(|at| at as f64)),
        (
            "operator_pd_store_last_heartbeat_timestamp_seconds",
            store.last_heartbeat_unix_ns.map(|at| at as f64 / 1e9),
        ),
    ];
    let numbers = numbers.into_iter().filter(|(name, _)| wanted(name));
    let numbers = numbers.filter_map(|(name, value)| Some((name, value?)));
    let numbers = numbers.map(|(name, value)| element(name, &labels, value));
    let states = [
        with_state("operator_pd_store_state", &store.state_name),
        with_state("operator_pd_store_node_state", &store.node_state.to_string()),
    ];
    states.into_iter().flatten().chain(numbers).collect()
}

pub(super) fn element(name: &str, labels: &[(&str, &str)], value: f64) -> (Labels, f64) {
    let mut pairs = vec![("__name__", name)];
    pairs.extend(labels);
    (Labels::from_pairs(&pairs), value)
}
