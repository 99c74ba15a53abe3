//! What somebody answered to questions that addresses, names and behaviour leave open.

use serde::{Deserialize, Serialize};

/// Which cluster of a Prometheus is PD's, and which target is which node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The cluster: the value of a label that tells clusters apart, or `label=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Nodes with their targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<ToldNode>,
}

/// That two names mean one node: one by which PD knows it, and one by which Prometheus does, in either order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldNode {
    /// The first name.
    pub name: String,
    /// The second name.
    pub also: String,
}

impl Told {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These answers, with those of `before` where these are silent.
    #[must_use]
    pub fn or(self, before: Self) -> Self {
        let nodes = if self.nodes.is_empty() { before.nodes } else { self.nodes };
        Self { cluster: self.cluster.or(before.cluster), nodes }
    }
}

impl ToldNode {
    /// Reads `NAME=NAME`; `None` where a name is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, also) = text.split_once('=')?;
        let (name, also) = (name.trim().to_owned(), also.trim().to_owned());
        (!name.is_empty() && !also.is_empty()).then_some(Self { name, also })
    }
}
