//! Regions without a quorum: most of their peers are on stores that are gone.

use crate::diagnose::case::Case;
use crate::diagnose::facts::{Presence, presence};
use crate::diagnose::finding::{FindingKind, Target};
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::tell::{Crossing, crossing};
use crate::model::{TimeRange, Timestamp};

/// The mode.
pub const MODE: Mode = Mode {
    name: "region_unavailable",
    row: 17,
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "regions have lost their quorum",
    subsumes: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    judge,
};

/// Raft elects within 20 s wherever it can; a minute without a majority is an outage.
const LASTS_MS: i64 = 60_000;

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let open = case.open();
    let gone: Vec<_> = case
        .outages
        .iter()
        .filter(|outage| outage.link.is_none() && presence(outage) != Presence::Unseen)
        .filter(|outage| presence(outage) != Presence::CutFromPd)
        .collect();
    let mut found: Option<(TimeRange, Option<Timestamp>, Vec<String>)> = None;
    for (index, a) in gone.iter().enumerate() {
        for b in gone.iter().skip(index + 1).filter(|b| b.store != a.store) {
            let from = a.onset.max(b.onset);
            let end = match (a.end, b.end) {
                (Some(x), Some(y)) => Some(x.min(y)),
                (x, y) => x.or(y),
            };
            let until = end.unwrap_or(open);
            if until - from < LASTS_MS {
                continue;
            }
            let ids = [a, b].map(|outage| case.evidence.stores[outage.store].id);
            let missing = |stores: &std::collections::BTreeSet<crate::model::StoreId>| {
                let lost = stores.iter().filter(|id| ids.contains(&Some(**id))).count();
                2 * lost > stores.len()
            };
            let lost = case.evidence.pd.peers.iter().filter(|(_, stores)| missing(stores));
            let names: Vec<String> = lost.map(|(region, _)| format!("region {region}")).collect();
            if !names.is_empty() && found.as_ref().is_none_or(|(range, _, _)| from < range.start) {
                found = Some((TimeRange::new(from, until), end, names));
            }
        }
    }
    let Some((range, end, names)) = found else { return Vec::new() };
    let mut target = Target::cluster();
    target.concerns = names;
    let mut claim = Claim::new(target.clone(), range.start, 20_000, 0.85);
    claim.end = end;
    let text = format!(
        "{} of the busiest regions have most peers on stores that are gone",
        target.concerns.len()
    );
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::RegionsAbnormal,
        target,
        range,
        uncertainty_ms: 20_000,
        lasts: end.is_none(),
        text,
        read: ("PD /regions/writeflow peers", "most on missing stores".to_owned()),
        plot: Vec::new(),
    }));
    vec![
        claim.unchecked("regions outside PD's lists of busy ones", "pd-ctl region check down-peer"),
    ]
}
