//! Quantities of the survey that depart: what rises and should not, and work that stops.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::findings::finding::{
    Finding, FindingKind, Magnitude, Plot, PlotHow, Target, TargetKind, number, seconds,
};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::load_falls::{clients_fell, leaders_left};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::{LEADERS, ObservedWindow};
use crate::diagnose::survey::{Course, Reading, Scope, Sign, Unusual};
use crate::model::{Component, StoreId, TimeRange, Timestamp};

/// How long what is over must have lasted, in milliseconds, to be a fault: what passes within five minutes
/// without a failure mode that knows it is a burst.
const LASTED_MS: i64 = 300_000;
/// How many times its greatest value before the leading quantity must be, or how many times less than its least.
const LEADS: f64 = 8.0;
/// Of how many metrics of a node work must stop, where only that departs: the same work is counted by several.
const STOPPED: usize = 2;
/// How many histograms must take longer together, where none takes long, and how far apart that may begin, in
/// milliseconds.
const SLIGHT: usize = 3;
const TOGETHER_MS: i64 = 120_000;
/// The most quantities that a claim lists: those that lead. The others move with them.
const LISTED: usize = 5;

/// Quantities that are unusual at the same place at the same time.
struct Group<'a> {
    target: Target,
    range: TimeRange,
    lasts: bool,
    members: Vec<&'a Unusual>,
}

/// A claim for each place where quantities depart, and for each time.
pub fn claims(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found: Vec<&Unusual> = observed.unusual.iter().collect();
    found.retain(|one| match one.course {
        Course::Falls => stops_by_itself(observed, one),
        Course::Rises => !is_load(observed, one.standing.onset),
        // What was so before the first sample follows from no rise of the load, nor does what stands still.
        Course::High if one.sign == Sign::Kept => !has_more_regions(observed, one),
        Course::High | Course::Waits => !is_of_former_leader(observed, one),
        Course::Again => observed.rises.is_empty(),
        // More waits, and is kept, where clients ask for more and more.
        Course::Grows if one.sign != Sign::Held => observed.rises.is_empty(),
        Course::Grows | Course::Stands | Course::Full => true,
    });
    found.sort_by(|a, b| (a.standing.onset, &a.instances).cmp(&(b.standing.onset, &b.instances)));
    leave_out_slight(&mut found);
    let mut groups: Vec<Group<'_>> = Vec::new();
    for one in found {
        let range = range_of(observed, one);
        let target = target_of(observed, one);
        let same = groups
            .iter_mut()
            .find(|group| group.target.name == target.name && group.range.overlaps(&range));
        match same {
            Some(group) => {
                group.range = TimeRange::new(group.range.start, group.range.end.max(range.end));
                group.lasts |= one.standing.end.is_none();
                group.members.push(one);
            }
            None => groups.push(Group {
                target,
                range,
                lasts: one.standing.end.is_none(),
                members: vec![one],
            }),
        }
    }
    groups.iter().filter(|group| is_serious(group)).map(|group| claim(observed, group)).collect()
}

/// Leaves out what takes milliseconds longer and is alone in that. Where several histograms say so of the same nodes at
/// the same time, and to the end, whoever asks them waits several times as long as before. Milliseconds from the first
/// sample on are what the node's own share of rare work takes.
fn leave_out_slight(found: &mut Vec<&Unusual>) {
    found.retain(|one| !one.is_slight() || one.course == Course::Rises);
    let slight: Vec<&Unusual> = found.iter().copied().filter(|one| one.is_slight()).collect();
    let stays = |one: &Unusual| {
        let with = slight.iter().filter(|other| {
            let apart_ms = (other.standing.onset - one.standing.onset).abs();
            other.instances == one.instances && apart_ms <= TOGETHER_MS
        });
        let metrics: BTreeSet<&str> = with.map(|other| other.quantity.metric.as_str()).collect();
        one.standing.end.is_none() && metrics.len() >= SLIGHT
    };
    found.retain(|one| !one.is_slight() || stays(one));
}

fn range_of(observed: &ObservedWindow<'_>, one: &Unusual) -> TimeRange {
    TimeRange::new(one.standing.onset, one.standing.end.unwrap_or(observed.open()))
}

