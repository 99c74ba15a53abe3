//! The global arguments, which every subcommand has, and the runtime that some subcommands need.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use super::terminal::output::{AnyFormat, Color, Format};
use super::terminal::remarks::remark;
use crate::capture::FileMode;
use crate::model::shell_word;

/// Where captures are written, and looked for first.
pub(crate) const DEFAULT_DIR: &str = "captures";

/// What every subcommand understands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Where the captures of runs live. A name is looked for here, then in the current directory, in captures/ and in
    /// data/
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub(crate) dir: PathBuf,
    /// Who may read the captures that are made: an octal number, from which the umask takes more away
    #[arg(long, global = true, value_name = "MODE", env = "OPERATOR_FILE_MODE", hide_env_values = true, default_value = "0600", value_parser = file_mode)]
    pub(crate) file_mode: FileMode,
    /// What results look like: text or json; of `replay` also prompt, of `query` csv or parquet, of `report`
    /// html or markdown
    #[arg(
        long = "format",
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    pub(crate) wide_format: AnyFormat,
    /// The format, for commands that know text and JSON only.
    #[arg(skip)]
    pub(crate) format: Format,
    /// Whether text is coloured; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) color: Color,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say less on stderr: no progress, only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

impl Global {
    /// The flag that names the directory of captures, for commands that are advised, with a space before it; empty
    /// where it was not given.
    pub(crate) fn dir_flag(&self) -> String {
        match self.dir == Path::new(DEFAULT_DIR) {
            true => String::new(),
            false => format!(" --dir {}", shell_word(&self.dir.to_string_lossy())),
        }
    }

    /// Says on stderr what goes on, unless nothing but errors is wanted there.
    pub(crate) fn tell(&self, text: &str) {
        if !self.quiet {
            remark(text);
        }
    }
}

fn file_mode(text: &str) -> Result<FileMode, String> {
    let why = "give an octal number such as 0640, by which the owner reads and writes and nobody executes";
    FileMode::parse(text).ok_or_else(|| why.to_owned())
}

/// Runs a future on this thread alone. An answer of Prometheus's comes in tens of thousands of
/// pieces, and to hand each from thread to thread costs several times what is done with it.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
