//! The values to plot for a finding: the samples that it is made of.
//!
//! Drawing them as a picture is left to the reports.

use serde::Serialize;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{Finding, Plot, PlotHow};
use crate::diagnose::observations::has_one_of;
use crate::diagnose::observations::tracks::Track;
use crate::diagnose::survey::{Quantity, Reading};
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
        plot.label.as_ref().is_none_or(|(name, values)| has_one_of(labels, (name, values)))
    };
    // What diagnosis does not load is drawn as it was surveyed.
    let track: Track = match (plot.how, surveyed(evidence, plot)) {
        (PlotHow::Pd, _) => evidence.pd.track(&plot.metric, &plot.instance),
        (_, Some(quantity)) => evidence.survey().track(quantity),
        (PlotHow::Gauge, None) => table.gauge(&plot.metric, &plot.instance, keep),
        (PlotHow::Rate, None) => table.rate(&plot.metric, &plot.instance, keep),
        (PlotHow::Mean, None) => table.mean(&plot.metric, &plot.instance, 1.0, keep),
        (PlotHow::Slow | PlotHow::SlowShare, None) => Track::default(),
    };
    let points = track.0.iter().filter(|point| point.value.is_finite());
    Drawn {
        plot: plot.clone(),
        points: points.map(|point| (point.at.as_millis(), point.value)).collect(),
    }
}

/// The quantity of the survey that a plot shows; `None` where the samples themselves are known.
fn surveyed<'a>(evidence: &'a Evidence, plot: &Plot) -> Option<&'a Quantity> {
    let table = &evidence.series;
    let is_slow = matches!(plot.how, PlotHow::Slow | PlotHow::SlowShare);
    let is_known = table.has(&plot.metric) || table.has(&format!("{}_count", plot.metric));
    if is_known && !is_slow {
        return None;
    }
    let target = evidence.nodes.targets.iter().find(|target| target.name == plot.instance)?;
    evidence.survey().target(&target.labels)?.iter().find(|quantity| {
        let how = PlotHow::from(quantity.reading);
        quantity.metric == plot.metric && quantity.label == plot.label && how == plot.how
    })
}

impl From<Reading> for PlotHow {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Level => Self::Gauge,
            Reading::Rate => Self::Rate,
            Reading::Mean => Self::Mean,
            Reading::Unsuccessful => Self::Rate,
            Reading::Slow => Self::Slow,
            Reading::SlowShare => Self::SlowShare,
        }
    }
}
