//! What the observations that a mode needs came to, beside their thresholds.
//!
//! Which they are follows from the sources and metrics that the mode declares, and from the limits that it looks at.

use std::cell::RefCell;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::PlotHow;
use crate::diagnose::hypotheses::mode::{Depth, Mode, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{
    MEMBER_QUANTITIES, Nearest, Quantity, REQUESTS, STORE_QUANTITIES, heartbeats_missed,
    messages_undelivered, requests_failed, share, track,
};
use crate::diagnose::thresholds::{RISE, SHIFT};

/// What each observation that the mode needs came to, at the node where it came nearest to its threshold: signs of
/// life first, then how long stages of work take, the load, and the limits of the mode itself.
pub fn readings(observed: &mut ObservedWindow<'_>, mode: &Mode) -> Vec<Nearest> {
    let evidence = observed.evidence;
    let reads = |metric: &str| mode.metrics.contains(&metric);
    let needs = |need: Need| mode.needs.contains(&need);
    let mut found = Vec::new();
    if needs(Need::PdStores) && reads("up") {
        found.extend(heartbeats_missed(evidence));
    }
    if reads("tikv_server_report_failure_msg_total") {
        found.extend(messages_undelivered(evidence));
    }
    if needs(Need::PdMembers) {
        found.extend(requests_failed(evidence));
    }
    let stores = evidence.nodes.stores.iter();
    let stores: Vec<(String, String)> =
        stores.filter_map(|one| Some((one.name(), one.instance.clone()?))).collect();
    let members = evidence.nodes.member_names();
    let members: Vec<(String, String)> = members
        .filter_map(|name| Some((name.to_owned(), evidence.nodes.instance_of_member(name)?)))
        .collect();
    for (quantities, nodes) in
        [(&STORE_QUANTITIES[..], &stores), (&MEMBER_QUANTITIES[..], &members)]
    {
        let read = quantities.iter().filter(|quantity| is_read(mode, quantity));
        found.extend(read.filter_map(|quantity| of_quantity(evidence, quantity, nodes)));
    }
    if mode.depth == Depth::Workload && reads(REQUESTS) {
        found.extend(load(observed));
    }
    observed.near_limits = Some(RefCell::default());
    (mode.judge)(observed);
    let noted = observed.near_limits.take().map(RefCell::into_inner).unwrap_or_default();
    let mut names: Vec<&str> = noted.iter().map(|one| one.what.as_str()).collect();
    names.dedup();
    for (place, name) in names.iter().enumerate() {
        if !names[..place].contains(name) {
            found.extend(Nearest::most(noted.iter().filter(|one| one.what == *name).cloned()));
        }
    }
    found
}

/// Whether a mode says that it reads a quantity.
fn is_read(mode: &Mode, quantity: &Quantity) -> bool {
    mode.metrics.iter().any(|metric| match quantity.how {
        PlotHow::Mean => metric.strip_suffix("_sum") == Some(quantity.metric),
        _ => *metric == quantity.metric,
    })
}

fn of_quantity(
    evidence: &Evidence,
    quantity: &Quantity,
    nodes: &[(String, String)],
) -> Option<Nearest> {
    let threshold = evidence.thresholds.of(quantity.threshold());
    let how = if quantity.how == PlotHow::Mean { ", mean" } else { "" };
    let what = format!("{}{how}", quantity.metric);
    Nearest::most(nodes.iter().filter_map(|(name, instance)| {
        let near = Nearest::to_departure(&track(evidence, quantity, instance), threshold)?;
        Some(near.named(&what, "seconds", name))
    }))
}

/// The load of all stores, and the share of one store.
fn load(observed: &ObservedWindow<'_>) -> Vec<Nearest> {
    let evidence = observed.evidence;
    let all = &observed.requests_of_all;
    let rise = Nearest::to_departure(all, evidence.thresholds.of(RISE));
    let rise = rise.map(|near| near.named("requests of all stores", "requests/s", "workload"));
    let shares = evidence.nodes.stores.iter().zip(&observed.requests);
    let shares = shares.filter_map(|(store, own)| {
        let near = Nearest::to_departure(&share(own, all), evidence.thresholds.of(SHIFT))?;
        Some(near.named("share of all requests at one store", "", &store.name()))
    });
    rise.into_iter().chain(Nearest::most(shares)).collect()
}
