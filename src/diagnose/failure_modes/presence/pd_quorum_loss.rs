//! PD has lost its majority: it has no leader and allocates no timestamps.

use crate::diagnose::failure_modes::presence::{
    pd_follower_crash, pd_follower_unreachable, pd_leader_crash, pd_leader_pause,
};
use std::collections::BTreeSet;

use crate::diagnose::failure_modes::presence::pd_presence::METRICS;
use crate::diagnose::findings::finding::{FindingKind, Target, TargetKind};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::model::{TimeRange, Timestamp};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_quorum_loss",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "PD has no majority and no leader",
    said: Some("PD had no majority and no leader"),
    subsumes: &[
        &pd_leader_crash::MODE,
        &pd_follower_crash::MODE,
        &pd_leader_pause::MODE,
        &pd_follower_unreachable::MODE,
    ],
    never_explains: &[],
    needs: &[Need::PdMembers],
    metrics: &METRICS,
    surest: 0.97,
    advice: Advice {
        check: "on each member's machine: is it up, systemctl status, end of pd.log",
        remedy: "start members until a majority runs (a change)",
        risk: "pd-recover (a change) is only for members that are lost for good",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("5.2"),
    },
    judge,
};

/// How long the majority must be missing, in milliseconds: an election after a leader's death takes its
/// lease and one or two rounds of etcd, 5 to 20 s.
const LASTS_MS: i64 = 20_000;

/// How long PD must have no leader where no majority is missing, in milliseconds: longer than any slow
/// election.
const LEADERLESS_MS: i64 = 60_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    by_members(observed).or_else(|| by_leader(observed)).into_iter().collect()
}

/// The claim where so many members are missing at once that the rest is no majority.
fn by_members(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let total = observed.member_names.len();
    let majority = total / 2 + 1;
    let silent: Vec<_> = observed.members.iter().filter(|one| one.is_silent()).collect();
    let missing_at = |at: Timestamp| -> BTreeSet<&str> {
        let missing = silent.iter().filter(|one| one.range(observed.open() + 1).contains(at));
        missing.map(|one| one.member.as_str()).collect()
    };
    let starts = silent.iter().map(|one| one.onset);
    let lost = |at: &Timestamp| total >= 2 && total - missing_at(*at).len() < majority;
    let from = starts.clone().filter(lost).min()?;
    let ends = silent.iter().filter_map(|one| one.end);
    let until = ends.filter(|end| *end > from && !lost(end)).min();
    let missing = missing_at(from);
    // Members wait for a leader that is missing until they have elected another one.
    let leader = observed.evidence.pd.leader_at(from);
    let waits = leader.is_none_or(|leader| missing.contains(leader));
    if waits && until.unwrap_or(observed.open()) - from < LASTS_MS {
        return None;
    }
    let evidence = silent
        .iter()
        .filter(|one| missing.contains(one.member.as_str()))
        .flat_map(|one| one.findings.iter().copied());
    let names: Vec<String> = missing.iter().map(|name| (*name).to_owned()).collect();
    let mut claim =
        claim(observed, TimeRange::new(from, until.unwrap_or(observed.open())), until, names);
    let last_sign = silent.iter().filter(|one| one.onset == from).map(|one| one.last_sign).max();
    claim.onset_uncertainty_ms = from - last_sign.unwrap_or(from);
    claim.began_by_onset = true;
    claim.evidence = evidence.collect();
    Some(claim)
}

/// The claim where PD had no leader for long, whichever members answered.
fn by_leader(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let open = observed.open();
    let (change, finding) = observed.leader_changes.iter().find(|(change, _)| {
        let since = change.leaderless_since.unwrap_or(change.at);
        let until = if change.to.is_some() { change.at } else { open };
        until - since >= LEADERLESS_MS
    })?;
    let since = change.leaderless_since.unwrap_or(change.at);
    let until = change.to.is_some().then_some(change.at);
    let silent = observed.members.iter().filter(|one| {
        one.is_silent() && one.range(open).overlaps(&TimeRange::new(since, until.unwrap_or(open)))
    });
    let names = silent.map(|one| one.member.clone()).collect();
    let mut claim = claim(observed, TimeRange::new(since, until.unwrap_or(open)), until, names);
    claim.evidence = vec![*finding];
    Some(claim)
}

fn claim(
    observed: &ObservedWindow<'_>,
    range: TimeRange,
    until: Option<Timestamp>,
    names: Vec<String>,
) -> Claim {
    let mut target = Target::named(TargetKind::Pd, "pd");
    target.concerns = names;
    let mut claim = Claim::new(target.clone(), range.start, 5_000, 0.97);
    claim.end = until;
    let missing = target.concerns.join(", ");
    let text = format!(
        "{} of {} members are missing: {missing}",
        target.concerns.len(),
        observed.member_names.len()
    );
    let until_open = TimeRange::new(range.start, range.end.max(observed.open()) + 1);
    let mut leaders = observed.evidence.pd.leaders.iter();
    let leaderless = leaders.find(|(at, leader)| leader.is_none() && until_open.contains(*at));
    let (read, at) = match leaderless {
        Some((at, _)) => (("PD /members", "no leader".to_owned()), *at),
        None => (("members that answer PD /ping", text.clone()), range.start),
    };
    let reading = crossing(Crossing {
        kind: FindingKind::QuorumLost,
        target,
        range,
        uncertainty_ms: 5_000,
        lasts: until.is_none(),
        text,
        read,
        plot: Vec::new(),
    });
    claim.readings.push(reading.read_at(at));
    claim
}
