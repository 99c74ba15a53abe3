//! A capture whose every text holds terminal escapes and invisible characters, the commands that print it,
//! and a check that finds such characters in their output.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use operator::capture::{CaptureWriter, Tick, seal_truth};
use operator::model::{
    EncodedLabels, Event, EventKind, Gap, GapReason, Labels, PdAnswer, PdOutcome, RunMeta, Sample,
    Source, TimeRange, Timestamp, is_escaped,
};
use serde_json::json;

/// One of each kind of character that is obeyed or not seen, and the beginning of a line that the
/// program never wrote. Formulas of spreadsheets begin with `=`.
pub const HOSTILE: &str = "=x\u{1b}]0;PWN\u{7}\u{1b}[2J\u{8}\u{0}\t\u{7f}\u{9b}31m\u{202e}\u{2066}\
    \u{200e}\u{61c}\u{200b}\u{2060}\u{feff}\u{ad}\u{2028}\u{2029}\u{fe0f}\u{3164}\u{fff9}\
    \u{e0041}\u{e0100}\r\nFORGED ß日🦀";

/// Markup that runs a script wherever a page takes text as it came: in an element, in either kind of quotes, in
/// a style, in a script, behind a comment.
pub const MARKUP: &str = "</script></style></title></svg>--><script>window.ran=1</script>\
    <img src=x onerror=window.ran=1><svg/onload=window.ran=1>\"onmouseover=window.ran=1 x=\"'onfocus=window.ran=1 \
    autofocus x='<a href=javascript:window.ran=1>x</a><meta http-equiv=refresh content=0;url=//a.invalid>\
    <base href=//b.invalid><link rel=stylesheet href=//c.invalid>&lt;b&gt;";

/// Every subcommand with arguments that it accepts, but for those that need a source.
const COMMANDS: [&[&str]; 32] = [
    &["runs"],
    &["runs", "--format", "json"],
    &["runs", "--dir", "DIR"],
    &["runs", "--dir", "DIR", "--format", "json"],
    &["show", "RUN", "--metrics"],
    &["show", "RUN", "--format", "json"],
    &["verify", "RUN"],
    &["verify", "RUN", "--format", "json"],
    &["replay", "RUN"],
    &["replay", "RUN", "--color", "always"],
    &["replay", "RUN", "--format", "json"],
    &["replay", "RUN", "--format", "prompt"],
    &["report", "RUN"],
    &["report", "RUN", "--format", "markdown"],
    &["report", "RUN", "--format", "json"],
    &["query", "RUN", "up"],
    &["query", "RUN", "up", "--plot"],
    &["query", "RUN", "up", "--format", "json"],
    &["query", "RUN", "up", "--format", "csv"],
    &["query", "RUN", "--metrics"],
    &["query", "RUN", "--metrics", "--format", "json"],
    &["rules", "replay", "RUN", "--rules", "RULES"],
    &["rules", "replay", "RUN", "--rules", "RULES", "--format", "json"],
    &["rules", "check", "RUN", "--rules", "RULES"],
    &["rules", "test", "TESTS"],
    &["explain", "RUN", "F1"],
    &["explain", "RUN", "F1", "--format", "json"],
    &["score", "DIR"],
    &["score", "DIR", "--format", "json"],
    &["diff", "RUN", "RUN"],
    &["health", "--url", "http://127.0.0.1:9"],
    &["completions", "bash"],
];

/// Subcommands that write, each into a file of its own.
const WRITING: [&[&str]; 5] = [
    &["copy", "RUN", "NEW"],
    &["compact", "RUN", "NEW"],
    &["mark", "RUN", "--at", "+0s", "--event", "node=HOSTILE", "HOSTILE"],
    &["mark", "RUN", "HOSTILE", "--at", "+0s", "--format", "json"],
    &["seal", "RUN", "--truth", "TRUTH", "--replace"],
];

/// A folder with a hostile capture, rules and a truth.
pub struct HostileFiles {
    folder: tempfile::TempDir,
    made: std::cell::Cell<u32>,
}

