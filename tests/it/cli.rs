//! The command line: help, exit codes, and what a name may be.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

const SUBCOMMANDS: [&str; 21] = [
    "record",
    "watch",
    "replay",
    "explain",
    "rules",
    "score",
    "diff",
    "runs",
    "show",
    "verify",
    "copy",
    "compact",
    "export",
    "import",
    "redact",
    "mark",
    "attach",
    "seal",
    "doctor",
    "health",
    "completions",
];

/// The program in an empty directory, with an environment that says nothing.
pub fn operator(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
    command.current_dir(dir);
    for name in ["PD_ENDPOINT", "PROMETHEUS_URL", "OPERATOR_BEARER_TOKEN", "OPERATOR_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Exit code, stdout and stderr.
pub fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = operator(dir).args(args).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub fn empty_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A directory with a file that has a capture's name; nothing opens it.
fn dir_with(name: &str) -> TempDir {
    let dir = empty_dir();
    fs::create_dir(dir.path().join("captures")).expect("the directory is writable");
    let path = dir.path().join("captures").join(format!("{name}.capture"));
    fs::write(path, b"").expect("the directory is writable");
    dir
}

#[test]
fn every_subcommand_explains_itself_with_examples() {
    let dir = empty_dir();
    for subcommand in SUBCOMMANDS {
        let (code, help, _) = run(dir.path(), &[subcommand, "--help"]);
        assert_eq!(code, Some(0), "{subcommand}");
        assert!(help.contains("Examples:"), "{subcommand} has no examples");
    }
}

#[test]
fn every_example_of_what_asks_a_cluster_names_its_source() {
    const SOURCES: [&str; 4] = ["--pd ", "--prometheus ", "--tiup ", "--alertmanager "];
    let dir = empty_dir();
    let mut examples = 0;
    for subcommand in ["record", "watch", "doctor"] {
        let (_, help, _) = run(dir.path(), &[subcommand, "--help"]);
        let whole = help.replace("\\\n", " ");
        for example in
            whole.lines().filter(|line| line.contains(&format!("  operator {subcommand} ")))
        {
            examples += 1;
            assert!(SOURCES.iter().any(|source| example.contains(source)), "{example}");
        }
    }
    assert!(examples > 15, "{examples}");
}

#[test]
fn the_help_lists_every_subcommand_and_the_exit_codes() {
    let (code, help, _) = run(empty_dir().path(), &["--help"]);
    assert_eq!(code, Some(0));
    for subcommand in SUBCOMMANDS {
        assert!(help.contains(&format!("\n  {subcommand}")), "{subcommand} is not listed");
    }
    assert!(help.contains("130"));
}

#[test]
fn a_typo_in_a_run_exits_with_5_and_a_suggestion() {
    let dir = dir_with("chaos-01");
    for args in [&["show", "chaso-01"][..], &["replay", "--run", "chaos-1"]] {
        let (code, _, errors) = run(dir.path(), args);
        assert_eq!(code, Some(5), "{errors}");
        assert!(errors.contains("did you mean chaos-01?"), "{errors}");
    }
}

#[test]
fn a_name_that_leaves_the_directory_is_a_path_to_read_and_none_to_record_under() {
    let dir = empty_dir();
    for (args, wanted) in [
        (&["show", "x/../../secret"][..], 5),
        (&["replay", "--run", "../nothing"], 5),
        (&["record", "--run", "a/../b", "--pd", "http://127.0.0.1:9"], 2),
    ] {
        let (code, _, errors) = run(dir.path(), args);
        assert_eq!(code, Some(wanted), "{args:?}: {errors}");
    }
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0, "nothing was written");
}

#[test]
fn a_recording_of_nothing_is_a_usage_error() {
    let (code, _, errors) = run(empty_dir().path(), &["record"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("--pd"), "{errors}");
}

#[test]
fn times_that_contradict_each_other_are_usage_errors() {
    let prometheus = ["record", "--prometheus", "http://127.0.0.1:9"];
    for times in [&["--to", "-1h"][..], &["--from", "-1h", "--to", "-2h"], &["--from", "yesterday"]]
    {
        let (code, _, errors) = run(empty_dir().path(), &[&prometheus[..], times].concat());
        assert_eq!(code, Some(2), "{times:?}: {errors}");
    }
}

#[test]
fn an_unreachable_prometheus_exits_with_6() {
    let args = ["record", "--prometheus", "http://127.0.0.1:9", "--from", "-1h"];
    let (code, _, errors) = run(empty_dir().path(), &args);
    assert_eq!(code, Some(6), "{errors}");
    assert!(errors.contains("127.0.0.1:9"), "{errors}");
}

#[test]
fn the_doctor_names_what_fails_and_what_to_do() {
    let args = ["doctor", "--prometheus", "http://127.0.0.1:9", "--format", "json"];
    let (code, report, _) = run(empty_dir().path(), &args);
    assert_eq!(code, Some(6));
    let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
    let checks = report["checks"].as_array().expect("there are checks");
    let failed = checks.iter().find(|check| check["verdict"] == "fail").expect("one fails");
    assert_eq!(failed["what"], "Prometheus");
    assert!(failed["fix"].is_string());
}

#[test]
fn secrets_do_not_show_in_errors() {
    let dir = empty_dir();
    fs::write(dir.path().join("token"), "hunter2").expect("the directory is writable");
    let args = ["record", "--bearer-file", "token", "--from", "-1h", "-vvv"];
    let url = "http://ann:hunter2@127.0.0.1:9";
    let output = operator(dir.path()).args(args).env("PROMETHEUS_URL", url).output();
    let output = output.expect("the program starts");
    let errors = String::from_utf8(output.stderr).expect("the program prints UTF-8");
    assert_eq!(output.status.code(), Some(6), "{errors}");
    assert!(output.stdout.is_empty() && !errors.contains("hunter2"), "{errors}");
}

#[test]
fn a_password_in_an_argument_is_refused_and_not_repeated() {
    let url = "http://ann:hunter2@127.0.0.1:9";
    for args in [
        &["record", "--prometheus", url][..],
        &["record", "--pd", &format!("http://127.0.0.1:9,{url}")],
        &["doctor", "--prometheus", url],
        &["watch", "--webhook", url, "--prometheus", "http://127.0.0.1:9"],
        &["health", "--url", url],
    ] {
        let (code, out, errors) = run(empty_dir().path(), args);
        assert_eq!(code, Some(2), "{args:?}: {errors}");
        assert!(!out.contains("hunter2") && !errors.contains("hunter2"), "{errors}");
    }
    let (_, _, errors) = run(empty_dir().path(), &["record", "--prometheus", url]);
    for way in ["--basic-password-file", "OPERATOR_BASIC_PASSWORD", "PROMETHEUS_URL", "--config"] {
        assert!(errors.contains(way), "{errors}");
    }
}

#[test]
fn a_password_for_pd_is_refused_wherever_it_stands() {
    let dir = empty_dir();
    let url = "http://ann:hunter2@127.0.0.1:9";
    fs::write(dir.path().join("operator.toml"), format!("pd = ['{url}']")).expect("writable");
    let by_file =
        operator(dir.path()).args(["record", "--for", "1s", "--config", "operator.toml"]).output();
    let by_environment =
        operator(dir.path()).args(["record", "--for", "1s"]).env("PD_ENDPOINT", url).output();
    for output in [by_file, by_environment] {
        let output = output.expect("the program starts");
        let errors = String::from_utf8(output.stderr).expect("the program prints UTF-8");
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("PD does not take") && !errors.contains("hunter2"), "{errors}");
    }
}

#[test]
fn the_help_does_not_show_what_the_environment_holds() {
    let dir = empty_dir();
    let url = "http://ann:hunter2@127.0.0.1:9";
    let names = ["PROMETHEUS_URL", "PD_ENDPOINT", "OPERATOR_WEBHOOK"];
    let mut watch = operator(dir.path());
    let help = watch.args(["watch", "--help"]).envs(names.map(|name| (name, url)));
    let help = help.output().expect("the program starts").stdout;
    let help = String::from_utf8(help).expect("the program prints UTF-8");
    assert!(names.iter().all(|name| help.contains(name)) && !help.contains("hunter2"), "{help}");
}

#[test]
fn a_file_whose_name_is_not_utf8_can_be_named() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = empty_dir();
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-10.capture");
    let name = OsStr::from_bytes(b"a\xff.capture");
    fs::copy(capture, dir.path().join(name)).expect("the directory is writable");
    for format in ["text", "json"] {
        let show = operator(dir.path()).arg("show").arg(name).args(["--format", format]).output();
        let show = show.expect("the program starts");
        assert_eq!(show.status.code(), Some(0), "{:?}", show.stderr);
        let runs = operator(dir.path()).args(["runs", "--dir", ".", "--format", format]).output();
        for output in [show.stdout, runs.expect("the program starts").stdout] {
            let text = String::from_utf8(output).expect("the program prints UTF-8");
            assert!(text.contains(if format == "json" { "a\\\\xff" } else { "a\\xff" }), "{text}");
        }
    }
}

