//! Which claim explains which: what is deeper and earlier explains what is shallower and later.
//!
//! The claims are made by the modes, and the verdict is put together in `judge`.

use crate::diagnose::findings::finding::TargetKind;
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature};
use crate::diagnose::thresholds::AFTERMATH_MS;
use crate::model::{TimeRange, Timestamp};

/// A claim of a mode, and its role in the verdict.
pub struct Hypothesis<'a> {
    /// The mode that made the claim.
    pub mode: &'a Mode,
    /// The claim itself.
    pub claim: Claim,
    /// Its role in the verdict; a claim stands until another one explains it.
    pub role: Role,
}

/// The role of a claim in the verdict.
pub enum Role {
    /// It is a cause or a planned change.
    Stands,
    /// It is a consequence of the claim at this index.
    Follows(usize),
    /// It is an alternative; the text says why it was discarded.
    Discarded(String),
}

impl Hypothesis<'_> {
    /// When it was over, or `open` where it lasts; never before its onset.
    pub fn end(&self, open: Timestamp) -> Timestamp {
        self.claim.end.unwrap_or(open).max(self.claim.onset)
    }

    /// Whether it is a cause or a planned change.
    pub fn stands(&self) -> bool {
        matches!(self.role, Role::Stands)
    }

    /// Whether it is a consequence of the hypothesis at index `cause`.
    pub fn follows(&self, cause: usize) -> bool {
        matches!(self.role, Role::Follows(deeper) if deeper == cause)
    }

    /// Whether the two overlap in time, within the uncertainty of their onsets.
    fn overlaps(&self, other: &Self, open: Timestamp) -> bool {
        let slack = self.claim.onset_uncertainty_ms + other.claim.onset_uncertainty_ms;
        self.claim.onset.saturating_add_millis(-slack) <= other.end(open)
            && other.claim.onset.saturating_add_millis(-slack) <= self.end(open)
    }

    /// Whether the two affect the same thing: the same target, stores in common, or PD as a whole
    /// and one of its members.
    fn shares_target(&self, other: &Self) -> bool {
        let stores = self.claim.stores.iter().any(|store| other.claim.stores.contains(store));
        let (own, others) = (&self.claim.target, &other.claim.target);
        let member = own.kind == TargetKind::Pd && others.kind == TargetKind::PdMember;
        stores || member || own.name == others.name
    }

    /// Whether it describes all of `other`'s fault and more.
    fn subsumes(&self, other: &Self, open: Timestamp) -> bool {
        self.mode.subsumes(other.mode) && self.shares_target(other) && self.overlaps(other, open)
    }

    /// Whether both are faults of the same depth, target and time, and neither describes only a part
    /// of the other: at most one of them is true.
    fn competes_with(&self, other: &Self, open: Timestamp) -> bool {
        let (own, others) = (self.mode, other.mode);
        own.nature == Nature::Fault
            && others.nature == Nature::Fault
            && own.depth == others.depth
            && own.name != others.name
            && !others.subsumes(own)
            && self.shares_target(other)
            && self.overlaps(other, open)
    }
}

/// Gives each hypothesis its role. They are sorted first: planned changes, then by depth, onset and
/// confidence. `open` is the end of what was observed; `confident` is the least confidence of a cause.
pub fn rank(hypotheses: &mut [Hypothesis<'_>], open: Timestamp, confident: f64) {
    hypotheses.sort_by(|a, b| {
        let order = |one: &Hypothesis<'_>| {
            (one.mode.nature != Nature::Change, one.mode.depth, one.claim.onset)
        };
        let confidence = b.claim.confidence.total_cmp(&a.claim.confidence);
        order(a).cmp(&order(b)).then(confidence).then_with(|| a.claim.target.cmp(&b.claim.target))
    });
    discard(hypotheses, open, confident);
    explain_away(hypotheses, open);
}

