//! Restarts: processes that were replaced by a new one, as Prometheus and PD report it.
//!
//! Whether a restart was planned is decided in `hypotheses`.

use crate::diagnose::evidence::Evidence;
use crate::model::{Timestamp, is_stale};

/// A new start of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When the new process started, as it reports itself, to a second, by Prometheus's clock.
    pub at: Timestamp,
    /// The same by its own clock.
    pub said: Timestamp,
    /// When the new process was first observed.
    pub seen: Timestamp,
    /// The last sign of the old process.
    pub last_sign: Timestamp,
}

/// How far two reports of the same start may differ, in milliseconds: by the time that the process
/// takes to come up, as TiKV reports to PD only after it has opened its engines.
const SAME_START_MS: i64 = 45_000;

/// The starts of a store's process after the first one seen, ascending, by Prometheus and by PD.
pub fn restarts(evidence: &Evidence, store: usize) -> Vec<Restart> {
    let known = &evidence.nodes.stores[store];
    let mut starts = known.instance.as_deref().map_or_else(Vec::new, |i| starts_of(evidence, i));
    if let Some(history) = known.id.and_then(|id| evidence.pd.stores.get(&id)) {
        starts.extend(later_starts(evidence, &history.starts, |start| {
            let before = history.heartbeats.iter().map(|(_, sent)| *sent);
            before.filter(|sent| *sent <= start).max()
        }));
    }
    merged(starts)
}

/// The starts of a PD member's process after the first one seen, ascending.
pub fn member_restarts(evidence: &Evidence, member: &str) -> Vec<Restart> {
    let instance = evidence.nodes.instance_of_member(member);
    let mut starts = instance.as_deref().map_or_else(Vec::new, |i| starts_of(evidence, i));
    if let Some(history) = evidence.pd.members.get(member) {
        starts.extend(later_starts(evidence, &history.starts, |start| {
            let answered = history.asks.iter().filter(|ask| ask.failed.is_none());
            answered.map(|ask| ask.at).filter(|at| *at <= start).max()
        }));
    }
    merged(starts)
}

fn later_starts(
    evidence: &Evidence,
    starts: &[(Timestamp, i64)],
    last_sign: impl Fn(Timestamp) -> Option<Timestamp>,
) -> Vec<Restart> {
    let restart = |&(seen, unix_s): &(Timestamp, i64)| {
        let said = Timestamp::from_millis(unix_s.saturating_mul(1000));
        let at = evidence.clocks.node_by_prometheus(said);
        Restart { at, said, seen, last_sign: last_sign(at).unwrap_or(at) }
    };
    // The same start reported with a second's difference is no new one.
    let moved = starts.windows(2).filter(|pair| pair[1].1 - pair[0].1 > 2).map(|pair| &pair[1]);
    moved.map(restart).collect()
}

/// The starts that `process_start_time_seconds` shows.
fn starts_of(evidence: &Evidence, instance: &str) -> Vec<Restart> {
    let mut found = Vec::new();
    for series in evidence.series.of("process_start_time_seconds", instance) {
        let live: Vec<_> = series.samples.iter().filter(|one| !is_stale(one.value)).collect();
        for pair in live.windows(2) {
            if pair[1].value - pair[0].value > 2.0 {
                let said = Timestamp::from_millis((pair[1].value * 1000.0) as i64);
                let at = evidence.clocks.node_by_prometheus(said);
                let last_sign = pair[0].at.min(at);
                found.push(Restart { at, said, seen: pair[1].at, last_sign });
            }
        }
    }
    found
}

fn merged(mut starts: Vec<Restart>) -> Vec<Restart> {
    starts.sort_by_key(|restart| (restart.at, restart.seen));
    let mut merged: Vec<Restart> = Vec::new();
    for restart in starts {
        match merged.last_mut() {
            Some(last) if restart.at - last.at <= SAME_START_MS && restart.last_sign <= last.at => {
                last.seen = last.seen.min(restart.seen);
                last.last_sign = last.last_sign.max(restart.last_sign.min(last.at));
            }
            _ => merged.push(restart),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restart(at: i64, seen: i64, last: i64) -> Restart {
        let at_s = |s: i64| Timestamp::from_millis(s * 1000);
        Restart { at: at_s(at), said: at_s(at), seen: at_s(seen), last_sign: at_s(last) }
    }

    #[test]
    fn two_reports_of_one_start_are_one_restart() {
        let starts = vec![restart(100, 115, 85), restart(102, 107, 90), restart(300, 310, 295)];
        assert_eq!(merged(starts), [restart(100, 107, 90), restart(300, 310, 295)]);
    }

    #[test]
    fn a_flapping_process_restarts_each_time() {
        let starts = vec![restart(100, 105, 95), restart(120, 125, 115), restart(140, 145, 135)];
        assert_eq!(merged(starts).len(), 3);
    }
}
