//! Findings of what the logs of nodes say, each citing its line.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{
    FindingKind, FindingRef, Findings, Target, TargetKind, counted,
};
use crate::diagnose::findings::{About, cite, finding};
use crate::diagnose::observations::Logged;
use crate::model::LogKind;
use crate::nodes::NodeIndex;

/// The finding of a line and those that repeat it.
pub(in crate::diagnose) fn logged(
    evidence: &Evidence,
    logged: &Logged,
    findings: &mut Findings,
) -> FindingRef {
    let about = About {
        kind: kind(logged),
        target: target(evidence, logged),
        onset: logged.line.at,
        // A node's clock is not the recorder's.
        uncertainty_ms: 1_000,
        end: Some(logged.last.saturating_add_millis(1)),
    };
    let repeated = match logged.lines {
        1 => String::new(),
        lines => format!(", and {} like it", counted(lines - 1, "line")),
    };
    let whose = match logged.line.kind {
        _ if logged.line.value("exit_code").is_some() => "Kubernetes says",
        LogKind::PodEvicted | LogKind::PodTrouble | LogKind::MachineTrouble => "Kubernetes says",
        _ => "its log says",
    };
    let text = format!("{whose}: {}{repeated}", logged.line.text);
    let citation =
        cite(logged.line.reference(), logged.line.at, logged.line.kind.name().to_owned());
    findings.add(finding(about, text, vec![citation], Vec::new()))
}

fn kind(logged: &Logged) -> FindingKind {
    match logged.line.kind {
        _ if logged.is_full_disk() => FindingKind::DiskFilled,
        LogKind::Panic | LogKind::FatalError => FindingKind::Panicked,
        LogKind::OutOfMemory => FindingKind::KilledForMemory,
        LogKind::ProcessExit => FindingKind::ProcessExited,
        LogKind::StopSignal => FindingKind::StopSignalled,
        LogKind::CannotOpen => FindingKind::CannotOpen,
        LogKind::BackgroundError => FindingKind::EngineFailed,
        LogKind::LeadershipLost | LogKind::LeaderMove => FindingKind::LeadershipGivenUp,
        LogKind::ClockJump => FindingKind::ClockJumped,
        LogKind::ConfigChange => FindingKind::ConfigChanged,
        LogKind::PodEvicted => FindingKind::PodEvicted,
        _ => FindingKind::Logged,
    }
}

fn target(evidence: &Evidence, logged: &Logged) -> Target {
    match logged.node {
        Some(NodeIndex::Store(index)) => Target::store(&evidence.nodes.stores[index]),
        Some(NodeIndex::Member(index)) => {
            let member = &evidence.nodes.members[index];
            Target::member(&member.name, member.address.clone())
        }
        None => Target::named(TargetKind::Cluster, &logged.line.node),
    }
}
