//! What a kept line says as values: which signal, from which state to which, who called which API.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::address::NodeNames;
use super::listed::{Listed, NO_SPACE};
use super::parse::LogLine;
use super::redact::redact;
use crate::model::LogKind;

/// Frames of a panic's backtrace that are kept.
const MOST_FRAMES: usize = 6;
/// The longest text of an event in characters, and of one of its values.
const LONGEST_TEXT: usize = 600;
const LONGEST_VALUE: usize = 300;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Details {
    /// What sort of line it turned out to be.
    pub kind: LogKind,
    /// The message and the fields that are kept, redacted.
    pub text: String,
    /// Values by name.
    pub values: BTreeMap<String, String>,
}

type FieldList<'a> = [(Cow<'a, str>, Cow<'a, str>)];

/// Reads a listed line.
pub fn details(listed: &Listed, line: &LogLine<'_>, names: &NodeNames) -> Details {
    let fields = line.fields.read();
    let mut read = with_fields(listed, line, &fields, names);
    add_values(&mut read, line, &fields, names);
    let cause = cause(read.kind, &line.message, &read.text);
    read.values.extend(cause.map(|cause| ("cause".to_owned(), cause.to_owned())));
    read.values.retain(|_, value| !value.is_empty());
    for value in read.values.values_mut() {
        *value = cut(&redact(value, names), LONGEST_VALUE);
    }
    read.text = cut(&read.text, LONGEST_TEXT);
    read
}

/// The message with the fields that are kept of it.
fn with_fields(
    listed: &Listed,
    line: &LogLine<'_>,
    fields: &FieldList<'_>,
    names: &NodeNames,
) -> Details {
    let mut text = redact(&line.message, names);
    let mut values = BTreeMap::new();
    for (name, value) in fields.iter().filter(|(name, _)| listed.fields.contains(&&**name)) {
        let value = if name == "location" { in_program(value) } else { value };
        let value = cut(&redact(value, names), LONGEST_VALUE);
        text.push_str(&format!(" [{name}={value}]"));
        values.insert(name.replace('-', "_"), value);
    }
    Details { kind: listed.kind, text, values }
}

/// Adds what lines of this kind say in a form of their own.
fn add_values(read: &mut Details, line: &LogLine<'_>, fields: &FieldList<'_>, names: &NodeNames) {
    let field =
        |name: &str| fields.iter().find(|(held, _)| held == name).map(|(_, value)| &**value);
    match read.kind {
        LogKind::Panic => {
            let (location, trace) = (field("location"), field("backtrace"));
            // TiKV's hook names location and backtrace, PD's says `panic`; else a process gave up.
            if location.is_none() && trace.is_none() && line.message != "panic" {
                read.kind = LogKind::FatalError;
            }
            let place = location.map_or("", in_program).to_owned();
            read.values.insert("location".to_owned(), place);
            read.values.insert("frames".to_owned(), trace.map_or_else(String::new, frames));
        }
        LogKind::StopSignal => read.values.extend(signal(&line.message)),
        LogKind::DiskUsage => read.values.extend(disk_usage(&line.message)),
        LogKind::WriteStall => read.values.extend(stall(&line.message)),
        LogKind::ApiCall => {
            let info = field("service-info");
            read.values = info.map_or_else(BTreeMap::new, |info| call(info, names));
            read.text = call_text(&read.values);
        }
        LogKind::Configuration => {
            read.values = field("config").map_or_else(BTreeMap::new, settings);
            let settings = read.values.iter().map(|(name, value)| format!(" {name}={value}"));
            read.text = format!("using config:{}", settings.collect::<String>());
        }
        _ => {}
    }
}

