//! Facts told as findings: a sentence each, with the readings that show it.

pub(super) mod drawing;
pub(super) mod finding;
mod plans;
mod silence;
mod work;

pub(super) use plans::{drain, moved, scheduler};
pub(super) use silence::{aftermath, leader_change, member_outage, outage};
pub(super) use work::{rise, shift, slow_member, slow_store};

use crate::diagnose::findings::finding::{
    Citation, Finding, FindingKind, Magnitude, Plot, PlotHow, Target, seconds,
};
use crate::diagnose::observations::departures::Departure;
use crate::model::{TimeRange, Timestamp};

/// A quantity that crossed a line, as a finding of its own.
pub(in crate::diagnose) struct Crossing<'a> {
    /// What departed.
    pub kind: FindingKind,
    /// Where.
    pub target: Target,
    /// When.
    pub range: TimeRange,
    /// How far the beginning may be off.
    pub uncertainty_ms: i64,
    /// Whether it lasts to the end of what was seen.
    pub lasts: bool,
    /// A sentence without a full stop.
    pub text: String,
    /// What was read: the reference and the value.
    pub read: (&'a str, String),
    /// What to plot.
    pub plot: Vec<Plot>,
}

/// Tells a crossing.
pub(in crate::diagnose) fn crossing(crossing: Crossing<'_>) -> Finding {
    let about = About {
        kind: crossing.kind,
        target: crossing.target,
        onset: crossing.range.start,
        uncertainty_ms: crossing.uncertainty_ms,
        end: (!crossing.lasts).then_some(crossing.range.end),
    };
    let (reference, value) = crossing.read;
    let citations = vec![cite(reference.to_owned(), crossing.range.start, value)];
    finding(about, crossing.text, citations, crossing.plot)
}

/// Everything of a finding that is not told by its text.
struct About {
    kind: FindingKind,
    target: Target,
    onset: Timestamp,
    uncertainty_ms: i64,
    end: Option<Timestamp>,
}

fn finding(about: About, text: String, citations: Vec<Citation>, plot: Vec<Plot>) -> Finding {
    Finding {
        id: String::new(),
        kind: about.kind,
        target: about.target,
        onset_ms: about.onset,
        onset_uncertainty_ms: about.uncertainty_ms,
        end_ms: about.end,
        text,
        magnitude: None,
        citations,
        plot,
    }
}

fn cite(reference: String, at: Timestamp, value: String) -> Citation {
    Citation { reference, at_ms: at, value }
}

/// A quantity of PD's answers, to be drawn; see `pd_tracks`.
fn of_pd(quantity: &str, of: &str) -> Plot {
    plot(quantity, PlotHow::Pd, of)
}

fn plot(metric: &str, how: PlotHow, instance: &str) -> Plot {
    Plot { metric: metric.to_owned(), how, instance: instance.to_owned(), label: None }
}

/// `for 2m 30s`, or `since`, where it lasts.
fn lasted(from: Timestamp, to: Option<Timestamp>) -> String {
    match to {
        Some(to) => format!("for {}", seconds((to - from).max(0) as f64 / 1000.0)),
        None => "until the end of what was seen".to_owned(),
    }
}

fn magnitude(departure: &Departure, unit: &'static str) -> Magnitude {
    Magnitude {
        baseline: departure.baseline,
        typical: departure.typical,
        peak: departure.peak,
        unit,
    }
}
