//! The report of a run as Markdown: for an issue comment, or the summary of a CI job.

use std::fmt::Write;

use super::extra_fields::{Extra, extra_fields};
use super::missing::{missing_lines, versions};
use super::page::{clock, ends, onset_words};
use super::plot::{Curve, Marks, Scale, TextPlot, Unit, curve_of, sparkline};
use super::remedy_text::advice_lines;
use super::run_report::{EvidencePlot, RunReport, findings_in_order};
use super::verdict_text::without_outcome;
use crate::diagnose::{Alternative, Cause, Finding, Outcome, Verdict};
use crate::model::{Gap, cut, duration_text, escape, escape_markdown as plain};
use crate::timeline::Entry;

/// The most characters of a report: what GitHub takes as a comment.
pub const MARKDOWN_CHARS: usize = 65_536;

/// Columns of a plot.
const WIDTH: usize = 80;
/// Lines of a node's curve.
const ROWS: usize = 6;
/// The most labels of values beside it.
const TICKS: usize = 4;
/// Columns of a peer's name, those of the labels of values.
const NAME: usize = 10;
/// The most lines of a list.
const LISTED: usize = 30;
/// The most entries of the timeline.
const ENTRIES: usize = 120;
/// The most cited samples.
const CITATIONS: usize = 100;
/// Characters kept for the versions and digests at the end, and for what says that something is left out.
const RESERVED: usize = 2_000;
/// The most characters of a text out of the capture in one line.
const LINE: usize = 600;

/// The report in at most [`MARKDOWN_CHARS`] characters: the verdict first, and of the rest as much as fits.
pub fn markdown(report: &RunReport) -> String {
    let (verdict, replay) = (&report.replay.verdict, &report.replay.replay);
    let mut page = Markdown { out: String::new(), chars: 0, left_out: 0 };
    page.add(&headline(report));
    page.add(&missing(report));
    for cause in verdict.causes.iter().chain(&verdict.changes) {
        page.add(&cause_text(cause));
    }
    if let Some(clients) = &verdict.clients {
        page.add(&format!("#### Clients\n\n{}\n", line(&clients.text)));
    }
    if let Some(alerts) = report.replay.alerts_text() {
        page.add(&format!("#### Alerts\n\n{}\n", line(&alerts)));
    }
    for field in extra_fields(verdict) {
        let lines = match field.value {
            Extra::Text(text) => vec![text],
            Extra::List(lines) => lines,
        };
        page.add(&format!("#### {}\n\n{}\n", plain(&field.name), list(&lines)));
    }
    for finding in findings_in_order(verdict) {
        page.add(&finding_text(report, finding));
    }
    page.add(&citations(verdict));
    page.add(&alternatives(verdict));
    page.add(&timeline(report));
    let mut end = String::new();
    if page.left_out > 0 {
        end.push_str(&format!("{} sections are left out; the JSON has all.\n\n", page.left_out));
    }
    let digest = [("Capture digest", replay.capture_digest.clone())];
    for (name, value) in versions(replay).into_iter().chain(digest) {
        end.push_str(&format!("- {name}: {}\n", line(&value)));
    }
    page.out + &end
}

/// A text that grows section by section, as long as there is room.
struct Markdown {
    out: String,
    chars: usize,
    left_out: usize,
}

impl Markdown {
    fn add(&mut self, section: &str) {
        let chars = section.chars().count();
        if chars == 0 {
            return;
        }
        if self.chars + chars + 1 > MARKDOWN_CHARS - RESERVED {
            self.left_out += 1;
            return;
        }
        self.chars += chars + 1;
        self.out.push_str(section);
        self.out.push('\n');
    }
}

/// Text out of the capture, on one line of bounded length.
fn line(text: &str) -> String {
    plain(&cut(text, LINE))
}

fn list(lines: &[String]) -> String {
    let mut out: String =
        lines.iter().take(LISTED).map(|text| format!("- {}\n", line(text))).collect();
    if lines.len() > LISTED {
        out.push_str(&format!("- {} more\n", lines.len() - LISTED));
    }
    out
}

fn headline(report: &RunReport) -> String {
    let (verdict, replay) = (&report.replay.verdict, &report.replay.replay);
    let word = match verdict.outcome {
        Outcome::Fault if verdict.is_over() => "Fault (over)",
        Outcome::Fault => "Fault",
        Outcome::NoFault => "No fault",
        Outcome::CannotTell => "Cannot tell",
    };
    format!(
        "### {word}: {}\n\nRun {}, {} to {} ({})\n",
        line(without_outcome(verdict)),
        line(replay.meta.run.as_str()),
        replay.window.start,
        replay.window.end,
        duration_text(replay.window.millis())
    )
}

fn missing(report: &RunReport) -> String {
    let lines = missing_lines(&report.replay.replay, &report.replay.verdict);
    if lines.is_empty() {
        return "No gap and no damage in what was recorded, and every check could be made.\n"
            .to_owned();
    }
    format!("#### What this report does not know\n\n{}", list(&lines))
}

