//! How large exports are.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use operator::share::{Destination, export};
use testkit::exports::redacted;

use super::{captures_in, file_name};

/// The most bytes of a ten-minute run of the four-store cluster.
const MOST_BYTES: u64 = 450_000;

/// Exports every capture and fails where one is larger than a ten-minute run may be.
pub fn run(folders: &[PathBuf]) -> Result<()> {
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
    ensure!(largest < MOST_BYTES, "the largest export takes {largest} bytes");
    Ok(())
}
