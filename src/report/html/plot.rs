//! A quantity of the evidence as SVG: the node's curve and its peers', with onset, uncertainty and end.

use maud::{Markup, html};

use super::text::text;
use super::track::Background;
use crate::diagnose::Finding;
use crate::model::{Gap, TimeRange, Timestamp};
use crate::report::page::clock;
use crate::report::plot::{Curve, Scale, Unit, curve_of, share_of};
use crate::report::run_report::{EvidencePlot, NodeCurve};

/// Height of the curve in pixels.
const HEIGHT: u32 = 150;
/// Height of the whole: the curve and the labels of the axis of time.
const WHOLE: u32 = HEIGHT + 20;
/// The width of the coordinates of curves, which are stretched to the width of the drawing.
const WIDTH: f64 = 1000.0;
/// The most labels of the axis of values.
const LABELS: usize = 5;
/// The most points that are drawn of a node; half as many of each peer.
const POINTS: usize = 400;

/// The drawing of a quantity, with what a reader needs who does not see it.
pub(super) fn figure(
    background: &Background<'_>,
    plot: &EvidencePlot,
    finding: &Finding,
) -> Markup {
    let gaps: Vec<Gap> = background.gaps.iter().filter(|gap| plot.misses(gap)).cloned().collect();
    let (quantity, until) = ((plot.metric.as_str(), plot.how), background.window.end);
    let curve = |node: &NodeCurve, most| curve_of(quantity, &node.points, (until, most), &gaps);
    let own: Vec<Curve> = plot.own.iter().map(|node| curve(node, POINTS)).collect();
    let peers: Vec<Curve> = plot.peers.iter().map(|node| curve(node, POINTS / 2)).collect();
    let unit = Unit::of(&plot.metric, plot.how);
    let Some(scale) = Scale::around(own.iter().chain(&peers), unit, LABELS) else {
        return html! {};
    };
    let (low, high) = scale.ends();
    let shown = scale.shown();
    html! {
        figure class="plot" data-start=(background.window.start.as_millis())
            data-end=(background.window.end.as_millis()) data-low=(low) data-high=(high)
            data-factor=(shown.factor) data-suffix=(shown.suffix) data-instant[shown.is_instant] {
            figcaption {
                span class="title" { (text(plot.title())) }
                @if !unit.name().is_empty() { span class="unit" { (unit.name()) } }
            }
            div class="chart" {
                svg class="labels" height=(WHOLE) width="64" aria-hidden="true" { (value_labels(scale)) }
                svg class="area" height=(WHOLE) width="100%" role="img" aria-label=(text(spoken(plot, scale))) {
                    (background.faults())
                    (background.gaps(|gap| plot.misses(gap)))
                    (background.time_lines(HEIGHT))
                    (value_lines(scale))
                    (marks(background, finding))
                    svg class="curves" x="0" y="0" width="100%" height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" {
                        @for (node, curve) in plot.peers.iter().zip(&peers) {
                            path class="peer" data-name=(text(&node.name)) d=(outline(background, scale, curve)) {}
                        }
                        @for (number, (node, curve)) in plot.own.iter().zip(&own).enumerate().rev() {
                            path class=(own_class(number)) data-name=(text(&node.name)) d=(outline(background, scale, curve)) {}
                        }
                    }
                    @for curve in &own { (infinities(background, curve)) }
                    (background.time_labels(WHOLE - 4))
                }
            }
            p class="key" {
                @for (number, node) in plot.own.iter().enumerate() {
                    span class=(own_class(number)) { (text(&node.name)) }
                    " "
                }
                @if !plot.peers.is_empty() {
                    span class="peer" { (text(peer_names(plot))) }
                }
                span class="readout" aria-live="polite" {}
            }
        }
    }
}

/// The classes of a finding's own node: each has a colour and a dash of its own, and the fifth those of the
/// first again.
fn own_class(number: usize) -> &'static str {
    ["own", "own second", "own third", "own fourth"][number % 4]
}

