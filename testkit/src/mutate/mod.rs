//! Damages captures in many ways and checks how they are read afterwards.
//!
//! The captures are cut out of real ones, small enough that a hundred thousand are read in
//! minutes, in the two forms that files have: with a journal, as a recorder leaves them that was
//! killed, and compacted.

mod alter;
mod block;
pub mod bytes;
mod commands;
mod damage;
mod damaged;
mod judge;
mod originals;
pub mod resealed;

pub use damage::Mutation;
pub use damaged::{Tally, run};
pub use judge::read;
