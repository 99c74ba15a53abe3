//! The report of a run as a value: the replay with its verdict, and the curves of the evidence.
//!
//! Its forms as bytes are in `html`, in `markdown` and in [`replay_json`](super::replay_json).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::diagnosed::Diagnosed;
use super::replay_report::report_of;
use crate::capture::CaptureError;
use crate::diagnose::{Evidence, Finding, Plot, PlotHow, Verdict, draw};
use crate::model::{Gap, Source};
use crate::session::{Judgement, Session, Window};
use crate::timeline::Evaluation;

/// The version of the JSON of a [`RunReport`].
pub const REPORT_SCHEMA: &str = "operator.report/1";

/// The most peers that are drawn beside the node of a finding.
const PEERS: usize = 8;
/// The most quantities that are drawn; those of causes come first.
const PLOTS: usize = 60;

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// The version of this JSON, [`REPORT_SCHEMA`].
    pub schema: &'static str,
    /// The timeline, the state of the cluster, and the verdict.
    pub replay: Diagnosed,
    /// The curves of the evidence, those of causes first.
    pub plots: Vec<EvidencePlot>,
    /// The number of quantities that are not drawn, since there are too many.
    pub plots_left_out: usize,
}

/// A quantity that shows findings: of their nodes, and of the peers of these.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvidencePlot {
    /// The findings that it shows, such as `F3`, in the order in which they are shown.
    pub findings: Vec<String>,
    /// The metric; where `how` is a mean, the histogram's name without `_sum` and `_count`.
    pub metric: String,
    /// How samples become values.
    pub how: PlotHow,
    /// Name and value of one more label of the series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<(String, String)>,
    /// The curves of the findings' nodes; at least one.
    pub own: Vec<NodeCurve>,
    /// The same quantity of their peers: of other stores, or of other members.
    pub peers: Vec<NodeCurve>,
    /// The number of peers that are not drawn.
    pub peers_left_out: usize,
}

/// A quantity of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeCurve {
    /// What the node is called.
    pub name: String,
    /// The `instance` of its samples, or what PD calls it.
    pub instance: String,
    /// Milliseconds since the Unix epoch and the value, ascending in time; no value is NaN or infinite.
    pub points: Vec<(i64, f64)>,
}

impl EvidencePlot {
    /// Whether values of its first node are missing where this gap is.
    pub(super) fn misses(&self, gap: &Gap) -> bool {
        match (&gap.source, self.how) {
            (Source::Prometheus, how) => how != PlotHow::Pd,
            // What PD says of a store comes from any member, so only a member's own answers miss with it.
            (Source::PdMember(name), PlotHow::Pd) => {
                self.own.first().is_some_and(|own| own.instance == *name)
            }
            (Source::PdMember(_), _) => false,
            (Source::Recorder, _) => true,
        }
    }

    /// The quantity in words, and the node where there is only one.
    pub(super) fn title(&self) -> String {
        let of = match self.own.as_slice() {
            [one] => format!(" of {}", one.name),
            _ => String::new(),
        };
        let label = self.label.as_ref();
        let label = label.map_or_else(String::new, |(name, value)| format!(" {name}={value}"));
        match self.how {
            PlotHow::Pd => format!("PD {}{of}", self.metric),
            PlotHow::Gauge => format!("{}{of}{label}", self.metric),
            PlotHow::Rate => format!("{}{of}{label}, a second", self.metric),
            PlotHow::Mean => format!("{}{of}{label}, mean", self.metric),
            PlotHow::Slow => format!("{}{of}{label}, slow ones a second", self.metric),
            PlotHow::SlowShare => format!("{}{of}{label}, share of slow ones", self.metric),
        }
    }
}

/// Judges a window of the session and draws its evidence.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn run_report(window: Window<'_>, session: &Session) -> Result<RunReport, CaptureError> {
    let (judgement, evidence) = window.judge_with_evidence()?;
    let Judgement { verdict, recording, pd } = judgement;
    let reader = session.reader();
    let digest = reader.digest()?;
    let damage = [reader.damage(), reader.damage_before()].concat();
    let mut report = report_of(&recording, pd, &damage, &digest, Evaluation::Sequential);
    report.recorded_digest = Some(reader.recorded_digest()?).filter(|recorded| *recorded != digest);
    let (plots, plots_left_out) = plots(&evidence, &verdict);
    let alerts = session.unexplained_alerts(&verdict, &evidence)?;
    let replay = Diagnosed::new(report, verdict, alerts);
    Ok(RunReport { schema: REPORT_SCHEMA, replay, plots, plots_left_out })
}

