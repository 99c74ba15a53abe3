//! The part of `slow_network` that concerns the link between two stores.

use crate::diagnose::findings::finding::{
    FindingKind, Plot, PlotHow, Target, TargetKind, number, seconds,
};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{HEALTH, Selected, late_checks};
use crate::model::TimeRange;

/// A claim for each link between two stores whose health checks take long in both directions, while
/// those with other stores do not: the link is slow and neither of the stores.
pub fn slow_links(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let late = late_checks(observed.evidence);
    let stores = &observed.evidence.nodes.stores;
    let pairs = late.iter().filter(|((by, to), _)| by < to);
    let pairs = pairs.filter_map(|((a, b), stretch)| {
        let back = late.get(&(*b, *a))?;
        let others = late.keys().filter(|(by, to)| {
            let ends = [*by, *to];
            (ends.contains(a) || ends.contains(b)) && !(ends.contains(a) && ends.contains(b))
        });
        (stores.len() > 2 && others.count() == 0).then_some((*a, *b, stretch, back))
    });
    let claims = pairs.map(|(a, b, there, back)| {
        let first = if there.range.start <= back.range.start { there } else { back };
        let name = format!("{} - {}", stores[a].name(), stores[b].name());
        let mut target = Target::named(TargetKind::Link, &name);
        target.concerns = vec![Target::store(&stores[a]).text(), Target::store(&stores[b]).text()];
        let uncertainty_ms = (first.range.start - first.since).max(1_000);
        let mut claim = Claim::new(target.clone(), first.since, uncertainty_ms, 0.9);
        claim.end = (!there.lasts && !back.lasts).then_some(there.range.end.max(back.range.end));
        let instance = stores[a].instance.clone().unwrap_or_default();
        claim.readings.push(crossing(Crossing {
            kind: FindingKind::SlowNetwork,
            target,
            range: TimeRange::new(first.since, there.range.end.max(back.range.end)),
            uncertainty_ms,
            lasts: claim.end.is_none(),
            text: format!(
                "health checks between the two take {} and {}",
                seconds(there.peak),
                seconds(back.peak)
            ),
            read: (&median_of_means(&instance), number(there.peak)),
            plot: vec![Plot {
                metric: HEALTH.to_owned(),
                how: PlotHow::Mean,
                instance,
                label: stores[b].id.map(|id| ("target".to_owned(), id.to_string())),
            }],
        }));
        claim.unchecked_now("round trips and retransmissions", "ping; ss -ti")
    });
    claims.collect()
}

/// How the time that a store's health checks take is computed: over the stretch, the median of this.
fn median_of_means(instance: &str) -> String {
    format!("median of {}", Selected::all(HEALTH, instance).mean())
}
