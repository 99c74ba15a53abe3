//! The capture: one SQLite file per run.
//!
//! The format is specified in `docs/capture-format.md`. All SQL of the program is in this module.
//! It does not know what metrics and PD answers mean, and evaluates nothing.

mod block_rows;
mod codec;
mod copy_range;
mod damage;
mod database_header;
mod digest;
mod error;
mod file;
mod fingerprint_map;
mod inventory;
mod journal;
mod lock;
mod maintain;
mod memory_budget;
mod metric_index;
mod new_file;
mod parallel;
mod pd_answers;
mod reader;
mod scan_samples;
mod schema;
mod sealing;
mod select_and_scan;
mod select_series;
mod series_index;
mod series_segment;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use copy_range::{Rewrite, copy_range, rewrite_range, rewrite_truths, visit_truths};
pub use damage::{Damage, damaged_rows};
pub use error::CaptureError;
pub use file::{
    CAPTURE_END, CAPTURE_TAG, FORMAT, UnpackedCapture, bytes_on_disk, is_in_page, is_packed,
    is_unsealed,
};
pub use inventory::Inventory;
pub use lock::LockFile;
pub use maintain::{
    add_event, compact, compact_as, copy, copy_as, remove, remove_truths, seal_truth, unseal_truth,
};
pub use new_file::{FileMode, UnfinishedFile};
pub use pd_answers::{PdOrder, PdVisit};
pub use reader::{CaptureReader, EVERY_ANSWER};
pub use scan_samples::SampleRun;
pub use select_and_scan::{Reads, Selection};
pub use series_index::{SampleBatch, SeriesIndex};
pub use verify::{VerifyReport, verify};
pub use writer::{CaptureWriter, CommitStats, Tick};
