//! Nobody reads, or the disk is full: no command panics, and a recorder goes on and seals.

use std::fs::{File, OpenOptions};
use std::io::pipe;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use operator::capture::verify;

use super::program;
use testkit::echoing_server::{EchoingServer, Manner};
use testkit::hostile_files::HostileFiles;

/// What stands at the other end of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A disk without room.
    Full,
    /// A pipe that nobody reads.
    Gone,
    /// Somebody who reads.
    Read,
}

impl End {
    /// An output with this end.
    pub fn open(self) -> Stdio {
        match self {
            Self::Full => full().into(),
            Self::Gone => pipe().expect("a pipe can be made").1.into(),
            Self::Read => Stdio::null(),
        }
    }
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has it")
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn no_command_panics_where_an_output_is_full_or_gone() {
    let stage = HostileFiles::make();
    for (out, errors) in [(End::Full, End::Read), (End::Read, End::Full), (End::Gone, End::Gone)] {
        for arguments in stage.commands() {
            let mut command = stage.operator(program());
            let command = command.args(&arguments).arg("-v");
            let status = command.stdout(out.open()).stderr(errors.open()).status();
            let code = status.expect("the program starts").code();
            let told = format!("{arguments:?} to {out:?} and {errors:?} ends with {code:?}");
            assert!(code.is_some_and(|code| code < 101), "{told}");
        }
    }
}

#[test]
fn results_that_cannot_be_written_are_an_error_and_unread_ones_are_none() {
    let stage = HostileFiles::make();
    for arguments in [&["--help"][..], &["--version"], &["completions", "bash"], &["runs"]] {
        let code = |out: End| {
            let mut command = stage.operator(program());
            let command = command.args(arguments).stdout(out.open()).stderr(Stdio::null());
            command.status().expect("the program starts").code()
        };
        assert_eq!(code(End::Full), Some(8), "{arguments:?}");
        assert_eq!(code(End::Gone), Some(0), "{arguments:?}");
    }
}

/// Records for a few seconds with both outputs at such ends. Returns the exit code.
async fn recorded(
    subcommand: &str,
    format: &str,
    (out, errors): (End, End),
    dir: &Path,
) -> Option<i32> {
    let source = EchoingServer::start(Manner::Serves);
    let stage = HostileFiles::make();
    let mut command = stage.operator(program());
    command.args([subcommand, "--format", format, "--for", "3s", "--interval", "200ms", "-vv"]);
    command.arg("--prometheus").arg(&source.url).arg("--dir").arg(dir);
    let child = command.stdout(out.open()).stderr(errors.open()).spawn();
    let mut child = child.expect("the program starts");
    for _ in 0..600 {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status.code();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let _ = child.kill();
    panic!("{subcommand} does not end");
}

#[tokio::test]
#[ignore = "slow: ./test.sh runs it"]
async fn a_recorder_goes_on_and_seals_where_nobody_reads() {
    for subcommand in ["record", "watch"] {
        for (ends, expected) in
            [((End::Read, End::Full), 0), ((End::Gone, End::Gone), 0), ((End::Full, End::Full), 8)]
        {
            for format in ["text", "json"] {
                let dir = tempfile::tempdir().expect("a temporary directory can be made");
                let code = recorded(subcommand, format, ends, dir.path()).await;
                assert_eq!(code, Some(expected), "{subcommand} as {format} to {ends:?}");
                let left: Vec<_> = std::fs::read_dir(dir.path())
                    .expect("it can be listed")
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .collect();
                let [capture] = &left[..] else { panic!("{subcommand} left {left:?}") };
                assert_eq!(verify(capture).expect("it opens").damage, []);
            }
        }
    }
}
