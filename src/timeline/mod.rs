//! What happened when, out of one recording: PD's answers, targets and events in one order.
//!
//! Nothing here reads what a chaos run injected; nothing here reads a clock.

mod cluster_summary;
mod entry;
mod ordering;
mod pd_answers;
mod pd_changes;
mod recording;
mod target_changes;
mod timeline;

pub use cluster_summary::{Imbalance, StateSummary, StoreLine, TargetLine};
pub use entry::{Entry, EntryKind, Evidence};
pub use ordering::Evaluation;
pub(crate) use ordering::{Ordered, map_split, ordered_pd};
pub use pd_answers::PdTold;
pub use recording::{Recording, window_of_steps};
pub use timeline::timeline;
pub(crate) use timeline::timeline_of;
