//! What was done to a cluster, sealed inside a capture.
//!
//! The one place that opens a truth. Diagnosis is finished before that, and is given a recording
//! that has none.

use std::path::Path;

use anyhow::Context;
use chrono::DateTime;
use serde::de::{DeserializeOwned, Error};
use serde_json::{Map, Value};

use super::baselines::Guess;
use super::comparison::MethodScore;
use crate::capture::unseal_truth;
use crate::diagnose::{Cause, Depth, MODES, Mode, Nature, Target};
use crate::model::{Timestamp, did_you_mean, escape_path, similar_names};

/// What was done to a cluster, as `operator seal` took it.
#[derive(Debug)]
pub struct Truth {
    /// The failure mode that was injected; none where nothing was broken.
    pub fault: Option<String>,
    /// The planned change that was made.
    pub change: Option<String>,
    /// The node's name, such as `tikv-0`; none where it is about the workload.
    pub node: Option<String>,
    /// The store's id.
    pub store_id: Option<u64>,
    /// Host and port of the node.
    pub address: Option<String>,
    /// When it was injected, in milliseconds since the Unix epoch.
    pub t_inject_ms: Option<i64>,
    /// Whether one of the fields [`DONE`] is there, be it null.
    says_what: bool,
    /// Fields that are none, each with the one that it resembles, which is absent.
    misspelt: Vec<(String, &'static str)>,
    /// Fields that are none and resemble none, without those of [`NOTES`].
    unknown: Vec<String>,
}

/// A node that a capture knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// The store's id; none of a member of PD.
    pub store_id: Option<u64>,
    /// What verdicts call it.
    pub name: String,
    /// Host and port.
    pub address: String,
}

/// How much a field that is none resembles the one that was meant, at least; see [`similar_names`].
const LEAST_ALIKE: f64 = 0.6;

/// All fields.
const FIELDS: [&str; 6] = ["fault", "change", "node", "store_id", "address", "t_inject_ms"];

/// Fields that tools for chaos runs add, and people for others; nothing reads them.
const NOTES: [&str; 8] = [
    "component",
    "scenario",
    "t_injected_ms",
    "t_clear_ms",
    "note",
    "notes",
    "comment",
    "description",
];

/// Fields that are none, by what is meant, where both have few letters in common.
const MEANT: [(&str, &str); 15] = [
    ("mode", "fault"),
    ("failuremode", "fault"),
    ("id", "store_id"),
    ("addr", "address"),
    ("host", "address"),
    ("instance", "address"),
    ("target", "node"),
    ("tinject", "t_inject_ms"),
    ("injected", "t_inject_ms"),
    ("injectedat", "t_inject_ms"),
    ("injectat", "t_inject_ms"),
    ("injecttime", "t_inject_ms"),
    ("injectiontime", "t_inject_ms"),
    ("time", "t_inject_ms"),
    ("at", "t_inject_ms"),
];

/// Names that people give to what is no mode: that nothing was done.
const NOTHING: [&str; 6] = ["none", "null", "nothing", "quiet", "healthy", "no_fault"];

/// The fields that say what was done.
const DONE: [&str; 2] = ["fault", "change"];

impl Truth {
    /// Opens the truth that is sealed inside a capture; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Where the capture or the truth cannot be read.
    pub fn unseal(path: &Path) -> anyhow::Result<Option<Self>> {
        let Some(bytes) = unseal_truth(path)? else { return Ok(None) };
        let cannot = || format!("the truth in {} is unreadable", escape_path(path));
        Ok(Some(Self::parse(&bytes).with_context(cannot)?))
    }

