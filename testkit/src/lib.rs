//! What the tests of `operator` and its campaigns share: servers that stand in for a cluster, runs that
//! are loaded and changed, and the checks that a test does for seconds and a campaign for hours.
//!
//! Tests themselves lie in `tests/it`, and what only a campaign does in `campaign`.

pub mod capture_server;
pub mod clock;
pub mod crash;
pub mod determinism;
pub mod differential;
pub mod echoing_server;
pub mod exports;
pub mod fuzz;
pub mod gate;
pub mod hostile_files;
pub mod incidents;
pub mod limits;
pub mod log_server;
pub mod mutate;
pub mod overwrite;
pub mod power_loss;
pub mod process;
pub mod prometheus;
pub mod retention;
pub mod run;
pub mod scraped_cluster;
pub mod synthetic;
pub mod worlds;