#[test]
fn an_unknown_flag_and_an_unknown_key_are_usage_errors() {
    let dir = empty_dir();
    assert_eq!(run(dir.path(), &["runs", "--colour"]).0, Some(2));
    fs::write(dir.path().join("operator.toml"), "password = \"x\"").expect("writable");
    let (code, _, errors) = run(dir.path(), &["record", "--config", "operator.toml"]);
    assert_eq!(code, Some(2), "{errors}");
}

#[test]
fn an_empty_folder_has_no_runs_and_a_folder_that_is_not_there_is_an_error() {
    let (code, out, errors) = run(empty_dir().path(), &["runs"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.starts_with("no runs in captures, ., data"), "{out}");
    assert_eq!(run(empty_dir().path(), &["runs", "--dir", "elsewhere"]).0, Some(5));
}

#[test]
fn completions_of_bash_know_the_subcommands() {
    let (code, script, _) = run(empty_dir().path(), &["completions", "bash"]);
    assert_eq!(code, Some(0));
    assert!(script.contains("_operator()") && script.contains("completions"));
}

#[test]
fn every_subcommand_has_a_manual_page_with_its_examples() {
    let dir = empty_dir();
    let (code, _, errors) = run(dir.path(), &["man", "."]);
    assert_eq!(code, Some(0), "{errors}");
    let page = |name: &str| fs::read_to_string(dir.path().join(name)).expect("the page is there");
    assert!(page("operator.1").contains("Exit codes"));
    for subcommand in SUBCOMMANDS {
        let text = page(&format!("operator-{subcommand}.1"));
        assert!(text.contains("Examples"), "{subcommand}: {text}");
    }
    assert_eq!(run(dir.path(), &["man", "elsewhere"]).0, Some(5));
}

/// Records what pd-ctl printed once into `captures`: a run without a truth, in which store 5 is down.
fn record_pasted(dir: &Path, run: &str) {
    let store = |id: u64, state: &str, heard: i64| {
        format!(
            r#"{{"store":{{"id":{id},"address":"h{id}:20160","state_name":"{state}","node_state":1,
            "last_heartbeat":{heard}}},"status":{{"region_count":20}}}}"#
        )
    };
    let up = 1_795_538_196_000_000_000;
    let stores = [store(1, "Up", up), store(4, "Up", up), store(5, "Down", up - 9_000_000_000_000)];
    let text =
        format!("\u{bb} store\n{{\"count\":3,\"stores\":[{}]}}\n\u{bb} exit\n", stores.join(","));
    fs::write(dir.join("pasted.txt"), text).expect("written");
    let recorded = ["record", "--run", run, "--pd-log", "pasted.txt"];
    operator(dir).args(recorded).assert().success();
}