    /// Reads a truth: a JSON object with the fields of this type, each of which may be absent or null.
    /// Other fields are allowed, as notes for people.
    ///
    /// # Errors
    ///
    /// [`TruthError`], which names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, TruthError> {
        let fields: Map<String, Value> = serde_json::from_slice(bytes)?;
        let misspelt = misspelt(&fields);
        let is_unknown = |name: &&String| {
            !FIELDS.contains(&name.as_str())
                && !NOTES.contains(&name.as_str())
                && misspelt.iter().all(|(field, _)| field != *name)
        };
        Ok(Self {
            says_what: DONE.iter().any(|field| fields.contains_key(*field)),
            unknown: fields.keys().filter(is_unknown).cloned().collect(),
            misspelt,
            fault: read(&fields, "fault")?,
            change: read(&fields, "change")?,
            node: read(&fields, "node")?,
            store_id: read(&fields, "store_id")?,
            address: read(&fields, "address")?,
            t_inject_ms: read_instant(&fields, "t_inject_ms")?,
        })
    }

    /// What is wrong with its fields: those that are spelt wrong, else that it does not say what was done, if only that
    /// nothing was, or that it says two things.
    pub fn wrong_fields(&self) -> Vec<TruthError> {
        let misspelt = self.misspelt.iter();
        let wrong =
            misspelt.map(|(field, meant)| TruthError::Misspelt { field: field.clone(), meant });
        let mut wrong: Vec<TruthError> = wrong.collect();
        match (&self.fault, &self.change) {
            (Some(fault), Some(change)) => {
                wrong.push(TruthError::SaysBoth { fault: fault.clone(), change: change.clone() })
            }
            _ if wrong.is_empty() && !self.says_what => wrong.push(TruthError::SaysNothing),
            _ => {}
        }
        wrong
    }

    /// Checks that it is about a node that is there, given those that are; of none, nothing is known. Beside an id or
    /// an address, `node` may be any name.
    ///
    /// # Errors
    ///
    /// [`TruthError::UnknownStore`], [`TruthError::OtherAddress`] or [`TruthError::UnknownNode`].
    pub fn check_place(&self, nodes: &[KnownNode]) -> Result<(), TruthError> {
        let of_id = |id| nodes.iter().find(|node| node.store_id == Some(id));
        let has_stores = nodes.iter().any(|node| node.store_id.is_some());
        match (self.store_id, &self.address, &self.node) {
            (Some(id), address, _) if has_stores => {
                let ids = || nodes.iter().filter_map(|node| Some(node.store_id?.to_string()));
                let Some(known) = of_id(id).map(|node| node.address.clone()) else {
                    return Err(TruthError::UnknownStore { id, known: listed(ids()) });
                };
                match address {
                    Some(address) if host(address) != host(&known) => {
                        Err(TruthError::OtherAddress { id, known, address: address.clone() })
                    }
                    _ => Ok(()),
                }
            }
            (None, Some(address), _) if !nodes.is_empty() => {
                let is_there = nodes.iter().any(|node| host(&node.address) == host(address));
                let known = || listed(nodes.iter().map(|node| node.address.clone()));
                let unknown = || TruthError::UnknownNode {
                    field: "address",
                    name: address.clone(),
                    known: known(),
                };
                if is_there { Ok(()) } else { Err(unknown()) }
            }
            (None, None, Some(name)) if !nodes.is_empty() => {
                let is_it = |node: &KnownNode| node.name == *name || is_host(&node.address, name);
                let known = || listed(nodes.iter().map(|node| node.name.clone()));
                let unknown = || TruthError::UnknownNode {
                    field: "node",
                    name: name.clone(),
                    known: known(),
                };
                if nodes.iter().any(is_it) { Ok(()) } else { Err(unknown()) }
            }
            _ => Ok(()),
        }
    }

    /// What is odd about it and no error, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let unknown = self.unknown.iter();
        let mut told: Vec<String> = unknown
            .map(|field| format!("{field:?} is no field of a truth: it is kept as a note"))
            .collect();
        let fault = self.fault.as_deref();
        if fault.is_some() && self.t_inject_ms.is_none() {
            let what = "without t_inject_ms nobody can say how long after it a fault was named";
            told.push(what.to_owned());
        }
        let is_placed = self.node.is_some() || self.store_id.is_some() || self.address.is_some();
        let has_place = |mode: &Mode| {
            matches!(mode.depth, Depth::Presence | Depth::Resource | Depth::Saturation)
        };
        let mode = MODES.iter().find(|mode| Some(mode.name) == fault && has_place(mode));
        if let Some(mode) = mode.filter(|_| !is_placed) {
            let fields = "store_id, address or node";
            told.push(format!("without {fields}, {} of any node counts as right", mode.name));
        }
        told
    }

    /// What was done and where, for a person: `store_crash at tikv-0`.
    pub fn text(&self) -> String {
        let store = self.store_id.map(|id| format!("store {id}"));
        let place = self.node.clone().or(store).or(self.address.clone());
        let place = place.map_or_else(String::new, |place| format!(" at {place}"));
        match (&self.fault, &self.change) {
            (None, None) => "nothing was broken or changed".to_owned(),
            (Some(done), _) | (None, Some(done)) => format!("{done}{place}"),
        }
    }

    /// Checks that the fault and the change are modes that diagnosis knows; others never score.
    ///
    /// # Errors
    ///
    /// [`TruthError::UnknownMode`] for the first that is not.
    pub fn check_modes(&self) -> Result<(), TruthError> {
        check_mode("fault", self.fault.as_deref(), Nature::Fault)?;
        check_mode("change", self.change.as_deref(), Nature::Change)
    }

    /// The mode or the change, or `quiet`.
    pub fn name(&self) -> &str {
        self.fault.as_deref().or(self.change.as_deref()).unwrap_or("quiet")
    }

    /// Whether a target is where it was done. Truths without a place are about the workload.
    pub fn is_at(&self, target: &Target) -> bool {
        if let (Some(a), Some(b)) = (self.store_id, target.store_id) {
            return a == b;
        }
        match (&self.address, &target.address) {
            (Some(a), Some(b)) => host(a) == host(b),
            (None, known) => self.node.as_ref().is_none_or(|name| {
                *name == target.name || known.as_ref().is_some_and(|known| is_host(known, name))
            }),
            (Some(a), None) => target.concerns.iter().any(|one| one.contains(host(a))),
        }
    }

    /// How a guess stands: silence is right where nothing was broken. A guess without a component
    /// names one only where its cause implies it, as that of a workload does.
    pub fn judges(&self, guess: Option<&Guess>) -> MethodScore {
        let Some(guess) = guess else {
            let quiet = self.fault.is_none();
            return MethodScore {
                cause: quiet,
                component: quiet,
                change: self.change.is_none(),
                ..MethodScore::default()
            };
        };
        let cause = Some(guess.mode) == self.fault.as_deref();
        let component = match &guess.target {
            Some(target) => self.node.is_some() && self.is_at(target),
            None => cause && self.node.is_none(),
        };
        let component = component && self.fault.is_some();
        let right = cause && component;
        let since = |at: Option<Timestamp>| {
            at.zip(self.t_inject_ms.map(Timestamp::from_millis)).map(|(at, injected)| at - injected)
        };
        MethodScore {
            cause,
            component,
            change: false,
            false_causes: usize::from(!right),
            named_after_ms: since(guess.named_at.filter(|_| right)),
            onset_error_ms: since(guess.onset.filter(|_| right)),
        }
    }

    /// Whether a cause has the mode that was injected, wherever it is.
    pub fn is_named_by(&self, cause: &Cause) -> bool {
        self.fault.as_deref() == Some(cause.mode)
    }
}

