//! A PD member cannot keep up: its etcd log is slow or stands still, or it lacks CPU.

use crate::diagnose::failure_modes::resource::node_stage::{claim, member_stage};
use crate::diagnose::findings::finding::{Finding, FindingKind, PlotHow, Target};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{
    HAS_LEADER, HungMember, LOG_WRITES, Selected, Shown, Sign, Stage,
};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_overloaded",
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the PD member cannot keep up: its log or its threads wait",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMetrics],
    metrics: &[
        "etcd_disk_wal_fsync_duration_seconds_sum",
        LOG_WRITES,
        "etcd_disk_backend_commit_duration_seconds_sum",
        "etcd_disk_backend_commit_duration_seconds_count",
        "go_sched_latencies_seconds_sum",
        "go_sched_latencies_seconds_count",
        HAS_LEADER,
    ],
    surest: 0.95,
    advice: Advice {
        check: "on its machine: iostat -x 1 3, top; pd.log for 'overloaded'",
        remedy: "take other work off it; pd-ctl member leader transfer (a change)",
        risk: "timestamps wait until the new leader serves",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("5.2"),
    },
    judge,
};

/// The command that shows what a member waits for.
const LOOK: &str = "iostat -x 5 3; top -b -n 1 | head -20";

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found: Vec<Claim> =
        observed.hung_members.iter().map(|one| hung(observed, one)).collect();
    let is_hung = |name: &str| observed.hung_members.iter().any(|one| one.member == name);
    let slow = observed.slow_members.iter().filter(|node| member_stage(node) != Stage::Network);
    found.extend(slow.filter(|node| !is_hung(&observed.member_names[node.node])).map(|node| {
        let name = &observed.member_names[node.node];
        let target = Target::member(name, observed.evidence.nodes.member_address(name));
        claim(observed, node, target, member_stage(node))
            .unchecked("the member's disk and CPU", LOOK)
    }));
    found
}

/// The claim of a member that answers and does no work, surer the more shows it.
fn hung(observed: &ObservedWindow<'_>, hung: &HungMember) -> Claim {
    let address = observed.evidence.nodes.member_address(&hung.member);
    let target = Target::member(&hung.member, address);
    let confidence = match hung.shown.len() {
        1 => 0.75,
        2 => 0.9,
        _ => 0.95,
    };
    let range = hung.range();
    let first = &hung.shown[0];
    let mut claim = Claim::new(target.clone(), range.start, first.uncertainty_ms, confidence);
    claim.end = (!hung.lasts()).then_some(range.end);
    for shown in &hung.shown {
        claim.readings.push(match &shown.sign {
            Sign::LogStill { instance } => log_still(shown, target.clone(), instance),
            Sign::LeadsApart { by, etcd_leader } => {
                leads_apart(shown, target.clone(), by, etcd_leader)
            }
            Sign::HearsNoStore { outages } => {
                hears_no_store(observed, shown, target.clone(), outages)
            }
        });
    }
    claim.unchecked("the member's disk and CPU", LOOK)
}

fn log_still(shown: &Shown, target: Target, instance: &str) -> Finding {
    crossing(Crossing {
        kind: FindingKind::DeviceStopped,
        target,
        range: shown.range,
        uncertainty_ms: shown.uncertainty_ms,
        lasts: shown.lasts,
        text: "etcd writes nothing to its log, while other members do".to_owned(),
        read: (&Selected::all(LOG_WRITES, instance).rate(), "0".to_owned()),
        plot: vec![plot(LOG_WRITES, PlotHow::Rate, instance)],
    })
}

fn leads_apart(shown: &Shown, target: Target, by: &str, etcd_leader: &str) -> Finding {
    let text = format!("it leads PD while {etcd_leader} leads etcd, as {by} says");
    crossing(Crossing {
        kind: FindingKind::PdLeadersDiffer,
        target,
        range: shown.range,
        uncertainty_ms: shown.uncertainty_ms,
        lasts: shown.lasts,
        text,
        read: ("PD /members etcd_leader", etcd_leader.to_owned()),
        plot: Vec::new(),
    })
}

fn hears_no_store(
    observed: &ObservedWindow<'_>,
    shown: &Shown,
    target: Target,
    outages: &[usize],
) -> Finding {
    let onset = shown.range.start;
    let first = outages.iter().map(|index| &observed.outages[*index]);
    let first = first.min_by_key(|outage| outage.onset);
    let name = first.map(|outage| observed.evidence.nodes.stores[outage.store].name());
    let name = name.unwrap_or_default();
    let listings = &observed.evidence.pd.listings;
    let listed = listings.iter().copied().find(|at| *at >= onset);
    let found = crossing(Crossing {
        kind: FindingKind::SilentToPd,
        target,
        range: shown.range,
        uncertainty_ms: shown.uncertainty_ms,
        lasts: shown.lasts,
        text: format!("it leads PD and hears none of the {} stores, which run", outages.len()),
        read: ("PD /stores last_heartbeat", format!("{name}: none after {onset}")),
        plot: Vec::new(),
    });
    found.read_at(listed.unwrap_or(onset))
}
