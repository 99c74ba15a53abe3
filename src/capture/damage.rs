//! What is damaged in a capture, and which observations are lost with it.

use std::collections::BTreeSet;

use super::journal::PD_TARGET;
use super::reader::BlockRow;
use super::{CaptureError, CaptureReader};
use crate::model::{Loss, Observed, Readable, TimeRange, Timestamp, Unreadable, joined_unreadable};

/// A part of the capture that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Damage {
    /// The row, block or group that is damaged.
    pub part: String,
    /// The check that failed.
    pub why: String,
    /// Range of time that it covered, if known.
    pub range: Option<TimeRange>,
    /// The source whose observations are lost with it; `None` where none are lost.
    pub lost: Option<Observed>,
}

/// What `verify` calls the sums that do not agree, which are no rows.
pub(super) const TOTALS: [&str; 2] = ["samples", "PD answers"];

/// The number of rows that are damaged: groups of one block count once, and sums that do not agree with what was read
/// only where nothing else says why.
pub fn damaged_rows(damage: &[Damage]) -> usize {
    let of = damage.iter().map(|one| one.part.split(" group ").next().unwrap_or(&one.part));
    let (totals, rows): (BTreeSet<&str>, BTreeSet<&str>) =
        of.partition(|part| TOTALS.contains(part));
    if rows.is_empty() { totals.len() } else { rows.len() }
}

impl CaptureReader {
    /// The number of rows of which damage was found so far; see [`damaged_rows`].
    pub fn damaged_rows(&self) -> usize {
        damaged_rows(&self.damage())
    }

    /// The damage that was found so far, sorted and without duplicates.
    pub fn damage(&self) -> Vec<Damage> {
        let mut damage = self.damage.lock().expect("nothing panics while it notes damage").clone();
        damage.sort();
        damage.dedup();
        damage
    }

    /// The ranges that were requested so far and could not be read in this file, ascending.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        let lost = self.damage().into_iter().filter_map(|damage| {
            Some(Unreadable { of: damage.lost?, range: damage.range.unwrap_or(TimeRange::ALL) })
        });
        joined_unreadable(lost)
    }

    /// What is lost in the whole capture, requested or not, and what was lost of the one that it was exported of;
    /// `None` where nothing is lost. Checks the blocks that were not read yet, and counts everything if one is
    /// damaged.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn loss(&self) -> Result<Option<Loss>, CaptureError> {
        let own = self.own_loss()?;
        Ok(self.meta().lost_before().cloned().chain(own).reduce(|mut before, own| {
            let lost = |before: Readable, own: Readable| Readable {
                recorded: before.recorded,
                read: before.read.saturating_sub(own.recorded.saturating_sub(own.read)),
            };
            before.samples = lost(before.samples, own.samples);
            before.pd_answers = lost(before.pd_answers, own.pd_answers);
            before.parts = joined_unreadable(before.parts.into_iter().chain(own.parts));
            before
        }))
    }

    /// What was damaged in the captures that this one was made of, as damage of parts of theirs.
    pub fn damage_before(&self) -> Vec<Damage> {
        let parts =
            joined_unreadable(self.meta().lost_before().flat_map(|lost| lost.parts.clone()));
        let damage = parts.into_iter().map(|part| Damage {
            part: format!("what was recorded of {}", part.of),
            why: "damaged in the capture that this one was made of".to_owned(),
            range: Some(part.range).filter(|range| *range != TimeRange::ALL),
            lost: Some(part.of),
        });
        damage.collect()
    }

    /// What is lost in this file itself.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn own_loss(&self) -> Result<Option<Loss>, CaptureError> {
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

    /// Notes damage that may affect the observations of any source.
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
