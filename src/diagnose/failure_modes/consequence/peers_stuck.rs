//! Regions stay without enough peers, and PD creates no operator for them.

use crate::diagnose::findings::finding::{FindingKind, Target, counted};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::model::TimeRange;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "peers_stuck",
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "regions lack peers, and their repair makes no progress",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    judge,
};

/// How long a count must not fall, in milliseconds. PD waits 30 min (`max-store-down-time`) before it replaces a peer of a silent store, and the
/// regions of a removed store leave at 15 a minute; a count that does not fall for ten minutes without a
/// single operator is stuck.
const LASTS_MS: i64 = 600_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let pd = &observed.evidence.pd;
    let open = observed.open();
    let mut found = Vec::new();
    for name in ["miss-peer", "down-peer", "offline-peer"] {
        let Some(counts) = pd.checks.get(name) else { continue };
        let Some((last_at, last)) = counts.last() else { continue };
        let raised = counts.iter().rev().take_while(|(_, count)| *count > 0).last();
        let Some((since, first)) = raised else { continue };
        let operated = pd.operators.iter().any(|list| list.at >= *since && !list.answer.is_empty());
        if *last == 0 || last < first || operated || open - *since < LASTS_MS {
            continue;
        }
        let mut claim = Claim::new(Target::cluster(), *since, 60_000, 0.7);
        claim.readings.push(crossing(Crossing {
            kind: FindingKind::RegionsAbnormal,
            target: Target::cluster(),
            range: TimeRange::new(*since, *last_at),
            uncertainty_ms: 60_000,
            lasts: true,
            text: format!(
                "{} with {name}, not falling, without any operator",
                counted(*last, "region")
            ),
            read: ("PD /regions/check", format!("{name} {last}")),
            plot: Vec::new(),
        }));
        found.push(claim.unchecked(
            "why PD finds no target",
            "pd-ctl scheduler describe balance-region-scheduler",
        ));
    }
    found
}
