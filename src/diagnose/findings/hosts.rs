//! Findings of what machines, Kubernetes and probes say of nodes, each citing its sample.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{
    Finding, FindingKind, FindingRef, Findings, Target, number,
};
use crate::diagnose::findings::{About, Crossing, cite, crossing, finding};
use crate::diagnose::observations::hosts::Pressed;
use crate::diagnose::observations::{HostSign, HostSignKind, Stage};
use crate::nodes::NodeIndex;

/// The finding of a sign.
pub(in crate::diagnose) fn host_sign(
    evidence: &Evidence,
    sign: &HostSign,
    findings: &mut Findings,
) -> FindingRef {
    let about = About {
        kind: kind(&sign.kind),
        target: target(evidence, sign.node),
        onset: sign.at,
        uncertainty_ms: (sign.at - sign.since).max(1_000),
        end: if sign.is_state() { sign.end } else { Some(sign.at.saturating_add_millis(1)) },
    };
    let (reference, value) = &sign.read;
    let citation = cite(reference.clone(), sign.at, number(*value));
    let plot = sign.plot.iter().cloned().collect();
    findings.add(finding(about, sign.text.clone(), vec![citation], plot))
}

/// The finding of a quantity of a machine or a container that rose while its node was slow.
pub(in crate::diagnose) fn pressed(
    evidence: &Evidence,
    node: NodeIndex,
    pressed: &Pressed,
) -> Finding {
    crossing(Crossing {
        kind: match pressed.stage {
            Stage::Device => FindingKind::SlowDevice,
            Stage::Threads => FindingKind::SlowThreads,
            Stage::Network => FindingKind::SlowNetwork,
        },
        target: target(evidence, node),
        range: pressed.range,
        uncertainty_ms: pressed.uncertainty_ms,
        lasts: pressed.range.end.saturating_add_millis(pressed.uncertainty_ms) >= evidence.as_of,
        text: pressed.text.clone(),
        read: (&pressed.reference, number(pressed.value)),
        plot: Vec::new(),
    })
}

fn kind(kind: &HostSignKind) -> FindingKind {
    match kind {
        HostSignKind::OutOfMemory { .. } => FindingKind::KilledForMemory,
        HostSignKind::Ended { .. } => FindingKind::ProcessExited,
        HostSignKind::Evicted => FindingKind::PodEvicted,
        HostSignKind::Rebooted => FindingKind::MachineRebooted,
        HostSignKind::ReadOnly => FindingKind::BecameReadOnly,
        HostSignKind::Filled => FindingKind::DiskFilled,
        HostSignKind::HostSilent => FindingKind::HostSilent,
        HostSignKind::PortClosed => FindingKind::PortClosed,
        HostSignKind::ClockAlone => FindingKind::ClockAlone,
    }
}

fn target(evidence: &Evidence, node: NodeIndex) -> Target {
    match node {
        NodeIndex::Store(index) => Target::store(&evidence.nodes.stores[index]),
        NodeIndex::Member(index) => {
            let member = &evidence.nodes.members[index];
            Target::member(&member.name, member.address.clone())
        }
    }
}
