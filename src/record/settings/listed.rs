//! Which stores are asked: those of TiKV that PD lists, where they serve their status.

use std::collections::BTreeMap;

use crate::model::{NodeState, PdAnswer, Store, StoreId};
use crate::pd::PdDocument;
use crate::record::scraping::{TOMBSTONE, job, status_address};

/// The most stores that are asked.
const MOST_STORES: usize = 1_024;
/// The path of a store's configuration.
const PATH: &str = "/config";

/// A store as PD lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedStore {
    /// Its id.
    pub id: StoreId,
    /// The URL of its configuration.
    pub url: String,
    /// The URL at which it serves clients.
    pub clients_url: String,
    /// When its process started, in Unix seconds; `None` where PD does not say.
    pub started_unix_s: Option<i64>,
}

/// The stores as PD's last answer lists them. While PD does not answer, the last list stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreList {
    stores: Vec<ListedStore>,
}

impl StoreList {
    /// Takes in an answer of PD, if it lists stores. Returns whether the stores have changed.
    pub fn follow(&mut self, answer: &PdAnswer) -> bool {
        let Ok(Some(PdDocument::Stores(stores))) = PdDocument::of(answer) else { return false };
        // The status servers of a cluster speak TLS if PD does.
        let scheme = answer.url.split_once("://").map_or("http", |(scheme, _)| scheme);
        let listed = listed(&stores, scheme);
        let has_changed = listed != self.stores;
        self.stores = listed;
        has_changed
    }

    /// The stores, ascending by id.
    pub fn stores(&self) -> &[ListedStore] {
        &self.stores
    }
}

/// TiFlash serves settings of another kind, and those that are gone serve none.
fn listed(stores: &BTreeMap<StoreId, Store>, scheme: &str) -> Vec<ListedStore> {
    let is_asked = |store: &&Store| {
        store.node_state != NodeState::Removed
            && store.state_name != TOMBSTONE
            && job(store) == "tikv"
    };
    let asked = stores.values().filter(is_asked).filter_map(|store| {
        let url = format!("{scheme}://{}{PATH}", status_address(store)?);
        let clients_url = format!("{scheme}://{}", store.address);
        Some(ListedStore { id: store.id, url, clients_url, started_unix_s: store.started_unix_s })
    });
    asked.take(MOST_STORES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PdOutcome, Timestamp};
    use crate::pd::STORES;

    #[test]
    fn stores_of_tikv_are_asked_where_they_serve_their_status() {
        let body = r#"{"stores": [
            {"store": {"id": 1, "address": "a:20160", "status_address": "0.0.0.0:20180",
                       "state_name": "Up", "start_timestamp": 1700}},
            {"store": {"id": 2, "address": "b:20160", "status_address": "b:20180",
                       "state_name": "Tombstone"}},
            {"store": {"id": 3, "address": "c:3930", "status_address": "c:20292", "state_name": "Up",
                       "labels": [{"key": "engine", "value": "tiflash"}]}},
            {"store": {"id": 4, "address": "d:20160", "status_address": "", "state_name": "Up"}}]}"#;
        let answer = PdAnswer {
            sent: Timestamp::default(),
            member: "pd0".to_owned(),
            url: "https://pd0:2379".to_owned(),
            path: STORES.to_owned(),
            elapsed_us: 0,
            outcome: PdOutcome::Answered { status: 200, body: body.as_bytes().into() },
        };
        let mut list = StoreList::default();
        assert!(list.follow(&answer));
        let expected = ListedStore {
            id: StoreId(1),
            url: "https://a:20180/config".to_owned(),
            clients_url: "https://a:20160".to_owned(),
            started_unix_s: Some(1_700),
        };
        assert_eq!(list.stores(), [expected]);
        assert!(!list.follow(&answer));
    }
}
