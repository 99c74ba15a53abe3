//! Captures that are worse recorded than they were: what of the verdict is left.
//!
//! The verdict on the capture as it is stands for the truth (`operator score` tells whether it is).
//! A worse recording may say less: nothing, that it cannot tell, or a broader name at the same
//! place. Another cause, or another place, is wrong.

use std::path::Path;

use anyhow::Result;
use operator::diagnose::{Cause, Outcome, Verdict};
use operator::model::{Labels, PdOutcome, TimeRange};
use serde_json::Value;

use crate::run::Run;

/// A way to record worse.
struct Perturbation {
    name: &'static str,
    change: Box<dyn Fn(&mut Run)>,
}

fn perturbation(name: &'static str, change: impl Fn(&mut Run) + 'static) -> Perturbation {
    Perturbation { name, change: Box::new(change) }
}

fn perturbations(seed: u64) -> Vec<Perturbation> {
    vec![
        perturbation("a tenth of the series dropped", move |run| drop_share(run, 0.1, seed)),
        perturbation("a third of the series dropped", move |run| drop_share(run, 0.33, seed)),
        perturbation("half of the series dropped", move |run| drop_share(run, 0.5, seed)),
        perturbation("every second scrape dropped", Run::halve_scrapes),
        perturbation("pd0 unseen", |run| unseen(run, "pd0")),
        perturbation("pd1 unseen", |run| unseen(run, "pd1")),
        perturbation("pd2 unseen", |run| unseen(run, "pd2")),
        perturbation("PD unseen", |run| run.pd.clear()),
        perturbation("Prometheus unseen", |run| run.series.clear()),
        perturbation("first minute cut", |run| cut(run, 60, i64::MAX)),
        perturbation("first two minutes cut", |run| cut(run, 120, i64::MAX)),
        perturbation("last minute cut", |run| cut(run, 0, run.window.millis() / 1000 - 60)),
        perturbation("last three minutes cut", |run| cut(run, 0, run.window.millis() / 1000 - 180)),
        perturbation("second half cut", |run| cut(run, 0, run.window.millis() / 2000)),
        perturbation("hosts renamed", |run| run.rename_host("10.77.0.", "tikv-node-")),
        perturbation("stores renumbered", renumber),
        perturbation("load x 0.3", |run| run.scale_load(0.3)),
        perturbation("load x 20", |run| run.scale_load(20.0)),
    ]
}

/// Drops series by a hash of their labels and the seed: the same ones on every machine.
fn drop_share(run: &mut Run, share: f64, seed: u64) {
    run.drop_series(|labels| {
        let mut bytes = Vec::new();
        labels.encode(&mut bytes);
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, seed);
        (hash as f64 / u64::MAX as f64) < share
    });
}

fn unseen(run: &mut Run, member: &str) {
    run.pd.retain(|answer| answer.member != member);
}

fn cut(run: &mut Run, from_s: i64, to_s: i64) {
    let end = run.window.start.saturating_add_millis(to_s.saturating_mul(1000));
    run.cut(TimeRange::new(run.at(from_s), end.min(run.window.end)));
}

/// Every store gets another number, in PD's answers and in labels.
fn renumber(run: &mut Run) {
    let other = |id: u64| 1000 + 7 * id;
    for series in &mut run.series {
        let pairs = series.labels.iter().map(|(name, value)| {
            let id = value.parse().ok().filter(|_| matches!(name, "store_id" | "store"));
            (name.to_owned(), id.map_or_else(|| value.to_owned(), |id| other(id).to_string()))
        });
        series.labels = Labels::new(pairs.collect()).expect("names stay distinct");
    }
    for answer in &mut run.pd {
        if let PdOutcome::Answered { body, .. } = &mut answer.outcome
            && let Ok(mut value) = serde_json::from_slice::<Value>(body)
        {
            renumber_value(&mut value, &other);
            *body = value.to_string().into_bytes().into();
        }
    }
}

fn renumber_value(value: &mut Value, other: &impl Fn(u64) -> u64) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| renumber_value(one, other)),
        Value::Object(map) => {
            for (key, one) in map.iter_mut() {
                match (key.as_str(), one.as_u64()) {
                    ("store_id", Some(id)) => *one = other(id).into(),
                    _ => renumber_value(one, other),
                }
            }
            if let Some(id) = map.get("address").and(map.get("id")).and_then(Value::as_u64) {
                map.insert("id".to_owned(), other(id).into());
            }
        }
        _ => {}
    }
}

/// What became of a verdict.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Stays,
    SaysLess,
    Wrong,
}

/// The place of a cause, without a store's number: that may be another one, or unknown.
fn place(cause: &Cause) -> String {
    let address = cause.target.address.as_deref().unwrap_or(&cause.target.name);
    let host = address.split(':').next().unwrap_or(address);
    host.replace("tikv-node-", "10.77.0.")
}

/// Names that say less of the same.
fn is_broader(mode: &str, than: &str) -> bool {
    than.starts_with("store_") && matches!(mode, "store_unreachable" | "store_crash")
}

fn left(whole: &Verdict, now: &Verdict) -> Left {
    let is = |cause: &Cause, broader: bool| {
        whole.causes.iter().any(|one| {
            place(one) == place(cause)
                && (one.mode == cause.mode || broader && is_broader(cause.mode, one.mode))
        })
    };
    if !now.causes.iter().all(|cause| is(cause, true)) {
        Left::Wrong
    } else if now.causes.len() == whole.causes.len()
        && now.causes.iter().all(|cause| is(cause, false))
        && (now.outcome == whole.outcome || whole.outcome == Outcome::Fault)
    {
        Left::Stays
    } else {
        Left::SaysLess
    }
}

/// Prints a line for every perturbation, and one for every verdict that is wrong.
pub fn run(folder: &Path, seed: u64) -> Result<()> {
    let mut runs = Vec::new();
    for path in crate::stand::captures_in(folder)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let run = Run::open(&path);
        let verdict = run.verdict();
        println!("{name}: {}", verdict.summary);
        runs.push((name, run, verdict));
    }
    println!("\n{:<32} {:>6} {:>10} {:>6}", "", "stays", "says less", "wrong");
    let mut total = [0; 3];
    let mut wrong = Vec::new();
    for one in perturbations(seed) {
        let mut counts = [0; 3];
        for (name, run, whole) in &runs {
            let mut run = run.clone();
            (one.change)(&mut run);
            let now = run.verdict();
            let what = left(whole, &now);
            counts[what as usize] += 1;
            if what == Left::Wrong {
                wrong.push(format!("{name}, {}: {}", one.name, now.summary));
            }
        }
        for (sum, count) in total.iter_mut().zip(counts) {
            *sum += count;
        }
        println!("{:<32} {:>6} {:>10} {:>6}", one.name, counts[0], counts[1], counts[2]);
    }
    println!("{:<32} {:>6} {:>10} {:>6}", "all", total[0], total[1], total[2]);
    wrong.iter().for_each(|line| println!("wrong: {line}"));
    Ok(())
}
