//! What was done to a cluster, sealed inside a capture.
//!
//! The one place that opens a truth. Diagnosis is finished before that, and is given a recording
//! that has none.

use std::path::Path;

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::baselines::Guess;
use super::comparison::MethodScore;
use crate::capture::unseal_truth;
use crate::diagnose::{Cause, MODES, Nature, Target};
use crate::model::{Timestamp, escape_path, similar_names};

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
    /// A field that is none, and the one that it resembles, which is absent.
    misspelt: Option<(String, &'static str)>,
}

/// How much a field that is none resembles the one that was meant, at least; see [`similar_names`].
const LEAST_ALIKE: f64 = 0.8;

/// All fields.
const FIELDS: [&str; 6] = ["fault", "change", "node", "store_id", "address", "t_inject_ms"];

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
        Ok(Self {
            says_what: DONE.iter().any(|field| fields.contains_key(*field)),
            misspelt: misspelt(&fields),
            fault: read(&fields, "fault")?,
            change: read(&fields, "change")?,
            node: read(&fields, "node")?,
            store_id: read(&fields, "store_id")?,
            address: read(&fields, "address")?,
            t_inject_ms: read(&fields, "t_inject_ms")?,
        })
    }

    /// Checks that it says what was done, if only that nothing was, and that no field is spelt wrong.
    ///
    /// # Errors
    ///
    /// [`TruthError::Misspelt`] or [`TruthError::SaysNothing`].
    pub fn check_fields(&self) -> Result<(), TruthError> {
        if let Some((field, meant)) = &self.misspelt {
            return Err(TruthError::Misspelt { field: field.clone(), meant });
        }
        if self.says_what { Ok(()) } else { Err(TruthError::SaysNothing) }
    }

    /// Checks that it is about a store that is there, given the ids and addresses of those that are; of none, nothing
    /// is known.
    ///
    /// # Errors
    ///
    /// [`TruthError::UnknownStore`] or [`TruthError::OtherAddress`].
    pub fn check_store(&self, stores: &[(u64, String)]) -> Result<(), TruthError> {
        let (Some(id), false) = (self.store_id, stores.is_empty()) else { return Ok(()) };
        let Some((_, known)) = stores.iter().find(|(store, _)| *store == id) else {
            let ids: Vec<String> = stores.iter().map(|(id, _)| id.to_string()).collect();
            return Err(TruthError::UnknownStore { id, known: ids.join(", ") });
        };
        match &self.address {
            Some(address) if host(address) != host(known) => {
                Err(TruthError::OtherAddress { id, known: known.clone(), address: address.clone() })
            }
            _ => Ok(()),
        }
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
            (None, _) => self.node.is_none() || self.node.as_ref() == Some(&target.name),
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
    /// A field is none, and resembles one that is absent.
    #[error("it has a field {field:?}, and no {meant:?}")]
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

/// A field that is none, and the absent one that it resembles.
fn misspelt(fields: &Map<String, Value>) -> Option<(String, &'static str)> {
    let unknown: Vec<&str> =
        fields.keys().map(String::as_str).filter(|name| !FIELDS.contains(name)).collect();
    FIELDS.iter().filter(|field| !fields.contains_key(**field)).find_map(|field| {
        let near = similar_names(field, unknown.iter().copied(), |_| LEAST_ALIKE, 1).pop();
        near.map(|name| (name.to_owned(), *field))
    })
}

/// The value of a field; `None` where it is absent or null.
fn read<T: DeserializeOwned>(
    fields: &Map<String, Value>,
    field: &'static str,
) -> Result<Option<T>, TruthError> {
    let value = fields.get(field).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|source| TruthError::Field { field, source })
}

fn check_mode(field: &'static str, name: Option<&str>, nature: Nature) -> Result<(), TruthError> {
    let known = || MODES.iter().filter(|mode| mode.nature == nature).map(|mode| mode.name);
    let Some(name) = name.filter(|name| known().all(|known| known != *name)) else {
        return Ok(());
    };
    let near = similar_names(name, known(), |_| 0.6, 3);
    let near = match near.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", near.join(", ")),
    };
    Err(TruthError::UnknownMode { field, name: name.to_owned(), near })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_truth_is_told_by_its_field() {
        let told = |text: &str| {
            let checked = Truth::parse(text.as_bytes()).and_then(|truth| truth.check_modes());
            let error = checked.expect_err("it is no truth");
            format!("{:#}", anyhow::Error::new(error))
        };
        assert!(told("[]").starts_with("it is no JSON object"));
        let store = told(r#"{"fault": "store_crash", "store_id": "4"}"#);
        assert!(store.starts_with("field \"store_id\": invalid type: string"), "{store}");
        let mode = told(r#"{"fault": "store_crsh"}"#);
        assert!(mode.contains("\"fault\"") && mode.contains("did you mean store_crash"), "{mode}");
        let misspelt = Truth::parse(br#"{"falt": "store_crash"}"#).expect("it is an object");
        assert!(matches!(misspelt.check_fields(), Err(TruthError::Misspelt { .. })));
        let silent = Truth::parse(b"{}").expect("it is a truth");
        assert!(matches!(silent.check_fields(), Err(TruthError::SaysNothing)));
    }

    #[test]
    fn a_truth_may_leave_fields_out_and_have_others() {
        let truth = Truth::parse(br#"{"fault": null, "note": "a quiet hour"}"#).expect("it is one");
        assert_eq!(truth.name(), "quiet");
        assert_eq!(truth.store_id, None);
    }
}