/// Why a text is no truth.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// It is no JSON object.
    #[error("it is no JSON object")]
    Json(#[from] serde_json::Error),
    /// It does not say what was done.
    #[error(
        "it has neither \"fault\" nor \"change\": \"fault\": null says that nothing was broken"
    )]
    SaysNothing,
    /// It says that something broke and that something was planned.
    #[error(
        "it has a \"fault\", {fault}, and a \"change\", {change}: one of them is what was done"
    )]
    SaysBoth {
        /// What broke.
        fault: String,
        /// What was planned.
        change: String,
    },
    /// A field is none, and resembles one that is absent.
    #[error("it has a field {field:?}: did you mean {meant:?}?")]
    Misspelt {
        /// The field that is none.
        field: String,
        /// The field that it resembles.
        meant: &'static str,
    },
    /// It is about a store that PD does not list.
    #[error("PD lists no store {id}: it lists {known}")]
    UnknownStore {
        /// The store's id.
        id: u64,
        /// The ids of the stores that PD lists.
        known: String,
    },
    /// The store that it is about has another address.
    #[error("store {id} is at {known}, and not at {address}")]
    OtherAddress {
        /// The store's id.
        id: u64,
        /// Where PD says it is.
        known: String,
        /// Where the truth says it is.
        address: String,
    },
    /// It is about a node that the capture does not know.
    #[error("field {field:?} names no node of the capture, {name:?}: there are {known}")]
    UnknownNode {
        /// The name of the field.
        field: &'static str,
        /// The name or address that it has.
        name: String,
        /// Those of the nodes that there are.
        known: String,
    },
    /// A mode stands in the field for modes of the other nature.
    #[error("{name} is a {what}: use {meant:?}")]
    OtherNature {
        /// The name of the mode.
        name: String,
        /// What it is.
        what: &'static str,
        /// The field for it.
        meant: &'static str,
    },
    /// A field has a value of another type.
    #[error("field {field:?}")]
    Field {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with its value.
        source: serde_json::Error,
    },
    /// A field names a mode that does not exist.
    #[error("field {field:?} names no such mode, {name:?}{near}")]
    UnknownMode {
        /// The name of the field.
        field: &'static str,
        /// The name that it has.
        name: String,
        /// Names that resemble it, as a question, or nothing.
        near: String,
    },
}

