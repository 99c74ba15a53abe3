//! A capture whose every text is hostile: nothing of it reaches a terminal as it is.

use anyhow::Result;

use super::{Row, Scene};
use testkit::hostile_files::{HostileFiles, raw};

/// Runs every command over the capture and looks for raw characters in all that is printed.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let stage = HostileFiles::make();
    let (mut tried, mut bytes, mut found) = (0, 0, Vec::new());
    for arguments in stage.commands() {
        let mut command = stage.operator(&scene.operator);
        let printed = command.args(&arguments).output()?;
        tried += 1;
        bytes += printed.stdout.len() + printed.stderr.len();
        for output in [&printed.stdout, &printed.stderr] {
            let raw = raw(output);
            if !raw.is_empty() {
                found.push(format!("{arguments:?} prints {}", raw.join(" ")));
            }
        }
    }
    let what = if found.is_empty() { "nothing raw".to_owned() } else { found.join("; ") };
    Ok(vec![Row {
        tried: format!("{tried} commands over a hostile capture"),
        seen: format!("{what} in {bytes} bytes"),
        holds: found.is_empty() && bytes > 10_000,
    }])
}
