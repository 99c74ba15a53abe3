//! Values only: time, series, samples, gaps, PD answers and topology, events, run metadata.
//!
//! Nothing here opens a file, a socket or a clock, and nothing here uses another module.

mod event;
mod gap;
mod pd;
mod run;
mod series;
mod time;

pub use event::{Event, EventKind};
pub use gap::{Gap, GapReason, Source};
pub use pd::{PdAnswer, PdOutcome};
pub use run::{ClockOffset, Endpoints, RunMeta, RunName, RunNameError, Versions};
pub use series::{
    EncodedLabels, Fingerprint, Labels, LabelsError, STALE_NAN_BITS, Sample, Series, TargetKey,
    is_stale, stale_marker,
};
pub use time::{TimeParseError, TimeRange, Timestamp, parse_duration_ms};
