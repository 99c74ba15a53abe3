//! The rest of the page: the timeline, the cluster at both ends, versions and digests.

use maud::{Markup, html};

use super::text::text;
use crate::report::missing::versions;
use crate::report::page::{clock, ends};
use crate::report::replay_report::ReplayReport;
use crate::report::tone::Tone;
use crate::timeline::{Entry, StateSummary};

/// The most entries of the timeline that are listed.
const ENTRIES: usize = 400;
/// The most stores of a state that are listed.
const STORES: usize = 100;

/// What happened, in order.
pub(super) fn timeline(report: &ReplayReport) -> Markup {
    let (first, left_out, last) = ends(&report.timeline, ENTRIES);
    html! {
        section id="timeline" {
            h2 { "Timeline" }
            @if report.timeline.is_empty() { p { "Nothing changed." } }
            @else {
                div class="wide" tabindex="0" role="region" aria-label="Timeline" {
                    table {
                        thead { tr { th scope="col" { "UTC" } th scope="col" { "Source" } th scope="col" { "What" } th scope="col" { "Change" } } }
                        tbody {
                            @for one in first { (entry(one)) }
                            @if left_out > 0 { tr { td colspan="4" { (left_out) " left out here; the JSON has all" } } }
                            @for one in last { (entry(one)) }
                        }
                    }
                }
            }
        }
    }
}

fn entry(entry: &Entry) -> Markup {
    let class = match Tone::of(entry.kind) {
        Tone::Bad => "bad",
        Tone::Good => "good",
        Tone::Notable => "notable",
        Tone::Marked => "event",
        Tone::Plain => "plain",
    };
    html! {
        tr {
            td { (clock(entry.at)) }
            td { (text(&entry.source)) }
            td { (text(&entry.subject)) }
            td class=(class) { (text(&entry.text)) }
        }
    }
}

/// The cluster at the start and at the end.
pub(super) fn states(report: &ReplayReport) -> Markup {
    html! {
        section id="cluster" {
            h2 { "The cluster" }
            (state("At the start", &report.initial))
            (state("At the end", &report.last))
        }
    }
}

fn state(heading: &str, state: &StateSummary) -> Markup {
    html! {
        h3 { (heading) ", " (clock(state.at)) }
        @if !state.members.is_empty() {
            p {
                "PD: "
                @for (number, (name, version)) in state.members.iter().enumerate() {
                    @if number > 0 { ", " }
                    (text(name)) " " (text(version))
                    @if state.leader.as_ref() == Some(name) { " (leads)" }
                }
                @if let Some(regions) = state.regions { ". " (regions) " regions." }
            }
        }
        @if !state.stores.is_empty() {
            div class="wide" tabindex="0" role="region" aria-label=(heading) {
                table {
                    thead { tr { th scope="col" { "Store" } th scope="col" { "Address" } th scope="col" { "State" } th scope="col" class="number" { "Leaders" } th scope="col" class="number" { "Regions" } } }
                    tbody {
                        @for store in state.stores.iter().take(STORES) {
                            tr {
                                td { (store.id) }
                                td class="code" { (text(&store.address)) }
                                td { (text(&store.state)) }
                                td class="number" { (store.leaders) }
                                td class="number" { (store.regions) }
                            }
                        }
                    }
                }
            }
        }
        @if state.stores.len() > STORES { p { (state.stores.len() - STORES) " more stores." } }
        @if state.members.is_empty() && state.stores.is_empty() { p { "Nothing of PD was observed." } }
    }
}

/// Versions and digests, and how to replay what the page was made of.
pub(super) fn about(report: &ReplayReport, holds_capture: bool) -> Markup {
    html! {
        section id="about" {
            h2 { "About this report" }
            dl {
                @for (name, value) in versions(report) { dt { (name) } dd { (text(value)) } }
                dt { "Capture" } dd class="code" { (report.capture_digest) }
                @if let Some(digest) = &report.recorded_digest { dt { "As recorded" } dd class="code" { (text(digest)) } }
                @if let Some(digest) = &report.report_digest { dt { "Report" } dd class="code" { (digest) } }
            }
            @if holds_capture {
                p { "The capture is inside this file. Save it, and " code { "operator replay FILE.html" } ", " code { "query" } ", " code { "verify" } " and every other command that reads a run open it as it is." }
            } @else {
                p { "The capture is not inside this file; " code { "operator export --html" } " puts it there." }
            }
        }
    }
}
