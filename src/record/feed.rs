//! What a recording hands to whoever judges it while it is made.
//!
//! The recorder's side is a [`LiveFeed`], which sends what is new after every commit and waits for
//! nobody; the other side is a [`RecentWindow`], which holds a window of bounded length. Judging is the
//! caller's.

use std::collections::{BTreeSet, HashMap, VecDeque};

use tokio::sync::mpsc;

use crate::capture::Tick;
use crate::model::{
    AsOf, EncodedLabels, Fingerprint, Gap, Labels, PdAnswer, SETTLE_MS, Sample, Series, TimeRange,
    Timestamp,
};

/// How long PD's answers are waited for where its sampling hangs.
const LONGEST_WAIT_MS: i64 = 60_000;

/// What one commit brought.
#[derive(Clone, Debug, Default)]
pub struct CommitIncrement {
    /// The earliest instant observed, of any series.
    pub first: Option<Timestamp>,
    /// New samples of the series that are followed, and some that came before.
    pub series: Vec<Series>,
    /// PD's answers.
    pub pd: Vec<PdAnswer>,
    /// Gaps, those that were healed among them.
    pub gaps: Vec<Gap>,
    /// Everything observed up to this instant has been sent; `None` where no copy ended.
    pub settled: Option<Timestamp>,
}

/// The recorder's end.
pub struct LiveFeed {
    metrics: BTreeSet<&'static str>,
    news: CommitIncrement,
    pd_through: Option<Timestamp>,
    asked: Option<Timestamp>,
    sender: mpsc::UnboundedSender<CommitIncrement>,
}

impl LiveFeed {
    /// A feed of these metrics, and where it arrives.
    pub fn new(metrics: &[&'static str]) -> (Self, mpsc::UnboundedReceiver<CommitIncrement>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let metrics = metrics.iter().copied().collect();
        (
            Self {
                metrics,
                news: CommitIncrement::default(),
                pd_through: None,
                asked: None,
                sender,
            },
            receiver,
        )
    }

    /// Samples of a series that Prometheus sent.
    pub(super) fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) {
        let Some(first) = samples.first() else { return };
        self.seen(first.at);
        if !labels.metric().is_some_and(|metric| self.metrics.contains(metric)) {
            return;
        }
        // What cannot be read has ended the copy already.
        if let Ok(labels) = labels.decode() {
            self.news.series.push(Series { labels, samples: samples.to_vec() });
        }
    }

    /// Something was observed at this instant.
    pub(super) fn seen(&mut self, at: Timestamp) {
        self.news.first = Some(self.news.first.map_or(at, |first| first.min(at)));
    }

    /// What a commit is about to write besides samples.
    pub(super) fn tick(&mut self, tick: &Tick) {
        for answer in &tick.pd {
            self.seen(answer.sent);
            self.pd_through = self.pd_through.max(Some(answer.observed()));
        }
        self.news.pd.extend_from_slice(&tick.pd);
        self.news.gaps.extend(tick.gaps.iter().chain(&tick.healed).cloned());
    }

    /// Prometheus was asked for everything before `asked`, whether or not it answered.
    pub(super) fn asked(&mut self, asked: Timestamp) {
        self.asked = Some(asked);
    }

    /// Sends what has gathered, after a commit. Where nobody listens any more, it is dropped.
    pub(super) fn send(&mut self) {
        self.news.settled = self.asked.take().map(|asked| self.settled(asked));
        let _ = self.sender.send(std::mem::take(&mut self.news));
    }

    fn settled(&self, asked: Timestamp) -> Timestamp {
        let settled = asked.saturating_add_millis(-SETTLE_MS);
        let waited = asked.saturating_add_millis(-LONGEST_WAIT_MS);
        self.pd_through.map_or(settled, |through| settled.min(through).max(waited))
    }
}

/// What is known of the last while. It grows with the window and the number of series, never with
/// the length of a recording.
pub struct RecentWindow {
    horizon_ms: i64,
    first: Option<Timestamp>,
    newest: Timestamp,
    series: HashMap<Fingerprint, Held>,
    pd: VecDeque<PdAnswer>,
    gaps: Vec<Gap>,
}

struct Held {
    labels: Labels,
    samples: VecDeque<Sample>,
}

/// A window as known at an instant.
#[derive(Clone, Debug)]
pub struct KnownWindow {
    /// From when on it is known.
    pub window: TimeRange,
    /// Series, ascending by labels.
    pub series: Vec<Series>,
    /// Answers of PD, in the order of arrival.
    pub pd: Vec<PdAnswer>,
    /// Gaps that touch the window.
    pub gaps: Vec<Gap>,
}

impl RecentWindow {
    /// Holds what lies within `horizon_ms` before the newest instant that is asked about.
    pub fn new(horizon_ms: i64) -> Self {
        Self {
            horizon_ms,
            first: None,
            newest: Timestamp::MIN,
            series: HashMap::new(),
            pd: VecDeque::new(),
            gaps: Vec::new(),
        }
    }

    /// Takes in what is new. A sample no newer than the last one of its series came before: live
    /// windows overlap.
    pub fn take(&mut self, news: CommitIncrement) {
        self.first = match (self.first, news.first) {
            (Some(held), Some(new)) => Some(held.min(new)),
            (held, new) => held.or(new),
        };
        for Series { labels, samples } in news.series {
            let fresh = || Held { labels: labels.clone(), samples: VecDeque::new() };
            let held = self.series.entry(labels.fingerprint()).or_insert_with(fresh);
            for sample in samples {
                if held.samples.back().is_none_or(|last| last.at < sample.at) {
                    held.samples.push_back(sample);
                }
            }
        }
        self.pd.extend(news.pd);
        for gap in news.gaps {
            let unhealed = |held: &Gap| Gap { healed_at: gap.healed_at, ..held.clone() } == gap;
            match self.gaps.iter().position(unhealed) {
                Some(place) => self.gaps[place] = gap,
                None => self.gaps.push(gap),
            }
        }
    }

    /// The window that ends at `as_of`, and forgets what no later one holds.
    pub fn known(&mut self, as_of: Timestamp) -> KnownWindow {
        self.forget(as_of);
        let window = AsOf::new(as_of).recent(self.first.unwrap_or(as_of), self.horizon_ms);
        let within = |held: &Held| {
            let inside = |sample: &&Sample| window.contains(sample.at);
            let samples: Vec<Sample> = held.samples.iter().filter(inside).copied().collect();
            (!samples.is_empty()).then(|| Series { labels: held.labels.clone(), samples })
        };
        let mut series: Vec<Series> = self.series.values().filter_map(within).collect();
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let pd = self.pd.iter().filter(|answer| window.contains(answer.sent)).cloned().collect();
        let gaps = self.gaps.iter().filter(|gap| gap.range.overlaps(&window)).cloned().collect();
        KnownWindow { window, series, pd, gaps }
    }

    fn forget(&mut self, as_of: Timestamp) {
        self.newest = self.newest.max(as_of);
        let oldest = self.newest.saturating_add_millis(-self.horizon_ms);
        self.series.retain(|_, held| {
            while held.samples.front().is_some_and(|sample| sample.at < oldest) {
                held.samples.pop_front();
            }
            !held.samples.is_empty()
        });
        while self.pd.front().is_some_and(|answer| answer.sent < oldest) {
            self.pd.pop_front();
        }
        self.gaps.retain(|gap| gap.range.end > oldest);
    }
}
