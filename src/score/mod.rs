//! How diagnosis does on labelled captures, beside baseline methods.

mod baselines;
mod comparison;
mod first_alert;
mod run_score;
mod truth;

pub use baselines::{BASELINES, BaselineMethod, Guess};
pub use comparison::{Detail, MethodScore, RunComparison, rows};
pub use run_score::RunScore;
pub use truth::{KnownNode, Truth, TruthError};
