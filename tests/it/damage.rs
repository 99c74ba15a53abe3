//! Damage is told first, and what it hides is unknown: seconds of the campaign `hostile damage`.

use std::path::{Path, PathBuf};
use std::process::Command;

use operator::capture::{CaptureWriter, Tick};
use operator::diagnose::Outcome;
use operator::model::{EncodedLabels, Sample, Timestamp};
use serde_json::Value;

use testkit::overwrite::{Effect, Part, Place, Rows, judge, overwrite, try_place};
use testkit::synthetic::{BEGIN_MS, SyntheticCapture, up};

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(format!("{name}.capture"))
}

/// Exit code and stdout of the program.
fn operator(args: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_operator")).args(args).output().expect("it starts");
    (output.status.code(), String::from_utf8(output.stdout).expect("text is UTF-8"))
}

/// The report of a replay.
fn replayed(path: &str) -> Value {
    let (_, text) = operator(&["replay", path, "--format", "json"]);
    serde_json::from_str(&text).expect("a report is JSON")
}

/// A bundled run of which the largest block of samples is overwritten.
fn damaged(name: &str, scratch: &Path) -> PathBuf {
    let path = scratch.join(format!("{name}.capture"));
    std::fs::copy(bundled(name), &path).expect("a bundled capture can be copied");
    let connection = rusqlite::Connection::open(&path).expect("it opens");
    let largest = "SELECT id FROM block WHERE target > 0 ORDER BY length(body) DESC LIMIT 1";
    let id = connection.query_row(largest, [], |row| row.get(0)).expect("there are blocks");
    drop(connection);
    let place = Place { table: "block", id, part: Part::First };
    overwrite(&path, place).expect("the row can be overwritten");
    path
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn no_overwritten_row_makes_another_cause_believed() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let mut random = fastrand::Rng::with_seed(11);
    for name in ["chaos-01", "chaos-06", "pd/pd-03"] {
        let path = bundled(name);
        let whole = judge(&path).expect("the whole is judged");
        let rows = Rows::of(&path).expect("rows are listed");
        for _ in 0..4 {
            let place = rows.draw(&mut random).expect("there are rows");
            let effect = try_place(&path, &whole, place, scratch.path()).expect("it is judged");
            assert_ne!(effect, Effect::Misled, "{name} {place:?}");
        }
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn samples_that_are_damaged_are_no_requests_that_were_not_served() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = damaged("chaos-02", scratch.path());
    let path = path.to_str().expect("a path of ours is text");
    let report = replayed(path);
    let clients = &report["verdict"]["clients"];
    let text = clients["text"].as_str().expect("it is told");
    assert_eq!(clients["impact"], "cannot_tell", "{text}");
    assert!(text.starts_with("cannot tell: samples of tikv/10.77.0."), "{text}");
    assert_eq!(operator(&["explain", path, "F1"]).0, Some(3));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn damage_is_told_with_what_can_still_be_read() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let run = |args: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_operator"));
        let output = program.args(args).current_dir(scratch.path()).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    damaged("chaos-02", scratch.path());
    let (code, errors) = run(&["compact", "chaos-02.capture", "small.capture"]);
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("`show` and `replay` read the rest"), "{errors}");
    // How many bytes of each page SQLite leaves unused: with another number, it finds no table.
    let mut bytes = std::fs::read(bundled("chaos-02")).expect("a bundled capture is read");
    bytes[20] = 7;
    std::fs::write(scratch.path().join("header.capture"), bytes).expect("it can be written");
    let (code, errors) = run(&["replay", "header.capture"]);
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("nothing of it can be read"), "{errors}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_report_begins_with_what_is_missing_and_its_digest_is_that_of_what_is_left() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = damaged("chaos-06", scratch.path());
    let path = path.to_str().expect("a path of ours is text");
    let (code, text) = operator(&["replay", path]);
    assert_eq!(code, Some(3));
    let first = text.lines().next().expect("something is told");
    assert!(first.starts_with("damaged: "), "{first}");
    for part in ["% of the samples are missing", "from 20", " to 20", "at tikv/"] {
        assert!(first.contains(part), "{part} in {first}");
    }
    let report = replayed(path);
    let damage = &report["verdict"]["damage"];
    assert!(damage["summary"].as_str().is_some_and(|one| one.starts_with("damaged: ")));
    assert!(damage["samples"]["read"].as_u64() < damage["samples"]["recorded"].as_u64());
    assert!(damage["parts"][0]["of"]["instance"].is_string(), "{damage}");
    let whole = replayed(bundled("chaos-06").to_str().expect("a path of ours is text"));
    assert_eq!(report["recorded_digest"], whole["capture_digest"]);
    assert_ne!(report["capture_digest"], whole["capture_digest"]);
    assert!(whole.get("recorded_digest").is_none() && whole["verdict"].get("damage").is_none());
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_command_that_judges_tells_the_damage() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let path = damaged("chaos-02", scratch.path());
    let whole = bundled("chaos-02");
    let text = |path: &Path| path.to_str().expect("a path of ours is text").to_owned();
    let (path, whole) = (text(&path), text(&whole));
    let folder = text(scratch.path());
    for args in [
        &["explain", &path, "F1"][..],
        &["diff", &whole, &path],
        &["score", &folder],
        &["rules", "replay", &path],
        &["replay", &path, "--format", "prompt"],
    ] {
        let (_, told) = operator(args);
        assert!(told.contains("damaged: "), "{args:?} told {told}");
        let (_, told) = operator(
            &args
                .iter()
                .map(|arg| if *arg == path { whole.as_str() } else { arg })
                .collect::<Vec<_>>(),
        );
        assert!(args[0] == "score" || !told.contains("damaged: "), "{args:?} told {told}");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_is_said_beside_damage_is_not_believed() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    for name in ["chaos-01", "chaos-02"] {
        let path = damaged(name, scratch.path());
        let verdict = judge(&path).expect("it is judged").verdict;
        for cause in verdict.causes.iter().chain(&verdict.changes) {
            assert!(cause.confidence < 0.7, "{cause:?}");
        }
        assert_ne!(verdict.outcome, Outcome::NoFault);
    }
}

/// Three targets over two blocks each; the second block of the first one does not hold the target's
/// samples, or holds them and is overwritten.
fn three_targets(path: &Path, second: Second) {
    let meta = serde_json::json!({"run": "made", "subject": "tikv", "created": BEGIN_MS});
    let meta = serde_json::from_value(meta).expect("a run's metadata");
    let mut writer = CaptureWriter::create(path, meta).expect("the capture can be made");
    for block in 0..2 {
        let mut tick = Tick::default();
        for (number, job) in ["tikv", "pd", "node"].into_iter().enumerate() {
            if (block, number, second) == (1, 0, Second::Missing) {
                continue;
            }
            let instance = format!("10.0.0.{number}:20180");
            let mut labels = Vec::new();
            up(job).with(&[("instance", &instance)]).encode(&mut labels);
            let sample = |scrape: i64| Sample {
                at: Timestamp::from_millis(BEGIN_MS + (block * 40 + scrape) * 15_000),
                value: 1.0,
            };
            let samples: Vec<Sample> = (0..40).map(sample).collect();
            let pushed = tick.samples.push(writer.index(), EncodedLabels(&labels), &samples);
            pushed.expect("labels read");
        }
        writer.commit(tick).expect("commits");
        writer.seal().expect("seals");
    }
    writer.finish().expect("finishes");
    if second == Second::Overwritten {
        let place = Place { table: "block", id: 4, part: Part::First };
        overwrite(path, place).expect("the row can be overwritten");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Second {
    Whole,
    Missing,
    Overwritten,
}

#[test]
fn samples_that_are_unreadable_are_no_lost_scrapes() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let lost = |second: Second| {
        let path = scratch.path().join("three.capture");
        let _ = std::fs::remove_file(&path);
        three_targets(&path, second);
        let judged = judge(&path).expect("it is judged");
        let lost = judged.verdict.changes.iter().any(|change| change.mode == "scrape_loss");
        let path = path.to_str().expect("a path of ours is text");
        let (_, text) = operator(&["replay", path]);
        assert_eq!(text.contains("no samples from here on"), lost, "{text}");
        lost
    };
    assert!(!lost(Second::Whole));
    assert!(lost(Second::Missing));
    assert!(!lost(Second::Overwritten));
}

#[test]
fn lost_gaps_and_truths_are_told_by_commands_that_do_not_read_them() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let without = |path: &Path, row: &str| {
        let connection = rusqlite::Connection::open(path).expect("it opens");
        connection.execute_batch(&format!("DELETE FROM {row}")).expect("it is a row");
        path.to_str().expect("a path of ours is text").to_owned()
    };
    let path = scratch.path().join("gaps.capture");
    SyntheticCapture::ten_minutes().gaps(2).write(&path).expect("the capture can be written");
    let path = without(&path, "gap WHERE id = 1");
    for command in ["replay", "check"] {
        let (code, _) = operator(&["rules", command, &path]);
        assert_eq!(code, Some(3), "{command}");
    }
    let (_, told) = operator(&["rules", "replay", &path]);
    assert!(told.starts_with("damaged: "), "{told}");

    let path = scratch.path().join("truth.capture");
    std::fs::copy(bundled("chaos-07"), &path).expect("a bundled capture can be copied");
    let path = without(&path, "truth");
    let (code, told) = operator(&["show", &path]);
    assert!(code == Some(3) && told.contains("truth 1"), "{code:?} {told}");
}
