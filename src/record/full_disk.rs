//! A disk without room: what is held back meanwhile, and when it is tried again.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{PdAnswer, PdOutcome};

/// The first attempt follows after this long, and each takes twice as long to come as the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Attempts come no less often than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How many bytes of PD's answers are held. Prometheus holds its own.
const MOST_HELD_BYTES: usize = 16 << 20;
/// What an answer takes beside its body.
const ANSWER_BYTES: usize = 512;

/// A shortage of space that lasts.
#[derive(Debug)]
pub struct Shortage {
    wait: Duration,
    next: Instant,
    held_bytes: usize,
}

impl Shortage {
    /// One that was just found.
    pub fn new(now: Instant) -> Self {
        Self { wait: FIRST_WAIT, next: now + FIRST_WAIT, held_bytes: 0 }
    }

    /// It lasts: the attempt that was due has failed.
    pub fn lasts(&mut self, now: Instant) {
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.next = now + self.wait;
    }

    /// Whether it is time to try again.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Whether these answers can be held as well; they count as held then.
    pub fn holds(&mut self, answers: &[PdAnswer]) -> bool {
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
        let mut shortage = Shortage::new(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            now += Duration::from_secs(seconds);
            assert!(!shortage.is_due(now - Duration::from_millis(1)) && shortage.is_due(now));
            shortage.lasts(now);
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
        let mut shortage = Shortage::new(Instant::now());
        let held = (0..20).filter(|_| shortage.holds(std::slice::from_ref(&answer))).count();
        assert_eq!(held, 15);
    }
}
