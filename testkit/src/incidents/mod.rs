//! Public incidents, rebuilt: a real quiet run in which only that is changed which a public thread names.
//!
//! Each has the mode and the place that its thread established. A third of the first six sets and all of the seventh
//! are [`Half::HeldOut`]: no threshold and no rule may be fitted to those, so that they show what diagnosis makes of an
//! incident that nobody thought of. How long things last where a thread does not say is ours: from the eighth minute of
//! 24 on, or from the first instant. `third` was collected when diagnosis had been fitted to those before, `fourth` when
//! it had been fitted to the tuned ones of all three, `fifth` when those of the fourth were seen too, `sixth` when those
//! of the fifth were, and `seventh` when those of the sixth were, as a measure.

mod changes;
mod fifth;
mod fourth;
mod of_pd;
mod of_stores;
mod seventh;
mod sixth;
mod third;

use std::collections::{BTreeMap, BTreeSet};

use operator::diagnose::{Outcome, Target, TargetKind, Verdict};
use operator::model::{Labels, Sample, Series, TimeRange};
use serde_json::json;

use crate::run::{Run, bundled};

/// Whether diagnosis may be fitted to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    /// It may.
    Tuned,
    /// It may not.
    HeldOut,
}

/// Where an incident was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At some of the stores, by their place among those of the run in ascending order of their ids.
    Stores(&'static [usize]),
    /// At all stores alike; the cluster or the workload is the same place.
    AllStores,
    /// In the cluster as a whole.
    Cluster,
    /// At PD: at the member that leads it.
    PdLeader,
    /// At the member of PD with this name.
    PdMember(&'static str),
    /// In how PD schedules: at PD, or in the cluster that it schedules.
    Scheduling,
}

/// An incident of a public thread.
pub struct Incident {
    /// A short name for it.
    pub name: &'static str,
    /// The thread: owner, repository and number.
    pub thread: &'static str,
    /// What the thread established.
    pub cause: &'static str,
    /// The modes that name it, the best one first.
    pub modes: &'static [&'static str],
    /// Where it was.
    pub place: Place,
    /// What its leading evidence is about: a part of the name of a metric or of a path of PD's.
    pub leads: &'static [&'static str],
    /// Whether diagnosis may be fitted to it.
    pub half: Half,
    /// Changes the run from `FROM` on, or from its beginning.
    pub change: fn(&mut Run),
}

/// Every incident.
pub fn all() -> impl Iterator<Item = &'static Incident> {
    sets().into_iter().flat_map(|(_, incidents)| incidents)
}

/// The incidents of each set, in the order in which they were collected.
pub fn sets() -> [(&'static str, &'static [Incident]); 7] {
    [
        ("sets before", of_stores::INCIDENTS),
        ("sets before", of_pd::INCIDENTS),
        ("third set", third::INCIDENTS),
        ("fourth set", fourth::INCIDENTS),
        ("fifth set", fifth::INCIDENTS),
        ("sixth set", sixth::INCIDENTS),
        ("seventh set", seventh::INCIDENTS),
    ]
}

/// When what happens within the run begins, in seconds.
pub const FROM: i64 = 480;

/// How long a tile of the quiet run is, in seconds: from its second minute to its tenth.
const TILE_S: (i64, i64) = (60, 540);
/// How many tiles there are.
const TILES: i64 = 3;

