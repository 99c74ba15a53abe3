//! Outages: stores that PD, Prometheus or other stores could not reach for a while, with what each of
//! these observers says. The reachability matrix is read by rows, columns and single cells.
//!
//! What the store's state was meanwhile is decided in `presence`, and who is to blame in the failure
//! modes.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::FindingRef;
use crate::diagnose::observations::liveness::{Liveness, liveness_across};
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::diagnose::observations::reachability::fill_reachability;
use crate::diagnose::observations::restarts::{Restart, restarts};
use crate::diagnose::observations::silence::{
    FailedScrapes, MISSED_MS, Silence, Unreachable, failed_scrapes, missing_scrapes,
    row_and_column, silences_to_pd, unreachable,
};
use crate::diagnose::thresholds::SILENT_MS;
use crate::model::{TimeRange, Timestamp};

/// Whether one observer received anything from a node during an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It received something from the node.
    Heard,
    /// It observed the node and received nothing from it.
    Silent,
    /// It did not observe the node, or not for long enough.
    Unknown,
}

/// One store, or the link between two, that at least one observer could not reach.
#[derive(Clone, Debug)]
pub struct Outage {
    /// The store, as an index of `evidence.nodes.stores`.
    pub store: usize,
    /// The other store, where only the link between the two is affected.
    pub link: Option<usize>,
    /// The last sign of life before.
    pub last_sign: Timestamp,
    /// The first sign that was missing.
    pub onset: Timestamp,
    /// The first sign after, to the observer that missed it longest; `None` where it lasts.
    pub end: Option<Timestamp>,
    /// Whether PD received its heartbeats.
    pub pd: Reachability,
    /// Whether Prometheus could scrape it.
    pub prometheus: Reachability,
    /// Whether messages of its peers reach it.
    pub inbound: Reachability,
    /// Whether its messages reach its peers.
    pub outbound: Reachability,
    /// The scrapes that failed meanwhile; `None` where none did.
    pub scrapes: Option<FailedScrapes>,
    /// The heartbeats that PD missed; `None` where it missed none.
    pub heartbeats: Option<Silence>,
    /// The stores that could not reach it, as indices.
    pub column: BTreeSet<usize>,
    /// The stores that it could not reach, as indices.
    pub row: BTreeSet<usize>,
    /// The number of undeliverable messages to and from it.
    pub reports: f64,
    /// The first restart of its process; `None` where it was not restarted.
    pub restart: Option<Restart>,
    /// How often its process was restarted.
    pub restarts: usize,
    /// Whether its own counters went on meanwhile.
    pub liveness: Liveness,
    /// The findings that show the outage.
    pub findings: Vec<FindingRef>,
}

impl Outage {
    /// An outage of which only the time is known yet.
    fn new(store: usize, last_sign: Timestamp, onset: Timestamp, end: Option<Timestamp>) -> Self {
        Self {
            store,
            link: None,
            last_sign,
            onset,
            end,
            pd: Reachability::Unknown,
            prometheus: Reachability::Unknown,
            inbound: Reachability::Unknown,
            outbound: Reachability::Unknown,
            scrapes: None,
            heartbeats: None,
            column: BTreeSet::new(),
            row: BTreeSet::new(),
            reports: 0.0,
            restart: None,
            restarts: 0,
            liveness: Liveness::Unknown,
            findings: Vec::new(),
        }
    }

    /// The same with the heartbeats that PD missed, if any.
    fn missed_by_pd(mut self, heartbeats: Option<Silence>) -> Self {
        self.pd = if heartbeats.is_some() { Reachability::Silent } else { Reachability::Unknown };
        self.heartbeats = heartbeats;
        self
    }

    /// From the last sign to the next, or to `open`.
    pub fn range(&self, open: Timestamp) -> TimeRange {
        TimeRange::new(self.last_sign, self.end.unwrap_or(open).max(self.last_sign))
    }

    /// How far the onset may be off, in milliseconds; at least a second.
    pub fn uncertainty_ms(&self) -> i64 {
        (self.onset - self.last_sign).max(1_000)
    }

    /// Whether messages between the store and its peers are lost in at least one direction.
    pub fn peers_cut(&self) -> bool {
        self.inbound == Reachability::Silent || self.outbound == Reachability::Silent
    }

    /// Whether failing scrapes were refused at once.
    pub fn refused(&self) -> Option<bool> {
        self.scrapes.as_ref().and_then(FailedScrapes::refused)
    }
}

