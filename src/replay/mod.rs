//! What was knowable at instant *t*, and what happened when, out of one recording.
//!
//! Nothing here reads what a chaos run injected; nothing here reads a clock.

mod bodies;
mod canonical;
mod entry;
mod order;
mod pd_rules;
mod pd_series;
mod pd_told;
mod recording;
mod replay_report;
mod series_rules;
mod stored;
mod summary;
mod timeline;

pub use bodies::{PdBody, PdSource};
pub use canonical::canonical_json;
pub use entry::{Entry, EntryKind, Evidence};
pub use order::Evaluation;
pub use pd_series::{PD_METRICS, PdMetric, pd_series};
pub use pd_told::PdTold;
pub use recording::{Recording, window_of_steps};
pub use replay_report::{
    DamageLine, Mismatch, Recorded, ReplayReport, SCHEMA, report, report_of, verify,
};
pub use stored::CaptureStorage;
pub use summary::{Imbalance, StateSummary, StoreLine, TargetLine};
pub use timeline::timeline;
