//! Documentation that is generated from what the program declares, and held against it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use operator::diagnose::{Depth, MODES, Mode, Nature, Need};
use operator::session::Session;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds a file of the repository equal to what is generated, or writes it where `UPDATE` is set.
pub fn assert_generated(path: &str, generated: &str) {
    let path = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, generated).expect("the documentation can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).find(|(a, b)| a != b);
    assert!(
        committed == generated,
        "{} is not what the declarations say ({differs:?}); \
         UPDATE=1 cargo test --no-default-features --test it -- documentation:: versions:: renews it",
        path.display()
    );
}

const INTRODUCTION: &str = "\
# Failure modes

What a verdict can name, in the order of the catalogue. This page is generated from the declarations in
`src/diagnose/failure_modes/`, one file for each mode: `tests/it/documentation.rs` holds it against them, and
`UPDATE=1 cargo test --no-default-features --test it documentation::` renews it.

How to read it:

- **Needs** names the sources without which the mode cannot be found. Where one was not recorded, a verdict
  says so and does not take silence for health.
- **Reads** lists the metrics that the mode depends on, also by way of shared observations. What PD answers is
  read as a whole.
- **Confidence**: a claim becomes a cause from 0.5 on; the figure is the most that this mode ever claims.
  Load that rose, another node that is missing, or damage in the capture lower it.
- **Depth** orders explanations: a deeper claim that began earlier and reaches as far explains a shallower one,
  which is then listed under `then:` and is no cause of its own. From the deepest: presence, resource,
  workload, saturation, consequence, unexplained.
- **Takes in** names modes that describe a part of the same fault: at the same place and time they give way.
- A check changes nothing. A remedy that does says `(a change)`. ID, NAME, PID, PD, STORE and MEMBER stand for
  yours. Commands of `pd-ctl` are those of `tiup ctl:VERSION pd -u http://PD:2379`.

`operator replay RUN --why-not MODE` says what became of a mode in a run.
";

#[test]
fn the_page_of_failure_modes_is_what_the_declarations_say() {
    let mut page = INTRODUCTION.to_owned();
    for (title, nature) in
        [("Faults", Nature::Fault), ("Planned changes, and failures of monitoring", Nature::Change)]
    {
        let _ = write!(page, "\n## {title}\n\n| mode | what it says | at most |\n|-|-|-|\n");
        for mode in MODES.iter().filter(|mode| mode.nature == nature) {
            let _ =
                writeln!(page, "| [{0}](#{0}) | {1} | {2} |", mode.name, mode.says, mode.surest);
        }
        for mode in MODES.iter().filter(|mode| mode.nature == nature) {
            page.push_str(&section(mode));
        }
    }
    assert_generated("docs/failure-modes.md", &page);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn no_claim_is_surer_than_its_mode_declares() {
    let pd = fs::read_dir(root().join("data/pd")).expect("there are captures of PD");
    let mut paths: Vec<PathBuf> = pd.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "capture"));
    paths.push(root().join("data/chaos-02.capture"));
    paths.sort();
    let mut claims = 0;
    for path in paths {
        let verdict = Session::open(&path).and_then(|session| session.verdict());
        let verdict = verdict.expect("a bundled capture is judged");
        let causes = verdict.causes.iter().chain(&verdict.changes);
        let claimed = causes.map(|one| (one.mode, one.confidence));
        for (name, confidence) in
            claimed.chain(verdict.alternatives.iter().map(|one| (one.mode, one.confidence)))
        {
            let mode = MODES.iter().find(|mode| mode.name == name).expect("the mode is declared");
            assert!(confidence <= mode.surest, "{}: {name} {confidence}", path.display());
            claims += 1;
        }
    }
    assert!(claims > 5, "{claims}");
}

/// The most lines of the README, and the most bytes of a picture in it.
const README_LINES: usize = 150;
const PICTURE_BYTES: u64 = 150_000;

#[test]
fn the_readme_is_short_and_what_it_links_to_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let lines = readme.lines().count();
    assert!(lines < README_LINES, "{lines} lines");
    let docs = fs::read_dir(root().join("docs")).expect("there is documentation");
    let mut pages: Vec<PathBuf> = docs.map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.push(root().join("README.md"));
    for page in pages {
        let text = fs::read_to_string(&page).expect("a page can be read");
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = page.with_file_name(link.split('#').next().unwrap_or(link));
            assert!(path.exists(), "{}: {link}", page.display());
            if link.ends_with(".png") {
                let bytes = fs::metadata(&path).expect("a picture has a size").len();
                assert!(bytes < PICTURE_BYTES, "{link}: {bytes} bytes");
            }
        }
    }
}

