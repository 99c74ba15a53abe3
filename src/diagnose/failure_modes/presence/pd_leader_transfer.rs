//! PD's leader changed while the old one went on answering.

use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need, Why};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "pd_leader_transfer",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "PD's leader handed over to another member",
    said: None,
    subsumes: &[],
    // Another leader of PD changes only what its members have to do.
    never_explains: &[Depth::Presence, Depth::Saturation, Depth::Workload, Depth::Consequence],
    needs: &[Need::PdMembers],
    metrics: &[],
    surest: 0.9,
    advice: Advice {
        check: "pd-ctl member leader show; pd.log of both: resign, transfer, lease",
        remedy: "none; pd-ctl member leader transfer NAME takes it back (a change)",
        risk: "each transfer lets timestamps wait for a moment",
        documentation: "https://docs.pingcap.com/tidb/stable/pd-control",
        section: None,
    },
    judge,
};

/// The longest time without a leader during a handover, in milliseconds. A handover takes about a
/// second; an election after a loss of the leader takes its lease (5 s by `lease`) and more.
const HANDOVER_MS: i64 = 8_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for (change, finding) in &observed.leader_changes {
        let Some(to) = &change.to else { continue };
        let since = change.leaderless_since.unwrap_or(change.at);
        let missing = observed.members.iter().any(|one| {
            let from = one.last_sign.saturating_add_millis(-15_000);
            let until = one.end.unwrap_or(observed.open()).saturating_add_millis(30_000);
            (one.is_silent() || one.restart.is_some()) && since >= from && since <= until
        });
        let hung = observed.hung_members.iter().any(|one| {
            let range = one.range();
            let until = range.end.saturating_add_millis(30_000);
            one.member == change.from && since >= range.start && since <= until
        });
        if missing || hung || *to == change.from {
            continue;
        }
        let from = &change.from;
        let mut target = Target::member(from, observed.evidence.nodes.member_address(from));
        target.concerns.push(to.clone());
        let mut claim = Claim::new(target, since, 5_000, 0.9);
        claim.end = Some(change.at);
        claim.asks = Some(Why::LeadershipLeft);
        claim.evidence = vec![*finding];
        if change.at - since > HANDOVER_MS {
            claim.confidence = 0.6;
            claim = claim.but("nobody led for longer than a handover takes");
        }
        found.push(claim.unchecked("who asked for it", "grep -i 'resign\\|transfer' pd.log"));
    }
    found
}
