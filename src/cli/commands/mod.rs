//! The subcommands, a file each.

pub(super) mod attach;
pub(super) mod completions;
pub(super) mod copy;
pub(super) mod diff;
pub(super) mod doctor;
pub(super) mod explain;
pub(super) mod export;
pub(super) mod health;
pub(super) mod import;
pub(super) mod man;
pub(super) mod mark;
pub(super) mod query;
pub(super) mod record;
pub(super) mod redact;
pub(super) mod replay;
pub(super) mod report;
pub(super) mod rules;
pub(super) mod rules_test;
pub(super) mod runs;
pub(super) mod score;
pub(super) mod seal;
pub(super) mod show;
pub(super) mod verify;
pub(super) mod watch;
