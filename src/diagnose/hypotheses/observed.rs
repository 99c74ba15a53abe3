//! The observed window: its observations, each described as a finding, for the modes to judge.
//!
//! Nothing here makes a claim.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings;
use crate::diagnose::findings::finding::{FindingRef, Findings};
use crate::diagnose::hypotheses::slow_nodes::{SlowNode, slow_members, slow_stores};
use crate::diagnose::observations::tracks::Track;
use crate::diagnose::observations::{
    self, ChangedSettings, Drain, HostSign, HungMember, LeaderChange, Logged, MemberOutage, Moved,
    Nearest, Outage, Rise, SchedulerChange, Shift, leaving,
};
use crate::diagnose::survey::{Unusual, unusual};
use crate::diagnose::thresholds::AFTERMATH_MS;
use crate::model::{Labels, TimeRange, Timestamp};

/// The metric in which a store counts its regions, by its role in them.
pub const LEADERS: &str = "tikv_raftstore_region_count";

/// The metric in which PD counts regions by what is wrong with them.
pub const REGIONS: &str = "pd_regions_status";

/// How long the regions of a small cluster's store take to leave or to arrive, in milliseconds: PD moves
/// 15 a minute (`store-limit`).
const MOVING_MS: i64 = 600_000;

/// The observations of a window, each with its findings: all that a failure mode judges by.
#[derive(Clone)]
pub struct ObservedWindow<'a> {
    /// The samples and answers that everything was observed in.
    pub evidence: &'a Evidence,
    /// Everything that departed from normal.
    pub findings: Findings,
    /// Outages of stores and of links between them.
    pub outages: Vec<Outage>,
    /// The names of PD's members, ascending.
    pub member_names: Vec<String>,
    /// Outages of PD members.
    pub members: Vec<MemberOutage>,
    /// PD members that answer and do no work.
    pub hung_members: Vec<HungMember>,
    /// Changes of PD's leader, each with its finding.
    pub leader_changes: Vec<(LeaderChange, FindingRef)>,
    /// Stores that became slow alone.
    pub slow_stores: Vec<SlowNode>,
    /// PD members that became slow alone.
    pub slow_members: Vec<SlowNode>,
    /// The requests a second of each store, in the order of `evidence.nodes.stores`.
    pub requests: Vec<Track>,
    /// The requests a second of all stores together, on a regular grid.
    pub requests_of_all: Track,
    /// Rises of the load, each with its finding.
    pub rises: Vec<(Rise, FindingRef)>,
    /// Shifts of load to one store.
    pub shifts: Vec<Shift>,
    /// Stores that were drained of their leaders.
    pub drains: Vec<Drain>,
    /// Stores that joined or are being removed, each with its finding.
    pub moved: Vec<(Moved, FindingRef)>,
    /// Stores, as indices, that are being removed or are removed at some time of the window.
    pub leaving: BTreeSet<usize>,
    /// Schedulers that were added or paused, each with its finding.
    pub schedulers: Vec<(SchedulerChange, FindingRef)>,
    /// Settings of stores that were changed.
    pub changed_settings: Vec<ChangedSettings>,
    /// Quantities of the survey that are unusual; those that nothing explains become findings.
    pub unusual: Vec<Unusual>,
    /// What the logs of nodes say that no metric says, each with its finding.
    pub logged: Vec<(Logged, FindingRef)>,
    /// What machines, Kubernetes and probes say of nodes, each with its finding.
    pub host_signs: Vec<(HostSign, FindingRef)>,
    /// How near quantities came to the limits of modes, where somebody asks for that.
    pub(in crate::diagnose) near_limits: Option<RefCell<Vec<Nearest>>>,
}

