//! A finding as text: its readings, and a plot of each quantity that it is based on.

use super::page::{Color, Ink, Page, clock, onset};
use super::plot::{Marks, Scale, TextPlot, Unit, curve_of};
use super::verdict_text::span_text;
use crate::diagnose::{Cause, Citation, Drawn, Finding, PlotHow, finding_names, number, seconds};
use crate::model::{TimeRange, Timestamp, escape};

/// Rows of a plot.
const ROWS: usize = 8;
/// Columns before what a finding cites.
const BEFORE_READING: usize = 15;
/// The most labels of values beside it.
const TICKS: usize = 5;

/// The instant as of which a finding is shown, and what it speaks for.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The instant.
    pub as_of: Timestamp,
    /// Whether it is the end of the run.
    pub is_end: bool,
    /// The cause or change of which it is evidence; `None` where it is of none.
    pub cause: Option<&'a Cause>,
}

/// A finding with its name, in lines of at most `width` columns; at least 60 are used. All plots show the whole
/// `window`.
pub fn explain_text(
    (finding, name): (&Finding, &str),
    seen: Seen<'_>,
    drawn: &[Drawn],
    window: TimeRange,
    (width, color): (usize, Color),
) -> String {
    let mut page = Page { out: String::new(), width: width.max(60), color };
    let title = format!("{}  {}: {}", finding.id, finding.target.text(), finding.text);
    page.line(0, &title, Ink::Bold);
    let until = finding
        .end_ms
        .map_or_else(|| "until the end".to_owned(), |end| format!("to {}", clock(end)));
    let from = onset(finding.onset_ms, finding.onset_uncertainty_ms, false);
    page.field("when", &format!("{from} {until}"));
    // Its own times are not those of the cause, which begins with the first sign of all that speak for it.
    if let Some(cause) = seen.cause {
        page.field("part of", &format!("{}, {}", cause.mode, span_text(cause)));
    }
    let end = if seen.is_end { ", the end of the run" } else { "" };
    page.field("as of", &format!("{}{end}", seen.as_of));
    page.field("name", name);
    if let Some(size) = &finding.magnitude {
        let shown = |value: f64| match size.unit {
            "seconds" => seconds(value),
            unit => format!("{} {unit}", number(value)),
        };
        let [before, meanwhile, most] = [size.baseline, size.typical, size.peak].map(shown);
        page.field("size", &format!("{before} before, {meanwhile} meanwhile, {most} at most"));
    }
    for citation in &finding.citations {
        page.reading(citation);
    }
    for one in drawn.iter().filter(|one| !one.points.is_empty()) {
        page.plot(finding, one, window);
    }
    page.out
}

/// Findings in their order, each with its onset, target and name, in lines of at most `width` columns; at least 60 are
/// used.
pub fn findings_text(findings: &[Finding], (width, color): (usize, Color)) -> String {
    let mut page = Page { out: String::new(), width: width.max(60), color };
    for (finding, name) in findings.iter().zip(finding_names(findings)) {
        let onset = clock(finding.onset_ms);
        let head = format!("{:<4} {onset}  {}", finding.id, escape(&finding.target.text()));
        page.one_line(&head, Ink::Bold);
        page.line(5, &finding.text, Ink::Plain);
        page.line(5, &name, Ink::Dim);
    }
    page.out
}

impl Page {
    /// What a finding cites. A reference that fits into no line stands on lines of its own and is broken as PromQL
    /// allows, so that it can be copied into a query.
    fn reading(&mut self, Citation { reference, at_ms, value }: &Citation) {
        let at = clock(*at_ms);
        let text = format!("{at} {reference} {value}");
        if text.chars().count() + BEFORE_READING <= self.width || !reference.contains('{') {
            return self.field("reads", &text);
        }
        self.field("reads", &format!("{at} {value}, which is"));
        self.expression(4, reference);
    }

    fn plot(&mut self, finding: &Finding, drawn: &Drawn, window: TimeRange) {
        self.heading(&plot_heading(drawn));
        let quantity = (drawn.plot.metric.as_str(), drawn.plot.how);
        let curve = curve_of(quantity, &drawn.points, (window.end, usize::MAX), &[]);
        let curves = std::iter::once(&curve);
        let Some(scale) =
            Scale::around(curves, Unit::of(&drawn.plot.metric, drawn.plot.how), TICKS)
        else {
            return;
        };
        let onset = Some((finding.onset_ms, finding.onset_uncertainty_ms));
        let marks = Marks { onset, end: finding.end_ms, gaps: &[] };
        let plot = TextPlot { window, scale, marks, width: self.width, rows: ROWS };
        for line in plot.lines(&curve) {
            self.one_line(&line, Ink::Plain);
        }
        self.line(2, &format!("{} to {} UTC; {}", window.start, window.end, marks.key()), Ink::Dim);
    }
}

/// The quantity that a plot shows, and of which target.
fn plot_heading(drawn: &Drawn) -> String {
    let unit = match drawn.plot.how {
        PlotHow::Gauge | PlotHow::Pd => "",
        PlotHow::Rate => ", a second",
        PlotHow::Mean => ", mean",
        PlotHow::Slow => ", slow ones a second",
        PlotHow::SlowShare => ", share of slow ones",
    };
    let label = drawn.plot.label.as_ref();
    let label = label.map_or_else(String::new, |(name, value)| format!(" {name}={value}"));
    let (metric, of) = (&drawn.plot.metric, &drawn.plot.instance);
    match drawn.plot.how {
        PlotHow::Pd if of.parse::<u64>().is_ok() => format!("PD {metric} of store {of}"),
        PlotHow::Pd => format!("PD {metric} of {of}"),
        _ => format!("{metric} of {of}{label}{unit}"),
    }
}
