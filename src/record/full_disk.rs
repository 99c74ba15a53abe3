//! A full disk: how much is held in memory meanwhile, and when writing is tried again.
//!
//! Removing files to make room is the caller's.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{PdAnswer, PdOutcome};

/// The wait before the first new attempt; each further wait is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How many bytes of PD's answers are held in memory. Prometheus keeps its samples itself.
const MOST_HELD_BYTES: usize = 16 << 20;
/// What an answer occupies beside its body, in bytes.
const ANSWER_BYTES: usize = 512;

/// A disk that has been full since some commit.
#[derive(Debug)]
pub struct DiskShortage {
    wait: Duration,
    next: Instant,
    held_bytes: usize,
}

impl DiskShortage {
    /// A shortage that was found at `now`; the next attempt is due a second later.
    pub fn new(now: Instant) -> Self {
        Self { wait: FIRST_WAIT, next: now + FIRST_WAIT, held_bytes: 0 }
    }

    /// Notes that an attempt at `now` has failed, and doubles the wait up to a minute.
    pub fn attempt_failed(&mut self, now: Instant) {
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.next = now + self.wait;
    }

    /// Whether the next attempt is due at `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Whether these answers fit into the memory bound of 16 MiB; where they do, they count as held.
    pub fn try_hold(&mut self, answers: &[PdAnswer]) -> bool {
        let size = |answer: &PdAnswer| match &answer.outcome {
            PdOutcome::Answered { body, .. } => ANSWER_BYTES + body.len(),
            PdOutcome::Failed { detail, .. } => ANSWER_BYTES + detail.len(),
        };
        let bytes: usize = answers.iter().map(size).sum();
        let fits = self.held_bytes + bytes <= MOST_HELD_BYTES;
        if fits {
            self.held_bytes += bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn attempts_come_ever_less_often_and_at_least_once_a_minute() {
        let mut now = Instant::now();
        let mut shortage = DiskShortage::new(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            now += Duration::from_secs(seconds);
            assert!(!shortage.is_due(now - Duration::from_millis(1)) && shortage.is_due(now));
            shortage.attempt_failed(now);
        }
    }

    #[test]
    fn answers_are_held_up_to_a_bound() {
        let answer = PdAnswer {
            sent: Timestamp::default(),
            member: "pd0".to_owned(),
            url: "http://pd0:2379".to_owned(),
            path: "/pd/api/v1/stores".to_owned(),
            elapsed_us: 1,
            outcome: PdOutcome::Answered { status: 200, body: vec![0; 1 << 20].into() },
        };
        let mut shortage = DiskShortage::new(Instant::now());
        let held = (0..20).filter(|_| shortage.try_hold(std::slice::from_ref(&answer))).count();
        assert_eq!(held, 15);
    }
}
