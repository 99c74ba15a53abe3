//! Builds findings from observations: a sentence for each, with the readings that show it.
//!
//! Nothing here judges; which finding speaks for which cause is decided by the failure modes.

pub(super) mod drawing;
pub(super) mod finding;
mod hosts;
mod log_lines;
pub(super) mod names;
mod plans;
mod settings;
mod silence;
mod work;

pub(super) use hosts::{host_sign, pressed};
pub(super) use log_lines::logged;
pub(super) use plans::{drain, moved, scheduler};
pub(super) use settings::{changed_setting, differing, set_values, target as settings_target};
pub(super) use silence::{aftermath, leader_change, member_outage, outage};
pub(super) use work::{rise, shift, slow_member, slow_store};

use crate::diagnose::findings::finding::{
    Citation, Finding, FindingKind, Magnitude, Plot, PlotHow, Target, seconds,
};
use crate::diagnose::observations::departures::Departure;
use crate::model::{TimeRange, Timestamp};

/// A quantity that crossed a limit, from which a failure mode makes a finding of its own.
pub(in crate::diagnose) struct Crossing<'a> {
    /// The kind of the finding.
    pub kind: FindingKind,
    /// The node, link or workload that is affected.
    pub target: Target,
    /// From the onset to the end, or to the last sample where it lasts.
    pub range: TimeRange,
    /// How far the onset may be off, either way, in milliseconds.
    pub uncertainty_ms: i64,
    /// Whether it lasts to the end of what was observed.
    pub lasts: bool,
    /// A sentence without a full stop.
    pub text: String,
    /// The reference and the value of the reading at the onset; of one at another instant, see
    /// [`Finding::read_at`].
    pub read: (&'a str, String),
    /// The quantities to plot.
    pub plot: Vec<Plot>,
}

/// The finding of a crossing, with its reading as the only citation.
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

/// What a finding is about: all of it but its text, its readings and its plots.
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

/// A plot of a quantity of PD's answers; see `pd_tracks`.
fn of_pd(quantity: &str, of: &str) -> Plot {
    plot(quantity, PlotHow::Pd, of)
}

/// A plot of a metric of one scrape target.
pub(in crate::diagnose) fn plot(metric: &str, how: PlotHow, instance: &str) -> Plot {
    Plot { metric: metric.to_owned(), how, instance: instance.to_owned(), label: None }
}

/// `for 2m30s`, or other words where it lasts.
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