/// Discards what is too unsure, what another claim subsumes, and of competing claims all but the
/// surest.
fn discard(hypotheses: &mut [Hypothesis<'_>], open: Timestamp, confident: f64) {
    for unsure in hypotheses.iter_mut().filter(|one| one.claim.confidence < confident) {
        unsure.role = Role::Discarded("more speaks against it than for it".to_owned());
    }
    for a in 0..hypotheses.len() {
        for b in 0..hypotheses.len() {
            if a == b || !hypotheses[a].stands() || !hypotheses[b].stands() {
                continue;
            }
            let (winner, loser) = (&hypotheses[a], &hypotheses[b]);
            let surer = (winner.claim.confidence, b) > (loser.claim.confidence, a);
            if winner.subsumes(loser, open) || surer && winner.competes_with(loser, open) {
                let why = format!("{} explains the same and more", winner.mode.name);
                hypotheses[b].role = Role::Discarded(why);
            }
        }
    }
}

/// Walks from the deepest and earliest claim up. What begins with or after a deeper one, before
/// its traces are gone, follows from it: a fault of one node disturbs that node in every way, and
/// the cluster in its load and its placement, but no other node's disk, CPU or process.
fn explain_away(hypotheses: &mut [Hypothesis<'_>], open: Timestamp) {
    for index in 0..hypotheses.len() {
        if !hypotheses[index].stands() {
            continue;
        }
        let cause = (0..index).find(|&earlier| {
            let (deep, shallow) = (&hypotheses[earlier], &hypotheses[index]);
            deep.stands() && explains(deep, shallow, open)
        });
        if let Some(cause) = cause {
            hypotheses[index].role = Role::Follows(cause);
        }
    }
}

fn explains(deep: &Hypothesis<'_>, shallow: &Hypothesis<'_>, open: Timestamp) -> bool {
    let depth = shallow.mode.depth;
    if deep.mode.never_explains.contains(&depth) {
        return false;
    }
    let (nature, claim) = (deep.mode.nature, &deep.claim);
    if depth == Depth::Unexplained {
        let about = surroundings(nature, claim.onset, claim.end.or(claim.acted), open);
        // A state of the cluster may itself follow from what one node shows.
        let at_a_node =
            matches!(shallow.claim.target.kind, TargetKind::Store | TargetKind::PdMember);
        let only_state = deep.mode.depth == Depth::Consequence && at_a_node;
        return deep.mode.depth != depth
            && about.contains(shallow.claim.onset)
            && (!only_state || deep.shares_target(shallow));
    }
    if shallow.mode.is_decided() {
        return false;
    }
    let deeper = nature == Nature::Change || deep.mode.depth < depth;
    let slack = claim.onset_uncertainty_ms + shallow.claim.onset_uncertainty_ms + 15_000;
    let until = match claim.end {
        Some(end) => end.max(claim.onset).saturating_add_millis(AFTERMATH_MS),
        None => surroundings(nature, claim.onset, claim.acted, open).end,
    };
    let after = shallow.claim.onset >= claim.onset.saturating_add_millis(-slack)
        && shallow.claim.onset <= until;
    let reach = match depth {
        Depth::Presence => false,
        Depth::Resource => deep.shares_target(shallow),
        Depth::Workload | Depth::Saturation | Depth::Consequence | Depth::Unexplained => true,
    };
    deeper && after && reach
}

/// How far from a known cause, in milliseconds, something may begin that nobody knows: a cluster takes
/// minutes to move regions and to catch up, and a cause is dated by what proves it, which may come late.
const ABOUT_MS: i64 = 600_000;

/// When something that nobody knows belongs to a cause or a change from `onset` to `end`: while that lasts,
/// and not long before or after. A change that lasts has been decided, and what it disturbs settles.
pub fn surroundings(
    nature: Nature,
    onset: Timestamp,
    end: Option<Timestamp>,
    open: Timestamp,
) -> TimeRange {
    let end = match nature {
        Nature::Fault => end.unwrap_or(open),
        Nature::Change => end.unwrap_or(onset),
    };
    let from = onset.saturating_add_millis(-ABOUT_MS);
    TimeRange::new(from, end.max(onset).saturating_add_millis(ABOUT_MS))
}