fn cause_text(cause: &Cause) -> String {
    let until =
        cause.end_ms.map_or_else(|| "until the end".to_owned(), |end| format!("to {}", clock(end)));
    let mut out = format!(
        "#### {} ({}): {}\n\n{} {until}, confidence {:.0} %\n\n",
        cause.says,
        plain(cause.mode),
        line(&cause.target.text()),
        onset_words(cause.onset_ms, cause.onset_uncertainty_ms, cause.began_by_onset),
        cause.confidence * 100.0
    );
    let evidence = cause.evidence.iter().map(|one| format!("{} ({})", one.text, one.finding));
    let against = cause.against.iter().map(|one| format!("Against it: {one}"));
    let then = cause.explains.iter().map(|one| {
        let shown = one.finding.as_ref().map_or_else(String::new, |id| format!(" ({id})"));
        format!("Then, at {}: {}: {}{shown}", clock(one.onset_ms), one.target.text(), one.text)
    });
    out.push_str(&list(&evidence.chain(against).chain(then).collect::<Vec<_>>()));
    // These are words of this program: an address in them stays a link.
    for (name, text) in advice_lines(cause) {
        let _ = writeln!(out, "- {name}: {text}");
    }
    out
}

fn finding_text(report: &RunReport, finding: &Finding) -> String {
    let mut out =
        format!("#### {} {}: {}\n", finding.id, line(&finding.target.text()), line(&finding.text));
    // A quantity of several findings is drawn with the first that is shown.
    let own = report.plots.iter().filter(|plot| plot.findings.first() == Some(&finding.id));
    for plot in own {
        out.push('\n');
        out.push_str(&drawing(report, finding, plot));
    }
    out
}

/// A quantity in a fence: its curve, one line for each peer, and what the marks mean.
fn drawing(report: &RunReport, finding: &Finding, plot: &EvidencePlot) -> String {
    let replay = &report.replay.replay;
    let gaps: Vec<Gap> = replay.gaps.iter().filter(|gap| plot.misses(gap)).cloned().collect();
    let quantity = (plot.metric.as_str(), plot.how);
    let until = replay.window.end;
    let curve = |points: &[(i64, f64)]| curve_of(quantity, points, (until, usize::MAX), &gaps);
    let curves: Vec<(&str, Curve)> = plot
        .own
        .iter()
        .chain(&plot.peers)
        .map(|node| (node.name.as_str(), curve(&node.points)))
        .collect();
    let unit = Unit::of(&plot.metric, plot.how);
    let scale = Scale::around(curves.iter().map(|(_, curve)| curve), unit, TICKS);
    let Some((scale, ((name, own), others))) = scale.zip(curves.split_first()) else {
        return String::new();
    };
    let onset = Some((finding.onset_ms, finding.onset_uncertainty_ms));
    let marks = Marks { onset, end: finding.end_ms, gaps: &gaps };
    let window = replay.window;
    let text = TextPlot { window, scale, marks, width: WIDTH, rows: ROWS };
    let of = if plot.own.len() > 1 { format!(", {name}") } else { String::new() };
    let mut out = format!("```text\n{}{}\n", fenced(&plot.title()), fenced(&of));
    out.push_str(&text.lines(own).join("\n"));
    out.push('\n');
    for (name, curve) in others {
        let bars = sparkline(curve, window, scale, WIDTH - NAME - 2);
        out.push_str(&format!("{:>NAME$} │{bars}\n", fenced(&cut(name, NAME))));
    }
    out.push_str(&format!("{}\n```\n", marks.key()));
    out
}

/// Text out of the capture inside a fence, which it cannot close.
fn fenced(text: &str) -> String {
    escape(text).replace('`', "'")
}

fn citations(verdict: &Verdict) -> String {
    let cited: Vec<_> = findings_in_order(verdict)
        .into_iter()
        .flat_map(|finding| finding.citations.iter().map(move |citation| (finding, citation)))
        .collect();
    if cited.is_empty() {
        return String::new();
    }
    let mut out = "#### Cited samples\n\n| finding | UTC | series or answer | value |\n|-|-|-|-|\n"
        .to_owned();
    for (finding, citation) in cited.iter().take(CITATIONS) {
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            finding.id,
            clock(citation.at_ms),
            line(&citation.reference),
            line(&citation.value)
        ));
    }
    out
}

fn alternatives(verdict: &Verdict) -> String {
    if verdict.alternatives.is_empty() {
        return String::new();
    }
    let text = |one: &Alternative| {
        let sure = one.sure_text();
        format!("{} on {}{sure}: {}", one.mode, one.target.text(), one.lost)
    };
    let lines: Vec<String> = verdict.alternatives.iter().map(text).collect();
    format!("#### What it is not\n\n{}", list(&lines))
}

fn timeline(report: &RunReport) -> String {
    let entries = &report.replay.replay.timeline;
    if entries.is_empty() {
        return String::new();
    }
    let (first, left_out, last) = ends(entries, ENTRIES);
    let row = |entry: &Entry| {
        format!("| {} | {} | {} |\n", clock(entry.at), line(&entry.subject), line(&entry.text))
    };
    let mut out =
        "<details><summary>Timeline</summary>\n\n| UTC | what | change |\n|-|-|-|\n".to_owned();
    out.extend(first.iter().map(row));
    if left_out > 0 {
        out.push_str(&format!("| | | {left_out} left out here |\n"));
    }
    out.extend(last.iter().map(row));
    out.push_str("\n</details>\n");
    out
}
