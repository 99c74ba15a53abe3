//! What watching costs: the built `operator` copies an hour of a capture that is served over and over, and judges it as
//! it goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use operator::diagnose::HORIZON_MS;
use operator::model::Timestamp;
use testkit::capture_server::{CaptureServer, LoopedCapture};
use testkit::clock::ServerClock;

use super::cost::{cpu_seconds, memory_mb, peak_memory_mb};
use super::server::Server;

/// What is watched, and for how long.
pub struct Watching {
    /// The `operator` program.
    pub operator: PathBuf,
    /// The capture that is served.
    pub capture: PathBuf,
    /// How long is measured, after the hour was copied.
    pub minutes: u64,
}

/// The scrape interval and the recorder's, in milliseconds.
const STEP_MS: i64 = 15_000;

/// How long copying the hour and the first judgements may take.
const SETTLING: Duration = Duration::from_secs(120);

/// Watches, and prints what that took.
pub async fn run(watching: &Watching, clock: fn() -> Timestamp) -> Result<()> {
    let epoch = clock().saturating_add_millis(-HORIZON_MS);
    let supply = Arc::new(LoopedCapture::load(&watching.capture, usize::MAX, epoch, STEP_MS)?);
    let (series, hours) = (supply.labels().count(), HORIZON_MS as f64 / 3.6e6);
    println!("{series} series every {} s, {hours} h of them at first", STEP_MS / 1_000);
    let stand = CaptureServer::start(supply, ServerClock::Real).await?;
    let scratch = tempfile::tempdir()?;
    let dir = scratch.path().display().to_string();
    let arguments = ["watch", "--run", "watched", "--quiet", "--prometheus", &stand.prometheus];
    let arguments = arguments.into_iter().chain(["--pd", &stand.pd, "--dir", &dir]);
    let arguments: Vec<String> = arguments.map(str::to_owned).collect();
    let mut watch = Server::start(&watching.operator, &arguments)?;
    let pid = watch.id();
    tokio::time::sleep(SETTLING).await;
    let copied = (cpu_seconds(pid)?, peak_memory_mb(&pid.to_string())?);
    println!(
        "{:>6.1} s and at most {:.0} MB for the first {} s",
        copied.0,
        copied.1,
        SETTLING.as_secs()
    );
    let measured = Duration::from_secs(watching.minutes * 60);
    tokio::time::sleep(measured).await;
    let share = (cpu_seconds(pid)? - copied.0) / measured.as_secs_f64() * 100.0;
    let (held, peak) = (memory_mb(&pid.to_string())?, peak_memory_mb(&pid.to_string())?);
    println!("{share:>6.1} % of one core from then on, {held:.0} MB, at most {peak:.0} MB");
    watch.stop()
}
