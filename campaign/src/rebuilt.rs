//! Verdicts on public incidents that are rebuilt in a quiet run, beside what each thread established: those that
//! diagnosis was fitted to, and those that were held out.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use operator::diagnose::{Outcome, Verdict};
use testkit::incidents::{Half, Incident, all, quiet, third};
use testkit::run::Run;

/// What came of the incidents of one half.
#[derive(Default)]
struct Tally {
    judged: usize,
    named: usize,
    led: usize,
    /// Where causes are told, and not what the thread established.
    wrong: Vec<String>,
    missed: Vec<String>,
}

impl Tally {
    fn take(&mut self, incident: &Incident, kind: &str, run: &Run) {
        let verdict = run.verdict();
        self.judged += 1;
        let named = incident.is_named(run, &verdict);
        let led = incident.is_led(&verdict);
        self.named += usize::from(named);
        self.led += usize::from(led);
        let name = format!("{} ({kind})", incident.name);
        match incident.is_missed(&verdict) {
            true => self.missed.push(name),
            false if !named => self.wrong.push(name),
            false => {}
        }
        let word = match (named, led) {
            (true, true) => "ok",
            (true, false) => "ok, without what leads",
            (false, _) => "falls short",
        };
        println!("{:<34} {kind:<5} {word}: {}", incident.name, verdict.summary);
        print(&verdict);
        if !named {
            println!("    wanted {} at {:?}", incident.modes.join(" or "), incident.place);
        }
    }

    fn print(&self, half: &str) {
        let Self { judged, named, led, wrong, missed } = self;
        println!("{half}: {judged} judged, {named} named, {led} by what leads");
        println!("    {} named otherwise: {}", wrong.len(), wrong.join(", "));
        println!("    {} called healthy: {}", missed.len(), missed.join(", "));
    }
}

fn print(verdict: &Verdict) {
    for one in verdict.causes.iter().chain(&verdict.changes) {
        let reasons = one.evidence.iter().take(3).map(|reason| reason.text.as_str());
        let reasons: Vec<&str> = reasons.collect();
        let at = one.target.text();
        println!("    {} at {at} ({}): {}", one.mode, one.confidence, reasons.join(" | "));
    }
}

/// Judges every incident with `only` in its name, each with everything that was recorded and with what failure
/// modes name alone; fails where the quiet run has a cause, or an incident is called healthy.
pub fn run(only: &str) -> Result<()> {
    let quiet = quiet();
    let verdict = quiet.verdict();
    ensure!(verdict.outcome == Outcome::NoFault, "the quiet run: {}", verdict.summary);
    let mut tallies: BTreeMap<(&str, Half), Tally> = BTreeMap::new();
    for incident in all().filter(|one| one.name.contains(only)) {
        let of_third = third().iter().any(|one| one.name == incident.name);
        let set = if of_third { "third set" } else { "sets before" };
        let tally = tallies.entry((set, incident.half)).or_default();
        let run = incident.run(&quiet);
        tally.take(incident, "whole", &run);
        tally.take(incident, "lean", &incident.lean(&run, &quiet));
    }
    for ((set, half), tally) in &tallies {
        let half = match half {
            Half::Tuned => "fitted",
            Half::HeldOut => "held out",
        };
        tally.print(&format!("{set}, {half}"));
    }
    let healthy: usize = tallies.values().map(|tally| tally.missed.len()).sum();
    ensure!(healthy == 0, "{healthy} called healthy");
    Ok(())
}
