//! What somebody put on the timeline of a run.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What an event is about. Any lowercase word is allowed; these have a meaning to `operator`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventKind(pub String);

impl EventKind {
    /// A remark of a person.
    pub const NOTE: &'static str = "note";
    /// A command around which was recorded: it began, printed a line, or ended.
    pub const COMMAND: &'static str = "command";
    /// The recorder began, resumed or ended.
    pub const RECORDER: &'static str = "recorder";
    /// Something that somebody wants to keep: what holds it is never removed for its age.
    pub const INCIDENT: &'static str = "incident";
    /// A line of a component's log, as [`LogEvent`](super::LogEvent) reads it. Nobody marks one by hand.
    pub const LOG: &'static str = "log";
    /// What a process holds or does by its stacks, as [`ProfileEvent`](super::ProfileEvent) reads it. Nobody marks one by
    /// hand.
    pub const PROFILE: &'static str = "profile";
    /// What was read of a store's settings, as [`SettingsEvent`](super::SettingsEvent) reads it. Nobody marks one by
    /// hand.
    pub const SETTINGS: &'static str = "settings";
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A mark on the timeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// What it is about.
    pub kind: EventKind,
    /// What happened, for a person.
    pub text: String,
    /// Further fields, such as `node=tikv3`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}
