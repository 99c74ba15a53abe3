//! The system clock, and signals: what only the command line may ask the machine for.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::model::Timestamp;
use crate::record::Stop;

/// The current instant.
#[expect(clippy::disallowed_methods, reason = "the command line owns the clock")]
pub fn now() -> Timestamp {
    let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Timestamp::from_millis(millis)
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
