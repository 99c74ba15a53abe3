//! The evidence: each finding with its curves, and the table of every sample that is cited.

use maud::{Markup, html};

use super::plot::figure;
use super::text::text;
use super::track::Background;
use crate::diagnose::{Finding, Magnitude};
use crate::report::page::{clock, onset};
use crate::report::plot::plain_number;
use crate::report::run_report::{EvidencePlot, RunReport, findings_in_order};

/// The most findings that are shown.
const FINDINGS: usize = 60;
/// The most cited samples that are listed.
const CITATIONS: usize = 600;

/// Each finding with the curves that show it.
pub(super) fn findings(background: &Background<'_>, report: &RunReport) -> Markup {
    let all = findings_in_order(&report.replay.verdict);
    html! {
        @if !all.is_empty() {
            section id="findings" {
                h2 { "Evidence" }
                p class="legend" {
                    span class="swatch own" {} " the node "
                    span class="swatch peer" {} " its peers "
                    span class="swatch onset" {} " onset "
                    span class="swatch uncertain" {} " its uncertainty "
                    span class="swatch end" {} " end "
                    span class="swatch fault" {} " fault "
                    svg class="swatch" width="14" height="14" aria-hidden="true" { rect class="gap" width="14" height="14" {} }
                    " not recorded. Times are UTC."
                }
                @for one in all.iter().take(FINDINGS) { (finding(background, report, one)) }
                @if all.len() > FINDINGS {
                    p { (all.len() - FINDINGS) " more findings are in the JSON." }
                }
                @if report.plots_left_out > 0 {
                    p { (report.plots_left_out) " more quantities are not drawn; operator explain draws them." }
                }
            }
        }
    }
}

fn finding(background: &Background<'_>, report: &RunReport, finding: &Finding) -> Markup {
    let shows = |plot: &&EvidencePlot| plot.findings.contains(&finding.id);
    let plots = report.plots.iter().filter(shows);
    html! {
        article class="finding" id=(text(&finding.id)) {
            h3 { span class="id" { (text(&finding.id)) } " " (text(finding.target.text())) ": " (text(&finding.text)) }
            p class="when" {
                "Onset " (onset(finding.onset_ms, finding.onset_uncertainty_ms, false))
                @match finding.end_ms {
                    Some(end) => { ", over at " (clock(end)) }
                    None => ", to the end of what was recorded",
                }
                @if let Some(size) = &finding.magnitude { (magnitude(size)) }
            }
            @for plot in plots {
                // A quantity of several findings is drawn with the first that is shown.
                @match plot.findings.first() {
                    Some(first) if *first != finding.id => {
                        p class="quiet" { "Drawn with " a href=(format!("#{first}")) { (text(first)) } ": " (text(&plot.metric)) }
                    }
                    _ => (figure(background, plot, finding)),
                }
            }
        }
    }
}

fn magnitude(size: &Magnitude) -> Markup {
    html! {
        ". " (plain_number(size.baseline)) " before, " (plain_number(size.typical)) " meanwhile, "
        (plain_number(size.peak)) " at most (" (size.unit) ")"
    }
}

/// Every sample that a finding cites.
pub(super) fn citations(report: &RunReport) -> Markup {
    let cited: Vec<_> = findings_in_order(&report.replay.verdict)
        .into_iter()
        .flat_map(|finding| finding.citations.iter().map(move |citation| (finding, citation)))
        .collect();
    html! {
        @if !cited.is_empty() {
            section id="samples" {
                h2 { "Cited samples" }
                div class="wide" tabindex="0" role="region" aria-label="Cited samples" {
                    table {
                        thead { tr { th scope="col" { "Finding" } th scope="col" { "UTC" } th scope="col" { "Series or answer" } th scope="col" { "Value" } } }
                        tbody {
                            @for (finding, citation) in cited.iter().take(CITATIONS) {
                                tr {
                                    td { a href=(format!("#{}", finding.id)) { (text(&finding.id)) } }
                                    td { (clock(citation.at_ms)) }
                                    td class="code" { (text(&citation.reference)) }
                                    td class="code" { (text(&citation.value)) }
                                }
                            }
                        }
                    }
                }
                @if cited.len() > CITATIONS {
                    p { (cited.len() - CITATIONS) " more are in the JSON." }
                }
            }
        }
    }
}
