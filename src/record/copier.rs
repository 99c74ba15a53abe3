//! Copies raw samples out of Prometheus into a batch of the capture.
//!
//! A window that the server refuses as too large is halved, then split by metric names; what it
//! refuses even then becomes a gap. Committing is left to the caller.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use super::feed::LiveFeed;
use crate::capture::{CaptureWriter, Tick};
use crate::model::{EncodedLabels, Gap, GapReason, Sample, Source, TimeRange, Timestamp};
use crate::source::{PrometheusClient, ReadMode, Selector, SeriesSink, SourceError};

/// Live windows begin this long before what has been copied, so that samples which Prometheus
/// appended late are seen. The index skips what was written before.
pub const OVERLAP_MS: i64 = 60_000;

/// Below this length a window is no longer halved but split by metric names.
const SHORTEST_WINDOW_MS: i64 = 30_000;

/// After so many refusals in a row the server counts as failing, not as limiting. Halving a
/// window and then its metrics down to one takes fewer than this.
const MAX_REFUSALS: u32 = 24;

/// The same for refusals that each cost a whole timeout.
const MAX_TIMEOUTS: u32 = 4;

/// How many series that cannot be read a gap names.
const MOST_NAMED: usize = 8;

/// How much of such a series' labels it quotes, in characters.
const MOST_NAME_CHARS: usize = 200;

/// What asks Prometheus, and for what.
#[derive(Clone, Debug)]
pub struct Copier {
    /// The server.
    pub client: PrometheusClient,
    /// How raw samples are fetched.
    pub mode: ReadMode,
    /// Which series are copied.
    pub selectors: Vec<Selector>,
}

/// The writer and the transaction that fills up, shared between what reads and what commits.
pub struct OpenTick {
    /// The capture.
    pub writer: CaptureWriter,
    /// What the next commit writes.
    pub tick: Tick,
    /// Who is told of it, if anybody.
    pub feed: Option<LiveFeed>,
}

/// What one window cost and brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowStats {
    /// Requests sent.
    pub requests: u64,
    /// Requests that the server refused as too large.
    pub refused: u64,
    /// Samples that were not in the capture before.
    pub samples: u64,
    /// Bytes received.
    pub bytes: u64,
    /// The window without the series that captures do not hold or that cannot be read.
    pub left_out: Vec<Gap>,
}

/// Series that are left out of a window.
#[derive(Default)]
struct LeftOut {
    /// Metrics with native histograms.
    histograms: BTreeSet<String>,
    /// Series that cannot be read, and why.
    unreadable: BTreeSet<String>,
    /// How many cannot be read beside these.
    further: u64,
}

impl LeftOut {
    fn unreadable(&mut self, series: &str, why: &str) {
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
        gaps
    }
}

/// A part of a window: a shorter range, or some of its metrics.
struct Piece {
    range: TimeRange,
    selectors: Vec<Selector>,
    names: Option<Vec<String>>,
}

