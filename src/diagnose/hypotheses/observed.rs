//! A observed: the facts of a window, each told as a finding, for the modes to judge.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings;
use crate::diagnose::findings::finding::{FindingRef, Findings};
use crate::diagnose::observations::tracks::Track;
use crate::diagnose::observations::{
    self, Drain, LeaderChange, Liveness, MEMBER_QUANTITIES, MemberOutage, Moved, Outage, Presence,
    Reachability, Rise, STORE_QUANTITIES, SchedulerChange, Shift, Slow, Stage, presence,
};
use crate::diagnose::thresholds::{AFTERMATH_MS, ALONE};
use crate::model::{Labels, TimeRange, Timestamp};

/// Regions that a store counts itself, by what it is to them.
pub const LEADERS: &str = "tikv_raftstore_region_count";

/// A removed store's regions leave at 15 a minute (`store-limit`): a small cluster's within this.
const MOVING_MS: i64 = 600_000;

/// How many times slower than usual more work can make a log at most.
const BY_MORE_WORK: f64 = 10.0;

/// A node of which something became slow, alone among its kind.
#[derive(Clone, Debug)]
pub struct SlowNode {
    /// Index of [`Evidence::stores`] or of [`ObservedWindow::member_names`].
    pub node: usize,
    /// When, from the first quantity to the last.
    pub range: TimeRange,
    /// Whether it was over before the end of what was seen.
    pub ended: bool,
    /// What became slow, in order of onset.
    pub slow: Vec<Slow>,
    /// What shows it, one for each.
    pub findings: Vec<FindingRef>,
}

impl SlowNode {
    /// The greatest excess among the quantities of a stage; 1 where none departed.
    pub fn excess(&self, stage: Stage) -> f64 {
        let of_stage = self.slow.iter().filter(|slow| slow.quantity.stage == stage);
        of_stage.map(Slow::excess).fold(1.0, f64::max)
    }

    /// Whether a quantity of a stage departed.
    pub fn has(&self, stage: Stage) -> bool {
        self.slow.iter().any(|slow| slow.quantity.stage == stage)
    }

    /// How long it lasted so far.
    pub fn lasted_ms(&self) -> i64 {
        self.range.millis()
    }

    /// The earliest departure of a stage; of all where it has none.
    pub fn first_of(&self, stage: Stage) -> Option<&Slow> {
        let of_stage = self.slow.iter().filter(|slow| slow.quantity.stage == stage);
        of_stage.min_by_key(|slow| slow.departure.onset)
    }
}

/// Everything that the modes look at.
pub struct ObservedWindow<'a> {
    /// What was observed.
    pub evidence: &'a Evidence,
    /// What departed from normal.
    pub findings: Findings,
    /// Stores that somebody did not hear.
    pub outages: Vec<Outage>,
    /// PD members in the order of their names.
    pub member_names: Vec<String>,
    /// PD members that somebody did not hear.
    pub members: Vec<MemberOutage>,
    /// Changes of PD's leader, with what shows each.
    pub leader_changes: Vec<(LeaderChange, FindingRef)>,
    /// Stores that became slow alone.
    pub slow_stores: Vec<SlowNode>,
    /// PD members that became slow alone.
    pub slow_members: Vec<SlowNode>,
    /// Requests a second of each store.
    pub requests: Vec<Track>,
    /// Load that rose, with what shows each.
    pub rises: Vec<(Rise, FindingRef)>,
    /// Load that moved to one place.
    pub shifts: Vec<Shift>,
    /// Stores that gave their leaders away.
    pub drains: Vec<Drain>,
    /// Stores that joined or left, with what shows each.
    pub moved: Vec<(Moved, FindingRef)>,
    /// Schedulers that were added or paused, with what shows each.
    pub schedulers: Vec<(SchedulerChange, FindingRef)>,
}

impl<'a> ObservedWindow<'a> {
    /// Gathers the facts and tells each.
    pub fn new(evidence: &'a Evidence) -> Self {
        let mut findings = Findings::default();
        let mut outages = observations::outages(evidence);
        for outage in &mut outages {
            outage.findings = findings::outage(evidence, outage, &mut findings);
        }
        let mut members = observations::member_outages(evidence);
        for member in &mut members {
            member.findings = findings::member_outage(evidence, member, &mut findings);
        }
        let leader_changes = observations::leader_changes(evidence);
        let leader_changes = leader_changes.into_iter().map(|change| {
            let told = findings::leader_change(evidence, &change, &mut findings);
            (change, told)
        });
        let leader_changes = leader_changes.collect();
        let mut drains = observations::drains(evidence, &outages);
        for drain in &mut drains {
            drain.findings = findings::drain(evidence, drain, &mut findings);
        }
        let moved = observations::moved(evidence).into_iter().map(|one| {
            let told = findings::moved(evidence, &one, &mut findings);
            (one, told)
        });
        let moved = moved.collect();
        let schedulers = observations::scheduler_changes(evidence).into_iter().map(|change| {
            let told = findings::scheduler(&change, &mut findings);
            (change, told)
        });
        let schedulers = schedulers.collect();
        let load = observations::Load::new(evidence);
        let rises = observations::rises(evidence, &load).into_iter().map(|rise| {
            let told = findings::rise(evidence, &rise, &mut findings);
            (rise, told)
        });
        let rises: Vec<(Rise, FindingRef)> = rises.collect();
        let rose: Vec<&Rise> = rises.iter().map(|(rise, _)| rise).collect();
        let mut shifts = observations::shifts(evidence, &load, &rose);
        for shift in &mut shifts {
            shift.findings = vec![findings::shift(evidence, shift, &mut findings)];
        }
        findings::aftermath(evidence, &outages, &mut findings);
        let slow_stores = slow_stores(evidence, &outages, &mut findings);
        let names: Vec<String> = evidence.nodes.member_names().map(str::to_owned).collect();
        let slow_members = slow_members(evidence, &names, &members, &mut findings);
        Self {
            evidence,
            findings,
            outages,
            member_names: names,
            members,
            leader_changes,
            slow_stores,
            slow_members,
            requests: load.requests,
            rises,
            shifts,
            drains,
            moved,
            schedulers,
        }
    }

