//! Far-off times, many rows and long texts: seconds of the campaigns `hostile windows` and
//! `hostile many_rows`.

use std::path::Path;

use operator::model::{Gap, GapReason, Source, TimeRange, Timestamp};
use testkit::synthetic::{BEGIN_MS, SyntheticCapture, limited, limited_to, up};

const OPERATOR: &str = env!("CARGO_BIN_EXE_operator");

/// CPU time that a command may take, in seconds: a hundred thousand gaps in pairs take minutes.
const MOST_CPU_S: u32 = 15;

/// Exit code and stdout with stderr, under limits.
fn told(args: &[&str]) -> (Option<i32>, String) {
    let output = limited(Path::new(OPERATOR), args, MOST_CPU_S).expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text is UTF-8"))
}

#[test]
fn rules_over_samples_years_apart_are_evaluated_where_most_was_observed() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("far.capture");
    let mut made = SyntheticCapture::ten_minutes();
    made.series.push((up("other"), vec![(0, 1.0), (BEGIN_MS + 15_000, 1.0)]));
    made.write(&path).expect("the capture can be written");
    let path = path.to_str().expect("a path of ours is text");
    let (code, text) = told(&["rules", "replay", path]);
    assert!(matches!(code, Some(0 | 10)), "{code:?} {text}");
    assert!(text.contains("made, 2026-11-24T16:27:00.000Z to 2026-11-24T16:36:45.001Z"), "{text}");
    let (code, text) = told(&["rules", "replay", path, "--from", "1970-01-01T00:00:00Z"]);
    assert_eq!(code, Some(2), "{text}");
    for flag in ["--from", "--to", "--step"] {
        assert!(text.contains(flag), "{flag} in {text}");
    }
}

/// Writes what is made and shows it for a person and as JSON.
fn shown(made: SyntheticCapture) -> (String, serde_json::Value) {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("many.capture");
    made.write(&path).expect("the capture can be written");
    let path = path.to_str().expect("a path of ours is text");
    let (code, text) = told(&["show", path]);
    assert_eq!(code, Some(0), "{} bytes", text.len());
    let (_, json) = told(&["show", path, "--format", "json"]);
    (text, serde_json::from_str(&json).expect("it is JSON"))
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn many_gaps_take_linear_time_and_a_bounded_table() {
    let (text, json) = shown(SyntheticCapture::ten_minutes().gaps(100_000));
    assert!(text.len() < 100_000, "{} bytes", text.len());
    assert!(text.contains("and 99,800 more; --format json has all"), "{text}");
    assert_eq!(json["gaps"].as_array().map(Vec::len), Some(100_000));
}

#[test]
fn a_gap_goes_on_after_the_last_sample() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("hung.capture");
    let mut made = SyntheticCapture::ten_minutes();
    let at = |second: i64| Timestamp::from_millis(BEGIN_MS + second * 1000);
    made.gaps = [(570, 595), (595, 700), (700, 900)]
        .map(|(start, end)| Gap {
            range: TimeRange::new(at(start), at(end)),
            source: Source::Prometheus,
            reason: GapReason::Timeout,
            detail: "it has not answered".to_owned(),
            healed_at: None,
        })
        .into();
    made.write(&path).expect("the capture can be written");
    let path = path.to_str().expect("a path of ours is text");
    let (_, json) = told(&["replay", path, "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let gaps = json["gaps"].as_array().expect("there is a list");
    let end = BEGIN_MS + 900_000;
    assert!(gaps.len() == 1 && gaps[0]["range"]["end"] == end, "{gaps:#?}");
}

#[test]
fn one_long_text_pads_no_other_row() {
    let (text, json) = shown(SyntheticCapture::ten_minutes().events(3_000, 1_000_000));
    assert!(text.len() < 1_200_000, "{} bytes", text.len());
    assert_eq!(json["events"].as_array().map(Vec::len), Some(3_001));
}

#[test]
fn a_timeline_tells_the_first_and_the_last_of_many_gaps() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("many.capture");
    SyntheticCapture::ten_minutes().gaps(5_000).write(&path).expect("the capture can be written");
    let (_, text) = told(&["replay", path.to_str().expect("a path of ours is text")]);
    assert!(text.len() < 1 << 20, "{} bytes", text.len());
    for part in
        ["4800 lines left out here", "6000 lines left out here", "attempt 0", "attempt 4999"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// Address space in KiB for a command that has to do with 512 MB, which it shares with the stacks of its threads and
/// what the allocator keeps apart for each.
const BOUNDED_KIB: u64 = 768 << 10;

/// What commands say of a capture within that: exit code, stdout with stderr.
fn bounded(made: SyntheticCapture, commands: &[&[&str]]) -> Vec<(Option<i32>, String)> {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = scratch.path().join("bounded.capture");
    made.write(&path).expect("the capture can be written");
    let path = path.to_str().expect("a path of ours is text");
    let told = |command: &&[&str]| {
        let args: Vec<&str> =
            command.iter().map(|word| if *word == "RUN" { path } else { word }).collect();
        let output = limited_to(Path::new(OPERATOR), &args, (BOUNDED_KIB, 4 * MOST_CPU_S));
        let output = output.expect("the program starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    commands.iter().map(told).collect()
}

#[test]
fn a_label_of_a_hundred_megabytes_in_a_small_file_is_refused_where_it_would_be_copied() {
    let long = up("tikv").with(&[("x", &"A".repeat(100_000_000))]);
    let samples = (0..40).map(|scrape| (BEGIN_MS + scrape * 15_000, 1.0)).collect();
    let made = SyntheticCapture { series: vec![(long, samples)], ..SyntheticCapture::default() };
    let commands: [&[&str]; 4] = [
        &["show", "RUN"],
        &["rules", "replay", "RUN"],
        &["replay", "RUN"],
        &["query", "RUN", "up"],
    ];
    let told = bounded(made, &commands);
    let codes: Vec<_> = told.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [Some(0), Some(3), Some(3), Some(3)]);
    for (_, text) in &told[1..] {
        assert!(text.contains("what was selected takes more memory than a file of its size"));
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_replay_holds_many_gaps_and_no_tree_of_json_of_them() {
    let made = SyntheticCapture::ten_minutes().gaps(300_000);
    let told = bounded(made, &[&["replay", "RUN"]]);
    assert!(matches!(told[0].0, Some(0 | 10 | 11)), "{:?} {} bytes", told[0].0, told[0].1.len());
}
