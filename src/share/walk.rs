//! Walks through everything that a capture holds and says of each text what it is.
//!
//! Collecting originals and replacing them are the same walk over another [`Content`].

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use super::pseudonyms::Role;
use super::text::Class;
use super::vocabulary::{Field, field, is_code_label, is_known_label, is_known_metric};
use crate::capture::Rewrite;
use crate::model::{
    Endpoints, Event, EventKind, Gap, Labels, PdAnswer, PdOutcome, RunMeta, RunName, Source,
};

/// Bytes of rewritten bodies that are kept, since most answers repeat an earlier one.
const KEPT_BYTES: usize = 64 << 20;
/// Identifiers from here on are drawn at random by PD: the cluster's and its members'.
const LEAST_RANDOM_ID: u64 = 1 << 53;

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
    names: HashMap<String, String>,
    values: HashMap<(bool, String), String>,
    bodies: HashMap<u128, Arc<[u8]>>,
    body_bytes: usize,
}

impl<C: Content> Walk<C> {
    /// A walk that does `content` to everything.
    pub fn new(content: C) -> Self {
        Self { content, names: HashMap::new(), values: HashMap::new(), bodies: HashMap::new(), body_bytes: 0 }
    }

    /// What the walk was for.
    pub fn into_content(self) -> C {
        self.content
    }

    /// The metadata of a run.
    pub fn meta(&mut self, meta: &RunMeta) -> RunMeta {
        let mut name = |text: &str| self.content.text(text, Class::Name);
        let run = RunName::new(&name(meta.run.as_str())).unwrap_or_else(|_| meta.run.clone());
        let pd = meta.endpoints.pd.iter();
        let endpoints = Endpoints {
            pd: pd.map(|(member, url)| (name(member), name(url))).collect(),
            prometheus: meta.endpoints.prometheus.as_deref().map(&mut name),
        };
        let selectors = meta.selectors.iter().map(|one| name(one)).collect();
        let subject = name(&meta.subject);
        let mut clock_offsets = meta.clock_offsets.clone();
        for offset in &mut clock_offsets {
            offset.source = name(&offset.source);
        }
        let cluster_id = meta.cluster_id.as_deref().map(|id| match id.parse() {
            Ok(id) => self.content.id(id).to_string(),
            Err(_) => self.content.text(id, Class::Name),
        });
        RunMeta {
            run,
            subject,
            cluster_id,
            endpoints,
            selectors,
            clock_offsets,
            created: meta.created,
            versions: meta.versions.clone(),
            copied_by: meta.copied_by.clone(),
            export: meta.export.clone(),
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
        let is_code = is_code_label(metric, name);
        let key = (is_code, value.to_owned());
        if let Some(known) = self.values.get(&key) {
            return known.clone();
        }
        let is_hash = matches!(name, "hash" | "revision") && is_git_hash(value);
        let written = if is_hash {
            value.to_owned()
        } else if is_code {
            self.content.fixed(value);
            self.content.text(value, Class::Code)
        } else {
            self.content.text(value, Class::Name)
        };
        self.values.insert(key, written.clone());
        written
    }

    fn body(&mut self, path: &str, body: &Arc<[u8]>) -> Arc<[u8]> {
        let hash = xxh3_128(&[path.as_bytes(), b"\0", body].concat());
        if let Some(known) = self.bodies.get(&hash) {
            return Arc::clone(known);
        }
        let written: Arc<[u8]> = self.json_or_text(path, body).into();
        self.body_bytes += written.len();
        if self.body_bytes > KEPT_BYTES {
            self.bodies.clear();
            self.body_bytes = written.len();
        }
        self.bodies.insert(hash, Arc::clone(&written));
        written
    }

    fn json_or_text(&mut self, path: &str, body: &[u8]) -> Vec<u8> {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => {
                let class = if is_list_of_code(path) { Class::Code } else { Class::Message };
                let place = Place { field: Field::Other, class, role: role_of(path, "") };
                let written = self.json(path, place, value);
                let mut bytes = serde_json::to_vec(&written).expect("a value of JSON is JSON");
                bytes.extend(body.ends_with(b"\n").then_some(b'\n'));
                bytes
            }
            Err(_) => {
                let text = String::from_utf8_lossy(body);
                self.content.text(&text, Class::Message).into_bytes()
            }
        }
    }