impl Copier {
    /// Copies `range` into the open_tick's tick: samples, and gaps for what the server refuses to send.
    /// Series that are left out are told in what is returned.
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
        let mut stats = WindowStats::default();
        let mut left_out = LeftOut::default();
        let mut refusals_in_a_row = 0;
        let whole = Piece { range, selectors: self.selectors.clone(), names: None };
        let mut pieces = VecDeque::from([whole]);
        while let Some(piece) = pieces.pop_front() {
            stats.requests += 1;
            match self.read(&piece, open_tick, &mut stats, &mut left_out).await {
                Ok(()) => refusals_in_a_row = 0,
                Err(error) if error.is_limit() && refusals_in_a_row < refusals_borne(&error) => {
                    refusals_in_a_row += 1;
                    stats.refused += 1;
                    tracing::debug!(range = ?piece.range, %error, "the server refused a window");
                    for part in self.divide(piece, &error, open_tick).await?.into_iter().rev() {
                        pieces.push_front(part);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        stats.left_out = left_out.gaps(range);
        Ok(stats)
    }

    async fn read(
        &self,
        piece: &Piece,
        open_tick: &Mutex<OpenTick>,
        stats: &mut WindowStats,
        left_out: &mut LeftOut,
    ) -> Result<(), SourceError> {
        let mut sink = LedgerSink { open_tick, samples: 0, left_out };
        let read = self.client.read(self.mode, &piece.selectors, piece.range, &mut sink).await;
        stats.samples += sink.samples;
        stats.bytes += read?.bytes;
        Ok(())
    }

    /// Splits a refused piece in two, or gives it up as a gap where nothing is left to split.
    async fn divide(
        &self,
        piece: Piece,
        error: &SourceError,
        open_tick: &Mutex<OpenTick>,
    ) -> Result<Vec<Piece>, SourceError> {
        let Piece { range, selectors, names } = piece;
        if names.is_none() && range.millis() > SHORTEST_WINDOW_MS {
            let middle = range.start.saturating_add_millis(range.millis() / 2);
            let halves = [TimeRange::new(range.start, middle), TimeRange::new(middle, range.end)];
            return Ok(halves
                .into_iter()
                .map(|range| Piece { range, selectors: selectors.clone(), names: None })
                .collect());
        }
        let names = match names {
            Some(names) => names,
            None => self.names_in(range).await?,
        };
        if names.len() < 2 {
            lock(open_tick).tick.gaps.push(limit_gap(range, &names, error));
            return Ok(Vec::new());
        }
        Ok(names
            .chunks(names.len().div_ceil(2))
            .map(|half| Piece {
                range,
                selectors: self
                    .selectors
                    .iter()
                    .map(|selector| selector.with_metrics(half))
                    .collect(),
                names: Some(half.to_vec()),
            })
            .collect())
    }

    async fn names_in(&self, range: TimeRange) -> Result<Vec<String>, SourceError> {
        let mut names = BTreeSet::new();
        for selector in &self.selectors {
            names.extend(self.client.metric_names(selector, range).await?);
        }
        Ok(names.into_iter().collect())
    }
}

/// Locks the open_tick.
///
/// # Panics
///
/// Where a holder of the lock panicked: what it left half done must not be committed.
pub fn lock(open_tick: &Mutex<OpenTick>) -> std::sync::MutexGuard<'_, OpenTick> {
    open_tick.lock().expect("nobody panics while holding the open_tick")
}

/// The window that a live tick copies: from [`OVERLAP_MS`] before what has been copied to `now`,
/// or, after an outage, no further than `longest_ms`, so that a transaction stays bounded.
pub fn live_window(copied_through: Timestamp, now: Timestamp, longest_ms: i64) -> TimeRange {
    let start = copied_through.saturating_add_millis(-OVERLAP_MS);
    let end = now.min(copied_through.saturating_add_millis(longest_ms));
    TimeRange::new(start, end)
}

fn refusals_borne(error: &SourceError) -> u32 {
    if matches!(error, SourceError::Timeout { .. }) { MAX_TIMEOUTS } else { MAX_REFUSALS }
}

struct LedgerSink<'a> {
    open_tick: &'a Mutex<OpenTick>,
    samples: u64,
    left_out: &'a mut LeftOut,
}

impl SeriesSink for LedgerSink<'_> {
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError> {
        let mut open_tick = lock(self.open_tick);
        let OpenTick { writer, tick, feed } = &mut *open_tick;
        let new = match tick.samples.push(writer.index(), labels, samples) {
            Ok(new) => new,
            Err(error) => {
                self.left_out.unreadable(&labels.to_string(), &error.to_string());
                return Ok(());
            }
        };
        if let Some(feed) = feed {
            feed.series(labels, samples);
        }
        self.samples += new as u64;
        Ok(())
    }

    fn native_histogram(&mut self, labels: EncodedLabels<'_>) {
        // What cannot be decoded is refused by `series`; here only the name is of interest.
        let name = labels.decode().map(|labels| labels.metric().to_owned()).unwrap_or_default();
        self.left_out.histograms.insert(name);
    }

    fn unreadable(&mut self, series: &str, why: &str) {
        self.left_out.unreadable(series, why);
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
