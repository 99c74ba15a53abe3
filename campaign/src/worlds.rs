//! The verdicts on labelled runs in every world, beside the verdict of the lab.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use operator::diagnose::{Cause, Outcome, TargetKind, Verdict};
use testkit::run::Run;
use testkit::worlds::{WORLDS, World};

use crate::perturb::is_broader;

/// What became of a verdict in another world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Became {
    Right,
    Wrong,
    FalseCause,
    SaysLess,
    CannotTell,
    Missed,
}

/// A verdict as far as worlds are compared by it: the outcome, and each cause with the store or the kind of
/// thing that it names. A member of PD has another name in each world.
fn gist(verdict: &Verdict) -> String {
    let causes = verdict.causes.iter().map(|cause| {
        let target = &cause.target;
        let named = match target.kind {
            TargetKind::Store => target.name.as_str(),
            TargetKind::PdMember => "a member",
            _ => target.name.as_str(),
        };
        format!(" {}@{named}", cause.mode)
    });
    let outcome = match verdict.outcome {
        Outcome::Fault => "fault",
        Outcome::NoFault => "no_fault",
        Outcome::CannotTell => "cannot_tell",
    };
    format!("{outcome}{}", causes.collect::<String>())
}

fn became(lab: &Verdict, now: &Verdict) -> Became {
    match (lab.outcome, now.outcome) {
        _ if gist(lab) == gist(now) => Became::Right,
        (_, Outcome::CannotTell) => Became::CannotTell,
        (Outcome::Fault, Outcome::Fault) if is_less(lab, now) => Became::SaysLess,
        (Outcome::Fault, Outcome::NoFault) => Became::Missed,
        (Outcome::NoFault | Outcome::CannotTell, _) => Became::FalseCause,
        _ => Became::Wrong,
    }
}

/// Whether every cause is the lab's at the same place, some by a broader name.
fn is_less(lab: &Verdict, now: &Verdict) -> bool {
    let is_same = |(lab, now): (&Cause, &Cause)| {
        lab.target.name == now.target.name
            && (lab.mode == now.mode || is_broader(now.mode, lab.mode))
    };
    lab.causes.len() == now.causes.len() && lab.causes.iter().zip(&now.causes).all(is_same)
}

/// Onsets that lie farther from the lab's than both say they may be off.
fn off(lab: &Verdict, now: &Verdict) -> Vec<String> {
    let pairs = lab.causes.iter().chain(&lab.changes).zip(now.causes.iter().chain(&now.changes));
    let same = pairs.filter(|(lab, now)| lab.mode == now.mode);
    same.filter_map(|(lab, now)| {
        let by = now.onset_ms - lab.onset_ms;
        let may_be = lab.onset_uncertainty_ms + now.onset_uncertainty_ms;
        (by.abs() > may_be).then(|| {
            let (by, may_be) = (by as f64 / 1e3, may_be as f64 / 1e3);
            format!("the onset of {} is off by {by} s, and says {may_be} s", now.mode)
        })
    })
    .collect()
}

/// Prints a row for each world and a line for each verdict that differs from the lab's; fails where a cause is
/// wrong, or where a world that lacks nothing says less.
pub fn run(folder: &Path, only: &[String]) -> Result<()> {
    let mut runs = Vec::new();
    for path in testkit::capture_server::captures_in(folder)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let run = Run::open(&path);
        let verdict = run.verdict();
        println!("{name}: {}", gist(&verdict));
        runs.push((name, run, verdict));
    }
    println!(
        "\n{:<26} {:>6} {:>6} {:>12} {:>10} {:>12} {:>7}",
        "", "right", "wrong", "false cause", "says less", "cannot tell", "missed"
    );
    let mut fails = 0;
    for world in WORLDS.iter().filter(|one| only.is_empty() || only.iter().any(|n| n == one.name)) {
        fails += row(world, &runs);
    }
    if fails > 0 {
        bail!("{fails} verdicts fall short");
    }
    Ok(())
}

fn row(world: &World, runs: &[(String, Run, Verdict)]) -> usize {
    let mut counts: BTreeMap<Became, usize> = BTreeMap::new();
    let mut told = Vec::new();
    let mut fails = 0;
    for (name, run, lab) in runs {
        if world.told.is_some_and(|(only, _)| only != name) {
            continue;
        }
        let mut run = run.clone();
        (world.change)(&mut run);
        let now = run.verdict();
        let wanted = world.told.map_or_else(|| gist(lab), |(_, told)| told.to_owned());
        let became = match became(lab, &now) {
            _ if gist(&now) == wanted => Became::Right,
            // A world that says more than the lab does must not say as little.
            Became::Right => Became::Missed,
            other => other,
        };
        told.extend(off(lab, &now).into_iter().map(|text| format!("  {name}: {text}")));
        *counts.entry(became).or_default() += 1;
        if became != Became::Right {
            let says_less = matches!(became, Became::CannotTell | Became::SaysLess);
            let excused = says_less && world.lacks.is_some();
            fails += usize::from(!excused);
            let mark = if excused { "says less" } else { "falls short" };
            told.push(format!(
                "  {mark}: {name} wants {}, got {}: {}",
                wanted,
                gist(&now),
                now.summary
            ));
        }
    }
    let count = |became| counts.get(&became).copied().unwrap_or(0);
    println!(
        "{:<26} {:>6} {:>6} {:>12} {:>10} {:>12} {:>7}",
        world.name,
        count(Became::Right),
        count(Became::Wrong),
        count(Became::FalseCause),
        count(Became::SaysLess),
        count(Became::CannotTell),
        count(Became::Missed)
    );
    told.iter().for_each(|line| println!("{line}"));
    fails
}
