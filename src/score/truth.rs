//! What was done to a cluster, sealed inside a capture.
//!
//! The one place that opens a truth. Diagnosis is finished before that, and is given a recording
//! that has none.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::baselines::Guess;
use super::comparison::MethodScore;
use crate::capture::unseal_truth;
use crate::diagnose::{Cause, Target};
use crate::model::{Timestamp, escape_path};

/// What was done to a cluster, as `operator seal` took it.
#[derive(Debug, Deserialize)]
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
}

impl Truth {
    /// Opens the truth that is sealed inside a capture; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Where the capture or the truth cannot be read.
    pub fn unseal(path: &Path) -> anyhow::Result<Option<Self>> {
        let Some(bytes) = unseal_truth(path)? else { return Ok(None) };
        let cannot = || format!("the truth in {} is unreadable", escape_path(path));
        Ok(Some(serde_json::from_slice(&bytes).with_context(cannot)?))
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
        let host = |address: &str| address.split(':').next().unwrap_or(address).to_owned();
        match (&self.address, &target.address) {
            (Some(a), Some(b)) => host(a) == host(b),
            (None, _) => self.node.is_none() || self.node.as_ref() == Some(&target.name),
            (Some(a), None) => target.concerns.iter().any(|one| one.contains(host(a).as_str())),
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
