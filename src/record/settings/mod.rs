//! Reads the settings of the stores that PD lists: at the start, every hour, and after a restart of a store; and what
//! their machines are, at the start and after a restart.
//!
//! Which settings are kept, and how they stand in a capture, is in `model`.

mod asking;
mod body;
mod listed;
mod machine;
mod recorded;
mod schedule;

pub use asking::{SettingsReading, read_once, start};
pub use listed::ListedStore;
pub use recorded::RecordedSettings;
