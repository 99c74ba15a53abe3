//! A PD member that did not lead gives no answer, and whether it is frozen or cut off is unknown. Its
//! connections are not refused, so its process exists or the member is cut off.

use crate::diagnose::failure_modes::presence::pd_presence::{METRICS, claim, died, gone};
use crate::diagnose::findings::finding::{FindingKind, Target};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{
    Liveness, MemberOutage, Reachability, Unhealthy, is_moment, unhealthy,
};
use crate::model::TimeRange;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_follower_unreachable",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "a PD member that did not lead gives no answer: frozen or cut off",
    said: Some("a PD member that did not lead gave no answer: frozen or cut off"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMembers],
    metrics: &METRICS,
    surest: 0.95,
    advice: Advice {
        check: "pd-ctl health; from another member: nc -zv MEMBER 2379, 2380",
        remedy: "mend its link, or continue or restart its process (each a change)",
        risk: "until it is back, one more member lost may stop all of PD",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("5.2"),
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let silent = gone(observed).filter(|outage| !outage.led && !died(outage));
    let mut found: Vec<Claim> = silent
        .map(|outage| {
            let mut claim = claim(observed, outage);
            if waits_for_leader(observed, outage) {
                claim.confidence = claim.confidence.min(0.45);
                claim = claim.but("the leader gives no answer either, and members wait for it");
            }
            match outage.liveness {
                Liveness::StoodStill { .. } => claim.but("its counters stood still: it was frozen"),
                Liveness::MovedOn { .. } => claim.but("its counters went on: it was cut off"),
                Liveness::Unknown => {
                    let way = observed.evidence.nodes.way_to_member(&outage.member);
                    let plain = "grep State /proc/$(pgrep pd-server)/status";
                    claim.unchecked_now(
                        "whether the process stands still or is cut off",
                        &way.state_beside("pd-server", plain),
                    )
                }
            }
        })
        .collect();
    if is_moment(observed.evidence) && found.is_empty() {
        let said = unhealthy(observed.evidence);
        found = said.iter().map(|one| unreached(observed, one)).collect();
    }
    found
}

/// The claim of a member that only the others' answers tell of.
fn unreached(observed: &ObservedWindow<'_>, one: &Unhealthy) -> Claim {
    let address = observed.evidence.nodes.member_address(&one.member);
    let target = Target::member(&one.member, address);
    let mut claim = Claim::new(target.clone(), one.at, 10_000, 0.75);
    let by: Vec<&str> = one.by.iter().map(String::as_str).collect();
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::NoAnswer,
        target,
        range: TimeRange::new(one.at, observed.open().max(one.at)),
        uncertainty_ms: 10_000,
        lasts: true,
        text: format!("it is unhealthy, says {}", by.join(", ")),
        read: ("PD /health", format!("{} health false", one.member)),
        plot: Vec::new(),
    }));
    let way = observed.evidence.nodes.way_to_member(&one.member);
    let plain = "pd-ctl health; systemctl status pd; tail -n 50 pd.log";
    claim.unchecked_now("whether its process runs", &way.state_beside("pd-server", plain))
}

/// How long a member may wait for a leader that gives no answer, in milliseconds, before it is missing
/// itself: an election takes as long.
const WAITS_MS: i64 = 20_000;

/// Whether only the recorder misses the member, for no longer than an election takes, and not before the
/// leader: members pass on to the leader what they are asked.
fn waits_for_leader(observed: &ObservedWindow<'_>, outage: &MemberOutage) -> bool {
    let began_before = |leader: &MemberOutage| {
        let slack = leader.uncertainty_ms() + outage.uncertainty_ms();
        leader.onset <= outage.onset.saturating_add_millis(slack)
            && leader.end.is_none_or(|end| end >= outage.onset)
    };
    let leaders = observed.members.iter().filter(|one| one.led && one.is_silent());
    outage.prometheus != Reachability::Silent
        && outage.range(observed.open()).millis() < WAITS_MS
        && leaders.into_iter().any(began_before)
}