/// What a line names as the cause, as a word that stays the same in every version and in an export.
fn cause(kind: LogKind, message: &str, text: &str) -> Option<&'static str> {
    let has = |what: &str| text.contains(what);
    match kind {
        LogKind::Panic | LogKind::FatalError | LogKind::CannotOpen | LogKind::BackgroundError => {
            if has(NO_SPACE) {
                Some("no_space")
            } else if has("Corruption: ") {
                Some("corruption")
            } else {
                None
            }
        }
        LogKind::LeadershipLost if message.contains("lease has expired") => Some("lease_expired"),
        LogKind::LeadershipLost => Some("etcd_leader_changed"),
        // Not that of an allocator of timestamps, whose purpose is a `local allocator leader election`.
        LogKind::EtcdSlow if message == "lease timeout" => {
            let purposes = ["[purpose=leader election]", "[purpose=pd leader election]"];
            purposes.iter().any(|purpose| has(purpose)).then_some("lease_expired")
        }
        LogKind::LeaderMove if message.starts_with("try to resign") => Some("resigned"),
        LogKind::LeaderMove if message.starts_with("transfer etcd leader") => Some("priority"),
        LogKind::LeaderMove if message == "leadership transfer finished" => Some("transferred"),
        _ => None,
    }
}

/// A line of any message that says that the disk is full.
pub fn no_space(line: &LogLine<'_>, names: &NodeNames) -> Details {
    let cause = ("cause".to_owned(), "no_space".to_owned());
    Details {
        kind: LogKind::DiskUsage,
        text: example(line, names),
        values: BTreeMap::from([cause]),
    }
}

/// An example of a message that is not listed: its words alone.
pub fn example(line: &LogLine<'_>, names: &NodeNames) -> String {
    /// Fields that hold numbers of the cluster's, or words of the programs'.
    const KEPT: [&str; 12] = [
        "region_id",
        "peer_id",
        "store_id",
        "store-id",
        "region-id",
        "term",
        "err",
        "error",
        "reason",
        "cost",
        "takes",
        "takes(s)",
    ];
    let mut text = redact(&line.message, names);
    for (name, value) in line.fields.read().iter().filter(|(name, _)| KEPT.contains(&&**name)) {
        text.push_str(&format!(" [{name}={}]", redact(value, names)));
    }
    cut(&text, LONGEST_VALUE)
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn pairs<const N: usize>(values: [(&str, &str); N]) -> BTreeMap<String, String> {
    values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The place of a panic without the folders of the machine that built the program.
fn in_program(location: &str) -> &str {
    let starts = ["/components/", "/src/"].into_iter().find_map(|folder| location.find(folder));
    starts.map_or(location, |start| &location[start + 1..])
}

/// TiKV's `receive signal 15, stopping server...`; PD names the signal in a field.
fn signal(message: &str) -> BTreeMap<String, String> {
    let number = message.split(' ').find_map(|word| word.trim_end_matches(',').parse::<u32>().ok());
    let name = match number {
        Some(1) => "SIGHUP",
        Some(2) => "SIGINT",
        Some(15) => "SIGTERM",
        _ => return BTreeMap::new(),
    };
    pairs([("signal", name)])
}

/// `disk usage Normal->AlmostFull (raft engine usage: …`.
fn disk_usage(message: &str) -> BTreeMap<String, String> {
    let states = message.split(' ').find_map(|word| word.split_once("->"));
    states.map_or_else(BTreeMap::new, |(from, to)| pairs([("from", from), ("to", to)]))
}

/// `[write] Stalling writes because we have 21 level-0 files rate 13421772`.
fn stall(message: &str) -> BTreeMap<String, String> {
    let cf =
        message.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("", |(cf, _)| cf);
    let is_name = cf.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let reason = message.split_once("because ").map_or("", |(_, reason)| reason);
    let action = if message.contains("Stopping writes") { "stop" } else { "delay" };
    pairs([("cf", if is_name { cf } else { "" }), ("action", action), ("reason", reason)])
}

/// PD's `{ServiceLabel:…, Method:HTTP/1.1/POST:/pd/api/v1/…, CallerID:…, IP:…, Port:…, …}`.
static CALL: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"ServiceLabel:(\w*), Method:[\w./]*?(GET|POST|PUT|PATCH|DELETE)\w*:([^,]*), CallerID:([^,]*), IP:([^,]*),";
    Regex::new(pattern).expect("the pattern is valid")
});

