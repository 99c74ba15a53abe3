//! Blind spots: what was not observed, so that "nothing is wrong" cannot be concluded.
//!
//! Each is reported with the command that would have observed it. Whether a single claim lacks
//! something is left to the failure mode that makes it.

use std::collections::BTreeSet;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{FindingRef, counted, seconds};
use crate::diagnose::hypotheses::mode::{Mode, Need, Unchecked};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{
    Rise, Stage, has_only_reads, is_measured, measures_load, pd_ever_answered,
    rise_without_baseline,
};
use crate::diagnose::thresholds::AFTERMATH_MS;
use crate::model::{Component, Labels, NodeState, ScrapedBy, TimeRange};
use crate::nodes::{HEARTBEATS, ScrapeTarget};

/// A baseline and a departure take a minute and a half together.
const LEAST_MS: i64 = 90_000;

/// What was not observed long enough to conclude that nothing is wrong. PD sees which nodes are
/// present; what happens inside a store shows only in its own metrics. A missing source is listed
/// with those of `modes` that need it.
pub fn blind_spots(evidence: &Evidence, modes: &[Mode]) -> Vec<Unchecked> {
    let mut found = Vec::from_iter(unreadable_beside(evidence, evidence.window));
    let lacks_pd = is_missing(evidence, Need::PdMembers) && is_missing(evidence, Need::PdMetrics);
    if lacks_pd {
        found.extend(unanswering_pd(evidence));
    }
    if evidence.window.millis() < LEAST_MS {
        let length = seconds(evidence.window.millis() as f64 / 1000.0);
        let least = seconds(LEAST_MS as f64 / 1000.0);
        let what = format!("{length} are too short: a baseline and a departure take {least}");
        found.push(Unchecked::new(&what, "operator record --for 5m --pd http://PD:2379"));
    }
    let heard = evidence.pd.listings.len() >= 3 || evidence.series.has(HEARTBEATS);
    if !heard {
        found.extend(unmet_need(modes, Need::PdStores));
    }
    if lacks_pd {
        found.extend(unmet_need(modes, Need::PdMembers));
    }
    found.extend(undecided_clusters(evidence));
    if evidence.nodes.stores.is_empty() {
        found.extend(unmet_need(modes, Need::TikvMetrics));
    }
    found.extend(unscraped_stores(evidence));
    found.extend(unmeasured_stores(evidence));
    found
}

/// That PD was asked, where it answered nothing at all: a wrong URL, or a way that is closed, rather than a fault.
fn unanswering_pd(evidence: &Evidence) -> Option<Unchecked> {
    let asks: usize = evidence.pd.members.values().map(|member| member.asks.len()).sum();
    (asks > 0).then(|| {
        let what = format!("PD answered none of {}", counted(asks as u64, "request"));
        Unchecked::new(&what, "operator doctor --pd http://PD:2379")
    })
}

/// Whether a source was not recorded.
pub fn is_missing(evidence: &Evidence, need: Need) -> bool {
    match need {
        Need::PdStores => evidence.pd.listings.is_empty(),
        Need::PdMembers => !pd_ever_answered(evidence),
        Need::TikvMetrics => evidence.nodes.lacks(Component::Tikv),
        Need::PdMetrics => evidence.nodes.lacks(Component::Pd),
    }
}

/// Load that rose before there was a baseline to show whether it had been as high before.
pub fn load_without_baseline(observed: &ObservedWindow<'_>) -> Option<Unchecked> {
    let onset = rise_without_baseline(observed.evidence, &observed.requests)?;
    let known = observed
        .rises
        .iter()
        .any(|(rise, _)| rise.departure.range(observed.open()).contains(onset));
    (!known).then(|| {
        let what = "whether load was as high before: scrapes are too far apart for a baseline";
        Unchecked::new(what, "operator record --from -30m")
    })
}

/// Damaged parts of the capture that may have held more about what happened in `range`: a deeper
/// cause that began before it, or its traces after it. `None` where nothing beside it is damaged.
pub fn unreadable_beside(evidence: &Evidence, range: TimeRange) -> Option<Unchecked> {
    let beside = TimeRange::new(
        range.start.saturating_add_millis(-AFTERMATH_MS),
        range.end.saturating_add_millis(AFTERMATH_MS),
    );
    let parts = evidence.unreadable.iter().filter(|part| part.range.overlaps(&beside));
    let sources: BTreeSet<String> = parts.map(|part| part.of.to_string()).collect();
    let named: Vec<&str> = sources.iter().take(NAMED).map(String::as_str).collect();
    let more = match sources.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| {
        let what = format!("what damaged parts of the capture held of {}{more}", named.join(", "));
        Unchecked::new(&what, "")
    })
}

/// How many sources of damaged parts are named at most.
const NAMED: usize = 3;

/// Sources that are missing, each with those of `modes` that need it.
pub fn missing_sources(evidence: &Evidence, modes: &[Mode]) -> Vec<Unchecked> {
    let needs = [Need::PdStores, Need::PdMembers, Need::TikvMetrics, Need::PdMetrics];
    let unmet = needs.into_iter().filter(|one| is_missing(evidence, *one));
    unmet.filter_map(|need| unmet_need(modes, need)).collect()
}

