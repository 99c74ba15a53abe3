//! What the tests of `operator` and its campaigns share: servers that stand in for a cluster, runs that
//! are loaded and changed, and the checks that a test does for seconds and a campaign for hours.
//!
//! Tests themselves lie in `tests/it`, and what only a campaign does in `campaign`.

pub mod api;
pub mod bounded;
pub mod bounds;
pub mod clock;
pub mod crash;
pub mod determinism;
pub mod differential;
pub mod echo;
pub mod fuzz;
pub mod gate;
pub mod listening;
pub mod mutate;
pub mod overwrite;
pub mod peer;
pub mod power;
pub mod retained;
pub mod run;
pub mod server;
pub mod stage;
pub mod stand;