/// The host of an address with or without a port.
fn host(address: &str) -> &str {
    address.split(':').next().unwrap_or(address)
}

/// Whether a name is the host of an address, or the first label of its DNS name, as of a pod.
fn is_host(address: &str, name: &str) -> bool {
    let rest = host(address).strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || !name.is_empty() && rest.starts_with('.'))
}

/// The most names that an error lists.
const LISTED: usize = 12;

/// The first names, and how many more there are.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.len().saturating_sub(LISTED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..LISTED].join(", ")),
    }
}

/// A field that is none, and the absent one that is meant.
fn misspelt(fields: &Map<String, Value>) -> Vec<(String, &'static str)> {
    let is_absent = |field: &&str| !fields.contains_key(*field);
    let is_note = |name: &&str| FIELDS.contains(name) || NOTES.contains(name);
    let misspelt =
        fields.keys().map(String::as_str).filter(|name| !is_note(name)).filter_map(|name| {
            let letters: String = name.to_lowercase().replace(['_', '-', ' '], "");
            let meant = MEANT.iter().find(|(known, _)| *known == letters).map(|(_, field)| *field);
            let absent = || FIELDS.iter().copied().filter(is_absent);
            let is_same = |field: &&str| field.replace('_', "") == letters;
            let near = || similar_names(name, absent(), |_| LEAST_ALIKE, 1).pop();
            let meant = meant.filter(|field| is_absent(field)).or_else(|| absent().find(is_same));
            let meant = meant.or_else(near)?;
            Some((name.to_owned(), *FIELDS.iter().find(|field| **field == meant)?))
        });
    misspelt.collect()
}

/// The value of a field; `None` where it is absent or null.
fn read<T: DeserializeOwned>(
    fields: &Map<String, Value>,
    field: &'static str,
) -> Result<Option<T>, TruthError> {
    let value = fields.get(field).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|source| TruthError::Field { field, source })
}

/// An instant in milliseconds since the Unix epoch, which may also be written as a date and time with a zone.
fn read_instant(
    fields: &Map<String, Value>,
    field: &'static str,
) -> Result<Option<i64>, TruthError> {
    let Some(Value::String(text)) = fields.get(field) else { return read(fields, field) };
    let read = DateTime::parse_from_rfc3339(text);
    let read = read.map_err(|_| {
        let what = "is no date and time with a zone, such as 2026-11-24T16:30:50Z";
        serde_json::Error::custom(format!("{text:?} {what}"))
    });
    let at = read.map_err(|source| TruthError::Field { field, source })?;
    Ok(Some(at.timestamp_millis()))
}

fn check_mode(field: &'static str, name: Option<&str>, nature: Nature) -> Result<(), TruthError> {
    let known = || MODES.iter().filter(|mode| mode.nature == nature).map(|mode| mode.name);
    let Some(name) = name.filter(|name| known().all(|known| known != *name)) else {
        return Ok(());
    };
    if MODES.iter().any(|mode| mode.name == name) {
        let (what, meant) = match nature {
            Nature::Fault => ("planned change", "change"),
            Nature::Change => ("fault", "fault"),
        };
        return Err(TruthError::OtherNature { name: name.to_owned(), what, meant });
    }
    let near = similar_names(name, known(), |_| 0.6, 3);
    let near = match NOTHING.contains(&name) {
        true => "; null, without quotes, says that nothing was".to_owned(),
        false => did_you_mean(&near),
    };
    Err(TruthError::UnknownMode { field, name: name.to_owned(), near })
}

#[cfg(test)]
mod tests;
