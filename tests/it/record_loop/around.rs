//! A recording around a command, whatever becomes of the command; and what can be handed out meanwhile.

use std::path::Path;
use std::time::Duration;

use operator::capture::CaptureReader;
use operator::session::Session;

use super::program::{Ended, Program, operator};
use super::{Scene, copied};

/// Records around a command of the shell until it ends by itself, or until `signal` once the command runs.
async fn around(scene: &Scene, script: &str, signal: Option<&str>) -> Ended {
    let mut arguments = scene.arguments();
    arguments
        .extend(["--before", "1s", "--after", "1s", "--", "sh", "-c", script].map(str::to_owned));
    let mut recorder = Program::start(operator().args(arguments));
    recorder.event("a copy", copied).await;
    if let Some(signal) = signal {
        let marked = scene.directory.path().join("runs");
        while !marked.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        recorder.signal(signal);
    }
    recorder.wait().await
}

fn events(path: &Path) -> Vec<String> {
    let reader = CaptureReader::open(path).expect("it opens");
    let events = reader.events().expect("events read").into_iter();
    events.filter(|event| event.kind.0 == "command").map(|event| event.text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_recorded_with_its_output_and_its_end() {
    let scene = Scene::new().await;
    let ended = around(&scene, "echo breaks one; echo more >&2", None).await;
    assert!(matches!(ended.code, Some(0 | 10 | 11)), "{:?}: {}", ended.code, ended.errors);
    let events = events(&scene.path());
    assert_eq!(events.len(), 4, "{events:?}");
    assert!(events[0].starts_with("began: sh -c echo breaks one"), "{events:?}");
    assert_eq!(events[1..3], ["printed: breaks one", "printed: more"]);
    assert!(events[3].starts_with("ended with exit code 0 after "), "{events:?}");
    assert!(ended.errors.contains("| breaks one"), "{}", ended.errors);
    let window = Session::open(&scene.path()).expect("it opens").window();
    assert!(window.millis() > 2_000, "{window:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_around_a_command_that_fails_is_sealed_and_exits_with_12() {
    let scene = Scene::new().await;
    let ended = around(&scene, "exit 3", None).await;
    assert_eq!(ended.code, Some(12), "{}", ended.errors);
    let said = ended.errors.trim_end().lines().last().expect("it says why");
    assert!(said.starts_with("exit 12: sh -c exit 3 ended with exit code 3; "), "{said}");
    assert!(said.ends_with(&format!("operator replay {}", scene.path().display())), "{said}");
    let last = events(&scene.path()).pop().expect("it is on the timeline");
    assert!(last.starts_with("ended with exit code 3"), "{last}");
    assert_eq!(scene.left_beside(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_not_run_where_nothing_could_be_observed_before() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (ran, dir) = (folder.path().join("ran"), folder.path().display().to_string());
    let (command, ran) = (["touch", &ran.display().to_string()].map(str::to_owned), ran);
    let arguments = ["--format", "json", "--dir", &dir, "record", "--run", "run"];
    let around = ["--pd", "http://127.0.0.1:1", "--before", "1s", "--after", "1s", "--"];
    let ended = Program::start(operator().args(arguments).args(around).args(&command)).wait().await;
    assert_eq!(ended.code, Some(13), "{}", ended.errors);
    assert!(!ran.exists(), "the command was run");
    let why = format!(
        "nothing could be observed before it, so that {} was not run: none of ",
        command.join(" ")
    );
    assert!(ended.errors.contains(&why), "{}", ended.errors);
    let told = events(&folder.path().join("run.capture"));
    assert_eq!(told, [format!("was not run: {}", command.join(" "))]);
    // What observed nothing is no run, so that its name can be used.
    let again = Program::start(operator().args(arguments).args(around).args(&command)).wait().await;
    assert_eq!(again.code, Some(13), "{}", again.errors);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn nobody_waits_for_sources_of_which_none_answers() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let dir = folder.path().display().to_string();
    let arguments = ["--format", "json", "--dir", &dir, "record", "--run", "run"];
    let around = ["--pd", "http://127.0.0.1:1", "--before", "2h", "--", "true"];
    let mut recorder = Program::start(operator().args(arguments).args(around));
    let ended = tokio::time::timeout(Duration::from_secs(600), recorder.wait()).await;
    let ended = ended.expect("it ends long before the command is due");
    assert_eq!(ended.code, Some(13), "{}", ended.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sources_the_dead_one_is_named_and_the_command_is_run() {
    let scene = Scene::new().await;
    let ran = scene.directory.path().join("ran");
    let mut arguments = scene.arguments();
    arguments.extend(["--pd", "http://127.0.0.1:1", "--before", "1s"].map(str::to_owned));
    let command = ["--after", "1s", "--", "touch", &ran.display().to_string()];
    arguments.extend(command.map(str::to_owned));
    let ended = Program::start(operator().args(arguments)).wait().await;
    assert!(matches!(ended.code, Some(0 | 10 | 11)), "{:?}: {}", ended.code, ended.errors);
    assert!(ran.exists(), "{}", ended.errors);
    let (warned, after) = ended.errors.split_once("running touch").expect("it is told");
    assert!(warned.contains("warning: none of ") && !after.contains("warning"), "{warned}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_recording_that_is_stopped_after_its_command_says_that_it_is_shorter() {
    for (script, code) in [("true", 14), ("exit 3", 12)] {
        let scene = Scene::new().await;
        let mut arguments = scene.arguments();
        let around = ["--before", "1s", "--after", "10m", "--", "sh", "-c", script];
        arguments.extend(around.map(str::to_owned));
        let mut recorder = Program::start(operator().args(arguments));
        recorder.event("a copy", copied).await;
        while !events(&scene.path()).iter().any(|event| event.starts_with("ended with")) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        recorder.signal("INT");
        let ended = recorder.wait().await;
        assert_eq!(ended.code, Some(code), "{}", ended.errors);
        assert!(ended.errors.contains("before the planned end"), "{}", ended.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn an_interrupted_command_ends_and_its_recording_is_sealed() {
    let scene = Scene::new().await;
    let marked = scene.directory.path().join("runs");
    let script = format!("touch {}; sleep 600", marked.display());
    let ended = around(&scene, &script, Some("INT")).await;
    assert_eq!(ended.code, Some(130), "{}", ended.errors);
    let last = events(&scene.path()).pop().expect("it is on the timeline");
    assert!(last.starts_with("was stopped after "), "{last}");
    assert_eq!(scene.left_beside(), ["runs"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_recording_in_progress_can_be_exported() {
    let scene = Scene::new().await;
    let mut recorder = scene.record();
    recorder.event("a copy", copied).await;
    let out = tempfile::tempdir().expect("a temporary directory");
    for (file, arguments) in [("a.gz", &[][..]), ("a.html", &["--html"][..])] {
        let to = out.path().join(file);
        let mut export = operator();
        export.arg("--dir").arg(scene.directory.path()).args(["export", "run", "-o"]).arg(&to);
        let made = export.args(arguments).output().expect("the program starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert!(Session::open(&to).expect("it opens").window().millis() > 0);
    }
    recorder.event("a copy after the export", copied).await;
    recorder.signal("TERM");
    assert_eq!(recorder.wait().await.code, Some(0));
}
