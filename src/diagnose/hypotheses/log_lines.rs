//! Adds to a claim the lines that its node wrote meanwhile, and says what ended a process.
//!
//! One place for all modes: a line speaks for a claim about its node and its time, whatever the mode.

use crate::diagnose::findings::finding::{FindingRef, TargetKind};
use crate::diagnose::hypotheses::host_signs::exit;
use crate::diagnose::hypotheses::mode::{Claim, Why};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Logged;
use crate::model::{LogKind, TimeRange};
use crate::nodes::NodeIndex;

/// How long before the first missing sign a line may say why, in milliseconds: a store that gets a signal
/// moves its leaders away first, for at most 20 s by default where it does so at all.
const BEFORE_MS: i64 = 30_000;
/// How long after the onset a line may say what happened, in milliseconds. A process that cannot open its
/// data says so at each start.
const AFTER_MS: i64 = 60_000;
/// Lines that are cited for one claim.
const MOST_CITED: usize = 6;

/// Cites the lines that the claim's node wrote about its onset.
pub fn cite_lines(claim: &mut Claim, observed: &ObservedWindow<'_>) {
    let range = about(claim);
    let near = |(logged, _): &&(Logged, FindingRef)| {
        range.contains(logged.line.at) && concerns(logged, claim, observed)
    };
    let lines: Vec<&(Logged, FindingRef)> = observed.logged.iter().filter(near).collect();
    for (_, finding) in lines.iter().take(MOST_CITED) {
        if !claim.evidence.contains(finding) {
            claim.evidence.push(*finding);
        }
    }
    // What a process says of its own end tells more than who missed it.
    let ends = lines.iter().filter(|(logged, _)| logged.is_end());
    let end = ends.min_by_key(|(logged, _)| (rank(logged), logged.line.at));
    if let Some((_, finding)) = end.filter(|_| claim.asks == Some(Why::ProcessEnded))
        && let Some(place) = claim.evidence.iter().position(|one| one == finding)
    {
        claim.evidence[..=place].rotate_right(1);
    }
    let logged = lines.iter().map(|(logged, _)| logged);
    let detail = match claim.asks {
        Some(Why::ProcessEnded) => end.map(|(logged, _)| ending(logged)),
        // Who moved it says more than how its member noticed.
        Some(Why::LeadershipLeft) => logged
            .filter_map(|logged| {
                Some((logged.line.kind != LogKind::LeaderMove, departure(logged)?))
            })
            .min()
            .map(|(_, why)| why),
        None => None,
    };
    claim.detail = detail.or(claim.detail.take());
}

/// The time in which a line may speak for a claim.
fn about(claim: &Claim) -> TimeRange {
    let before = claim.onset_uncertainty_ms.saturating_add(BEFORE_MS);
    let from = claim.onset.saturating_add_millis(-before);
    TimeRange::new(from, claim.onset.saturating_add_millis(AFTER_MS))
}

fn concerns(logged: &Logged, claim: &Claim, observed: &ObservedWindow<'_>) -> bool {
    match logged.node {
        Some(NodeIndex::Store(index)) => claim.stores.contains(&index),
        Some(NodeIndex::Member(index)) => {
            let member = &observed.evidence.nodes.members[index];
            // Any member may say who moved the leadership.
            let is_own =
                claim.target.name == member.name || claim.asks == Some(Why::LeadershipLeft);
            claim.target.kind == TargetKind::PdMember && is_own
        }
        None => false,
    }
}

/// How much a line says of the end of a process, the most telling first. A signal explains an end, unless
/// the process failed before it could follow.
fn rank(logged: &Logged) -> usize {
    let by_kind = [
        LogKind::OutOfMemory,
        LogKind::Panic,
        LogKind::BackgroundError,
        LogKind::CannotOpen,
        LogKind::FatalError,
        LogKind::PodEvicted,
        LogKind::StopSignal,
        LogKind::ProcessExit,
        LogKind::DeviceError,
    ];
    match logged.is_full_disk() {
        true => 0,
        false => {
            1 + by_kind.iter().position(|kind| *kind == logged.line.kind).unwrap_or(by_kind.len())
        }
    }
}

/// What ended a process, in a clause.
fn ending(logged: &Logged) -> String {
    let line = &logged.line;
    let value = |name: &str| line.value(name).unwrap_or("unknown").to_owned();
    match line.kind {
        _ if logged.is_full_disk() => "its disk is full".to_owned(),
        LogKind::OutOfMemory => "it was killed because memory ran out".to_owned(),
        LogKind::Panic => match line.value("location") {
            Some(location) => format!("it panicked at {location}: {}", short(&line.text)),
            None => format!("it panicked: {}", short(&line.text)),
        },
        LogKind::BackgroundError => format!("its engine failed: {}", short(&line.text)),
        LogKind::CannotOpen => format!("it cannot open its data: {}", short(&line.text)),
        LogKind::FatalError => format!("it gave up: {}", short(&line.text)),
        LogKind::StopSignal => format!("somebody stopped it by {}", value("signal")),
        LogKind::PodEvicted => "Kubernetes evicted its pod".to_owned(),
        LogKind::DeviceError => format!("its disk failed: {}", short(&line.text)),
        LogKind::ProcessExit if line.value("exit_code").is_some() => {
            exit(line.value("exit_code").and_then(|code| code.parse().ok()))
        }
        _ => format!("its service manager saw it end with status {}", value("status")),
    }
}

/// Why PD's leadership left, in a clause; `None` where a line does not say.
fn departure(logged: &Logged) -> Option<String> {
    let why = match logged.line.value("cause")? {
        "lease_expired" => "its lease expired",
        "etcd_leader_changed" => "etcd's leader had moved away",
        "resigned" => "somebody made it resign",
        "priority" => "another member has priority",
        "transferred" => "etcd's leadership was transferred",
        _ => return None,
    };
    Some(why.to_owned())
}

/// The beginning of a line, without the fields behind its message.
fn short(text: &str) -> String {
    let message = text.split(" [").next().unwrap_or(text);
    match message.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