/// The targets of the links and pictures of a page.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The commands of the README that begin with the program's name, without comments, each on one line.
fn readme_commands() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let code = readme.replace("\\\n", " ");
    let lines = code.lines().filter_map(|line| line.strip_prefix("    operator "));
    lines.map(|line| line.split(" #").next().unwrap_or(line).trim().to_owned()).collect()
}

/// Runs a command in a shell, in a folder with the bundled captures; its exit code and what it wrote.
fn run_in_shell(arguments: &str) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(root().join("data"), dir.path().join("data")).expect("a link");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("\"$OPERATOR\" {arguments}")).current_dir(dir.path());
    for name in ["PD_ENDPOINT", "PROMETHEUS_URL", "OPERATOR_BEARER_TOKEN", "OPERATOR_LOG"] {
        command.env_remove(name);
    }
    command.env("OPERATOR", env!("CARGO_BIN_EXE_operator"));
    let output = command.output().expect("a shell starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_commands_of_the_readme_run() {
    let commands = readme_commands();
    let offline = commands.iter().filter(|line| line.contains("chaos-02"));
    let mut count = 0;
    for arguments in offline {
        let (code, text) = run_in_shell(arguments);
        // That something is broken, or cannot be told, is an answer.
        assert!(matches!(code, Some(0 | 10 | 11)), "operator {arguments}: {code:?}\n{text}");
        count += 1;
    }
    assert!(count >= 10, "{count} commands");
}

