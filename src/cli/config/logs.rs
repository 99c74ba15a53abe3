//! `--log NODE=PATH`: which files are which node's log; `--logs`: nodes are asked for them; `--kubectl FILE`: what
//! Kubernetes said.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::zone::GivenZone;
use crate::cli::exit::CliError;
use crate::model::escape_path;

/// Arguments of whatever reads logs: `attach` and `record`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogArgs {
    /// The log of a node: a file, plain or gzipped, or a folder of them. NODE is `store 4`, a member's
    /// name, an address, a host or a pod. Repeatable
    #[arg(long = "log", value_name = "NODE=PATH")]
    pub logs: Vec<OsString>,
    /// Ask every member and store that PD lists for its log, at the address that PD lists, of at most an hour
    #[arg(long = "logs")]
    pub search: bool,
    /// What `kubectl get pods,events -o json` printed: how containers ended, evictions, failing probes. Repeatable
    #[arg(long, value_name = "FILE")]
    pub kubectl: Vec<PathBuf>,
    /// The zone of times that have none, as an offset such as +08:00, or `local`, this machine's: in lines of logs,
    /// and in the --from and --to of `record`
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    pub tz: Option<GivenZone>,
}

impl LogArgs {
    /// Whether there is anything to read.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.kubectl.is_empty() && !self.search
    }

    /// The files of each node, ascending by node and path.
    ///
    /// # Errors
    ///
    /// [`CliError::Usage`] where an argument is no `NODE=PATH`, or a folder that cannot be listed.
    pub fn files(&self) -> anyhow::Result<BTreeMap<String, Vec<PathBuf>>> {
        let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for log in &self.logs {
            let (node, path) = split(log)?;
            files.entry(node).or_default().extend(listed(&path)?);
        }
        for paths in files.values_mut() {
            paths.sort();
            paths.dedup();
        }
        Ok(files)
    }
}

fn split(log: &OsStr) -> Result<(String, PathBuf), CliError> {
    let unreadable = || {
        let shown = escape_path(Path::new(log));
        CliError::Usage(format!("cannot read {shown} as a log: use NODE=PATH"))
    };
    let bytes = log.as_encoded_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').ok_or_else(unreadable)?;
    let node = std::str::from_utf8(&bytes[..at]).map_err(|_| unreadable())?;
    // A part of an OS string before or after an ASCII character is one, too.
    let path = log.to_str().map(|text| PathBuf::from(&text[at + 1..])).ok_or_else(unreadable)?;
    match node.is_empty() || path.as_os_str().is_empty() {
        true => Err(unreadable()),
        false => Ok((node.to_owned(), path)),
    }
}

/// A file, or the files of a folder.
fn listed(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let cannot = || format!("cannot list {}", escape_path(path));
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(cannot)? {
        let file = entry.with_context(cannot)?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_have_an_equals_sign_and_a_node_not() {
        let (node, path) = split(OsStr::new("store 4=/a=b/tikv.log")).expect("it is a log");
        assert_eq!((&*node, path), ("store 4", PathBuf::from("/a=b/tikv.log")));
        for text in ["tikv.log", "=tikv.log", "tikv-1="] {
            assert!(split(OsStr::new(text)).is_err(), "{text}");
        }
    }
}
