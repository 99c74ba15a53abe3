//! From claims to a verdict: what is deeper and earlier explains what is shallower and later.

use std::collections::BTreeSet;

use crate::diagnose::blind_spots::{blind_spots, missing, unreadable_beside, untold_requests};
use crate::diagnose::evidence::Evidence;
use crate::diagnose::failure_modes::ALL;
use crate::diagnose::findings::finding::{FindingKind, FindingRef, TargetKind};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Unchecked};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::thresholds::{AFTERMATH_MS, CONFIDENT};
use crate::diagnose::verdict::{
    Alternative, Cause, Consequence, Damaged, Outcome, Reason, SCHEMA, Verdict,
};
use crate::model::{TimeRange, Timestamp};

/// How much of what makes a claim more likely than not stays where a part of what was recorded
/// beside it is unreadable. What is missing could have shown a deeper cause or another place, so
/// nothing is as sure as 0.7; what is left still speaks for the claim, so it is not dropped.
const BESIDE_DAMAGE: f64 = 1.0 / 3.0;

/// Metrics that the modes and the facts read; only these need be loaded. Ascending.
pub fn metrics() -> Vec<&'static str> {
    let of_modes = ALL.iter().flat_map(|mode| mode.metrics.iter().copied());
    let metrics: BTreeSet<&'static str> = of_modes.collect();
    metrics.into_iter().collect()
}

/// Judges the evidence.
pub fn diagnose(evidence: &Evidence) -> Verdict {
    let mut observed = ObservedWindow::new(evidence);
    let mut claims: Vec<Hypothesis> = Vec::new();
    for mode in ALL {
        for claim in (mode.judge)(&observed) {
            claims.push(Hypothesis { mode, claim, role: Role::Stands });
        }
    }
    for hypothesis in &mut claims {
        for reading in std::mem::take(&mut hypothesis.claim.readings) {
            hypothesis.claim.evidence.push(observed.findings.add(reading));
        }
    }
    claims.sort_by(|a, b| {
        let order = |hypothesis: &Hypothesis| {
            (
                hypothesis.mode.nature != Nature::Change,
                hypothesis.mode.depth,
                hypothesis.claim.onset,
            )
        };
        let confidence = b.claim.confidence.total_cmp(&a.claim.confidence);
        order(a).cmp(&order(b)).then(confidence).then_with(|| a.claim.target.cmp(&b.claim.target))
    });
    give_way(&mut claims, observed.open(), evidence.thresholds.at("confident", CONFIDENT));
    explain_away(&mut claims, observed.open());
    verdict(observed, claims)
}

/// A claim and what became of it.
struct Hypothesis {
    mode: &'static Mode,
    claim: Claim,
    role: Role,
}

/// What became of a claim.
enum Role {
    /// It is a cause or a change.
    Stands,
    /// It is a consequence of the claim with this index.
    Follows(usize),
    /// It lost, and why.
    Lost(String),
}

impl Hypothesis {
    fn end(&self, open: Timestamp) -> Timestamp {
        self.claim.end.unwrap_or(open).max(self.claim.onset)
    }

    /// Whether the two overlap in time, give or take how far their onsets may be off.
    fn meets(&self, other: &Self, open: Timestamp) -> bool {
        let slack = self.claim.onset_uncertainty_ms + other.claim.onset_uncertainty_ms;
        self.claim.onset.saturating_add_millis(-slack) <= other.end(open)
            && other.claim.onset.saturating_add_millis(-slack) <= self.end(open)
    }

    /// Whether the two are at the same thing: the same target, stores in common, or PD as a whole
    /// and one of its members.
    fn shares(&self, other: &Self) -> bool {
        let stores = self.claim.stores.iter().any(|store| other.claim.stores.contains(store));
        let (own, others) = (&self.claim.target, &other.claim.target);
        let member = own.kind == TargetKind::Pd && others.kind == TargetKind::PdMember;
        stores || member || own.name == others.name
    }

    fn stands(&self) -> bool {
        matches!(self.role, Role::Stands)
    }
}

