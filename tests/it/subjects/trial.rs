//! `try.sh`, with an engine that is played: what it does, in which order, and how it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::folder;

/// Plays `docker`: notes each call, has the images that `images` matches, calls every container healthy
/// and PD's leader pd2, and prints what is in the file `verdict` as a replay.
const ENGINE: &str = r##"#!/bin/bash
here=${0%/*}
echo "$*" >> "$here/calls"
case "$*" in
  info) [ -f "$here/verdict" ] ;;
  "compose version"*) ;;
  version*) echo 28 ;;
  "image inspect"*) [[ $3 =~ $(cat "$here/images") ]] ;;
  ps*) echo "${*: -1}" ;;
  inspect*) echo healthy ;;
  *" config") cat "$here/config" ;;
  *" exec "*) printf '{\n  "name": "pd2",\n}\n' ;;
  *" stop operator") touch "captures/$OPERATOR_RUN.capture"; chmod "$(cat "$here/mode")" "captures/$OPERATOR_RUN.capture" ;;
  *" replay "*) cat "$here/verdict"; exit 10 ;;
esac
"##;

const CONFIG: &str = "services:
  grafana:
    image: grafana:1
  load:
    image: ycsb:1
  node:
    image: node:1
  operator:
    image: operator:1
  pd0:
    image: pd:1
  prometheus:
    image: prometheus:1
  tikv0:
    image: tikv:1
";

/// A copy of the script beside an engine that is played.
struct Trial {
    folder: TempDir,
}

impl Trial {
    fn new(images: &str, verdict: &str) -> Trial {
        let trial = Trial { folder: tempfile::tempdir().expect("a temporary directory") };
        fs::create_dir(trial.path().join("captures")).expect("writable");
        fs::copy(folder().join("try.sh"), trial.path().join("try.sh")).expect("it is there");
        trial.write("docker", ENGINE);
        trial.write("config", CONFIG);
        trial.write("images", images);
        trial.write("verdict", verdict);
        trial.write("mode", "640");
        trial
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.path().join(file);
        fs::write(&file, text).expect("the directory is writable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
    }

    fn run(&self) -> Output {
        let all = std::env::var("PATH").expect("there is a PATH");
        let mut command = Command::new("bash");
        command.arg(self.path().join("try.sh")).arg("--local-images");
        command
            .env("PATH", format!("{}:{all}", self.path().display()))
            .env("OPERATOR_RUN", "trial");
        for duration in ["TRY_BEFORE", "TRY_FAULT", "TRY_AFTER"] {
            command.env(duration, "0");
        }
        command.output().expect("there is a shell")
    }

    /// The calls of Compose, in their order.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        let prefix = "compose --profile load --profile operator ";
        calls.lines().filter_map(|call| call.strip_prefix(prefix)).map(str::to_owned).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const STORE_CRASH: &str = "FAULT, 2026-11-24 UTC  store 4 (tikv1:20160): the store's process died
  store_crash  16:30:50.358 \u{b1}4.7s to 16:34:35.967 (3m45s), confidence 0.97
";

const LEADER_PAUSE: &str =
    "FAULT, 2026-11-24 UTC  cluster: no store has come up since the recording began; one more cause
  store_never_up, cluster  05:10:04.014 \u{b1}1.0s until the end, confidence 0.95
  pd_leader_pause, pd2  05:12:24.728 \u{b1}4.1s to 05:13:28.753 (1m04s), confidence 0.95
";

#[test]
fn a_store_is_killed_and_named() {
    let trial = Trial::new("", STORE_CRASH);
    let output = trial.run();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let done: Vec<String> =
        trial.calls().into_iter().filter(|call| !call.starts_with("config")).collect();
    let services = "pd0 pd1 pd2 prometheus node grafana tikv0 tikv1 tikv2 load run operator";
    assert_eq!(
        done,
        [
            format!("up -d --no-build {services}").as_str(),
            "kill tikv1",
            "start tikv1",
            "stop operator",
            "run --rm --no-deps -T operator replay --run trial",
            "down -v --remove-orphans --timeout 10",
        ]
    );
    assert!(said(&output).contains("removed: the containers"), "{}", said(&output));
}

#[test]
fn without_tikv_it_says_so_and_pauses_the_leader_of_pd() {
    let trial = Trial::new("^(pd|prometheus|operator):", LEADER_PAUSE);
    let output = trial.run();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let calls = trial.calls();
    assert!(calls.contains(&"up -d --no-build pd0 pd1 pd2 prometheus operator".to_owned()));
    assert!(calls.contains(&"pause pd2".to_owned()) && calls.contains(&"unpause pd2".to_owned()));
    for line in ["tikv:1 is unavailable", "node:1 is unavailable", "WITHOUT TIKV: no stores"] {
        assert!(said(&output).contains(line), "{line}: {}", said(&output));
    }
}

#[test]
fn whatever_else_the_verdict_says_is_a_failure_and_is_cleaned_up() {
    let verdicts = [
        STORE_CRASH.replace("tikv1", "tikv10"),
        STORE_CRASH.replace("tikv1", "tikv2"),
        STORE_CRASH.replace("store_crash", "slow_disk"),
    ];
    let without = [
        LEADER_PAUSE.replace("pd2", "pd1"),
        LEADER_PAUSE.replace("pd_leader_pause", "pd_quorum_loss"),
        LEADER_PAUSE.replace("store_never_up", "store_crash"),
    ];
    let with = verdicts.iter().map(|verdict| ("", verdict));
    let without = without.iter().map(|verdict| ("^(pd|prometheus|operator):", verdict));
    for (images, verdict) in with.chain(without) {
        let trial = Trial::new(images, verdict);
        let output = trial.run();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("FAILED"), "{}", said(&output));
        assert_eq!(trial.calls().last().expect("calls"), "down -v --remove-orphans --timeout 10");
    }
}

#[test]
fn a_capture_that_the_group_cannot_read_is_a_failure() {
    let trial = Trial::new("", STORE_CRASH);
    trial.write("mode", "600");
    let output = trial.run();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("cannot read the capture"), "{}", said(&output));
}

#[test]
fn without_an_engine_or_an_image_that_it_needs_nothing_is_tried() {
    let none = Trial::new("", "");
    fs::remove_file(none.path().join("verdict")).expect("it is there");
    let unable = Trial::new("^(prometheus|operator):", LEADER_PAUSE);
    for (trial, reason) in [(none, "no container engine"), (unable, "nothing runs without pd0")] {
        let output = trial.run();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(reason), "{}", said(&output));
        assert!(!trial.calls().iter().any(|call| call.starts_with("up")));
    }
}