/// Findings in the order in which they are shown: those of causes, of changes, then the others.
pub(super) fn findings_in_order(verdict: &Verdict) -> Vec<&Finding> {
    let reasons = verdict.causes.iter().chain(&verdict.changes).flat_map(|cause| &cause.evidence);
    let mut placed = BTreeSet::new();
    let by_id: BTreeMap<&str, &Finding> =
        verdict.findings.iter().map(|finding| (finding.id.as_str(), finding)).collect();
    let cited = reasons.filter_map(|reason| by_id.get(reason.finding.as_str()).copied());
    let all = cited.chain(&verdict.findings);
    all.filter(|finding| placed.insert(finding.id.as_str())).collect()
}

/// A quantity of whichever node.
type Quantity<'a> = (&'a str, PlotHow, Option<&'a (String, String)>);

/// The curves of all findings, each once, and the number of quantities that are left out.
fn plots(evidence: &Evidence, verdict: &Verdict) -> (Vec<EvidencePlot>, usize) {
    let nodes = NodeNames::of(evidence);
    let (mut drawn, mut plots, mut left_out) = (BTreeMap::new(), Vec::<EvidencePlot>::new(), 0);
    for finding in findings_in_order(verdict) {
        let mut quantities: BTreeMap<Quantity<'_>, BTreeSet<&str>> = BTreeMap::new();
        for plot in &finding.plot {
            let quantity = (plot.metric.as_str(), plot.how, plot.label.as_ref());
            quantities.entry(quantity).or_default().insert(&plot.instance);
        }
        for key in quantities {
            if let Some(place) = drawn.get(&key) {
                let shown: &mut EvidencePlot = &mut plots[*place];
                shown.findings.push(finding.id.clone());
            } else if plots.len() == PLOTS {
                left_out += 1;
            } else if let Some(plot) = evidence_plot(evidence, &nodes, finding, &key) {
                drawn.insert(key, plots.len());
                plots.push(plot);
            }
        }
    }
    (plots, left_out)
}

/// A quantity of these nodes and of their peers; `None` where nothing was observed of it.
fn evidence_plot(
    evidence: &Evidence,
    nodes: &NodeNames,
    finding: &Finding,
    ((metric, how, label), instances): &(Quantity<'_>, BTreeSet<&str>),
) -> Option<EvidencePlot> {
    let curve = |instance: &str, name: &str| {
        let (metric, instance, label) = (metric.to_string(), instance.to_owned(), label.cloned());
        let plot = Plot { metric, how: *how, instance: instance.clone(), label };
        // `draw` takes the quantities of a finding, and this one has no others.
        let points = draw(evidence, &Finding { plot: vec![plot], ..finding.clone() }).pop()?.points;
        (!points.is_empty()).then(|| NodeCurve { name: name.to_owned(), instance, points })
    };
    let first = instances.first()?;
    let group = nodes.group(*how, first);
    let name = |instance: &str| {
        let known = group.iter().find(|(known, _)| known == instance);
        known.map_or_else(|| instance.to_owned(), |(_, name)| name.clone())
    };
    let own: Vec<NodeCurve> =
        instances.iter().filter_map(|instance| curve(instance, &name(instance))).collect();
    let others = group.iter().filter(|(instance, _)| !instances.contains(instance.as_str()));
    let mut peers: Vec<NodeCurve> =
        others.filter_map(|(instance, name)| curve(instance, name)).collect();
    let peers_left_out = peers.len().saturating_sub(PEERS);
    peers.truncate(PEERS);
    (!own.is_empty()).then(|| EvidencePlot {
        findings: vec![finding.id.clone()],
        metric: metric.to_string(),
        how: *how,
        label: label.cloned(),
        own,
        peers,
        peers_left_out,
    })
}

/// The nodes by what a [`Plot`] calls them, with their names: stores and members apart, as PD's answers and
/// as scrape targets.
struct NodeNames {
    groups: [Vec<(String, String)>; 4],
}

impl NodeNames {
    fn of(evidence: &Evidence) -> Self {
        let nodes = &evidence.nodes;
        let scraped = |instance: &Option<String>, name: String| Some((instance.clone()?, name));
        let stores = nodes.stores.iter();
        let members = nodes.members.iter();
        Self {
            groups: [
                stores.clone().filter_map(|s| Some((s.id?.0.to_string(), s.name()))).collect(),
                members.clone().map(|m| (m.name.clone(), m.name.clone())).collect(),
                stores.filter_map(|s| scraped(&s.instance, s.name())).collect(),
                members.filter_map(|m| scraped(&m.instance, m.name.clone())).collect(),
            ],
        }
    }

    /// The nodes of one kind among which one is called `instance`; empty where none is.
    fn group(&self, how: PlotHow, instance: &str) -> &[(String, String)] {
        let groups = match how {
            PlotHow::Pd => &self.groups[..2],
            _ => &self.groups[2..],
        };
        let has = |group: &&Vec<(String, String)>| group.iter().any(|(known, _)| known == instance);
        groups.iter().find(has).map_or(&[], Vec::as_slice)
    }
}