/// The quiet run: the second to the ninth minute of a real one, three times; requests of the raw interface
/// are called as those of transactions are, which the threads are about. PD moves nothing in it.
pub fn quiet() -> Run {
    let mut run = Run::open_whole(&bundled("chaos-01"));
    run.cut(run.range(TILE_S.0, TILE_S.1));
    for series in run.series.iter_mut().filter(|one| one.labels.metric().starts_with("tikv_grpc")) {
        let renamed = |(name, value): (&str, &str)| {
            let value = match (name, value) {
                ("type", "raw_get") => "kv_get",
                ("type", "raw_put") => "kv_prewrite",
                ("type", "kv_get") => "raw_get",
                ("type", "kv_prewrite") => "raw_put",
                _ => value,
            };
            (name.to_owned(), value.to_owned())
        };
        let pairs: Vec<(String, String)> = series.labels.iter().map(renamed).collect();
        series.labels = Labels::new(pairs).expect("names stay distinct");
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    run.repeat(TILES);
    changes::go_on(&mut run, (TILE_S.1 - TILE_S.0) * 1000);
    let whole = run.window;
    run.bodies("/operators?", whole, |_, body| *body = json!([]));
    run
}

impl Incident {
    /// The quiet run with the incident in it.
    pub fn run(&self, quiet: &Run) -> Run {
        let mut run = quiet.clone();
        (self.change)(&mut run);
        run
    }

    /// The same as a recording that holds only the metrics which failure modes name, and what was changed; of a
    /// histogram both its sum and its count.
    pub fn lean(&self, run: &Run, quiet: &Run) -> Run {
        let named: BTreeSet<&str> = operator::diagnose::metrics().into_iter().collect();
        let unchanged: BTreeMap<&Labels, &[Sample]> =
            quiet.series.iter().map(|one| (&one.labels, one.samples.as_slice())).collect();
        let is_changed =
            |one: &&Series| unchanged.get(&one.labels) != Some(&one.samples.as_slice());
        let changed = run.series.iter().filter(is_changed).map(|one| one.labels.metric());
        let mut kept: BTreeSet<String> = named.into_iter().map(str::to_owned).collect();
        for metric in changed {
            kept.insert(metric.to_owned());
            let histogram = metric.strip_suffix("_sum").or(metric.strip_suffix("_bucket"));
            kept.extend(histogram.map(|histogram| format!("{histogram}_count")));
        }
        let mut lean = run.clone();
        lean.series.retain(|one| kept.contains(one.labels.metric()));
        lean
    }

    /// Whether a verdict names the incident: a cause, or a change where that is expected, of one of its modes at
    /// its place, and no cause of another mode.
    pub fn is_named(&self, run: &Run, verdict: &Verdict) -> bool {
        let right = |mode: &str| self.modes.contains(&mode);
        let told = verdict.causes.iter().chain(&verdict.changes);
        let named = told.filter(|one| right(one.mode));
        verdict.causes.iter().all(|cause| right(cause.mode))
            && named.into_iter().any(|one| self.place.is_at(run, &one.target))
    }

    /// Whether the evidence of any cause or change is about what leads in the thread.
    pub fn is_led(&self, verdict: &Verdict) -> bool {
        let told = verdict.causes.iter().chain(&verdict.changes);
        let ids: Vec<&str> = told
            .flat_map(|one| one.evidence.iter().map(|reason| reason.finding.as_str()))
            .collect();
        let findings = verdict.findings.iter().filter(|one| ids.contains(&one.id.as_str()));
        let cited = findings.flat_map(|one| &one.citations);
        cited.into_iter().any(|one| self.leads.iter().any(|part| one.reference.contains(part)))
    }

    /// Whether the verdict says that nothing is wrong, and tells no change either that would be the incident.
    pub fn is_missed(&self, verdict: &Verdict) -> bool {
        let told = verdict.changes.iter().any(|one| self.modes.contains(&one.mode));
        verdict.outcome == Outcome::NoFault && !told
    }
}

impl Place {
    /// Whether a target of a verdict is at this place.
    pub fn is_at(self, run: &Run, target: &Target) -> bool {
        let store = |index: usize| run.store(index).2;
        let of_all = matches!(target.kind, TargetKind::Cluster | TargetKind::Workload);
        match self {
            Self::Stores(some) => {
                let names: Vec<String> = some.iter().map(|index| store(*index)).collect();
                let concerned = |name: &String| {
                    target.concerns.iter().any(|one| one.starts_with(name.as_str()))
                };
                names.contains(&target.name) || names.iter().any(concerned)
            }
            Self::AllStores => of_all || target.kind == TargetKind::Store,
            Self::Cluster => target.kind == TargetKind::Cluster,
            Self::PdLeader => target.kind == TargetKind::Pd || target.name == LEADER,
            Self::PdMember(name) => target.kind == TargetKind::Pd || target.name == name,
            Self::Scheduling => {
                Self::PdLeader.is_at(run, target) || Self::Cluster.is_at(run, target)
            }
        }
    }
}

/// The member that leads PD in the quiet run.
const LEADER: &str = "pd2";
/// Its scrape target.
const LEADERS_TARGET: &str = "10.77.0.12:2379";

/// From `FROM` to the end.
fn lasting(run: &Run) -> TimeRange {
    TimeRange::new(run.at(FROM), run.window.end)
}

/// The targets of the members of PD, in ascending order of their names.
const MEMBERS: [&str; 3] = ["10.77.0.10:2379", "10.77.0.11:2379", LEADERS_TARGET];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_by_number_is_held_out_and_all_of_the_seventh_set() {
        for (name, incidents) in &sets()[2..] {
            let number = |one: &Incident| -> (String, u32) {
                let (repository, number) = one.thread.split_once('#').expect("it has a number");
                (repository.to_owned(), number.parse().expect("it is one"))
            };
            assert!(incidents.iter().map(number).is_sorted());
            for (place, one) in incidents.iter().enumerate() {
                let is_held_out = *name == "seventh set" || place % 3 == 2;
                let half = if is_held_out { Half::HeldOut } else { Half::Tuned };
                assert_eq!(one.half, half, "{}", one.name);
            }
        }
    }

    #[test]
    fn no_two_incidents_of_a_later_set_have_a_name_or_a_thread_in_common() {
        let known: Vec<&Incident> = all().collect();
        for (place, one) in known.iter().enumerate() {
            let mut others = known[..place].iter();
            assert!(others.all(|other| other.name != one.name), "{}", one.name);
        }
        for (place, (_, incidents)) in sets().iter().enumerate().skip(2) {
            let earlier: Vec<&str> = sets()[..place]
                .iter()
                .flat_map(|(_, some)| some.iter().map(|one| one.thread))
                .collect();
            assert!(incidents.iter().all(|one| !earlier.contains(&one.thread)));
        }
    }
}
