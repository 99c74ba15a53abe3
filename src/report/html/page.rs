//! The page as a whole: its head with the policy that forbids everything from outside, and the order of its
//! sections.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::findings::{citations, findings};
use super::lanes::lanes;
use super::sections::{about, states, timeline};
use super::text::text;
use super::track::Background;
use super::verdict::{alternatives, causes, headline, missing};
use crate::report::run_report::RunReport;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page in two parts, between which a packed capture may stand in an element of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HtmlPage {
    /// Everything up to the place of a capture.
    pub before: String,
    /// Everything after it.
    pub after: String,
}

impl HtmlPage {
    /// The page without a capture.
    pub fn alone(self) -> String {
        self.before + &self.after
    }
}

/// Whether a page will hold the capture that it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageContent {
    /// The report alone.
    Report,
    /// The report, and the capture beside it.
    ReportAndCapture,
}

/// The page of a report.
pub fn html_page(report: &RunReport, content: PageContent) -> HtmlPage {
    let page = whole(report, content).into_string();
    let end = page.rfind("</body>").unwrap_or(page.len());
    let (before, after) = page.split_at(end);
    HtmlPage { before: before.to_owned(), after: format!("{after}\n") }
}

fn whole(report: &RunReport, content: PageContent) -> Markup {
    let (verdict, replay) = (&report.replay.verdict, &report.replay.replay);
    let background = Background::new(replay.window, verdict, &replay.gaps);
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(report))
            body {
                (hatching())
                (headline(report))
                main {
                    (missing(report))
                    (causes(verdict))
                    @if let Some(alerts) = report.replay.alerts_text() {
                        section id="alerts" { h2 { "Alerts" } p { (text(&alerts)) } }
                    }
                    section id="lanes" {
                        h2 { "The cluster over time" }
                        (lanes(&background, replay, verdict))
                    }
                    (findings(&background, report))
                    (citations(report))
                    (alternatives(verdict))
                    (timeline(replay))
                    (states(replay))
                    (about(replay, content == PageContent::ReportAndCapture))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn head(report: &RunReport) -> Markup {
    let run = &report.replay.replay.meta.run;
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy());
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            // Without an icon, browsers ask the page's server for one.
            link rel="icon" href="data:,";
            title { (text(run.as_str())) ": " (text(&report.replay.verdict.summary)) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

/// Nothing is loaded, nothing is sent, and only this style and this script apply.
fn policy() -> String {
    let hash = |content: &str| BASE64_STANDARD.encode(Sha256::digest(content.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// The pattern of gaps, once for all drawings.
fn hatching() -> Markup {
    html! {
        svg class="definitions" width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect class="hatch-ground" width="6" height="6" {}
                    line class="hatch-line" x1="0" y1="0" x2="0" y2="6" {}
                }
            }
        }
    }
}
