//! `operator completions`.

use clap::Args;
use clap_complete::Shell;

use crate::cli::terminal::output;

const EXAMPLES: &str = "\
Examples:
  operator completions bash > /etc/bash_completion.d/operator
  operator completions zsh > ~/.zfunc/_operator";

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell that they are for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a completion script.
///
/// # Errors
///
/// Where stdout is closed.
pub fn run(args: &CompletionsArgs, mut program: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "operator", &mut script);
    Ok(output::write(&script)?)
}