fn call(info: &str, names: &NodeNames) -> BTreeMap<String, String> {
    let Some(found) = CALL.captures(info) else { return BTreeMap::new() };
    let caller = redact(&found[4], names);
    let from = names.of(&found[5]).unwrap_or("a host that is no node").to_owned();
    let path = redact(&found[3], names);
    pairs([
        ("api", &found[1]),
        ("method", &found[2]),
        ("path", &path),
        ("caller", &caller),
        ("from", &from),
    ])
}

fn call_text(called: &BTreeMap<String, String>) -> String {
    let of = |name: &str| called.get(name).map_or("", String::as_str);
    format!("{} {} by {} on {}", of("method"), of("path"), of("caller"), of("from"))
}

/// Settings of TiKV that decide how it behaves under load and short of room, and hold nothing of the
/// reporter's: each a path into the configuration.
const SETTINGS: [&str; 14] = [
    "log.level",
    "memory-usage-limit",
    "server.grpc-concurrency",
    "storage.engine",
    "storage.reserve-space",
    "storage.block-cache.capacity",
    "storage.scheduler-worker-pool-size",
    "storage.flow-control.enable",
    "readpool.unified.max-thread-count",
    "raftstore.apply-pool-size",
    "raftstore.store-pool-size",
    "raftstore.hibernate-regions",
    "rocksdb.max-background-jobs",
    "raft-engine.enable",
];

fn settings(config: &str) -> BTreeMap<String, String> {
    let Ok(config) = serde_json::from_str::<serde_json::Value>(config) else {
        return BTreeMap::new();
    };
    let setting = |path: &&str| {
        let pointer = format!("/{}", path.replace('.', "/"));
        let value = match config.pointer(&pointer)? {
            serde_json::Value::String(text) => text.clone(),
            value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => {
                value.to_string()
            }
            _ => return None,
        };
        Some(((*path).to_owned(), value))
    };
    SETTINGS.iter().filter_map(setting).collect()
}

/// Where the machinery of a panic lies, which stands above the frame that panicked.
const MACHINERY: [&str; 8] = [
    "tikv_util::set_panic_hook",
    "std::panicking",
    "core::panicking",
    "core::result",
    "core::option",
    "rust_begin_unwind",
    "backtrace::",
    "<alloc::boxed::Box",
];

/// The first functions of a backtrace, `a < b < c`, from where the panic was.
fn frames(backtrace: &str) -> String {
    let function = |line: &str| {
        let (number, name) = line.trim_start().split_once(": ")?;
        let is_numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_numbered.then(|| without_hash(name.trim()).to_owned())
    };
    let functions = backtrace.lines().filter_map(function);
    let of_program =
        functions.filter(|name| !MACHINERY.iter().any(|machinery| name.starts_with(machinery)));
    of_program.take(MOST_FRAMES).collect::<Vec<String>>().join(" < ")
}

