//! Hints about what the user can do about an error.

use std::path::Path;

use super::exit::{Cause, CliError};
use super::lookup::PAGE_SUFFIX;
use super::source_fix::source_fix;
use super::{DEFAULT_DIR, lookup};
use crate::capture::{CaptureError, CaptureReader};
use crate::model::escape_path;
use crate::record::RecordError;
use crate::share::ShareError;
use crate::source::SourceError;

/// A hint about what the user can do; `None` where there is none.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(hint_of)
}

/// Where runs are that nobody has to record; nothing where there are runs at hand.
fn bundled() -> &'static str {
    match lookup::all(Path::new(DEFAULT_DIR)).is_empty() {
        true => "; the bundled runs lie in data/ of the repository: --dir PATH/TO/data",
        false => "",
    }
}

/// Whether the folder in which a file is to be does not exist.
fn has_no_folder(path: &Path) -> bool {
    path.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.exists())
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "html")
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

fn hint_of(cause: Cause<'_>) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<CliError>() {
        return hint_of_cli(error);
    }
    if let Some(RecordError::Capture(error)) = cause.downcast_ref::<RecordError>() {
        return hint_of_recorded(error).map(str::to_owned);
    }
    if let Some(error) = cause.downcast_ref::<ShareError>() {
        return hint_of_share(error);
    }
    if let Some(error) = cause.downcast_ref::<CaptureError>() {
        return hint_of_capture(error);
    }
    source_fix(cause.downcast_ref::<SourceError>()?).map(str::to_owned)
}

fn hint_of_cli(error: &CliError) -> Option<String> {
    match error {
        CliError::NothingRecorded { .. } | CliError::CommandNotRun(_) => Some(
            "`operator doctor` with the same --pd and --prometheus says what answers".to_owned(),
        ),
        CliError::NothingSelected { .. } => Some(
            "`operator doctor` with the same --prometheus says which jobs there are; --match selects others"
                .to_owned(),
        ),
        CliError::Directory(path) => {
            Some(format!("`operator runs --dir {path}` lists the runs in it"))
        }
        CliError::FileNotFound { run, .. } => run
            .as_ref()
            .map(|run| format!("there is a run of that name: say `{run}` where you mean it")),
        CliError::RunNotFound { name, .. } if name == "latest" => Some(format!(
            "nothing is recorded there yet: `operator record` makes a run, --dir DIR names another folder{}",
            bundled()
        )),
        CliError::RunNotFound { name, .. } if has_page(name) => Some(format!(
            "there is a page of that name: say `{name}{PAGE_SUFFIX}` where you mean it"
        )),
        CliError::RunNotFound { nearest, .. } if nearest.is_empty() => Some(format!(
            "`operator runs` lists the runs of a directory; --dir DIR names another one{}",
            bundled()
        )),
        CliError::RunNotFound { nearest, .. } => {
            Some(format!("did you mean {}?", nearest.join(" or ")))
        }
        _ => None,
    }
}

/// What to do about a capture that is being recorded and cannot be written.
fn hint_of_recorded(error: &CaptureError) -> Option<&'static str> {
    match error {
        CaptureError::Full { .. } => {
            Some("free some space and start the same --run again: it goes on where it stopped")
        }
        CaptureError::Refused { .. } => Some(
            "see the disk's health and `ulimit -f`; the same --run again goes on where it stopped",
        ),
        _ => None,
    }
}

fn hint_of_share(error: &ShareError) -> Option<String> {
    let text = match error {
        ShareError::TooLarge { .. } => "export less with --from, --to, --around or --match",
        ShareError::Leaked(_) => {
            "nothing was written; -v names what was found, for your eyes alone. Where it stands in events, --no-events leaves notes, marks, output of commands and lines of logs out"
        }
        ShareError::DamagedParts { .. } => {
            "`operator verify` names what is damaged; --damaged exports the rest, which says what is lost"
        }
        ShareError::Capture(error) => return hint_of_capture(error),
        _ => return None,
    };
    Some(text.to_owned())
}

fn hint_of_capture(error: &CaptureError) -> Option<String> {
    let text = match error {
        CaptureError::Newer { reads_since: Some(version), .. } => {
            return Some(format!("operator {version} and later read it"));
        }
        CaptureError::Newer { .. } => "a later version of operator reads it",
        CaptureError::NotACapture { path, .. } if is_yaml(path) => {
            let path = escape_path(path);
            return Some(format!(
                "a rule file is given with --rules: `operator rules check --rules {path}`"
            ));
        }
        CaptureError::NotACapture { path, why }
            if is_page(path) && why.ends_with("holds no capture") =>
        {
            "a page of `operator report` holds none; `operator export --html` makes one that does"
        }
        CaptureError::NotACapture { why, .. } if why.contains("gzip") => {
            "it was cut short or altered: fetch it again, and compare its SHA-256 with the one that its exporter was shown"
        }
        CaptureError::Exists { path } if path.is_dir() => {
            "it is a directory: name a new file in it"
        }
        CaptureError::Io { path, .. } if has_no_folder(path) => {
            return Some(format!("there is no folder {}", escape_path(path.parent()?)));
        }
        CaptureError::Damaged { path, .. } if CaptureReader::open(path).is_err() => {
            "without this part nothing of it can be read: fetch the file again, or another copy"
        }
        CaptureError::Damaged { .. } => {
            "`operator verify` names what is damaged; `show` and `replay` read the rest"
        }
        CaptureError::Locked { .. } => {
            "record under another name with --run, or stop the other recorder"
        }
        CaptureError::Exists { .. } => "name another file, or remove this one first",
        CaptureError::NotAFile { .. } => {
            "remove it, if nothing else needs it, or work in another directory"
        }
        CaptureError::Packed { .. } => "`operator import` makes a capture of it",
        CaptureError::Full { .. } => "free some space there, or name a place on another disk",
        CaptureError::Refused { .. } => "see the disk's health and `ulimit -f`",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Whether a page lies in the current directory that is called as a run was asked for.
fn has_page(name: &str) -> bool {
    Path::new(&format!("{name}{PAGE_SUFFIX}")).is_file()
}
