//! Whether diagnosis leaves alone what is quiet, planned or merely loaded: every such window of the labelled
//! captures, whole and cut, at later instants, in other worlds, and the parts before faults.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use operator::diagnose::{Cause, Outcome, Verdict};
use operator::model::Timestamp;
use operator::score::Truth;
use testkit::run::Run;
use testkit::worlds::WORLDS;

/// How far apart the instants are at which a window is judged, in seconds.
const EVERY_S: i64 = 30;
/// How many seconds before a fault its quiet part ends.
const BEFORE_S: i64 = 5;
/// The shortest window, in seconds.
const LEAST_S: i64 = 60;

/// What came of the windows of one kind.
#[derive(Default)]
struct Row {
    kind: &'static str,
    recordings: Vec<String>,
    windows: usize,
    cannot_tell: usize,
    false_causes: usize,
    unexplained: usize,
    told: Vec<String>,
}

impl Row {
    fn take(&mut self, recording: &str, window: &str, verdict: &Verdict) {
        if self.recordings.last().is_none_or(|last| last != recording) {
            self.recordings.push(recording.to_owned());
        }
        self.windows += 1;
        self.cannot_tell += usize::from(verdict.outcome == Outcome::CannotTell);
        let unexplained = verdict.causes.iter().filter(|cause| cause.mode == "unexplained").count();
        self.unexplained += unexplained;
        self.false_causes += verdict.causes.len() - unexplained;
        if !verdict.causes.is_empty() {
            let first = |cause: &Cause| Some(format!("    {}", cause.evidence.first()?.text));
            self.told.push(format!("{recording} {window}: {}", verdict.summary));
            self.told.extend(verdict.causes.iter().filter_map(first));
        }
    }

    /// Judges a run as of every thirty seconds, and at its end.
    fn take_instants(&mut self, recording: &str, window: &str, run: &Run) {
        let seconds = run.window.millis() / 1000;
        for second in (LEAST_S..seconds).step_by(EVERY_S as usize).chain([seconds]) {
            let verdict = run.verdict_at(run.at(second).min(run.window.end));
            self.take(recording, &format!("{window} at {second} s"), &verdict);
        }
    }

    fn print(&self) {
        println!(
            "{:<26} {:>10} {:>8} {:>12} {:>13} {:>12}",
            self.kind,
            self.recordings.len(),
            self.windows,
            self.cannot_tell,
            self.false_causes,
            self.unexplained
        );
        self.told.iter().for_each(|line| println!("  {line}"));
    }
}

/// Prints a row for each kind of window, with the number of independent recordings behind it; fails where any
/// has a cause.
pub fn run(folders: &[PathBuf]) -> Result<()> {
    let row = |kind| Row { kind, ..Row::default() };
    let mut rows = [
        row("quiet or planned"),
        row("the same, cut"),
        row("the same, in other worlds"),
        row("the same, other load"),
        row("before a fault"),
        row("before a fault, repeated"),
    ];
    for folder in folders {
        for path in testkit::capture_server::captures_in(folder)? {
            judge(&path, &mut rows)?;
        }
    }
    println!(
        "{:<26} {:>10} {:>8} {:>12} {:>13} {:>12}",
        "", "recordings", "windows", "cannot tell", "false causes", "unexplained"
    );
    rows.iter().for_each(Row::print);
    let causes: usize = rows.iter().map(|row| row.false_causes + row.unexplained).sum();
    ensure!(causes == 0, "{causes} causes where nothing is wrong");
    Ok(())
}

fn judge(path: &Path, rows: &mut [Row; 6]) -> Result<()> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let truth = Truth::unseal(path)?.with_context(|| format!("{name} has no label"))?;
    let run = Run::open(path);
    let [whole, cut, worlds, loads, before, repeated] = rows;
    if truth.fault.is_none() {
        whole.take_instants(&name, "whole", &run);
        let seconds = run.window.millis() / 1000;
        for (from, to) in [(0, seconds / 2), (seconds / 4, seconds), (seconds / 2, seconds)] {
            let mut part = run.clone();
            part.cut(run.range(from, to));
            cut.take(&name, &format!("{from} s to {to} s"), &part.verdict());
        }
        // Worlds change what a TiKV shows, and so does another load; captures of PD alone have none.
        if run.series.iter().any(|one| one.labels.metric().starts_with("tikv_")) {
            changed(&name, &run, worlds, loads);
        }
        return Ok(());
    }
    let injected = truth.t_inject_ms.with_context(|| format!("{name} does not say when"))?;
    let until = (Timestamp::from_millis(injected) - run.window.start) / 1000 - BEFORE_S;
    if until < LEAST_S {
        return Ok(());
    }
    let mut part = run.clone();
    part.cut(run.range(0, until));
    before.take_instants(&name, "before", &part);
    // Clients begin in the first minute.
    part.cut(run.range((until - 120).max(0), until));
    part.repeat(4);
    repeated.take(&name, "its last two minutes, four times", &part.verdict());
    Ok(())
}

/// Judges a run as other deployments would have recorded it, and under another load.
fn changed(name: &str, run: &Run, worlds: &mut Row, loads: &mut Row) {
    // A world that says more is made of one run and its fault.
    for world in WORLDS.iter().filter(|world| world.told.is_none()) {
        let mut run = run.clone();
        (world.change)(&mut run);
        worlds.take(name, world.name, &run.verdict());
    }
    for factor in [0.2, 3.0, 20.0] {
        let mut run = run.clone();
        run.scale_load(factor);
        loads.take(name, &format!("load times {factor}"), &run.verdict());
    }
}
