//! Data of a store is damaged: critical errors, or keys that cannot be read.

use crate::diagnose::failure_modes::presence::{store_crash, store_flap, store_restart};
use crate::diagnose::failure_modes::saturation::bound_stage::{Limit, crossings};
use crate::diagnose::findings::finding::{FindingKind, PlotHow, Target, number};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Logged;
use crate::nodes::NodeIndex;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "data_corruption",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "data is damaged",
    said: None,
    subsumes: &[&store_flap::MODE, &store_restart::MODE, &store_crash::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[CRITICAL, CORRUPT],
    surest: 0.95,
    advice: Advice {
        check: "tikv.log for Corruption and panic; dmesg -T for errors of the disk",
        remedy: "replace the store by an empty one on a good disk (a change)",
        risk: "first be sure of the other copies: pd-ctl region check miss-peer",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: Some("4.1"),
    },
    judge,
};

const CRITICAL: &str = "tikv_critical_error_total";
const CORRUPT: &str = "tikv_engine_compaction_num_corrupt_keys";

/// TiKV counts an error as critical only where an invariant is broken; RocksDB counts a key as
/// corrupt only where it cannot be read. One is one too many.
fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let limit = Limit {
        metric: CRITICAL,
        how: PlotHow::Rate,
        kind: FindingKind::CriticalError,
        text: |peak| format!("critical errors a second: {}", number(peak)),
        least: f64::MIN_POSITIVE,
        hold: 1,
        confidence: 0.9,
    };
    let series = &observed.evidence.series;
    let mut found =
        crossings(observed, &limit, |instance| series.rate(CRITICAL, instance, |_| true));
    let text = |peak| format!("corrupt keys met by compaction: {}", number(peak));
    let limit = Limit { metric: CORRUPT, text, ..limit };
    found.extend(crossings(observed, &limit, |instance| series.rate(CORRUPT, instance, |_| true)));
    found.extend(observed.logged.iter().filter_map(|(logged, finding)| {
        by_log(observed, logged).map(|claim| Claim { evidence: vec![*finding], ..claim })
    }));
    found
}

/// The claim of a line in which RocksDB reports corruption. The process panics over it before its counters
/// are scraped again.
fn by_log(observed: &ObservedWindow<'_>, logged: &Logged) -> Option<Claim> {
    let Some(NodeIndex::Store(store)) = logged.node else { return None };
    if logged.line.value("cause") != Some("corruption") {
        return None;
    }
    let target = Target::store(&observed.evidence.nodes.stores[store]);
    let mut claim = Claim::new(target, logged.line.at, 1_000, 0.95);
    claim.stores = vec![store];
    Some(claim)
}
