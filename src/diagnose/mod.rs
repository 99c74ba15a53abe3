//! Diagnosis: from a window of a run to a verdict that names what broke, where, when and why, and
//! what only followed from it.
//!
//! Pure functions without a file, a socket or a clock, so that a live tick and a replayed one take the
//! same path. Loading a capture and printing a verdict are left to other modules. `observations` finds
//! what happened, `findings` describes each observation as a [`Finding`] with its readings, each
//! [`Mode`] of `failure_modes` makes [`Claim`]s about the observed window, and `hypotheses` lets the
//! deeper and earlier claim explain the others.

mod alerts;
mod blind_spots;
mod clients;
mod clocks;
mod evidence;
mod failure_modes;
mod findings;
mod hypotheses;
mod notices;
mod observations;
pub mod survey;
mod thresholds;
mod verdict;

pub use alerts::{FiredAlert, unexplained_alerts};
pub use clients::{Clients, Impact, Least, Part, ServedRates, Slowest, Stretch, TypeRates};
pub use evidence::{Evidence, Parts};
pub use failure_modes::ALL as MODES;
pub use findings::drawing::{Drawn, draw};
pub use findings::finding::{
    Citation, Finding, FindingKind, Magnitude, Plot, PlotHow, Target, TargetKind, counted, number,
    seconds,
};
pub use findings::names::{finding_names, findings_called};
pub use hypotheses::judge::{
    diagnose, diagnose_surveyed, is_looked_at, is_named, metrics, named, reads,
};
pub use hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need, Unchecked};
pub use hypotheses::why_not::{ClaimFate, NeededSource, ReadMetric, UnseenStore, WhyNot, why_not};
pub use notices::{Notice, Subject, Turn, notices};
pub use observations::departures::{deviation, median};
pub use observations::pd_history::PdHistory;
pub use observations::pd_reading::PdReading;
pub use observations::tracks::{Point, Track};
pub use observations::{
    LATENCIES, Nearest, STATEMENT_LATENCIES, STATEMENTS, is_latency, requested_types,
};
pub use thresholds::{HORIZON_MS, THRESHOLDS, Threshold, Thresholds};
pub use verdict::{Alternative, Cause, Consequence, Damaged, Outcome, Reason, SCHEMA, Verdict};
