//! A bundled run in memory, and ways to change it.
//!
//! What a mode looks like is derived from real samples: a node's counters are slowed, stopped or
//! raised over a stretch, a member's answers are taken away, a field of PD's documents is changed.
//! Everything else stays as it was recorded, noise included.

mod answers;
mod faults;
mod joined;
mod loaded;
mod samples;
mod time;
mod whole;
mod written;

pub use joined::Joined;
pub use loaded::{Run, bundled, session};
