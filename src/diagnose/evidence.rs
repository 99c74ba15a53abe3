//! What diagnosis works on: a window of one run, as known at an instant.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::observations::pd_history::PdHistory;
use crate::diagnose::observations::tracks::SeriesTable;
use crate::diagnose::thresholds::Lines;
use crate::model::{AsOf, Gap, Loss, PdAnswer, Series, StoreId, TimeRange, Timestamp, Unreadable};

/// How far a judgement as of an instant looks back unless somebody asks for more: long enough for
/// a baseline before a fault and for the half hour after which PD gives a silent store up, short
/// enough that what a live judgement costs does not grow with the length of the recording. What
/// has lasted longer than this is what the cluster is like, except where PD or Raft know better.
pub const HORIZON_MS: i64 = 3_600_000;

/// What was recorded, in any order, before it is put in order.
///
/// Marks of people are not among it: they are shown on the timeline and never believed.
#[derive(Clone, Debug, Default)]
pub struct Parts<'a> {
    /// Series of [`metrics`](super::metrics); others do no harm.
    pub series: Vec<Series>,
    /// Answers of PD.
    pub pd: &'a [PdAnswer],
    /// What was not observed.
    pub gaps: &'a [Gap],
    /// What was recorded of the series and answers above and cannot be read any more.
    pub unreadable: &'a [Unreadable],
    /// What damage has cost the run as a whole.
    pub loss: Option<&'a Loss>,
}

/// A window of a run, as known at an instant. Nothing in it is later than that.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The part of the run that is looked at.
    pub window: TimeRange,
    /// The instant that it is seen from.
    pub as_of: Timestamp,
    /// Samples.
    pub series: SeriesTable,
    /// What PD said.
    pub pd: PdHistory,
    /// What was not observed.
    pub gaps: Vec<Gap>,
    /// Every store that PD or Prometheus knows.
    pub stores: Vec<StoreRef>,
    /// What was recorded inside the window and cannot be read any more.
    pub unreadable: Vec<Unreadable>,
    /// What damage has cost the run as a whole, where a part of that lies inside the window.
    pub loss: Option<Loss>,
    /// Where lines are drawn.
    pub lines: Lines,
}

/// A store and the scrape target that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreRef {
    /// PD's number; `None` where no answer of PD lists it.
    pub id: Option<StoreId>,
    /// Where clients reach it; its metrics' address where PD lists none.
    pub address: String,
    /// The scrape target's `instance`; `None` where Prometheus does not know it.
    pub instance: Option<String>,
}

impl StoreRef {
    /// `store 4`, or its address.
    pub fn name(&self) -> String {
        self.id.map_or_else(|| self.address.clone(), |id| format!("store {id}"))
    }
}

impl Evidence {
    /// Puts the parts in order and cuts off what was not known at `as_of`.
    pub fn new(window: TimeRange, as_of: Timestamp, parts: Parts<'_>) -> Self {
        let seen = AsOf::new(as_of);
        let pd = PdHistory::new(parts.pd.iter().filter(|answer| seen.knows_answer(answer)));
        Self::with_history(window, as_of, pd, Parts { pd: &[], ..parts })
    }

    /// The same where PD's answers have been read already: `pd` stands in place of `parts.pd`, and
    /// holds no answer that was not known at `as_of`.
    pub fn with_history(
        window: TimeRange,
        as_of: Timestamp,
        pd: PdHistory,
        parts: Parts<'_>,
    ) -> Self {
        let known = AsOf::new(as_of);
        let mut series = parts.series;
        known.cut_samples(&mut series, parts.gaps);
        let seen = known.within(window);
        let within =
            |part: &&Unreadable| part.range == TimeRange::ALL || part.range.overlaps(&seen);
        let unreadable: Vec<Unreadable> = parts.unreadable.iter().filter(within).cloned().collect();
        let loss = parts.loss.filter(|loss| loss.parts.iter().any(|part| within(&part))).cloned();
        let series = SeriesTable::new(series, &unreadable);
        let begun = parts.gaps.iter().filter(|gap| known.knows_gap(gap));
        let mut gaps: Vec<Gap> = begun.cloned().collect();
        gaps.sort();
        let stores = stores(&pd, &series);
        let lines = Lines::default();
        Self { window: seen, as_of, series, pd, gaps, stores, unreadable, loss, lines }
    }

