//! Samples years apart: time and memory do not grow with the length of a window.

use std::path::Path;

use anyhow::Result;

use super::{Row, Scene};
use operator::model::{Labels, Timestamp};
use testkit::synthetic::{BEGIN_MS, SyntheticCapture, limited, up};

/// CPU time that one command may take, in seconds.
const MOST_CPU_S: u32 = 10;
/// Ends of the window beside the run, in milliseconds since 1970.
const FAR: [(&str, i64); 3] = [
    ("1970", 0),
    ("1926", -1_388_534_400_000),
    ("milliseconds taken for seconds", BEGIN_MS * 1_000),
];

/// Evaluates over captures that hold a run and a sample far from it.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    for (name, far_ms) in FAR {
        let path = scene.scratch.path().join("far.capture");
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        far(far_ms).write(&path)?;
        let capture = path.display().to_string();
        let end = Timestamp::from_millis(far_ms.max(BEGIN_MS)).to_string();
        let narrow: [&[&str]; 6] = [
            &["rules", "replay", &capture],
            &["rules", "check", &capture],
            &["replay", &capture],
            &["show", &capture],
            &["query", &capture, "up"],
            &["query", &capture, "count_over_time(up[1h])", "--start", &end, "--step", "15s"],
        ];
        for args in narrow {
            found.push(bounded(
                scene,
                &format!("a sample of {name}: {} {}", args[0], args[1]),
                args,
            )?);
        }
        found.push(refused(scene, name, &capture)?);
    }
    Ok(found)
}

/// Ten minutes of a run, and series with one sample far from it.
fn far(far_ms: i64) -> SyntheticCapture {
    let mut made = SyntheticCapture::ten_minutes();
    let histogram = |suffix: &str| {
        let name = format!("tikv_pd_request_duration_seconds{suffix}");
        up("tikv").with(&[("__name__", &name), ("type", "tso")])
    };
    let both = |labels: Labels, value: f64| {
        let run = (0..40).map(|scrape| (BEGIN_MS + scrape * 15_000, value * (scrape + 1) as f64));
        let mut samples: Vec<(i64, f64)> = run.chain([(far_ms, value)]).collect();
        samples.sort_by_key(|(at, _)| *at);
        (labels, samples)
    };
    made.series.push(both(up("other"), 1.0));
    made.series.push(both(histogram("_sum"), 0.5));
    made.series.push(both(histogram("_count"), 100.0));
    let requests = [("__name__", "tikv_grpc_msg_duration_seconds_count"), ("type", "kv_get")];
    made.series.push(both(up("tikv").with(&requests), 1_000.0));
    made
}

fn bounded(scene: &Scene, tried: &str, args: &[&str]) -> Result<Row> {
    let output = limited(&scene.operator, args, MOST_CPU_S)?;
    let code = output.status.code();
    let told = matches!(code, Some(0 | 10 | 11));
    Ok(Row {
        tried: tried.replace(&scene.scratch.path().display().to_string(), ""),
        seen: format!("exit code {code:?}, {} bytes", output.stdout.len()),
        holds: told && output.stdout.len() < 1 << 20,
    })
}

/// The whole window is refused where somebody asks for it, and what to do is said.
fn refused(scene: &Scene, name: &str, capture: &str) -> Result<Row> {
    let args = ["rules", "replay", capture, "--from", "1900-01-01T00:00:00Z"];
    let output = limited(&scene.operator, &args, MOST_CPU_S)?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let says = ["--from", "--to", "--step"].iter().all(|flag| text.contains(flag));
    Ok(Row {
        tried: format!("a sample of {name}: rules over all of it"),
        seen: text.lines().next().unwrap_or_default().to_owned(),
        holds: output.status.code() == Some(2) && says && Path::new(capture).exists(),
    })
}
