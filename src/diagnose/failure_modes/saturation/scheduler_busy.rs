//! The transaction scheduler refuses commands: latches or the quota of pending writes are used up.

use crate::diagnose::failure_modes::saturation::bound_stage::{Limit, crossings};
use crate::diagnose::findings::finding::{FindingKind, PlotHow, number};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "scheduler_busy",
    nature: Nature::Fault,
    depth: Depth::Saturation,
    says: "the transaction scheduler refuses commands",
    said: Some("the transaction scheduler refused commands"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[BUSY],
    surest: 0.8,
    advice: Advice {
        check: "latch wait beside async write duration: conflicts, or slow writes?",
        remedy: "conflicts: other transactions at the client; else the slow disk",
        risk: "a higher pending-write threshold takes memory, hides the cause",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.3"),
    },
    judge,
};

/// Counts the commands that the scheduler refused.
pub const BUSY: &str = "tikv_scheduler_too_busy_total";

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    refusals(observed)
}

/// A claim for each store whose scheduler refuses commands.
///
/// The scheduler refuses only once 100 MB of writes are pending
/// (`scheduler-pending-write-threshold`), so any refusal over two scrapes counts.
pub fn refusals(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let limit = Limit {
        metric: BUSY,
        how: PlotHow::Rate,
        kind: FindingKind::RequestsRefused,
        text: |peak| format!("commands refused a second: {}", number(peak)),
        least: f64::MIN_POSITIVE,
        hold: 2,
        confidence: 0.8,
    };
    crossings(observed, &limit, |instance| observed.evidence.series.rate(BUSY, instance, |_| true))
}
