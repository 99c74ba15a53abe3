//! A finding as text: its readings, and a plot of each quantity that it is based on.

use super::page::{Color, Ink, Page, clock};
use crate::diagnose::{Drawn, Finding, PlotHow};
use crate::model::{Timestamp, escape};

/// Rows of a plot.
const ROWS: usize = 8;

/// Columns for the values beside a plot.
const SCALE: usize = 10;

/// A finding in lines of at most `width` columns; at least 60 are used.
pub fn explain_text(finding: &Finding, drawn: &[Drawn], width: usize, color: Color) -> String {
    let mut page = Page { out: String::new(), width: width.max(60), color };
    let title = format!("{}  {}: {}", finding.id, finding.target.text(), finding.text);
    page.line(0, &title, Ink::Bold);
    let until = finding
        .end_ms
        .map_or_else(|| "until the end".to_owned(), |end| format!("to {}", clock(end)));
    page.field("when", &format!("{} {until}", clock(finding.onset_ms)));
    if let Some(size) = &finding.magnitude {
        let text = format!(
            "{} before, {} meanwhile, {} at most ({})",
            size.baseline, size.typical, size.peak, size.unit
        );
        page.field("size", &text);
    }
    for citation in &finding.citations {
        page.field(
            "reads",
            &format!("{} {} {}", clock(citation.at_ms), citation.reference, citation.value),
        );
    }
    for one in drawn.iter().filter(|one| !one.points.is_empty()) {
        page.plot(finding, one);
    }
    page.out
}

impl Page {
    /// A bar chart with a column for each point, or for several; `^` and `$` mark where the finding
    /// begins and ends.
    fn plot(&mut self, finding: &Finding, drawn: &Drawn) {
        self.heading(&plot_heading(drawn));
        let columns = columns(&drawn.points, self.width - SCALE - 4);
        let most = columns.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
        let least = columns.iter().map(|(_, value)| *value).fold(f64::MAX, f64::min).min(0.0);
        let height = |value: f64| match most > least {
            true => ((value - least) / (most - least) * ROWS as f64).round() as usize,
            false => 0,
        };
        for row in (1..=ROWS).rev() {
            let scale = match row {
                ROWS => shown(most),
                1 => shown(least),
                _ => String::new(),
            };
            let bars: String =
                columns.iter().map(|(_, v)| if height(*v) >= row { '#' } else { ' ' }).collect();
            let line = format!("{scale:>SCALE$} | {}", bars.trim_end());
            self.one_line(&line, Ink::Plain);
        }
        let marks = marks(finding, &columns);
        self.one_line(&format!("{:>SCALE$} | {marks}", ""), Ink::Dim);
        let ends = [columns.first(), columns.last()]
            .map(|end| end.map_or_else(String::new, |(at, _)| clock(Timestamp::from_millis(*at))));
        let text = format!("{:>SCALE$}   {} to {}; ^ onset, $ end", "", ends[0], ends[1]);
        self.one_line(&escape(&text), Ink::Dim);
    }
}

/// The quantity that a plot shows, and of which target.
fn plot_heading(drawn: &Drawn) -> String {
    let unit = match drawn.plot.how {
        PlotHow::Gauge | PlotHow::Pd => "",
        PlotHow::Rate => ", a second",
        PlotHow::Mean => ", mean",
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

/// At most `room` columns: the instant of the first point of each, and its greatest value.
fn columns(points: &[(i64, f64)], room: usize) -> Vec<(i64, f64)> {
    points
        .chunks(points.len().div_ceil(room).max(1))
        .map(|part| (part[0].0, part.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max)))
        .collect()
}

/// A mark for each column: `^` where the finding begins, `$` where it ends.
fn marks(finding: &Finding, columns: &[(i64, f64)]) -> String {
    let mark = |(index, (at, _)): (usize, &(i64, f64))| {
        let next = columns.get(index + 1).map_or(i64::MAX, |(at, _)| *at);
        let inside = |instant: Timestamp| (*at..next).contains(&instant.as_millis());
        match (inside(finding.onset_ms), finding.end_ms.is_some_and(inside)) {
            (true, _) => '^',
            (_, true) => '$',
            _ => '-',
        }
    };
    columns.iter().enumerate().map(mark).collect()
}

/// A value in at most nine columns.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if (0.001..100_000.0).contains(&v) => {
            let text = format!("{value:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.2e}"),
    }
}
