//! What damage has cost a capture, and the digest of what can still be read.

use sha2::{Digest, Sha256};

use super::{CaptureError, CaptureReader};
use crate::model::{Loss, Readable, TimeRange, Unreadable, joined_unreadable};

/// Observations that can be read, with the sums of their hashes.
#[derive(Clone, Debug)]
pub struct ReadableContent {
    samples: u64,
    samples_sum: String,
    pd_answers: u64,
    pd_sum: String,
}

impl CaptureReader {
    /// What has been asked for so far and could not be read, ascending.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        let lost = self.damage().into_iter().filter_map(|damage| {
            Some(Unreadable { of: damage.lost?, range: damage.range.unwrap_or(TimeRange::ALL) })
        });
        joined_unreadable(lost)
    }

    /// What damage has cost the capture as a whole, asked for or not; `None` where it cost nothing.
    /// Checks the blocks that nobody has read yet; of a damaged capture it then counts everything.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn loss(&self) -> Result<Option<Loss>, CaptureError> {
        let Some(counted) = self.counted()? else { return Ok(None) };
        let state = self.state();
        let loss = Loss {
            samples: Readable { recorded: state.samples, read: counted.samples },
            pd_answers: Readable { recorded: state.pd_answers, read: counted.pd_answers },
            parts: self.unreadable(),
        };
        let is_whole = loss.samples.recorded == loss.samples.read
            && loss.pd_answers.recorded == loss.pd_answers.read
            && loss.parts.is_empty();
        Ok((!is_whole).then_some(loss))
    }

    /// SHA-256 of the content that can be read, in hexadecimal: metadata, samples, PD answers, gaps
    /// and events, whatever the order in which they were written. Compacting keeps it. Of a damaged
    /// capture it differs from [`recorded_digest`](Self::recorded_digest).
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn digest(&self) -> Result<String, CaptureError> {
        match self.counted()? {
            Some(counted) => self.digest_of(counted),
            None => self.recorded_digest(),
        }
    }

    /// The digest by the counts and sums that were committed, whether the observations behind them
    /// can still be read or not; gaps and events enter it as they are read.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn recorded_digest(&self) -> Result<String, CaptureError> {
        let state = self.state();
        self.digest_of(&ReadableContent {
            samples: state.samples,
            samples_sum: state.samples_sum.clone(),
            pd_answers: state.pd_answers,
            pd_sum: state.pd_sum.clone(),
        })
    }

    /// What can be read, where something is damaged.
    fn counted(&self) -> Result<Option<&ReadableContent>, CaptureError> {
        if let Some(counted) = self.counted.get() {
            return Ok(Some(counted));
        }
        for block in &self.blocks {
            let checked = self.checked.lock().expect("nothing panics while it adds a number");
            let is_checked = checked.contains(&block.id);
            drop(checked);
            if !is_checked {
                self.block_body(block)?;
            }
        }
        if self.damage().is_empty() {
            return Ok(None);
        }
        let (samples, samples_sum) = self.recount()?;
        let (pd_answers, pd_sum) = self.recount_pd()?;
        let counted = ReadableContent {
            samples,
            samples_sum: format!("{samples_sum:032x}"),
            pd_answers,
            pd_sum: format!("{pd_sum:032x}"),
        };
        Ok(Some(self.counted.get_or_init(|| counted)))
    }

    fn digest_of(&self, counted: &ReadableContent) -> Result<String, CaptureError> {
        let mut hasher = Sha256::new();
        let heads = serde_json::json!({
            "meta": self.meta(),
            "samples": counted.samples,
            "samples_sum": counted.samples_sum,
            "pd_answers": counted.pd_answers,
            "pd_sum": counted.pd_sum,
            "gaps": self.gaps()?,
            "events": self.events()?,
        });
        hasher.update(heads.to_string());
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
