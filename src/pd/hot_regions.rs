//! What `/hotspot/regions/*` and `/regions/*flow` say: how much of the flow one region takes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::model::{RegionId, StoreId};

/// Which flow an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowKind {
    /// Bytes that are read.
    Read,
    /// Bytes that are written.
    Write,
}

/// The flow of regions by their leaders, as one answer lists it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flow {
    /// Bytes a second over all stores' leaders.
    pub total_bytes: f64,
    /// Hot regions, with the leader's store and bytes a second, greatest first.
    pub regions: Vec<HotRegion>,
}

/// A region that PD lists as hot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HotRegion {
    /// The region that is listed.
    pub region: RegionId,
    /// Where its leader is.
    pub store: StoreId,
    /// Bytes a second.
    pub bytes: f64,
    /// Bytes a second of all regions that its leader's store leads; 0 where the list does not say it.
    pub store_bytes: f64,
}

impl HotRegion {
    /// Its share of the flow of its leader's store, from 0 to 1; 0 where that is unknown.
    pub fn share_of_store(&self) -> f64 {
        if self.store_bytes > 0.0 { self.bytes / self.store_bytes } else { 0.0 }
    }
}

#[derive(Deserialize)]
struct RawFlows {
    as_leader: Option<BTreeMap<String, RawStoreFlow>>,
}

#[derive(Deserialize)]
struct RawStoreFlow {
    #[serde(default)]
    store_bytes: f64,
    #[serde(default)]
    total_flow_bytes: f64,
    statistics: Option<Vec<RawRegionFlow>>,
}

#[derive(Deserialize)]
struct RawRegionFlow {
    #[serde(default)]
    store_id: u64,
    #[serde(default)]
    region_id: u64,
    #[serde(default)]
    flow_bytes: f64,
}

impl Flow {
    /// Reads the body of `/hotspot/regions/read` or `/hotspot/regions/write`; `None` where it is
    /// neither.
    pub(super) fn of_hot_regions(body: &[u8]) -> Option<Self> {
        let raw: RawFlows = serde_json::from_slice(body).ok()?;
        let mut answer = Self::default();
        for store in raw.as_leader.unwrap_or_default().into_values() {
            let store_bytes = store.store_bytes.max(store.total_flow_bytes);
            answer.total_bytes += store_bytes;
            let region = |raw: RawRegionFlow| HotRegion {
                region: RegionId(raw.region_id),
                store: StoreId(raw.store_id),
                bytes: raw.flow_bytes,
                store_bytes,
            };
            answer.regions.extend(store.statistics.unwrap_or_default().into_iter().map(region));
        }
        answer
            .regions
            .sort_by(|a, b| b.bytes.total_cmp(&a.bytes).then_with(|| a.region.cmp(&b.region)));
        Some(answer)
    }

    /// The greatest region and its share of the flow.
    pub fn top(&self) -> Option<(HotRegion, f64)> {
        let top = *self.regions.first()?;
        let listed: f64 = self.regions.iter().map(|region| region.bytes).sum();
        let total = self.total_bytes.max(listed);
        (total > 0.0).then(|| (top, top.bytes / total))
    }
}

#[derive(Deserialize)]
struct RawRegions {
    regions: Option<Vec<RawRegion>>,
}

#[derive(Deserialize)]
struct RawRegion {
    id: u64,
    peers: Option<Vec<RawPeer>>,
    leader: Option<RawLeader>,
    #[serde(default)]
    written_bytes: f64,
    #[serde(default)]
    read_bytes: f64,
}

#[derive(Deserialize)]
struct RawLeader {
    #[serde(default)]
    store_id: u64,
}

#[derive(Deserialize)]
struct RawPeer {
    store_id: u64,
}

/// What the regions of a list of busy ones wrote or read: their heartbeats tell the bytes of a
/// minute, and `total_bytes` is only that of the regions listed. `None` where there are none.
fn busy_regions(kind: FlowKind, raw: Vec<RawRegion>) -> Option<Flow> {
    let region = |raw: RawRegion| HotRegion {
        region: RegionId(raw.id),
        store: StoreId(raw.leader.map_or(0, |leader| leader.store_id)),
        bytes: match kind {
            FlowKind::Read => raw.read_bytes / REGION_HEARTBEAT_S,
            FlowKind::Write => raw.written_bytes / REGION_HEARTBEAT_S,
        },
        store_bytes: 0.0,
    };
    let mut regions: Vec<HotRegion> = raw.into_iter().map(region).collect();
    regions.sort_by(|a, b| b.bytes.total_cmp(&a.bytes).then_with(|| a.region.cmp(&b.region)));
    let total_bytes = regions.iter().map(|region| region.bytes).sum();
    (!regions.is_empty()).then_some(Flow { total_bytes, regions })
}

/// Seconds between two heartbeats of a region: TiKV's `pd-heartbeat-tick-interval`.
pub const REGION_HEARTBEAT_S: f64 = 60.0;

/// Which stores hold a peer of each region that a list of regions names.
pub type RegionPeers = BTreeMap<RegionId, BTreeSet<StoreId>>;

/// Reads the body of `/regions/writeflow` or `/regions/readflow`; `None` where it is neither.
pub(super) fn busy_and_peers(kind: FlowKind, body: &[u8]) -> Option<(Option<Flow>, RegionPeers)> {
    let raw: RawRegions = serde_json::from_slice(body).ok()?;
    let regions = raw.regions.unwrap_or_default();
    let stores = |region: &RawRegion| {
        region.peers.iter().flatten().map(|peer| StoreId(peer.store_id)).collect()
    };
    let peers = regions.iter().map(|region| (RegionId(region.id), stores(region))).collect();
    Some((busy_regions(kind, regions), peers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_region_of_all_stores_is_found() {
        let body = br#"{"as_leader":{"1":{"store_bytes":100.0,"statistics":[
            {"store_id":1,"region_id":51,"flow_bytes":8}]},"4":{"store_bytes":900,"statistics":[
            {"store_id":4,"region_id":95,"flow_bytes":800},{"store_id":4,"region_id":71,"flow_bytes":20}]}}}"#;
        let (top, share) = Flow::of_hot_regions(body).unwrap().top().unwrap();
        assert_eq!((top.region, top.store, share), (RegionId(95), StoreId(4), 0.8));
        assert_eq!(top.share_of_store(), 800.0 / 900.0);
        assert_eq!(Flow::of_hot_regions(b"null["), None);
    }

    #[test]
    fn busy_regions_tell_the_flow_of_a_minute() {
        let body: &[u8] = br#"{"count":2,"regions":[
            {"id":7,"leader":{"store_id":1},"written_bytes":60,"read_bytes":600},
            {"id":9,"leader":{"store_id":4},"written_bytes":540}]}"#;
        let busy = |kind, body| busy_and_peers(kind, body).unwrap().0;
        let top = |kind| busy(kind, body).unwrap().top().unwrap();
        let (region, share) = top(FlowKind::Write);
        assert_eq!((region.region, region.store, region.bytes), (RegionId(9), StoreId(4), 9.0));
        assert_eq!(share, 0.9);
        assert_eq!(top(FlowKind::Read).0.region, RegionId(7));
        let none: &[u8] = br#"{"count":0,"regions":[]}"#;
        assert_eq!(busy(FlowKind::Read, none), None);
    }
}
