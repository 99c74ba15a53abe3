//! The input of diagnosis: a window of one run, as known at an instant.
//!
//! Reading it from a capture or from a live recorder is left to the caller.

use std::collections::BTreeMap;

use crate::diagnose::observations::pd_history::PdHistory;
use crate::diagnose::observations::series_table::SeriesTable;
use crate::diagnose::thresholds::Thresholds;
use crate::model::{AsOf, Gap, Loss, PdAnswer, Series, StoreId, TimeRange, Timestamp, Unreadable};
use crate::nodes::{Listing, Nodes};

/// What was recorded, in any order.
///
/// Marks that people made are not part of it: they are shown on the timeline and never used as
/// evidence.
#[derive(Clone, Debug, Default)]
pub struct Parts<'a> {
    /// Series of the metrics that [`metrics`](super::metrics) names; others are ignored.
    pub series: Vec<Series>,
    /// Answers of PD's members to the recorder's requests.
    pub pd: &'a [PdAnswer],
    /// Times in which a source was not observed.
    pub gaps: &'a [Gap],
    /// Parts of the series and answers above that were recorded and cannot be read any more.
    pub unreadable: &'a [Unreadable],
    /// What the whole run has lost by damage; `None` where it is undamaged.
    pub loss: Option<&'a Loss>,
}

/// A window of a run, as known at an instant. Nothing in it became known later.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The part of the run that is judged, cut off at `as_of`.
    pub window: TimeRange,
    /// The instant up to which everything known is used.
    pub as_of: Timestamp,
    /// Samples by metric and labels, and when each target was scraped.
    pub series: SeriesTable,
    /// PD's answers, as histories of its stores, members and configuration.
    pub pd: PdHistory,
    /// Times in which a source was not observed, ascending.
    pub gaps: Vec<Gap>,
    /// Every store and member that PD or Prometheus knows.
    pub nodes: Nodes,
    /// Parts inside the window that were recorded and cannot be read any more.
    pub unreadable: Vec<Unreadable>,
    /// What the whole run has lost by damage; `None` where none of it lies inside the window.
    pub loss: Option<Loss>,
    /// The detection thresholds, one of which may be moved.
    pub thresholds: Thresholds,
}

impl Evidence {
    /// Sorts the parts and leaves out what was not known at `as_of`.
    pub fn new(window: TimeRange, as_of: Timestamp, parts: Parts<'_>) -> Self {
        let seen = AsOf::new(as_of);
        let pd = PdHistory::new(parts.pd.iter().filter(|answer| seen.knows_answer(answer)));
        Self::with_history(window, as_of, pd, Parts { pd: &[], ..parts })
    }

    /// As [`new`](Self::new), where PD's answers have been read already: `pd` replaces `parts.pd`, and
    /// must hold no answer that was not known at `as_of`.
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

/// The metric in which PD's leader counts the heartbeats that it handled, by `store` and `address`.
pub const HEARTBEATS: &str = "pd_scheduler_handle_store_heartbeat_duration_seconds_count";

/// Store ids with two addresses, that of clients and that of metrics: as PD lists them, or else as
/// PD's metrics name them.
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

/// Members by name with their client URL: those that `/members` lists and those that were asked.
fn members(pd: &PdHistory) -> BTreeMap<String, String> {
    let asked = pd.members.iter().map(|(name, member)| (name.clone(), member.url.clone()));
    let listed = pd.listed.iter().map(|(name, url)| (name.clone(), url.clone()));
    asked.chain(listed).collect()
}
