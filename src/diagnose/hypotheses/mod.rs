//! From findings to a verdict: which failure modes claim them, and which claim explains the others.
//!
//! The modes themselves stand in `failure_modes`; nothing here knows one by its name.

mod alternatives;
mod client_impact;
pub(super) mod host_signs;
pub(super) mod judge;
pub(super) mod load_falls;
mod log_lines;
pub(super) mod mode;
pub(super) mod observed;
pub(super) mod planned_stops;
mod ranking;
mod readings;
pub(super) mod slow_nodes;
mod summary;
pub(super) mod why_not;
