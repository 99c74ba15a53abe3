//! Hostile files, servers and moments: what was tried, what was seen, and whether it holds.
//!
//! A module a subject; each makes its own input. `rows` of a module never stops at the first thing
//! that falls short: it says so in its row.

mod closed_output;
mod damage;
mod escapes;
mod files;
mod frozen;
mod many_rows;
mod opened;
mod pd;
mod pd_cluster;
mod pd_old_block;
mod retention;
mod secrets;
mod starting;
mod unobserved;
mod windows;

use std::path::PathBuf;

use anyhow::{Result, ensure};

/// What the modules try things with.
pub struct Scene {
    /// The built program.
    pub operator: PathBuf,
    /// The folder of the bundled captures.
    pub data: PathBuf,
    /// A folder for whatever is made; it goes with the campaign.
    pub scratch: tempfile::TempDir,
    /// Decides everything that is drawn.
    pub seed: u64,
}

/// One thing that was tried.
#[derive(Debug)]
pub struct Row {
    /// What was done.
    pub tried: String,
    /// What came of it, in figures.
    pub seen: String,
    /// Whether that is what has to come of it.
    pub holds: bool,
}

/// A subject of the campaign.
struct Subject {
    name: &'static str,
    rows: fn(&Scene) -> Result<Vec<Row>>,
}

/// All subjects, in the order in which they are printed.
const SUBJECTS: &[Subject] = &[
    Subject { name: "frozen", rows: frozen::rows },
    Subject { name: "damage", rows: damage::rows },
    Subject { name: "windows", rows: windows::rows },
    Subject { name: "many_rows", rows: many_rows::rows },
    Subject { name: "unobserved", rows: unobserved::rows },
    Subject { name: "starting", rows: starting::rows },
    Subject { name: "closed_output", rows: closed_output::rows },
    Subject { name: "secrets", rows: secrets::rows },
    Subject { name: "escapes", rows: escapes::rows },
    Subject { name: "opened", rows: opened::rows },
    Subject { name: "pd_stores", rows: pd::rows },
    Subject { name: "pd_day", rows: pd::day },
    Subject { name: "files", rows: files::rows },
    Subject { name: "retention", rows: retention::rows },
];

/// Tries everything, or the subjects with `only` in their names, and prints a row for each.
pub fn run(scene: &Scene, only: &str) -> Result<()> {
    let (mut tried, mut fallen) = (0, 0);
    for subject in SUBJECTS.iter().filter(|subject| subject.name.contains(only)) {
        let rows = (subject.rows)(scene).unwrap_or_else(|error| {
            vec![Row { tried: "all of it".to_owned(), seen: format!("{error:#}"), holds: false }]
        });
        for Row { tried: what, seen, holds } in rows {
            tried += 1;
            fallen += usize::from(!holds);
            let outcome = if holds { "holds" } else { "FALLS SHORT" };
            println!("{:<12} {outcome:<11} {what}: {seen}", subject.name);
        }
    }
    println!("{tried} tried, {fallen} fall short");
    ensure!(tried > 0, "no subject is called {only}");
    ensure!(fallen == 0, "{fallen} fall short");
    Ok(())
}
