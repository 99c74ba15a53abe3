//! The system clock and signals, to which only the command line has access.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::model::{Timestamp, parse_duration_ms};
use crate::record::{Clock, Stop};

/// The current instant of the wall clock.
#[expect(clippy::disallowed_methods, reason = "the command line owns the clock")]
pub fn now() -> Timestamp {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Timestamp::from_millis(millis)
}

/// A clock that cannot be stepped and that continues while the machine is suspended. On macOS and related
/// systems that is the monotonic clock; on a system with neither, suspensions are not detected.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "openbsd"))]
const BOOT_CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "openbsd")))]
const BOOT_CLOCK: ClockId = ClockId::Monotonic;

/// The time since the machine was started, including the time for which it was suspended.
pub fn since_boot() -> Duration {
    let read = clock_gettime(BOOT_CLOCK);
    // The clock begins at zero and its nanoseconds are below a second.
    let seconds = u64::try_from(read.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(read.tv_nsec).unwrap_or_default())
}

/// The clocks of the machine on which the program runs.
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        now()
    }

    fn since_boot(&self) -> Duration {
        since_boot()
    }
}

/// A flag that becomes true after `timeout`, such as `2m`.
///
/// # Errors
///
/// Where the text is no duration, or a negative one.
pub fn stop_after(timeout: &str) -> anyhow::Result<Arc<AtomicBool>> {
    let limit = Duration::from_millis(parse_duration_ms(timeout)?.try_into()?);
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // The thread ends with the program.
    std::thread::spawn(move || {
        std::thread::park_timeout(limit);
        flag.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

/// Waits for `work`; returns `None` where a request to stop arrives first.
pub async fn unless_stopped<T>(
    stop: &watch::Receiver<Stop>,
    work: impl Future<Output = T>,
) -> Option<T> {
    unless_stopped_as(Stop::AfterTick, stop, work).await
}

/// Waits for `work`; returns `None` where a request to stop arrives first that is at least as urgent as `least`.
pub async fn unless_stopped_as<T>(
    least: Stop,
    stop: &watch::Receiver<Stop>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        Ok(_) = stop.wait_for(|stop| *stop >= least) => None,
        done = work => Some(done),
    }
}

/// Turns the signal for a file beyond the process's limit (`ulimit -f`), which would kill the process, into
/// an error of the write. A runtime is needed during the call only.
///
/// # Errors
///
/// Where the signal handler cannot be installed.
pub fn let_writes_fail() -> std::io::Result<()> {
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

/// Turns SIGINT and SIGTERM into requests to stop: the first signal asks to stop after the tick, the second
/// one at once. It also calls [`let_writes_fail`].
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
