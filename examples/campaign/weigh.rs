//! Bytes of other formats that hold the same samples.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

/// Bytes of all files under a folder.
pub fn bytes_under(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        total += if path.is_dir() { bytes_under(&path)? } else { std::fs::metadata(&path)?.len() };
    }
    Ok(total)
}

/// Bytes of the folder under `tar | xz -9`.
pub fn xz_bytes(folder: &Path) -> Result<u64> {
    let output = Command::new("sh")
        .arg("-c")
        .arg("tar c -C \"$0\" . | xz -9 | wc -c")
        .arg(folder)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}