/// Names that say less of the same, and rivals for the same node and time: the surer one stays.
fn give_way(claims: &mut [Hypothesis], open: Timestamp, confident: f64) {
    for hypothesis in claims.iter_mut().filter(|hypothesis| hypothesis.claim.confidence < confident)
    {
        hypothesis.role = Role::Lost("more speaks against it than for it".to_owned());
    }
    for a in 0..claims.len() {
        for b in 0..claims.len() {
            if a == b || !claims[a].stands() || !claims[b].stands() {
                continue;
            }
            let (winner, loser) = (&claims[a], &claims[b]);
            let subsumes = winner.mode.subsumes.contains(&loser.mode.name)
                && winner.shares(loser)
                && winner.meets(loser, open);
            let rivals = winner.mode.nature == Nature::Fault
                && loser.mode.nature == Nature::Fault
                && winner.mode.depth == loser.mode.depth
                && winner.mode.name != loser.mode.name
                && !loser.mode.subsumes.contains(&winner.mode.name)
                && winner.shares(loser)
                && winner.meets(loser, open)
                && (winner.claim.confidence, b) > (loser.claim.confidence, a);
            if subsumes || rivals {
                let why = format!("{} explains the same and more", winner.mode.name);
                claims[b].role = Role::Lost(why);
            }
        }
    }
}

/// Walks from the deepest and earliest claim up. What begins with or after a deeper one, before
/// its traces are gone, follows from it: a fault of one node disturbs that node in every way, and
/// the cluster in its load and its placement, but no other node's disk, CPU or process.
fn explain_away(claims: &mut [Hypothesis], open: Timestamp) {
    for index in 0..claims.len() {
        if !claims[index].stands() {
            continue;
        }
        let cause = (0..index).find(|&earlier| {
            let (deep, shallow) = (&claims[earlier], &claims[index]);
            deep.stands() && explains(deep, shallow, open)
        });
        if let Some(cause) = cause {
            claims[index].role = Role::Follows(cause);
        }
    }
}

fn explains(deep: &Hypothesis, shallow: &Hypothesis, open: Timestamp) -> bool {
    if shallow.mode.nature == Nature::Change {
        return false;
    }
    let change = deep.mode.nature == Nature::Change;
    let resource = shallow.mode.depth == Depth::Resource;
    let moves_nothing = match deep.mode.name {
        // A change of configuration or a blind observer moves no load and slows no disk.
        "config_change" | "scrape_loss" => true,
        // Another leader of PD changes only what its members have to do.
        "pd_leader_transfer" => !resource,
        // Who leads less has less to write, and clients ask for no more because of it.
        "planned_drain" => resource || shallow.mode.depth == Depth::Workload,
        _ => false,
    };
    if moves_nothing {
        return false;
    }
    let deeper = change || deep.mode.depth < shallow.mode.depth;
    let slack = deep.claim.onset_uncertainty_ms + shallow.claim.onset_uncertainty_ms + 15_000;
    let after = shallow.claim.onset >= deep.claim.onset.saturating_add_millis(-slack)
        && shallow.claim.onset <= deep.end(open).saturating_add_millis(AFTERMATH_MS);
    let reach = match shallow.mode.depth {
        Depth::Presence => false,
        Depth::Resource => deep.shares(shallow),
        Depth::Workload | Depth::Saturation | Depth::Consequence => true,
    };
    deeper && after && reach
}

