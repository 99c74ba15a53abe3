//! Keeps answers until no earlier one can follow, and delivers them in order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::documents::Documents;
use super::{PdOrder, PdVisit};
use crate::capture::CaptureError;
use crate::capture::codec::PdRows;
use crate::model::{PdAnswer, PdOutcome, Timestamp};

/// Most bytes of answers that differ only in their bodies and are sorted by these.
const TWIN_BYTES: usize = 32 << 20;

/// An answer that waits until no earlier one can follow.
pub(super) struct Pending {
    at: i64,
    pub(super) rows: Rc<PdRows>,
    pub(super) row: usize,
}

pub(super) fn add_pending(rows: &Rc<PdRows>, visit: PdVisit, pending: &mut BinaryHeap<Pending>) {
    let inside = |row: &usize| visit.range.contains(Timestamp::from_millis(rows.sent(*row)));
    let at = |row| match visit.order {
        PdOrder::Sent => rows.sent(row),
        PdOrder::Observed => rows.observed(row),
    };
    let waiting = |row| Pending { at: at(row), rows: Rc::clone(rows), row };
    let Some(seed) = visit.shuffle_seed else {
        pending.extend((0..rows.len()).filter(inside).map(waiting));
        return;
    };
    let mut disordered: Vec<usize> = (0..rows.len()).filter(inside).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut disordered);
    pending.extend(disordered.into_iter().map(waiting));
}

impl Pending {
    pub(super) fn document(&self) -> Option<u64> {
        self.rows.document(self.row)
    }

    /// Compares all fields but the body.
    fn cmp_without_body(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at).then_with(|| self.rows.cmp(self.row, &other.rows, other.row))
    }
}

/// The earliest answer is the greatest, because a heap returns the greatest first.
impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.cmp_without_body(other);
        order.then_with(|| self.document().cmp(&other.document())).reverse()
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pending {}

/// Delivers the waiting answers before `until`; all of them for `None`.
pub(super) fn hand_over(
    pending: &mut BinaryHeap<Pending>,
    until: Option<i64>,
    documents: &mut Documents<'_>,
    each: &mut impl FnMut(PdAnswer) -> Result<(), CaptureError>,
) -> Result<(), CaptureError> {
    let due = |next: &&Pending| until.is_none_or(|until| next.at < until);
    while pending.peek().filter(due).is_some() {
        let Some(next) = pending.pop() else { break };
        let mut answers = vec![documents.answer(&next)?];
        let mut bytes = held_bytes(&answers[0]);
        // Answers that differ only in their bodies are sorted by these.
        while bytes < TWIN_BYTES
            && let Some(other) = pending.peek()
            && next.cmp_without_body(other).is_eq()
            && let Some(other) = pending.pop()
        {
            let answer = documents.answer(&other)?;
            bytes += held_bytes(&answer);
            answers.push(answer);
        }
        if documents.is_exhausted() {
            pending.clear();
            return Ok(());
        }
        answers.sort();
        answers.into_iter().flatten().try_for_each(&mut *each)?;
    }
    Ok(())
}

/// Approximate bytes of an answer in memory.
fn held_bytes(answer: &Option<PdAnswer>) -> usize {
    let body = match answer {
        Some(PdAnswer { outcome: PdOutcome::Answered { body, .. }, .. }) => body.len(),
        _ => 0,
    };
    size_of::<PdAnswer>() + body
}
