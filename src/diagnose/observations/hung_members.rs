//! PD members that go on answering and do no work: their disk takes no writes, or they lead in name only.
//!
//! Members that answer nobody are outages, see `members`; those that only became slow stand in `stages`.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::invariants::below;
use crate::diagnose::observations::outages::Outage;
use crate::diagnose::observations::presence::{Presence, presence};
use crate::model::{TimeRange, Timestamp};

/// Counts the times that etcd wrote its log to the disk.
pub const LOG_WRITES: &str = "etcd_disk_wal_fsync_duration_seconds_count";
/// 1 while a member of etcd knows a leader.
pub const HAS_LEADER: &str = "etcd_server_has_leader";

/// How many scrapes etcd's log must stand still: others write theirs several times between two.
const STILL_SCRAPES: usize = 4;
/// The least number of log writes between two scrapes that counts as usual.
const USUAL_WRITES: f64 = 2.0;
/// How long one member must lead PD and another one etcd, in milliseconds. Only etcd's leader campaigns
/// for PD's leadership, so that the two differ for no longer than a lease and an election.
const APART_MS: i64 = 30_000;
/// How long PD must hear no store, in milliseconds: twice as long as all stores need to find a new leader.
const DEAF_MS: i64 = 80_000;

/// What shows that a member does no work.
#[derive(Clone, Debug, PartialEq)]
pub enum Sign {
    /// It wrote nothing to etcd's log, while another member did.
    LogStill {
        /// The name of its scrape target.
        instance: String,
    },
    /// It leads PD, and another member etcd.
    LeadsApart {
        /// The member that said so.
        by: String,
        /// The name of etcd's leader.
        etcd_leader: String,
    },
    /// It leads PD and hears no store, although the stores run.
    HearsNoStore {
        /// The outages of the stores, as indices of those in the window.
        outages: Vec<usize>,
    },
}

/// A stretch in which a sign held.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// What held.
    pub sign: Sign,
    /// From the first reading that shows it to the last.
    pub range: TimeRange,
    /// How far the onset may be off, either way, in milliseconds.
    pub uncertainty_ms: i64,
    /// Whether it lasts to the end of what was observed.
    pub lasts: bool,
}

/// A PD member that answers and does no work.
#[derive(Clone, Debug, PartialEq)]
pub struct HungMember {
    /// The name of the member.
    pub member: String,
    /// What shows it, ascending by onset; at least one.
    pub shown: Vec<Shown>,
}

impl HungMember {
    /// From the first sign to the last.
    pub fn range(&self) -> TimeRange {
        let ends = self.shown.iter().map(|shown| shown.range.end);
        let start = self.shown[0].range.start;
        TimeRange::new(start, ends.max().unwrap_or(start))
    }

    /// Whether a sign of it lasts to the end of what was observed.
    pub fn lasts(&self) -> bool {
        self.shown.iter().any(|shown| shown.lasts)
    }
}

/// The members that answer and do no work, ascending by name.
pub fn hung_members(evidence: &Evidence, outages: &[Outage]) -> Vec<HungMember> {
    let deaf = hears_no_store(evidence, outages);
    let found = evidence.nodes.member_names().filter_map(|name| {
        let mut shown: Vec<Shown> = log_still(evidence, name).into_iter().collect();
        shown.extend(leads_apart(evidence, name));
        shown.extend(deaf.iter().filter(|(leader, _)| leader == name).map(|(_, one)| one.clone()));
        shown.sort_by_key(|shown| shown.range.start);
        (!shown.is_empty()).then(|| HungMember { member: name.to_owned(), shown })
    });
    found.collect()
}

