//! What findings cite is in the capture: every bundled recording bears out its verdict, and a citation that
//! is wrong is found.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use operator::model::Timestamp;
use operator::session::{Session, check_citations};
use serde_json::Value;

fn bundled() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in [data.clone(), data.join("pd"), data.join("format-1")] {
        let entries = std::fs::read_dir(folder).expect("it can be listed");
        found.extend(entries.map(|entry| entry.expect("it can be listed").path()));
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "capture"));
    found.sort();
    found
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_bundled_recording_bears_out_what_its_verdict_cites() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for path in bundled() {
        let session = Session::open(&path).expect("it opens");
        let verdict = session.verdict().expect("it can be judged");
        let check = check_citations(session.reader(), &verdict.findings).expect("it can be read");
        checked += check.checked;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        wrong.extend(check.disagreeing.into_iter().map(|one| format!("{name}: {one:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 100, "{checked}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_citation_of_another_value_or_instant_is_found() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-02.capture");
    let session = Session::open(&path).expect("it opens");
    let mut findings = session.verdict().expect("it can be judged").findings;
    let cited = || findings.iter().flat_map(|finding| &finding.citations);
    let expected = cited().filter(|one| one.reference.starts_with("up{")).count()
        + cited().filter(|one| one.reference.starts_with("PD /stores leader_count")).count();
    assert!(expected >= 2, "{findings:?}");
    for citation in findings.iter_mut().flat_map(|finding| &mut finding.citations) {
        if citation.reference.starts_with("up{") {
            citation.value = "7".to_owned();
        } else if citation.reference.starts_with("PD /stores leader_count") {
            citation.at_ms = Timestamp::from_millis(citation.at_ms.as_millis() - 1);
        }
    }
    let check = check_citations(session.reader(), &findings).expect("it can be read");
    assert_eq!(check.disagreeing.len(), expected, "{:?}", check.disagreeing);
    let held: Vec<&str> = check.disagreeing.iter().map(|one| one.held.as_str()).collect();
    assert!(held.contains(&"0") && held.contains(&"no such request at that instant"), "{held:?}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn verify_says_how_many_citations_it_looked_up() {
    let replay = |format: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-02.capture");
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
        command.args(["--format", format, "replay", "--verify"]).arg(path);
        let output = command.output().expect("the program starts");
        assert_eq!(output.status.code(), Some(10), "{output:?}");
        String::from_utf8(output.stdout).expect("the program prints UTF-8")
    };
    let json: Value = serde_json::from_str(&replay("json")).expect("valid JSON");
    let verification = &json["verification"];
    let checked = verification["citations"]["checked"].as_u64().expect("a number");
    assert_eq!(verification["evaluations"], 2);
    assert_eq!(verification["citations"]["disagreeing"], serde_json::json!([]));
    assert!(checked > 5, "{verification}");
    let text = replay("text");
    let line = format!("2 evaluations agree; {checked} citations looked up");
    let unwrapped = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains(&line), "{text}");
}