/// Whether clients began to ask for more about then, which everything else follows, or ceased to.
pub(super) fn is_load(observed: &ObservedWindow<'_>, at: Timestamp) -> bool {
    observed.rises.iter().any(|(rise, _)| {
        let range = rise.departure.range(observed.open());
        at >= range.start.saturating_add_millis(-60_000)
            && at <= range.end.saturating_add_millis(60_000)
    })
}

/// Whether work stops that neither clients ask for less, nor moved to another store with its leaders.
fn stops_by_itself(observed: &ObservedWindow<'_>, one: &Unusual) -> bool {
    let range = range_of(observed, one);
    let follows =
        clients_fell(observed, range).is_some() && !goes_on_without_clients(observed, one);
    if is_load(observed, range.start) || follows {
        return false;
    }
    let stores = stores_of(observed, one);
    let moved = |store: usize| {
        observed.leaving.contains(&store) || leaders_left(observed, store, range.start)
    };
    !stores.into_iter().any(moved)
}

/// How the names of metrics begin by which stores count what they ask PD for.
const ASKS_PD: &str = "tikv_pd_request_";

/// Whether stores ask PD for it, which they do by themselves.
fn is_asked_of_pd(one: &Unusual) -> bool {
    one.component == Component::Tikv && one.quantity.metric.starts_with(ASKS_PD)
}

/// Whether work goes on also where clients ask for nothing: what stores ask PD for, and what PD does meanwhile where
/// stores ask in vain.
fn goes_on_without_clients(observed: &ObservedWindow<'_>, one: &Unusual) -> bool {
    let in_vain = observed.unusual.iter().any(|other| {
        is_asked_of_pd(other)
            && other.course == Course::Falls
            && range_of(observed, other).overlaps(&range_of(observed, one))
    });
    in_vain && (is_asked_of_pd(one) || one.component == Component::Pd)
}

/// How many times as many regions or leaders as any other store make it no wonder that a store keeps more.
const MORE_REGIONS: f64 = 2.0;

/// Whether the stores of a quantity have, or lead, so many more regions than any other that they may keep more.
fn has_more_regions(observed: &ObservedWindow<'_>, one: &Unusual) -> bool {
    let series = &observed.evidence.series;
    let stores = observed.evidence.nodes.stores.iter().filter_map(|one| one.instance.as_deref());
    let stores: Vec<&str> = stores.collect();
    ["region", "leader"].into_iter().any(|kind| {
        let count = |instance: &str| {
            let own = series.gauge(LEADERS, instance, |labels| labels.get("type") == Some(kind));
            own.0.last().map_or(0.0, |point| point.value)
        };
        let is_own = |store: &&str| one.instances.iter().any(|own| own == store);
        let (own, others): (Vec<&str>, Vec<&str>) = stores.iter().copied().partition(is_own);
        let most = |stores: Vec<&str>| stores.into_iter().map(count).fold(0.0, f64::max);
        most(own) > MORE_REGIONS * most(others)
    })
}

/// What PD's leader counts of the cluster begins so.
const OF_LEADER: &str = "pd_";

/// Whether a level is of what PD's leader counts, and at members that do not lead, which show what was when they did.
fn is_of_former_leader(observed: &ObservedWindow<'_>, one: &Unusual) -> bool {
    let evidence = observed.evidence;
    let leader = evidence.pd.leader_at(observed.open());
    let leader = leader.and_then(|name| evidence.nodes.instance_of_member(name));
    one.component == Component::Pd
        && one.quantity.reading == Reading::Level
        && one.quantity.metric.starts_with(OF_LEADER)
        && leader.is_some_and(|leader| !one.instances.contains(&leader))
}

/// The stores, as indices, that a quantity is about.
fn stores_of(observed: &ObservedWindow<'_>, one: &Unusual) -> Vec<usize> {
    let nodes = &observed.evidence.nodes;
    match one.component {
        Component::Pd => store_in_label(observed, one).into_iter().collect(),
        _ => one.instances.iter().filter_map(|name| nodes.store_of_instance(name)).collect(),
    }
}

