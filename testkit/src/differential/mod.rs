//! Differential tests of PromQL: random expressions are evaluated by a real Prometheus, which holds a block of
//! a real run and synthetic series beside it, and by `operator` over the same samples.
//!
//! Everything that is drawn depends on the seed alone, and on which functions the server knows.

mod contradictions;
mod explain;
mod generate;
pub mod nasty;
mod tally;
mod undecided;
mod words;
mod world;

pub use explain::{Cause, Difference};
pub use tally::{Tally, run};
pub use words::When;
pub use world::{Compared, World};
