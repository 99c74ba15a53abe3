//! `operator man`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::model::escape_path;

const EXAMPLES: &str = "\
Examples:
  operator man /usr/local/share/man/man1";

/// Arguments of `man`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ManArgs {
    /// The directory that they are written to; it must exist
    directory: PathBuf,
}

/// Writes a manual page of the program, `operator.1`, and one of each command, such as
/// `operator-replay.1`. Files of these names are overwritten.
///
/// # Errors
///
/// Where the directory does not exist or cannot be written.
pub fn run(args: &ManArgs, program: clap::Command) -> anyhow::Result<()> {
    clap_mangen::generate_to(program, &args.directory)
        .with_context(|| format!("cannot write manual pages into {}", escape_path(&args.directory)))
}
