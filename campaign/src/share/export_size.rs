//! How large exports are.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use operator::share::{Destination, export};
use testkit::exports::redacted;

use super::{captures_in, file_name};

/// Exports every capture and fails where an export is larger than it may be.
pub fn run(folders: &[PathBuf], at_most: u64) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut largest = 0;
    for from in captures_in(folders)? {
        let name = file_name(&from);
        let to = scratch.path().join(format!("{name}.gz"));
        let exported = export(&from, Destination::File(&to), &redacted())?;
        let recorded = std::fs::metadata(&from)?.len();
        println!("{name}: {} bytes exported, {recorded} recorded", exported.bytes);
        largest = largest.max(exported.bytes);
    }
    println!("largest: {largest} bytes");
    ensure!(
        largest <= at_most,
        "the largest export takes {largest} bytes, at most {at_most} are allowed"
    );
    Ok(())
}