    /// The end of an open range.
    pub fn open(&self) -> Timestamp {
        self.evidence.as_of
    }

    /// Whether a store fell out, or PD lost its leader, around `at`: what follows may be only that.
    pub fn disturbed(&self, at: Timestamp) -> bool {
        self.disturbed_around(at, None)
    }

    /// As [`disturbed`](Self::disturbed), by others than one store.
    pub fn disturbed_around(&self, at: Timestamp, store: Option<usize>) -> bool {
        let near = |from: Timestamp, to: Option<Timestamp>| {
            at >= from.saturating_add_millis(-30_000)
                && at <= to.unwrap_or(self.open()).saturating_add_millis(AFTERMATH_MS)
        };
        let others = self.outages.iter().filter(|outage| Some(outage.store) != store);
        others.into_iter().any(|outage| near(outage.onset, outage.end))
            || self.members.iter().any(|one| one.led && one.is_silent() && near(one.onset, one.end))
    }

    /// Whether a store was being emptied or filled at `at`, or had just given its leaders away: all
    /// others then have more to write and to read.
    pub fn moves_regions(&self, at: Timestamp) -> bool {
        let within = |from: Timestamp, millis: i64| {
            let range = TimeRange::new(
                from.saturating_add_millis(-15_000),
                from.saturating_add_millis(millis),
            );
            range.contains(at)
        };
        self.moved.iter().any(|(one, _)| within(one.at, MOVING_MS))
            || self.drains.iter().any(|drain| within(drain.at, 60_000))
    }

    /// Whether the store itself counted no leader any more before it fell silent, and some earlier:
    /// what is left of a drain where PD's listings are missing.
    pub fn gave_leaders_away(&self, store: usize, at: Timestamp) -> bool {
        let Some(instance) = self.evidence.nodes.stores[store].instance.as_deref() else {
            return false;
        };
        let of_leaders = |labels: &Labels| labels.get("type") == Some("leader");
        let leaders = self.evidence.series.gauge(LEADERS, instance, of_leaders);
        let before = TimeRange::new(Timestamp::MIN, at);
        let counts = leaders.within(before);
        counts.last().is_some_and(|last| last.value == 0.0)
            && counts.iter().any(|point| point.value >= 2.0)
    }

    /// Drains of a store that fit a stop at `at`: its leaders had left before.
    pub fn drained_before(&self, store: usize, at: Timestamp) -> Option<&Drain> {
        self.drains.iter().rev().find(|drain| {
            drain.store == store
                && drain.at <= at.saturating_add_millis(2_000)
                && drain.end.is_none_or(|end| end > at)
        })
    }
}

/// Whether a silence, or its aftermath, explains that something became slow.
fn is_excused(slow: &Slow, silent: &[TimeRange]) -> bool {
    silent.iter().any(|range| {
        let end = range.end.saturating_add_millis(AFTERMATH_MS);
        slow.departure.onset >= range.start.saturating_add_millis(-30_000)
            && slow.departure.onset <= end
    })
}

/// Whether an outage of a store explains that something of it became slow.
///
/// A process that ran has no reason to wait for its own disk or threads, except when it catches up
/// afterwards; whom PD does not hear has no answers of PD's. A store that only Prometheus or its
/// peers miss is not disturbed at all.
fn excuses(outage: &Outage, slow: &Slow, as_of: Timestamp) -> bool {
    let range = outage.range(as_of);
    let runs = match presence(outage) {
        Presence::Unseen => {
            // Nobody knows whether PD heard it, or it stood still for a moment.
            let unheard = slow.quantity.stage == Stage::Network && outage.pd != Reachability::Heard;
            let stood = matches!(outage.liveness, Liveness::StoodStill { .. });
            return (unheard || stood) && is_excused(slow, &[range]);
        }
        Presence::CutFromPeers | Presence::OneWay => true,
        Presence::CutOff | Presence::CutFromPd => outage.restart.is_none(),
        Presence::Died | Presence::Frozen | Presence::Gone => false,
    };
    if !runs {
        return is_excused(slow, &[range]);
    }
    match slow.quantity.stage {
        Stage::Network => outage.pd == Reachability::Silent && is_excused(slow, &[range]),
        Stage::Device | Stage::Threads => {
            outage.end.is_some_and(|end| is_excused(slow, &[TimeRange::new(end, end)]))
        }
    }
}