/// The store that PD counts something of, by the label of the quantity.
fn store_in_label(observed: &ObservedWindow<'_>, one: &Unusual) -> Option<usize> {
    let nodes = &observed.evidence.nodes;
    let (name, value) = one.quantity.label.as_ref()?;
    match name.as_str() {
        "store" => nodes.store(StoreId(value.parse().ok()?)),
        "address" => nodes.stores.iter().position(|store| store.address == *value),
        _ => None,
    }
}

/// Whether what PD counts of a store concerns that store, and not PD, which does it for all of them: work stops
/// for it, and goes on for others.
fn is_of_one_store(observed: &ObservedWindow<'_>, one: &Unusual) -> bool {
    let of_all = observed.unusual.iter().any(|other| {
        other.quantity.metric == one.quantity.metric
            && other.quantity.label.is_none()
            && other.sign == one.sign
            && other.instances == one.instances
            && range_of(observed, other).overlaps(&range_of(observed, one))
    });
    one.sign == Sign::Serving && !of_all
}

fn is_serious(group: &Group<'_>) -> bool {
    // What takes milliseconds longer is several histograms here.
    let leads = group.members.iter().any(|one| one.standing.times >= LEADS || one.is_slight());
    let only_stops = group.members.iter().all(|one| one.course == Course::Falls);
    let stopped: BTreeSet<&str> =
        group.members.iter().map(|one| one.quantity.metric.as_str()).collect();
    let enough = !only_stops
        || stopped.len() >= STOPPED
        || stopped.iter().any(|metric| metric.contains("heartbeat"));
    leads && enough && (group.lasts || group.range.millis() >= LASTED_MS)
}

fn claim(observed: &ObservedWindow<'_>, group: &Group<'_>) -> Claim {
    let target = &group.target;
    let step_ms = observed.evidence.survey().step_ms();
    let leading = leading(&group.members);
    let strong = leading.iter().any(|one| one.standing.times >= 10.0 * LEADS);
    let confidence =
        0.55 + if strong { 0.1 } else { 0.0 } + if leading.len() > 1 { 0.1 } else { 0.0 };
    let mut claim = Claim::new(target.clone(), group.range.start, step_ms, confidence);
    claim.end = (!group.lasts).then_some(group.range.end);
    let stores = group.members.iter().flat_map(|one| stores_of(observed, one));
    let stores: BTreeSet<usize> = stores.collect();
    let known = &observed.evidence.nodes.stores;
    match target.kind {
        TargetKind::Store => claim.stores = stores.into_iter().collect(),
        // Where it is at some of them only, which.
        TargetKind::Cluster if stores.len() < known.len() => {
            claim.target.concerns = stores.iter().map(|store| known[*store].name()).collect();
        }
        _ => {}
    }
    claim.readings = leading.iter().map(|one| finding(observed, one, target)).collect();
    claim.but("no failure mode is known that shows itself so")
}

/// The quantities that depart furthest, of each metric one, and of equals the one that says most: what rises
/// before work that stops, since work stops because of something.
fn leading<'a>(members: &[&'a Unusual]) -> Vec<&'a Unusual> {
    let mut of_metric: BTreeMap<&str, &Unusual> = BTreeMap::new();
    for one in members {
        let held = of_metric.entry(one.quantity.metric.as_str()).or_insert(one);
        let (times, known) = (one.standing.times, held.standing.times);
        let says_more = held.quantity.label.is_none() && one.quantity.label.is_some();
        if times > known || times == known && says_more {
            *held = one;
        }
    }
    let mut leading: Vec<&Unusual> = of_metric.into_values().collect();
    leading.sort_by(|a, b| {
        let stops = |one: &Unusual| one.course == Course::Falls;
        let times = b.standing.times.total_cmp(&a.standing.times);
        stops(a).cmp(&stops(b)).then(times).then_with(|| a.quantity.metric.cmp(&b.quantity.metric))
    });
    leading.truncate(LISTED);
    leading
}

