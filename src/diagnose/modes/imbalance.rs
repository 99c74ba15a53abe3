//! Leaders or regions unevenly placed, and nobody moves them.

use crate::diagnose::case::Case;
use crate::diagnose::facts::leaving;
use crate::diagnose::finding::{FindingKind, Target, number};
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::tell::{Crossing, crossing};
use crate::model::{TimeRange, Timestamp};

/// The mode.
pub const MODE: Mode = Mode {
    name: "imbalance",
    row: 16,
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "leaders are unevenly placed, and PD does not move them",
    subsumes: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    judge,
};

/// PD balances within minutes once it can; a spread that stands still for ten with the balancer
/// away is no transition.
const LASTS_MS: i64 = 600_000;

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let pd = &case.evidence.pd;
    let Some((_, schedulers)) = pd.schedulers.last() else { return Vec::new() };
    let paused = pd.paused.last().map(|(_, names)| names.clone()).unwrap_or_default();
    let balances = |name: &str| schedulers.contains(name) && !paused.contains(name);
    if balances("balance-leader-scheduler") {
        return Vec::new();
    }
    let since = case.open().saturating_add_millis(-LASTS_MS);
    let leaves = leaving(case.evidence);
    let leaders_at = |at: Timestamp| -> Vec<u64> {
        let stores = case.evidence.stores.iter().enumerate();
        let serving = stores.filter(|(index, _)| !leaves.contains(index));
        let counts = serving.filter_map(|(_, store)| pd.stores.get(&store.id?)?.counts_at(at));
        counts.map(|counts| counts.leaders).collect()
    };
    let spread = |counts: &[u64]| {
        let (most, least) = (counts.iter().max()?, counts.iter().min()?);
        // Twice the least and ten more: what balance-leader would never leave.
        (*most >= 2 * *least && most - least >= 10).then_some((*least, *most))
    };
    let (Some(_), Some((least, most))) =
        (spread(&leaders_at(since)), spread(&leaders_at(case.open())))
    else {
        return Vec::new();
    };
    let mut claim = Claim::new(Target::cluster(), since, 60_000, 0.7);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::ScoresApart,
        target: Target::cluster(),
        range: TimeRange::new(since, case.open()),
        uncertainty_ms: 60_000,
        lasts: true,
        text: format!(
            "stores lead from {} to {} regions",
            number(least as f64),
            number(most as f64)
        ),
        read: ("PD /schedulers", "no balance-leader-scheduler at work".to_owned()),
        plot: Vec::new(),
    }));
    vec![claim]
}