/// Puts what departed on one node into episodes, and leaves out what others did too and what a
/// silence of the node explains.
fn episodes(
    slow: Vec<Slow>,
    evidence: &Evidence,
    silent: &[TimeRange],
) -> Vec<(TimeRange, bool, Vec<Slow>)> {
    let (as_of, least) = (evidence.as_of, evidence.thresholds.at("alone", ALONE));
    let alone = |slow: &Slow| slow.excess() >= least && !is_excused(slow, silent);
    let mut alone: Vec<Slow> = slow.into_iter().filter(alone).collect();
    alone.sort_by_key(|slow| (slow.departure.onset, slow.quantity.metric));
    let mut found: Vec<(TimeRange, bool, Vec<Slow>)> = Vec::new();
    for one in alone {
        let range = one.departure.range(as_of);
        let ended = one.departure.end.is_some();
        match found.last_mut() {
            Some((known, known_ended, list)) if range.start <= known.end => {
                known.end = known.end.max(range.end);
                *known_ended &= ended;
                list.push(one);
            }
            _ => found.push((range, ended, vec![one])),
        }
    }
    found
}

fn slow_stores(evidence: &Evidence, outages: &[Outage], findings: &mut Findings) -> Vec<SlowNode> {
    let scraped: Vec<(usize, String)> = evidence
        .nodes
        .stores
        .iter()
        .enumerate()
        .filter_map(|(index, store)| Some((index, store.instance.clone()?)))
        .collect();
    let instances: Vec<String> = scraped.iter().map(|(_, instance)| instance.clone()).collect();
    let slow = observations::slow(evidence, &STORE_QUANTITIES, &instances);
    let mut found = Vec::new();
    for ((node, _), slow) in scraped.into_iter().zip(slow) {
        let own: Vec<&Outage> = outages
            .iter()
            .filter(|outage| outage.store == node || outage.link == Some(node))
            .collect();
        let excused = |slow: &Slow| own.iter().any(|outage| excuses(outage, slow, evidence.as_of));
        let slow = slow.into_iter().filter(|slow| !excused(slow)).collect();
        for (range, ended, slow) in episodes(slow, evidence, &[]) {
            let told = slow.iter().map(|one| findings::slow_store(evidence, node, one, findings));
            let told = told.collect();
            found.push(SlowNode { node, range, ended, slow, findings: told });
        }
    }
    found
}

fn slow_members(
    evidence: &Evidence,
    names: &[String],
    outages: &[MemberOutage],
    findings: &mut Findings,
) -> Vec<SlowNode> {
    let scraped: Vec<(usize, String)> = names
        .iter()
        .enumerate()
        .filter_map(|(index, name)| Some((index, evidence.nodes.instance_of_member(name)?)))
        .collect();
    let instances: Vec<String> = scraped.iter().map(|(_, instance)| instance.clone()).collect();
    let slow = observations::slow(evidence, &MEMBER_QUANTITIES, &instances);
    let mut found = Vec::new();
    for ((node, _), slow) in scraped.into_iter().zip(slow) {
        let own = outages.iter().filter(|one| one.member == names[node]);
        let silent: Vec<TimeRange> = own.map(|one| one.range(evidence.as_of)).collect();
        let slow = without_elections(evidence, outages, slow);
        for (range, ended, slow) in episodes(slow, evidence, &silent) {
            let told =
                slow.iter().map(|one| findings::slow_member(evidence, &names[node], one, findings));
            let told = told.collect();
            found.push(SlowNode { node, range, ended, slow, findings: told });
        }
    }
    found
}

/// A change of leader moves work from one member to another, and so does an absent member: a log
/// that is written more often takes a few times as long. A round trip is no work, and neither is
/// the wait for a thread.
fn without_elections(evidence: &Evidence, outages: &[MemberOutage], slow: Vec<Slow>) -> Vec<Slow> {
    let changed = evidence.pd.leaders.iter().skip(1).map(|(at, _)| TimeRange::new(*at, *at));
    let absent = outages.iter().map(|one| one.range(evidence.as_of));
    let moved: Vec<TimeRange> = changed.chain(absent).collect();
    let by_election = |slow: &Slow| {
        let onset = slow.departure.onset;
        slow.quantity.stage == Stage::Device
            && slow.departure.ratio() < BY_MORE_WORK
            && moved.iter().any(|range| {
                onset >= range.start.saturating_add_millis(-30_000)
                    && onset <= range.end.saturating_add_millis(AFTERMATH_MS)
            })
    };
    slow.into_iter().filter(|one| !by_election(one)).collect()
}
