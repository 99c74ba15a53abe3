//! Whether the verdict on a redacted capture is that on the recorded one, but for names: for whole runs and for
//! parts of them.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use operator::model::TimeRange;
use operator::session::Session;
use testkit::exports::export_and_compare;

use super::{captures_in, file_name};

/// Parts of a run, as its first and last percent.
const PARTS: [(i64, i64); 4] = [(0, 100), (0, 60), (20, 80), (40, 100)];

/// Exports every capture whole and in parts, and fails where a verdict differs.
pub fn run(folders: &[PathBuf]) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (mut compared, mut differing) = (0, 0);
    for from in captures_in(folders)? {
        let whole = Session::open(&from)?.window();
        for (start, end) in PARTS {
            let at =
                |percent: i64| whole.start.saturating_add_millis(whole.millis() * percent / 100);
            let range = match (start, end) {
                (0, 100) => TimeRange::ALL,
                _ => TimeRange::new(at(start), at(end)),
            };
            let to = scratch.path().join(format!("{compared}.gz"));
            compared += 1;
            match export_and_compare(&from, &to, range) {
                Ok(_) => println!("{} {start}-{end} %: the same", file_name(&from)),
                Err(why) => {
                    differing += 1;
                    println!("{} {start}-{end} %: {why:#}", file_name(&from));
                }
            }
            std::fs::remove_file(&to).ok();
        }
    }
    println!("{compared} verdicts compared, {differing} differ");
    ensure!(differing == 0, "{differing} verdicts differ");
    Ok(())
}
