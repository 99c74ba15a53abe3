//! A process that uses all cores that it may use: whatever it does for others waits for one.
//!
//! Official alerts warn of 80 % for an instant (`TiKV_cpu_quota`, `PD_cpu_quota`), which a burst reaches.

use crate::diagnose::failure_modes::unexplained::quantities::is_load;
use crate::diagnose::findings::finding::{FindingKind, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::invariants::above;
use crate::diagnose::observations::tracks::{Point, Track};

/// The CPU time of a process, in seconds.
pub const CPU: &str = "process_cpu_seconds_total";
/// How many cores it may use: of a store, and of a member of PD.
pub const CORES: &str = "tikv_server_cpu_cores_quota";
pub const CORES_OF_PD: &str = "pd_service_maxprocs";

/// From which share of its cores on it has none left. No store uses more than a fifth of its own in the bundled runs.
const FULL: f64 = 0.9;
/// For how long, in milliseconds, as for a [thread](super::threads).
const LASTS_MS: i64 = 300_000;
/// How sure it is that a process at its limit holds others up.
const SURE: f64 = 0.6;

/// A claim for each store and member that has no core left.
pub fn claims(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let nodes = &observed.evidence.nodes;
    let stores = nodes.stores.iter().enumerate().filter_map(|(index, store)| {
        let mut claim = of(observed, Target::store(store), (store.instance.as_deref()?, CORES))?;
        claim.stores = vec![index];
        Some(claim)
    });
    let members = observed.member_names.iter().filter_map(|name| {
        let instance = nodes.instance_of_member(name)?;
        let target = Target::member(name, nodes.member_address(name));
        of(observed, target, (&instance, CORES_OF_PD))
    });
    stores.chain(members).collect()
}

fn of(
    observed: &ObservedWindow<'_>,
    target: Target,
    (instance, cores): (&str, &str),
) -> Option<Claim> {
    let series = &observed.evidence.series;
    let used = series.rate(CPU, instance, |_| true);
    let share = share(&used, &series.gauge(cores, instance, |_| true));
    let interval_ms = series.interval_of(instance).max(1);
    let hold = (LASTS_MS / interval_ms).max(2) as usize;
    let stretch = above(&share, FULL, hold).pop()?;
    let from_start = stretch.range.start - observed.evidence.window.start <= 4 * interval_ms;
    if is_load(observed, stretch.range.start) && !from_start {
        return None;
    }
    let mut claim = Claim::new(target.clone(), stretch.range.start, interval_ms, SURE);
    claim.end = (!stretch.lasts).then_some(stretch.range.end);
    let percent = number((100.0 * stretch.peak).round());
    let reading = crossing(Crossing {
        kind: FindingKind::ThreadsSaturated,
        target,
        range: stretch.range,
        uncertainty_ms: interval_ms,
        lasts: stretch.lasts,
        text: format!("the process uses all cores that it may use ({percent} % at its peak)"),
        read: (
            &format!("rate({CPU}{{instance={instance:?}}}[1m]) / {cores}"),
            number(stretch.peak),
        ),
        plot: vec![plot(CPU, PlotHow::Rate, instance)],
    });
    claim.readings.push(reading.read_at(stretch.peak_at));
    Some(claim.but("it may have that much to do"))
}

/// What share of its cores a process uses; nothing where none are known.
fn share(used: &Track, cores: &Track) -> Track {
    let of = |point: &Point| {
        let cores = cores.last_by(point.at)?.value;
        (cores > 0.0).then(|| Point { value: point.value / cores, ..*point })
    };
    Track(used.0.iter().filter_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_cores_that_are_known_by_then() {
        let used = Track::every(15_000, [1.0, 1.8, 3.6]);
        let cores = Track::every(15_000, [2.0, 2.0, 4.0]);
        let shares: Vec<f64> = share(&used, &cores).values().collect();
        assert_eq!(shares, [0.5, 0.9, 0.9]);
        assert_eq!(share(&used, &Track::default()).0, []);
        assert_eq!(share(&used, &Track::every(15_000, [0.0])).0, []);
    }
}
