//! Many gaps, events and targets, and texts of megabytes: time in proportion, and bounded tables.

use std::path::Path;

use anyhow::Result;
use operator::model::Labels;

use super::{Row, Scene};
use testkit::synthetic::{BEGIN_MS, SyntheticCapture, limited};

/// CPU time that one command may take, in seconds.
const MOST_CPU_S: u32 = 30;
/// Bytes that a command may print for a person.
const MOST_TEXT: usize = 24 << 20;

/// Shows and judges captures of many rows and long texts.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    for (name, made) in [
        ("100,000 gaps", SyntheticCapture::ten_minutes().gaps(100_000)),
        ("300,000 gaps", SyntheticCapture::ten_minutes().gaps(300_000)),
        ("100,000 events", SyntheticCapture::ten_minutes().events(100_000, 1)),
        ("300,000 events", SyntheticCapture::ten_minutes().events(300_000, 1)),
        (
            "3,000 events beside one of 10 MB",
            SyntheticCapture::ten_minutes().events(3_000, 10_000_000),
        ),
        ("2,000 targets beside one of 5 MB", targets(2_000, 5_000_000)),
        ("20 metrics beside one of 10 MB", metrics(20, 10_000_000)),
    ] {
        let path = scene.scratch.path().join("many.capture");
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        made.write(&path)?;
        for command in [&["show"][..], &["replay"], &["rules", "replay"], &["diff"]] {
            found.push(row(scene, name, command, &path)?);
        }
    }
    Ok(found)
}

fn targets(count: usize, longest: usize) -> SyntheticCapture {
    let target = |job: &str| {
        let labels = Labels::from_pairs(&[("__name__", "up"), ("instance", "i"), ("job", job)]);
        (labels, vec![(BEGIN_MS, 1.0), (BEGIN_MS + 15_000, 1.0)])
    };
    let mut series: Vec<_> = (0..count).map(|number| target(&format!("j{number}"))).collect();
    series.push(target(&"j".repeat(longest)));
    SyntheticCapture { series, ..SyntheticCapture::default() }
}

fn metrics(count: usize, longest: usize) -> SyntheticCapture {
    let metric = |name: &str| {
        let labels = Labels::from_pairs(&[("__name__", name), ("instance", "i"), ("job", "j")]);
        (labels, vec![(BEGIN_MS, 1.0), (BEGIN_MS + 15_000, 1.0)])
    };
    let mut series: Vec<_> = (0..count).map(|number| metric(&format!("m{number}"))).collect();
    series.push(metric(&"m".repeat(longest)));
    SyntheticCapture { series, ..SyntheticCapture::default() }
}

/// One command under its limits.
fn row(scene: &Scene, name: &str, command: &[&str], path: &Path) -> Result<Row> {
    let capture = path.display().to_string();
    let mut args = [command, &[&capture]].concat();
    if command == ["diff"] {
        args.push(&capture);
    }
    let output = limited(&scene.operator, &args, MOST_CPU_S)?;
    let code = output.status.code();
    Ok(Row {
        tried: format!("{name}: {}", command.join(" ")),
        seen: format!("exit code {code:?}, {} bytes", output.stdout.len()),
        holds: matches!(code, Some(0 | 10 | 11)) && output.stdout.len() < MOST_TEXT,
    })
}