#[test]
fn what_pd_ctl_printed_is_imported_and_judged() {
    let dir = TempDir::new().expect("a folder");
    record_pasted(dir.path(), "moment");
    let replayed = operator(dir.path()).args(["replay", "moment"]).assert().code(10);
    let text = String::from_utf8_lossy(&replayed.get_output().stdout).into_owned();
    assert!(text.starts_with("FAULT, 2026-11-24 UTC  store 5 (h5:20160)"), "{text}");
}

pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

#[test]
fn a_file_alone_is_replayed() {
    let (code, text, errors) = run(empty_dir().path(), &[&format!("{DATA}/chaos-02.capture")]);
    assert_eq!(code, Some(10), "{errors}");
    assert!(text.starts_with("FAULT"), "{text}");
}

#[test]
fn times_are_taken_as_they_are_printed_and_from_the_start() {
    let dir = Path::new(DATA);
    let text = |at: &str| {
        let (code, text, errors) = run(dir, &["query", "chaos-02", "vector(time())", "--time", at]);
        assert_eq!(code, Some(0), "{at}: {errors}");
        text
    };
    let meant = text("2026-11-24T16:30:00Z");
    for at in ["16:30", "16:30:00Z", "16:30:00.000", "2026-11-24 16:30", "2026-11-24T16:30"] {
        assert_eq!(text(at), meant, "{at}");
    }
    assert_eq!(text("+10s"), text("2026-11-24T16:27:14.128Z"));
    // What is now is no part of a run that is over, as no other time after its end is.
    for at in ["03:10", "now"] {
        let (code, _, errors) = run(dir, &["replay", "chaos-02", "--at", at]);
        assert_eq!(code, Some(2), "{at}");
        assert!(errors.contains("the capture covers"), "{errors}");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_time_without_a_zone_is_one_of_the_given_zone() {
    let dir = Path::new(DATA);
    let commands: [&[&str]; 4] = [
        &["query", "chaos-02", "vector(time())", "--at"],
        &["query", "chaos-02", "up", "--step", "15s", "--from"],
        &["rules", "replay", "chaos-02", "--at"],
        &["replay", "chaos-02", "--format", "json", "--at"],
    ];
    for command in commands {
        let text = |tz: &str, given: &[&str]| {
            let mut program = operator(dir);
            let output = program.env("TZ", tz).args(command).args(given).output();
            String::from_utf8(output.expect("the program starts").stdout).expect("it is UTF-8")
        };
        let meant = text("UTC", &["2026-11-24T16:32:00Z"]);
        assert!(meant.len() > 10, "{command:?}: {meant}");
        // The zone of the machine alone changes nothing.
        for (of_machine, given) in [
            ("UTC", &["00:32", "--tz", "+08:00"][..]),
            ("XXX-8", &["2026-11-25 00:32", "--tz", "local"]),
            ("XXX-8", &["16:32"]),
        ] {
            assert_eq!(text(of_machine, given), meant, "{command:?} {given:?}");
        }
    }
    let (code, _, errors) = run(dir, &["replay", "chaos-02", "--at", "00:32", "--tz", "Asia"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("use UTC, +08:00 or -03:30, or `local`"), "{errors}");
}

#[test]
fn a_step_that_is_advised_keeps_the_zone_of_its_times() {
    let args = ["replay", "chaos-02", "--at", "00:32", "--tz", "+08:00"];
    let (_, text, _) = run(Path::new(DATA), &args);
    assert!(text.starts_with("FAULT, 2026-11-24 UTC  store 4"), "{text}");
    assert!(text.contains(" --at 00:32 --tz +08:00\n"), "{text}");
}

#[test]
fn every_help_fits_80_columns() {
    let dir = empty_dir();
    for command in SUBCOMMANDS {
        let (_, text, _) = run(dir.path(), &[command, "--help"]);
        let long = text.lines().find(|line| line.chars().count() > 80);
        assert_eq!(long, None, "{command}");
    }
}

#[test]
fn where_there_are_no_runs_it_is_said_where_the_bundled_ones_lie() {
    let dir = empty_dir();
    for args in [&["replay", "chaos-02"][..], &["replay", "latest"], &["runs"]] {
        let (_, out, errors) = run(dir.path(), args);
        assert!((out + &errors).contains("data/ of the repository"), "{args:?}: {errors}");
    }
}

#[test]
fn a_query_without_a_time_says_which_instant_it_took() {
    let (code, _, errors) = run(Path::new(DATA), &["query", "chaos-02", "up"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        errors.contains("evaluated at 2026-11-24T16:36:20.331Z, the end of the run"),
        "{errors}"
    );
    let (_, _, errors) = run(Path::new(DATA), &["query", "chaos-02", "up", "--time", "-1m"]);
    assert!(!errors.contains("evaluated at"), "{errors}");
}

#[test]
fn a_window_that_reaches_beyond_what_was_recorded_is_told() {
    let expression = "rate(process_cpu_seconds_total[5m])";
    let query = |at: &str, more: &[&str]| {
        let args = [&["query", "chaos-02", expression, "--at", at], more].concat();
        let (code, text, errors) = run(Path::new(DATA), &args);
        assert_eq!(code, Some(0), "{errors}");
        (text, errors)
    };
    let told = "process_cpu_seconds_total[5m] looks back to 2026-11-24T16:23:04.128Z, and nothing \
                was recorded before 2026-11-24T16:27:04.128Z";
    let (_, errors) = query("+1m", &[]);
    assert!(errors.contains(told), "{errors}");
    let (text, _) = query("+1m", &["--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(answer["infos"], serde_json::json!([format!("capture info: {told}")]));
    let (text, errors) = query("+6m", &["--format", "json"]);
    assert!(!text.contains("infos") && !errors.contains("looks back"), "{errors}");
}

#[test]
fn a_misspelt_option_suggests_the_right_one_alone() {
    let (code, _, errors) = run(empty_dir().path(), &["replay", "x", "--fron", "-5m"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("'--from'") && !errors.contains("-- "), "{errors}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn verdicts_that_differ_have_an_exit_code() {
    assert_eq!(run(Path::new(DATA), &["diff", "chaos-02", "chaos-02"]).0, Some(0));
    assert_eq!(run(Path::new(DATA), &["diff", "chaos-01", "chaos-02"]).0, Some(4));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn one_run_is_scored_against_a_bound() {
    let score = |args: &[&str]| run(Path::new(DATA), &[&["score", "chaos-02"], args].concat());
    let (code, text, errors) = score(&["--at-least", "100%"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("store_crash"), "{text}");
    let (code, _, errors) = score(&["--at-least", "90"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("1 capture has a truth: is 90% meant?"), "{errors}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_capture_without_a_truth_is_named_and_not_scored() {
    let dir = empty_dir();
    record_pasted(dir.path(), "q12");
    fs::copy(format!("{DATA}/chaos-02.capture"), dir.path().join("captures/chaos-02.capture"))
        .expect("the directory is writable");
    let (code, text, errors) = run(dir.path(), &["score", "captures", "--format", "json"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("1 capture has no truth: q12"), "{errors}");
    let scores: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(scores[1], serde_json::json!({ "run": "q12", "truth": null }), "{text}");
    assert_eq!(scores[0]["alert_fired"], true, "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_truth_is_checked_without_being_sealed() {
    let dir = empty_dir();
    let capture = dir.path().join("run.capture");
    fs::copy(format!("{DATA}/chaos-02.capture"), &capture).expect("the directory is writable");
    let before = fs::read(&capture).expect("it is there");
    let seal = |truth: &str| {
        fs::write(dir.path().join("truth.json"), truth).expect("the directory is writable");
        run(dir.path(), &["seal", "run", "--truth", "truth.json", "--dry-run", "--replace"])
    };
    let (code, text, errors) = seal(r#"{"fault": "store_crash", "store_id": 4}"#);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("can be sealed") && text.contains("store_crash at store 4"), "{text}");
    for (truth, field) in [
        (r#"{"falt": "store_crash"}"#, "\"fault\""),
        (r#"{"fault": "store_crsh"}"#, "\"fault\""),
        (r#"{"fault": "store_crash", "store_id": "4"}"#, "\"store_id\""),
    ] {
        let (code, _, errors) = seal(truth);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("truth.json") && errors.contains(field), "{errors}");
    }
    assert_eq!(fs::read(&capture).expect("it is there"), before);
}

#[test]
fn the_page_about_exit_codes_has_the_table_of_the_help() {
    let (_, help, _) = run(empty_dir().path(), &["--help"]);
    let table = help.split_once("Exit codes:\n").expect("the help has the table").1.trim_end();
    let page = include_str!("../../docs/exit-codes.md");
    assert!(page.contains(table), "docs/exit-codes.md lacks:\n{table}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn explain_without_a_finding_lists_them() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (code, text, _) = run(dir, &["explain", "data/chaos-02.capture"]);
    assert_eq!(code, Some(0));
    let ids: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(ids.contains(&"F1") && text.contains("no heartbeat reaches PD"), "{text}");
}

/// The names of the findings of a bundled run, as of the instant that the further arguments say.
fn names(further: &[&str]) -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = [&["explain", "data/chaos-02.capture", "--format", "json"], further].concat();
    let (_, text, errors) = run(dir, &list);
    let listed: serde_json::Value = serde_json::from_str(&text).expect(&errors);
    let names = listed["names"].as_array().expect("they have names").iter();
    names.map(|name| name.as_str().expect("a name is text").to_owned()).collect()
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_finding_has_the_same_name_as_of_every_instant() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (earlier, at_the_end) = (names(&["--at", "16:31:30"]), names(&[]));
    assert!(earlier.len() >= 2 && at_the_end.len() > earlier.len(), "{earlier:?}");
    for name in &earlier {
        assert!(at_the_end.contains(name), "{name} is not among {at_the_end:?}");
    }
    let (code, text, _) = run(dir, &["explain", "data/chaos-02.capture", &earlier[0]]);
    assert!(code == Some(0) && text.contains("the end of the run"), "{text}");
    // Its first parts are enough where they mean one finding.
    let (code, text, _) = run(dir, &["explain", "data/chaos-02.capture", "restarted/store-4"]);
    assert!(code == Some(0) && text.starts_with("F6  store 4"), "{text}");
    let (code, _, errors) = run(dir, &["explain", "data/chaos-02.capture", "restarted/store-5"]);
    assert!(code == Some(2) && errors.contains("there is F1 unreachable"), "{errors}");
}

#[test]
fn help_puts_the_options_of_every_command_under_their_own_heading() {
    let dir = empty_dir();
    for command in ["record", "watch", "replay", "query", "doctor"] {
        let (_, text, _) = run(dir.path(), &[command, "-h"]);
        let (own, global) =
            text.split_once("Options of every command:").expect("there is such a heading");
        for option in ["--dir ", "--format ", "--color ", "--quiet"] {
            assert!(!own.contains(option) && global.contains(option), "{command}: {text}");
        }
    }
}
