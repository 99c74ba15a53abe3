//! What probes say of a node: its host answers no ping, its port accepts no connection.

use super::{HostSign, HostSignKind, gauge, selector};
use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::invariants::{Stretch, below};
use crate::model::TimeRange;
use crate::nodes::{Beside, NodeIndex};

/// 1 where a probe succeeded.
const SUCCESS: &str = "probe_success";

/// The metrics that are read here.
pub(super) const METRICS: [&str; 1] = [SUCCESS];

/// How many probes in a row must fail: a single packet may be lost.
const FAILS: usize = 2;

/// What probes say of a node.
pub(super) fn signs(evidence: &Evidence, node: NodeIndex, beside: &Beside) -> Vec<HostSign> {
    let hosts = failing(evidence, node, &beside.host_probes, HostSignKind::HostSilent);
    hosts
        .into_iter()
        .chain(failing(evidence, node, &beside.port_probes, HostSignKind::PortClosed))
        .collect()
}

/// Whether a probe succeeded in `range`.
pub(super) fn succeeds(evidence: &Evidence, name: &str, range: TimeRange) -> bool {
    let track = evidence.series.gauge(SUCCESS, name, |_| true);
    track.within(range).iter().any(|point| point.value > 0.0)
}

/// A sign for each time in which probes fail, from whichever of several places.
fn failing(
    evidence: &Evidence,
    node: NodeIndex,
    probes: &[String],
    kind: HostSignKind,
) -> Vec<HostSign> {
    let track = |name: &str| evidence.series.gauge(SUCCESS, name, |_| true);
    let seen: Vec<(&str, Vec<Stretch>)> = probes
        .iter()
        .map(|name| (name.as_str(), track(name)))
        .filter(|(_, track)| !track.0.is_empty())
        .map(|(name, track)| (name, below(&track, 0.0, FAILS)))
        .collect();
    let mut stretches: Vec<(&str, Stretch)> =
        seen.iter().flat_map(|(name, all)| all.iter().map(|one| (*name, *one))).collect();
    stretches.retain(|(_, one)| one.since < one.range.start);
    stretches.sort_by_key(|(name, one)| (one.range.start, *name));
    let mut found: Vec<HostSign> = Vec::new();
    for (name, stretch) in stretches {
        if found.iter().any(|known| known.range().overlaps(&stretch.range)) {
            continue;
        }
        let about = TimeRange::new(stretch.range.start, stretch.range.end + 1);
        let fail = |all: &[Stretch]| {
            all.iter().any(|one| one.since < about.end && one.range.end >= about.start)
        };
        let failing = seen.iter().filter(|(_, all)| fail(all)).count();
        let text = match kind {
            HostSignKind::HostSilent => "its host does not answer",
            _ => "its port accepts no connection",
        };
        found.push(HostSign {
            node,
            kind: kind.clone(),
            since: stretch.since,
            at: stretch.range.start,
            end: (!stretch.lasts).then_some(stretch.range.end),
            text: format!("{text}: {failing} of {} probes fail", seen.len()),
            read: (selector(evidence, SUCCESS, name, &[]), 0.0),
            plot: Some(gauge(SUCCESS, name)),
        });
    }
    found
}
