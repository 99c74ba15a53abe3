//! From a replayed window to a verdict: what broke, when, where, why, and what only followed.
//!
//! Pure functions: no file, no socket, no clock, so that a live tick and a replayed one take the
//! same path. *Facts* are what happened (`facts`), each told as a [`Finding`]; a [`Mode`] looks at
//! a case and makes [`Claim`]s; `judge` lets the deeper and earlier explain the rest.

mod blind_spots;
mod evidence;
mod failure_modes;
mod findings;
mod hypotheses;
mod notices;
mod observations;
mod thresholds;
mod verdict;

pub use evidence::{Evidence, Parts};
pub use failure_modes::ALL as MODES;
pub use findings::drawing::{Drawn, draw};
pub use findings::finding::{
    Citation, Finding, FindingKind, Magnitude, Plot, PlotHow, Target, TargetKind, counted,
};
pub use hypotheses::judge::{diagnose, metrics};
pub use hypotheses::mode::{Claim, Depth, Mode, Nature, Need, Unchecked};
pub use notices::{Notice, Subject, Turn, notices};
pub use observations::departures::{deviation, median};
pub use observations::pd_history::{PdHistory, PdReading};
pub use observations::tracks::{Point, Track};
pub use thresholds::{HORIZON_MS, THRESHOLDS, Threshold, Thresholds};
pub use verdict::{Alternative, Cause, Consequence, Damaged, Outcome, Reason, SCHEMA, Verdict};