/// The silences of a store by observer, before they are put together as outages.
struct Signs {
    store: usize,
    heartbeats: Vec<Silence>,
    /// Shorter silences too, which count only beside that of another observer.
    missed: Vec<Silence>,
    scrapes: Vec<FailedScrapes>,
}

/// Every outage of a store or of a link, ascending by onset, store and link.
pub fn outages(evidence: &Evidence) -> Vec<Outage> {
    let edges = unreachable(evidence);
    let restarts: Vec<Vec<Restart>> =
        (0..evidence.nodes.stores.len()).map(|store| restarts(evidence, store)).collect();
    let signs: Vec<Signs> =
        (0..evidence.nodes.stores.len()).map(|store| signs(evidence, store)).collect();
    let mut used = vec![false; edges.len()];
    let mut found = Vec::new();
    for one in &signs {
        for stretch in stretches(evidence, one) {
            let own = own_edges(evidence, one.store, stretch, &edges, &signs);
            own.iter().for_each(|index| used[*index] = true);
            let own: Vec<&Unreachable> = own.into_iter().map(|index| &edges[index]).collect();
            found.push(silent_store(evidence, one, stretch, &own));
        }
    }
    found.extend(cut_from_peers(evidence, &edges, &used, &signs));
    for (store, restarts) in restarts.iter().enumerate() {
        for restart in restarts {
            attach_restart(evidence, store, restart, &mut found);
        }
    }
    for outage in &mut found {
        if outage.restart.is_none() {
            outage.liveness = liveness_across(evidence, outage);
        }
    }
    found.sort_by_key(|outage| (outage.onset, outage.store, outage.link));
    found
}

fn signs(evidence: &Evidence, store: usize) -> Signs {
    let known = &evidence.nodes.stores[store];
    let history = known.id.and_then(|id| evidence.pd.stores.get(&id));
    let instance = known.instance.as_deref();
    let silences = |least_ms: i64| {
        history.map_or_else(Vec::new, |history| silences_to_pd(evidence, history, least_ms))
    };
    Signs {
        store,
        heartbeats: silences(evidence.thresholds.at("silent-to-pd", SILENT_MS as f64) as i64),
        missed: silences(MISSED_MS),
        scrapes: instance.map_or_else(Vec::new, |name| {
            let mut failed = failed_scrapes(evidence, name);
            failed.retain(|scrapes| !before_it_joined(evidence, history, scrapes));
            failed
        }),
    }
}

/// Whether scrapes failed because the store was not there yet: a target may be configured before
/// its store joins.
fn before_it_joined(
    evidence: &Evidence,
    history: Option<&StoreHistory>,
    scrapes: &FailedScrapes,
) -> bool {
    let first = evidence.pd.listings.first().copied();
    let joined = history.map(|history| history.first_seen).filter(|seen| first < Some(*seen));
    joined.is_some_and(|joined| {
        scrapes.silence.next.is_none_or(|next| next <= joined.saturating_add_millis(60_000))
            && scrapes.silence.missed < joined
    })
}

