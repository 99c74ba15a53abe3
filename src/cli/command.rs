//! Checks commands before a recording that is to run them begins.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::exit::CliError;

/// Checks that a program can be started: a path to one, or the name of one in PATH.
///
/// # Errors
///
/// [`CliError::Usage`] where there is none.
pub fn check_program(program: &OsStr) -> Result<(), CliError> {
    let path = Path::new(program);
    let is_path = path.components().count() > 1 || path.is_absolute();
    let places = std::env::var_os("PATH").unwrap_or_default();
    let is_there = match is_path {
        true => is_executable(path),
        false => std::env::split_paths(&places).any(|place| is_executable(&place.join(path))),
    };
    if is_there {
        return Ok(());
    }
    let why = match is_path && path.exists() {
        true => "it is no executable file",
        false => "there is no such program",
    };
    Err(CliError::Usage(format!("cannot run {:?}: {why}", path.display().to_string())))
}

/// Checks what can be seen of a command of the shell: that it is not empty, and that a path in its first word, where
/// nothing in it is special to the shell, is that of a program.
///
/// # Errors
///
/// [`CliError::Usage`] where it cannot run.
pub fn check_shell(command: &str) -> Result<(), CliError> {
    let Some(first) = command.split_whitespace().next() else {
        return Err(CliError::Usage("the command of --exec is empty".to_owned()));
    };
    let is_plain = first.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c));
    if is_plain && first.contains('/') { check_program(OsStr::new(first)) } else { Ok(()) }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
