//! The system clock, and signals: what only the command line may ask the machine for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::model::Timestamp;
use crate::record::{Clock, Stop};

/// The current instant.
#[expect(clippy::disallowed_methods, reason = "the command line owns the clock")]
pub fn now() -> Timestamp {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Timestamp::from_millis(millis)
}

/// A clock that nobody steps and that goes on while the machine is suspended. That of macOS and its
/// kin does so by the name of the monotonic one; where a system has neither, suspensions do not show.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "openbsd"))]
const BOOT_CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "openbsd")))]
const BOOT_CLOCK: ClockId = ClockId::Monotonic;

/// How long the machine has been running, including the time it was suspended.
pub fn since_boot() -> Duration {
    let read = clock_gettime(BOOT_CLOCK);
    // The clock begins at zero and its nanoseconds are below a second.
    let seconds = u64::try_from(read.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(read.tv_nsec).unwrap_or_default())
}

/// The clocks of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        now()
    }

    fn since_boot(&self) -> Duration {
        since_boot()
    }
}

/// Awaits `work`, or the first request to stop: then `None`.
pub async fn unless_stopped<T>(
    stop: &watch::Receiver<Stop>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|stop| *stop > Stop::No) => None,
        done = work => Some(done),
    }
}

/// A file that outgrows the limit of the process (`ulimit -f`) becomes an error of the write instead
/// of a signal that kills. Needs a runtime for the moment of the call alone.
///
/// # Errors
///
/// Where the signal handler cannot be installed.
pub fn let_writes_fail() -> std::io::Result<()> {
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

/// Turns SIGINT and SIGTERM into requests to stop: the first one after the tick, the second one
/// at once; and lets writes fail as [`let_writes_fail`] does.
///
/// # Errors
///
/// Where the signal handlers cannot be installed.
pub fn stop_on_signals() -> std::io::Result<watch::Receiver<Stop>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let_writes_fail()?;
    let (sender, receiver) = watch::channel(Stop::No);
    tokio::spawn(async move {
        for stop in [Stop::AfterTick, Stop::AtOnce] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            sender.send_replace(stop);
        }
        sender.closed().await;
    });
    Ok(receiver)
}
