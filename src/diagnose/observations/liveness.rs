//! Whether a process that no observer reached went on meanwhile. After the scrape gap, this is what
//! distinguishes a frozen process from one that was cut off.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::outages::Outage;
use crate::model::TimeRange;

/// What a process's own counters show about a scrape gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Liveness {
    /// They stood still for a part of it.
    StoodStill {
        /// How long the counter made no progress, in milliseconds.
        frozen_ms: i64,
        /// The gap, from the last sample before to the first one after.
        gap: TimeRange,
        /// The metric whose increase shows it.
        counter: &'static str,
    },
    /// They went on at their usual pace.
    MovedOn {
        /// The increase divided by the usual one.
        share: f64,
        /// The gap, from the last sample before to the first one after.
        gap: TimeRange,
        /// The metric whose increase shows it.
        counter: &'static str,
    },
    /// There is no sample after the gap, or no steady counter.
    Unknown,
}

/// A counter that rises at a steady pace, and which shares of its usual increase mean what.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The name of the metric.
    pub counter: &'static str,
    /// The largest share of the usual increase at which the process stood still.
    pub frozen: f64,
    /// The least share of the usual increase at which it went on. Shares in between decide nothing.
    pub alive: f64,
}

/// The steady counters of TiKV, the most reliable first. TiKV inspects its raftstore every 100 ms (`inspect-interval`) and its disk
/// every second whatever the load: a gap begins and ends up to one scrape off, so that a frozen
/// process still shows a part of the increase, hence a half. A process that lacks CPU inspects less often and
/// still probes its disk, so both have to stand still. It asks PD for a timestamp every
/// second, and less often where PD is not reached. A store that is cut off uses little CPU, so only next
/// to none means frozen.
const CLOCKS: [Clock; 4] = [
    Clock { counter: "tikv_raftstore_inspect_duration_seconds_count", frozen: 0.5, alive: 0.75 },
    Clock { counter: "tikv_raftstore_disk_probe_duration_seconds_count", frozen: 0.5, alive: 0.75 },
    Clock { counter: "tikv_pd_request_duration_seconds_count", frozen: 0.3, alive: 0.5 },
    Clock { counter: "process_cpu_seconds_total", frozen: 0.1, alive: 0.3 },
];

/// How many of the counters, from the first on, rise whether or not anybody reaches the process.
const OWN_PACE: usize = 2;

/// The steady counter of PD: only CPU time is steady, and a member that no longer leads uses a fifth
/// of it.
pub const PD_CLOCKS: [Clock; 1] =
    [Clock { counter: "process_cpu_seconds_total", frozen: 0.15, alive: 0.3 }];

/// What the counters of a store show about its outage.
pub fn liveness_across(evidence: &Evidence, outage: &Outage) -> Liveness {
    let Some(instance) = evidence.nodes.stores[outage.store].instance.as_deref() else {
        return Liveness::Unknown;
    };
    let Some(scrapes) = &outage.scrapes else { return Liveness::Unknown };
    let Some(next) = scrapes.silence.next else { return Liveness::Unknown };
    liveness_in_gap(evidence, instance, TimeRange::new(scrapes.silence.last, next), &CLOCKS)
}

/// Compares each counter's increase across the gap with its pace in the two minutes before.
pub fn liveness_in_gap(
    evidence: &Evidence,
    instance: &str,
    gap: TimeRange,
    clocks: &[Clock],
) -> Liveness {
    let shown: Vec<Liveness> = clocks
        .iter()
        .filter_map(|clock| liveness_by_clock(evidence, instance, gap, clock))
        .collect();
    let moves = |liveness: &&Liveness| match liveness {
        Liveness::MovedOn { counter, .. } => {
            clocks.iter().take(OWN_PACE).any(|clock| clock.counter == *counter)
        }
        _ => false,
    };
    shown.iter().find(moves).or(shown.first()).copied().unwrap_or(Liveness::Unknown)
}

/// What one counter shows; `None` where it decides nothing.
fn liveness_by_clock(
    evidence: &Evidence,
    instance: &str,
    gap: TimeRange,
    &Clock { counter, frozen, alive }: &Clock,
) -> Option<Liveness> {
    let table = &evidence.series;
    let pace = table.rate(counter, instance, |_| true);
    let before = TimeRange::new(gap.start.saturating_add_millis(-120_000), gap.start + 1);
    let usual = median(pace.within(before).iter().map(|point| point.value))?;
    let across = table.across(counter, instance, gap)?;
    let span = across.at - across.since;
    let expected = usual * span as f64 / 1000.0;
    // Of fewer than three steps, rounding makes the share.
    if expected < 3.0 {
        return None;
    }
    let share = across.by / expected;
    let gap = TimeRange::new(across.since, across.at);
    if share >= alive {
        return Some(Liveness::MovedOn { share, gap, counter });
    }
    let frozen_ms = (span as f64 * (1.0 - share)) as i64;
    (share <= frozen).then_some(Liveness::StoodStill { frozen_ms, gap, counter })
}
