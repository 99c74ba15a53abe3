//! Far-off times, many rows and long texts: seconds of the campaigns `hostile windows` and
//! `hostile many_rows`.

use std::path::Path;

use crate::bounded::{BEGIN_MS, Made, limited, up};

const OPERATOR: &str = env!("CARGO_BIN_EXE_operator");

/// Exit code and stdout with stderr, under the campaign's limits.
fn told(args: &[&str]) -> (Option<i32>, String) {
    let output = limited(Path::new(OPERATOR), args).expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text is UTF-8"))
}

#[test]
fn rules_over_samples_years_apart_are_evaluated_where_most_was_observed() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("far.capture");
    let mut made = Made::ten_minutes();
    made.series.push((up("other"), vec![(0, 1.0), (BEGIN_MS + 15_000, 1.0)]));
    made.write(&path).expect("the capture can be written");
    let path = path.to_str().expect("a path of ours is text");
    let (code, text) = told(&["rules", "replay", path]);
    assert!(matches!(code, Some(0 | 10)), "{code:?} {text}");
    assert!(text.contains("made, 2026-11-24T16:27:00.000Z to 2026-11-24T16:36:45.001Z"), "{text}");
    let (code, text) = told(&["rules", "replay", path, "--from", "1970-01-01T00:00:00Z"]);
    assert_eq!(code, Some(2), "{text}");
    for flag in ["--from", "--to", "--interval"] {
        assert!(text.contains(flag), "{flag} in {text}");
    }
}

#[test]
fn many_gaps_and_events_are_told_in_bounded_tables_and_linear_time() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("many.capture");
    let made = Made::ten_minutes().gaps(60_000).events(60_000, 100_000);
    made.write(&path).expect("the capture can be written");
    let path = path.to_str().expect("a path of ours is text");
    for command in ["show", "replay"] {
        let (code, text) = told(&[command, path]);
        assert!(matches!(code, Some(0 | 11)), "{command}: {code:?}");
        assert!(text.len() < 2 << 20, "{command} told {} bytes", text.len());
        assert!(text.contains("--format json has all"), "{command}");
    }
    let (_, json) = told(&["show", path, "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(shown["gaps"].as_array().map(Vec::len), Some(60_000));
}
