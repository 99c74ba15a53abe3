//! Whether diagnosis finds faults that no capture holds: each mechanism is laid over the quiet part of each
//! run, at each node, at several times, lengths and magnitudes; and real faults made shorter,
//! milder, earlier and open.

mod faults;
mod together;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use operator::diagnose::{Cause, Outcome, Verdict};
use operator::model::TimeRange;

use faults::{Fault, GONE, MEMBERS, REQUESTS, load_faults, member_faults, store_faults};
use testkit::run::Run;

/// What a verdict should say of one fault: a mode and its target's name.
#[derive(Clone, Debug)]
struct Truth {
    modes: &'static [&'static str],
    /// Say less of the same.
    broader: &'static [&'static str],
    target: String,
    from: i64,
}

/// A fault that is laid over a run.
struct Case {
    name: String,
    run: Run,
    /// Every fault in it; none of a quiet run.
    truths: Vec<Truth>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    Right,
    Late,
    Broader,
    Missed,
    Wrong,
}

/// The worst that the verdict says of any fault: one cause each, and no other.
fn left(case: &Case, verdict: &Verdict) -> Left {
    let same = |cause: &Cause, truth: &Truth| {
        cause.target.name == truth.target
            && (truth.modes.contains(&cause.mode) || truth.broader.contains(&cause.mode))
    };
    let known = |cause: &Cause| case.truths.iter().any(|truth| same(cause, truth));
    if !verdict.causes.iter().all(known) || verdict.causes.len() > case.truths.len() {
        return Left::Wrong;
    }
    let each = case.truths.iter().map(|truth| {
        let Some(cause) = verdict.causes.iter().find(|cause| same(cause, truth)) else {
            return Left::Missed;
        };
        let off = cause.onset_ms - case.run.at(truth.from);
        match truth.broader.contains(&cause.mode) {
            true => Left::Broader,
            false if off.abs() > 15_000 => Left::Late,
            false => Left::Right,
        }
    });
    each.max().unwrap_or(Left::Right)
}

/// The quiet part of a run before its injection, end to end.
fn quiet(run: &Run, inject_s: i64) -> Run {
    let mut run = run.clone();
    run.cut(run.range(inject_s - 125, inject_s - 5));
    run.repeat(4);
    run
}

const SPANS: [(i64, i64); 6] =
    [(65, 125), (200, 225), (200, 235), (200, 290), (240, 400), (300, 10_000)];

/// What a mechanism's cases came to.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, [usize; 5]>,
    told: Vec<String>,
}

impl Tally {
    fn take(&mut self, group: &str, case: &Case) {
        let verdict = case.run.verdict();
        let what = left(case, &verdict);
        self.counts.entry(group.to_owned()).or_default()[what as usize] += 1;
        if !matches!(what, Left::Right | Left::Broader) {
            let causes: Vec<String> = verdict
                .causes
                .iter()
                .map(|one| {
                    let onset = (one.onset_ms - case.run.window.start) / 1000;
                    format!("{} {} @{onset} {}", one.mode, one.target.name, one.confidence)
                })
                .collect();
            let lost: Vec<String> = verdict
                .alternatives
                .iter()
                .map(|one| format!("{} {} {}", one.mode, one.target.name, one.confidence))
                .collect();
            let changes: Vec<&str> = verdict.changes.iter().map(|one| one.mode).collect();
            let want = case
                .truths
                .iter()
                .map(|truth| format!("{} {} @{}", truth.modes[0], truth.target, truth.from));
            let want: Vec<String> = want.collect();
            let word = ["right", "late", "broader", "missed", "wrong"][what as usize];
            self.told.push(format!(
                "{word} {group} | {}: want {want:?}, got {causes:?} lost {lost:?} changes {changes:?}",
                case.name
            ));
        }
    }
}

/// The instant of each bundled run's injection, in Unix milliseconds.
const INJECTED: [(&str, i64); 10] = [
    ("chaos-01", 1_795_537_269_202),
    ("chaos-02", 1_795_537_850_204),
    ("chaos-03", 1_795_538_433_779),
    ("chaos-04", 1_795_539_020_508),
    ("chaos-05", 1_795_539_574_496),
    ("chaos-06", 1_795_540_126_258),
    ("chaos-07", 1_795_576_201_186),
    ("chaos-08", 1_795_576_687_518),
    ("chaos-09", 1_795_578_718_639),
    ("chaos-10", 1_795_579_869_871),
];

