//! Stores whose process has not come up since the recording began: no scrape of them has ever succeeded, and
//! PD has never heard them.

use crate::diagnose::failure_modes::presence::store_presence::{METRICS, claim, unplanned};
use crate::diagnose::findings::finding::{FindingKind, Target};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Outage, Presence, was_never_up};
use crate::model::TimeRange;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "store_never_up",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "no store has come up since the recording began",
    said: Some("no store had come up since the recording began"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &METRICS,
    surest: 0.95,
    advice: Advice {
        check: "on the machines: systemctl status, the end of tikv.log and pd.log",
        remedy: "mend what the logs name, then start PD and after it TiKV (a change)",
        risk: "a store that registers under a wrong address stays in PD's list",
        documentation: "https://docs.pingcap.com/tidb/stable/troubleshoot-tidb-cluster",
        section: None,
    },
    judge,
};

/// How many scrapes must fail: a process takes some seconds to start.
const FAILED: usize = 3;

/// The outages of all stores, where none of them has come up; otherwise none. Of a target that is missing
/// beside others, only PD can tell whether it belongs to the cluster.
pub fn never_up<'a>(observed: &'a ObservedWindow<'_>) -> Vec<&'a Outage> {
    let never: Vec<&Outage> = unplanned(observed, Presence::Unseen)
        .filter(|outage| was_never_up(observed.evidence, outage))
        .filter(|outage| outage.scrapes.as_ref().is_some_and(|one| one.failed >= FAILED))
        .collect();
    let stores = observed.evidence.nodes.stores.iter().filter(|store| store.is_tikv()).count();
    if never.len() < stores { Vec::new() } else { never }
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let never = never_up(observed);
    let Some(first) = never.iter().min_by_key(|outage| outage.onset) else { return Vec::new() };
    let refused = never.iter().all(|outage| outage.refused() == Some(true));
    let mut found = claim(observed, first, if refused { 0.8 } else { 0.6 });
    found.unchecked.clear();
    found.stores = never.iter().map(|outage| outage.store).collect();
    found.end =
        never.iter().map(|outage| outage.end).min_by_key(|end| (end.is_none(), *end)).flatten();
    let concerns = never.iter().map(|one| observed.evidence.nodes.stores[one.store].name());
    found.target = Target { concerns: concerns.collect(), ..Target::cluster() };
    unbootstrapped(observed, &mut found);
    let what = match refused {
        true => "why the processes end: their hosts refuse connections, so none runs",
        false => "whether the processes run: their hosts give no answer",
    };
    vec![found.unchecked(what, "tail -n 50 tikv.log; journalctl -u 'tikv*' -n 50")]
}

/// Adds what PD says: without a store it cannot be bootstrapped.
fn unbootstrapped(observed: &ObservedWindow<'_>, found: &mut Claim) {
    let Some(said) = &observed.evidence.pd.not_bootstrapped else { return };
    found.confidence = 0.95;
    let end = observed.evidence.pd.listings.first().copied();
    found.readings.push(crossing(Crossing {
        kind: FindingKind::SilentToPd,
        target: Target::cluster(),
        range: TimeRange::new(said.at, end.unwrap_or(observed.open())),
        uncertainty_ms: 1_000,
        lasts: end.is_none(),
        text: "PD is not bootstrapped: no store has ever joined it".to_owned(),
        read: ("PD /stores", said.answer.clone()),
        plot: Vec::new(),
    }));
}
