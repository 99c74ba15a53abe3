//! How far Prometheus's clock, which dates samples, stands from the recorder's, which dates PD's answers.
//!
//! It was measured where somebody asked both at once during the run. Otherwise it can be inferred from what both
//! observe: PD's timestamps and heartbeats, and restarts.

mod offsets;
mod restarts;
mod timestamps;

pub use offsets::Clocks;