/// A function without the hash of its compilation, `::h0123456789abcdef`.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::listed;
    use crate::logs::parse::{Parsed, Scratch, parse_line};

    fn read(text: &str) -> Details {
        let mut scratch = Scratch::default();
        let names = NodeNames::new([("10.0.0.4:20160", "store 4")]);
        match parse_line(text.as_bytes(), None, &mut scratch) {
            Parsed::Line(line) => {
                let listed = listed::find(line.level, &line.message).expect("it is listed");
                details(listed, &line, &names)
            }
            other => panic!("{other:?}"),
        }
    }

    const AT: &str = "[2024/01/02 03:04:05.678 +08:00]";

    #[test]
    fn a_panic_says_where_and_its_first_frames() {
        let backtrace = r"   0: tikv_util::set_panic_hook::{{closure}}\n   1: raftstore::store::fsm::apply::exec::h0123456789abcdef\n             at /src/apply.rs:1\n   2: main";
        let text = format!(
            r#"{AT} [FATAL] [lib.rs:481] ["index out of bounds: the len is 3 but the index is 5"] [backtrace="{backtrace}"] [location=src/apply.rs:12] [thread_name=apply-0]"#
        );
        let read = read(&text);
        assert_eq!(read.kind, LogKind::Panic);
        assert_eq!(read.values["location"], "src/apply.rs:12");
        assert_eq!(read.values["frames"], "raftstore::store::fsm::apply::exec < main");
        assert!(read.text.starts_with("index out of bounds: the len is 3 but the index is 5"));
    }

    #[test]
    fn the_machine_that_built_the_program_is_no_part_of_a_place() {
        let places = [
            (
                "/home/jenkins/go/src/github.com/pingcap/tikv/components/raftstore/src/a.rs:2",
                "components/raftstore/src/a.rs:2",
            ),
            ("src/apply.rs:12", "src/apply.rs:12"),
            ("/home/jenkins/.cargo/registry/raft-0.6/src/raft.rs:1", "src/raft.rs:1"),
        ];
        for (location, place) in places {
            assert_eq!(in_program(location), place);
        }
    }

    #[test]
    fn a_fatal_line_without_a_location_is_an_error_and_no_panic() {
        let read = read(&format!("{AT} [FATAL] [server.rs:1] [\"failed to start node: x\"]"));
        assert_eq!(read.kind, LogKind::FatalError);
    }

    #[test]
    fn values_of_a_message_are_read() {
        let signal =
            read(&format!("{AT} [INFO] [a.rs:1] [\"receive signal 15, stopping server...\"]"));
        assert_eq!(signal.values["signal"], "SIGTERM");
        let disk = read(&format!(
            "{AT} [INFO] [a.rs:1] [\"disk usage Normal->AlreadyFull (raft engine usage: Normal\"]"
        ));
        assert_eq!((&*disk.values["from"], &*disk.values["to"]), ("Normal", "AlreadyFull"));
        let stall = read(
            "[2024/01/02 03:04:05.678 +08:00][12][WARN] [db/column_family.cc:975] [write] Stopping writes because we have 5 immutable memtables",
        );
        assert_eq!((&*stall.values["cf"], &*stall.values["action"]), ("write", "stop"));
        assert_eq!(stall.values["reason"], "we have 5 immutable memtables");
    }

    #[test]
    fn a_call_of_pds_api_says_who_called_and_hides_where_from() {
        let info = "{ServiceLabel:SetStoreState, Method:HTTP/1.1/POST:/pd/api/v1/store/4/state, CallerID:pd-ctl, IP:10.9.9.9, Port:4711, StartTime:2024, URLParam:{}, BodyParam:{\\\"password\\\":\\\"x\\\"}}";
        let call =
            read(&format!("{AT} [INFO] [audit.go:133] [\"audit log\"] [service-info=\"{info}\"]"));
        assert_eq!(call.text, "POST /pd/api/v1/store/4/state by pd-ctl on a host that is no node");
        assert_eq!(call.values["api"], "SetStoreState");
    }

    #[test]
    fn only_listed_settings_of_a_configuration_are_kept() {
        let config = r#"{\"log\":{\"level\":\"info\"},\"security\":{\"key-path\":\"/secret\"},\"storage\":{\"data-dir\":\"/x\",\"reserve-space\":\"5GiB\"}}"#;
        let read =
            read(&format!("{AT} [INFO] [common.rs:124] [\"using config\"] [config=\"{config}\"]"));
        assert_eq!(read.text, "using config: log.level=info storage.reserve-space=5GiB");
    }
}
