//! What `/stores` says. What PD may omit is optional.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::{NodeState, Size, Store, StoreId, StoreLabel};

#[derive(Deserialize)]
pub(super) struct RawStores {
    stores: Option<Vec<RawStoreInfo>>,
}

#[derive(Deserialize)]
struct RawStoreInfo {
    store: RawStore,
    status: Option<RawStoreStatus>,
}

#[derive(Deserialize)]
struct RawStore {
    id: u64,
    address: Option<String>,
    status_address: Option<String>,
    version: Option<String>,
    labels: Option<Vec<RawLabel>>,
    state_name: Option<String>,
    node_state: Option<i64>,
    start_timestamp: Option<i64>,
    last_heartbeat: Option<i64>,
}

#[derive(Deserialize)]
struct RawLabel {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawStoreStatus {
    capacity: Option<String>,
    available: Option<String>,
    used_size: Option<String>,
    leader_count: Option<u64>,
    leader_score: Option<f64>,
    region_count: Option<u64>,
    region_score: Option<f64>,
    pending_peer_count: Option<u64>,
    slow_score: Option<u64>,
    is_busy: Option<bool>,
}

pub(super) fn stores(raw: RawStores) -> BTreeMap<StoreId, Store> {
    let store = |info: RawStoreInfo| {
        let status = info.status.unwrap_or_default();
        let label = |label: RawLabel| StoreLabel {
            key: label.key.unwrap_or_default(),
            value: label.value.unwrap_or_default(),
        };
        let size = |text: Option<String>| text.map(|text| Size::parse(&text));
        let id = StoreId(info.store.id);
        let store = Store {
            id,
            address: info.store.address.unwrap_or_default(),
            status_address: info.store.status_address.unwrap_or_default(),
            version: info.store.version.unwrap_or_default(),
            labels: info.store.labels.unwrap_or_default().into_iter().map(label).collect(),
            state_name: info.store.state_name.unwrap_or_default(),
            node_state: NodeState::from_code(info.store.node_state.unwrap_or(0)),
            started_unix_s: info.store.start_timestamp.filter(|&seconds| seconds != 0),
            last_heartbeat_unix_ns: info.store.last_heartbeat.filter(|&nanos| nanos != 0),
            capacity: size(status.capacity),
            available: size(status.available),
            used: size(status.used_size),
            leader_count: status.leader_count.unwrap_or(0),
            leader_score: status.leader_score,
            region_count: status.region_count.unwrap_or(0),
            region_score: status.region_score,
            pending_peer_count: status.pending_peer_count.unwrap_or(0),
            slow_score: status.slow_score,
            is_busy: status.is_busy.unwrap_or(false),
        };
        (id, store)
    };
    raw.stores.unwrap_or_default().into_iter().map(store).collect()
}
