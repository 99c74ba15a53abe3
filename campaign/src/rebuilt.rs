//! Verdicts on public incidents that are rebuilt in a quiet run, beside what each thread established: those that
//! diagnosis was fitted to, and those that were held out.

use anyhow::{Result, ensure};
use operator::diagnose::{Outcome, Verdict};
use testkit::incidents::{Half, Incident, all, quiet};
use testkit::run::Run;

/// What came of the incidents of one half.
#[derive(Default)]
struct Tally {
    judged: usize,
    named: usize,
    led: usize,
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
        if incident.is_missed(&verdict) {
            self.missed.push(format!("{} ({kind})", incident.name));
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
        let Self { judged, named, led, missed } = self;
        println!(
            "{half}: {judged} judged, {named} named, {led} by what leads, {} called healthy: {}",
            missed.len(),
            missed.join(", ")
        );
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
    let (mut tuned, mut held_out) = (Tally::default(), Tally::default());
    for incident in all().filter(|one| one.name.contains(only)) {
        let tally = match incident.half {
            Half::Tuned => &mut tuned,
            Half::HeldOut => &mut held_out,
        };
        let run = incident.run(&quiet);
        tally.take(incident, "whole", &run);
        tally.take(incident, "lean", &incident.lean(&run, &quiet));
    }
    tuned.print("fitted");
    held_out.print("held out");
    let healthy = tuned.missed.len() + held_out.missed.len();
    ensure!(healthy == 0, "{healthy} called healthy");
    Ok(())
}
