//! Whether the verdict on a redacted capture is that on the recorded one, but for names: for whole runs, as of
//! instants within them, for parts of them, and for the same runs in other worlds.

use std::path::{Path, PathBuf};

use anyhow::Result;
use operator::capture::{CaptureReader, CaptureWriter};
use operator::model::TimeRange;
use operator::session::Session;
use testkit::exports::{compare_as_of, export_and_compare};
use testkit::run::Run;
use testkit::worlds::{WORLDS, World};

use super::{captures_in, file_name};

/// Parts of a run, as its first and last percent.
const PARTS: [(i64, i64); 4] = [(0, 100), (0, 60), (20, 80), (40, 100)];
/// Instants of a run, in percent of it.
const INSTANTS: [i64; 3] = [30, 55, 80];

/// Which runs are compared.
pub struct Compared<'a> {
    /// Folders of captures, which are exported whole and in parts, and judged as of instants.
    pub folders: &'a [PathBuf],
    /// The folder of captures that are put into every world.
    pub in_worlds: &'a Path,
    /// Only worlds of these names; every world where it is empty.
    pub only: &'a [String],
}

/// What was compared.
#[derive(Default)]
struct Tally {
    compared: usize,
    differing: usize,
}

/// Exports every capture, and fails where a verdict differs.
pub fn run(compared: &Compared<'_>) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut tally = Tally::default();
    if compared.only.is_empty() {
        for from in captures_in(compared.folders)? {
            tally.parts(&from, scratch.path())?;
        }
        println!("{} verdicts compared, {} differ", tally.compared, tally.differing);
    }
    let is_wanted = |world: &&World| {
        compared.only.is_empty() || compared.only.iter().any(|name| name == world.name)
    };
    let runs = captures_in(&[compared.in_worlds.to_owned()])?;
    for world in WORLDS.iter().filter(is_wanted) {
        for from in &runs {
            tally.world(from, world, scratch.path())?;
        }
    }
    let Tally { compared, differing } = tally;
    println!("{compared} verdicts compared in all, {differing} differ");
    anyhow::ensure!(differing == 0, "{differing} verdicts differ");
    Ok(())
}

impl Tally {
    /// Compares parts of a capture, and the whole as of instants.
    fn parts(&mut self, from: &Path, scratch: &Path) -> Result<()> {
        let whole = Session::open(from)?.window();
        let at = |percent: i64| whole.start.saturating_add_millis(whole.millis() * percent / 100);
        for (start, end) in PARTS {
            let range = match (start, end) {
                (0, 100) => TimeRange::ALL,
                _ => TimeRange::new(at(start), at(end)),
            };
            let to = scratch.join("exported.gz");
            let exported = export_and_compare(from, &to, range);
            if let (Ok(exported), TimeRange::ALL) = (&exported, range) {
                for percent in INSTANTS {
                    let same = compare_as_of(from, exported, at(percent));
                    self.tell(&format!("{} as of {percent} %", file_name(from)), same);
                }
            }
            self.tell(&format!("{} {start}-{end} %", file_name(from)), exported.map(drop));
            std::fs::remove_file(&to).ok();
        }
        Ok(())
    }

    /// Compares a run in a world.
    fn world(&mut self, from: &Path, world: &World, scratch: &Path) -> Result<()> {
        let name = from.file_stem().unwrap_or_default().to_string_lossy();
        if world.told.is_some_and(|(only, _)| only != name) {
            return Ok(());
        }
        let mut run = Run::open(from);
        (world.change)(&mut run);
        let moved = scratch.join("moved.capture");
        let mut writer = CaptureWriter::create(&moved, CaptureReader::open(from)?.meta().clone())?;
        run.append(&mut writer)?;
        writer.finish()?;
        let to = scratch.join("exported.gz");
        let same = export_and_compare(&moved, &to, TimeRange::ALL);
        self.tell(&format!("{name} in {}", world.name), same.map(drop));
        std::fs::remove_file(&moved)?;
        std::fs::remove_file(&to).ok();
        Ok(())
    }

    fn tell(&mut self, what: &str, same: Result<()>) {
        self.compared += 1;
        self.differing += usize::from(same.is_err());
        match same {
            Ok(()) => println!("{what}: the same"),
            Err(why) => println!("{what}: {why:#}"),
        }
    }
}
