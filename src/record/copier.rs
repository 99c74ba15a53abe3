//! Copies raw samples of a window out of Prometheus into the open tick.
//!
//! A window that the server refuses as too large is halved, then split by metric names; what it
//! refuses even then becomes a gap. A server that refuses a single instant too does not limit but fails, such as
//! VictoriaMetrics's cluster whose storage nodes are down. Committing is the caller's.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use tokio::sync::OnceCell;

use super::connection::{Connect, Connection};
use super::feed::LiveFeed;
use crate::capture::{CaptureWriter, Tick};
use crate::model::{EncodedLabels, Gap, GapReason, Sample, Source, TimeRange, Timestamp, is_stale};
use crate::source::{PrometheusClient, ReadMode, Selector, SeriesSink, SourceError};

/// Live windows begin this long before the end of the last copy, so that samples which Prometheus
/// appended late are copied too. The series index skips samples that were written before.
pub const OVERLAP_MS: i64 = 60_000;

/// A window of at most this length is no longer halved but split by metric names.
const SHORTEST_WINDOW_MS: i64 = 30_000;

/// After this many refusals in a row the server counts as failing rather than as limiting. Halving a
/// window and then its metrics down to one takes fewer refusals.
const MAX_REFUSALS: u32 = 24;

/// The same bound for refusals by timeout, of which each costs a whole timeout.
const MAX_TIMEOUTS: u32 = 4;

/// The number of unreadable series that a gap names.
const MOST_NAMED: usize = 8;

/// How much of an unreadable series' labels a gap quotes, in characters.
const MOST_NAME_CHARS: usize = 200;

/// Copies a choice of series out of one Prometheus server.
#[derive(Clone, Debug)]
pub struct Copier {
    /// The client of the server.
    pub client: PrometheusClient,
    /// How it is read, as soon as that is known.
    connection: OnceCell<Connection>,
    /// Finds that out; `None` where it is known from the beginning.
    connect: Option<Connect>,
}

/// The writer and the tick that the next commit writes, shared between reading and committing.
pub struct OpenTick {
    /// The writer of the capture.
    pub writer: CaptureWriter,
    /// What has been observed since the last commit.
    pub tick: Tick,
    /// Receives what is committed, for live diagnosis.
    pub feed: Option<LiveFeed>,
}

impl OpenTick {
    /// Tells the live feed something, where there is one.
    pub fn tell_feed(&mut self, tell: impl FnOnce(&mut LiveFeed)) {
        if let Some(feed) = &mut self.feed {
            tell(feed);
        }
    }
}

/// What copying one window cost, and how much it added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowStats {
    /// The number of requests that were sent.
    pub requests: u64,
    /// The number of requests that the server refused as too large.
    pub refused: u64,
    /// The number of samples that the capture did not hold before.
    pub samples: u64,
    /// Bytes of the answers' bodies.
    pub bytes: u64,
    /// Partial gaps in the window, for series that captures do not hold, that cannot be read or that the
    /// server refuses to send.
    pub left_out: Vec<Gap>,
}

/// Series that are left out of a window.
#[derive(Default)]
struct SkippedSeries {
    /// Names of metrics with native histograms.
    histograms: BTreeSet<String>,
    /// Series that cannot be read, with the reason; at most [`MOST_NAMED`].
    unreadable: BTreeSet<String>,
    /// The number of further series that cannot be read.
    further: u64,
    /// Why answers may lack something, in the server's words; at most [`MOST_NAMED`].
    incomplete: BTreeSet<String>,
}

impl SkippedSeries {
    fn add_unreadable(&mut self, series: &str, why: &str) {
        let mut name = series.to_owned();
        if let Some((cut, _)) = name.char_indices().nth(MOST_NAME_CHARS) {
            name.truncate(cut);
            name.push('…');
        }
        if self.unreadable.len() < MOST_NAMED {
            self.unreadable.insert(format!("{name} ({why})"));
        } else {
            self.further += 1;
        }
    }

    fn gaps(&self, range: TimeRange) -> Vec<Gap> {
        let gap = |reason, detail| Gap {
            range,
            source: Source::Prometheus,
            reason,
            detail,
            healed_at: None,
        };
        let mut gaps = Vec::new();
        if !self.histograms.is_empty() {
            let names: Vec<&str> = self.histograms.iter().map(String::as_str).collect();
            let detail = format!("native histograms are not recorded: {}", names.join(", "));
            gaps.push(gap(GapReason::NativeHistogram, detail));
        }
        if !self.unreadable.is_empty() {
            let names: Vec<&str> = self.unreadable.iter().map(String::as_str).collect();
            let further = match self.further {
                0 => String::new(),
                further => format!(", and {further} more"),
            };
            let detail = format!("series that cannot be read: {}{further}", names.join(", "));
            gaps.push(gap(GapReason::Other, detail));
        }
        for why in &self.incomplete {
            gaps.push(gap(
                GapReason::Other,
                format!("the server did not answer completely: {why}"),
            ));
        }
        gaps
    }
}

