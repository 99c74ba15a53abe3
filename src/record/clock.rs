//! The recorder's clocks: the wall clock, which stamps observations, and the time since boot, which
//! decides what is due.
//!
//! The wall clock can be stepped, and the monotonic clock of Linux stands still while the machine is
//! suspended. Only the time since boot says how much time has passed. "Steady time" is the wall clock at
//! the start of the recording plus the time since boot that has passed since.

use std::time::Duration;

use tokio::time::Sleep;

use crate::model::{TimeRange, Timestamp};

/// A wait for something due wakes up at least this often: timers run on the monotonic clock, so that
/// after a suspension they would fire late by its length.
pub const WAKE_INTERVAL: Duration = Duration::from_secs(1);
/// A longer time between two readings of the clocks is a pause of the process. The recorder reads them
/// every second, and a commit or the sealing of a journal takes less than four.
const LONGEST_PAUSE_MS: i64 = 5_000;
/// A larger divergence of the two clocks between two readings is a step of the wall clock. Adjusting
/// the rate (NTP slewing) moves a clock by at most half a millisecond in a second.
const LEAST_STEP_MS: i64 = 1_000;
/// The two clocks are read again where reading them took longer than this.
const LONGEST_READ: Duration = Duration::from_millis(100);

/// The clocks of a machine. The caller supplies them, so that tests can step and suspend them.
pub trait Clock: Sync {
    /// The instant of the wall clock, which may jump in both directions.
    fn wall(&self) -> Timestamp;

    /// The time since the machine was started, including the time for which it was suspended.
    fn since_boot(&self) -> Duration;

    /// Waits for about `wait`, or longer where the process is stopped or the machine is suspended.
    fn sleep(&self, wait: Duration) -> Sleep {
        tokio::time::sleep(wait)
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The instant by the clock that stamps observations: the wall clock, or Prometheus's for its samples.
    pub at: Timestamp,
    /// The same instant in steady time.
    pub steady: Timestamp,
}

impl Reading {
    /// The reading `millis` later, or earlier where negative, if neither clock is stepped in between.
    pub fn shifted(self, millis: i64) -> Self {
        Self {
            at: self.at.saturating_add_millis(millis),
            steady: self.steady.saturating_add_millis(millis),
        }
    }
}

/// The clocks of a recording, with the origin of its steady time.
#[derive(Clone, Copy)]
pub struct Clocks {
    clock: &'static dyn Clock,
    began: Timestamp,
    began_boot: Duration,
}

impl Clocks {
    /// Clocks whose steady time begins now.
    pub fn start(clock: &'static dyn Clock) -> Self {
        let (began, began_boot) = read_both(clock);
        Self { clock, began, began_boot }
    }

    /// Reads both clocks.
    pub fn read(&self) -> Reading {
        let (at, boot) = read_both(self.clock);
        let passed = boot.saturating_sub(self.began_boot).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        Reading { at, steady: self.began.saturating_add_millis(passed) }
    }

    /// Sleeps until the steady time `due`, but at most for [`WAKE_INTERVAL`].
    pub fn sleep_until(&self, due: Timestamp) -> Sleep {
        let millis = u64::try_from(due - self.read().steady).unwrap_or_default();
        self.clock.sleep(Duration::from_millis(millis).min(WAKE_INTERVAL))
    }
}

/// The wall clock and the time since boot at the same moment, as closely as a process that can be
/// stopped at any point can read them.
fn read_both(clock: &dyn Clock) -> (Timestamp, Duration) {
    let mut before = clock.since_boot();
    let mut wall = clock.wall();
    for _ in 0..3 {
        let after = clock.since_boot();
        if after.saturating_sub(before) < LONGEST_READ {
            break;
        }
        before = after;
        wall = clock.wall();
    }
    (wall, before)
}

/// What happened to the clocks between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The step of the wall clock in milliseconds; `None` where it was not stepped.
    pub step_ms: Option<i64>,
    /// The time in which the process did not run, in steady time.
    pub pause: Option<TimeRange>,
}

/// Detects steps of the wall clock and pauses of the process. Its owner calls [`look`](Self::look) every
/// [`WAKE_INTERVAL`].
#[derive(Clone, Copy, Debug)]
pub struct ClockWatch {
    last: Reading,
}

impl ClockWatch {
    /// A watch that begins with this reading.
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