/// The first stretch in which a member wrote nothing to its log, while another member did. A member that
/// knows no leader is cut off from the others and has nothing to write.
fn log_still(evidence: &Evidence, name: &str) -> Option<Shown> {
    let instance = evidence.nodes.instance_of_member(name)?;
    let writes = |instance: &str| evidence.series.rate(LOG_WRITES, instance, |_| true);
    let own = writes(&instance);
    let others: Vec<_> = evidence
        .nodes
        .member_names()
        .filter_map(|other| evidence.nodes.instance_of_member(other))
        .filter(|other| *other != instance)
        .map(|other| writes(&other))
        .collect();
    let interval_s = evidence.series.interval_of(&instance) as f64 / 1000.0;
    let led = evidence.series.gauge(HAS_LEADER, &instance, |_| true);
    let stretch = below(&own, 0.0, STILL_SCRAPES).into_iter().find(|stretch| {
        let within = TimeRange::new(stretch.range.start, stretch.range.end + 1);
        let before = own.within(TimeRange::new(Timestamp::MIN, stretch.range.start));
        let usual = median(before.iter().map(|point| point.value)).unwrap_or(0.0);
        let goes_on = others.iter().any(|other| {
            let points = other.within(within);
            2 * points.iter().filter(|point| point.value > 0.0).count() > points.len()
        });
        let cut_off = led.within(within).iter().any(|point| point.value == 0.0);
        usual * interval_s >= USUAL_WRITES && goes_on && !cut_off
    })?;
    Some(Shown {
        sign: Sign::LogStill { instance },
        range: stretch.range,
        uncertainty_ms: (stretch.range.start - stretch.since).max(1_000),
        lasts: stretch.lasts,
    })
}

/// The first stretch in which another member says that this one leads PD and a third one, or itself, etcd.
fn leads_apart(evidence: &Evidence, name: &str) -> Option<Shown> {
    let views = evidence.pd.leaderships.iter().filter_map(|(by, changes)| {
        let ends = changes.iter().skip(1).map(|(at, _)| Some(*at)).chain([None]);
        let mut stretches = changes.iter().zip(ends);
        stretches.find_map(|((at, view), end)| {
            let etcd_leader = view.etcd_leader.clone()?;
            let until = end.unwrap_or(evidence.as_of);
            let apart = view.leader.as_deref() == Some(name) && etcd_leader != name;
            (apart && until - *at >= APART_MS).then(|| Shown {
                sign: Sign::LeadsApart { by: by.clone(), etcd_leader },
                range: TimeRange::new(*at, until),
                uncertainty_ms: ASKED_MS,
                lasts: end.is_none(),
            })
        })
    });
    views.min_by_key(|shown| shown.range.start)
}

/// How far apart two answers about the members are, in milliseconds.
const ASKED_MS: i64 = 10_000;

/// PD's leader while it heard no store although they ran: all of them, and two at least. `None` where PD
/// changed its leader meanwhile, since stores then look for the new one.
fn hears_no_store(evidence: &Evidence, outages: &[Outage]) -> Option<(String, Shown)> {
    let stores = evidence.nodes.stores.iter().filter(|store| store.id.is_some()).count();
    let cut = || {
        let cut = outages.iter().enumerate();
        cut.filter(|(_, outage)| presence(outage) == Presence::CutFromPd)
    };
    let from = cut().map(|(_, outage)| outage.onset).max()?;
    let at_once = |outage: &Outage| outage.range(evidence.as_of).contains(from);
    let all: Vec<usize> = cut().filter(|(_, one)| at_once(one)).map(|(index, _)| index).collect();
    if stores < 2 || all.len() < stores {
        return None;
    }
    let onsets = all.iter().map(|index| outages[*index].onset);
    let first = onsets.min()?;
    let ends: Vec<Option<Timestamp>> = all.iter().map(|index| outages[*index].end).collect();
    let end = ends.iter().copied().flatten().min();
    let until = end.unwrap_or(evidence.as_of);
    // Stores that PD heard last before the recording are silent since before anybody said who leads.
    let (named, leader) = evidence.pd.leader_by(first)?;
    let settled = named.max(first).saturating_add_millis(DEAF_MS);
    if until < settled || evidence.pd.leader_at(settled) != Some(leader) {
        return None;
    }
    let uncertainty_ms = all.iter().map(|index| outages[*index].uncertainty_ms()).max()?;
    let shown = Shown {
        sign: Sign::HearsNoStore { outages: all },
        range: TimeRange::new(first, until),
        uncertainty_ms,
        lasts: end.is_none(),
    };
    Some((leader.to_owned(), shown))
}
