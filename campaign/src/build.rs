//! What building costs: processor time, the wait for one changed test, and the size of the program, each
//! beside its bound.
//!
//! The source is copied and built in fresh folders, so that nothing built before helps; crates are downloaded
//! before anything is measured. Processor time is that of all compilers together, whatever else the machine
//! does; the wait is not, so nothing else should run.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

/// The first command that the README names.
const FIRST: [&str; 7] =
    ["run", "--release", "--no-default-features", "--", "replay", "--run", "chaos-02"];
/// Its exit code where it finds the fault of that run.
const FAULT: i32 = 10;
/// The module whose tests are run after a change in it.
const MODULE: (&str, &str) = ("src/pd/members.rs", "pd::members");
/// What the copy of the source does without.
const LEFT_OUT: [&str; 3] = [".git", "target", "dist"];

/// The unit of times in `/proc`, which is the same on every machine with Linux (`USER_HZ`).
const TICK_MS: u64 = 10;

/// A part that can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The README's first command, without `frames`, and the size of its program
    First,
    /// The whole default build, with `frames`, and the size of its program
    Whole,
    /// `cargo test` of one module after a change in it
    Incremental,
}

/// One figure beside its bound.
struct Row {
    what: &'static str,
    unit: &'static str,
    measured: f64,
    bound: f64,
}

impl Row {
    fn holds(&self) -> bool {
        self.measured <= self.bound
    }
}

/// Measures the parts, all of them where none is named, and prints each figure beside its bound.
///
/// # Errors
///
/// Where a build fails or a bound is missed.
pub fn run(parts: &[Part]) -> Result<()> {
    let parts = if parts.is_empty() { Part::value_variants() } else { parts };
    let scratch = tempfile::tempdir()?;
    let source = scratch.path().join("source");
    copy_tree(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?, &source)?;
    cargo(&source, scratch.path(), &["fetch", "--locked"])?;
    println!("{:<52} {:>9} {:>9}", "", "measured", "at most");
    let mut missed = 0;
    for part in parts {
        let target = scratch.path().join("target");
        let rows = match part {
            Part::First => release(&source, &target, &FIRST, FIRST_BOUNDS)?,
            Part::Whole => release(&source, &target, &["build", "--release"], WHOLE_BOUNDS)?,
            Part::Incremental => vec![incremental(&source, &target)?],
        };
        // A fresh folder for each part, and never two of them at a time on the disk.
        fs::remove_dir_all(&target)?;
        for row in &rows {
            print_row(row);
            missed += usize::from(!row.holds());
        }
    }
    ensure!(missed == 0, "{missed} bounds are missed");
    Ok(())
}

fn print_row(row: &Row) {
    let Row { what, unit, measured, bound } = row;
    let verdict = if row.holds() { "" } else { "  missed" };
    println!("{:<52} {measured:>9.1} {bound:>9.1}{verdict}", format!("{what}, {unit}"));
}

/// What a release build costs at most: the names of its two figures, CPU minutes and megabytes.
struct ReleaseBounds {
    time: &'static str,
    size: &'static str,
    cpu_minutes: f64,
    megabytes: f64,
}

const FIRST_BOUNDS: ReleaseBounds = ReleaseBounds {
    time: "first command, nothing built before",
    size: "program without frames, stripped",
    cpu_minutes: 8.0,
    megabytes: 15.0,
};

const WHOLE_BOUNDS: ReleaseBounds = ReleaseBounds {
    time: "whole default build, nothing built before",
    size: "program with frames, stripped",
    cpu_minutes: 25.0,
    megabytes: 35.0,
};

fn release(
    source: &Path,
    target: &Path,
    command: &[&str],
    bounds: ReleaseBounds,
) -> Result<Vec<Row>> {
    let before = children_cpu()?;
    cargo(source, target, command)?;
    let cpu = children_cpu()?.saturating_sub(before);
    let program = target.join("release/operator");
    let stripped = target.join("stripped");
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(&program).status();
    ensure!(strip.context("strip comes with the C compiler")?.success(), "strip failed");
    Ok(vec![
        Row {
            what: bounds.time,
            unit: "CPU minutes",
            measured: cpu.as_secs_f64() / 60.0,
            bound: bounds.cpu_minutes,
        },
        Row {
            what: bounds.size,
            unit: "MB",
            measured: fs::metadata(&stripped)?.len() as f64 / 1e6,
            bound: bounds.megabytes,
        },
    ])
}

/// The median wait of three for the tests of a module after a function was added to it.
fn incremental(source: &Path, target: &Path) -> Result<Row> {
    let (file, module) = MODULE;
    let test = ["test", "--no-default-features", "--lib", module];
    cargo(source, target, &test)?;
    let mut waits = [Duration::ZERO; 3];
    for (number, wait) in waits.iter_mut().enumerate() {
        let mut text = OpenOptions::new().append(true).open(source.join(file))?;
        writeln!(
            text,
            "\n#[test]\nfn measured_{number}() {{ assert!(members_view(b\"\").is_none()) }}"
        )?;
        let begun = now();
        cargo(source, target, &test)?;
        *wait = begun.elapsed();
    }
    waits.sort_unstable();
    Ok(Row {
        what: "cargo test of one module after a change in it",
        unit: "seconds",
        measured: waits[1].as_secs_f64(),
        bound: 20.0,
    })
}

/// Runs cargo on the copy, offline but for `fetch`, and shows what it says.
fn cargo(source: &Path, target: &Path, arguments: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(source).stdout(Stdio::null());
    command.env("CARGO_TARGET_DIR", target).env("CARGO_TERM_COLOR", "never");
    // What this campaign itself was built with must not decide how the copy is built.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        command.env_remove(name);
    }
    if arguments[0] != "fetch" {
        command.env("CARGO_NET_OFFLINE", "true");
    }
    let status = command.status().context("cannot start cargo")?;
    let found_the_fault = arguments == FIRST && status.code() == Some(FAULT);
    if !status.success() && !found_the_fault {
        bail!("cargo {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().context("a directory entry has a name")?;
        if LEFT_OUT.iter().any(|left_out| name == OsStr::new(left_out)) {
            continue;
        }
        if path.is_dir() {
            copy_tree(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Processor time of all processes that this one, or one of its children, has waited for.
fn children_cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything; `cutime` and `cstime` are the fields 16 and 17, and what
    // follows the name begins with field 3.
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat has no name")?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(13).take(2).map(str::parse).collect::<Result<_, _>>()?;
    let ticks: u64 = ticks.iter().sum();
    Ok(Duration::from_millis(ticks * TICK_MS))
}

#[expect(clippy::disallowed_methods, reason = "the wait is what is measured")]
fn now() -> Instant {
    Instant::now()
}
