//! Output to the terminal: results on stdout, progress and remarks on stderr.

pub(super) mod judgements;
pub(super) mod output;
pub(super) mod progress;
pub(super) mod remarks;
mod width;
