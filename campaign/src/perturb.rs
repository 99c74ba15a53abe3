//! Verdicts on degraded recordings: how much of the verdict on the whole capture remains.
//!
//! The verdict on the capture as it is stands for the truth (`operator score` tells whether it is).
//! A worse recording may say less: that it cannot tell, or a broader name at the same place. That
//! nothing is broken is silent: honest only where nothing that was recorded departs. Another cause, or
//! another place, is wrong.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};

use operator::diagnose::{Cause, Outcome, Verdict, metrics};
use operator::model::{Labels, PdOutcome, TimeRange};
use operator::session::Session;
use serde_json::Value;

use testkit::run::Run;

/// A way to degrade a recording.
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

/// Kinds of evidence that an exporter, a relabelling or a permission may take away as a whole: a
/// name, and how metrics begin that belong to it.
const KINDS: [(&str, &[&str]); 8] = [
    (
        "the device's times dropped",
        &[
            "tikv_raftstore_disk_probe",
            "raft_engine_sync",
            "tikv_raftstore_store_write",
            "tikv_raftstore_append",
            "etcd_disk",
        ],
    ),
    ("waits for threads dropped", &["tikv_batch_system", "tikv_yatp", "go_sched"]),
    (
        "round trips dropped",
        &["tikv_pd_request", "scrape_duration", "etcd_network", "tikv_raftstore_inspect_network"],
    ),
    ("requests of clients dropped", &["tikv_grpc_msg", "tikv_coprocessor"]),
    (
        "what peers say dropped",
        &["tikv_server_report", "tikv_raftstore_message", "tikv_raftstore_inspect_network"],
    ),
    (
        "clocks of processes dropped",
        &["process_", "tikv_raftstore_inspect_duration", "tikv_raftstore_disk_probe"],
    ),
    ("up dropped", &["up"]),
    (
        "all but up dropped",
        &["tikv_", "raft_", "etcd_", "pd_", "process_", "go_", "scrape_", "node_"],
    ),
];

/// Degraded recordings of one run that are as many as it has metrics, targets and routes of PD's API.
fn one_by_one(run: &Run) -> Vec<(&'static str, String, Run)> {
    let without = |drop: &dyn Fn(&Labels) -> bool| {
        let mut less = run.clone();
        less.drop_series(drop);
        less
    };
    let mut found = Vec::new();
    for metric in metrics() {
        if run.series.iter().any(|one| one.labels.metric() == metric) {
            let less = without(&|labels| labels.metric() == metric);
            found.push(("one metric dropped", metric.to_owned(), less));
        }
    }
    let label = |name: &str| -> BTreeSet<String> {
        run.series.iter().filter_map(|one| one.labels.get(name).map(str::to_owned)).collect()
    };
    for job in label("job") {
        let less = without(&|labels| labels.get("job") == Some(&job));
        found.push(("one job dropped", job, less));
    }
    for instance in label("instance") {
        let of = |labels: &Labels| labels.get("instance") == Some(&instance);
        found.push(("one target dropped", instance.clone(), without(&of)));
        let less = without(&|labels| of(labels) && labels.metric() != "up");
        found.push(("one target's metrics dropped", instance.clone(), less));
        for (kind, prefixes) in &KINDS[..5] {
            let less = without(&|labels| {
                of(labels) && prefixes.iter().any(|p| labels.metric().starts_with(p))
            });
            found.push(("one target's kind dropped", format!("{instance}, {kind}"), less));
        }
    }
    for (kind, prefixes) in KINDS {
        let less = without(&|labels| prefixes.iter().any(|p| labels.metric().starts_with(p)));
        found.push((kind, String::new(), less));
    }
    let route = |path: &str| path.split('?').next().unwrap_or(path).to_owned();
    let routes: BTreeSet<String> = run.pd.iter().map(|answer| route(&answer.path)).collect();
    for one in routes {
        let mut less = run.clone();
        less.pd.retain(|answer| route(&answer.path) != one);
        found.push(("one route of PD dropped", one, less));
    }
    found
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
    Silent,
    Wrong,
}

/// The place of a cause, without a store's number: that may be another one, or unknown.
fn place(cause: &Cause) -> String {
    let address = cause.target.address.as_deref().unwrap_or(&cause.target.name);
    let host = address.split(':').next().unwrap_or(address);
    host.replace("tikv-node-", "10.77.0.")
}

/// Names that say less of the same.
pub(crate) fn is_broader(mode: &str, than: &str) -> bool {
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
    } else if whole.outcome == Outcome::Fault && now.outcome == Outcome::NoFault {
        Left::Silent
    } else {
        Left::SaysLess
    }
}

/// Prints a line for every perturbation, and one for every verdict that is wrong. Fails where one is.
pub fn run(folder: &Path, seed: u64) -> Result<()> {
    let mut runs = Vec::new();
    for path in testkit::capture_server::captures_in(folder)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let run = Run::open(&path);
        let verdict = Session::open(&path)?.verdict()?;
        println!("{name}: {}", verdict.summary);
        runs.push((name, run, verdict));
    }
    let mut tally = Tally::default();
    for one in perturbations(seed) {
        for (name, run, whole) in &runs {
            let mut run = run.clone();
            (one.change)(&mut run);
            tally.take(one.name, name, "", whole, &run.verdict());
        }
    }
    for (name, run, whole) in &runs {
        for (group, what, less) in one_by_one(run) {
            tally.take(group, name, &what, whole, &less.verdict());
        }
    }
    let wrong = tally.print();
    ensure!(wrong == 0, "{wrong} verdicts are wrong");
    Ok(())
}

/// What became of the verdicts, by perturbation in the order of their coming.
#[derive(Default)]
struct Tally {
    counts: Vec<(&'static str, [usize; 4])>,
    told: Vec<String>,
}

impl Tally {
    fn take(&mut self, group: &'static str, run: &str, what: &str, whole: &Verdict, now: &Verdict) {
        let became = left(whole, now);
        if !self.counts.iter().any(|(known, _)| *known == group) {
            self.counts.push((group, [0; 4]));
        }
        let counts = self.counts.iter_mut().find(|(known, _)| *known == group);
        counts.expect("it was just added").1[became as usize] += 1;
        let word = match became {
            Left::Silent => "silent",
            Left::Wrong => "wrong",
            Left::Stays | Left::SaysLess => return,
        };
        self.told.push(format!("{word}: {run}, {group} {what}: {}", now.summary));
        let first = now.causes.iter().filter_map(|cause| cause.evidence.first());
        self.told.extend(first.map(|reason| format!("    {}", reason.text)));
    }

    /// Prints all, and returns how many verdicts are wrong.
    fn print(&self) -> usize {
        let row = |name: &str, [stays, less, silent, wrong]: [usize; 4]| {
            println!("{name:<32} {stays:>6} {less:>10} {silent:>7} {wrong:>6}");
        };
        println!("\n{:<32} {:>6} {:>10} {:>7} {:>6}", "", "stays", "says less", "silent", "wrong");
        let mut total = [0; 4];
        for (name, counts) in &self.counts {
            total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            row(name, *counts);
        }
        row("all", total);
        self.told.iter().for_each(|line| println!("{line}"));
        total[Left::Wrong as usize]
    }
}
