//! Captures whose rows say something else, with every checksum right: what a stranger writes, and
//! not what a disk does. Decoders are reached, each command's function is run, and none may panic,
//! hang or take memory without bound.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;

use super::alter::{Edit, alter_capture};
use super::commands::{Act, COMMANDS};
use super::damaged::keep;
use super::originals::{Extent, cut};
use crate::capture_server::captures_in;
use crate::limits::{Memory, Watchdog, thread_time};
use operator::capture::{compact, copy};
use operator::session::Session;

/// How much of a capture is cut out: every table has rows and every kind of blob is there, but no more,
/// since the time that a mutant takes grows with what has to be compressed anew.
const EXTENT: Extent = Extent { series: 24, every_answer: 40, longest_body: 6_000, ticks: 6 };
/// How much one mutant may add to the memory of the process, whatever the command.
const MOST_BYTES: u64 = 512 << 20;
/// How much processor time a command may take over one mutant.
const LONGEST: Duration = Duration::from_secs(10);
/// Mutants that are tried before memory is looked at, on all processors: a hundred and more, since at the end
/// of each batch all processors wait for the slowest mutant.
const BATCH: u32 = 128;

/// What a campaign found.
#[derive(Debug, Default)]
pub struct Tally {
    /// By edit: in how many mutants it was made.
    pub edits: BTreeMap<Edit, u32>,
    /// By command: how many mutants it took, and how many it refused.
    pub commands: BTreeMap<&'static str, [u32; 2]>,
    /// By command: the processor time over all mutants.
    pub spent: BTreeMap<&'static str, Duration>,
    /// The most bytes that a batch of mutants added to the memory of the process.
    pub most_bytes: u64,
    /// The most processor time that a command took over a mutant, and which command.
    pub longest: (Duration, &'static str),
}

/// Alters the captures in `folder` `times` times in all.
pub fn run(folder: &Path, times: u32, seed: u64, memory: Memory) -> Result<Tally> {
    let scratch = scratch()?;
    let originals = originals(folder, scratch.path())?;
    memory.limit()?;
    let mut tally = Tally::default();
    let watchdog = Watchdog::new("batch", 6 * LONGEST);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for first in (0..times).step_by(BATCH as usize) {
        watchdog.begin(first);
        let last = times.min(first + BATCH);
        let before = memory.reset()?;
        let next = AtomicU32::new(first);
        let tried: Vec<Result<Tally>> = std::thread::scope(|scope| {
            let worker = || {
                let mut tally = Tally::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= last {
                        return Ok(tally);
                    }
                    tally.add(try_one(&originals, scratch.path(), (seed, number))?);
                }
            };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            let ended = workers.into_iter().map(|worker| worker.join());
            ended.map(|one| one.unwrap_or_else(|_| bail!("the campaign panicked"))).collect()
        });
        for one in tried {
            tally.add(one?);
        }
        let bytes = memory.peak()?.saturating_sub(before);
        tally.most_bytes = tally.most_bytes.max(bytes);
        if bytes > MOST_BYTES {
            // All mutants of the batch together took that much: one by one, each may.
            for number in first..last {
                watchdog.begin(number);
                let before = memory.reset()?;
                try_one(&originals, scratch.path(), (seed, number))?;
                let bytes = memory.peak()?.saturating_sub(before);
                ensure!(bytes <= MOST_BYTES, "mutant {number} of seed {seed} took {bytes} bytes");
            }
        }
    }
    Ok(tally)
}

/// Gives mutants to the built program, each to one command in turn.
pub fn run_processes(folder: &Path, program: &Path, times: u32, seed: u64) -> Result<Exits> {
    let scratch = scratch()?;
    let originals = originals(folder, scratch.path())?;
    let mut exits = Exits::new();
    for number in 0..times {
        let mutant = Mutant::make(&originals, scratch.path(), (seed, number))?;
        let arguments = ARGUMENTS[number as usize % ARGUMENTS.len()];
        let output = mutant.folder().join("out.capture");
        let replaced = arguments.iter().map(|argument| match *argument {
            "FILE" => mutant.path.clone(),
            "DIR" => mutant.folder().to_owned(),
            "OUT" => output.clone(),
            other => PathBuf::from(other),
        });
        // A program that needs more processor time is killed, `timeout` ends with 124 where it waits without
        // end, and for want of memory it aborts with 134.
        let ended = Command::new("sh")
            .args(["-c", "ulimit -v 4000000; ulimit -t 20; exec timeout 300 \"$0\" \"$@\""])
            .arg(program)
            .args(replaced)
            .output()?;
        let code = ended.status.code();
        if !code.is_some_and(|code| (0..=11).contains(&code)) {
            keep(&mutant.path);
            let said = String::from_utf8_lossy(&ended.stderr);
            bail!("mutant {number} of seed {seed}, {arguments:?}: {:?}: {said}", ended.status);
        }
        *exits.entry(arguments[0]).or_default().entry(code.unwrap_or(-1)).or_default() += 1;
    }
    Ok(exits)
}

