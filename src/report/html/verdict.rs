//! The head of the page: the verdict, what it does not know, and each cause with what speaks for it.

use maud::{Markup, html};

use super::text::text;
use crate::diagnose::{Advice, Cause, Outcome, Verdict};
use crate::model::duration_text;
use crate::report::extra_fields::{Extra, extra_fields};
use crate::report::missing::missing_lines;
use crate::report::page::{clock, onset_words};
use crate::report::run_report::RunReport;
use crate::report::verdict_text::without_outcome;

/// The most lines of a list of what is missing.
const LISTED: usize = 40;

/// The outcome, the verdict in a sentence, and which run it is about.
pub(super) fn headline(report: &RunReport) -> Markup {
    let (verdict, replay) = (&report.replay.verdict, &report.replay.replay);
    let (class, word) = match verdict.outcome {
        Outcome::Fault if verdict.is_over() => ("outcome fault", "Fault (over)"),
        Outcome::Fault => ("outcome fault", "Fault"),
        Outcome::NoFault => ("outcome none", "No fault"),
        Outcome::CannotTell => ("outcome unknown", "Cannot tell"),
    };
    html! {
        header {
            p class=(class) { (word) }
            h1 { (text(without_outcome(verdict))) }
            p class="about" {
                "Run " strong { (text(replay.meta.run.as_str())) }
                ", " (text(replay.window.start.to_string())) " to " (text(replay.window.end.to_string()))
                " (" (duration_text(replay.window.millis())) ")"
            }
        }
    }
}

/// What was not observed, or observed and lost, or could not be checked.
pub(super) fn missing(report: &RunReport) -> Markup {
    let (verdict, replay) = (&report.replay.verdict, &report.replay.replay);
    let lines = missing_lines(replay, verdict);
    html! {
        section id="missing" {
            h2 { "What this report does not know" }
            @if lines.is_empty() {
                p { "No gap and no damage in what was recorded, and every check could be made." }
            } @else {
                ul {
                    @for line in lines.iter().take(LISTED) { li { (text(line)) } }
                    @if lines.len() > LISTED { li { (lines.len() - LISTED) " more; the JSON has all" } }
                }
            }
        }
    }
}

/// Each cause, then what was planned, then whatever else the verdict says.
pub(super) fn causes(verdict: &Verdict) -> Markup {
    html! {
        @if !verdict.causes.is_empty() {
            section id="causes" {
                h2 { @if verdict.causes.len() == 1 { "Cause" } @else { "Causes" } }
                @for one in &verdict.causes { (cause(one)) }
            }
        }
        @if !verdict.changes.is_empty() {
            section id="changes" {
                h2 { "Planned, or a failure of monitoring" }
                @for one in &verdict.changes { (cause(one)) }
            }
        }
        @if let Some(clients) = &verdict.clients {
            section id="clients" {
                h2 { "Clients" }
                p { (text(&clients.text)) }
            }
        }
        @for field in extra_fields(verdict) {
            section {
                h2 { (text(&field.name)) }
                (extra(&field.value))
            }
        }
    }
}

fn cause(cause: &Cause) -> Markup {
    html! {
        article class="cause" {
            h3 { (cause.says) " " span class="mode" { (cause.mode) } }
            dl {
                dt { "Where" } dd { (text(cause.target.text())) @if !cause.target.concerns.is_empty() { ": " (text(cause.target.concerns.join(", "))) } }
                dt { "When" } dd {
                    (onset_words(cause.onset_ms, cause.onset_uncertainty_ms, cause.began_by_onset))
                    @match cause.end_ms {
                        Some(end) => { " to " (clock(end)) " (" (duration_text((end - cause.onset_ms).max(0))) ")" }
                        None => " until the end of what was recorded",
                    }
                }
                dt { "Confidence" } dd { (format!("{:.0} %", cause.confidence * 100.0)) }
            }
            h4 { "Evidence" }
            ul {
                @for reason in &cause.evidence {
                    li { (text(&reason.text)) " " a href=(format!("#{}", reason.finding)) { (text(&reason.finding)) } }
                }
            }
            @if !cause.against.is_empty() {
                h4 { "Against it" }
                ul { @for one in &cause.against { li { (text(one)) } } }
            }
            @if !cause.explains.is_empty() {
                h4 { "What followed from it" }
                ul {
                    @for one in &cause.explains {
                        li {
                            (clock(one.onset_ms)) " " (text(one.target.text())) ": " (text(&one.text))
                            @if let Some(id) = &one.finding { " " a href=(format!("#{id}")) { (text(id)) } }
                        }
                    }
                }
            }
            @if let Some(advice) = &cause.advice { (what_to_do(cause, advice)) }
        }
    }
}

/// The first check, the usual remedy with its risk, and a link that is followed only by hand.
fn what_to_do(cause: &Cause, advice: &Advice) -> Markup {
    html! {
        h4 { "What to do" }
        dl class="advice" {
            dt { "First check" } dd { (text(advice.check)) }
            dt { @if cause.end_ms.is_some() { "If it recurs" } @else { "Usual remedy" } } dd { (text(advice.remedy)) }
            dt { "Risk" } dd { (text(advice.risk)) }
            dt { "Documentation" } dd {
                a href=(advice.documentation) rel="noreferrer" { (text(advice.documentation)) }
                @if let Some(section) = advice.section { ", section " (section) }
            }
        }
    }
}

/// A field of the verdict that this page has no section for.
fn extra(value: &Extra) -> Markup {
    html! {
        @match value {
            Extra::Text(one) => p { (text(one)) },
            Extra::List(all) => ul { @for one in all { li { (text(one)) } } },
        }
    }
}

/// Claims that were discarded, and why.
pub(super) fn alternatives(verdict: &Verdict) -> Markup {
    html! {
        @if !verdict.alternatives.is_empty() {
            section id="alternatives" {
                h2 { "What it is not" }
                ul {
                    @for one in &verdict.alternatives {
                        li { (one.mode) " on " (text(one.target.text())) (one.sure_text()) ": " (text(&one.lost)) }
                    }
                }
            }
        }
    }
}
