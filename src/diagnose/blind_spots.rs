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
/// The lists of stores that show whether a store stays silent: one before, one during and one after.
const LEAST_LISTINGS: usize = 3;

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
    let heard = evidence.pd.listings.len() >= LEAST_LISTINGS || evidence.series.has(HEARTBEATS);
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
    let sources = Vec::from_iter(sources);
    (!sources.is_empty()).then(|| {
        let what = format!("what damaged parts of the capture held of {}", some_of(&sources));
        Unchecked::new(&what, "")
    })
}

/// How many of the same kind are named at most.
const NAMED: usize = 3;

/// The first names, and how many more there are where that is shorter: `store 1, store 4, store 5 and 12 more`.
pub(in crate::diagnose) fn some_of(names: &[String]) -> String {
    match names.len().saturating_sub(NAMED) {
        0 | 1 => names.join(", "),
        more => format!("{} and {more} more", names[..NAMED].join(", ")),
    }
}

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
    (!modes.is_empty()).then(|| Unchecked {
        source: Some(need),
        ..Unchecked::new(&format!("{name}: {}", modes.join(", ")), command)
    })
}

/// Why nothing can be told, in a clause whose length does not grow with the catalogue: the first thing that is
/// unchecked. Where that is a source, all sources that are missing, and how many of `modes` need one of them.
pub fn in_short(evidence: &Evidence, unchecked: &[Unchecked], modes: &[Mode]) -> String {
    let Some(first) = unchecked.first() else { return "too little was seen".to_owned() };
    let Some(source) = first.source else { return first.what.clone() };
    let is_rare = !is_missing(evidence, source);
    let sources: BTreeSet<Need> = match is_rare {
        true => BTreeSet::from([source]),
        false => unchecked.iter().filter_map(|one| one.source).collect(),
    };
    let open = modes.iter().filter(|mode| mode.needs.iter().any(|need| sources.contains(need)));
    let (open, all) = (open.count(), modes.len());
    let lacks = match is_rare {
        true => format!("fewer than {LEAST_LISTINGS} of PD's lists of stores were recorded"),
        false => format!("{} were not recorded", in_words(&sources)),
    };
    format!("{lacks}, so {open} of {all} failure modes cannot be checked")
}

/// Sources that are missing, in words of which each stands for several things.
fn in_words(sources: &BTreeSet<Need>) -> String {
    let both = |one, other| sources.contains(&one) && sources.contains(&other);
    let answers = both(Need::PdStores, Need::PdMembers);
    let metrics = both(Need::TikvMetrics, Need::PdMetrics);
    let mut words: Vec<&str> = sources
        .iter()
        .map(|source| match source {
            Need::PdStores | Need::PdMembers if answers => "PD's answers",
            Need::PdStores => "PD's lists of stores",
            Need::PdMembers => "answers of PD's members",
            Need::TikvMetrics | Need::PdMetrics if metrics => "metrics of TiKV and PD",
            Need::TikvMetrics => "TiKV's metrics",
            Need::PdMetrics => "PD's metrics",
        })
        .collect();
    words.dedup();
    words.join(" and ")
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
        let names = some_of(&names);
        let unassigned = evidence.nodes.unassigned.iter().take(NAMED).map(ScrapeTarget::instance);
        let unassigned: Vec<&str> = unassigned.collect();
        if unassigned.is_empty() {
            let what = format!("{names}: no metrics, so what is slow inside");
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
        let unassigned = unassigned.join(", ");
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
            let what = format!("{}: {what}", some_of(&names));
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
        let names = some_of(&names);
        let what =
            format!("all requests of {names}: whether load rose elsewhere or came from there");
        Unchecked::new(&what, "curl http://TIKV:20180/metrics | grep tikv_grpc_msg_duration")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::diagnose;
    use crate::diagnose::evidence::Parts;
    use crate::diagnose::failure_modes::ALL;
    use crate::diagnose::observations::series_table::tests::series;
    use crate::model::Timestamp;

    /// Ten minutes in which one node of a job is scraped, and nothing else is observed.
    fn scraped_alone(job: &'static str) -> Evidence {
        let up: Vec<(i64, f64)> = (0..40).map(|step| (step * 15, 1.0)).collect();
        let recorded = vec![series(&[("__name__", "up"), ("job", job), ("instance", "a:1")], &up)];
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let parts = Parts { series: recorded, ..Parts::default() };
        Evidence::new(TimeRange::new(at(0), at(600)), at(600), parts)
    }

    #[test]
    fn the_summary_says_which_sources_are_missing_and_not_each_mode_that_needs_them() {
        let verdict = diagnose(&scraped_alone("tikv"));
        let needs = |modes: &Mode| modes.needs.iter().any(|need| *need != Need::TikvMetrics);
        let (open, all) = (ALL.iter().filter(|mode| needs(mode)).count(), ALL.len());
        assert_eq!(
            verdict.summary,
            format!(
                "cannot tell: PD's answers and PD's metrics were not recorded, \
                 so {open} of {all} failure modes cannot be checked"
            )
        );
        // Which these are stands below.
        assert!(verdict.unchecked.iter().any(|one| one.what.contains("store_crash, ")));
    }

    #[test]
    fn sources_of_one_kind_are_one_in_words() {
        let all = [Need::PdStores, Need::PdMembers, Need::TikvMetrics, Need::PdMetrics];
        let told = |needs: &[Need]| in_words(&needs.iter().copied().collect());
        assert_eq!(told(&all), "PD's answers and metrics of TiKV and PD");
        assert_eq!(told(&all[..1]), "PD's lists of stores");
        assert_eq!(told(&all[1..3]), "answers of PD's members and TiKV's metrics");
    }

    #[test]
    fn of_many_names_only_the_first_are_said() {
        let names: Vec<String> = (1..=300).map(|id| format!("store {id}")).collect();
        assert_eq!(some_of(&names[..4]), "store 1, store 2, store 3, store 4");
        assert_eq!(some_of(&names), "store 1, store 2, store 3 and 297 more");
    }
}