fn target_of(observed: &ObservedWindow<'_>, one: &Unusual) -> Target {
    let nodes = &observed.evidence.nodes;
    if let Some(store) = store_in_label(observed, one).filter(|_| is_of_one_store(observed, one)) {
        return Target::store(&nodes.stores[store]);
    }
    if is_asked_of_pd(one)
        && one.course == Course::Falls
        && one.instances.len() > 1
        && let Some(name) = observed.evidence.pd.leader_at(one.standing.onset)
    {
        return Target::member(name, nodes.member_address(name));
    }
    match (one.component, one.instances.as_slice()) {
        (Component::Pd, [instance]) => {
            let own = |member: &&crate::nodes::MemberNode| {
                member.instance.as_deref() == Some(instance.as_str())
            };
            match nodes.members.iter().find(own) {
                Some(member) => Target::member(&member.name, member.address.clone()),
                None => Target::member(instance, instance.clone()),
            }
        }
        (Component::Pd, _) => Target::named(TargetKind::Pd, "pd"),
        (_, [instance]) => match nodes.store_of_instance(instance) {
            Some(store) => Target::store(&nodes.stores[store]),
            None => Target::named(TargetKind::Store, instance),
        },
        _ => Target::cluster(),
    }
}

/// A sentence about a quantity that departs.
fn text(one: &Unusual) -> String {
    let standing = &one.standing;
    let shown = |value: f64| match one.sign {
        Sign::Slow if one.quantity.reading == Reading::SlowShare => {
            format!("{} %", number((1000.0 * value).round() / 10.0))
        }
        Sign::Slow if one.quantity.is_in_seconds() => seconds(value),
        _ => number(value),
    };
    let per_second = match one.quantity.reading {
        Reading::Rate | Reading::Unsuccessful | Reading::Slow => " a second",
        _ => "",
    };
    let elsewhere = match (one.elsewhere, one.scope, one.instances.len()) {
        (Some(value), _, _) => format!("; elsewhere {}", shown(value)),
        (None, Scope::One, _) | (None, _, 1) => String::new(),
        (None, _, nodes) => format!("; at {nodes} nodes alike"),
    };
    let (name, typical) = (one.quantity.name(), standing.typical);
    let bound = &one.quantity.bound;
    let name = match one.quantity.reading {
        Reading::SlowShare => format!("the share of {name} above {bound} s"),
        Reading::Slow => format!("the rate of {name} above {bound} s"),
        Reading::Unsuccessful => format!("the rate of {name} without success"),
        _ => name,
    };
    let does = match one.course {
        Course::Rises | Course::Falls | Course::Grows => {
            let verb = match one.course {
                Course::Rises => "goes",
                Course::Falls => "falls",
                _ => "grows",
            };
            format!("{verb} from {} to {}{per_second}", shown(standing.baseline), shown(typical))
        }
        Course::High => format!("is {}{per_second} from the beginning", shown(typical)),
        Course::Again => format!("is {}{per_second} again and again", shown(typical)),
        Course::Waits => format!(
            "makes each of {} tasks wait for {}, at {} done a second",
            number(standing.peak.round()),
            seconds(typical),
            number(standing.baseline)
        ),
        Course::Stands => format!("has stood still for {}", seconds(typical)),
        Course::Full => format!("is {} % of its limit", number((100.0 * typical).round())),
    };
    format!("{name} {does}{elsewhere}")
}

/// The unit of the values of a quantity that departs.
fn unit(one: &Unusual) -> &'static str {
    match one.course {
        Course::Stands | Course::Waits => "seconds",
        Course::Full => "",
        _ => one.quantity.unit(),
    }
}

fn finding(observed: &ObservedWindow<'_>, one: &Unusual, target: &Target) -> Finding {
    let standing = &one.standing;
    let step_ms = observed.evidence.survey().step_ms();
    let how = PlotHow::from(one.quantity.reading);
    let plot = one.instances.iter().map(|instance| Plot {
        metric: one.quantity.metric.clone(),
        how,
        instance: instance.clone(),
        label: one.quantity.label.clone(),
    });
    let found = crossing(Crossing {
        kind: FindingKind::QuantityUnusual,
        target: target.clone(),
        range: range_of(observed, one),
        uncertainty_ms: step_ms,
        lasts: standing.end.is_none(),
        text: text(one),
        read: (&one.expression, number(standing.typical)),
        plot: plot.collect(),
    });
    let magnitude = Magnitude {
        baseline: standing.baseline,
        typical: standing.typical,
        peak: standing.peak,
        unit: unit(one),
    };
    Finding { magnitude: Some(magnitude), ..found }
}