/// A part of a window to request: a shorter range, or some of its metrics.
struct Piece {
    range: TimeRange,
    selectors: Vec<Selector>,
    names: Option<Vec<String>>,
}

/// What becomes of a piece that the server refused.
enum Division {
    Parts(Vec<Piece>),
    /// Nothing is left to split: what is missing, and the selectors of it.
    GivenUp(Gap, Vec<Selector>),
}

impl Copier {
    /// Copies what these selectors find, in a way in which the server lets raw samples be read.
    pub fn new(client: PrometheusClient, mode: ReadMode, selectors: Vec<Selector>) -> Self {
        let known = Connection { mode, selectors, version: None };
        Self { client, connection: OnceCell::new_with(Some(known)), connect: None }
    }

    /// Copies from a server that does not answer yet, as soon as it says how it is read.
    pub fn of_silent(client: PrometheusClient, connect: Connect) -> Self {
        Self { client, connection: OnceCell::new(), connect: Some(connect) }
    }

    /// Whether it is known how the server is read.
    pub fn is_connected(&self) -> bool {
        self.connection.initialized()
    }

    /// The series to copy; none as long as these are not known.
    pub(super) fn selectors(&self) -> &[Selector] {
        self.connection.get().map_or(&[][..], |known| &known.selectors)
    }

    /// How the server is read. What is found out is noted in the capture.
    async fn connection(&self, open_tick: &Mutex<OpenTick>) -> Result<&Connection, SourceError> {
        let ask = || async {
            let connect = self.connect.as_ref();
            let connect = connect.expect("without it, the connection is known from the beginning");
            let found = connect.ask().await?;
            found.note(&mut lock(open_tick).writer);
            Ok(found)
        };
        self.connection.get_or_try_init(ask).await
    }

    /// Copies the samples of `range` into the open tick. What is left out, and what the server refuses to
    /// send, is in the statistics, as gaps.
    ///
    /// Samples that arrived before a failure stay in the tick; they may be committed, because a
    /// later call for the same range skips them.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the server does not answer, or answers with anything but a limit.
    pub async fn copy_window(
        &self,
        open_tick: &Mutex<OpenTick>,
        range: TimeRange,
    ) -> Result<WindowStats, SourceError> {
        self.copy(open_tick, range, Kept::All).await
    }

    /// Copies the last sample of each series in `range`, except of series that have ended. Of a window that
    /// the server refuses as too large, it is the last of each part.
    ///
    /// # Errors
    ///
    /// As [`copy_window`](Self::copy_window).
    pub async fn copy_last(
        &self,
        open_tick: &Mutex<OpenTick>,
        range: TimeRange,
    ) -> Result<WindowStats, SourceError> {
        self.copy(open_tick, range, Kept::Last).await
    }