fn peer_names(plot: &EvidencePlot) -> String {
    let names: Vec<&str> = plot.peers.iter().map(|peer| peer.name.as_str()).collect();
    match plot.peers_left_out {
        0 => names.join(", "),
        more => format!("{} ({more} more are not drawn)", names.join(", ")),
    }
}

/// The height at which a value lies, in pixels from the top.
fn y(scale: Scale, value: f64) -> f64 {
    // Half a line stays free, so that no curve is cut off at the ends.
    let room = f64::from(HEIGHT) - 4.0;
    2.0 + (1.0 - scale.share(value)) * room
}

fn value_labels(scale: Scale) -> Markup {
    html! {
        @for (value, label) in scale.ticks() {
            @let at = (y(scale, value) + 4.0).clamp(11.0, f64::from(HEIGHT));
            text class="tick" x="58" y=(format!("{at:.0}")) text-anchor="end" { (text(label)) }
        }
    }
}

fn value_lines(scale: Scale) -> Markup {
    html! {
        @for (value, _) in scale.ticks() {
            @let at = format!("{:.1}", y(scale, value));
            line class="grid" x1="0" x2="100%" y1=(at) y2=(at) {}
        }
    }
}

/// The onset with its uncertainty, and the end.
fn marks(background: &Background<'_>, finding: &Finding) -> Markup {
    let give = finding.onset_uncertainty_ms;
    let around = TimeRange::new(
        finding.onset_ms.saturating_add_millis(-give),
        finding.onset_ms.saturating_add_millis(give),
    );
    let onset = background.x(finding.onset_ms);
    html! {
        (background.block("uncertain", around))
        line class="onset" x1=(onset) x2=(onset) y1="0" y2=(HEIGHT) {
            title { "onset " (clock(finding.onset_ms)) }
        }
        @if let Some(end) = finding.end_ms {
            @let x = background.x(end);
            line class="end" x1=(x) x2=(x) y1="0" y2=(HEIGHT) { title { "end " (clock(end)) } }
        }
    }
}

/// Triangles at the edge where a value is infinite.
fn infinities(background: &Background<'_>, curve: &Curve) -> Markup {
    html! {
        @for sample in &curve.infinite {
            @let is_up = sample.value > 0.0;
            text class="tick" x=(background.x(sample.at)) y=(if is_up { 10 } else { HEIGHT }) text-anchor="middle" {
                (if is_up { "▲" } else { "▼" })
            }
        }
    }
}

/// The stretches of a curve as the data of a path.
fn outline(background: &Background<'_>, scale: Scale, curve: &Curve) -> String {
    let mut data = String::new();
    for stretch in &curve.stretches {
        for (number, sample) in stretch.iter().enumerate() {
            let x = share_of(background.window, sample.at) * WIDTH;
            let command = if number == 0 { 'M' } else { 'L' };
            data.push_str(&format!("{command}{x:.0} {:.1}", y(scale, sample.value)));
        }
        if stretch.len() == 1 {
            // A line of no length is a dot.
            data.push_str("h0");
        }
    }
    data
}

/// What a reader hears who does not see the drawing.
fn spoken(plot: &EvidencePlot, scale: Scale) -> String {
    let by_value = |a: &&(i64, f64), b: &&(i64, f64)| a.1.total_cmp(&b.1);
    let written = |point: &(i64, f64)| {
        let at = clock(Timestamp::from_millis(point.0));
        format!("{} at {at}", scale.shown().text(point.1, 0.0))
    };
    let mut words = plot.title();
    for node in &plot.own {
        let ends = node.points.iter().min_by(by_value).zip(node.points.iter().max_by(by_value));
        if let Some((least, most)) = ends {
            let (least, most) = (written(least), written(most));
            words.push_str(&format!("; {}: least {least}, greatest {most}", node.name));
        }
    }
    words
}
