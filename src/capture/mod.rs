//! The capture: one SQLite file per run.
//!
//! The format is specified in `docs/capture-format.md`. All SQL of the program is here.

mod codec;
mod error;
mod reader;
mod writer;

pub use error::CaptureError;
pub use reader::{CaptureReader, Damage, LabelMatcher, MatchOp};
pub use writer::{CaptureWriter, CommitStats, SampleBatch, SeriesIndex, Tick};
