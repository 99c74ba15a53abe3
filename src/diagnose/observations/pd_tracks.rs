//! PD's answers as tracks, so that they are compared and plotted like metrics.

use crate::diagnose::observations::pd_history::{PdHistory, StoreHistory};
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::{StoreId, Timestamp};

/// How long a member took to answer `/ping`, in seconds.
pub const PING: &str = "/ping seconds";
/// Requests to a member: 1 for each that it answered, 0 for each other.
pub const ANSWERS: &str = "/ping answers";
/// How old a store's last heartbeat was when PD listed it, in seconds.
pub const HEARTBEAT_AGE: &str = "/stores heartbeat age, seconds";
/// The number of regions that a store leads.
pub const LEADER_COUNT: &str = "/stores leader_count";
/// The free share of a store's disk, from 0 to 1.
pub const FREE: &str = "/stores available share";
/// The number of regions that a check names; the instance is the check's name.
pub const CHECKED: &str = "/regions/check count";
/// PD's leadership: 1 while the member was named as the leader, 0 otherwise.
pub const LEADS: &str = "/members leader";

impl PdHistory {
    /// One of the quantities above; `of` is the name of a member or a check, or the id of a store. Empty
    /// where PD answered nothing about it.
    pub fn track(&self, quantity: &str, of: &str) -> Track {
        let store = of.parse().ok().and_then(|id| self.stores.get(&StoreId(id)));
        let asks = || self.members.get(of).map_or(&[][..], |member| member.asks.as_slice());
        let values: Vec<(Timestamp, f64)> = match quantity {
            PING => asks()
                .iter()
                .filter_map(|ask| Some((ask.at, f64::from(ask.ping_us?) / 1e6)))
                .collect(),
            ANSWERS => {
                let answered = |failed: bool| if failed { 0.0 } else { 1.0 };
                asks().iter().map(|ask| (ask.at, answered(ask.failed.is_some()))).collect()
            }
            HEARTBEAT_AGE => store.map_or_else(Vec::new, |store| self.heartbeat_ages(store)),
            LEADER_COUNT => store.map_or_else(Vec::new, |store| {
                self.listed(&store.counts, |counts| counts.leaders as f64)
            }),
            FREE => store.map_or_else(Vec::new, |store| self.listed(&store.free, |free| *free)),
            CHECKED => {
                let counts = self.checks.get(of).map_or(&[][..], Vec::as_slice);
                counts.iter().map(|(at, count)| (*at, *count as f64)).collect()
            }
            LEADS => {
                let leads = |leader: &Option<String>| f64::from(leader.as_deref() == Some(of));
                self.leaders.iter().map(|(at, leader)| (*at, leads(leader))).collect()
            }
            _ => Vec::new(),
        };
        let mut before: Option<Timestamp> = None;
        let point = |(at, value): (Timestamp, f64)| {
            let since = before.replace(at).unwrap_or(at);
            Point { since, at, value }
        };
        Track(values.into_iter().map(point).collect())
    }

    /// The value that held at each listing of the stores, by a history of its changes.
    fn listed<T>(
        &self,
        changes: &[(Timestamp, T)],
        value: impl Fn(&T) -> f64,
    ) -> Vec<(Timestamp, f64)> {
        let at_listing = |at: &Timestamp| {
            let by = changes.partition_point(|(changed, _)| changed <= at);
            changes[..by].last().map(|(_, held)| (*at, value(held)))
        };
        self.listings.iter().filter_map(at_listing).collect()
    }

    fn heartbeat_ages(&self, store: &StoreHistory) -> Vec<(Timestamp, f64)> {
        let at_listing = |at: &Timestamp| {
            let by = store.heartbeats.partition_point(|(seen, _)| seen <= at);
            store.heartbeats[..by].last().map(|(_, sent)| (*at, (*at - *sent) as f64 / 1000.0))
        };
        self.listings.iter().filter_map(at_listing).collect()
    }
}