    /// The store with this id.
    pub fn store(&self, id: StoreId) -> Option<usize> {
        self.stores.iter().position(|store| store.id == Some(id))
    }

    /// The store that this scrape target is.
    pub fn store_of_instance(&self, instance: &str) -> Option<usize> {
        self.stores.iter().position(|store| store.instance.as_deref() == Some(instance))
    }

    /// The scrape target of a PD member, by the host and port of its client URL.
    pub fn instance_of_member(&self, name: &str) -> Option<String> {
        let url = self.pd.listed.get(name).or(self.pd.members.get(name).map(|one| &one.url));
        let Some(url) = url else {
            return self.series.instances("pd").into_iter().find(|instance| instance == name);
        };
        let address = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let address = address.trim_end_matches('/');
        let known = self.series.instances("pd");
        known.iter().find(|instance| *instance == address).cloned().or_else(|| {
            let host = host(address);
            let mut same = known.iter().filter(|instance| self::host(instance) == host);
            same.next().filter(|_| same.next().is_none()).cloned()
        })
    }

    /// Names of PD's members, ascending; those of their scrape targets where no answer tells any.
    pub fn member_names(&self) -> BTreeSet<String> {
        let told = self.pd.members.keys().chain(self.pd.listed.keys());
        let told: BTreeSet<String> = told.cloned().collect();
        if told.is_empty() { self.series.instances("pd").into_iter().collect() } else { told }
    }

    /// Host and port of a PD member; empty where nobody says.
    pub fn member_address(&self, name: &str) -> String {
        let url = self.pd.listed.get(name).or(self.pd.members.get(name).map(|one| &one.url));
        let url = url.map_or(name, String::as_str);
        let address = url.split_once("://").map_or(url, |(_, rest)| rest);
        address.trim_end_matches('/').to_owned()
    }
}

/// The host of `host:port`.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// PD's leader counts the heartbeats that it handles, by `store` and `address`.
pub const HEARTBEATS: &str = "pd_scheduler_handle_store_heartbeat_duration_seconds_count";

/// Ids with addresses, of clients and of metrics: as PD lists them, or else as its metrics name them.
fn addresses(pd: &PdHistory, series: &SeriesTable) -> BTreeMap<StoreId, (String, String)> {
    let listed = pd.stores.iter();
    let listed = listed.map(|(id, one)| (*id, (one.address.clone(), one.status_address.clone())));
    let mut found: BTreeMap<StoreId, (String, String)> = listed.collect();
    for one in series.metric(HEARTBEATS) {
        let id = one.labels.get("store").and_then(|id| id.parse().ok()).map(StoreId);
        if let (Some(id), Some(address)) = (id, one.labels.get("address")) {
            found.entry(id).or_insert_with(|| (address.to_owned(), String::new()));
        }
    }
    found
}

fn stores(pd: &PdHistory, series: &SeriesTable) -> Vec<StoreRef> {
    let mut instances: BTreeMap<String, bool> =
        series.instances("tikv").into_iter().map(|instance| (instance, false)).collect();
    let mut stores = Vec::new();
    for (id, (address, status_address)) in addresses(pd, series) {
        let instance = if instances.contains_key(&status_address) {
            Some(status_address)
        } else {
            let of_host = |one: &&String| host(one) == host(&address);
            let mut same = instances.keys().filter(of_host);
            same.next().filter(|_| same.next().is_none()).cloned()
        };
        if let Some(taken) = instance.as_ref().and_then(|name| instances.get_mut(name)) {
            *taken = true;
        }
        stores.push(StoreRef { id: Some(id), address, instance });
    }
    for (instance, _) in instances.into_iter().filter(|(_, taken)| !taken) {
        stores.push(StoreRef { id: None, address: instance.clone(), instance: Some(instance) });
    }
    stores
}
