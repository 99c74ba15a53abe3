//! Flight recorder and replay analyzer for TiKV clusters.
//!
//! A *capture* is one SQLite file that holds one *run*: raw samples copied out of Prometheus,
//! answers of every PD member, events, and *gaps*, which say what was not observed. The recorder
//! writes captures; replay walks them against a virtual clock. Modules stand in reading order.

// These macros panic where nobody reads: `cli` has functions that do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod model;

pub mod pd;

pub mod nodes;

pub mod capture;

pub mod source;

pub mod record;

pub mod promql;

pub mod rules;

pub mod timeline;

pub mod diagnose;

pub mod session;

pub mod report;

pub mod score;

pub mod watch;

pub mod cli;
