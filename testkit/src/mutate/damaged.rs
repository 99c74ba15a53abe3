//! Damages captures as a disk does, reads them, and counts what came of it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;

use super::damage::{Mutation, mutate};
use super::judge::{Verdict, judge};
use super::originals::{Original, originals};
use crate::limits::{Memory, Watchdog, thread_time};

/// How much reading a damaged capture may add to the memory of the process.
const MOST_BYTES: u64 = 64 << 20;
/// How much processor time one capture may take.
const LONGEST: Duration = Duration::from_secs(20);

/// How many damaged captures were read in which way, and what the most expensive one needed.
#[derive(Debug, Default)]
pub struct Tally {
    /// By how they were damaged: refused as a whole; read, with the damage named; read as if
    /// nothing had happened, because nothing had: unused bytes were hit.
    pub mutants: BTreeMap<Mutation, [u32; 3]>,
    /// Samples in all captures that could be opened though damaged, and how many were read.
    pub samples_of_damaged: u64,
    /// Samples of these that were read.
    pub samples_read: u64,
    /// The most bytes that reading one capture added to the memory of the process.
    pub most_bytes: u64,
    /// The most processor time that reading one capture took.
    pub longest: Duration,
}

/// Damages the captures in `folder` `times` times in all.
pub fn run(folder: &Path, times: u32, seed: u64, memory: Memory) -> Result<Tally> {
    let scratch = tempfile::tempdir()?;
    let originals = originals(folder, scratch.path())?;
    memory.limit()?;
    let mut random = Rng::with_seed(seed);
    let mut tally = Tally::default();
    let watchdog = Watchdog::new("mutant", 3 * LONGEST);
    for number in 0..times {
        watchdog.begin(number);
        let original = &originals[random.usize(..originals.len())];
        let (name, mutation) = (&original.name, Mutation::draw(&mut random));
        let path = scratch.path().join("mutant.capture");
        let mut one = random.fork();
        mutate(original, mutation, &mut one, &path)?;
        let case = || format!("mutant {number} of seed {seed}: {mutation:?} of {name}");
        let before = memory.reset()?;
        let begun = thread_time();
        let judged = catch_unwind(AssertUnwindSafe(|| judge(original, mutation, &path)));
        let (took, bytes) = (thread_time() - begun, memory.peak()?.saturating_sub(before));
        let verdict = match judged {
            Ok(verdict) => verdict.with_context(case),
            Err(_) => bail!("{}: a panic", case()),
        };
        let verdict = verdict.inspect_err(|_| keep(&path))?;
        ensure!(took <= LONGEST, "{}: took {took:?}", case());
        ensure!(bytes <= MOST_BYTES, "{}: allocated {bytes} bytes", case());
        tally.add(mutation, verdict, original, (bytes, took));
    }
    Ok(tally)
}

pub(super) fn keep(path: &Path) {
    let kept = std::env::temp_dir().join("campaign-mutant.capture");
    if std::fs::copy(path, &kept).is_ok() {
        eprintln!("the capture is kept as {}", kept.display());
    }
}

impl Tally {
    fn add(
        &mut self,
        mutation: Mutation,
        verdict: Verdict,
        original: &Original,
        (bytes, took): (u64, Duration),
    ) {
        self.most_bytes = self.most_bytes.max(bytes);
        self.longest = self.longest.max(took);
        let counts = self.mutants.entry(mutation).or_default();
        match verdict {
            Verdict::Refused => counts[0] += 1,
            Verdict::Named { samples } => {
                counts[1] += 1;
                self.samples_of_damaged += original.content.samples();
                self.samples_read += samples;
            }
            Verdict::Unharmed => counts[2] += 1,
        }
    }
}