impl HostileFiles {
    /// Makes all of it.
    pub fn make() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let stage = Self { folder, made: std::cell::Cell::new(0) };
        write_capture(&stage.capture(), HOSTILE);
        fs::write(stage.file("truth.json"), truth()).expect("the folder is writable");
        seal_truth(&stage.capture(), truth().as_bytes()).expect("the capture is there");
        fs::write(stage.file("rules.yaml"), rules()).expect("the folder is writable");
        fs::write(stage.file("tests.yaml"), rule_tests()).expect("the folder is writable");
        // What is no capture is listed with the reason.
        fs::write(stage.captures().join(OsStr::from_bytes(b"\xff\x1b[2J.capture")), b"no capture")
            .expect("the folder is writable");
        stage
    }

    /// The folder of captures.
    pub fn captures(&self) -> PathBuf {
        let path = self.file("captures");
        fs::create_dir_all(&path).expect("the folder is writable");
        path
    }

    /// The hostile capture, whose name is not UTF-8 either.
    pub fn capture(&self) -> PathBuf {
        let name = [b"run\xff\x1b[2J\xe2\x80\xae".as_slice(), b".capture"].concat();
        let folder = self.file("sound");
        fs::create_dir_all(&folder).expect("the folder is writable");
        folder.join(OsStr::from_bytes(&name))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Every command but those that need a source.
    pub fn commands(&self) -> Vec<Vec<OsString>> {
        let help: [&[&str]; 4] =
            [&["--help"], &["--version"], &["show", "-h"], &["nonsense\u{1b}"]];
        let failing: [&[&str]; 4] = [
            &["show", "nosuch"],
            &["show", "FOREIGN"],
            &["query", "RUN", "up{\u{202e}\u{1b}[2J"],
            &["rules", "check", "--rules", "TRUTH"],
        ];
        let all = help.iter().chain(&COMMANDS).chain(&WRITING).chain(&failing);
        all.map(|words| words.iter().map(|word| self.word(word)).collect()).collect()
    }

    fn word(&self, word: &str) -> OsString {
        match word {
            "RUN" => self.capture().into(),
            "RULES" => self.file("rules.yaml").into(),
            "TESTS" => self.file("tests.yaml").into(),
            "TRUTH" => self.file("truth.json").into(),
            "DIR" => self.file("sound").into(),
            "FOREIGN" => self.captures().join(OsStr::from_bytes(b"\xff\x1b[2J.capture")).into(),
            "NEW" => {
                self.made.set(self.made.get() + 1);
                self.file(&format!("new\u{1b}-{}", self.made.get())).into()
            }
            _ => word.replace("HOSTILE", &HOSTILE.replace('\0', "")).into(),
        }
    }

    /// The program, in an environment that names nothing.
    pub fn operator(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        for name in [
            "PD_ENDPOINT",
            "PROMETHEUS_URL",
            "OPERATOR_BEARER_TOKEN",
            "OPERATOR_BASIC_PASSWORD",
            "OPERATOR_WEBHOOK",
            "OPERATOR_LOG",
        ] {
            command.env_remove(name);
        }
        command
    }
}

/// The raw characters in what was printed, and lines that the program never wrote. The program's
/// own line breaks and, where it colours, its own emphasis are none.
pub fn raw(printed: &[u8]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(printed) else { return vec!["bytes, not UTF-8".to_owned()] };
    let mut own = text.replace("\r\n", "\n");
    for code in ["0", "1", "2", "31", "32", "33"] {
        own = own.replace(&format!("\u{1b}[{code}m"), "");
    }
    let mut found: Vec<String> = own
        .chars()
        .filter(|c| is_escaped(*c) && *c != '\n')
        .map(|c| format!("{}", c.escape_unicode()))
        .collect();
    let forged = own.lines().filter(|line| line.trim_start().starts_with("FORGED"));
    found.extend(forged.map(str::to_owned));
    found
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_537_020_000 + seconds * 1000)
}

