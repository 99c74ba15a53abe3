//! A thread that uses a whole core, which is all that a thread can use: what it does for others waits for it.
//!
//! Pools of threads that share their work are judged by modes of their own; here any single thread counts, but for
//! those that are meant to be busy: compactions, backups, imports, and reads of clients.

use crate::diagnose::failure_modes::unexplained::quantities::is_load;
use crate::diagnose::findings::finding::{Finding, FindingKind, Plot, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::invariants::{Stretch, above};
use crate::model::Series;

/// The CPU time of each thread of TiKV, in seconds.
pub const THREADS: &str = "tikv_thread_cpu_seconds_total";

/// From which share of a core on a thread is at its limit. TiKV's own alerts and documents call 80 % of a pool
/// saturated; a single thread must come closer.
const FULL: f64 = 0.9;
/// For how long, in milliseconds: a scan, or regions that split, are over sooner.
const LASTS_MS: i64 = 300_000;
/// How sure it is that a thread which is at its limit holds others up.
const SURE: f64 = 0.6;
/// The most threads of a node that are told.
const TOLD: usize = 3;

/// Parts of the names of threads that are meant to be busy while there is something to do: in the background of a
/// store regions are split, checked, moved and cleaned, and old versions are removed.
const BUSY: [&str; 18] = [
    "background",
    "backup",
    "bkwkr",
    "check",
    "clean",
    "compact",
    "cop",
    "gc",
    "import",
    "impwkr",
    "purge",
    "read_po",
    "region",
    "rocksdb",
    "scan",
    "snap",
    "split",
    "sst",
];

/// A claim for each store with such threads.
pub fn claims(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let stores = observed.evidence.nodes.stores.iter().enumerate();
    let found = stores.filter_map(|(index, store)| {
        let mut claim = of(observed, Target::store(store), store.instance.as_deref()?)?;
        claim.stores = vec![index];
        Some(claim)
    });
    found.collect()
}

fn of(observed: &ObservedWindow<'_>, target: Target, instance: &str) -> Option<Claim> {
    let table = &observed.evidence.series;
    let interval_ms = table.interval_of(instance).max(1);
    let mut found: Vec<(Stretch, &str)> = table
        .of(THREADS, instance)
        .filter_map(|thread| {
            let name = thread.labels.get("name")?;
            let stretch = at_limit(observed, thread, instance, interval_ms)?;
            (!BUSY.iter().any(|part| name.contains(part))).then_some((stretch, name))
        })
        .collect();
    found.sort_by(|a, b| b.0.peak.total_cmp(&a.0.peak).then_with(|| a.1.cmp(b.1)));
    found.truncate(TOLD);
    let onset = found.iter().map(|(stretch, _)| stretch.range.start).min()?;
    let from_start = onset - observed.evidence.window.start <= 4 * interval_ms;
    if is_load(observed, onset) && !from_start {
        return None;
    }
    let mut claim = Claim::new(target.clone(), onset, interval_ms, SURE);
    let lasts = found.iter().any(|(stretch, _)| stretch.lasts);
    claim.end = found.iter().map(|(stretch, _)| stretch.range.end).max().filter(|_| !lasts);
    let told = found.iter().map(|one| finding(one, instance, &target, interval_ms));
    claim.readings = told.collect();
    Some(claim.but("it may have that much to do"))
}

/// The last time for which a thread was at its limit long enough.
fn at_limit(
    observed: &ObservedWindow<'_>,
    thread: &Series,
    instance: &str,
    interval_ms: i64,
) -> Option<Stretch> {
    let rate = observed.evidence.series.rate(THREADS, instance, |labels| *labels == thread.labels);
    let hold = (LASTS_MS / interval_ms).max(2) as usize;
    above(&rate, FULL, hold).pop()
}

fn finding(
    (stretch, name): &(Stretch, &str),
    instance: &str,
    target: &Target,
    uncertainty_ms: i64,
) -> Finding {
    let of = format!("{THREADS}{{name={name:?},instance={instance:?}}}");
    let reading = crossing(Crossing {
        kind: FindingKind::ThreadsSaturated,
        target: target.clone(),
        range: stretch.range,
        uncertainty_ms,
        lasts: stretch.lasts,
        text: format!(
            "thread {name} uses a whole core ({} % at its peak)",
            number((100.0 * stretch.peak).round())
        ),
        read: (&format!("rate({of}[1m])"), number(stretch.peak)),
        plot: vec![Plot {
            metric: THREADS.to_owned(),
            how: PlotHow::Rate,
            instance: instance.to_owned(),
            label: Some(("name".to_owned(), (*name).to_owned())),
        }],
    });
    reading.read_at(stretch.peak_at)
}
