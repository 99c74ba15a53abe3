//! Walks through everything that a capture holds and says of each text what it is.
//!
//! Collecting originals and replacing them are the same walk over another [`Content`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::pseudonyms::Role;
use super::selectors::rewrite_selector;
use super::text::Class;
use super::vocabulary::{
    is_code_label, is_host_label, is_kernel_device, is_known_label, is_known_metric,
};
use crate::capture::{CaptureReader, Rewrite};
use crate::diagnose::MODES;
use crate::model::{
    Endpoints, Event, EventKind, Gap, Labels, LogEvent, LogKind, Loss, Observed, PdAnswer,
    PdOutcome, ProfileEvent, RunMeta, RunName, SettingsEvent, Source, TargetKey, Told, ToldNode,
    Unreadable,
};
use crate::pd::{BodyText, LEAST_RANDOM_ID, RewriteBody, rewrite_body};

/// Bytes of rewritten bodies that are kept, since most answers repeat an earlier one.
const KEPT_BYTES: usize = 64 << 20;

/// What is done with the parts of a capture. Each function returns what stands there afterwards.
pub trait Content {
    /// A text of this class.
    fn text(&mut self, text: &str, class: Class) -> String;

    /// A text that is fixed by the programs under observation and passes.
    fn fixed(&mut self, _text: &str) {}

    /// A host, without its port, that is known to be this.
    fn host(&mut self, _host: &str, _role: Role) {}

    /// An identifier of a cluster or of a member.
    fn id(&mut self, id: u64) -> u64;

    /// A key of a region, as PD writes it.
    fn key(&mut self, key: &str) -> String;
}

/// The walk with what it has rewritten already.
pub struct Walk<C> {
    content: C,
    /// The labels of targets, which a deployment gives, by name.
    given: HashMap<String, HashSet<String>>,
    names: HashMap<String, String>,
    values: HashMap<(Class, String), String>,
    bodies: HashMap<u128, Arc<[u8]>>,
    body_bytes: usize,
}

impl<C: Content> Walk<C> {
    /// A walk that does `content` to everything.
    pub fn new(content: C) -> Self {
        Self {
            content,
            given: HashMap::new(),
            names: HashMap::new(),
            values: HashMap::new(),
            bodies: HashMap::new(),
            body_bytes: 0,
        }
    }

    /// A walk through a capture, of which the labels of targets are known.
    pub fn through(content: C, reader: &CaptureReader) -> Self {
        let mut walk = Self::new(content);
        reader.visit_series(|labels| walk.learn(labels));
        walk
    }

    /// Notes the labels that a target has: whatever they are called, a deployment gave them.
    fn learn(&mut self, labels: &Labels) {
        if labels.metric() == "up" {
            for (name, value) in labels.iter().filter(|(name, _)| *name != "__name__") {
                self.given.entry(name.to_owned()).or_default().insert(value.to_owned());
            }
        }
    }

    /// What the walk was for.
    pub fn into_content(self) -> C {
        self.content
    }

    /// The metadata of a run.
    pub fn meta(&mut self, meta: &RunMeta) -> RunMeta {
        let run = self.content.text(meta.run.as_str(), Class::Name);
        let run = RunName::new(&run).unwrap_or_else(|_| meta.run.clone());
        let mut host = |text: &str| self.content.text(text, Class::Host);
        let pd = meta.endpoints.pd.iter();
        let endpoints = Endpoints {
            pd: pd.map(|(member, url)| (host(member), host(url))).collect(),
            prometheus: meta.endpoints.prometheus.as_deref().map(host),
        };
        let selectors = meta.selectors.iter();
        let selectors = selectors.map(|one| rewrite_selector(one, &mut self.content)).collect();
        let mut name = |text: &str| self.content.text(text, Class::Name);
        let subject = name(&meta.subject);
        let mut clock_offsets = meta.clock_offsets.clone();
        for offset in &mut clock_offsets {
            offset.source = name(&offset.source);
        }
        let told = Told {
            cluster: meta.told.cluster.as_deref().map(name),
            nodes: meta
                .told
                .nodes
                .iter()
                .map(|one| ToldNode {
                    name: self.content.text(&one.name, Class::Host),
                    also: self.content.text(&one.also, Class::Host),
                })
                .collect(),
        };
        let cluster_id = meta.cluster_id.as_deref().map(|id| match id.parse() {
            Ok(id) if id >= LEAST_RANDOM_ID => self.content.id(id).to_string(),
            _ => self.content.text(id, Class::Name),
        });
        RunMeta {
            run,
            subject,
            cluster_id,
            endpoints,
            selectors,
            clock_offsets,
            told,
            created: meta.created,
            begins: meta.begins,
            versions: meta.versions.clone(),
            copied_by: meta.copied_by.clone(),
            export: meta.export.clone(),
            lost: meta.lost.clone().map(|lost| self.loss(lost)),
        }
    }

