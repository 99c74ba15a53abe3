//! A run written to a capture, as a recorder would have: tick by tick.

use std::collections::BTreeMap;

use anyhow::Result;
use operator::capture::{CaptureWriter, Tick};
use operator::model::{EncodedLabels, PdAnswer, Timestamp};

use super::Run;

/// How much of a run a tick holds.
const TICK_MS: i64 = 60_000;

impl Run {
    /// Adds the run to a capture. What was written before is older.
    pub fn append(&self, writer: &mut CaptureWriter) -> Result<()> {
        let encoded: Vec<Vec<u8>> = self
            .series
            .iter()
            .map(|series| {
                let mut bytes = Vec::new();
                series.labels.encode(&mut bytes);
                bytes
            })
            .collect();
        let mut answers: BTreeMap<i64, Vec<PdAnswer>> = BTreeMap::new();
        let tick_of = |at: Timestamp| (at - self.window.start).max(0) / TICK_MS;
        for answer in &self.pd {
            answers.entry(tick_of(answer.sent)).or_default().push(answer.clone());
        }
        let mut next = vec![0; self.series.len()];
        let last = tick_of(self.window.end);
        for number in 0..=last {
            let pd = answers.remove(&number).unwrap_or_default();
            let mut tick = Tick { pd, ..Tick::default() };
            if number == last {
                tick.gaps.clone_from(&self.gaps);
            }
            for ((series, labels), next) in self.series.iter().zip(&encoded).zip(&mut next) {
                let rest = &series.samples[*next..];
                let own = rest.partition_point(|one| number == last || tick_of(one.at) <= number);
                if own > 0 {
                    tick.samples.push(writer.index(), EncodedLabels(labels), &rest[..own])?;
                    *next += own;
                }
            }
            writer.commit(tick)?;
        }
        Ok(())
    }
}
