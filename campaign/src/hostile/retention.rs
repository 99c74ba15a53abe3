//! A recorder that runs for long: a day of segments that come and go.
//!
//! `OPERATOR_CAMPAIGN_SPEED=60` lets the day take 24 minutes; without it, it takes two and a half.

use anyhow::{Context, Result};

use super::{Row, Scene};
use testkit::clock::wall_clock;
use testkit::retention::{LongRecording, run};

/// How many seconds pass in one, where nothing is said.
const SPEED: u32 = 600;
/// Memory may grow by this share from the first third of the day to the last: what the allocator
/// keeps is not the same at every moment.
const GROWTH: f64 = 0.15;
/// Connections come and go.
const FILES: i64 = 4;

/// Records a day, and prints what the recorder held at every segment.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let speed = std::env::var("OPERATOR_CAMPAIGN_SPEED").ok();
    let speed = speed.map(|text| text.parse()).transpose().context("no speed")?.unwrap_or(SPEED);
    let capture = scene.data.join("chaos-01.capture");
    let retained = LongRecording { capture, series: 3_000, hours: 24, speed, keep_hours: 6 };
    let tally = tokio::runtime::Runtime::new()?.block_on(run(&retained, wall_clock()))?;
    for (number, held) in tally.held.iter().enumerate() {
        println!(
            "  segment {:>2}: {:>6.1} MB, {:>3} files open, {} captures",
            number + 2,
            held.memory_mb,
            held.files,
            held.captures
        );
    }
    let (grown, files) = tally.growth();
    let captures = tally.held.iter().map(|held| held.captures).max().unwrap_or_default();
    Ok(vec![
        Row {
            tried: format!("a day at {speed}×, memory and open files"),
            seen: format!("{:+.1} % and {files:+} from the first third to the last", grown * 100.0),
            holds: grown < GROWTH && files <= FILES,
        },
        Row {
            tried: "the same, what is kept of it".to_owned(),
            seen: format!(
                "{} sealed, {} dropped, {captures} at most at once",
                tally.sealed, tally.dropped
            ),
            holds: tally.dropped + 9 >= tally.sealed && tally.sealed >= 20 && captures <= 9,
        },
        Row {
            tried: "the same, samples of the source".to_owned(),
            seen: format!(
                "{} of {} there, segments {} s apart",
                tally.found,
                tally.samples,
                tally.apart_ms / 1000
            ),
            holds: tally.samples > 0 && tally.found == tally.samples && tally.apart_ms < 0,
        },
    ])
}