    fn json(&mut self, path: &str, place: Place, value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let role = if is_tiflash(&fields) { Some(Role::Tiflash) } else { place.role };
                let written = fields.into_iter().map(|(name, value)| {
                    let inner = Place::under(path, &name, role);
                    let name = self.content.text(&name, Class::Code);
                    (name, self.json(path, inner, value))
                });
                Value::Object(written.collect())
            }
            Value::Array(values) => {
                values.into_iter().map(|value| self.json(path, place, value)).collect()
            }
            Value::String(text) => Value::String(self.json_text(place, &text)),
            Value::Number(number) => match (place.field, number.as_u64()) {
                (Field::Id, Some(id)) if id >= LEAST_RANDOM_ID => self.content.id(id).into(),
                _ => Value::Number(number),
            },
            Value::Null | Value::Bool(_) => value,
        }
    }

    fn json_text(&mut self, place: Place, text: &str) -> String {
        if is_git_hash(text) && place.field == Field::Code {
            return text.to_owned();
        }
        match place.field {
            Field::RegionKey => self.content.key(text),
            Field::Code => self.content.text(text, Class::Code),
            Field::Id | Field::Other => {
                if let Some(role) = place.role {
                    text.split(',').for_each(|url| self.note_host(url, role));
                }
                self.content.text(text, place.class)
            }
        }
    }

    /// Notes what the host of an address or URL is, where one word says which host it is.
    fn note_host(&mut self, address: &str, role: Role) {
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let host = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, _)) => v6,
            None => rest.split(['/', ':']).next().unwrap_or_default(),
        };
        let is_v4 = host.parse::<std::net::Ipv4Addr>().is_ok();
        let word = if is_v4 { host } else { host.split('.').next().unwrap_or_default() };
        self.content.host(word, role);
    }
}

/// Where in a document a value stands.
#[derive(Clone, Copy)]
struct Place {
    field: Field,
    class: Class,
    role: Option<Role>,
}

impl Place {
    fn under(path: &str, name: &str, outer: Option<Role>) -> Self {
        let role = role_of(path, name).map(|role| match outer {
            Some(Role::Tiflash) => Role::Tiflash,
            _ => role,
        });
        Self { field: field(name), class: Class::Name, role }
    }
}

/// What the host is whose address stands under this field of an answer to this path.
fn role_of(path: &str, name: &str) -> Option<Role> {
    match name {
        "address" | "peer_address" | "status_address" if path.contains("/stores") => {
            Some(Role::Tikv)
        }
        "client_urls" | "peer_urls" => Some(Role::Pd),
        "client-urls" | "peer-urls" | "advertise-client-urls" | "advertise-peer-urls" => {
            Some(Role::Pd)
        }
        _ => None,
    }
}

/// Whether PD's placement labels of a store, or of the object around it, say that it is TiFlash's.
fn is_tiflash(fields: &serde_json::Map<String, Value>) -> bool {
    let labels = fields.get("labels").and_then(Value::as_array);
    labels.is_some_and(|labels| {
        labels.iter().any(|label| label.get("value").and_then(Value::as_str) == Some("tiflash"))
    })
}

/// Whether an answer is a list of texts that PD's code made, beside errors.
fn is_list_of_code(path: &str) -> bool {
    path.contains("/operators") || path.contains("/schedulers")
}

fn is_git_hash(text: &str) -> bool {
    text.len() <= 40
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl<C: Content> Rewrite for Walk<C> {
    fn labels(&mut self, labels: &Labels) -> Option<Labels> {
        let metric = labels.metric();
        if let (Some(job), Some(instance)) = (labels.get("job"), labels.get("instance")) {
            self.note_host(instance, role_of_job(job));
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
        self.note_host(&answer.url, Role::Pd);
        answer.member = self.content.text(&answer.member, Class::Name);
        answer.url = self.content.text(&answer.url, Class::Name);
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
            Source::PdMember(name) => Source::PdMember(self.content.text(&name, Class::Name)),
            other => other,
        };
        Gap { source, detail: self.content.text(&gap.detail, Class::Message), ..gap }
    }

    fn event(&mut self, event: Event) -> Event {
        let fields = event.fields.iter().map(|(name, value)| {
            (self.content.text(name, Class::Name), self.content.text(value, Class::Name))
        });
        let fields = fields.collect();
        let known = [EventKind::NOTE, EventKind::RECORDER, EventKind::INCIDENT];
        let kind = if known.contains(&&*event.kind.0) {
            event.kind
        } else {
            EventKind(self.content.text(&event.kind.0, Class::Message))
        };
        let text = self.content.text(&event.text, Class::Message);
        Event { at: event.at, kind, text, fields }
    }

    fn truth(&mut self, truth: Vec<u8>) -> Vec<u8> {
        self.json_or_text("", &truth)
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