impl<'a> ObservedWindow<'a> {
    /// Makes the observations of a window, and the findings that describe them.
    pub fn new(evidence: &'a Evidence) -> Self {
        let mut findings = Findings::default();
        let findings = &mut findings;
        let mut outages = observations::outages(evidence);
        for outage in &mut outages {
            outage.findings = findings::outage(evidence, outage, findings);
        }
        let mut members = observations::member_outages(evidence);
        for member in &mut members {
            member.findings = findings::member_outage(evidence, member, findings);
        }
        let leader_changes = with_findings(observations::leader_changes(evidence), |change| {
            findings::leader_change(evidence, change, findings)
        });
        let mut drains = observations::drains(evidence, &outages);
        for drain in &mut drains {
            drain.findings = findings::drain(evidence, drain, findings);
        }
        let moved = with_findings(observations::moved(evidence), |moved| {
            findings::moved(evidence, moved, findings)
        });
        let schedulers = with_findings(observations::scheduler_changes(evidence), |change| {
            findings::scheduler(change, findings)
        });
        let logged = with_findings(observations::logged(evidence), |logged| {
            findings::logged(evidence, logged, findings)
        });
        let host_signs = with_findings(observations::host_signs(evidence), |sign| {
            findings::host_sign(evidence, sign, findings)
        });
        let load = observations::Load::new(evidence);
        let rises = with_findings(observations::rises(evidence, &load), |rise| {
            findings::rise(evidence, rise, findings)
        });
        let rose: Vec<&Rise> = rises.iter().map(|(rise, _)| rise).collect();
        let mut shifts = observations::shifts(evidence, &load, &rose);
        for shift in &mut shifts {
            shift.findings = vec![findings::shift(evidence, shift, findings)];
        }
        findings::aftermath(evidence, &outages, findings);
        let slow_stores = slow_stores(evidence, &outages, findings);
        let member_names: Vec<String> = evidence.nodes.member_names().map(str::to_owned).collect();
        let slow_members = slow_members(evidence, &member_names, &members, findings);
        let hung_members = observations::hung_members(evidence, &outages);
        findings::differing(evidence, &observations::differing_settings(evidence), findings);
        findings::set_values(evidence, &observations::set_values(evidence), findings);
        let changed_settings = observations::changed_settings(evidence);
        Self {
            evidence,
            findings: std::mem::take(findings),
            outages,
            member_names,
            members,
            hung_members,
            leader_changes,
            slow_stores,
            slow_members,
            requests: load.requests,
            requests_of_all: load.all,
            rises,
            shifts,
            drains,
            moved,
            leaving: leaving(evidence),
            schedulers,
            changed_settings,
            unusual: unusual(evidence.survey(), &evidence.nodes),
            logged,
            host_signs,
            near_limits: None,
        }
    }

    /// The same with what stands out in a survey that was added to the evidence since.
    pub fn surveyed(self) -> Self {
        let unusual = unusual(self.evidence.survey(), &self.evidence.nodes);
        Self { unusual, ..self }
    }

    /// Notes how near a quantity came to a limit of a mode, where somebody asks for that.
    pub(in crate::diagnose) fn note(&self, near: impl FnOnce() -> Option<Nearest>) {
        if let Some(noted) = &self.near_limits {
            noted.borrow_mut().extend(near());
        }
    }

    /// The end of what was observed, up to which everything lasts that is not over.
    pub fn open(&self) -> Timestamp {
        self.evidence.as_of
    }

    /// Whether a store had an outage, or PD lost its leader, about `at`: what began then may only follow
    /// from that.
    pub fn disturbed(&self, at: Timestamp) -> bool {
        self.disturbed_around(at, None)
    }

    /// As [`disturbed`](Self::disturbed), without the outages of `store`. A store that is removed from the
    /// cluster had been emptied before, and is missing for ever.
    pub fn disturbed_around(&self, at: Timestamp, store: Option<usize>) -> bool {
        let near = |from: Timestamp, to: Option<Timestamp>| {
            at >= from.saturating_add_millis(-30_000)
                && at <= to.unwrap_or(self.open()).saturating_add_millis(AFTERMATH_MS)
        };
        let is_other =
            |one: &&Outage| Some(one.store) != store && !self.leaving.contains(&one.store);
        let others = self.outages.iter().filter(is_other);
        others.into_iter().any(|outage| near(outage.onset, outage.end))
            || self.members.iter().any(|one| one.led && one.is_silent() && near(one.onset, one.end))
    }

    /// Whether a store was being emptied or filled at `at`, or had just been drained: all others then
    /// have more to write and to read.
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

    /// Whether the store itself counted no leader any more before `at`, and two or more earlier: the
    /// only trace of a drain where PD's listings are missing.
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

    /// The last drain of a store that was complete before it stopped at `at`.
    pub fn drained_before(&self, store: usize, at: Timestamp) -> Option<&Drain> {
        self.drains.iter().rev().find(|drain| {
            drain.store == store
                && drain.at <= at.saturating_add_millis(2_000)
                && drain.end.is_none_or(|end| end > at)
        })
    }
}

/// Adds the finding of each observation.
fn with_findings<T>(
    observed: Vec<T>,
    mut describe: impl FnMut(&T) -> FindingRef,
) -> Vec<(T, FindingRef)> {
    let described = observed.into_iter().map(|one| {
        let finding = describe(&one);
        (one, finding)
    });
    described.collect()
}
