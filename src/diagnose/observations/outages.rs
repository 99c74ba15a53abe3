//! Stores that somebody did not hear for a while, with what each observer says: the reachability
//! matrix read by rows, columns and single cells.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::FindingRef;
use crate::diagnose::observations::liveness::{Liveness, liveness_across};
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::diagnose::observations::reachability::look_around;
use crate::diagnose::observations::restarts::{Restart, restarts};
use crate::diagnose::observations::silence::{
    FailedScrapes, MISSED_MS, Silence, Unreachable, failed_scrapes, missing_scrapes,
    row_and_column, silences_to_pd, unreachable,
};
use crate::diagnose::thresholds::SILENT_MS;
use crate::model::{TimeRange, Timestamp};

/// What one observer says of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// It heard the store meanwhile.
    Heard,
    /// It did not.
    Silent,
    /// It was not there to hear, or the time was too short.
    Unknown,
}

/// One store, or the link between two, that was not heard by somebody.
#[derive(Clone, Debug)]
pub struct Outage {
    /// Index of [`Evidence::stores`].
    pub store: usize,
    /// The other end, where only the link between the two is concerned.
    pub link: Option<usize>,
    /// The last sign of life before.
    pub last_sign: Timestamp,
    /// The first sign that was missing.
    pub onset: Timestamp,
    /// The first sign after, to whoever heard it last; `None` where it lasts.
    pub end: Option<Timestamp>,
    /// PD's view.
    pub pd: Reachability,
    /// Prometheus's.
    pub prometheus: Reachability,
    /// Whether messages of its peers reach it.
    pub inbound: Reachability,
    /// Whether its messages reach its peers.
    pub outbound: Reachability,
    /// Scrapes that failed.
    pub scrapes: Option<FailedScrapes>,
    /// PD's silence.
    pub heartbeats: Option<Silence>,
    /// Who could not reach it.
    pub column: BTreeSet<usize>,
    /// Whom it could not reach.
    pub row: BTreeSet<usize>,
    /// Undeliverable messages, in all.
    pub reports: f64,
    /// Its process started anew; the first time, where it did so again.
    pub restart: Option<Restart>,
    /// How often it started anew.
    pub restarts: usize,
    /// Whether its own counters went on meanwhile.
    pub liveness: Liveness,
    /// What shows all that.
    pub findings: Vec<FindingRef>,
}

impl Outage {
    /// Of a store that nobody told anything about yet, from its last sign on.
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

    /// With the heartbeats that PD missed, if any.
    fn missed_by_pd(mut self, heartbeats: Option<Silence>) -> Self {
        self.pd = if heartbeats.is_some() { Reachability::Silent } else { Reachability::Unknown };
        self.heartbeats = heartbeats;
        self
    }

    /// From the last sign to the next, or to `open`.
    pub fn range(&self, open: Timestamp) -> TimeRange {
        TimeRange::new(self.last_sign, self.end.unwrap_or(open).max(self.last_sign))
    }

    /// How long it lasted so far, at least.
    pub fn lasted_ms(&self, open: Timestamp) -> i64 {
        self.end.unwrap_or(open) - self.onset
    }

    /// How far the onset may be off.
    pub fn uncertainty_ms(&self) -> i64 {
        (self.onset - self.last_sign).max(1_000)
    }

    /// Whether the peers hear nothing, in at least one direction.
    pub fn peers_cut(&self) -> bool {
        self.inbound == Reachability::Silent || self.outbound == Reachability::Silent
    }

    /// Whether a failing scrape was refused at once: the host answers, the process does not. A
    /// refusal takes microseconds, a timeout the whole of Prometheus's `scrape_timeout` (10 s by
    /// default); one second lies between the two on any network.
    pub fn refused(&self) -> Option<bool> {
        self.scrapes.as_ref().and_then(|scrapes| scrapes.took_s).map(|took| took < 1.0)
    }
}

/// Signs that a store went silent, before they are put together.
struct Signs {
    store: usize,
    heartbeats: Vec<Silence>,
    /// Shorter ones too, which count only beside another sign.
    missed: Vec<Silence>,
    scrapes: Vec<FailedScrapes>,
}

