//! A PD member cannot keep up: its etcd log is slow or stands still, or it lacks CPU.

use crate::diagnose::failure_modes::resource::node_stage::{claim, member_stage};
use crate::diagnose::findings::finding::{
    Finding, FindingKind, PlotHow, Target, TargetKind, number,
};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::invariants::above;
use crate::diagnose::observations::{
    HAS_LEADER, HungMember, LOG_WRITES, Selected, Shown, Sign, Stage,
};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_overloaded",
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the PD member cannot keep up: its log or threads wait, or etcd is full",
    said: Some("the PD member could not keep up: its log or threads waited, or etcd was full"),
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
        DATABASE,
        QUOTA,
        CPU,
        PROCESSORS,
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
        let nodes = &observed.evidence.nodes;
        let target = Target::member(name, nodes.member_address(name));
        claim(observed, node, target, member_stage(node))
            .unchecked_now("the member's disk and CPU", &nodes.way_to_member(name).run_beside(LOOK))
    }));
    found.extend(full_database(observed));
    for claim in busy(observed) {
        match found.iter_mut().find(|one| one.target.name == claim.target.name) {
            Some(known) => known.readings.extend(claim.readings),
            None => found.push(claim),
        }
    }
    found
}

/// The CPU time of a process, in seconds.
const CPU: &str = "process_cpu_seconds_total";
/// How many threads of it run at once at most (`GOMAXPROCS`).
const PROCESSORS: &str = "pd_service_maxprocs";
/// From which part of them on a member is busy, as for pools of TiKV's threads.
const BUSY: f64 = 0.8;
/// For how many scrapes it must be: two minutes at 15 s, since a member that begins to lead loads all regions.
const STILL_BUSY: usize = 8;

/// A claim for each member that takes nearly all of the CPU that it may.
fn busy(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let names = observed.member_names.iter();
    names.filter_map(|name| busy_member(observed, name)).collect()
}

fn busy_member(observed: &ObservedWindow<'_>, name: &str) -> Option<Claim> {
    let (series, nodes) = (&observed.evidence.series, &observed.evidence.nodes);
    let instance = nodes.instance_of_member(name)?;
    let processors = series.gauge(PROCESSORS, &instance, |_| true).0.last()?.value;
    let used = series.rate(CPU, &instance, |_| true);
    let busy = above(&used, BUSY * processors, STILL_BUSY);
    let stretch = busy.into_iter().find(|_| processors > 0.0)?;
    let target = Target::member(name, nodes.member_address(name));
    let uncertainty_ms = (stretch.range.start - stretch.since).max(1_000);
    let mut claim = Claim::new(target.clone(), stretch.range.start, uncertainty_ms, 0.75);
    claim.end = (!stretch.lasts).then_some(stretch.range.end);
    let found = crossing(Crossing {
        kind: FindingKind::ThreadsSaturated,
        target,
        range: stretch.range,
        uncertainty_ms,
        lasts: stretch.lasts,
        text: format!(
            "it takes {} of the {} processors that it may use",
            number(stretch.peak),
            number(processors)
        ),
        read: (&Selected::all(CPU, &instance).rate(), number(stretch.peak)),
        plot: vec![plot(CPU, PlotHow::Rate, &instance)],
    });
    claim.readings.push(found.read_at(stretch.peak_at));
    Some(claim.unchecked("who asks it for so much", "Grafana, PD, gRPC: completed commands rate"))
}

/// The size of etcd's database, in bytes.
const DATABASE: &str = "etcd_mvcc_db_total_size_in_bytes";
/// How large etcd's database may become, in bytes (`quota-backend-bytes`, 8 GiB by default).
const QUOTA: &str = "etcd_server_quota_backend_bytes";
/// From which part of its quota on the database is full: etcd refuses every write once it is reached, and until
/// somebody disarms the alarm, so what is left must do for the time that compacting and defragmenting take.
const FULL: f64 = 0.95;

/// The claim of members whose database has reached its quota: all have the same data.
fn full_database(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let series = &observed.evidence.series;
    let of_member = |name: &String| {
        let instance = observed.evidence.nodes.instance_of_member(name)?;
        let quota = series.gauge(QUOTA, &instance, |_| true).0.last()?.value;
        let size = series.gauge(DATABASE, &instance, |_| true);
        let full = above(&size, FULL * quota, STILL_FULL).into_iter().find(|_| quota > 0.0)?;
        Some((name.clone(), instance, full, quota))
    };
    let mut full: Vec<_> = observed.member_names.iter().filter_map(of_member).collect();
    full.sort_by_key(|(_, _, stretch, _)| stretch.range.start);
    let (_, instance, stretch, quota) = full.first()?;
    let mut target = Target::named(TargetKind::Pd, "pd");
    target.concerns = full.iter().map(|(name, ..)| name.clone()).collect();
    let uncertainty_ms = (stretch.range.start - stretch.since).max(1_000);
    let mut claim = Claim::new(target.clone(), stretch.range.start, uncertainty_ms, 0.85);
    claim.end = (!stretch.lasts).then_some(stretch.range.end);
    let part = number(stretch.peak / quota * 100.0);
    let reference = format!("{DATABASE}{{instance=\"{instance}\"}}");
    let found = crossing(Crossing {
        kind: FindingKind::DiskFilled,
        target,
        range: stretch.range,
        uncertainty_ms,
        lasts: stretch.lasts,
        text: format!("etcd's database takes {part} % of its quota: then it refuses writes"),
        read: (&reference, number(stretch.peak)),
        plot: vec![plot(DATABASE, PlotHow::Gauge, instance)],
    });
    claim.readings.push(found.read_at(stretch.peak_at));
    Some(claim.unchecked("whether etcd has raised its alarm", "etcdctl alarm list"))
}

/// How many scrapes a database must be full.
const STILL_FULL: usize = 4;

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
    let way = observed.evidence.nodes.way_to_member(&hung.member);
    claim.unchecked_now("the member's disk and CPU", &way.run_beside(LOOK))
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
