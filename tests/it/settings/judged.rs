//! What comes of settings in a verdict, on the timeline, in reports and in an export.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use operator::capture::{CaptureReader, add_event};
use operator::diagnose::{Finding, FindingKind, Verdict};
use operator::model::{
    GapReason, Occasion, SettingsEvent, SettingsRead, StoreId, TimeRange, Timestamp, canonical_json,
};
use operator::session::{Session, View};
use operator::share::audit;
use operator::timeline::timeline;
use testkit::exports::export_and_compare;

use super::{POOL, readings};

const CRASH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/chaos-02.capture");

/// A run in which the disk of store 1 is slow.
const SLOW_DISK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/chaos-03.capture");

/// A copy of a bundled run.
struct Copied {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Copied {
    /// Of the one in which store 4 crashes.
    fn new() -> Self {
        Self::of(CRASH)
    }

    fn of(run: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("run.capture");
        std::fs::copy(run, &path).expect("the capture is there");
        Self { dir, path }
    }

    fn window(&self) -> TimeRange {
        Session::open(&self.path).expect("opens").window()
    }

    fn verdict(&self) -> Verdict {
        Session::open(&self.path).expect("opens").verdict().expect("reads")
    }

    fn stores(&self) -> Vec<u64> {
        let session = Session::open(&self.path).expect("opens");
        let evidence = session.load(View::WHOLE).expect("loads").evidence().expect("reads");
        evidence.nodes.stores.iter().filter_map(|store| Some(store.id?.0)).collect()
    }

    /// Adds a reading at that second of the run.
    fn add(&self, second: i64, store: u64, read: SettingsRead) {
        let at = self.window().start + second * 1_000;
        let since = Some(at + -30_000);
        let event =
            SettingsEvent { at, store: StoreId(store), occasion: Occasion::Hourly, since, read };
        add_event(&self.path, event.to_event()).expect("it can be written");
    }

