//! Verdicts without and with the lines of public incident threads.
//!
//! Nobody published metrics beside these threads, so each thread's lines are put into the log of the node that
//! broke in a bundled run of the same kind of fault, at its onset. What is counted is therefore what lines add to
//! the same metrics: whether the mode is right, and whether the verdict says why.

use std::path::Path;

use anyhow::{Context, Result};
use operator::capture::{self, CaptureWriter};
use operator::diagnose::Verdict;
use operator::logs::{ExtractOptions, Extractor, NodeNames};
use operator::model::Timestamp;
use operator::record::attach_log;
use operator::session::Session;

mod threads;

use threads::{THREADS, Thread};

/// How many threads were decided.
#[derive(Default)]
struct Tally {
    threads: usize,
    by_mode: [usize; 2],
    with_why: [usize; 2],
}

/// Prints a row for each thread and the sums of both halves.
pub fn run(folder: &Path) -> Result<()> {
    let mut tallies = [Tally::default(), Tally::default()];
    for thread in &THREADS {
        let verdicts = judged(thread, folder).with_context(|| thread.thread.to_owned())?;
        let tally = &mut tallies[usize::from(thread.is_set_aside())];
        tally.threads += 1;
        let decisions = [0, 1].map(|place| decided(thread, &verdicts[place]));
        for (place, (mode, why)) in decisions.into_iter().enumerate() {
            tally.by_mode[place] += usize::from(mode);
            tally.with_why[place] += usize::from(mode && why);
        }
        let half = if thread.is_set_aside() { "set aside" } else { "seen" };
        let [without, with] = verdicts.map(|verdict| verdict.summary);
        println!("{} ({half})", thread.thread);
        println!("  without lines, {}: {without}", outcome(decisions[0]));
        println!("  with lines, {}: {with}", outcome(decisions[1]));
    }
    for (tally, half) in tallies.iter().zip(["seen", "set aside"]) {
        let Tally { threads, by_mode, with_why } = tally;
        println!(
            "{half}: {threads} threads; mode {} without, {} with lines; mode and why {} without, {} with",
            by_mode[0], by_mode[1], with_why[0], with_why[1]
        );
    }
    Ok(())
}

/// What became of a thread, in words.
fn outcome(decision: (bool, bool)) -> &'static str {
    match decision {
        (true, true) => "decided",
        (true, false) => "decided but for why",
        (false, _) => "not decided",
    }
}

/// Whether a verdict names the mode, and whether it says why.
fn decided(thread: &Thread, verdict: &Verdict) -> (bool, bool) {
    let first = verdict.causes.first().or_else(|| verdict.changes.first());
    first.map_or((false, false), |cause| {
        (cause.mode == thread.mode, cause.says.contains(thread.why))
    })
}

/// The verdicts without and with the thread's lines.
fn judged(thread: &Thread, folder: &Path) -> Result<[Verdict; 2]> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("run.capture");
    capture::copy(&folder.join(thread.run), &path)?;
    let session = Session::open(&path)?;
    let without = session.verdict()?;
    let first = without.causes.first().or_else(|| without.changes.first());
    let onset = first.context("the run shows its fault")?.onset_ms;
    let options = ExtractOptions {
        node: thread.node.to_owned(),
        window: session.window(),
        zone: None,
        names: NodeNames::default(),
    };
    drop(session);
    let mut extractor = Extractor::new(options);
    extractor.read("node.log", log(thread, onset).as_bytes())?;
    let mut writer = CaptureWriter::resume(&path)?;
    attach_log(&mut writer, &extractor.finish())?;
    writer.finish()?;
    Ok([without, Session::open(&path)?.verdict()?])
}

/// The lines a second apart, the last one a second before the onset.
fn log(thread: &Thread, onset: Timestamp) -> String {
    let ahead = (1..=thread.lines.len() as i64).rev();
    let lines = thread.lines.iter().zip(ahead);
    lines.map(|(line, ahead)| format!("{} {line}\n", onset + -ahead * 1_000)).collect()
}