/// Times in which PD or Prometheus or both did not reach the store; overlapping ones are merged.
fn stretches(evidence: &Evidence, signs: &Signs) -> Vec<TimeRange> {
    let open = evidence.as_of;
    let mut ranges: Vec<TimeRange> = signs
        .heartbeats
        .iter()
        .chain(signs.scrapes.iter().map(|scrapes| &scrapes.silence))
        .map(|silence| TimeRange::new(silence.missed, silence.range(open).end))
        .collect();
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<TimeRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            // The first heartbeat may come a few seconds before or after the first scrape.
            Some(last) if range.start - last.end <= 10_000 => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Whether an edge belongs to a stretch: it begins no earlier than the store fell silent and no
/// later than it came back. A minute after is granted: peers back off before they connect again.
fn belongs(edge: &Unreachable, stretch: TimeRange) -> bool {
    edge.silence.missed >= stretch.start.saturating_add_millis(-45_000)
        && edge.silence.last <= stretch.end.saturating_add_millis(60_000)
}

/// The broken links of a silent store, as indices of `edges`. A link whose other store is silent too and
/// has more broken links belongs to that one: a store that is only not scraped still reports the store
/// that died meanwhile.
fn own_edges(
    evidence: &Evidence,
    store: usize,
    stretch: TimeRange,
    edges: &[Unreachable],
    signs: &[Signs],
) -> Vec<usize> {
    let at = |store: usize, stretch: TimeRange| {
        let of = |edge: &Unreachable| edge.to == store || edge.by == store;
        let mine = edges.iter().enumerate();
        let mine = mine.filter(move |(_, edge)| of(edge) && belongs(edge, stretch));
        mine.map(|(index, _)| index).collect::<Vec<usize>>()
    };
    let other = |store: usize, edge: &Unreachable| {
        if edge.to == store { edge.by } else { edge.to }
    };
    let links = |store: usize, mine: &[usize]| {
        mine.iter().map(|index| other(store, &edges[*index])).collect::<BTreeSet<usize>>().len()
    };
    let own = at(store, stretch);
    let broken = links(store, &own);
    let is_others = |index: &usize| {
        let end = other(store, &edges[*index]);
        stretches(evidence, &signs[end]).into_iter().any(|stretch| {
            let theirs = at(end, stretch);
            theirs.contains(index) && links(end, &theirs) > broken
        })
    };
    own.iter().copied().filter(|index| !is_others(index)).collect()
}

fn silent_store(
    evidence: &Evidence,
    signs: &Signs,
    stretch: TimeRange,
    own: &[&Unreachable],
) -> Outage {
    let store = signs.store;
    let open = evidence.as_of;
    let overlaps = |silence: &Silence| {
        silence.missed <= stretch.end && silence.range(open).end >= stretch.start
    };
    // A store that PD hears once a minute is not silent for all that time.
    let heartbeats = signs.heartbeats.iter().chain(&signs.missed).find(|silence| overlaps(silence));
    let heartbeats = heartbeats.cloned();
    let scrapes = signs.scrapes.iter().filter(|scrapes| overlaps(&scrapes.silence)).cloned();
    let scrapes = scrapes.reduce(|one, later| one.joined(&later));
    let silences = heartbeats.iter().chain(scrapes.iter().map(|scrapes| &scrapes.silence));
    let silences: Vec<&Silence> = silences.collect();
    let of_peers = own.iter().filter(|edge| edge.to == store).map(|edge| &edge.silence);
    let signs_missed = silences.iter().copied().chain(of_peers);
    let onset = signs_missed.map(|silence| silence.missed).min().unwrap_or(stretch.start);
    // A peer that reports nothing yet is no sign of life: it notices when its connection fails, not when the store
    // falls silent.
    let last_signs = silences.iter().map(|silence| silence.last);
    let last_sign = last_signs.filter(|last| *last <= onset).max();
    // Where one observer still waits, it is not over.
    let end =
        silences.iter().map(|silence| silence.next).max_by_key(|next| (next.is_none(), *next));
    let mut outage = Outage::new(store, last_sign.unwrap_or(onset), onset, end.flatten())
        .missed_by_pd(heartbeats);
    outage.prometheus =
        if scrapes.is_some() { Reachability::Silent } else { Reachability::Unknown };
    outage.scrapes = scrapes;
    fill_reachability(evidence, &mut outage, own);
    outage
}

/// Outages by undeliverable messages that no silent store explains: a store that PD and Prometheus
/// reach and its peers do not, or a single link. All broken links of the store with the most of them
/// belong to it; the remaining links are examined again.
fn cut_from_peers(
    evidence: &Evidence,
    edges: &[Unreachable],
    used: &[bool],
    signs: &[Signs],
) -> Vec<Outage> {
    let mut left: Vec<&Unreachable> =
        edges.iter().zip(used).filter(|(_, used)| !**used).map(|(edge, _)| edge).collect();
    let mut found = Vec::new();
    while let Some(first) = left.first().copied() {
        let until = first.silence.range(evidence.as_of).end;
        let together: Vec<&Unreachable> =
            left.iter().copied().filter(|edge| edge.silence.last <= until).collect();
        let links = |store: usize| -> BTreeSet<usize> {
            let (row, column) = row_and_column(&together, store);
            &row | &column
        };
        let stores: BTreeSet<usize> = together.iter().flat_map(|edge| [edge.by, edge.to]).collect();
        // A store that others miss is likelier at fault than one that misses others.
        let most = stores.iter().copied().max_by_key(|store| {
            let missed = together.iter().filter(|edge| edge.to == *store).count();
            (links(*store).len(), missed, std::cmp::Reverse(*store))
        });
        let Some(store) = most else { break };
        let own: Vec<&Unreachable> =
            together.iter().copied().filter(|edge| edge.to == store || edge.by == store).collect();
        let others = links(store);
        let mutual =
            own.iter().any(|edge| edge.to == store) && own.iter().any(|edge| edge.by == store);
        let link = (others.len() == 1 && mutual && evidence.nodes.stores.len() > 2)
            .then(|| others.first().copied())
            .flatten();
        let missed = if link.is_none() { signs[store].missed.as_slice() } else { &[] };
        found.push(peer_outage(evidence, store, link, &own, missed));
        left.retain(|edge| !own.contains(edge));
    }
    found
}

fn peer_outage(
    evidence: &Evidence,
    store: usize,
    link: Option<usize>,
    own: &[&Unreachable],
    missed: &[Silence],
) -> Outage {
    let onset = own.iter().map(|edge| edge.silence.missed).min().unwrap_or(evidence.as_of);
    let last = own.iter().map(|edge| edge.silence.last).filter(|last| *last <= onset).max();
    let end = own.iter().map(|edge| edge.silence.next).max_by_key(|next| (next.is_none(), *next));
    let end = end.flatten();
    let until = end.unwrap_or(evidence.as_of);
    let heartbeats = missed
        .iter()
        .find(|silence| silence.missed <= until && silence.range(evidence.as_of).end >= onset);
    let mut outage =
        Outage::new(store, last.unwrap_or(onset), onset, end).missed_by_pd(heartbeats.cloned());
    outage.link = link;
    fill_reachability(evidence, &mut outage, own);
    outage
}

/// Adds a restart to the outage that it ends, or makes an outage of its own of it: one that was too
/// short for an observer to miss a sign of life.
fn attach_restart(evidence: &Evidence, store: usize, restart: &Restart, found: &mut Vec<Outage>) {
    let open = evidence.as_of;
    let ends = found.iter_mut().find(|outage| {
        let range = outage.range(open);
        outage.store == store
            && outage.link.is_none()
            && restart.at >= range.start.saturating_add_millis(-2_000)
            && restart.at <= range.end.saturating_add_millis(5_000)
    });
    if let Some(outage) = ends {
        outage.restarts += 1;
        if outage.restart.is_none_or(|known| known.at > restart.at) {
            outage.restart = Some(*restart);
        }
        return;
    }
    let onset = restart.last_sign.max(restart.at.saturating_add_millis(-10_000));
    let mut outage = Outage::new(store, restart.last_sign, onset, Some(restart.seen));
    outage.restart = Some(*restart);
    outage.restarts = 1;
    found.push(outage);
}

/// Whether nobody had ever heard the store when it was missed: no scrape of it had succeeded, and PD had not
/// listed it.
pub fn was_never_up(evidence: &Evidence, outage: &Outage) -> bool {
    let known = &evidence.nodes.stores[outage.store];
    let history = known.id.and_then(|id| evidence.pd.stores.get(&id));
    let scrapes = known.instance.as_deref().and_then(|name| evidence.series.scrapes().get(name));
    let answered = |before: Timestamp| {
        scrapes.is_some_and(|list| list.iter().any(|one| one.up && one.at < before))
    };
    outage.scrapes.is_some()
        && !answered(outage.onset)
        && history.is_none_or(|history| history.first_seen > outage.onset)
}

/// The names of the scraped targets that are stores or members, ascending.
pub fn scraped_nodes(evidence: &Evidence) -> impl Iterator<Item = &str> {
    let nodes = evidence.nodes.targets.iter().filter(|target| target.component.is_node());
    let names: BTreeSet<&str> = nodes.map(|target| target.name.as_str()).collect();
    names.into_iter().filter(|name| evidence.series.scrapes().contains_key(*name))
}

/// Stretches in which Prometheus did not scrape a store or a member, by the target's name.
pub fn unscraped(evidence: &Evidence) -> Vec<(String, Silence)> {
    let missing = |instance: &str| {
        let silences = missing_scrapes(evidence, instance);
        let named = silences.into_iter().map(|silence| (instance.to_owned(), silence));
        named.collect::<Vec<_>>()
    };
    scraped_nodes(evidence).flat_map(missing).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::diagnose::evidence::Parts;
    use crate::model::{Labels, Sample, Series};

    #[test]
    fn outages_of_thousands_of_stores_are_found_in_seconds() {
        const STORES: usize = 10_000;
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let down = move |store: usize| {
            let samples = (0..8).map(|scrape| Sample { at: at(scrape * 15), value: 0.0 }).collect();
            let instance = format!("store-{store}:20180");
            let pairs = [("__name__", "up"), ("job", "tikv"), ("instance", instance.as_str())];
            Series { labels: Labels::from_pairs(&pairs), samples }
        };
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || {
            let parts = Parts { series: (0..STORES).map(down).collect(), ..Parts::default() };
            let evidence = Evidence::new(TimeRange::new(at(0), at(120)), at(120), parts);
            done.send(outages(&evidence).len())
        });
        assert_eq!(waits.recv_timeout(Duration::from_secs(60)), Ok(STORES));
    }
}
