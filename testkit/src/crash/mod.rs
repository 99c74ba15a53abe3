//! Kills a recording again and again, and checks after each kill that nothing committed is gone.
//!
//! The recorder is the real program in a process of its own; what it said on stdout before it
//! died is what must be in the file. The source's content is a pure function of time, so every
//! sample can be checked, and so can the lack of any.

mod campaign;
mod check;
mod session;

pub use campaign::{Campaign, Tally, run};
