//! What is damaged in a capture, and which observations are lost with it.

use super::journal::PD_TARGET;
use super::reader::BlockRow;
use super::{CaptureError, CaptureReader};
use crate::model::{Loss, Observed, Readable, TimeRange, Timestamp, Unreadable, joined_unreadable};

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Damage {
    /// Which row, block or group.
    pub part: String,
    /// What does not hold.
    pub why: String,
    /// The time that it covered, where that is known.
    pub range: Option<TimeRange>,
    /// Whose observations are lost with it; `None` where none are.
    pub lost: Option<Observed>,
}

impl CaptureReader {
    /// What has been found damaged so far, each once.
    pub fn damage(&self) -> Vec<Damage> {
        let mut damage = self.damage.lock().expect("nothing panics while it notes damage").clone();
        damage.sort();
        damage.dedup();
        damage
    }

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

    /// Notes that a block, or a group of it, is lost.
    pub(super) fn note_block(&self, block: &BlockRow, group: &str, why: impl ToString) {
        let target = block.target.checked_sub(1).and_then(|n| self.targets.get(n as usize));
        let lost = match target {
            Some(target) => Observed::Target(target.key.clone()),
            None if block.target == PD_TARGET => Observed::Pd,
            None => Observed::Anything,
        };
        self.note_part(block, group, why, Some(lost));
    }

    pub(super) fn note_part(
        &self,
        block: &BlockRow,
        group: &str,
        why: impl ToString,
        lost: Option<Observed>,
    ) {
        let key = match block.target.checked_sub(1).and_then(|n| self.targets.get(n as usize)) {
            Some(target) => target.key.to_string(),
            None if block.target == PD_TARGET => "PD".to_owned(),
            None => format!("target {}", block.target),
        };
        let range = TimeRange::new(
            Timestamp::from_millis(block.first),
            Timestamp::from_millis(block.last).saturating_add_millis(1),
        );
        let part = format!("block {} ({key}){group}", block.id);
        self.note_lost(part, why.to_string(), Some(range), lost);
    }

    /// Notes damage that may have cost anybody's observations.
    pub(super) fn note(&self, part: String, why: String, range: Option<TimeRange>) {
        self.note_lost(part, why, range, Some(Observed::Anything));
    }

    pub(super) fn note_lost(
        &self,
        part: String,
        why: String,
        range: Option<TimeRange>,
        lost: Option<Observed>,
    ) {
        let mut damage = self.damage.lock().expect("nothing panics while it notes damage");
        damage.push(Damage { part, why, range, lost });
    }
}
