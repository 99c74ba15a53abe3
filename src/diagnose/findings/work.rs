//! Findings of work: load that rose or moved, and operations that take longer.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{
    Finding, FindingKind, FindingRef, Findings, PlotHow, Target, TargetKind, number, seconds,
};
use crate::diagnose::findings::{About, cite, finding, lasted, magnitude, plot};
use crate::diagnose::observations::{REQUESTS, Rise, Shift, Slow, Stage};

/// How many stores a finding names with their load.
const NAMED: usize = 8;

/// The finding of load that rose over all stores, or over a part of them.
pub(in crate::diagnose) fn rise(
    evidence: &Evidence,
    rise: &Rise,
    findings: &mut Findings,
) -> FindingRef {
    let departure = &rise.departure;
    let about = About {
        kind: FindingKind::LoadRose,
        target: Target::named(TargetKind::Workload, "workload"),
        onset: departure.onset,
        uncertainty_ms: departure.uncertainty_ms,
        end: departure.end,
    };
    let spread = rise.stores().take(NAMED).map(|store| {
        let (before, now) = rise.by_store[store];
        let name = evidence.nodes.stores[store].name();
        format!("{name} {} -> {}", number(before), number(now))
    });
    let mut spread: Vec<String> = spread.collect();
    let more = rise.stores().count().saturating_sub(NAMED);
    spread.extend((more > 0).then(|| format!("and {more} more")));
    let text = format!(
        "requests{} rise from {} to {} a second {}; {}",
        match rise.part.len() {
            0 => String::new(),
            stores => format!(" to {stores} of {} stores", evidence.nodes.stores.len()),
        },
        number(departure.baseline),
        number(departure.typical),
        lasted(departure.onset, departure.end),
        spread.join(", ")
    );
    let series =
        format!("median of sum(rate({REQUESTS}{{type=~\"kv_.*|raw_.*|coprocessor.*\"}}[1m]))");
    let citations = vec![cite(series, departure.first, number(departure.typical))];
    let stores = rise.stores().map(|store| &evidence.nodes.stores[store]);
    let instances = stores.filter_map(|store| store.instance.as_deref());
    let plots = instances.map(|name| plot(REQUESTS, PlotHow::Rate, name)).collect();
    let magnitude = Some(magnitude(departure, "requests/s"));
    findings.add(Finding { magnitude, ..finding(about, text, citations, plots) })
}

/// The finding of load that moved to one store.
pub(in crate::diagnose) fn shift(
    evidence: &Evidence,
    shift: &Shift,
    findings: &mut Findings,
) -> FindingRef {
    let departure = &shift.departure;
    let about = About {
        kind: FindingKind::LoadShifted,
        target: Target::store(&evidence.nodes.stores[shift.store]),
        onset: departure.onset,
        uncertainty_ms: departure.uncertainty_ms,
        end: departure.end,
    };
    let text = format!(
        "its share of all requests goes from {} to {} % {}, while there are no more of them",
        number(departure.baseline * 100.0),
        number(departure.typical * 100.0),
        lasted(departure.onset, departure.end),
    );
    let instance = evidence.nodes.stores[shift.store].instance.clone().unwrap_or_default();
    let series = format!(
        "median of sum(rate({REQUESTS}{{type=~\"kv_.*|raw_.*|coprocessor.*\",instance=\"{instance}\"}}[1m]))"
    );
    let citations = vec![cite(series, departure.first, number(shift.requests.1))];
    let instances = evidence.nodes.stores.iter().filter_map(|store| store.instance.as_deref());
    let plots = instances.map(|name| plot(REQUESTS, PlotHow::Rate, name)).collect();
    findings.add(finding(about, text, citations, plots))
}

/// The finding of an operation of a store that takes longer than before and than elsewhere.
pub(in crate::diagnose) fn slow_store(
    evidence: &Evidence,
    store: usize,
    slow: &Slow,
    findings: &mut Findings,
) -> FindingRef {
    let known = &evidence.nodes.stores[store];
    findings.add(slow_finding(Target::store(known), slow))
}

/// The same of a PD member.
pub(in crate::diagnose) fn slow_member(
    evidence: &Evidence,
    member: &str,
    slow: &Slow,
    findings: &mut Findings,
) -> FindingRef {
    let target = Target::member(member, evidence.nodes.member_address(member));
    findings.add(slow_finding(target, slow))
}

fn slow_finding(target: Target, slow: &Slow) -> Finding {
    let departure = &slow.departure;
    let (kind, what) = match slow.quantity.stage {
        Stage::Device => (FindingKind::SlowDevice, "the disk"),
        Stage::Threads => (FindingKind::SlowThreads, "waiting for a thread"),
        Stage::Network => (FindingKind::SlowNetwork, "an answer"),
    };
    let plotted = slow.plot(&target.name);
    let expression = slow.expression(&target.name);
    let about = About {
        kind,
        target,
        onset: departure.onset,
        uncertainty_ms: departure.uncertainty_ms,
        end: departure.end,
    };
    let elsewhere = match slow.elsewhere {
        e if e < 1.2 => "as usual".to_owned(),
        e => format!("{} times the usual", number(e)),
    };
    let which = slow.quantity.only.map(|(_, values)| format!(" of {}", values.replace('|', ", ")));
    let which = which.unwrap_or_default();
    let text = format!(
        "{what} takes {} instead of {} ({}{which}) {}; elsewhere {elsewhere}",
        seconds(departure.typical),
        seconds(departure.baseline),
        slow.quantity.metric,
        lasted(departure.onset, departure.end),
    );
    let citations = vec![cite(expression, departure.peak_at, number(departure.peak))];
    let magnitude = Some(magnitude(departure, "seconds"));
    Finding { magnitude, ..finding(about, text, citations, vec![plotted]) }
}