    /// The name of a metric or of a label, which passes where it is known.
    fn name(&mut self, name: &str, is_known: fn(&str) -> bool) -> String {
        if let Some(written) = self.names.get(name) {
            return written.clone();
        }
        let written = if is_known(name) {
            self.content.fixed(name);
            name.to_owned()
        } else {
            self.content.text(name, Class::Name)
        };
        self.names.insert(name.to_owned(), written.clone());
        written
    }

    /// The value of a label.
    fn label(&mut self, metric: &str, name: &str, value: &str) -> String {
        if is_boundary(name, value) || is_kernel_device(name, value) {
            return value.to_owned();
        }
        let is_given = self.given.get(name).is_some_and(|values| values.contains(value));
        let class = match name {
            // Both say what somebody chose among words of programs.
            "alertname" | "branch" => Class::Message,
            "file" if !is_source_name(value) => Class::Name,
            _ if is_code_label(metric, name) && !is_given => Class::Code,
            _ if is_host_label(name) => Class::Host,
            _ => Class::Name,
        };
        let key = (class, value.to_owned());
        if let Some(known) = self.values.get(&key) {
            return known.clone();
        }
        let is_hash = matches!(name, "hash" | "revision") && is_git_hash(value);
        let written = if is_hash {
            value.to_owned()
        } else {
            if class == Class::Code {
                self.content.fixed(value);
            }
            self.content.text(value, class)
        };
        self.values.insert(key, written.clone());
        written
    }

    /// What was lost of a capture.
    pub fn loss(&mut self, loss: Loss) -> Loss {
        Loss { parts: self.unreadable(loss.parts), ..loss }
    }

    /// Parts that could not be read.
    pub fn unreadable(&mut self, parts: Vec<Unreadable>) -> Vec<Unreadable> {
        let parts = parts.into_iter().map(|part| match part.of {
            Observed::Target(target) => {
                let job = self.content.text(&target.job, Class::Name);
                let instance = self.content.text(&target.instance, Class::Host);
                Unreadable { of: Observed::Target(TargetKey { job, instance }), range: part.range }
            }
            of => Unreadable { of, range: part.range },
        });
        parts.collect()
    }

    fn body(&mut self, path: &str, body: &Arc<[u8]>) -> Arc<[u8]> {
        let hash = xxh3_128(&[path.as_bytes(), b"\0", body].concat());
        if let Some(known) = self.bodies.get(&hash) {
            return Arc::clone(known);
        }
        let written: Arc<[u8]> = rewrite_body(path, body, &mut Body(&mut self.content)).into();
        self.body_bytes += written.len();
        if self.body_bytes > KEPT_BYTES {
            self.bodies.clear();
            self.body_bytes = written.len();
        }
        self.bodies.insert(hash, Arc::clone(&written));
        written
    }
}

impl<C: Content> Walk<C> {
    /// A line of a log: what the programs fix passes, what names something of the reporter's does not.
    fn log_line(&mut self, line: LogEvent) -> LogEvent {
        let role = role_of_job(&line.component);
        note_hosts(&mut self.content, &line.node, role);
        for code in [&line.component, &line.level] {
            self.content.fixed(code);
        }
        let file = if is_source_name(&line.file) {
            self.content.fixed(&line.file);
            line.file.clone()
        } else {
            self.content.text(&line.file, Class::Name)
        };
        let is_disk = line.kind == LogKind::DiskUsage;
        let values = line.values.iter().map(|(name, value)| {
            let class = match name.as_str() {
                "from" | "to" if is_disk => Class::Code,
                "node" | "from" | "to" => Class::Host,
                "path" | "caller" | "sst" => Class::Name,
                name if CODE_VALUES.contains(&name) => Class::Code,
                _ => Class::Message,
            };
            (name.clone(), self.content.text(value, class))
        });
        let values = values.collect();
        LogEvent {
            node: self.content.text(&line.node, Class::Host),
            place: self.content.text(&line.place, Class::Name),
            text: self.content.text(&line.text, Class::Message),
            file,
            values,
            ..line
        }
    }
}