#[test]
fn the_commands_of_the_readme_that_need_a_cluster_can_be_understood() {
    let commands = readme_commands();
    let online = commands.iter().filter(|line| line.contains("http://"));
    let mut count = 0;
    for arguments in online {
        // What stands before `--help` is parsed and not run.
        let asked = match arguments.split_once(" -- ") {
            Some((options, command)) => format!("{options} --help -- {command}"),
            None => format!("{arguments} --help"),
        };
        let (code, text) = run_in_shell(&asked);
        assert_eq!(code, Some(0), "operator {asked}\n{text}");
        count += 1;
    }
    assert!(count >= 4, "{count} commands");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_figures_of_the_readme_are_those_of_score() {
    let (code, text) = run_in_shell("score data --at-least 10");
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run_in_shell("score data/pd --at-least 8");
    assert_eq!(code, Some(0), "{text}");
}

/// The document of a crashed store.
fn document(turn: &str) -> serde_json::Value {
    let session = Session::open(&root().join("data/chaos-02.capture")).expect("it opens");
    let verdict = session.verdict().expect("it is judged");
    let cause = &verdict.causes[0];
    let notice = serde_json::json!({
        "about": "cause", "turn": turn, "what": cause.mode, "target": cause.target,
        "onset_ms": cause.onset_ms, "end_ms": cause.end_ms, "text": cause.says,
    });
    serde_json::json!({
        "schema": 1, "event": "verdict", "run": "prod", "at": verdict.as_of_ms,
        "notices": [notice], "verdict": verdict,
    })
}

/// Runs a hook on a document, with programs in the place of `mail` and `curl` that write down their arguments
/// and their input; what they wrote.
fn hooked(hook: &str, document: &serde_json::Value) -> String {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for program in ["mail", "curl"] {
        let path = dir.path().join(program);
        fs::write(&path, "#!/bin/sh\necho \"$*\"\ncat\necho\n").expect("a program is written");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("it can be run");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command.arg("-c").arg(root().join("docs/hooks").join(hook).display().to_string() + " oncall");
    command.env("PATH", format!("{}:{path}", dir.path().display()));
    command.env("CHAT_WEBHOOK", "http://chat").env("PAGER_KEY", "key");
    let output = command.write_stdin(document.to_string()).output().expect("a shell starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{hook}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "needs jq: ./test.sh runs it"]
fn hooks_tell_what_broke_and_that_it_is_over() {
    let mail = hooked("mail.sh", &document("began"));
    assert!(mail.starts_with("-s TiKV, prod: store 4 (10.77.0.20:20160): "), "{mail}");
    assert!(mail.contains("store_crash, store 4, since 2026-11-24T16:30:50Z"), "{mail}");
    assert!(mail.contains("  remedy: "), "{mail}");
    let chat = hooked("chat.sh", &document("began"));
    assert!(chat.contains("http://chat") && chat.contains("began: store_crash, store 4"), "{chat}");
    for (turn, action) in [("began", "trigger"), ("ended", "resolve"), ("withdrawn", "resolve")] {
        let event = hooked("pager.sh", &document(turn));
        assert!(event.contains(&format!("\"event_action\":\"{action}\"")), "{event}");
        assert!(event.contains("\"dedup_key\":\"operator/prod/store 4\""), "{event}");
    }
}

#[test]
#[ignore = "needs jq: ./test.sh runs it"]
fn an_incident_of_a_pager_lasts_as_long_as_any_fault_of_its_place() {
    let mut document = document("ended");
    let mut lasting = document["verdict"]["causes"][0].clone();
    lasting["end_ms"] = serde_json::Value::Null;
    let causes = document["verdict"]["causes"].as_array_mut().expect("it has causes");
    causes.push(lasting);
    assert_eq!(hooked("pager.sh", &document), "");
}

fn section(mode: &Mode) -> String {
    let mut out = format!("\n### {}\n\n{}\n\n", mode.name, described(mode.name));
    let mut item = |name: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(out, "- **{name}**: {text}");
        }
    };
    let needs: Vec<&str> = mode.needs.iter().map(|need| source(*need)).collect();
    let never: Vec<&str> = mode.never_explains.iter().map(|depth| self::depth(*depth)).collect();
    let greater = MODES.iter().filter(|other| other.subsumes(mode));
    item("Needs", &or_instead(needs.join("; "), needs.is_empty(), "whatever was recorded"));
    item("Reads", &code(mode.metrics.iter().copied()));
    item("Confidence", &format!("at most {}", mode.surest));
    item("Depth", depth(mode.depth));
    item("Takes in", &code(mode.subsumes.iter().map(|other| other.name)));
    item("Gives way to", &code(greater.map(|other| other.name)));
    let explains_nothing = never.len() == Depth::ALL.len();
    let unknown_alone = !explains_nothing && never.len() + 1 == Depth::ALL.len();
    let never = or_instead(never.join(", "), explains_nothing, "anything");
    item("Never explains", &or_instead(never, unknown_alone, "anything but what nobody knows"));
    item("First check", mode.advice.check);
    item("Usual remedy", mode.advice.remedy);
    item("Risk", mode.advice.risk);
    let section =
        mode.advice.section.map_or_else(String::new, |section| format!(", section {section}"));
    item("Documentation", &format!("<{}>{section}", mode.advice.documentation));
    out
}

/// The text, or another one where something holds.
fn or_instead(text: String, holds: bool, instead: &str) -> String {
    if holds { instead.to_owned() } else { text }
}

/// What the file of a mode says at its head.
fn described(mode: &str) -> String {
    let file = source_file(&root().join("src/diagnose/failure_modes"), &format!("{mode}.rs"))
        .unwrap_or_else(|| panic!("there is a file of {mode}"));
    let source = fs::read_to_string(file).expect("a source file can be read");
    let head = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    head.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The file of this name in a folder or in one below it.
fn source_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    entries.iter().find_map(|path| match path.is_dir() {
        true => source_file(path, name),
        false => (path.file_name()? == name).then(|| path.clone()),
    })
}

fn code<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn source(need: Need) -> &'static str {
    match need {
        Need::PdStores => "PD's list of stores (`/stores`)",
        Need::PdMembers => "answers of PD's members (`/members`, `/health`, `/status`)",
        Need::TikvMetrics => "scrapes of TiKV in Prometheus",
        Need::PdMetrics => "scrapes of PD in Prometheus",
    }
}

fn depth(depth: Depth) -> &'static str {
    match depth {
        Depth::Presence => "presence",
        Depth::Resource => "resource",
        Depth::Workload => "workload",
        Depth::Saturation => "saturation",
        Depth::Consequence => "consequence",
        Depth::Unexplained => "unexplained",
    }
}
