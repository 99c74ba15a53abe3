//! The digest of the content of a capture, and the hashes that it is made of.

use sha2::{Digest, Sha256};

use super::codec::put_varint;
use super::reader::EVERY_ANSWER;
use super::series_segment::target_labels;
use super::{CaptureError, CaptureReader};
use crate::model::{Fingerprint, PdAnswer, PdOutcome, TimeRange};

/// Number of observations that can be read, with the sums of their hashes in hexadecimal.
#[derive(Clone, Debug)]
pub struct ReadableContent {
    pub samples: u64,
    samples_sum: String,
    pub pd_answers: u64,
    pd_sum: String,
}

impl CaptureReader {
    /// SHA-256 of the content that can be read, in hexadecimal: metadata, samples, PD answers, gaps
    /// and events. It does not depend on the order of writing, and compacting keeps it. For a
    /// damaged capture it differs from [`recorded_digest`](Self::recorded_digest).
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

    /// The digest from the counts and sums that were committed, whether the observations can still
    /// be read or not. Gaps and events are included as they are read.
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

    /// Decodes all samples; returns their number and the sum of their hashes.
    pub(super) fn recount(&self) -> Result<(u64, u128), CaptureError> {
        let (mut count, mut sum) = (0_u64, 0_u128);
        for (number, target) in (1_u32..).zip(&self.targets) {
            let extra = target_labels(&target.key);
            let fingerprints: Vec<Fingerprint> =
                target.sets.iter().map(|set| set.fingerprint_with(&extra)).collect();
            let wanted = vec![true; fingerprints.len()];
            self.scan_target(number, TimeRange::ALL, &wanted, |columns| {
                for (row, ordinal) in columns.ordinals.iter().enumerate() {
                    let fingerprint = fingerprints[*ordinal as usize];
                    for (at, bits) in columns.samples(row) {
                        count += 1;
                        sum = sum.wrapping_add(sample_hash(fingerprint, at, bits));
                    }
                }
            })?;
        }
        Ok((count, sum))
    }

    /// Reads all PD answers; returns their number and the sum of their hashes.
    pub(super) fn recount_pd(&self) -> Result<(u64, u128), CaptureError> {
        let (mut count, mut sum) = (0, 0_u128);
        self.visit_pd_answers(EVERY_ANSWER, |answer| {
            count += 1;
            sum = sum.wrapping_add(pd_hash(&answer));
            Ok(())
        })?;
        Ok((count, sum))
    }

    /// The content that can be read, if something is damaged; `None` for a whole capture.
    pub(super) fn counted(&self) -> Result<Option<&ReadableContent>, CaptureError> {
        if let Some(counted) = self.counted.get() {
            return Ok(Some(counted));
        }
        for block in self.blocks.iter() {
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
        // Item by item: a million gaps as one tree of JSON values take two gigabytes.
        hash_list(&mut hasher, "{\"events\":[", &self.events()?);
        hash_list(&mut hasher, "],\"gaps\":[", &self.gaps()?);
        let heads = serde_json::json!({
            "meta": self.meta(),
            "pd_answers": counted.pd_answers,
            "pd_sum": counted.pd_sum,
            "samples": counted.samples,
            "samples_sum": counted.samples_sum,
        });
        hasher.update("],");
        hasher.update(&heads.to_string()[1..]);
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Hashes `before` and the JSON of each item, with commas in between.
fn hash_list<T: serde::Serialize>(hasher: &mut Sha256, before: &str, items: &[T]) {
    hasher.update(before);
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            hasher.update(",");
        }
        // A value of JSON has its keys in order, whatever the order of the fields.
        let value = serde_json::to_value(item).expect("gaps and events are plain structures");
        hasher.update(value.to_string());
    }
}

/// Hash of a PD answer, for the digest of the content of a capture.
pub fn pd_hash(answer: &PdAnswer) -> u128 {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    let mut numbers = Vec::new();
    put_varint(&mut numbers, answer.sent.as_millis() as u64);
    put_varint(&mut numbers, u64::from(answer.elapsed_us));
    hash.update(&numbers);
    let mut put_bytes = |hash: &mut xxhash_rust::xxh3::Xxh3, bytes: &[u8]| {
        numbers.clear();
        put_varint(&mut numbers, bytes.len() as u64);
        hash.update(&numbers);
        hash.update(bytes);
    };
    for text in [&answer.member, &answer.url, &answer.path] {
        put_bytes(&mut hash, text.as_bytes());
    }
    match &answer.outcome {
        PdOutcome::Answered { status, body } => {
            let mut number = Vec::new();
            put_varint(&mut number, u64::from(*status));
            hash.update(&number);
            put_bytes(&mut hash, body);
        }
        PdOutcome::Failed { reason, detail } => {
            put_bytes(&mut hash, reason.name().as_bytes());
            put_bytes(&mut hash, detail.as_bytes());
        }
    }
    hash.digest128()
}

/// Hash of a sample. The hashes of all samples are summed, so the digest does not depend on the
/// order of writing or on the cut into blocks.
pub fn sample_hash(fingerprint: Fingerprint, at: i64, bits: u64) -> u128 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&fingerprint.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&at.to_le_bytes());
    bytes[24..].copy_from_slice(&bits.to_le_bytes());
    xxhash_rust::xxh3::xxh3_128(&bytes)
}
