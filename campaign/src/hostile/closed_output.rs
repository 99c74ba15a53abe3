//! Outputs that nobody reads or that have no room: nothing panics, and recorders seal.

use std::fs::File;
use std::io::pipe;
use std::process::Stdio;

use anyhow::Result;

use super::{Row, Scene};
use testkit::echoing_server::{EchoingServer, Manner};
use testkit::hostile_files::HostileFiles;

/// What stands at the other end of an output.
#[derive(Clone, Copy)]
enum End {
    Full,
    Gone,
}

impl End {
    const ALL: [(Self, &str); 2] = [(Self::Full, "full"), (Self::Gone, "without a reader")];

    fn open(self) -> Result<Stdio> {
        Ok(match self {
            Self::Full => File::options().write(true).open("/dev/full")?.into(),
            Self::Gone => pipe()?.1.into(),
        })
    }
}

/// Runs every command with each output full and gone, and records so.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let mut rows = commands(scene)?;
    for subcommand in ["record", "watch"] {
        for (end, name) in End::ALL {
            rows.push(recorder(scene, subcommand, (end, name))?);
        }
    }
    Ok(rows)
}

/// Records for a few seconds with both outputs at such an end.
fn recorder(scene: &Scene, subcommand: &str, (end, name): (End, &str)) -> Result<Row> {
    let source = EchoingServer::start(Manner::Serves);
    let dir = tempfile::tempdir_in(scene.scratch.path())?;
    let stage = HostileFiles::make();
    let mut command = stage.operator(&scene.operator);
    command
        .args([subcommand, "-vv", "--for", "5s", "--interval", "200ms", "--dir"])
        .arg(dir.path());
    let command = command.args(["--prometheus", &source.url]);
    let status = command.stdout(end.open()?).stderr(end.open()?).status()?;
    let left: Vec<_> =
        std::fs::read_dir(dir.path())?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_sound = match &left[..] {
        [capture] => operator::capture::verify(capture)?.damage.is_empty(),
        _ => false,
    };
    Ok(Row {
        tried: format!("{subcommand}, both outputs {name}"),
        seen: format!("{status}, {} files left, sealed and sound: {is_sound}", left.len()),
        holds: is_sound && matches!(status.code(), Some(0 | 8)),
    })
}

fn commands(scene: &Scene) -> Result<Vec<Row>> {
    let stage = HostileFiles::make();
    let mut rows = Vec::new();
    for (end, name) in End::ALL {
        for output in ["stdout", "stderr", "both"] {
            let (mut tried, mut panicked) = (0, 0);
            for arguments in stage.commands() {
                let open = |one: &str| match output == one || output == "both" {
                    true => end.open(),
                    false => Ok(Stdio::null()),
                };
                let mut command = stage.operator(&scene.operator);
                let command = command.args(&arguments).arg("-vv");
                let status = command.stdout(open("stdout")?).stderr(open("stderr")?).status()?;
                tried += 1;
                panicked += usize::from(status.code().is_none_or(|code| code >= 101));
            }
            rows.push(Row {
                tried: format!("{output} {name}"),
                seen: format!("{panicked} of {tried} commands panic"),
                holds: tried > 0 && panicked == 0,
            });
        }
    }
    Ok(rows)
}
