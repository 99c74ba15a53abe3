//! Nodes that became slow alone among their kind, without what an outage or an election explains.
//!
//! Which stage made them slow is decided by the failure modes.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings;
use crate::diagnose::findings::finding::{FindingRef, Findings};
use crate::diagnose::observations::{
    self, Liveness, MEMBER_QUANTITIES, MemberOutage, Outage, Presence, Reachability,
    STORE_QUANTITIES, Slow, Stage, presence,
};
use crate::diagnose::thresholds::{AFTERMATH_MS, ALONE};
use crate::model::{TimeRange, Timestamp};

/// How many times slower than usual a log can become by more work alone.
const BY_MORE_WORK: f64 = 10.0;

/// A node that became slow, alone among its kind.
#[derive(Clone, Debug)]
pub struct SlowNode {
    /// The node, as an index of `evidence.nodes.stores` or of the names of PD's members.
    pub node: usize,
    /// From the onset of the first quantity to the end of the last.
    pub range: TimeRange,
    /// Whether it was over before the end of what was observed.
    pub ended: bool,
    /// The quantities that became slow, ascending by onset.
    pub slow: Vec<Slow>,
    /// The findings that show them, one for each.
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

    /// How long it lasted, up to now if it is not over, in milliseconds.
    pub fn lasted_ms(&self) -> i64 {
        self.range.millis()
    }

    /// The earliest departure of a quantity of a stage; `None` where none departed.
    pub fn first_of(&self, stage: Stage) -> Option<&Slow> {
        let of_stage = self.slow.iter().filter(|slow| slow.quantity.stage == stage);
        of_stage.min_by_key(|slow| slow.departure.onset)
    }
}

/// Whether one of the silences, or its aftermath, explains that something became slow.
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
/// afterwards; a store that PD does not hear gets no answers of PD. A store that only Prometheus or
/// its peers miss is not disturbed at all.
fn excuses(outage: &Outage, slow: &Slow, as_of: Timestamp) -> bool {
    let range = outage.range(as_of);
    let runs = match presence(outage) {
        Presence::Unseen => {
            // It is unknown whether PD heard it, or it stood still for a moment.
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

/// Groups what departed on one node into episodes that do not overlap: their time, whether it is over,
/// and what departed. What departed on other nodes too, or what a silence of the node explains, is left
/// out.
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

/// The stores that became slow alone, each with its findings.
pub fn slow_stores(
    evidence: &Evidence,
    outages: &[Outage],
    findings: &mut Findings,
) -> Vec<SlowNode> {
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
            let shown = slow.iter().map(|one| findings::slow_store(evidence, node, one, findings));
            let findings = shown.collect();
            found.push(SlowNode { node, range, ended, slow, findings });
        }
    }
    found
}

/// The PD members that became slow alone, each with its findings.
pub fn slow_members(
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
            let name = &names[node];
            let shown = slow.iter().map(|one| findings::slow_member(evidence, name, one, findings));
            let findings = shown.collect();
            found.push(SlowNode { node, range, ended, slow, findings });
        }
    }
    found
}

/// Leaves out slow logs that an election explains: a change of leader, or a missing member, moves work
/// from one member to another, and a log that is written more often takes a few times as long. Neither
/// round trips nor waits for a thread take longer by that.
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
