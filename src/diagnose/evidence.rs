//! What diagnosis works on: a window of one run, as known at an instant.

use std::collections::BTreeMap;

use crate::diagnose::observations::pd_history::PdHistory;
use crate::diagnose::observations::tracks::SeriesTable;
use crate::diagnose::thresholds::Thresholds;
use crate::model::{AsOf, Gap, Loss, PdAnswer, Series, StoreId, TimeRange, Timestamp, Unreadable};
use crate::nodes::{Listing, Nodes};

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
    /// Every store and member that PD or Prometheus knows.
    pub nodes: Nodes,
    /// What was recorded inside the window and cannot be read any more.
    pub unreadable: Vec<Unreadable>,
    /// What damage has cost the run as a whole, where a part of that lies inside the window.
    pub loss: Option<Loss>,
    /// Where lines are drawn.
    pub thresholds: Thresholds,
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
        let listing = Listing { stores: addresses(&pd, &series), members: members(&pd) };
        let nodes = Nodes::resolve(listing, series.targets());
        let thresholds = Thresholds::default();
        Self { window: seen, as_of, series, pd, gaps, nodes, unreadable, loss, thresholds }
    }
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

/// Members by name with their client URL: what `/members` lists, or else whom the recorder asked.
fn members(pd: &PdHistory) -> BTreeMap<String, String> {
    let asked = pd.members.iter().map(|(name, member)| (name.clone(), member.url.clone()));
    let listed = pd.listed.iter().map(|(name, url)| (name.clone(), url.clone()));
    asked.chain(listed).collect()
}
