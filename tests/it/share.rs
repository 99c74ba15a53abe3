//! Exports: the verdict stays, nothing of the reporter's does, and every command opens the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use operator::capture::{self, CaptureReader, CaptureWriter, copy_range, unseal_truth};
use operator::model::{AsOf, Event, EventKind, TimeRange, Timestamp};
use operator::session::{Session, View};
use operator::share::{Destination, ExportOptions, audit, export};
use testkit::exports::{export_and_compare, key, redacted};

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn operator(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null());
    command.output().expect("the program starts")
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_verdict_is_the_same_after_redaction_but_for_names() {
    let dir = folder();
    for name in ["chaos-02", "chaos-05", "pd/pd-03", "pd/pd-06"] {
        let from = bundled(&format!("{name}.capture"));
        let to = dir.path().join(name.replace('/', "-") + ".capture.gz");
        let exported = export_and_compare(&from, &to, TimeRange::ALL).expect("the verdicts agree");
        let export = exported.meta.export.expect("it says how it was made");
        assert!(!export.replaced.is_empty() && !export.verdict.is_empty());
        assert_eq!(audit(&to, &[]).expect("it can be read"), [], "{name}");
        let truth = unseal_truth(&to).expect("it can be read").expect("the truth went along");
        assert!(!String::from_utf8_lossy(&truth).contains("10.77."));
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_same_key_gives_the_same_bytes_and_a_second_export_changes_nothing() {
    let dir = folder();
    let export_to = |from: &Path, name: &str, options: &ExportOptions| {
        let to = dir.path().join(name);
        export(from, Destination::File(&to), options).expect("it can be exported");
        to
    };
    let from = bundled("pd/pd-01.capture");
    let first = export_to(&from, "a.gz", &redacted());
    let bytes = fs::read(&first).expect("it was written");
    assert!(bytes == fs::read(export_to(&from, "b.gz", &redacted())).expect("it was written"));
    assert!(bytes == fs::read(export_to(&first, "c.gz", &redacted())).expect("it was written"));
    let other = operator::share::Redaction::Pseudonyms(key(8));
    let other = export_to(&from, "d.gz", &ExportOptions { redaction: other, ..redacted() });
    assert!(bytes != fs::read(other).expect("it was written"));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn marks_that_are_added_later_are_redacted_too() {
    let dir = folder();
    let packed = dir.path().join("a.gz");
    let from = bundled("pd/pd-01.capture");
    export(&from, Destination::File(&packed), &redacted()).expect("it can be exported");
    let plain = dir.path().join("a.capture");
    capture::copy(&packed, &plain).expect("it can be copied");
    let event = Event {
        at: Timestamp::from_millis(1_795_691_700_000),
        kind: EventKind(EventKind::NOTE.to_owned()),
        text: "bob@shop.acme.io moved db17x to 10.9.8.7".to_owned(),
        fields: [("node".to_owned(), "db17x".to_owned())].into(),
    };
    capture::add_event(&plain, event).expect("it is written");
    let again = dir.path().join("b.gz");
    export(&plain, Destination::File(&again), &redacted()).expect("it can be exported");
    let words = ["bob", "acme", "db17x", "shop"].map(str::to_owned);
    assert_eq!(audit(&again, &words).expect("it can be read"), []);
    let events = CaptureReader::open(&again).and_then(|reader| reader.events());
    let events = events.expect("it can be read");
    let note = events.iter().find(|event| event.kind.0 == EventKind::NOTE).expect("it is there");
    assert!(note.text.contains("moved") && note.text.contains(&note.fields["node"]), "{note:?}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_command_opens_what_was_exported_by_path_and_from_stdin() {
    let dir = folder();
    let from = bundled("pd/pd-03.capture");
    let from = from.to_str().expect("the path is UTF-8");
    let made = operator(dir.path(), &["export", from, "-o", "a.capture.gz", "--map", "map.json"]);
    assert!(made.status.success(), "{}", printed(&made));
    assert!(printed(&made).contains("a new key of pseudonyms was made"), "{}", printed(&made));
    let markdown = String::from_utf8_lossy(&made.stdout);
    assert!(markdown.contains("operator replay a.capture.gz"), "{markdown}");
    assert!(!markdown.contains("browser"), "{markdown}");
    // As JSON, since the text advises commands that name the file as it was given.
    let replayed = operator(dir.path(), &["replay", "a.capture.gz", "--format", "json"]);
    assert_eq!(replayed.status.code(), Some(10));
    let stdin = fs::File::open(dir.path().join("a.capture.gz")).expect("it was written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
    command.args(["replay", "-", "--format", "json"]).stdin(stdin);
    let piped = command.output().expect("the program starts");
    assert_eq!(piped.stdout, replayed.stdout);
    for command in ["show", "verify"] {
        assert!(operator(dir.path(), &[command, "a.capture.gz"]).status.success(), "{command}");
    }
    assert_eq!(operator(dir.path(), &["mark", "a.capture.gz", "x"]).status.code(), Some(8));
    let scrubbed = operator(dir.path(), &["redact", "--map", "map.json"]);
    assert!(scrubbed.status.success());
    let reversed = operator(dir.path(), &["redact", "--map", "map.json", "--reverse"]);
    assert!(printed(&reversed).contains("0 pseudonyms translated"), "{}", printed(&reversed));
    let imported = operator(dir.path(), &["import", "a.capture.gz", "--run", "theirs"]);
    assert!(imported.status.success());
    let theirs = operator(dir.path(), &["replay", "theirs", "--format", "json"]);
    assert_eq!(theirs.stdout, replayed.stdout);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_command_opens_a_page_with_a_capture_inside() {
    let dir = folder();
    let from = bundled("pd/pd-03.capture");
    let from = from.to_str().expect("the path is UTF-8");
    let made = operator(dir.path(), &["export", from, "--html", "-o", "a.html"]);
    assert!(made.status.success(), "{}", printed(&made));
    assert!(printed(&made).contains("opens in any browser"), "{}", printed(&made));
    let replayed = operator(dir.path(), &["replay", "a.html", "--format", "json"]);
    assert_eq!(replayed.status.code(), Some(10));
    let stdin = fs::File::open(dir.path().join("a.html")).expect("it was written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
    let piped = command.args(["replay", "-", "--format", "json"]).stdin(stdin).output();
    assert_eq!(piped.expect("the program starts").stdout, replayed.stdout);
    for command in ["show", "verify", "report"] {
        assert!(operator(dir.path(), &[command, "a.html"]).status.success(), "{command}");
    }
    assert_eq!(operator(dir.path(), &["mark", "a.html", "x"]).status.code(), Some(8));
    assert_eq!(audit(&dir.path().join("a.html"), &[]).expect("it can be read"), []);
    let page = fs::read_to_string(dir.path().join("a.html")).expect("it was written");
    for (name, bytes) in [
        ("cut.html", &page[..page.len() * 2 / 3]),
        ("without.html", &page.replace("application/gzip", "text/plain")),
        ("altered.html", &page.replacen("H4sI", "H4sJ", 1)),
        ("no-base64.html", &page.replacen("H4sI", "H4s!", 1)),
    ] {
        fs::write(dir.path().join(name), bytes).expect("the directory is writable");
        for command in ["replay", "import"] {
            let output = operator(dir.path(), &[command, name]);
            assert_eq!(output.status.code(), Some(3), "{command} {name}");
        }
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_broken_packed_file_exits_with_3() {
    let dir = folder();
    let packed = dir.path().join("a.gz");
    export(&bundled("pd/pd-01.capture"), Destination::File(&packed), &redacted())
        .expect("exported");
    let whole = fs::read(&packed).expect("it was written");
    for (name, bytes) in [
        ("cut.gz", &whole[..whole.len() / 2]),
        ("trailing.gz", &[&whole[..], b"x"].concat()),
        ("other.gz", &[0x1f, 0x8b, 8, 0, 0][..]),
    ] {
        fs::write(dir.path().join(name), bytes).expect("the directory is writable");
        for command in ["replay", "show", "verify", "import", "export"] {
            let output = operator(dir.path(), &[command, name]);
            assert_eq!(output.status.code(), Some(3), "{command} {name}");
        }
    }
}

/// Adds an event to a copy of a bundled capture and returns its path.
fn with_note(dir: &Path, name: &str, text: &str) -> PathBuf {
    let plain = dir.join("noted.capture");
    capture::copy(&bundled(name), &plain).expect("it can be copied");
    let event = Event {
        at: Timestamp::from_millis(1_795_691_700_000),
        kind: EventKind(EventKind::NOTE.to_owned()),
        text: text.to_owned(),
        fields: Default::default(),
    };
    capture::add_event(&plain, event).expect("it is written");
    plain
}

/// The text of everything that an operator prints, stdout and stderr.
fn printed(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_second_export_of_a_run_uses_the_names_of_the_first() {
    let dir = folder();
    let first = export(
        &bundled("pd/pd-01.capture"),
        Destination::File(&dir.path().join("a.gz")),
        &redacted(),
    );
    let noted = with_note(dir.path(), "pd/pd-01.capture", "db17x moved to 10.0.0.1");
    let second = export(&noted, Destination::File(&dir.path().join("b.gz")), &redacted());
    let (first, second) = (first.expect("exported").mapping, second.expect("exported").mapping);
    let names = |mapping: &operator::share::Mapping| mapping.known("7712436658287396060 and /tmp");
    assert!(first.known("pdbin") != "pdbin" && first.known("pdbin") == second.known("pdbin"));
    assert_eq!(names(&first), names(&second));
    assert!(!names(&first).contains("7712436658287396060"));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn notes_are_counted_and_stay_out_on_request() {
    let dir = folder();
    let noted = with_note(dir.path(), "pd/pd-01.capture", "mallory saw it");
    let noted = noted.to_str().expect("the path is UTF-8");
    let made = operator(dir.path(), &["export", noted, "-o", "a.gz", "--key", "key"]);
    assert_ne!(made.status.code(), Some(0), "there is no such key");
    let made = operator(dir.path(), &["export", noted, "-o", "a.gz"]);
    let said = printed(&made);
    assert!(said.contains("1 text of persons or commands"), "{said}");
    assert!(said.contains("made, captures/.pseudonym-key: exports with another key"), "{said}");
    let made = operator(dir.path(), &["export", noted, "-o", "b.gz", "--no-events"]);
    let said = printed(&made);
    assert!(!said.contains("1 text") && said.contains("Left out: notes, marks"), "{said}");
    let shown = operator(dir.path(), &["show", "b.gz"]);
    assert!(!printed(&shown).contains("mallory"));
    let made = operator(dir.path(), &["export", noted, "-o", "c.gz", "--no-redact"]);
    assert!(printed(&made).contains("nothing is redacted"));
    let made = operator(dir.path(), &["export", noted, "-o", "d.gz", "--around", "Mallory"]);
    assert!(made.status.success(), "{}", printed(&made));
    let made = operator(dir.path(), &["export", noted, "-o", "e.gz", "--around", "oscar"]);
    assert_eq!(made.status.code(), Some(2));
    assert!(printed(&made).contains("mallory saw it"), "{}", printed(&made));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn an_audit_reads_the_truth_and_the_page_around_a_packed_capture() {
    let dir = folder();
    let recorded = bundled("pd/pd-02.capture");
    let recorded = recorded.to_str().expect("the path is UTF-8");
    let audited = |file: &str| {
        let checked = operator(dir.path(), &["redact", "--check", file, "--words", "words"]);
        (checked.status.code(), printed(&checked))
    };
    fs::write(dir.path().join("words"), "t_clear_ms\nkg\nJanine").expect("it is writable");
    let truth = operator(dir.path(), &["export", recorded, "-o", "a.gz"]);
    assert!(printed(&truth).contains("a sealed truth is in it"), "{}", printed(&truth));
    let (code, said) = audited("a.gz");
    assert!(code == Some(4) && said.contains("t_clear_ms in a sealed truth"), "{said}");
    assert!(said.contains("not looked for, since it would stand everywhere: kg"), "{said}");
    operator(dir.path(), &["export", recorded, "-o", "b.html", "--html", "--no-truth"]);
    assert_eq!(audited("b.html").0, Some(0));
    let page = fs::read_to_string(dir.path().join("b.html")).expect("it was written");
    let altered = page.replacen("<h2>", "<h2>Janine at 10.9.8.7 ", 1);
    fs::write(dir.path().join("c.html"), altered).expect("it is writable");
    let (code, said) = audited("c.html");
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("Janine in the page") && said.contains("10.9.8.7"), "{said}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_damaged_capture_is_exported_on_request_alone_and_says_what_it_lost() {
    let dir = folder();
    let damaged = dir.path().join("damaged.capture");
    let mut bytes = fs::read(bundled("pd/pd-01.capture")).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    fs::write(&damaged, &bytes).expect("the directory is writable");
    let refused = operator(dir.path(), &["export", "damaged.capture", "-o", "a.gz"]);
    assert_eq!(refused.status.code(), Some(3), "{}", printed(&refused));
    assert!(printed(&refused).contains("--damaged") && !dir.path().join("a.gz").exists());
    let made = operator(dir.path(), &["export", "damaged.capture", "-o", "a.gz", "--damaged"]);
    assert!(made.status.success() && printed(&made).contains("is damaged"), "{}", printed(&made));
    let loss = |file: &str| {
        let reader = CaptureReader::open(&dir.path().join(file)).expect("it opens");
        reader.loss().expect("it can be read").expect("something is lost")
    };
    let (before, after) = (loss("damaged.capture"), loss("a.gz"));
    assert_eq!((before.samples, before.pd_answers), (after.samples, after.pd_answers));
    assert_eq!(before.parts.len(), after.parts.len());
    let again = operator(dir.path(), &["export", "a.gz", "-o", "b.gz"]);
    assert!(again.status.success(), "it is whole itself: {}", printed(&again));
    assert_eq!(loss("b.gz"), after);
    let checked = operator(dir.path(), &["redact", "--check", "damaged.capture"]);
    assert_eq!(checked.status.code(), Some(3), "{}", printed(&checked));
    assert!(printed(&checked).contains("cannot look inside"));
}

/// What a verdict says but for names: causes and changes with times, what could not be checked, and the loss.
fn said(path: &Path, from: Option<Timestamp>) -> String {
    let session = Session::open(path).expect("it opens");
    let view = View {
        range: TimeRange::new(from.unwrap_or(Timestamp::MIN), Timestamp::MAX),
        as_of: AsOf::END,
    };
    let verdict = session.load(view).and_then(|window| window.verdict()).expect("it is judged");
    let causes = verdict.causes.iter().chain(&verdict.changes).map(|cause| {
        let open = cause.unchecked.len();
        let when = (cause.onset_ms, cause.onset_uncertainty_ms, cause.end_ms);
        format!("{} {when:?} {} {open} unchecked", cause.mode, cause.confidence)
    });
    let causes: Vec<String> = causes.collect();
    let findings = verdict.findings.len();
    let (damaged, open) = (verdict.damage.is_some(), verdict.unchecked.len());
    format!(
        "{:?} as of {} {causes:?} {findings} findings, {open} unchecked, damaged {damaged}",
        verdict.outcome, verdict.as_of_ms
    )
}

/// A bundled run of which one byte is another one.
fn flipped(name: &str, at: usize, to: &Path) {
    let mut bytes = fs::read(bundled(name)).expect("it is there");
    bytes[at] ^= 0xff;
    fs::write(to, bytes).expect("the directory is writable");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_copy_of_a_damaged_capture_is_judged_as_the_damaged_one() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    let export = |more: &[&str], file: &str| {
        let made = ["export", "damaged.capture", "--damaged", "--no-redact", "-o", file];
        let made = operator(dir.path(), &[&made[..], more].concat());
        assert!(made.status.success(), "{}", printed(&made));
    };
    let damaged = path("damaged.capture");
    // All answers of PD.
    flipped("chaos-02.capture", 300_000, &damaged);
    export(&[], "pd.gz");
    assert_eq!(said(&path("pd.gz"), None), said(&damaged, None));
    // Samples of a store.
    flipped("chaos-02.capture", 200_000, &damaged);
    let reader = CaptureReader::open(&damaged).expect("it opens");
    let whole = said(&damaged, None);
    assert!(whole.contains("damaged true") && whole.contains(" 0.66 1 unchecked"), "{whole}");
    let from = reader.window().start + 180_000;
    export(&[&format!("--from={from}")], "p.gz");
    assert_eq!(said(&path("p.gz"), None), said(&damaged, Some(from)));
    export(&[], "e.gz");
    assert_eq!(said(&path("e.gz"), None), whole);
    let again = operator(dir.path(), &["export", "e.gz", "-o", "again.gz"]);
    assert!(again.status.success(), "{}", printed(&again));
    assert_eq!(said(&path("again.gz"), None), whole);
    // What a recording in segments copies into the next one.
    let mut next = CaptureWriter::create(&path("next.capture"), reader.meta().clone())
        .expect("it can be made");
    copy_range(&reader, TimeRange::ALL, &mut next).expect("it can be copied");
    next.finish().expect("it can be sealed");
    assert_eq!(said(&path("next.capture"), None), whole);
    let copied = operator(dir.path(), &["copy", "damaged.capture", "copy.capture"]);
    assert!(copied.status.success(), "{}", printed(&copied));
    assert_eq!(said(&path("copy.capture"), None), whole);
    let compacted = operator(dir.path(), &["compact", "damaged.capture", "compact.capture"]);
    assert_eq!(compacted.status.code(), Some(3), "{}", printed(&compacted));
    let shown = operator(dir.path(), &["replay", "e.gz"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("Damaged, and left out") && shown.contains("confidence 0.66"),
        "{shown}"
    );
}

#[test]
fn an_excerpt_says_so() {
    let dir = folder();
    let from = bundled("pd/pd-01.capture");
    let from = from.to_str().expect("the path is UTF-8");
    let made =
        operator(dir.path(), &["export", from, "-o", "a.gz", "--from", "+2m", "--match", "up"]);
    let said = printed(&made);
    assert!(said.contains("Left out: everything before") && said.contains("--match"), "{said}");
    let made = operator(dir.path(), &["export", from, "--max-size", "abc"]);
    assert!(printed(&made).contains("write it as 8MB"), "{}", printed(&made));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn an_export_has_no_originals_to_redact_with() {
    let dir = folder();
    export(&bundled("pd/pd-01.capture"), Destination::File(&dir.path().join("a.gz")), &redacted())
        .expect("exported");
    let refused = operator(dir.path(), &["redact", "--run", "a.gz"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(printed(&refused).contains("holds no originals"), "{}", printed(&refused));
}

#[test]
fn nothing_is_translated_back_without_the_key_of_an_export() {
    let dir = folder();
    let from = bundled("pd/pd-01.capture");
    let from = from.to_str().expect("the path is UTF-8");
    let refused = operator(dir.path(), &["redact", "--run", from, "--reverse"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(printed(&refused).contains("with --dir"), "{}", printed(&refused));
    assert!(!dir.path().join("captures").exists(), "no key is made");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_capture_with_a_log_attached_is_exported() {
    let dir = folder();
    let from = bundled("chaos-02.capture");
    let from = from.to_str().expect("the path is UTF-8");
    let log = format!("store 4={}", bundled("logs/chaos-02-store-4.log").display());
    let plain = "logged.capture";
    let attached = operator(dir.path(), &["attach", from, "--log", &log, "--to", plain]);
    assert!(attached.status.success(), "{}", printed(&attached));
    let made = operator(dir.path(), &["export", plain, "-o", "a.gz"]);
    assert!(made.status.success(), "{}", printed(&made));
    let format_1 = bundled("format-1/format-1.capture");
    let format_1 = format_1.to_str().expect("the path is UTF-8");
    let made = operator(dir.path(), &["export", format_1, "-o", "b.gz"]);
    assert!(made.status.success(), "{}", printed(&made));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_file_name_opens_that_file_and_only_an_unredacted_export_is_called_as_it_is_here() {
    let dir = folder();
    fs::copy(bundled("pd/pd-01.capture"), dir.path().join("tonight.capture")).expect("it is there");
    for command in ["show", "import", "replay"] {
        let other = operator(dir.path(), &[command, "tonight.capture.gz"]);
        assert_eq!(other.status.code(), Some(5), "{command}");
        let told = printed(&other);
        assert!(told.contains("no such file: \"tonight.capture.gz\""), "{told}");
    }
    let made = operator(dir.path(), &["export", "tonight"]);
    assert!(made.status.success(), "{}", printed(&made));
    assert!(!printed(&made).contains("tonight"), "a name may say whose run it is");
    assert!(!printed(&made).contains("warning: nothing is redacted"));
    let made = operator(dir.path(), &["export", "tonight", "--no-redact"]);
    assert!(made.status.success(), "{}", printed(&made));
    assert!(dir.path().join("tonight.capture.gz").is_file(), "{}", printed(&made));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn an_export_goes_to_stdout_or_to_a_file_of_its_own_type() {
    let dir = folder();
    let from = bundled("pd/pd-01.capture");
    let from = from.to_str().expect("the path is UTF-8");
    let made = operator(dir.path(), &["export", from, "-o", "-"]);
    assert!(made.status.success() && made.stdout.starts_with(b"\x1f\x8b"));
    assert!(!dir.path().join("-").exists());
    for options in
        [&["--html", "-o", "x.gz"][..], &["-o", "x.txt"], &["-o", "-", "--format", "json"]]
    {
        let refused = operator(dir.path(), &[&["export", from], options].concat());
        assert_eq!(refused.status.code(), Some(2), "{options:?}: {}", printed(&refused));
    }
    let refused = operator(dir.path(), &["export", from, "--around", "1999-01-01T00:00:00Z"]);
    assert_eq!(refused.status.code(), Some(2), "{}", printed(&refused));
    assert!(printed(&refused).contains("nothing was recorded around"), "{}", printed(&refused));
    fs::write(dir.path().join("a.gz"), &made.stdout).expect("the directory is writable");
    // Elsewhere, what was redacted needs no key, and nothing is said of originals that are not in it.
    let there = folder();
    let packed = dir.path().join("a.gz");
    let packed = packed.to_str().expect("the path is UTF-8");
    for options in [&["-o", "b.gz"][..], &["-o", "c.gz", "--no-redact"]] {
        let again = operator(there.path(), &[&["export", packed], options].concat());
        assert!(again.status.success(), "{}", printed(&again));
        let told = printed(&again);
        assert!(!told.contains("key of the pseudonyms") && !told.contains("warning"), "{told}");
    }
    assert!(!there.path().join("captures").exists());
}

#[test]
fn what_was_imported_is_not_copied_again_and_hides_no_other_run() {
    let dir = folder();
    fs::create_dir(dir.path().join("data")).expect("the directory is writable");
    fs::copy(bundled("pd/pd-02.capture"), dir.path().join("data/pd-01.capture")).expect("copied");
    let from = bundled("pd/pd-01.capture");
    let from = from.to_str().expect("the path is UTF-8");
    let first = operator(dir.path(), &["import", from]);
    let told = printed(&first);
    assert!(told.contains("imported as captures/pd-01-2.capture"), "{told}");
    assert!(told.contains("another run has that name: data/pd-01.capture"), "{told}");
    let again = operator(dir.path(), &["import", from]);
    assert!(
        printed(&again).contains("already there as captures/pd-01-2.capture"),
        "{}",
        printed(&again)
    );
    let elsewhere = operator(dir.path(), &["import", from, "--dir", "my captures"]);
    let told = printed(&elsewhere);
    assert!(told.contains("next: operator replay pd-01-2 --dir 'my captures'"), "{told}");
    let missing = operator(dir.path(), &["import", "nosuch"]);
    assert!(printed(&missing).contains("no such file: \"nosuch\""), "{}", printed(&missing));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn verify_says_what_it_covers_and_the_digest_of_the_file() {
    let dir = folder();
    let from = bundled("pd/pd-01.capture");
    let made =
        operator(dir.path(), &["export", from.to_str().expect("UTF-8"), "--html", "-o", "a.html"]);
    let markdown = printed(&made);
    let verified = printed(&operator(dir.path(), &["verify", "a.html"]));
    assert!(verified.contains("not the page"), "{verified}");
    let digest = verified.rsplit_once("SHA-256").map(|(_, rest)| rest.trim()).expect("it is told");
    assert!(markdown.contains(digest), "{digest} in {markdown}");
    let damaged = dir.path().join("damaged.capture");
    flipped("chaos-02.capture", 200_000, &damaged);
    let told = printed(&operator(dir.path(), &["verify", "damaged.capture"]));
    assert!(told.contains("1 part is damaged"), "{told}");
}