fn verdict(observed: ObservedWindow<'_>, claims: Vec<Hypothesis>) -> Verdict {
    let evidence = observed.evidence;
    let hangs_on = claims.iter().filter(|hypothesis| !matches!(hypothesis.role, Role::Follows(_)));
    let mut open: Vec<Unchecked> =
        hangs_on.filter_map(|hypothesis| hypothesis.claim.hangs_on.clone()).collect();
    open.extend(untold_requests(evidence, &observed.rises));
    let (findings, ids) = observed.findings.number();
    let open_end = evidence.as_of;
    let reason = |reference: &FindingRef| {
        let id = &ids[reference.0];
        let text = findings.iter().find(|finding| finding.id == *id);
        Reason { finding: id.clone(), text: text.map_or_else(String::new, |f| f.text.clone()) }
    };
    let mut causes = Vec::new();
    let mut changes = Vec::new();
    let mut alternatives = Vec::new();
    for (index, hypothesis) in claims.iter().enumerate() {
        let claim = &hypothesis.claim;
        match &hypothesis.role {
            Role::Stands => {
                let explains = claims
                    .iter()
                    .filter(|other| matches!(other.role, Role::Follows(cause) if cause == index));
                let from = claim.onset.saturating_add_millis(-claim.onset_uncertainty_ms);
                let damaged =
                    unreadable_beside(evidence, TimeRange::new(from, hypothesis.end(open_end)));
                let confidence = match damaged {
                    Some(_) => CONFIDENT + (claim.confidence - CONFIDENT) * BESIDE_DAMAGE,
                    None => claim.confidence,
                };
                let cause = Cause {
                    mode: hypothesis.mode.name,
                    says: hypothesis.mode.says,
                    target: claim.target.clone(),
                    onset_ms: claim.onset,
                    onset_uncertainty_ms: claim.onset_uncertainty_ms,
                    end_ms: claim.end,
                    confidence: (confidence * 100.0).round() / 100.0,
                    evidence: claim.evidence.iter().map(reason).collect(),
                    against: claim.against.clone(),
                    unchecked: claim.unchecked.iter().cloned().chain(damaged).collect(),
                    explains: explains.map(consequence).collect(),
                };
                let list = if hypothesis.mode.nature == Nature::Fault {
                    &mut causes
                } else {
                    &mut changes
                };
                list.push(cause);
            }
            Role::Follows(_) => {}
            Role::Lost(why) => alternatives.push(Alternative {
                mode: hypothesis.mode.name,
                target: claim.target.clone(),
                confidence: (claim.confidence * 100.0).round() / 100.0,
                lost: why.clone(),
            }),
        }
    }
    causes.sort_by(|a: &Cause, b: &Cause| {
        let confidence = b.confidence.total_cmp(&a.confidence);
        confidence.then_with(|| (a.onset_ms, &a.target).cmp(&(b.onset_ms, &b.target)))
    });
    changes.sort_by(|a, b| (a.onset_ms, &a.target, a.mode).cmp(&(b.onset_ms, &b.target, b.mode)));
    add_consequences(&mut causes, &findings);
    open.extend(blind_spots(evidence));
    let sees_enough = open.is_empty();
    let mut unchecked = open;
    unchecked.extend(missing(evidence));
    unchecked.dedup();
    let outcome = match (causes.is_empty(), sees_enough) {
        (false, _) => Outcome::Fault,
        (true, true) => Outcome::NoFault,
        (true, false) => Outcome::CannotTell,
    };
    let summary = summary(outcome, &causes, &changes, &unchecked);
    Verdict {
        schema: SCHEMA,
        outcome,
        as_of_ms: evidence.as_of,
        summary,
        damage: evidence.loss.as_ref().map(Damaged::new),
        causes,
        changes,
        alternatives,
        unchecked,
        findings,
    }
}

fn consequence(hypothesis: &Hypothesis) -> Consequence {
    Consequence {
        what: hypothesis.mode.name.to_owned(),
        target: hypothesis.claim.target.clone(),
        onset_ms: hypothesis.claim.onset,
        text: hypothesis.mode.says.to_owned(),
    }
}

/// Findings that no claim took up and that begin with or after the first cause are told beneath
/// it, so that nothing that departed is left without a place.
fn add_consequences(
    causes: &mut [Cause],
    findings: &[crate::diagnose::findings::finding::Finding],
) {
    let used: BTreeSet<String> =
        causes.iter().flat_map(|cause| cause.evidence.iter().map(|r| r.finding.clone())).collect();
    let Some(first) = causes.first_mut() else { return };
    for finding in findings.iter().filter(|finding| !used.contains(&finding.id)) {
        let told = matches!(
            finding.kind,
            FindingKind::LoadRose
                | FindingKind::PdLeaderChanged
                | FindingKind::LeadersLeft
                | FindingKind::RegionsAbnormal
        );
        let slack = first.onset_uncertainty_ms + finding.onset_uncertainty_ms;
        let after = finding.onset_ms >= first.onset_ms.saturating_add_millis(-slack);
        let listed = first
            .explains
            .iter()
            .any(|one| one.onset_ms == finding.onset_ms && one.target == finding.target);
        if told && after && !listed {
            first.explains.push(Consequence {
                what: finding.id.clone(),
                target: finding.target.clone(),
                onset_ms: finding.onset_ms,
                text: finding.text.clone(),
            });
        }
    }
}

fn summary(
    outcome: Outcome,
    causes: &[Cause],
    changes: &[Cause],
    unchecked: &[Unchecked],
) -> String {
    let also = |others: usize, what: &str| match others {
        0 => String::new(),
        1 => format!("; one more {what}"),
        n => format!("; {n} more {what}s"),
    };
    match (outcome, causes.first(), changes.first()) {
        (Outcome::Fault, Some(cause), _) => {
            format!("{}: {}{}", cause.target.text(), cause.says, also(causes.len() - 1, "cause"))
        }
        (Outcome::CannotTell, _, _) => {
            let first = unchecked.first().map_or("too little was seen", |one| one.what.as_str());
            format!("cannot tell: {first}")
        }
        (_, _, Some(change)) => {
            let others = also(changes.len() - 1, "change");
            format!(
                "no fault; planned or harmless: {}: {}{others}",
                change.target.text(),
                change.says
            )
        }
        _ => "no fault: nothing departs from what was normal before".to_owned(),
    }
}