fn lay_over(tally: &mut Tally, base: &str, run: &Run, only: &str) {
    let end = run.window.millis() / 1000;
    let mut each = |faults: Vec<Fault>, nodes: usize, target: &dyn Fn(usize) -> String| {
        for one in faults.iter().filter(|one| one.name.contains(only)) {
            for node in 0..nodes {
                for (from, to) in SPANS {
                    if to.min(end) - from < one.least_s {
                        continue;
                    }
                    let mut run = run.clone();
                    (one.lay)(&mut run, node, from, to);
                    let truth = Truth {
                        modes: one.modes,
                        broader: one.broader,
                        target: target(node),
                        from,
                    };
                    let name = format!("{base} node {node} {from}-{to}");
                    // Clients are held up meanwhile and ask for more afterwards.
                    let mut held_up = run.clone();
                    let until = to.min(end);
                    held_up.scale_rise(REQUESTS, run.range(from, until), 0.3);
                    held_up.scale_rise(REQUESTS, run.range(until, until + 60), 1.6);
                    if one.modes[0] != "traffic_surge" {
                        let name = format!("{name} held up");
                        let truths = vec![truth.clone()];
                        tally.take("clients held up", &Case { name, run: held_up, truths });
                    }
                    tally.take(one.name, &Case { name, run, truths: vec![truth] });
                }
            }
        }
    };
    let stores = run.stores().len();
    each(store_faults(), stores, &|node| run.store(node).2);
    each(member_faults(), 3, &|node| MEMBERS[node].to_owned());
    each(load_faults(), 1, &|_| "workload".to_owned());
}

/// What the bundled faults are, and how long they last.
const REAL: [(&str, &str, &str, i64); 7] = [
    ("chaos-02", "store_crash", "store 4", 210),
    ("chaos-03", "slow_disk", "store 1", 210),
    ("chaos-04", "pd_leader_crash", "pd0", 180),
    ("chaos-05", "hot_region_write", "workload", 210),
    ("chaos-07", "store_partition", "store 1", 150),
    ("chaos-08", "store_pause", "store 1", 150),
    ("chaos-09", "traffic_surge", "workload", 150),
];

fn real(
    tally: &mut Tally,
    run: &Run,
    fault: (&str, &'static str, &str, i64),
    from: i64,
    only: &str,
) {
    let (name, mode, target, lasts) = fault;
    let to = from + lasts;
    let modes: &'static [&'static str] = match mode {
        "store_crash" => &["store_crash"],
        "slow_disk" => &["slow_disk"],
        "pd_leader_crash" => &["pd_leader_crash"],
        "hot_region_write" => &["hot_region_write"],
        "store_partition" => &["store_partition"],
        "store_pause" => &["store_pause"],
        _ => &["traffic_surge"],
    };
    let broader: &'static [&'static str] =
        if matches!(mode, "store_partition" | "store_pause") { GONE } else { &[] };
    let mut take = |group: &str, what: String, run: Run, from: i64| {
        if !group.contains(only) {
            return;
        }
        let truth = Truth { modes, broader, target: target.to_owned(), from };
        tally.take(group, &Case { name: format!("{name} {what}"), run, truths: vec![truth] });
    };
    for length in [30, 45, 60, 75, 90, 120] {
        let modes_differ = mode == "store_crash" && length < 90;
        if to - from > length && !modes_differ {
            let mut shorter = run.clone();
            shorter.splice(run.range(from + length, to));
            take("real, shorter", format!("{length} s"), shorter, from);
        }
    }
    for before in [60, 75, 90, 120] {
        let mut earlier = run.clone();
        // Clients begin in the first seconds.
        earlier.splice(run.range(15, 15 + from - before));
        take("real, earlier", format!("{before} s"), earlier, before);
        let mut cut = run.clone();
        cut.cut(TimeRange::new(run.at(from - before), run.window.end));
        take("real, cut before", format!("{before} s"), cut, before);
    }
    for after in [45, 60, 75, 90, 120] {
        let mut open = run.clone();
        open.cut(run.range(0, from + after));
        take("real, open", format!("{after} s"), open, from);
    }
    if matches!(mode, "slow_disk" | "traffic_surge" | "hot_region_write") {
        for factor in [0.25, 0.5, 0.75, 2.0, 4.0] {
            let mut other = run.clone();
            other.blend(run.range(from, to + 60), factor);
            take("real, blended", format!("x {factor}"), other, from);
        }
    }
}

