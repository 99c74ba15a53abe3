//! What people see: results on stdout, progress and remarks on stderr.

pub(crate) mod output;
pub(crate) mod progress;
pub(super) mod remarks;
