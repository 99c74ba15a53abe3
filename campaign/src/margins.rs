//! How far each detection threshold can be moved while every labelled run keeps its verdict, and how far with
//! each class of runs left out. A threshold that only one run holds in place is fitted to that run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use operator::diagnose::{Evidence, Outcome, THRESHOLDS, Threshold, Thresholds, Verdict, diagnose};
use operator::session::{Session, View};

/// The factors by which a threshold is moved, up and down.
const FACTORS: [f64; 7] = [1.1, 1.25, 1.5, 2.0, 4.0, 8.0, 16.0];

/// What must stay of a verdict: its outcome, and what broke or was planned where.
type Kept = (Outcome, Vec<(&'static str, String)>);

fn kept(verdict: &Verdict) -> Kept {
    let all = verdict.causes.iter().chain(&verdict.changes);
    let mut named: Vec<(&str, String)> =
        all.map(|one| (one.mode, one.target.name.clone())).collect();
    named.sort_unstable();
    (verdict.outcome, named)
}

/// What is kept of the verdict on a run's evidence under other thresholds.
fn judged(evidence: &mut Evidence, thresholds: Thresholds) -> Kept {
    evidence.thresholds = thresholds;
    kept(&diagnose(evidence))
}

/// The factors by which a threshold can be moved for one run, down and up; each is 1 where it cannot be moved.
fn room(evidence: &mut Evidence, threshold: &Threshold) -> [f64; 2] {
    let usual = judged(evidence, Thresholds::default());
    let mut stays =
        |factor: f64| judged(evidence, Thresholds::moved(threshold.name, factor)) == usual;
    let mut furthest = |down: bool| {
        let factor = |by: &f64| if down { 1.0 / by } else { *by };
        FACTORS.iter().take_while(|by| stays(factor(by))).last().copied().unwrap_or(1.0)
    };
    [furthest(true), furthest(false)]
}

/// The smallest factors among runs, without those of one class where it is named.
fn least(rooms: &[(String, String, [f64; 2])], but: Option<&str>) -> [f64; 2] {
    let kept = rooms.iter().filter(|(class, ..)| but.is_none_or(|but| class != but));
    kept.fold([f64::INFINITY; 2], |[down, up], (.., [a, b])| [down.min(*a), up.min(*b)])
}

/// Prints a row for each threshold: its value, how far it can be moved, which run stops it, and how far
/// it can be moved without the runs of that class.
pub fn run(folders: &[PathBuf]) -> Result<()> {
    let mut runs = Vec::new();
    for path in folders.iter().map(|folder| testkit::capture_server::captures_in(folder)) {
        for path in path? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let mut run = Session::open(&path)?.load(View::WHOLE)?.evidence()?;
            let (outcome, named) = judged(&mut run, Thresholds::default());
            let class =
                named.first().map_or(format!("{outcome:?}"), |(mode, _)| (*mode).to_owned());
            runs.push((class, name, run));
        }
    }
    println!(
        "{:<18}{:>9} {:<16}{:>7}{:>7}  {:<24}{:>7}{:>7}  source",
        "line", "at", "unit", "down", "up", "first to change", "down", "up"
    );
    for threshold in &THRESHOLDS {
        let of = |(class, name, run): &mut (String, String, Evidence)| {
            (class.clone(), name.clone(), room(run, threshold))
        };
        let rooms: Vec<(String, String, [f64; 2])> = runs.iter_mut().map(of).collect();
        let all = least(&rooms, None);
        let mut classes: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
        for (class, ..) in &rooms {
            classes.entry(class).or_insert_with(|| least(&rooms, Some(class)));
        }
        let most = |[down, up]: [f64; 2]| (down * up).ln();
        let freed = classes.iter().max_by(|a, b| most(*a.1).total_cmp(&most(*b.1)));
        let (class, without) =
            freed.filter(|(_, room)| **room != all).map_or(("-", all), |(a, b)| (*a, *b));
        let far = |factor: f64, down: bool| match (factor, down) {
            (f, _) if f >= 16.0 => "any".to_owned(),
            (f, true) => format!("/{f}"),
            (f, false) => format!("x{f}"),
        };
        println!(
            "{:<18}{:>9} {:<16}{:>7}{:>7}  {:<24}{:>7}{:>7}  {}",
            threshold.name,
            threshold.value,
            threshold.unit,
            far(all[0], true),
            far(all[1], false),
            class,
            far(without[0], true),
            far(without[1], false),
            threshold.source
        );
    }
    Ok(())
}