    async fn copy(
        &self,
        open_tick: &Mutex<OpenTick>,
        range: TimeRange,
        kept: Kept,
    ) -> Result<WindowStats, SourceError> {
        let mut stats = WindowStats::default();
        let mut skipped = SkippedSeries::default();
        let (mut refusals_in_a_row, mut has_answered) = (0, false);
        let Connection { mode, selectors, .. } = self.connection(open_tick).await?;
        let whole = Piece { range, selectors: selectors.clone(), names: None };
        let mut pieces = VecDeque::from([whole]);
        while let Some(piece) = pieces.pop_front() {
            stats.requests += 1;
            let mut sink = TickSink { open_tick, kept, samples: 0, skipped: &mut skipped };
            let read = self.client.read(*mode, &piece.selectors, piece.range, &mut sink).await;
            stats.samples += sink.samples;
            match read.map(|read| stats.bytes += read.bytes) {
                Ok(()) => (refusals_in_a_row, has_answered) = (0, true),
                Err(error) if error.is_limit() && refusals_in_a_row < most_refusals(&error) => {
                    refusals_in_a_row += 1;
                    stats.refused += 1;
                    tracing::debug!(range = ?piece.range, %error, "the server refused a window");
                    match self.divide(piece, &error).await? {
                        Division::Parts(parts) => {
                            parts.into_iter().rev().for_each(|part| pieces.push_front(part));
                        }
                        Division::GivenUp(gap, selectors) => {
                            if !has_answered {
                                let at = gap.range.start;
                                self.client.read_one_instant(*mode, &selectors, at).await?;
                                has_answered = true;
                            }
                            stats.left_out.push(gap);
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        stats.left_out.extend(skipped.gaps(range));
        Ok(stats)
    }

    /// Splits a refused piece in two, or gives it up where nothing is left to split.
    async fn divide(&self, piece: Piece, error: &SourceError) -> Result<Division, SourceError> {
        let Piece { range, selectors, names } = piece;
        if names.is_none() && range.millis() > SHORTEST_WINDOW_MS {
            let middle = range.start.saturating_add_millis(range.millis() / 2);
            let halves = [TimeRange::new(range.start, middle), TimeRange::new(middle, range.end)];
            let half = |range| Piece { range, selectors: selectors.clone(), names: None };
            return Ok(Division::Parts(halves.into_iter().map(half).collect()));
        }
        let names = match names {
            Some(names) => names,
            None => self.names_in(range).await?,
        };
        if names.len() < 2 {
            return Ok(Division::GivenUp(limit_gap(range, &names, error), selectors));
        }
        let half = |half: &[String]| Piece {
            range,
            selectors: self.selectors().iter().map(|one| one.with_metrics(half)).collect(),
            names: Some(half.to_vec()),
        };
        Ok(Division::Parts(names.chunks(names.len().div_ceil(2)).map(half).collect()))
    }

    async fn names_in(&self, range: TimeRange) -> Result<Vec<String>, SourceError> {
        let mut names = BTreeSet::new();
        for selector in self.selectors() {
            names.extend(self.client.metric_names(selector, range).await?);
        }
        Ok(names.into_iter().collect())
    }
}

/// Locks the open tick.
///
/// # Panics
///
/// Where a holder of the lock panicked: its incomplete tick must not be committed.
pub fn lock(open_tick: &Mutex<OpenTick>) -> std::sync::MutexGuard<'_, OpenTick> {
    open_tick.lock().expect("nobody panics while holding the open tick")
}

/// The window that a live tick copies: from [`OVERLAP_MS`] before the end of the last copy to `now`,
/// or, after an outage, to `longest_ms` after that end, so that a transaction stays bounded.
pub fn live_window(copied_through: Timestamp, now: Timestamp, longest_ms: i64) -> TimeRange {
    let start = copied_through.saturating_add_millis(-OVERLAP_MS);
    let end = now.min(copied_through.saturating_add_millis(longest_ms));
    TimeRange::new(start, end)
}

fn most_refusals(error: &SourceError) -> u32 {
    if matches!(error, SourceError::Timeout { .. }) { MAX_TIMEOUTS } else { MAX_REFUSALS }
}

/// Which samples of a window are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// All of them.
    All,
    /// The last of each series that has not ended.
    Last,
}

impl Kept {
    fn of(self, samples: &[Sample]) -> &[Sample] {
        match (self, samples) {
            (Self::All, _) => samples,
            (Self::Last, [.., last]) if !is_stale(last.value) => std::slice::from_ref(last),
            (Self::Last, _) => &[],
        }
    }
}

/// Receives the samples of a window and adds them to the open tick.
struct TickSink<'a> {
    open_tick: &'a Mutex<OpenTick>,
    kept: Kept,
    samples: u64,
    skipped: &'a mut SkippedSeries,
}

impl SeriesSink for TickSink<'_> {
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError> {
        let samples = self.kept.of(samples);
        if samples.is_empty() {
            return Ok(());
        }
        let mut open_tick = lock(self.open_tick);
        let OpenTick { writer, tick, feed } = &mut *open_tick;
        let new = match tick.samples.push(writer.index(), labels, samples) {
            Ok(new) => new,
            Err(error) => {
                self.skipped.add_unreadable(&labels.to_string(), &error.to_string());
                return Ok(());
            }
        };
        if let Some(feed) = feed {
            feed.add_samples(labels, samples);
        }
        self.samples += new as u64;
        Ok(())
    }

    fn native_histogram(&mut self, labels: EncodedLabels<'_>) {
        // Labels that cannot be decoded are refused by `series`; here only the name is needed.
        let name = labels.decode().map(|labels| labels.metric().to_owned()).unwrap_or_default();
        self.skipped.histograms.insert(name);
    }

    fn unreadable(&mut self, series: &str, why: &str) {
        self.skipped.add_unreadable(series, why);
    }

    fn incomplete(&mut self, why: &str) {
        if self.skipped.incomplete.len() < MOST_NAMED {
            self.skipped.incomplete.insert(why.to_owned());
        }
    }
}

fn limit_gap(range: TimeRange, names: &[String], error: &SourceError) -> Gap {
    let what = names.first().map_or("the window", String::as_str);
    Gap {
        range,
        source: Source::Prometheus,
        reason: GapReason::TooLarge,
        detail: format!("{what}: {error}"),
        healed_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_window_overlaps_and_after_an_outage_is_bounded() {
        let at = Timestamp::from_millis;
        assert_eq!(
            live_window(at(1_000_000), at(1_015_000), 300_000),
            TimeRange::new(at(940_000), at(1_015_000))
        );
        assert_eq!(
            live_window(at(1_000_000), at(9_000_000), 300_000),
            TimeRange::new(at(940_000), at(1_300_000))
        );
    }
}
