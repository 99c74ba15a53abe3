//! From a replayed window to a verdict: what broke, when, where, why, and what only followed.
//!
//! Pure functions: no file, no socket, no clock, so that a live tick and a replayed one take the
//! same path. *Facts* are what happened (`facts`), each told as a [`Finding`]; a [`Mode`] looks at
//! a case and makes [`Claim`]s; `judge` lets the deeper and earlier explain the rest.

mod baseline;
mod blind;
mod case;
mod evidence;
mod explain;
mod facts;
mod finding;
mod flows;
mod judge;
mod limits;
mod lines;
mod mode;
mod modes;
mod notice;
mod pd_history;
mod pd_tracks;
mod rivals;
mod series;
mod stops;
mod tell;
mod verdict;

pub use evidence::{Evidence, HORIZON_MS, Parts, StoreRef};
pub use explain::{Drawn, draw};
pub use finding::{
    Citation, Finding, FindingKind, Magnitude, Plot, PlotHow, Target, TargetKind, counted,
};
pub use judge::{diagnose, metrics};
pub use lines::{LINES, Line, Lines};
pub use mode::{Claim, Depth, Mode, Nature, Need, Unchecked};
pub use modes::ALL as MODES;
pub use notice::{Notice, Subject, Turn, notices};
pub use pd_history::{PdHistory, PdReading};
pub use rivals::{Guess, RIVALS, Rival};
pub use series::{Point, Track};
pub use verdict::{Alternative, Cause, Consequence, Damaged, Outcome, Reason, SCHEMA, Verdict};
