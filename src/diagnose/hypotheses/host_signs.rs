//! Adds to a claim what machines, Kubernetes and probes say of its node meanwhile, and says what ended a process
//! where no log does.
//!
//! One place for all modes, as for lines of logs.

use crate::diagnose::findings::finding::{FindingRef, TargetKind};
use crate::diagnose::hypotheses::mode::{Claim, Why};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{HostSign, HostSignKind, Outage, answers};
use crate::model::TimeRange;
use crate::nodes::NodeIndex;

/// How long before the last sign of a process a sign may say why it ended, in milliseconds: clocks of machines and
/// of Prometheus differ.
const BEFORE_MS: i64 = 30_000;
/// How long after the onset one may say what happened, in milliseconds: Kubernetes is scraped every 30 s, and
/// learns of an end some seconds later.
const AFTER_MS: i64 = 60_000;

/// Cites the signs about the claim's node and time.
pub fn cite_signs(claim: &mut Claim, observed: &ObservedWindow<'_>) {
    let from = claim.onset.saturating_add_millis(-(claim.onset_uncertainty_ms + BEFORE_MS));
    let about = TimeRange::new(from, claim.onset.saturating_add_millis(AFTER_MS));
    let near = |(sign, _): &&(HostSign, FindingRef)| {
        sign.range().overlaps(&about) && concerns(sign, claim, observed)
    };
    let signs: Vec<&(HostSign, FindingRef)> = observed.host_signs.iter().filter(near).collect();
    for (_, finding) in &signs {
        if !claim.evidence.contains(finding) {
            claim.evidence.push(*finding);
        }
    }
    if claim.detail.is_none() && claim.asks == Some(Why::ProcessEnded) {
        let ends = signs.iter().filter_map(|(sign, _)| Some((rank(sign)?, sign.at, sign)));
        claim.detail = ends.min_by_key(|(rank, at, _)| (*rank, *at)).map(|(.., sign)| ending(sign));
    }
}

fn concerns(sign: &HostSign, claim: &Claim, observed: &ObservedWindow<'_>) -> bool {
    match sign.node {
        NodeIndex::Store(index) => claim.stores.contains(&index),
        NodeIndex::Member(index) => {
            claim.target.kind == TargetKind::PdMember
                && claim.target.name == observed.evidence.nodes.members[index].name
        }
    }
}

/// The signs about a store that lie near the beginning of one of its outages.
pub fn signs_of<'a>(
    observed: &'a ObservedWindow<'_>,
    outage: &Outage,
) -> impl Iterator<Item = &'a HostSign> + use<'a> {
    let from = outage.last_sign.saturating_add_millis(-BEFORE_MS);
    let about = TimeRange::new(from, outage.onset.saturating_add_millis(AFTER_MS));
    let node = NodeIndex::Store(outage.store);
    let signs = observed.host_signs.iter().map(|(sign, _)| sign);
    signs.filter(move |sign| sign.node == node && sign.range().overlaps(&about))
}

/// How much a sign says of the end of a process, the most telling first; `None` where it says nothing of that.
fn rank(sign: &HostSign) -> Option<usize> {
    match sign.kind {
        HostSignKind::OutOfMemory { is_own: true } => Some(0),
        HostSignKind::Evicted => Some(1),
        HostSignKind::Rebooted => Some(2),
        HostSignKind::OutOfMemory { is_own: false } => Some(3),
        HostSignKind::ReadOnly => Some(4),
        HostSignKind::Filled => Some(5),
        HostSignKind::Ended { .. } => Some(6),
        HostSignKind::HostSilent => Some(7),
        HostSignKind::PortClosed | HostSignKind::ClockAlone => None,
    }
}

/// What ended a process, in a clause.
fn ending(sign: &HostSign) -> String {
    match &sign.kind {
        HostSignKind::OutOfMemory { is_own: true } => "it was killed for want of memory".to_owned(),
        HostSignKind::OutOfMemory { is_own: false } => {
            "the kernel of its machine killed a process for want of memory".to_owned()
        }
        HostSignKind::Evicted => "Kubernetes evicted its pod".to_owned(),
        HostSignKind::Rebooted => "its machine started anew".to_owned(),
        HostSignKind::ReadOnly => "a file system of its machine became read-only".to_owned(),
        HostSignKind::Filled => "a file system of its machine is full".to_owned(),
        HostSignKind::Ended { code, .. } => exit(*code),
        HostSignKind::HostSilent | HostSignKind::PortClosed | HostSignKind::ClockAlone => {
            "its host does not answer".to_owned()
        }
    }
}

/// What an exit code says: above 128 a signal ended the process, by the convention of shells and runtimes.
pub fn exit(code: Option<i64>) -> String {
    match code {
        None => "Kubernetes started its container again".to_owned(),
        Some(0) => "it ended by itself, with exit code 0".to_owned(),
        Some(137) => "it was killed by SIGKILL, and Kubernetes saw no want of memory".to_owned(),
        Some(143) => "it was stopped by SIGTERM".to_owned(),
        Some(134) => "it aborted (SIGABRT)".to_owned(),
        Some(139) => "it crashed on a bad memory access (SIGSEGV)".to_owned(),
        Some(code) if code > 128 => format!("it was ended by signal {}", code - 128),
        Some(code) => format!("it ended by itself, with exit code {code}"),
    }
}

/// What is known of where a store is that gives no answer, in a clause; `None` where nobody checks its host.
pub fn whereabouts(observed: &ObservedWindow<'_>, outage: &Outage) -> Option<&'static str> {
    let range = outage.range(observed.open());
    let about = |sign: &&HostSign| {
        sign.node == NodeIndex::Store(outage.store) && sign.range().overlaps(&range)
    };
    let signs: Vec<&HostSign> =
        observed.host_signs.iter().map(|(sign, _)| sign).filter(about).collect();
    let has = |kind: HostSignKind| signs.iter().any(|sign| sign.kind == kind);
    // The samples at the very ends of the outage may be from before and after it.
    let within = TimeRange::new(outage.onset, range.end);
    let answers = answers(observed.evidence, NodeIndex::Store(outage.store), within);
    match (has(HostSignKind::HostSilent), answers, has(HostSignKind::PortClosed)) {
        (true, false, _) => Some("its host does not answer"),
        (true, true, _) => Some("its host answers some and not others"),
        (false, true, true) => Some("its host answers, its port does not"),
        (false, true, false) => Some("its host answers"),
        (false, false, _) => None,
    }
}
