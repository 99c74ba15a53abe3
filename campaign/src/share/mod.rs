//! Exports: what is left of secrets in them, whether their bytes and verdicts stay the same, how large they are,
//! and what files of strangers do.

pub mod export_size;
pub mod hostile_export;
pub mod leaks;
mod planted;
mod renamed;
pub mod same_bytes;
pub mod same_verdict;
mod search;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The captures in folders, ascending by path.
fn captures_in(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("cannot list {}", folder.display()))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "capture")));
    }
    found.sort();
    ensure!(!found.is_empty(), "the folders hold no captures");
    Ok(found)
}

/// The name of a file without its folder.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
