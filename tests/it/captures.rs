//! The bundled captures: sound, the same bytes however they are evaluated, and true to the runs.

use std::path::PathBuf;
use std::process::Command;

use operator::capture::{CaptureReader, compact, verify};
use operator::model::{LabelMatcher, TimeRange, is_stale};
use operator::report::{replay_json, report_of};
use operator::session::{Session, View};
use operator::timeline::Evaluation;

use testkit::determinism;

fn bundled() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
    let entries = std::fs::read_dir(folder).expect("data/ can be listed");
    let mut captures: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "capture"))
        .collect();
    captures.sort();
    assert!(captures.len() >= 10, "{captures:?}");
    captures
}

fn capture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data")).join(name)
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_bundled_capture_is_sound() {
    for path in bundled() {
        let report = verify(&path).expect("a bundled capture opens");
        assert_eq!(report.damage, [], "{}", path.display());
        assert!(report.checked > 1_000_000, "{}: {}", path.display(), report.checked);
    }
}

#[test]
fn a_crashed_store_is_seen_by_prometheus_and_by_pd() {
    let reader = CaptureReader::open(&capture("chaos-02.capture")).expect("opens");
    let up = reader
        .select(&[LabelMatcher::equal("__name__", "up")], TimeRange::ALL)
        .expect("samples read");
    let down: Vec<_> = up
        .iter()
        .filter(|series| series.samples.iter().any(|sample| sample.value == 0.0))
        .map(|series| series.labels.get("instance").unwrap_or_default())
        .collect();
    assert_eq!(down, ["10.77.0.20:20180"]);
    let json = timeline_json("chaos-02.capture");
    assert!(json.contains("Up -> Disconnected"), "{json}");
}

/// The report of a replay of a bundled capture, as JSON.
fn timeline_json(name: &str) -> String {
    let session = Session::open(&capture(name)).expect("opens");
    let window = session.load(View::WHOLE).expect("loads");
    let pd = window.pd().summary(Evaluation::Sequential).expect("answers read");
    replay_json(&report_of(window.recording(), pd, &[], "", Evaluation::Sequential))
}

#[test]
fn staleness_markers_are_kept() {
    let reader = CaptureReader::open(&capture("chaos-02.capture")).expect("opens");
    let of_store = [
        LabelMatcher::equal("instance", "10.77.0.20:20180"),
        LabelMatcher::equal("__name__", "process_start_time_seconds"),
    ];
    let series = reader.select(&of_store, TimeRange::ALL).expect("samples read");
    let stale = series.iter().flat_map(|series| &series.samples).filter(|s| is_stale(s.value));
    assert_eq!(stale.count(), 1, "the store vanished once");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_quiet_run_has_no_store_that_is_not_up() {
    let json = timeline_json("chaos-01.capture");
    assert!(!json.contains("Disconnected"), "{json}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_compacted_capture_compacts_to_the_same_bytes() {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let (once, twice) = (scratch.path().join("once"), scratch.path().join("twice"));
    compact(&capture("chaos-10.capture"), &once).expect("compacts");
    compact(&once, &twice).expect("compacts");
    assert!(std::fs::read(&once).expect("reads") == std::fs::read(&twice).expect("reads"));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_replay_prints_the_same_bytes_in_any_zone_and_locale_and_never_the_truth() {
    let replay = |zone: &str, locale: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(["replay", "--run", "chaos-07", "--verify"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("TZ", zone)
            .env("LC_ALL", locale)
            .output()
            .expect("the binary runs");
        // 10: a fault was found.
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(10), "{errors}");
        String::from_utf8(output.stdout).expect("the report is UTF-8")
    };
    let first = replay("UTC", "C");
    assert_eq!(first, replay("Asia/Tokyo", "de_DE.UTF-8"));
    assert!(first.contains("store_partition"), "{first}");
    assert!(!first.contains("t_inject") && !first.contains("scenario"), "{first}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_capture_written_in_another_order_replays_to_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let only = folder.path().join("chaos-10.capture");
    std::fs::copy(capture("chaos-10.capture"), only).expect("the directory is writable");
    let campaign = determinism::Campaign {
        operator: env!("CARGO_BIN_EXE_operator").into(),
        folder: folder.path().to_owned(),
        times: 5,
        seed: 3,
    };
    let tallies = determinism::run(&campaign).expect("every replay is the same");
    let tally = &tallies["chaos-10"];
    assert_eq!((tally.replays, tally.orders), (5, 2));
    assert!(determinism::Table(&tallies).to_string().contains("5 replays"));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_prompt_cites_its_findings_and_a_finding_is_drawn() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the binary runs");
        let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
        (output.status.code(), text)
    };
    let (code, prompt) = run(&["replay", "chaos-03", "--format", "prompt"]);
    assert_eq!(code, Some(10));
    assert!(prompt.contains("slow_disk at store 1") && prompt.contains("by F1"), "{prompt}");
    let (code, drawn) = run(&["explain", "chaos-03", "F1"]);
    assert_eq!(code, Some(0));
    let is_plot = |text: &str| text.contains('┤') && text.chars().any(|c| ('⠁'..='⣿').contains(&c));
    assert!(is_plot(&drawn), "{drawn}");
    // What only PD says is drawn too.
    let (code, drawn) = run(&["explain", "chaos-07", "F2"]);
    assert_eq!(code, Some(0), "{drawn}");
    assert!(drawn.contains("PD /stores heartbeat age, seconds of store 1"), "{drawn}");
    assert!(is_plot(&drawn), "{drawn}");
    assert_eq!(run(&["explain", "chaos-03", "F99"]).0, Some(2));
    assert_eq!(run(&["runs", "--format", "prompt"]).0, Some(2));
    let (code, same) = run(&["diff", "chaos-03", "chaos-03"]);
    assert_eq!(code, Some(0));
    assert!(same.contains("the same causes"), "{same}");
    assert_eq!(run(&["replay", "chaos-01"]).0, Some(0));
    assert_eq!(run(&["replay", "chaos-01", "--to", "2026-11-24T16:17:30Z"]).0, Some(11));
}

/// Runs the commands of `operator` that a replay of `file` in `folder` advises next, and returns how many.
fn follow_advice(folder: &std::path::Path, file: &str) -> usize {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_operator"));
    let beside = program.parent().expect("a program lies in a folder").display().to_string();
    let path = format!("{beside}:{}", std::env::var("PATH").unwrap_or_default());
    let sh = |command: &str| {
        let mut sh = Command::new("sh");
        let output = sh.args(["-c", command]).current_dir(folder).env("PATH", &path).output();
        output.expect("a shell starts")
    };
    let replay = sh(&format!("operator replay '{file}'"));
    let text = String::from_utf8(replay.stdout).expect("it prints UTF-8");
    let advised = text.lines().filter_map(|line| line.strip_prefix("  next: "));
    let own: Vec<&str> = advised.filter(|step| step.starts_with("operator explain")).collect();
    for step in &own {
        let output = sh(step);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{step}: {said}");
    }
    own.len()
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_is_advised_next_works_for_a_file_under_any_name() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let name = "last night's.capture";
    std::fs::copy(capture("chaos-02.capture"), folder.path().join(name)).expect("it is copied");
    let quoted = name.replace('\'', "'\\''");
    assert_eq!(follow_advice(folder.path(), &quoted), 1);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_is_advised_next_works_for_every_bundled_run() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = bundled();
    let followed = files.iter().map(|path| {
        let file = path.strip_prefix(root).expect("it lies in the repository");
        follow_advice(root, &file.display().to_string())
    });
    assert!(followed.sum::<usize>() >= 7);
}