/// Load that falls and comes back: nothing is broken, as far as anybody can see.
fn dips(tally: &mut Tally, name: &str, base: &Run) {
    for (from, to) in [(65, 110), (65, 180), (120, 240), (200, 260), (200, 400)] {
        for factor in [0.02, 0.3, 0.6] {
            let mut run = base.clone();
            run.scale_rise(REQUESTS, run.range(from, to), factor);
            let name = format!("{name} {from}-{to} x {factor}");
            tally.take("dips", &Case { name, run, truths: Vec::new() });
        }
    }
}

/// Sub-windows without a fault: none may have a cause.
fn quiet_windows(tally: &mut Tally, name: &str, run: &Run, until: i64) {
    for length in [120, 180, 300] {
        for start in (0..=(until - length).max(0)).step_by(15) {
            let mut part = run.clone();
            part.cut(run.range(start, (start + length).min(until)));
            let mut at = 60;
            while at <= length.min(until - start) {
                let mut seen = part.clone();
                seen.window = TimeRange::new(part.window.start, part.at(at));
                let verdict = seen.verdict();
                let case = Case {
                    name: format!("{name} {start}+{length} at {at}"),
                    run: seen,
                    truths: Vec::new(),
                };
                let bad = verdict.outcome == Outcome::Fault;
                let entry = tally.counts.entry("quiet windows".to_owned()).or_default();
                entry[if bad { Left::Wrong } else { Left::Right } as usize] += 1;
                if bad {
                    tally.take("quiet, false", &case);
                }
                at += 15;
            }
        }
    }
}

/// Prints a line for every mechanism, and one for every verdict that is not right.
pub fn run(folder: &Path, only: &str) -> Result<()> {
    let mut tally = Tally::default();
    for (name, injected) in INJECTED {
        let run = Run::open(&folder.join(format!("{name}.capture")));
        let injected = (injected - run.window.start.as_millis()) / 1000;
        if !only.starts_with("real") && !only.starts_with("quiet") {
            let base = quiet(&run, injected);
            let verdict = base.verdict();
            if verdict.outcome != Outcome::NoFault || !verdict.changes.is_empty() {
                println!("{name} as base: {}", verdict.summary);
            }
            lay_over(&mut tally, name, &base, only);
            together::lay_over(&mut tally, name, &base, only);
        }
        if let Some(fault) = REAL.iter().find(|(one, ..)| *one == name) {
            real(&mut tally, &run, *fault, injected, only);
        }
        if "dips".contains(only) || only.is_empty() {
            dips(&mut tally, name, &quiet(&run, injected));
        }
        if "quiet".contains(only) || only.is_empty() {
            let until = match name {
                "chaos-01" | "chaos-06" | "chaos-10" => run.window.millis() / 1000,
                _ => injected,
            };
            quiet_windows(&mut tally, name, &run, until);
        }
    }
    println!(
        "\n{:<24}{:>7}{:>7}{:>9}{:>8}{:>7}",
        "", "right", "late", "broader", "missed", "wrong"
    );
    let mut sum = [0; 5];
    for (group, counts) in &tally.counts {
        let [right, late, broader, missed, wrong] = counts;
        println!("{group:<24}{right:>7}{late:>7}{broader:>9}{missed:>8}{wrong:>7}");
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [right, late, broader, missed, wrong] = sum;
    println!("{:<24}{right:>7}{late:>7}{broader:>9}{missed:>8}{wrong:>7}", "all");
    tally.told.iter().for_each(|line| println!("{line}"));
    Ok(())
}
