//! How diagnosis does on labelled captures, beside baseline methods.

mod baselines;
mod comparison;
pub(crate) mod first_alert;

pub use baselines::{Guess, RIVALS, Rival};
pub use comparison::{Contest, Standing, rows};
