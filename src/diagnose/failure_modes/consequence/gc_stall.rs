//! The GC safe point stands still.

use crate::diagnose::findings::finding::{FindingKind, Target};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::model::{TimeRange, Timestamp};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "gc_stall",
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "the GC safe point stands still",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMembers],
    metrics: &[],
    judge,
};

/// GC runs every ten minutes by default (`tidb_gc_run_interval`); three missed rounds are a stall, in
/// milliseconds. A cluster that never had a safe point runs no GC, such as one used through the raw API.
const STALL_MS: i64 = 30 * 60_000;

/// How many rounds of GC in the window are needed to know its usual interval.
const ROUNDS: usize = 3;

/// The shortest stall in milliseconds: PD is asked for the safe point once a minute, and three equal
/// answers are the fewest that can be a stall.
const SHORTEST_MS: i64 = 180_000;

/// The stretch over which the cluster's safe point stood still, and whether it moved again.
fn stall(moves: &[Timestamp], open: Timestamp) -> Option<(Timestamp, Option<Timestamp>)> {
    for (index, since) in moves.iter().enumerate() {
        let next = moves.get(index + 1).copied();
        let mut rounds: Vec<i64> =
            moves[..=index].windows(2).map(|pair| pair[1] - pair[0]).collect();
        rounds.sort_unstable();
        // When the first value began is unknown.
        let usual = (rounds.len() >= ROUNDS).then(|| rounds[rounds.len() / 2]);
        let longest = usual.map_or(STALL_MS, |usual| (3 * usual).max(SHORTEST_MS));
        if next.unwrap_or(open) - *since >= longest {
            return Some((*since, next));
        }
    }
    None
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let points: Vec<_> =
        observed.evidence.pd.safe_points.iter().filter(|(_, point)| point.cluster > 0).collect();
    let moved = points.chunk_by(|a, b| a.1.cluster == b.1.cluster);
    let moves: Vec<Timestamp> = moved.filter_map(|same| Some(same.first()?.0)).collect();
    let Some((since, end)) = stall(&moves, observed.open()) else { return Vec::new() };
    let until = end.unwrap_or(observed.open());
    let Some((_, point)) = points.iter().rev().find(|(at, _)| *at < until) else {
        return Vec::new();
    };
    let mut target = Target::cluster();
    target.concerns.extend(point.holder.iter().map(|(service, _)| format!("service {service}")));
    let mut claim = Claim::new(target.clone(), since, 60_000, 0.75);
    claim.end = end;
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::SafePointStill,
        target,
        range: TimeRange::new(since, until),
        uncertainty_ms: 60_000,
        lasts: end.is_none(),
        text: match &point.holder {
            Some((service, _)) => {
                format!("the safe point does not move; {service} holds the least")
            }
            None => "the safe point does not move, and no service holds it".to_owned(),
        },
        read: ("PD /gc/safepoint", point.cluster.to_string()),
        plot: Vec::new(),
    }));
    vec![claim]
}
