//! Whether a process that nobody heard went on meanwhile: the one thing that tells a frozen
//! process from one that was cut off, once the hole has closed.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::outages::Outage;
use crate::model::{TimeRange, Timestamp};

/// What a process's own counters tell about a hole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Liveness {
    /// They stood still for this many milliseconds of it.
    StoodStill {
        /// Milliseconds without progress.
        frozen_ms: i64,
        /// The hole between two samples.
        hole: TimeRange,
        /// Whose increase tells.
        counter: &'static str,
    },
    /// They went on at their usual pace.
    MovedOn {
        /// The share of the usual increase.
        share: f64,
        /// The hole between two samples.
        hole: TimeRange,
        /// Whose increase tells.
        counter: &'static str,
    },
    /// There is no sample after, or no steady counter.
    Unknown,
}

/// A counter that rises at a steady pace, and what shares of its usual increase mean.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The counter.
    pub counter: &'static str,
    /// At most this share: the process stood still.
    pub frozen: f64,
    /// At least this share: it went on. Between the two, the counter does not tell.
    pub alive: f64,
}

/// TiKV's, best first. It inspects its raftstore every 100 ms (`inspect-interval`) and its disk
/// every second whatever the load: of a hole that begins and ends up to one scrape off, a frozen
/// process still shows a part, hence a half. A process that lacks CPU inspects less often and
/// still probes its disk, so that both have to stand still. It asks PD for a timestamp every
/// second, fewer where PD is not reached. A cut-off store uses little CPU, so only next to none of
/// it means frozen.
const CLOCKS: [Clock; 4] = [
    Clock { counter: "tikv_raftstore_inspect_duration_seconds_count", frozen: 0.5, alive: 0.75 },
    Clock { counter: "tikv_raftstore_disk_probe_duration_seconds_count", frozen: 0.5, alive: 0.75 },
    Clock { counter: "tikv_pd_request_duration_seconds_count", frozen: 0.3, alive: 0.5 },
    Clock { counter: "process_cpu_seconds_total", frozen: 0.1, alive: 0.3 },
];

/// How many of the clocks go on by themselves, whoever hears the process.
const OWN_PACE: usize = 2;

/// PD's: nothing but CPU is steady, and a member that no longer leads uses a fifth of it.
pub const PD_CLOCKS: [Clock; 1] =
    [Clock { counter: "process_cpu_seconds_total", frozen: 0.15, alive: 0.3 }];

/// What the counters of an outage's store tell.
pub fn liveness_across(evidence: &Evidence, outage: &Outage) -> Liveness {
    let Some(instance) = evidence.nodes.stores[outage.store].instance.as_deref() else {
        return Liveness::Unknown;
    };
    let Some(scrapes) = &outage.scrapes else { return Liveness::Unknown };
    let Some(next) = scrapes.silence.next else { return Liveness::Unknown };
    life_in_hole(evidence, instance, TimeRange::new(scrapes.silence.last, next), &CLOCKS)
}

/// Compares each counter's increase across the hole with its pace in the two minutes before.
pub fn life_in_hole(
    evidence: &Evidence,
    instance: &str,
    hole: TimeRange,
    clocks: &[Clock],
) -> Liveness {
    let told: Vec<Liveness> =
        clocks.iter().filter_map(|clock| life_by(evidence, instance, hole, clock)).collect();
    let moves = |liveness: &&Liveness| match liveness {
        Liveness::MovedOn { counter, .. } => {
            clocks.iter().take(OWN_PACE).any(|clock| clock.counter == *counter)
        }
        _ => false,
    };
    told.iter().find(moves).or(told.first()).copied().unwrap_or(Liveness::Unknown)
}

/// What one counter tells; `None` where it tells nothing.
fn life_by(
    evidence: &Evidence,
    instance: &str,
    hole: TimeRange,
    &Clock { counter, frozen, alive }: &Clock,
) -> Option<Liveness> {
    let table = &evidence.series;
    let pace = table.rate(counter, instance, |_| true);
    let before = TimeRange::new(hole.start.saturating_add_millis(-120_000), hole.start + 1);
    let usual = median(pace.within(before).iter().map(|point| point.value))?;
    let across = table.across(counter, instance, hole)?;
    let span = across.at - across.since;
    let expected = usual * span as f64 / 1000.0;
    // Of fewer than three steps, rounding makes the share.
    if expected < 3.0 {
        return None;
    }
    let share = across.by / expected;
    let hole = TimeRange::new(across.since, across.at);
    if share >= alive {
        return Some(Liveness::MovedOn { share, hole, counter });
    }
    let frozen_ms = (span as f64 * (1.0 - share)) as i64;
    (share <= frozen).then_some(Liveness::StoodStill { frozen_ms, hole, counter })
}

impl Liveness {
    /// The hole, where one is known.
    pub fn hole(&self) -> Option<TimeRange> {
        match self {
            Self::StoodStill { hole, .. } | Self::MovedOn { hole, .. } => Some(*hole),
            Self::Unknown => None,
        }
    }

    /// When the process was heard again, where that is known.
    pub fn heard_again(&self) -> Option<Timestamp> {
        self.hole().map(|hole| hole.end)
    }
}