/// Every store that somebody did not hear, ascending by onset.
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

/// Times in which PD or Prometheus or both did not hear the store; what overlaps is one.
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
            // A heartbeat after a hole may come a few seconds after the scrape or before it.
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

/// The edges of a silent store, by index. One whose other end is silent too and has more broken links
/// is that one's: who is only not scraped still misses the store that died meanwhile.
fn own_edges(
    evidence: &Evidence,
    store: usize,
    stretch: TimeRange,
    edges: &[Unreachable],
    signs: &[Signs],
) -> Vec<usize> {
    let at = |store: usize, stretch: TimeRange| {
        let of = |edge: &Unreachable| edge.whom == store || edge.by == store;
        let mine = edges.iter().enumerate();
        let mine = mine.filter(move |(_, edge)| of(edge) && belongs(edge, stretch));
        mine.map(|(index, _)| index).collect::<Vec<usize>>()
    };
    let other = |store: usize, edge: &Unreachable| {
        if edge.whom == store { edge.by } else { edge.whom }
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
    let heartbeats = signs.heartbeats.iter().chain(&signs.missed).find(|silence| overlaps(silence));
    let heartbeats = heartbeats.cloned();
    let scrapes = signs.scrapes.iter().find(|scrapes| overlaps(&scrapes.silence)).cloned();
    let silences = heartbeats.iter().chain(scrapes.iter().map(|scrapes| &scrapes.silence));
    let silences: Vec<&Silence> = silences.collect();
    let of_peers = own.iter().filter(|edge| edge.whom == store).map(|edge| &edge.silence);
    let signs_missed = silences.iter().copied().chain(of_peers.clone());
    let onset = signs_missed.clone().map(|silence| silence.missed).min().unwrap_or(stretch.start);
    let last_sign = signs_missed.map(|silence| silence.last).filter(|last| *last <= onset).max();
    // Where one observer still waits, it is not over.
    let end =
        silences.iter().map(|silence| silence.next).max_by_key(|next| (next.is_none(), *next));
    let mut outage = Outage::new(store, last_sign.unwrap_or(onset), onset, end.flatten())
        .missed_by_pd(heartbeats);
    outage.prometheus =
        if scrapes.is_some() { Reachability::Silent } else { Reachability::Unknown };
    outage.scrapes = scrapes;
    look_around(evidence, &mut outage, own);
    outage
}

/// Undeliverable messages that no silent store explains: a store that PD and Prometheus hear and
/// its peers do not, or a single link. The store with the most broken links takes them all; what
/// then remains is looked at again.
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
        let stores: BTreeSet<usize> =
            together.iter().flat_map(|edge| [edge.by, edge.whom]).collect();
        // Whom others miss is likelier at fault than who misses others.
        let most = stores.iter().copied().max_by_key(|store| {
            let missed = together.iter().filter(|edge| edge.whom == *store).count();
            (links(*store).len(), missed, std::cmp::Reverse(*store))
        });
        let Some(store) = most else { break };
        let own: Vec<&Unreachable> = together
            .iter()
            .copied()
            .filter(|edge| edge.whom == store || edge.by == store)
            .collect();
        let others = links(store);
        let mutual =
            own.iter().any(|edge| edge.whom == store) && own.iter().any(|edge| edge.by == store);
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
    look_around(evidence, &mut outage, own);
    outage
}

/// Joins a restart to the outage that it ends, or makes it an outage of its own: one too short
/// for anybody to miss a sign of liveness.
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

/// Targets of Prometheus that it did not look at, by instance.
pub fn unscraped(evidence: &Evidence) -> Vec<(String, Silence)> {
    let instances = evidence.series.scrapes().keys();
    let missing = |instance: &String| {
        let silences = missing_scrapes(evidence, instance);
        silences.into_iter().map(|silence| (instance.clone(), silence)).collect::<Vec<_>>()
    };
    instances.flat_map(missing).collect()
}
