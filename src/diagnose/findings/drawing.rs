//! The values to plot for a finding: the samples that it is made of.
//!
//! Drawing them as a picture is left to the reports.

use serde::Serialize;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{Finding, Plot, PlotHow};
use crate::diagnose::observations::tracks::Track;
use crate::model::Labels;

/// A quantity that shows a finding, with its values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drawn {
    /// The quantity, and how samples become its values.
    pub plot: Plot,
    /// Milliseconds since the Unix epoch and the value, ascending in time; no value is NaN or infinite.
    pub points: Vec<(i64, f64)>,
}

/// The quantities of a finding with their values in the window, sorted, each once.
pub fn draw(evidence: &Evidence, finding: &Finding) -> Vec<Drawn> {
    let mut plots: Vec<&Plot> = finding.plot.iter().collect();
    plots.sort();
    plots.dedup();
    plots.into_iter().map(|plot| drawn(evidence, plot)).collect()
}

fn drawn(evidence: &Evidence, plot: &Plot) -> Drawn {
    let table = &evidence.series;
    let keep = |labels: &Labels| {
        plot.label.as_ref().is_none_or(|(name, value)| labels.get(name) == Some(value))
    };
    let track: Track = match plot.how {
        PlotHow::Gauge => table.gauge(&plot.metric, &plot.instance, keep),
        PlotHow::Rate => table.rate(&plot.metric, &plot.instance, keep),
        PlotHow::Mean => table.mean(&plot.metric, &plot.instance, 1.0, keep),
        PlotHow::Pd => evidence.pd.track(&plot.metric, &plot.instance),
    };
    // What diagnosis does not load is drawn as it was surveyed.
    let track = match plot.how {
        PlotHow::Pd => track,
        _ if table.has(&plot.metric) || table.has(&format!("{}_count", plot.metric)) => track,
        _ => evidence.survey.drawn(&plot.metric, plot.label.as_ref(), &plot.instance),
    };
    let points = track.0.iter().filter(|point| point.value.is_finite());
    Drawn {
        plot: plot.clone(),
        points: points.map(|point| (point.at.as_millis(), point.value)).collect(),
    }
}
