//! What PD says of its stores and members, by which scrape targets are matched with them.

use std::collections::BTreeMap;

use crate::model::{MemberId, RegionCounts, StoreId, Timestamp, Told};

/// What PD says of its stores and members.
#[derive(Clone, Debug, Default)]
pub struct Listing<'a> {
    /// Stores by id.
    pub stores: BTreeMap<StoreId, ListedStore<'a>>,
    /// Members by name.
    pub members: BTreeMap<String, ListedMember<'a>>,
    /// The name of PD's leader, at each change; `None` while there is none.
    pub leaders: &'a [(Timestamp, Option<String>)],
    /// What somebody said of clusters and nodes.
    pub told: Told,
}

/// A store as PD lists it. Histories hold an entry for each change, ascending in time.
#[derive(Clone, Debug, Default)]
pub struct ListedStore<'a> {
    /// The host and port for clients.
    pub address: &'a str,
    /// The host and port of its metrics; may be empty.
    pub status_address: &'a str,
    /// Addresses that it had before, for clients and for metrics.
    pub former: &'a [String],
    /// Whether it is a TiFlash, which shows none of TiKV's metrics.
    pub is_tiflash: bool,
    /// Whether it was removed before the end; another store may have its address since.
    pub is_removed: bool,
    /// Whether it was listed and not removed at any time before.
    pub was_present: bool,
    /// How many regions it leads and holds.
    pub counts: &'a [(Timestamp, RegionCounts)],
    /// The free share of its disk, from 0 to 1.
    pub free: &'a [(Timestamp, f64)],
    /// The starts of its process in Unix seconds.
    pub starts: &'a [(Timestamp, i64)],
}

/// A member of PD as `/members` lists it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListedMember<'a> {
    /// Its client URL.
    pub url: &'a str,
    /// Its id, which is also that of its etcd; `None` where no answer names it.
    pub id: Option<MemberId>,
    /// The starts of its process in Unix seconds, at each change.
    pub starts: &'a [(Timestamp, i64)],
}
