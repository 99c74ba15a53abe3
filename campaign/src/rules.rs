//! What it takes to replay the bundled rules over captures, opening included.

use std::path::Path;

use anyhow::{Result, anyhow};
use operator::capture::CaptureReader;
use operator::promql::{Engine, EngineOptions};
use operator::rules::{self, External, Near, Outcome, Settings};
use operator::session::CaptureStorage;

use super::cost::timed;

/// The interval of evaluation: that of the subject's Prometheus.
const INTERVAL_MS: i64 = 15_000;

/// Prints a line for every capture in `folder`; the whole has to stay below 0.5 s each.
pub fn run(folder: &Path) -> Result<()> {
    println!(
        "{:<17} {:>8} {:>8} {:>6} {:>6} {:>6} {:>12}",
        "capture", "wall ms", "cpu ms", "rules", "fired", "errors", "cannot fire"
    );
    let files = rules::bundled();
    for path in testkit::capture_server::captures_in(folder)? {
        let (report, cost) = timed(|| {
            let reader = CaptureReader::open(&path)?;
            let storage = CaptureStorage::new(&reader);
            storage.announce(rules::metrics_read(&files));
            let engine = Engine::new(EngineOptions::new(storage.dialect()));
            let (window, external) = (reader.window(), External::default());
            let settings = Settings {
                window,
                run_in_from: window.start,
                interval_ms: INTERVAL_MS,
                metrics: &[],
                external,
                near: Near::None,
            };
            rules::replay(&files, &storage, &engine, &settings).map_err(|error| anyhow!(error))
        })?;
        println!(
            "{:<17} {:>8.1} {:>8.1} {:>6} {:>6} {:>6} {:>12}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            cost.wall_ms(),
            cost.cpu_ms(),
            report.rules().count(),
            report.count(Outcome::Fired),
            report.count(Outcome::Error),
            report.count(Outcome::CannotFire),
        );
    }
    Ok(())
}
