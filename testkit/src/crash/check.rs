//! Whether a capture holds what its recorders said they had committed, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use operator::capture::{CaptureReader, verify};
use operator::model::{Gap, GapReason, Labels, Sample, Source, TimeRange, Timestamp};

use super::campaign::{Found, Kind, Run, STEP_MS};
use super::session::Ended;

/// Every live window reaches back this far, and so does the first one.
const OVERLAP_MS: i64 = 60_000;

impl Run<'_> {
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join("run.capture")
    }

    pub(super) fn has_side_file(&self, suffix: &str) -> bool {
        let path = self.directory.join(format!("run.capture{suffix}"));
        std::fs::metadata(path).is_ok_and(|data| data.len() > 0)
    }

    /// Checks the file against the source and against what recorders said.
    pub(super) fn check(&mut self, ended: Ended) -> Result<()> {
        let path = self.path();
        if !path.exists() && self.said.commits == 0 {
            return Ok(());
        }
        let report = verify(&path).context("the capture does not open")?;
        ensure!(report.damage.is_empty(), "damaged: {:?}", report.damage);
        let reader = CaptureReader::open(&path)?;
        let held = self.check_samples(&reader)?;
        let stored = reader.inventory()?.samples;
        ensure!(held == stored, "{stored} samples are stored, {held} of them are distinct");
        ensure!(held >= self.found.samples, "{held} samples after {}", self.found.samples);
        let gaps = reader.gaps()?;
        self.check_gaps(&gaps)?;
        let pd = reader.pd_answers(TimeRange::ALL)?;
        ensure!(pd.windows(2).all(|pair| pair[0] != pair[1]), "a PD answer stands twice");
        ensure!(pd.starts_with(&self.found.pd), "PD answers that were there are gone");
        let said = self.said.pd_answers;
        ensure!(pd.len() as u64 >= said, "{} PD answers, {said} were committed", pd.len());
        self.found = Found { samples: held, pd, gaps };
        if ended == Ended::Itself {
            for suffix in ["-wal", "-journal", "-shm", ".lock"] {
                ensure!(!self.has_side_file(suffix), "a sealed capture left {suffix} behind");
            }
        }
        Ok(())
    }

    /// Every sample of the source up to what was said to be committed is there, to the bit, and
    /// there is none that the source never had. Returns how many samples the capture holds.
    pub(super) fn check_samples(&self, reader: &CaptureReader) -> Result<u64> {
        let series = reader.select(&[], TimeRange::ALL)?;
        let mut held: BTreeMap<Labels, Vec<Sample>> =
            series.into_iter().map(|series| (series.labels, series.samples)).collect();
        let count = held.values().map(Vec::len).sum::<usize>() as u64;
        held.retain(|labels, _| labels.get("job") != Some("operator"));
        let first = held.values().filter_map(|samples| Some(samples.first()?.at)).min();
        let start = match (self.kind, first) {
            (Kind::History(range), _) => range.start,
            (Kind::Live, Some(first)) => first,
            (Kind::Live, None) => Timestamp::MAX,
        };
        if let (Kind::Live, Some(through)) = (self.kind, self.said.first_through) {
            let latest = through + (2 * self.looped.step_ms - OVERLAP_MS);
            ensure!(start <= latest, "the first window began at {start}, after {latest}");
        }
        // What shows late may not have shown yet when the window that ends there was copied.
        let through = self.said.through.map_or(Timestamp::MIN, |through| match self.kind {
            Kind::Live => through + -self.looped.step_ms,
            Kind::History(_) => through,
        });
        // Targets are scraped at different moments of a step, so the first window's first step
        // may hold some of them only.
        let whole =
            if self.kind == Kind::Live { start.saturating_add_millis(STEP_MS) } else { start };
        for (number, labels) in self.looped.labels().enumerate() {
            let samples = held.remove(labels).unwrap_or_default();
            let end = samples.last().map_or(through, |last| (last.at + 1).max(through));
            let expected = self.looped.samples(number, TimeRange::new(start, end));
            let committed =
                expected.iter().filter(|sample| whole <= sample.at && sample.at < through);
            let there = samples.iter().filter(|sample| whole <= sample.at && sample.at < through);
            ensure!(committed.eq(there), "{labels}: what is held up to {through} differs");
            let mut source = expected.iter();
            ensure!(
                samples.iter().all(|sample| source.any(|other| other == sample)),
                "{labels}: a sample that the source never had"
            );
        }
        ensure!(held.is_empty(), "series that the source never had: {:?}", held.keys().next());
        Ok(count)
    }

    /// Gaps tell of Prometheus breaking off and of times without a recorder. Each stands once, and
    /// for good: of what was committed, only whether it is healed may change.
    pub(super) fn check_gaps(&self, gaps: &[Gap]) -> Result<()> {
        let open = |gap: &Gap| Gap { healed_at: None, ..gap.clone() };
        let mut distinct: Vec<Gap> = gaps.iter().map(open).collect();
        distinct.dedup();
        ensure!(distinct.len() == gaps.len(), "a gap stands twice: {gaps:?}");
        for gap in gaps {
            let expected =
                gap.source == Source::Prometheus || gap.reason == GapReason::RecorderDown;
            ensure!(expected, "{gap:?}");
        }
        for before in &self.found.gaps {
            let kept = gaps.iter().any(|gap| {
                let same = before.healed_at.is_none() || gap.healed_at == before.healed_at;
                same && open(gap) == open(before)
            });
            ensure!(kept, "{before:?} is gone from {gaps:?}");
        }
        Ok(())
    }
}