/// By command: how often each exit code came.
pub type Exits = BTreeMap<&'static str, BTreeMap<i32, u32>>;

/// What the built program is asked.
const ARGUMENTS: &[&[&str]] = &[
    &["verify", "FILE"],
    &["show", "FILE", "--metrics"],
    &["replay", "FILE"],
    &["replay", "FILE", "--format", "json"],
    &["query", "FILE", "{__name__=~\".+\"}"],
    &["query", "FILE", "up", "--plot"],
    &["query", "FILE", "--metrics"],
    &["rules", "replay", "FILE"],
    &["rules", "check", "FILE"],
    &["explain", "FILE", "F1"],
    &["diff", "FILE", "FILE"],
    &["score", "FILE"],
    &["runs", "--dir", "DIR"],
    &["copy", "FILE", "OUT"],
    &["compact", "FILE", "OUT"],
    &["mark", "FILE", "hello"],
];

/// A folder in memory, where the system has one: a mutant need not outlive the machine, and some forty
/// times it would be waited for until the disk has it.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// Small captures out of each one in `folder`, with a journal and compacted.
fn originals(folder: &Path, scratch: &Path) -> Result<Vec<Vec<u8>>> {
    let mut originals = Vec::new();
    for path in captures_in(folder)? {
        let own = tempfile::tempdir_in(scratch)?;
        let recorded = own.path().join("recorded.capture");
        let (journal, compacted) = (own.path().join("journal"), own.path().join("compacted"));
        cut(&path, &recorded, EXTENT).with_context(|| format!("cannot cut {}", path.display()))?;
        copy(&recorded, &journal)?;
        compact(&recorded, &compacted)?;
        originals.push(std::fs::read(journal)?);
        originals.push(std::fs::read(compacted)?);
    }
    Ok(originals)
}

/// A capture that was altered, in a folder of its own.
struct Mutant {
    folder: tempfile::TempDir,
    path: PathBuf,
    edits: Vec<Edit>,
}

impl Mutant {
    /// The mutant of a number, whatever was made before it.
    fn make(originals: &[Vec<u8>], scratch: &Path, (seed, number): (u64, u32)) -> Result<Self> {
        let mut random =
            Rng::with_seed(seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let folder = tempfile::tempdir_in(scratch)?;
        let path = folder.path().join("mutant.capture");
        std::fs::write(&path, &originals[random.usize(..originals.len())])?;
        let edits = alter_capture(&path, &mut random)
            .with_context(|| format!("cannot make mutant {number} of seed {seed}"))?;
        Ok(Self { folder, path, edits })
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Runs every command's function over a mutant.
fn try_one(originals: &[Vec<u8>], scratch: &Path, (seed, number): (u64, u32)) -> Result<Tally> {
    let mutant = Mutant::make(originals, scratch, (seed, number))?;
    let bytes = std::fs::read(&mutant.path)?;
    let mut tally = Tally::default();
    for edit in &mutant.edits {
        *tally.edits.entry(*edit).or_default() += 1;
    }
    let mut opened = None;
    for (command, act) in COMMANDS {
        let begun = thread_time();
        let ended = catch_unwind(AssertUnwindSafe(|| match act {
            Act::Open(read) => {
                let session = opened.get_or_insert_with(|| Session::open(&mutant.path));
                read(session.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?)
            }
            Act::File(run) => {
                opened = None;
                run(&mutant.path)
            }
        }));
        let took = thread_time() - begun;
        let fallen = match &ended {
            Err(_) => Some("panicked".to_owned()),
            Ok(_) if took > LONGEST => Some(format!("took {took:?}")),
            Ok(_) => None,
        };
        if let Some(fallen) = fallen {
            std::fs::write(&mutant.path, &bytes)?;
            keep(&mutant.path);
            bail!("mutant {number} of seed {seed}, {:?}: {command} {fallen}", mutant.edits);
        }
        let refused = ended.is_ok_and(|result| result.is_err());
        tally.commands.entry(command).or_default()[usize::from(refused)] += 1;
        *tally.spent.entry(command).or_default() += took;
        if took > tally.longest.0 {
            tally.longest = (took, command);
        }
    }
    Ok(tally)
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (edit, count) in other.edits {
            *self.edits.entry(edit).or_default() += count;
        }
        for (command, counts) in other.commands {
            let held = self.commands.entry(command).or_default();
            (held[0], held[1]) = (held[0] + counts[0], held[1] + counts[1]);
        }
        for (command, spent) in other.spent {
            *self.spent.entry(command).or_default() += spent;
        }
        self.longest = self.longest.max(other.longest);
    }
}
