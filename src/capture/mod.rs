//! The capture: one SQLite file per run.
//!
//! The format is specified in `docs/capture-format.md`. All SQL of the program is here.

mod error;
mod reader;
mod stub_cli;
mod writer;

pub use error::CaptureError;
pub use reader::{CaptureReader, Damage, LabelMatcher, MatchOp};
pub use stub_cli::{Inventory, VerifyReport, add_event, compact, copy, seal_truth, verify};
pub use writer::{CaptureWriter, CommitStats, SampleBatch, SeriesIndex, Tick};
