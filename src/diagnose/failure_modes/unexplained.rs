//! Something departs strongly and lasts, and no failure mode says why.

use std::collections::BTreeMap;

use crate::diagnose::findings::finding::{
    Finding, FindingKind, Magnitude, Plot, PlotHow, Target, TargetKind, number, seconds,
};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::survey::{Reading, Sign, Unusual};
use crate::model::{Component, TimeRange, Timestamp};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "unexplained",
    nature: Nature::Fault,
    depth: Depth::Unexplained,
    says: "something departs far from what was normal, and no known failure mode says why",
    subsumes: &[],
    never_explains: &[],
    needs: &[],
    metrics: &[],
    surest: 0.75,
    advice: Advice {
        check: "operator explain of the first finding; the node's log at the onset",
        remedy: "none is known: compare with a healthy node before any change",
        risk: "a restart may remove what would explain it",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: None,
    },
    judge,
};

/// How long what is over must have lasted, in milliseconds, to be a fault: what passes within five minutes
/// without a failure mode that knows it is a burst.
const LASTED_MS: i64 = 300_000;
/// How many times its greatest value before the leading quantity must be.
const LEADS: f64 = 8.0;
/// The most quantities that a claim lists: those that lead. The others move with them.
const LISTED: usize = 5;

/// Quantities that are unusual at the same targets at the same time.
struct Group<'a> {
    component: Component,
    instances: &'a [String],
    range: TimeRange,
    lasts: bool,
    members: Vec<&'a Unusual>,
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found: Vec<&Unusual> = observed.unusual.iter().collect();
    found.retain(|one| !is_load(observed, one.standing.onset));
    found.sort_by(|a, b| (a.standing.onset, &a.instances).cmp(&(b.standing.onset, &b.instances)));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for one in found {
        let end = one.standing.end.unwrap_or(observed.open());
        let range = TimeRange::new(one.standing.onset, end);
        let same = groups.iter_mut().find(|group| {
            group.component == one.component
                && group.instances == one.instances
                && group.range.overlaps(&range)
        });
        match same {
            Some(group) => {
                group.range = TimeRange::new(group.range.start, group.range.end.max(end));
                group.lasts |= one.standing.end.is_none();
                group.members.push(one);
            }
            None => groups.push(Group {
                component: one.component,
                instances: &one.instances,
                range,
                lasts: one.standing.end.is_none(),
                members: vec![one],
            }),
        }
    }
    groups.iter().filter(|group| is_serious(group)).map(|group| claim(observed, group)).collect()
}

/// Whether clients began to ask for more about then, which everything else follows.
fn is_load(observed: &ObservedWindow<'_>, at: Timestamp) -> bool {
    observed.rises.iter().any(|(rise, _)| {
        let range = rise.departure.range(observed.open());
        at >= range.start.saturating_add_millis(-60_000)
            && at <= range.end.saturating_add_millis(60_000)
    })
}

fn is_serious(group: &Group<'_>) -> bool {
    let leads = group.members.iter().any(|one| one.standing.times >= LEADS);
    leads && (group.lasts || group.range.millis() >= LASTED_MS)
}

fn claim(observed: &ObservedWindow<'_>, group: &Group<'_>) -> Claim {
    let target = target_of(observed, group);
    let step_ms = observed.evidence.survey.step_ms();
    let leading = leading(&group.members);
    let strong = leading.iter().any(|one| one.standing.times >= 10.0 * LEADS);
    let confidence =
        0.55 + if strong { 0.1 } else { 0.0 } + if leading.len() > 1 { 0.1 } else { 0.0 };
    let mut claim = Claim::new(target.clone(), group.range.start, step_ms, confidence);
    claim.end = (!group.lasts).then_some(group.range.end);
    if let TargetKind::Store = target.kind {
        claim.stores.extend(
            group
                .instances
                .iter()
                .filter_map(|name| observed.evidence.nodes.store_of_instance(name)),
        );
    }
    claim.readings = leading.iter().map(|one| finding(observed, one, &target)).collect();
    claim.but("no failure mode is known that shows itself so")
}

/// The quantities that depart furthest, of each metric one, with the earliest of a kind first among
/// equals.
fn leading<'a>(members: &[&'a Unusual]) -> Vec<&'a Unusual> {
    let mut of_metric: BTreeMap<&str, &Unusual> = BTreeMap::new();
    for one in members {
        let held = of_metric.entry(one.quantity.metric.as_str()).or_insert(one);
        if one.standing.times > held.standing.times {
            *held = one;
        }
    }
    let mut leading: Vec<&Unusual> = of_metric.into_values().collect();
    leading.sort_by(|a, b| {
        let times = b.standing.times.total_cmp(&a.standing.times);
        times.then_with(|| a.quantity.metric.cmp(&b.quantity.metric))
    });
    leading.truncate(LISTED);
    leading
}

fn target_of(observed: &ObservedWindow<'_>, group: &Group<'_>) -> Target {
    let nodes = &observed.evidence.nodes;
    match (group.component, group.instances) {
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

fn finding(observed: &ObservedWindow<'_>, one: &Unusual, target: &Target) -> Finding {
    let standing = &one.standing;
    let shown = |value: f64| match one.sign {
        Sign::Slow if one.quantity.is_in_seconds() => seconds(value),
        _ => number(value),
    };
    let per_second = if one.quantity.reading == Reading::Rate { " a second" } else { "" };
    let elsewhere = match (one.elsewhere, one.instances.len()) {
        (Some(value), _) => format!("; elsewhere {}", shown(value)),
        (None, 1) => String::new(),
        (None, nodes) => format!("; at {nodes} nodes alike"),
    };
    let text = format!(
        "{} goes from {} to {}{per_second}{elsewhere}",
        one.quantity.name(),
        shown(standing.baseline),
        shown(standing.typical),
    );
    let instance = one.instances[0].as_str();
    let how = PlotHow::from(one.quantity.reading);
    let plot = one.instances.iter().map(|instance| Plot {
        metric: one.quantity.metric.clone(),
        how,
        instance: instance.clone(),
        label: one.quantity.label.clone(),
    });
    let reference = one.quantity.expression(instance, observed.evidence.survey.step_ms());
    let found = crossing(Crossing {
        kind: FindingKind::QuantityUnusual,
        target: target.clone(),
        range: TimeRange::new(standing.onset, standing.end.unwrap_or(observed.open())),
        uncertainty_ms: observed.evidence.survey.step_ms(),
        lasts: standing.end.is_none(),
        text,
        read: (&reference, number(standing.typical)),
        plot: plot.collect(),
    });
    let magnitude = Magnitude {
        baseline: standing.baseline,
        typical: standing.typical,
        peak: standing.peak,
        unit: one.quantity.unit(),
    };
    Finding { magnitude: Some(magnitude), ..found }
}
