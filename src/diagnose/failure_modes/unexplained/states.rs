//! States in PD's answers that last, and that no failure mode says why: stores that it calls lost, slow or busy.
//!
//! Those that are so from the first answer on are told too: nobody knows since when.

use crate::diagnose::findings::finding::{FindingKind, Target, counted};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::diagnose::observations::{Lasting, StateKind, lasting_states};
use crate::model::{TimeRange, Timestamp};

/// How sure a state is that PD itself lists: what it means is known, and only its cause is not.
const SURE: f64 = 0.7;

/// A claim for each store in such a state, or one for all stores where all are in it.
pub fn claims(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = lasting_states(observed.evidence);
    found.retain(|one| !observed.leaving.contains(&one.store));
    let mut claims = Vec::new();
    for kind in StateKind::ALL {
        let of_kind: Vec<&Lasting> = found.iter().filter(|one| one.kind == kind).collect();
        let present = |history: &&StoreHistory| !history.is_removed() && !history.is_tiflash;
        let stores = observed.evidence.pd.stores.values().filter(present).count();
        let all = stores >= 2 && of_kind.len() == stores;
        match all {
            true => claims.push(of_all(observed, &of_kind)),
            false => claims.extend(of_kind.into_iter().map(|one| of_one(observed, one))),
        }
    }
    claims
}

fn of_one(observed: &ObservedWindow<'_>, one: &Lasting) -> Claim {
    let known = &observed.evidence.nodes.stores[one.store];
    let text = format!("PD lists it as {}", one.shown);
    let mut claim = claim(observed, one, Target::store(known), text);
    claim.stores = vec![one.store];
    claim
}

fn of_all(observed: &ObservedWindow<'_>, all: &[&Lasting]) -> Claim {
    let first = all.iter().min_by_key(|one| one.since).expect("there are several");
    let mut target = Target::cluster();
    let nodes = &observed.evidence.nodes;
    target.concerns = all.iter().map(|one| nodes.stores[one.store].name()).collect();
    let text = format!("PD lists all {} as {}", counted(all.len() as u64, "store"), first.shown);
    let mut claim = claim(observed, first, target, text);
    claim.stores = all.iter().map(|one| one.store).collect();
    claim
}

fn claim(observed: &ObservedWindow<'_>, one: &Lasting, target: Target, text: String) -> Claim {
    let mut claim = Claim::new(target.clone(), one.since, LISTED_MS, SURE);
    claim.end = one.end;
    let listed: Timestamp = one.listed;
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::StoreAbnormal,
        target,
        range: TimeRange::new(listed, one.end.unwrap_or(observed.open()).max(listed)),
        uncertainty_ms: LISTED_MS,
        lasts: one.end.is_none(),
        text,
        read: (one.kind.reference(), one.shown.clone()),
        plot: Vec::new(),
    }));
    claim.but("no failure mode is known that shows itself so")
}

/// How far apart two listings of the stores are, in milliseconds.
const LISTED_MS: i64 = 10_000;
