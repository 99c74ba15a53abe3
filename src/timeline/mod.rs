//! What happened when, out of one recording: PD's answers, targets and events in one order.
//!
//! Nothing here reads what a chaos run injected; nothing here reads a clock.

mod build;
mod cluster_summary;
mod entry;
mod log_entries;
mod ordering;
mod pd_changes;
mod pd_summary;
mod recording;
mod setting_entries;
mod target_changes;
#[cfg(test)]
mod tests;

pub use build::timeline;
pub(crate) use build::timeline_of;
pub use cluster_summary::{Imbalance, StateSummary, StoreLine, TargetLine};
pub use entry::{Entry, EntryKind, Evidence};
pub use ordering::Evaluation;
pub(crate) use ordering::{Ordered, map_split, ordered_pd};
pub use pd_summary::PdSummary;
pub use recording::Recording;
