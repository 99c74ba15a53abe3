//! Mistakes that people make at the command line: each is refused or explained at once, with what to do.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::cli::{DATA, empty_dir, operator, run};

fn bundled(name: &str) -> String {
    format!("{DATA}/{name}.capture")
}

/// Exit code and stderr of what should end at once, and `None` where it goes on.
fn run_briefly(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = operator(dir).args(args).timeout(Duration::from_secs(20)).output();
    let output = output.expect("the program starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_recording_that_no_source_answered_has_an_exit_code() {
    let dir = empty_dir();
    let pd = ["--pd", "http://127.0.0.1:1", "--from", "-1h", "--for", "1s"];
    let (code, _, errors) = run(dir.path(), &[&["record", "--run", "a"], &pd[..]].concat());
    assert_eq!(code, Some(13), "{errors}");
    // In a second that is busy with other things, none may even have been sent.
    let is_told = |why: &str| errors.contains(why);
    assert!(is_told("to PD succeeded") || is_told("to PD was answered"), "{errors}");
    assert!(errors.contains("nothing of --from is copied; give --prometheus"), "{errors}");
    let (code, text, errors) = run(dir.path(), &["show", "a"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains(" requests to PD, 0 documents"), "{text}");
}

#[test]
fn of_a_run_that_is_too_short_a_longer_recording_is_advised() {
    let chaos = bundled("chaos-02");
    let (_, json, errors) =
        run(empty_dir().path(), &["replay", &chaos, "--to", "+30s", "--format", "json"]);
    assert!(json.contains("operator record --for 5m --pd"), "{errors}");
    assert!(!json.contains("operator replay --from"));
}

#[test]
fn a_mark_outside_of_the_run_is_refused() {
    let dir = empty_dir();
    fs::copy(bundled("chaos-02"), dir.path().join("a.capture")).expect("the directory is writable");
    for at in [&[][..], &["--at", "now"], &["--at", "+5h"], &["--at", "-5h"]] {
        let (code, _, errors) = run(dir.path(), &[&["mark", "a", "x"], at].concat());
        assert_eq!(code, Some(2), "{at:?}: {errors}");
        assert!(errors.contains("outside of the run, 2026-11-24T16:27:04"), "{errors}");
        let is_told = |advice: &str| errors.contains(advice);
        assert_eq!(is_told("say when it happened"), at.is_empty(), "{errors}");
        assert_eq!(is_told("the run is 9m16s long"), !at.is_empty(), "{errors}");
    }
    let (code, text, errors) = run(dir.path(), &["mark", "a", "hi", "--at", "-1m"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("a.capture: 2026-11-24T16:35:20"), "{text}");
}

#[test]
fn what_became_of_a_mode_is_asked_of_a_run_and_the_list_of_modes_of_none() {
    let dir = empty_dir();
    let (code, text, errors) = run(dir.path(), &["replay", "--why-not", "help"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("store_crash") && text.lines().all(|line| line.len() <= 80), "{text}");
    let (code, _, errors) = run(dir.path(), &["replay", "--why-not", "store_crash"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("name it"), "{errors}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_truth_that_says_what_it_is_about_in_other_words_is_told_which() {
    let dir = empty_dir();
    fs::copy(bundled("chaos-02"), dir.path().join("a.capture")).expect("the directory is writable");
    for (truth, advice) in [
        (r#"{"fault": "store_crash", "target": "store 4"}"#, "did you mean \"node\""),
        (
            r#"{"fault": "store_crash", "target": "store 4", "injected_at": 1}"#,
            "did you mean \"t_inject_ms\"",
        ),
        (r#"{"fault": "store_crash", "t_inject_ms": "yesterday"}"#, "no date and time with a zone"),
    ] {
        fs::write(dir.path().join("truth.json"), truth).expect("the directory is writable");
        let seal = ["seal", "a", "--truth", "truth.json", "--dry-run"];
        let (code, _, errors) = run(dir.path(), &seal);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(advice), "{errors}");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_version_of_pd_is_that_of_its_answers_where_none_was_noted() {
    let dir = empty_dir();
    let chaos = bundled("chaos-02");
    let (_, text, _) = run(dir.path(), &["replay", &chaos]);
    assert!(text.contains("PD v8.5.8, TiKV 8.5.8, Prometheus"), "{text}");
    let export = ["export", &chaos, "--no-redact", "--to", "+30s", "-o", "a.capture.gz"];
    let (code, text, errors) = run(dir.path(), &export);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("| PD | v8.5.8 |") && text.contains("| TiKV | 8.5.8 |"), "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_observed_nothing_is_no_run_and_hides_none_in_silence() {
    let dir = empty_dir();
    let capture = |folder: &str, name: &str| {
        fs::create_dir_all(dir.path().join(folder)).expect("the directory is writable");
        let to = dir.path().join(folder).join(format!("{name}.capture"));
        fs::copy(bundled(name), to).expect("the directory is writable");
    };
    capture("data", "chaos-02");
    capture("captures", "chaos-01");
    let record = ["record", "--run", "chaos-02", "--once", "--pd", "http://127.0.0.1:1"];
    let (code, _, errors) = run(dir.path(), &record);
    assert_eq!(code, Some(11), "{errors}");
    let told = "warning: data/chaos-02.capture has that name too";
    assert!(errors.contains(told), "{errors}");
    let (_, text, _) = run(dir.path(), &["show", "latest"]);
    assert!(text.contains("chaos-01"), "{text}");
    let empty = "captures/chaos-02.capture";
    let (code, text, _) = run(dir.path(), &["diff", "chaos-02", empty]);
    assert_eq!(code, Some(11), "{text}");
    assert!(text.contains("A  chaos-02") && text.contains(&format!("B  {empty}")), "{text}");
    let (code, text, _) = run(dir.path(), &["diff", "chaos-01", empty]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("the outcomes differ: no fault, and cannot tell"), "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_is_asked_of_a_part_of_a_run_is_answered_by_the_rest_of_it() {
    let dir = empty_dir();
    let chaos = bundled("chaos-02");
    let (code, text, _) = run(dir.path(), &["replay", &chaos, "--to", "16:27:30"]);
    assert_eq!(code, Some(11), "{text}");
    assert!(text.contains(&format!("next: operator replay {chaos}\n")), "{text}");
    let (_, text, _) = run(dir.path(), &["replay", &chaos, "--at", "16:34:30"]);
    assert!(text.contains("was started again and is not back"), "{text}");
    assert!(text.contains("remedy: none yet, since it was started again"), "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_a_command_cannot_do_is_refused_with_what_it_can() {
    let dir = empty_dir();
    let chaos = bundled("chaos-02");
    for (args, code, advice) in [
        (&["report", &chaos, "-o", "out.txt"][..], 2, ".html, .md or .json"),
        (&["query", &chaos, "up", "--plot", "--at", "16:31"], 2, "cannot be used with"),
        (&["query", &chaos, "--metrics", "quota"], 0, "'.*quota.*' finds "),
        (&["query", &chaos, "--metrics", "tikv_critical.*"], 0, "no metric has such a name"),
        (&["explain", &chaos, "silent"], 2, "F3 silent_to_pd/store-4"),
    ] {
        let (found, out, errors) = run(dir.path(), args);
        assert_eq!(found, Some(code), "{args:?}: {out}{errors}");
        assert!((out + &errors).contains(advice), "{args:?}: {errors}");
    }
    assert!(!dir.path().join("out.txt").exists());
    fs::write(dir.path().join("report.html"), "").expect("the directory is writable");
    let (code, _, errors) = run(dir.path(), &["replay", "report"]);
    assert_eq!(code, Some(5), "{errors}");
    assert!(errors.contains("say `report.html`"), "{errors}");
}

#[test]
fn a_hook_that_cannot_work_is_refused_at_the_start() {
    let dir = empty_dir();
    let watch = ["watch", "--pd", "http://127.0.0.1:1"];
    for (hook, why) in [
        (["--alertmanager", "foo"], "not a URL"),
        (["--webhook", "foo"], "no URL"),
        (["--exec", "/nonexistent/hook --x"], "no such program"),
        (["--exec", " "], "empty"),
    ] {
        let (code, errors) = run_briefly(dir.path(), &[&watch[..], &hook].concat());
        assert_eq!(code, Some(2), "{hook:?}: {errors}");
        assert!(errors.contains(why), "{hook:?}: {errors}");
    }
}

#[test]
fn a_command_that_is_not_there_costs_no_recording() {
    let dir = empty_dir();
    let record = ["record", "--pd", "http://127.0.0.1:1", "--before", "1s", "--after", "1s", "--"];
    fs::write(dir.path().join("plain.sh"), "exit").expect("the directory is writable");
    for command in ["./brk.sh", "no-such-command-anywhere", "./plain.sh"] {
        let (code, errors) = run_briefly(dir.path(), &[&record[..], &[command]].concat());
        assert_eq!(code, Some(2), "{command}: {errors}");
        assert!(errors.contains(command), "{errors}");
    }
}

#[test]
fn rules_stand_in_the_order_in_which_they_fired() {
    let dir = empty_dir();
    let rules = "groups: [{name: g, rules: [{alert: Late, expr: up == 0, for: 1m}, {alert: Early, expr: up == 0}]}]";
    fs::write(dir.path().join("r.yaml"), rules).expect("the directory is writable");
    let (code, text, errors) =
        run(dir.path(), &["rules", "replay", &bundled("chaos-02"), "--rules", "r.yaml"]);
    assert_eq!(code, Some(10), "{errors}");
    assert!(text.find("  Early") < text.find("  Late"), "{text}");
}

#[test]
fn rules_that_came_nearest_stand_first_with_short_numbers() {
    let dir = empty_dir();
    let rules = "groups: [{name: g, rules: [{alert: Far, expr: up > 100}, {alert: Close, expr: up / 0.81 > 1.3}]}]";
    fs::write(dir.path().join("r.yaml"), rules).expect("the directory is writable");
    let near = ["rules", "replay", &bundled("chaos-01"), "--rules", "r.yaml", "--near"];
    let (code, text, errors) = run(dir.path(), &near);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("nearest to > 1.3: 1.235 at "), "{text}");
    assert!(text.find("  Close") < text.find("  Far"), "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_wrong_file_is_answered_with_what_to_do() {
    let dir = empty_dir();
    let write = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).expect("the directory is writable");
    };
    write("page.html", "<!DOCTYPE html><html></html>");
    write("zero.capture", "");
    fs::create_dir(dir.path().join("captures")).expect("the directory is writable");
    let chaos = bundled("chaos-02");
    for (args, code, told) in [
        (&["replay", "page.html"][..], 3, "`operator export --html` makes one"),
        (&["replay", "zero.capture"], 3, "the file is empty"),
        (&["replay", "captures"], 5, "`operator runs --dir captures`"),
        (&["replay", "./captures/"], 5, "is a directory"),
        (&["report", &chaos, "-o", "captures"], 8, "name a new file in it"),
        (&["report", &chaos, "-o", "none/x.md"], 8, "none/x.md"),
    ] {
        let (found, _, errors) = run(dir.path(), args);
        assert_eq!(found, Some(code), "{args:?}: {errors}");
        assert!(errors.contains(told) && !errors.contains(".partial"), "{args:?}: {errors}");
    }
    let (code, _, errors) = run(dir.path(), &["report", &chaos, "-o", "x.md"]);
    assert_eq!(code, Some(0), "{errors}");
    let report = fs::read_to_string(dir.path().join("x.md")).expect("it was written");
    assert!(report.starts_with('#'), "{report}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_truth_of_another_time_and_a_second_truth_are_refused() {
    let dir = empty_dir();
    fs::copy(bundled("chaos-02"), dir.path().join("a.capture")).expect("the directory is writable");
    let seal = |at: &str, options: &[&str]| {
        let truth = format!("{{\"fault\": \"store_crash\", \"t_inject_ms\": {at}}}");
        fs::write(dir.path().join("t.json"), truth).expect("the directory is writable");
        run(dir.path(), &[&["seal", "a", "--truth", "t.json"], options].concat())
    };
    let inside = "1795537900000";
    // What is wrong with the file is said before that another is sealed inside.
    let (code, _, errors) = seal("\"soon\"", &["--dry-run"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("t_inject_ms") && !errors.contains("--replace"), "{errors}");
    for options in [&[][..], &["--dry-run"]] {
        let (code, _, errors) = seal(inside, options);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("--replace"), "{errors}");
    }
    let (code, _, errors) = seal("1795540000000", &["--replace"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("outside of the run"), "{errors}");
    let draft = ["seal", "--truth", "t.json", "--dry-run"];
    let (code, text, errors) = run(dir.path(), &draft);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("the truth can be sealed: store_crash"), "{text}");
    for at in [inside, "\"2026-11-24T16:31:40Z\""] {
        let (code, _, errors) = seal(at, &["--replace"]);
        assert_eq!(code, Some(0), "{errors}");
    }
    let bytes = fs::read(dir.path().join("a.capture")).expect("it is there");
    assert!(!String::from_utf8_lossy(&bytes).contains(inside), "what was replaced is gone");
    let (code, text, errors) = run(dir.path(), &["seal", "a", "--remove"]);
    assert!(code == Some(0) && text.contains("took the truth out"), "{errors}");
    let (code, _, errors) = run(dir.path(), &["verify", "a"]);
    assert_eq!(code, Some(0), "{errors}");
    let bytes = fs::read(dir.path().join("a.capture")).expect("it is there");
    assert!(!String::from_utf8_lossy(&bytes).contains("t_inject_ms"));
    let (code, _, errors) = run(dir.path(), &["seal", "a", "--remove"]);
    assert!(code == Some(2) && errors.contains("no truth is sealed inside"), "{errors}");
    let (code, _, errors) = seal(inside, &[]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_truth_that_can_never_be_right_is_refused_by_seal_as_by_its_dry_run() {
    let dir = empty_dir();
    fs::copy(bundled("chaos-02"), dir.path().join("a.capture")).expect("the directory is writable");
    for (truth, named) in [
        ("{}", "neither"),
        (r#"{"fault": "store_crsh"}"#, "store_crash"),
        (r#"{"fault": "planned_drain"}"#, "planned_drain is a planned change: use \"change\""),
        (r#"{"change": "store_crash"}"#, "store_crash is a fault: use \"fault\""),
        (r#"{"fault": "store_crash", "change": "planned_drain"}"#, "one of them"),
        (r#"{"fault": "store_crash", "store": 4}"#, "did you mean \"store_id\"?"),
        (r#"{"fault": "store_crash", "node": "tikv-99"}"#, "store 4"),
        (r#"{"fault": "store_crash", "address": "10.0.0.9:1"}"#, "10.77.0.20:20160"),
        (r#"{"fault": "store_crash", "store_id": 99}"#, "it lists 1, 4, 5, 6"),
        (r#"{"fault": "store_crash", "store_id": 4, "address": "10.0.0.1"}"#, "10.77.0.20:20160"),
        (r#"{"fault": "store_crash", "t_injectms": 1}"#, "t_inject_ms"),
    ] {
        fs::write(dir.path().join("t.json"), truth).expect("the directory is writable");
        for options in [&["--replace"][..], &["--replace", "--dry-run"]] {
            let seal = [&["seal", "a", "--truth", "t.json"], options].concat();
            let (code, _, errors) = run(dir.path(), &seal);
            assert_eq!(code, Some(2), "{truth} {options:?}: {errors}");
            assert!(errors.contains(named), "{truth}: {errors}");
        }
    }
}

#[test]
fn the_latest_run_is_what_was_recorded_last_and_not_what_was_touched_last() {
    let dir = empty_dir();
    for name in ["chaos-02", "chaos-01"] {
        let to = dir.path().join(format!("{name}.capture"));
        fs::copy(bundled(name), to).expect("the directory is writable");
    }
    let (code, _, errors) =
        run(dir.path(), &["mark", "--dir", ".", "chaos-01", "hi", "--at", "-1m"]);
    assert_eq!(code, Some(0), "{errors}");
    let (_, text, errors) = run(dir.path(), &["show", "--dir", ".", "latest"]);
    assert!(text.contains("chaos-02"), "{text}{errors}");
}

#[test]
fn what_somebody_did_after_the_last_observation_is_on_the_timeline() {
    let dir = empty_dir();
    let capture = dir.path().join("a.capture");
    fs::copy(format!("{DATA}/pd/pd-01.capture"), &capture).expect("the directory is writable");
    let end = operator::capture::CaptureReader::open(&capture).expect("it opens").window().end;
    let event = operator::model::Event {
        at: end.saturating_add_millis(60_000),
        kind: operator::model::EventKind("command".to_owned()),
        text: "ended with exit code 7".to_owned(),
        fields: Default::default(),
    };
    operator::capture::add_event(&capture, event).expect("it is written");
    let (_, text, errors) = run(dir.path(), &["replay", "--dir", ".", "a"]);
    assert!(text.contains("ended with exit code 7"), "{text}{errors}");
}

#[test]
fn a_run_around_a_command_is_added_to_no_recording() {
    let dir = empty_dir();
    fs::copy(bundled("chaos-01"), dir.path().join("a.capture")).expect("the directory is writable");
    let record = ["record", "--dir", ".", "--run", "a", "--pd", "http://127.0.0.1:1"];
    for (rest, named) in [(&["--", "true"][..], "new one"), (&["--for", "1s"], "truth")] {
        let (code, errors) = run_briefly(dir.path(), &[&record[..], rest].concat());
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(named) && errors.contains("another --run"), "{errors}");
    }
}

#[test]
fn nothing_to_check_a_page_of_times_and_folders_are_told_at_once() {
    let dir = empty_dir();
    let (code, _, errors) = run(dir.path(), &["doctor"]);
    assert_eq!(code, Some(2), "{errors}");
    let chaos = bundled("chaos-02");
    let (code, _, errors) = run(dir.path(), &["replay", &chaos, "--at", "16.32"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("a time of day"), "{errors}");
    let (code, text, errors) = run(dir.path(), &["runs", DATA]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("chaos-02"), "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_mistake_is_answered_by_what_to_write_instead() {
    let dir = empty_dir();
    fs::copy(bundled("chaos-02"), dir.path().join("a.capture")).expect("the directory is writable");
    for (args, expected, said) in [
        (
            &["replay", "a", "--why-not", "disk"][..],
            2,
            "did you mean disk_full, disk_hang, slow_disk",
        ),
        (&["replay", "a", "--why-not", "zzz"], 2, "`--why-not help` lists them"),
        (&["query", "a", "up", "--step", "15"], 2, "has no unit: write 15s for seconds"),
        (&["replay", "a", "--from", "23:00"], 2, "is after the end: the capture covers"),
        (&["replay", "a", "--to", "01:00"], 2, "is before the start: the capture covers"),
        (&["replay", "a", "--format", "csv"], 2, "use text, json or prompt"),
        (
            &["compact", "a", "no/such/folder/b.capture"],
            8,
            "hint: there is no folder no/such/folder",
        ),
        (&["no/such.capture"], 5, "no such file: \"no/such.capture\""),
        (&["watch"], 2, "give --pd URL, --tiup CLUSTER or --prometheus URL"),
        (&["doctor", "--prometheus", "http://127.0.0.1:1"], 6, "1 check failed"),
    ] {
        let (code, _, errors) = run(dir.path(), args);
        assert_eq!(code, Some(expected), "{args:?}: {errors}");
        assert!(errors.contains(said), "{args:?}: {errors}");
    }
    let (code, text, errors) = run(dir.path(), &["a"]);
    assert!(code == Some(10) && text.starts_with("FAULT"), "{text}{errors}");
    let (_, _, errors) = run(empty_dir().path(), &["show", "latest"]);
    assert!(errors.contains("nothing is recorded there yet"), "{errors}");
}

#[test]
fn a_command_that_is_called_otherwise_is_suggested() {
    for (called, meant) in [("diagnose", "'replay'"), ("ls", "'runs'"), ("repaly", "'replay'")] {
        let (code, _, errors) = run(empty_dir().path(), &[called]);
        assert_eq!(code, Some(2));
        assert!(errors.contains(meant), "{called}: {errors}");
    }
}

#[test]
fn a_command_to_record_around_stands_behind_dashes() {
    let (code, _, errors) =
        run(empty_dir().path(), &["record", "--pd", "http://127.0.0.1:1", "./break.sh"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("put -- before the command"), "{errors}");
    let (_, _, errors) = run(empty_dir().path(), &["replay", "a", "b"]);
    assert!(!errors.contains("put --"), "{errors}");
}

#[test]
fn a_pd_whose_name_is_unknown_leaves_nothing_recorded() {
    let pd = ["--pd", "http://no-such-host.invalid:2379", "--for", "1s"];
    let (code, _, errors) = run(empty_dir().path(), &[&["record", "--run", "a"], &pd[..]].concat());
    assert_eq!(code, Some(13), "{errors}");
    assert!(errors.contains("to PD was answered"), "{errors}");
}
