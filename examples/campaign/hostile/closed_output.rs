//! Outputs that nobody reads or that have no room: nothing panics.

use std::io::pipe;
use std::process::Stdio;

use anyhow::Result;

use super::stage::Stage;
use super::{Row, Scene};

/// Runs every command with each output full and gone.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let stage = Stage::new();
    let mut rows = Vec::new();
    for end in ["full", "without a reader"] {
        for output in ["stdout", "stderr", "both"] {
            let (mut tried, mut panicked) = (0, 0);
            for arguments in stage.commands() {
                let open = |name: &str| -> Result<Stdio> {
                    Ok(match (output == name || output == "both", end) {
                        (false, _) => Stdio::null(),
                        (true, "full") => {
                            std::fs::File::options().write(true).open("/dev/full")?.into()
                        }
                        (true, _) => pipe()?.1.into(),
                    })
                };
                let mut command = stage.operator(&scene.operator);
                let command = command.args(&arguments).arg("-vv");
                let status = command.stdout(open("stdout")?).stderr(open("stderr")?).status()?;
                tried += 1;
                panicked += usize::from(!status.code().is_some_and(|code| code < 101));
            }
            rows.push(Row {
                tried: format!("{output} {end}"),
                seen: format!("{panicked} of {tried} commands panic"),
                holds: tried > 0 && panicked == 0,
            });
        }
    }
    Ok(rows)
}
