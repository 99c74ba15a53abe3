//! How diagnosis does on labelled captures, beside baseline methods.

mod baselines;
mod comparison;
mod first_alert;
mod run_score;
mod truth;

pub use baselines::{Guess, RIVALS, Rival};
pub use comparison::{Contest, Standing, rows};
pub use run_score::RunScore;
pub use truth::Truth;