/// What an unmet need leaves open; `None` where no mode has it.
fn unmet_need(modes: &[Mode], need: Need) -> Option<Unchecked> {
    let (name, command) = named(need);
    let modes = modes.iter().filter(|mode| mode.needs.contains(&need)).map(|mode| mode.name);
    let modes: Vec<&str> = modes.collect();
    (!modes.is_empty()).then(|| Unchecked::new(&format!("{name}: {}", modes.join(", ")), command))
}

/// What a source is called, and the command that records it.
pub fn named(need: Need) -> (&'static str, &'static str) {
    match need {
        Need::PdStores => ("PD's list of stores", "operator record --pd http://PD:2379"),
        Need::PdMembers => ("answers of PD's members", "operator record --pd http://PD:2379"),
        Need::TikvMetrics => {
            ("TiKV's metrics", "operator record --prometheus http://PROMETHEUS:9090")
        }
        Need::PdMetrics => ("PD's metrics", "operator record --prometheus http://PROMETHEUS:9090"),
    }
}

/// Clusters in one Prometheus between which nothing decides which is PD's.
fn undecided_clusters(evidence: &Evidence) -> Option<Unchecked> {
    let clusters = evidence.nodes.undecided_clusters.iter();
    let names: Vec<String> = clusters.take(NAMED).map(Labels::to_string).collect();
    (!names.is_empty()).then(|| {
        let what = format!("which cluster of the Prometheus it is: {}", names.join(", "));
        Unchecked::new(&what, "operator replay RUN --cluster NAME")
    })
}

/// Stores that serve metrics according to PD and are no scrape target of Prometheus. A store that was
/// removed need not be scraped any more.
fn unscraped_stores(evidence: &Evidence) -> Option<Unchecked> {
    let unseen = evidence.nodes.stores.iter().filter(|store| {
        let history = store.id.and_then(|id| evidence.pd.stores.get(&id));
        let serves = history.is_some_and(|history| {
            let state = history.states.last().map(|(_, _, node)| *node);
            let gone = matches!(state, Some(NodeState::Removed));
            !history.status_address.is_empty() && !gone
        });
        store.is_tikv() && store.instance.is_none() && serves
    });
    let names: Vec<String> = unseen.map(|store| store.name()).collect();
    (!names.is_empty()).then(|| {
        let unassigned = evidence.nodes.unassigned.iter().take(NAMED).map(ScrapeTarget::instance);
        let unassigned: Vec<&str> = unassigned.collect();
        if unassigned.is_empty() {
            let what = format!("{}: no metrics, so what is slow inside", names.join(", "));
            return Unchecked::new(
                &what,
                match evidence.scraped_by {
                    ScrapedBy::Prometheus => "add it to Prometheus's scrape_configs",
                    ScrapedBy::Recorder => {
                        "curl http://TIKV:20180/metrics, from the recorder's machine"
                    }
                },
            );
        }
        let (names, unassigned) = (names.join(", "), unassigned.join(", "));
        let what = format!("{names}: which scrape target it is, of {unassigned}");
        Unchecked::new(&what, "curl http://TIKV:20180/metrics | grep _by_store")
    })
}

/// Stores of which a whole kind of metrics is missing: those that show whether their disk is slow,
/// whether their threads wait, or what clients ask of them.
fn unmeasured_stores(evidence: &Evidence) -> Vec<Unchecked> {
    let scraped = |instance: &str| {
        let list = evidence.series.scrapes().get(instance);
        list.is_some_and(|list| list.iter().filter(|scrape| scrape.up).count() >= 2)
    };
    type Measured<'a> = &'a dyn Fn(&str) -> bool;
    let kinds: [(&str, Measured<'_>); 4] = [
        ("how long its disk takes", &|name| is_measured(evidence, Stage::Device, name)),
        // Reads wait for threads too: quick ones show that nothing waits for long.
        ("how long its threads wait", &|name| {
            is_measured(evidence, Stage::Threads, name) || has_only_reads(evidence, name)
        }),
        ("how long answers of PD take it", &|name| is_measured(evidence, Stage::Network, name)),
        ("what it is asked for", &|name| measures_load(evidence, name)),
    ];
    let unmeasured = kinds.into_iter().filter_map(|(what, measured)| {
        let lacks = evidence.nodes.stores.iter().filter(|store| store.is_tikv()).filter(|store| {
            store.instance.as_deref().is_some_and(|name| scraped(name) && !measured(name))
        });
        let names: Vec<String> = lacks.map(|store| store.name()).collect();
        (!names.is_empty()).then(|| {
            let what = format!("{}: {what}", names.join(", "));
            Unchecked::new(&what, "curl http://TIKV:20180/metrics")
        })
    });
    unmeasured.collect()
}

/// Stores of which not all requests are seen, so that a rise of the load elsewhere may be what they
/// handed on; `None` where there are none.
pub fn unseen_requests(evidence: &Evidence, rises: &[(Rise, FindingRef)]) -> Option<Unchecked> {
    let stores: BTreeSet<usize> =
        rises.iter().flat_map(|(rise, _)| rise.handed_on.iter().copied()).collect();
    let names: Vec<String> =
        stores.iter().map(|store| evidence.nodes.stores[*store].name()).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        let what =
            format!("all requests of {names}: whether load rose elsewhere or came from there");
        Unchecked::new(&what, "curl http://TIKV:20180/metrics | grep tikv_grpc_msg_duration")
    })
}
