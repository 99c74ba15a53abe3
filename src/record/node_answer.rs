//! What nodes say that somebody asks while a recording runs.

use super::log_attach::AskedLog;
use crate::model::ProfileEvent;

/// An answer that becomes part of the recording.
#[derive(Debug)]
pub enum NodeAnswer {
    /// Of a node that was asked for its log.
    Log(AskedLog),
    /// A profile of a node.
    Profile(ProfileEvent),
}
