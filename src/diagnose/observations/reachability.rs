//! Fills in the reachability matrix of an outage: whether each observer reached the store meanwhile.
//!
//! Which stores fell silent, and when, is found in `outages`.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::health::health_checks;
use crate::diagnose::observations::outages::{Outage, Reachability};
use crate::diagnose::observations::silence::{Unreachable, messages, row_and_column};
use crate::model::{Component, TimeRange, Timestamp};
use crate::nodes::{HEARTBEATS, StoreNode};

/// Fills in what is still unknown of who reached the store. `own` are its broken links.
pub fn fill_reachability(evidence: &Evidence, outage: &mut Outage, own: &[&Unreachable]) {
    by_pd_and_prometheus(evidence, outage);
    by_peers(evidence, outage, own);
}

/// Whether PD and Prometheus reached it, where they were not seen to miss it.
fn by_pd_and_prometheus(evidence: &Evidence, outage: &mut Outage) {
    let range = TimeRange::new(outage.onset, outage.end.unwrap_or(evidence.as_of));
    let known = &evidence.nodes.stores[outage.store];
    if outage.pd == Reachability::Unknown
        && let Some(history) = known.id.and_then(|id| evidence.pd.stores.get(&id))
    {
        let inside = |sent: Timestamp| sent > range.start && sent < range.end;
        if history.heartbeats.iter().any(|(_, sent)| inside(*sent)) {
            outage.pd = Reachability::Heard;
        }
    }
    if outage.pd == Reachability::Unknown && evidence.pd.listings.is_empty() {
        outage.pd = by_handled_heartbeats(evidence, known, range);
    }
    if outage.prometheus == Reachability::Unknown
        && let Some(scrapes) =
            known.instance.as_ref().and_then(|i| evidence.series.scrapes().get(i))
        && scrapes.iter().any(|scrape| scrape.up && range.contains(scrape.at))
    {
        outage.prometheus = Reachability::Heard;
    }
}

/// Whether PD's leader handled heartbeats of the store, by PD's metrics, where its answers are missing.
/// A heartbeat comes every 10 s, so two scrapes without any, while other stores had some, are silence.
fn by_handled_heartbeats(evidence: &Evidence, known: &StoreNode, range: TimeRange) -> Reachability {
    let table = &evidence.series;
    let interval = evidence.longest_interval(Component::Pd);
    let settled = TimeRange::new(
        range.start.saturating_add_millis(interval),
        range.end.saturating_add_millis(1),
    );
    let Some(id) = known.id.map(|id| id.to_string()) else { return Reachability::Unknown };
    let (mut own, mut others, mut points) = (0.0, 0.0, 0);
    for series in table.metric(HEARTBEATS) {
        let is_own = series.labels.get("store") == Some(&id);
        for one in table.increments(series).iter().filter(|one| settled.contains(one.at)) {
            *(if is_own { &mut own } else { &mut others }) += one.by;
            points += usize::from(is_own);
        }
    }
    match (own > 0.0, others > 0.0 && points >= 2) {
        (true, _) => Reachability::Heard,
        (false, true) => Reachability::Silent,
        (false, false) => Reachability::Unknown,
    }
}

/// Whether messages pass between the store and its peers, in each direction.
fn by_peers(evidence: &Evidence, outage: &mut Outage, own: &[&Unreachable]) {
    let (row, column) = row_and_column(own, outage.store);
    outage.reports = own.iter().map(|edge| edge.reports).sum();
    let range = TimeRange::new(outage.onset, outage.end.unwrap_or(evidence.as_of));
    let interval = evidence.longest_interval(Component::Tikv);
    // The interval in which it began is mixed, and so is the one in which it ended.
    let settled = TimeRange::new(
        range.start.saturating_add_millis(interval),
        range.end.saturating_add_millis(-interval),
    );
    let (sent, received) = by_messages(evidence, outage, &row, settled);
    let (checks_of_others, checks_by_others) =
        directions(&health_checks(evidence, settled), outage);
    let known_or = |known: Reachability, checked: Reachability| match known {
        Reachability::Unknown => checked,
        known => known,
    };
    let received = known_or(received, checks_by_others);
    let sent = known_or(sent, checks_of_others);
    outage.inbound = if column.is_empty() { received } else { Reachability::Silent };
    // A store that cannot deliver to half of the others or more is not heard by them, whatever a
    // straggler brings.
    let most = 2 * row.len() >= evidence.nodes.stores.len().saturating_sub(1) && !row.is_empty();
    outage.outbound = if most || (!row.is_empty() && sent != Reachability::Heard) {
        Reachability::Silent
    } else {
        sent
    };
    outage.column = column;
    outage.row = row;
}

/// Whether raft messages of the store arrive at its peers, and whether theirs arrive at it. `row` are
/// the stores that it cannot deliver to.
fn by_messages(
    evidence: &Evidence,
    outage: &Outage,
    row: &BTreeSet<usize>,
    range: TimeRange,
) -> (Reachability, Reachability) {
    let messages = messages(evidence, range);
    let (sent, received) = directions(&messages, outage);
    // A peer that was scraped and counted no message as undeliverable had none to send: regions moved.
    let peers_scraped = messages.keys().any(|pair| pair.1 != outage.store);
    let received = match received {
        Reachability::Silent if peers_scraped => Reachability::Unknown,
        known => known,
    };
    let sent = match sent {
        Reachability::Silent if row.is_empty() && outage.prometheus == Reachability::Heard => {
            Reachability::Unknown
        }
        known => known,
    };
    (sent, received)
}

/// Whether any pair works that begins at the store of an outage, and whether any works that ends there.
/// Of the outage of a link, only the pairs of its two stores count.
fn directions(
    pairs: &BTreeMap<(usize, usize), bool>,
    outage: &Outage,
) -> (Reachability, Reachability) {
    let store = outage.store;
    let counts = |other: usize| outage.link.is_none_or(|link| other == link);
    let from_it = pairs.iter().filter(|(pair, _)| pair.0 == store && counts(pair.1));
    let to_it = pairs.iter().filter(|(pair, _)| pair.1 == store && counts(pair.0));
    (any_works(from_it.map(|(_, works)| *works)), any_works(to_it.map(|(_, works)| *works)))
}

fn any_works(pairs: impl Iterator<Item = bool>) -> Reachability {
    let works: Vec<bool> = pairs.collect();
    match (works.is_empty(), works.contains(&true)) {
        (true, _) => Reachability::Unknown,
        (_, true) => Reachability::Heard,
        (_, false) => Reachability::Silent,
    }
}
