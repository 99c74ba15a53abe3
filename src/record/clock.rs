//! The recorder's clocks: the wall clock, which stamps observations, and the time since boot, by
//! which things are due.
//!
//! Somebody may step the wall clock, and the monotonic clock of Linux stands still while the machine
//! is suspended. Only the time since boot tells how much time has passed.

use std::time::Duration;

use tokio::time::Sleep;

use crate::model::{TimeRange, Timestamp};

/// Whoever waits for something due wakes at least this often: timers run on the monotonic clock,
/// so after a suspension they would fire as much later as it lasted.
pub const WAKE: Duration = Duration::from_secs(1);
/// Between two looks at the clocks at least a process that runs as it should lets less time pass. It
/// looks every second, and a commit or the sealing of a journal takes less than four.
const LONGEST_PAUSE_MS: i64 = 5_000;
/// A larger divergence of the two clocks between two looks is a step. Adjusting the rate moves a clock
/// by half a millisecond a second at most.
const LEAST_STEP_MS: i64 = 1_000;
/// Looks at the two clocks that lie further apart than this do not belong together.
const TOGETHER: Duration = Duration::from_millis(100);

/// The clocks of a machine. They are the caller's, so that tests can step and suspend them.
pub trait Clock: Sync {
    /// The wall clock. It may jump in both directions.
    fn wall(&self) -> Timestamp;

    /// How long the machine has been running, including the time it was suspended.
    fn since_boot(&self) -> Duration;

    /// Waits for about `wait`; where the process is stopped or the machine suspended, for longer.
    fn sleep(&self, wait: Duration) -> Sleep {
        tokio::time::sleep(wait)
    }
}

/// One look at the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The instant by the clock that stamps: the wall clock, or Prometheus's own for its samples.
    pub at: Timestamp,
    /// The wall clock's instant when the recording began, plus the time that has passed since.
    pub steady: Timestamp,
}

impl Reading {
    /// The reading that much time before or after, by clocks that nobody steps.
    pub fn shifted(self, millis: i64) -> Self {
        Self {
            at: self.at.saturating_add_millis(millis),
            steady: self.steady.saturating_add_millis(millis),
        }
    }
}

/// The clocks as a recording sees them.
#[derive(Clone, Copy)]
pub struct Clocks {
    clock: &'static dyn Clock,
    began: Timestamp,
    began_boot: Duration,
}

impl Clocks {
    /// Counts steady time from now.
    pub fn start(clock: &'static dyn Clock) -> Self {
        let (began, began_boot) = look(clock);
        Self { clock, began, began_boot }
    }

    /// Looks at both clocks.
    pub fn read(&self) -> Reading {
        let (at, boot) = look(self.clock);
        let passed = boot.saturating_sub(self.began_boot).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        Reading { at, steady: self.began.saturating_add_millis(passed) }
    }

    /// Wakes when `due` has come by steady time, or earlier, within [`WAKE`].
    pub fn sleep_until(&self, due: Timestamp) -> Sleep {
        let millis = u64::try_from(due - self.read().steady).unwrap_or_default();
        self.clock.sleep(Duration::from_millis(millis).min(WAKE))
    }
}

/// Both clocks at one moment, as far as a process that can be stopped at any point can tell.
fn look(clock: &dyn Clock) -> (Timestamp, Duration) {
    let mut before = clock.since_boot();
    let mut wall = clock.wall();
    for _ in 0..3 {
        let after = clock.since_boot();
        if after.saturating_sub(before) < TOGETHER {
            break;
        }
        before = after;
        wall = clock.wall();
    }
    (wall, before)
}

/// What the clocks did between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How far the wall clock was stepped, in milliseconds.
    pub step_ms: Option<i64>,
    /// When the process did not run, by steady time.
    pub pause: Option<TimeRange>,
}

/// Notices steps of the wall clock and pauses of the process. Whoever uses it looks every [`WAKE`].
#[derive(Clone, Copy, Debug)]
pub struct ClockWatch {
    last: Reading,
}

impl ClockWatch {
    /// Watches from this reading on.
    pub fn new(first: Reading) -> Self {
        Self { last: first }
    }

    /// Compares a reading with the one before.
    pub fn look(&mut self, now: Reading) -> Passed {
        let before = std::mem::replace(&mut self.last, now);
        let passed_ms = now.steady - before.steady;
        let step_ms = (now.at - before.at).saturating_sub(passed_ms);
        Passed {
            step_ms: (step_ms.abs() > LEAST_STEP_MS).then_some(step_ms),
            pause: (passed_ms > LONGEST_PAUSE_MS)
                .then(|| TimeRange::new(before.steady, now.steady)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: i64, steady: i64) -> Reading {
        Reading { at: Timestamp::from_millis(at), steady: Timestamp::from_millis(steady) }
    }

    #[test]
    fn a_step_is_told_from_a_rate_and_from_a_pause() {
        let mut watch = ClockWatch::new(reading(0, 0));
        assert_eq!(watch.look(reading(1_001, 1_000)), Passed::default());
        for second in 2..4_000 {
            let slewed = second * 1_000 + second / 2;
            assert_eq!(watch.look(reading(slewed, second * 1_000)), Passed::default());
        }
        let mut watch = ClockWatch::new(reading(0, 0));
        assert_eq!(watch.look(reading(-3_599_000, 1_000)).step_ms, Some(-3_600_000));
        let suspended = watch.look(reading(-3_529_000, 71_000));
        let pause = TimeRange::new(Timestamp::from_millis(1_000), Timestamp::from_millis(71_000));
        assert_eq!(suspended, Passed { step_ms: None, pause: Some(pause) });
    }
}
