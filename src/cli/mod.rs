//! The command line: parses arguments, calls the other modules, prints results and progress, and returns
//! exit codes.
//!
//! It is the only module that prints and that reads the system clock.

mod around;
mod askers;
mod asking;
mod attaching;
mod before;
mod clock;
mod command;
mod commands;
mod config;
mod dispatch;
mod exit;
mod fault_profiles;
mod global;
mod hint;
mod incident_logs;
mod log_search;
mod lookup;
mod observed;
mod profiling;
mod pseudonym_key;
mod recording;
mod source_fix;
mod terminal;

pub use dispatch::main;
pub use exit::Code;
pub(crate) use global::{DEFAULT_DIR, Global, block_on};