/// Values of lines of logs that the programs under observation fix.
const CODE_VALUES: [&str; 12] = [
    "cause",
    "thread_name",
    "action",
    "cf",
    "signal",
    "api",
    "method",
    "status",
    "code",
    "interval_ms",
    "exit_code",
    "restarts",
];

/// Notes what the host of each address or URL is, where one word says which host it is.
fn note_hosts(content: &mut impl Content, addresses: &str, role: Role) {
    for address in addresses.split(',') {
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let host = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, _)) => v6,
            None => rest.split(['/', ':']).next().unwrap_or_default(),
        };
        let is_v4 = host.parse::<std::net::Ipv4Addr>().is_ok();
        let word = if is_v4 { host } else { host.split('.').next().unwrap_or_default() };
        content.host(word, role);
    }
}

/// The texts of a body of PD's.
struct Body<'c, C>(&'c mut C);

impl<C: Content> RewriteBody for Body<'_, C> {
    fn text(&mut self, text: &str, what: BodyText) -> String {
        let (class, role) = match what {
            BodyText::RegionKey => return self.0.key(text),
            BodyText::Code if is_git_hash(text) => return text.to_owned(),
            BodyText::FieldName | BodyText::Code => (Class::Code, None),
            BodyText::Message => (Class::Message, None),
            BodyText::StoreAddress => (Class::Host, Some(Role::Tikv)),
            BodyText::TiflashAddress => (Class::Host, Some(Role::Tiflash)),
            BodyText::MemberAddress => (Class::Host, Some(Role::Pd)),
            BodyText::Other => (Class::Name, None),
        };
        if let Some(role) = role {
            note_hosts(self.0, text, role);
        }
        self.0.text(text, class)
    }

    fn id(&mut self, id: u64) -> u64 {
        self.0.id(id)
    }
}

/// The texts of a sealed truth: whoever seals it chooses them, so that only names of failure modes pass as they are,
/// and of other texts the words that messages have.
struct Truth<'c, C>(Body<'c, C>);

impl<C: Content> RewriteBody for Truth<'_, C> {
    fn text(&mut self, text: &str, what: BodyText) -> String {
        match what {
            BodyText::Code if !MODES.iter().any(|mode| mode.name == text) => {
                self.0.0.text(text, Class::Message)
            }
            what => self.0.text(text, what),
        }
    }

    fn id(&mut self, id: u64) -> u64 {
        self.0.id(id)
    }
}

/// Whether the text of an event is a person's, or what a command printed: its plain words stay.
pub fn is_free_text(event: &Event) -> bool {
    let of_programs = [EventKind::RECORDER, EventKind::INCIDENT, EventKind::LOG];
    !event.text.is_empty() && !of_programs.contains(&&*event.kind.0)
}

/// Whether a label says a number that histograms and summaries are computed with, as Prometheus reads it.
pub fn is_boundary(name: &str, value: &str) -> bool {
    matches!(name, "le" | "quantile") && value.parse::<f64>().is_ok()
}

