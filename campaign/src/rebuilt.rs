//! Verdicts on public incidents that are rebuilt in a quiet run, beside what each thread established: those that
//! diagnosis was fitted to, and those that were held out.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use operator::diagnose::{Outcome, Verdict};
use testkit::incidents::{Half, Incident, quiet, sets};
use testkit::run::Run;

/// What is printed of incidents: whoever changes a rule looks at no more than the counts of held-out ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    All,
    Counts,
}

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
    fn take(&mut self, incident: &Incident, kind: &str, run: &Run, show: Show) {
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
        if show == Show::Counts {
            return;
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

    fn print(&self, half: &str, show: Show) {
        let Self { judged, named, led, wrong, missed } = self;
        let listed = |names: &[String]| match show {
            Show::All if !names.is_empty() => format!(": {}", names.join(", ")),
            _ => String::new(),
        };
        println!("{half}: {judged} judged, {named} named, {led} by what leads");
        println!("    {} named otherwise{}", wrong.len(), listed(wrong));
        println!("    {} called healthy{}", missed.len(), listed(missed));
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

/// Judges every incident with `only` in its name or in that of its set, each with everything that was recorded and with
/// what failure modes name alone; fails where the quiet run has a cause, or an incident is called healthy. Of incidents
/// that are held out only the counts are printed, unless `held_out` is set.
pub fn run(only: &str, held_out: bool) -> Result<()> {
    let quiet = quiet();
    let verdict = quiet.verdict();
    ensure!(verdict.outcome == Outcome::NoFault, "the quiet run: {}", verdict.summary);
    let show = |half: Half| match half {
        Half::HeldOut if !held_out => Show::Counts,
        _ => Show::All,
    };
    let mut tallies: BTreeMap<(usize, Half), Tally> = BTreeMap::new();
    let names: Vec<&str> = sets().iter().map(|(name, _)| *name).collect();
    for (name, incidents) in sets() {
        let set = names.iter().position(|one| *one == name).expect("it is one of them");
        let is_asked = |one: &&Incident| one.name.contains(only) || name.contains(only);
        for incident in incidents.iter().filter(is_asked) {
            let tally = tallies.entry((set, incident.half)).or_default();
            let (run, show) = (incident.run(&quiet), show(incident.half));
            tally.take(incident, "whole", &run, show);
            tally.take(incident, "lean", &incident.lean(&run, &quiet), show);
        }
    }
    for ((set, half), tally) in &tallies {
        let word = match half {
            Half::Tuned => "fitted",
            Half::HeldOut => "held out",
        };
        tally.print(&format!("{}, {word}", names[*set]), show(*half));
    }
    let healthy: usize = tallies.values().map(|tally| tally.missed.len()).sum();
    ensure!(healthy == 0, "{healthy} called healthy");
    Ok(())
}