    /// Adds the first readings of every store, in which these settings have a value of their own.
    fn with_settings(self, own: &[(u64, &str, &str)]) -> Self {
        for store in self.stores() {
            let mut settings = values(&[(POOL, "2"), ("storage.block-cache.capacity", "14745MiB")]);
            let own = own.iter().filter(|(of, _, _)| *of == store);
            settings.extend(own.map(|(_, name, value)| ((*name).to_owned(), (*value).to_owned())));
            self.add(1, store, SettingsRead::Whole(settings));
        }
        self
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_operator"))
            .current_dir(self.dir.path())
            .args(arguments)
            .output()
            .expect("the program can be started")
    }

    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        String::from_utf8(output.stdout).expect("it prints text")
    }
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A verdict without what settings add to it.
fn without_settings(verdict: &Verdict) -> String {
    let mut verdict = verdict.clone();
    verdict.changes.retain(|change| change.mode != "setting_change");
    let of_settings =
        [FindingKind::SettingsDiffer, FindingKind::SettingChanged, FindingKind::SettingsNotDefault];
    verdict.findings.retain(|finding| !of_settings.contains(&finding.kind));
    let mut document = canonical_json(&verdict);
    for finding in &verdict.findings {
        for (before, after) in [("\"", "\""), ("[", "]")] {
            let id = format!("{before}{}{after}", finding.id);
            document = document.replace(&id, &format!("{before}F{after}"));
        }
    }
    document
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn settings_that_are_the_same_everywhere_change_no_verdict() {
    let plain = Copied::new().verdict();
    let with = Copied::new().with_settings(&[]).verdict();
    assert_eq!(canonical_json(&plain), canonical_json(&with));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_changed_setting_stands_beside_the_fault_and_on_the_timeline() {
    let plain = Copied::new().verdict();
    let copied = Copied::new().with_settings(&[]);
    copied.add(100, 4, SettingsRead::Changed(values(&[(POOL, "1")])));
    let verdict = copied.verdict();
    let [change] = &verdict.changes[..] else { panic!("{:?}", verdict.changes) };
    assert_eq!((change.mode, change.target.name.as_str()), ("setting_change", "store 4"));
    assert_eq!(change.says, format!("settings of TiKV were changed: {POOL} 2 -> 1"));
    assert_eq!(change.onset_uncertainty_ms, 30_000);
    let reason = &change.evidence[0];
    assert_eq!(reason.text, format!("{POOL}: 2 -> 1"));
    assert!(change.explains.is_empty(), "{:?}", change.explains);
    assert_eq!(verdict.causes[0].mode, "store_crash");
    assert_eq!(without_settings(&verdict), without_settings(&plain));
    let is_set = |one: &&Finding| one.kind == FindingKind::SettingsNotDefault;
    let set: Vec<&Finding> = verdict.findings.iter().filter(is_set).collect();
    let [set] = &set[..] else { panic!("{set:?}") };
    let text = format!("1 setting is not what TiKV has by default: {POOL} 1 (default 2)");
    assert_eq!((&set.text, set.citations.len()), (&text, 1));

    let session = Session::open(&copied.path).expect("opens");
    let window = session.load(View::WHOLE).expect("loads");
    let entries = timeline(window.recording());
    let told: Vec<String> = entries
        .iter()
        .filter(|entry| entry.source == "settings")
        .map(|entry| format!("{}: {}", entry.subject, entry.text))
        .collect();
    assert_eq!(told, [format!("store 4: {POOL} 2 -> 1")]);
    // A part that begins later knows what was read before, and tells no change.
    let late = TimeRange::new(copied.window().start + 200_000, Timestamp::MAX);
    let view = View { range: late, ..View::WHOLE };
    let late = session.load(view).expect("loads").verdict().expect("reads");
    assert!(late.changes.is_empty(), "{:?}", late.changes);
    assert!(late.findings.iter().any(|one| one.kind == FindingKind::SettingsDiffer));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_change_of_settings_explains_no_fault_that_begins_after_it() {
    let copied = Copied::of(SLOW_DISK);
    let plain = copied.verdict();
    let onset = plain.causes[0].onset_ms;
    let second = (onset - copied.window().start) / 1_000 - 30;
    let copied = copied.with_settings(&[]);
    copied.add(second, 1, SettingsRead::Changed(values(&[(POOL, "1")])));
    let verdict = copied.verdict();
    assert_eq!(verdict.causes[0].mode, "slow_disk");
    assert_eq!(verdict.causes[0].target.name, "store 1");
    let [change] = &verdict.changes[..] else { panic!("{:?}", verdict.changes) };
    assert!(change.mode == "setting_change" && change.explains.is_empty(), "{change:?}");
    assert_eq!(without_settings(&verdict), without_settings(&plain));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn settings_that_differ_are_findings_with_their_values_and_no_fault() {
    let plain = Copied::new().verdict();
    let copied = Copied::new()
        .with_settings(&[(4, POOL, "1"), (4, "storage.block-cache.capacity", "14744MiB")]);
    let verdict = copied.verdict();
    let differ: Vec<_> =
        verdict.findings.iter().filter(|one| one.kind == FindingKind::SettingsDiffer).collect();
    let [finding] = &differ[..] else { panic!("{differ:?}") };
    let others: Vec<u64> = copied.stores().into_iter().filter(|store| *store != 4).collect();
    let others: Vec<String> = others.iter().map(|store| format!("store {store}")).collect();
    assert_eq!(finding.text, format!("{POOL} differs: 2 at {}, 1 at store 4", others.join(", ")));
    assert_eq!(finding.citations.len(), 2);
    assert_eq!(finding.citations[1].reference, format!("settings store 4 {POOL}"));
    assert_eq!(finding.citations[1].value, "1");
    assert_eq!(without_settings(&verdict), without_settings(&plain));
    // Every report has them.
    for format in ["prompt", "json"] {
        let text = copied.prints(&["replay", "run.capture", "--format", format]);
        assert!(text.contains(&format!("{POOL} differs")), "{format}");
    }
    for file in ["report.md", "report.html"] {
        let output = copied.run(&["report", "run.capture", "-o", file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(copied.dir.path().join(file)).expect("it was written");
        assert!(text.replace('\\', "").contains(&format!("{POOL} differs")), "{file}");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_same_change_of_several_stores_is_one_and_another_version_is_no_change() {
    let copied = Copied::new().with_settings(&[]);
    for (place, store) in copied.stores().into_iter().enumerate() {
        // A setting that comes or goes does so with the version.
        let changed = values(&[(POOL, "1"), ("gc.num-threads", "2")]);
        copied.add(30 + place as i64, store, SettingsRead::Changed(changed));
    }
    let verdict = copied.verdict();
    let [change] = &verdict.changes[..] else { panic!("{:?}", verdict.changes) };
    assert_eq!((change.target.name.as_str(), change.evidence.len()), ("cluster", 1));
    assert!(change.evidence[0].text.starts_with(&format!("{POOL}: 2 -> 1 at ")));
    assert!(verdict.findings.iter().all(|one| one.kind != FindingKind::SettingsDiffer));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn an_export_keeps_settings_as_they_are() {
    let copied = Copied::new().with_settings(&[(4, POOL, "1")]);
    copied.add(300, 4, SettingsRead::Failed(GapReason::Timeout));
    let to = copied.dir.path().join("exported.capture.gz");
    let exported = export_and_compare(&copied.path, &to, TimeRange::ALL).expect("verdicts agree");
    assert!(!exported.meta.export.expect("it says how").replaced.is_empty());
    assert_eq!(audit(&to, &[]).expect("it can be read"), []);
    assert_eq!(readings(&to), readings(&copied.path));
    for (name, form) in [("copy.capture", "copy"), ("small.capture", "compact")] {
        let output = copied.run(&[form, "run.capture", name]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(readings(&copied.dir.path().join(name)), readings(&copied.path));
    }
    let digest = |path: &Path| CaptureReader::open(path).expect("opens").digest().expect("reads");
    assert_eq!(digest(&copied.path), digest(&copied.dir.path().join("small.capture")));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn show_prints_settings_and_those_of_one_store() {
    let copied = Copied::new().with_settings(&[(4, POOL, "1")]);
    let text = copied.prints(&["show", "run.capture", "--settings"]);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let heading = lines.iter().position(|line| *line == "1 setting differs between stores");
    let heading = heading.unwrap_or_else(|| panic!("{text}"));
    assert!(lines[heading + 1].trim_start().starts_with(&format!("{POOL}  2  store ")), "{text}");
    assert!(lines[heading + 2].trim_start().starts_with("1  store 4"), "{text}");
    for name in ["store-4", "4", "store 4"] {
        let json = copied.prints(&[
            "--format",
            "json",
            "show",
            "run.capture",
            "--settings",
            "--node",
            name,
        ]);
        let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(document["stores"].as_array().map(Vec::len), Some(1), "{name}: {json}");
        assert_eq!(document["stores"][0]["settings"][POOL]["value"], "1");
        assert_eq!(document["differing"][0]["setting"], POOL);
    }
    let refused = copied.run(&["show", "run.capture", "--settings", "--node", "nobody"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no store is called \"nobody\": there are store "), "{said}");
    let none = Copied::new().prints(&["show", "run.capture", "--settings"]);
    assert_eq!(none, "no settings of these stores were recorded\n");
}