/// Whether a text is the name of a source file, as a line of a log begins with.
fn is_source_name(text: &str) -> bool {
    let (name, end) = text.rsplit_once('.').unwrap_or((text, "rs"));
    ["rs", "go", "cc", "cpp", "c", "h"].contains(&end)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn is_git_hash(text: &str) -> bool {
    text.len() <= 40
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl<C: Content> Rewrite for Walk<C> {
    fn labels(&mut self, labels: &Labels) -> Option<Labels> {
        let metric = labels.metric();
        if let (Some(job), Some(instance)) = (labels.get("job"), labels.get("instance")) {
            note_hosts(&mut self.content, instance, role_of_job(job));
        }
        let pairs = labels.iter();
        let pairs = pairs.map(|(name, value)| match name {
            "__name__" => (name.to_owned(), self.name(value, is_known_metric)),
            _ => (self.name(name, is_known_label), self.label(metric, name, value)),
        });
        let pairs: Vec<(String, String)> = pairs.collect();
        Some(Labels::new(pairs).expect("the names of the labels are those that were read"))
    }

    fn answer(&mut self, mut answer: PdAnswer) -> PdAnswer {
        note_hosts(&mut self.content, &answer.url, Role::Pd);
        answer.member = self.content.text(&answer.member, Class::Host);
        answer.url = self.content.text(&answer.url, Class::Host);
        answer.outcome = match answer.outcome {
            PdOutcome::Answered { status, body } => {
                PdOutcome::Answered { status, body: self.body(&answer.path, &body) }
            }
            PdOutcome::Failed { reason, detail } => {
                PdOutcome::Failed { reason, detail: self.content.text(&detail, Class::Message) }
            }
        };
        answer.path = self.content.text(&answer.path, Class::Code);
        answer
    }

    fn gap(&mut self, gap: Gap) -> Gap {
        let source = match gap.source {
            Source::PdMember(name) => Source::PdMember(self.content.text(&name, Class::Host)),
            other => other,
        };
        Gap { source, detail: self.content.text(&gap.detail, Class::Message), ..gap }
    }

    fn event(&mut self, event: Event) -> Option<Event> {
        if let Some(line) = LogEvent::of_event(&event) {
            return Some(self.log_line(line).to_event());
        }
        // Only settings of the list with values of TiKV's own are read: none of them can name anything.
        if let Some(settings) = SettingsEvent::of_event(&event) {
            let event = settings.to_event();
            let fields = event.fields.iter().flat_map(|(name, value)| [name, value]);
            fields.chain([&event.text]).for_each(|text| self.content.fixed(text));
            return Some(event);
        }
        // Only names of functions of public modules are read of a profile.
        if let Some(profile) = ProfileEvent::of_event(&event) {
            note_hosts(&mut self.content, &profile.node, role_of_job(&profile.component));
            let node = self.content.text(&profile.node, Class::Host);
            let written = ProfileEvent { node, ..profile }.to_event();
            let names = written.fields.iter().filter(|(name, _)| *name != "node");
            let texts = names.flat_map(|(name, value)| [name, value]).chain([&written.text]);
            texts.for_each(|text| self.content.fixed(text));
            return Some(written);
        }
        let fields = event.fields.iter().map(|(name, value)| {
            let class = if is_host_label(name) { Class::Host } else { Class::Name };
            (self.content.text(name, Class::Message), self.content.text(value, class))
        });
        let fields = fields.collect();
        let class = if is_free_text(&event) { Class::Note } else { Class::Message };
        let text = self.content.text(&event.text, class);
        let known = [EventKind::NOTE, EventKind::COMMAND, EventKind::RECORDER, EventKind::INCIDENT];
        let kind = if known.contains(&&*event.kind.0) {
            event.kind
        } else {
            EventKind(self.content.text(&event.kind.0, Class::Note))
        };
        Some(Event { at: event.at, kind, text, fields })
    }

    fn truth(&mut self, truth: Vec<u8>) -> Vec<u8> {
        rewrite_body("", &truth, &mut Truth(Body(&mut self.content)))
    }
}

fn role_of_job(job: &str) -> Role {
    let parts = job.rsplit(|c: char| !c.is_ascii_alphanumeric());
    let role = |part: &str| match part {
        "tikv" => Some(Role::Tikv),
        "tiflash" => Some(Role::Tiflash),
        "tidb" => Some(Role::Tidb),
        "pd" => Some(Role::Pd),
        _ => None,
    };
    parts.into_iter().find_map(role).unwrap_or(Role::Host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::key::{KEY_BYTES, Key};
    use crate::share::pseudonyms::{Originals, content};

    #[test]
    fn boundaries_of_histograms_stay_to_the_last_digit() {
        let series = |le: &str| {
            Labels::from_pairs(&[
                ("__name__", "raft_engine_sync_log_duration_seconds_bucket"),
                ("le", le),
                ("quantile", le),
            ])
        };
        let boundaries = ["0.00029160000000000004", "+Inf", "1e+06", "1234567890123456"];
        let mut collected = Walk::new(Originals::default());
        for le in boundaries {
            collected.labels(&series(le));
        }
        collected.labels(&series("7480000000000000FF"));
        let mapping = collected.into_content().mapping(&Key::new([1; KEY_BYTES]));
        let mut walk = Walk::new(content(&mapping));
        for le in boundaries {
            assert_eq!(walk.labels(&series(le)), Some(series(le)));
        }
        let other = walk.labels(&series("7480000000000000FF")).expect("it stays");
        assert_ne!(other.get("le"), Some("7480000000000000FF"));
    }

    fn rewritten(series: &[Labels]) -> Vec<Labels> {
        let mut collected = Walk::new(Originals::default());
        series.iter().for_each(|labels| collected.learn(labels));
        series.iter().for_each(|labels| drop(collected.labels(labels)));
        let mapping = collected.into_content().mapping(&Key::new([1; KEY_BYTES]));
        let mut walk = Walk::new(content(&mapping));
        series.iter().for_each(|labels| walk.learn(labels));
        series.iter().map(|labels| walk.labels(labels).expect("it stays")).collect()
    }

    #[test]
    fn what_a_deployment_gives_a_target_is_a_name_whatever_the_label_is_called() {
        let target = [("group", "acmestore"), ("instance", "10.1.2.3:20180"), ("job", "tikv")];
        let of = |own: &[(&str, &str)]| Labels::from_pairs(&[&target[..], own].concat());
        let written = rewritten(&[
            of(&[("__name__", "up")]),
            of(&[("__name__", "tikv_a_total"), ("type", "coprocessor")]),
        ]);
        let group = written[0].get("group").expect("it is there");
        assert!(group.starts_with("name-"), "{group}");
        assert_eq!(written[1].get("group"), Some(group));
        assert_eq!(written[1].get("type"), Some("coprocessor"));
    }

    #[test]
    fn units_volumes_and_other_peoples_metrics_carry_names() {
        let series = |metric: &str, name: &str, value: &str| {
            let labels =
                [("__name__", metric), ("instance", "n:1"), ("job", "node"), (name, value)];
            Labels::from_pairs(&labels)
        };
        let secret = [
            ("node_systemd_unit_state", "name", "acmeagent.service"),
            ("node_filesystem_size_bytes", "device", "/dev/mapper/acmeagent-lv"),
            ("node_filesystem_size_bytes", "device", "acmeagent.corp.io:/export"),
            ("shop_orders_total", "type", "acmeagent"),
            ("prometheus_build_info", "branch", "acmeagent-fixes"),
        ];
        for (metric, name, value) in secret {
            let written = rewritten(&[series(metric, name, value)]);
            let found = written[0].get(name).expect("it is there");
            assert!(!found.contains("acmeagent"), "{metric} {name} {found}");
        }
        for (metric, name, value) in [
            ("node_disk_io_time_seconds_total", "device", "nvme0n1"),
            ("node_cpu_seconds_total", "mode", "iowait"),
            ("prometheus_build_info", "branch", "HEAD"),
        ] {
            assert_eq!(rewritten(&[series(metric, name, value)])[0].get(name), Some(value));
        }
    }

    #[test]
    fn of_a_truth_only_words_of_messages_pass() {
        let truth = |scenario: &str| format!(r#"{{"fault":"slow_disk","scenario":"{scenario}"}}"#);
        let mut collected = Walk::new(Originals::default());
        collected.truth(truth("kill mallorybox").into_bytes());
        let mapping = collected.into_content().mapping(&Key::new([1; KEY_BYTES]));
        let written = Walk::new(content(&mapping)).truth(truth("kill mallorybox").into_bytes());
        let written = String::from_utf8(written).expect("it is UTF-8");
        assert!(written.contains("slow_disk") && written.contains("kill"), "{written}");
        assert!(!written.contains("mallorybox"), "{written}");
        for mode in MODES {
            let truth = format!(r#"{{"fault":"{}"}}"#, mode.name);
            let mut originals = Walk::new(Originals::default());
            originals.truth(truth.into_bytes());
            let mapping = originals.into_content().mapping(&Key::new([1; KEY_BYTES]));
            assert_eq!(mapping.counts().len(), 0, "{}", mode.name);
        }
    }
}