/// Five minutes of two targets and a PD member, all of whose texts are `text`.
///
/// # Panics
///
/// Where the folder is not writable.
pub fn write_capture(path: &Path, text: &str) {
    let meta: RunMeta = serde_json::from_value(json!({
        "run": "hostile", "subject": text, "created": at(0), "cluster_id": text,
        "endpoints": { "pd": { text: text }, "prometheus": text },
        "versions": { "operator": text, "prometheus": text, "pd": text },
        "selectors": [text], "copied_by": [text],
        "clock_offsets": [
            { "source": text, "at": at(0), "offset_ms": 1, "uncertainty_ms": 1 },
        ],
    }))
    .expect("a run's metadata");
    let mut writer = CaptureWriter::create(path, meta).expect("the folder is writable");
    let mut tick = Tick { copied_through: Some(at(300)), ..Tick::default() };
    for (name, instance) in [("up", text), ("up", "tikv-0"), (text, text)] {
        let mut labels = Vec::new();
        let pairs = [("__name__", name), ("job", text), ("instance", instance), (text, text)];
        Labels::from_pairs(&pairs).encode(&mut labels);
        let value = |step: i64| if (8..14).contains(&step) { 0.0 } else { 1.0 };
        let samples: Vec<Sample> =
            (0..20).map(|step| Sample { at: at(step * 15), value: value(step) }).collect();
        tick.samples.push(writer.index(), EncodedLabels(&labels), &samples).expect("well formed");
    }
    tick.pd = answers(text);
    tick.gaps = vec![gap(Source::Prometheus, text), gap(Source::PdMember(text.to_owned()), text)];
    tick.events = vec![Event {
        at: at(100),
        kind: EventKind(text.to_owned()),
        text: text.to_owned(),
        fields: BTreeMap::from([(text.to_owned(), text.to_owned())]),
    }];
    writer.commit(tick).expect("it can be written");
    writer.finish().expect("it can be sealed");
}

fn gap(source: Source, text: &str) -> Gap {
    Gap {
        range: TimeRange::new(at(30), at(60)),
        source,
        reason: GapReason::Status,
        detail: text.to_owned(),
        healed_at: None,
    }
}

/// What a member says every minute: who is there, one store, and later that it is gone.
fn answers(text: &str) -> Vec<PdAnswer> {
    let member = json!({ "name": text, "member_id": 1, "client_urls": [text] });
    let members = json!({
        "header": { "cluster_id": 7 }, "members": [member], "leader": member, "etcd_leader": member,
    });
    let store = |state: &str| {
        json!({ "count": 1, "stores": [{
            "store": {
                "id": 4, "address": text, "version": text, "state_name": state,
                "labels": [{ "key": text, "value": text }],
            },
            "status": { "capacity": "1GiB", "available": "1GiB", "leader_count": 3, "region_count": 9 },
        }] })
    };
    let mut answers = Vec::new();
    for minute in 0..5 {
        let state = ["Up", "Up", "Disconnected", text, "Up"][minute as usize];
        for (path, body) in [
            ("/pd/api/v1/members", members.to_string()),
            ("/pd/api/v1/stores?state=0&state=1&state=2", store(state).to_string()),
            (text, text.to_owned()),
        ] {
            answers.push(PdAnswer {
                sent: at(minute * 60),
                member: text.to_owned(),
                url: text.to_owned(),
                path: path.to_owned(),
                elapsed_us: 1500,
                outcome: PdOutcome::Answered { status: 200, body: Arc::from(body.into_bytes()) },
            });
        }
        answers.push(PdAnswer {
            sent: at(minute * 60 + 1),
            member: text.to_owned(),
            url: text.to_owned(),
            path: "/pd/api/v1/ping".to_owned(),
            elapsed_us: 1500,
            outcome: PdOutcome::Failed { reason: GapReason::Connect, detail: text.to_owned() },
        });
    }
    answers
}

fn truth() -> String {
    json!({ "fault": HOSTILE, "node": HOSTILE, "address": HOSTILE, "t_inject_ms": at(60) })
        .to_string()
}

fn rules() -> String {
    let text = hostile_in_yaml();
    json!({ "groups": [{ "name": text, "rules": [
        {
            "alert": "Down", "expr": "up == 0", "labels": { "severity": text },
            "annotations": { "summary": format!("{text} {{{{ $labels.instance }}}}") },
        },
        { "alert": text, "expr": "absent_metric > 0" },
        { "alert": "Unreadable", "expr": "up / on (job) up" },
    ] }] })
    .to_string()
}

fn rule_tests() -> String {
    let text = hostile_in_yaml();
    json!({ "rule_files": ["rules.yaml"], "tests": [{
        "interval": "1m",
        "input_series": [{ "series": "up{instance=\"a\"}", "values": "0x5" }],
        "alert_rule_test": [{ "eval_time": "2m", "alertname": text, "exp_alerts": [
            { "exp_labels": { "instance": text } },
        ] }],
    }] })
    .to_string()
}

/// YAML refuses some controls, even in quotes; JSON writes the others of them as YAML reads them.
fn hostile_in_yaml() -> String {
    HOSTILE.replace(['\0', '\u{7f}', '\u{9b}', '\u{feff}'], "")
}
