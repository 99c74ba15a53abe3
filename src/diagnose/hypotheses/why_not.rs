//! What became of one failure mode in a judgement: what it needs, what of that was recorded, and what it
//! claimed.

use serde::Serialize;

use crate::diagnose::blind_spots::{is_missing, named};
use crate::diagnose::evidence::Evidence;
use crate::diagnose::failure_modes::ALL;
use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::judge::{diagnose, hypotheses};
use crate::diagnose::hypotheses::mode::{Advice, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::ranking::{Hypothesis, Role};
use crate::diagnose::hypotheses::readings::readings;
use crate::diagnose::observations::{Nearest, Outage};
use crate::model::Timestamp;

/// What became of one failure mode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WhyNot {
    /// The name of the mode.
    pub mode: &'static str,
    /// What it means, in a clause.
    pub says: &'static str,
    /// The most confidence that a claim of it has, from 0 to 1.
    pub surest: f64,
    /// What a person does about it.
    pub advice: Advice,
    /// The sources that it needs, in the order of its declaration.
    pub needs: Vec<NeededSource>,
    /// The metrics that it reads, ascending by name.
    pub metrics: Vec<ReadMetric>,
    /// What the observations that it needs came to, beside their thresholds. Empty where it looks at events alone.
    pub readings: Vec<Nearest>,
    /// Stores whose metrics it reads and of which scrapes failed: what they showed meanwhile is unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<UnseenStore>,
    /// What it claimed, in the order of the verdict; empty where nothing crossed its thresholds.
    pub claims: Vec<ClaimFate>,
    /// What tells it from the first cause of the verdict, where it looks like that and claims nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<String>,
}

/// A source that a mode needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeededSource {
    /// What it is, in words.
    pub name: &'static str,
    /// Whether it was recorded.
    pub recorded: bool,
    /// The command that records it.
    pub command: &'static str,
}

/// A time in which a store could not be scraped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnseenStore {
    /// The name of the store.
    pub target: String,
    /// The first scrape that failed.
    pub start_ms: Timestamp,
    /// The next one that did not; absent where there was none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<Timestamp>,
}

/// A metric that a mode reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadMetric {
    /// Its name.
    pub name: &'static str,
    /// How many series of it were recorded of this cluster; a mode may read others in its place where there
    /// are none.
    pub series: usize,
}

/// What became of one claim of the mode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClaimFate {
    /// The node, link or workload that it is about.
    pub target: Target,
    /// When it began.
    pub onset_ms: Timestamp,
    /// From 0 to 1, in hundredths.
    pub confidence: f64,
    /// What became of it, in a clause.
    pub fate: String,
    /// The sentences of the findings that speak for it.
    pub evidence: Vec<String>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// What would have to be observed to decide it; absent where nothing is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// What became of the mode of this name; `None` where there is no such mode.
pub fn why_not(evidence: &Evidence, name: &str) -> Option<WhyNot> {
    let mode = ALL.iter().find(|mode| mode.name == name)?;
    let mut observed = ObservedWindow::new(evidence);
    let all = hypotheses(&mut observed, ALL);
    let needs = mode.needs.iter().map(|need| {
        let (name, command) = named(*need);
        NeededSource { name, recorded: !is_missing(evidence, *need), command }
    });
    let mut metrics: Vec<ReadMetric> = mode
        .metrics
        .iter()
        .map(|name| ReadMetric { name, series: evidence.series.metric(name).len() })
        .collect();
    metrics.sort_by_key(|metric| metric.name);
    let own = all.iter().filter(|one| one.mode.name == mode.name);
    let claims: Vec<ClaimFate> = own.map(|one| fate(&observed, &all, one)).collect();
    let alternatives = match claims.is_empty() {
        true => diagnose(evidence).alternatives,
        false => Vec::new(),
    };
    let apart = alternatives.into_iter().filter(|one| one.mode == mode.name).map(|one| one.lost);
    Some(WhyNot {
        mode: mode.name,
        says: mode.says,
        surest: mode.surest,
        advice: mode.advice,
        needs: needs.collect(),
        metrics,
        readings: readings(&mut observed, mode),
        unseen: if mode.needs.contains(&Need::TikvMetrics) {
            unseen(&observed)
        } else {
            Vec::new()
        },
        claims,
        apart: apart.collect(),
    })
}

/// The stores of which scrapes failed, ascending in time.
fn unseen(observed: &ObservedWindow<'_>) -> Vec<UnseenStore> {
    let of = |outage: &Outage| {
        let silence = &outage.scrapes.as_ref()?.silence;
        let target = observed.evidence.nodes.stores[outage.store].name();
        Some(UnseenStore { target, start_ms: silence.missed, end_ms: silence.next })
    };
    let mut all: Vec<UnseenStore> = observed.outages.iter().filter_map(of).collect();
    all.sort_by(|a, b| (a.start_ms, &a.target).cmp(&(b.start_ms, &b.target)));
    all
}

fn fate(
    observed: &ObservedWindow<'_>,
    all: &[Hypothesis<'_>],
    hypothesis: &Hypothesis<'_>,
) -> ClaimFate {
    let claim = &hypothesis.claim;
    let texts = claim.evidence.iter().map(|one| observed.findings.get(*one).text.clone());
    ClaimFate {
        target: claim.target.clone(),
        onset_ms: claim.onset,
        confidence: (claim.confidence.max(0.0) * 100.0).round() / 100.0,
        fate: match &hypothesis.role {
            Role::Stands => "it stands in the verdict".to_owned(),
            Role::Follows(cause) => {
                let cause = &all[*cause];
                format!("it follows from {} of {}", cause.mode.name, cause.claim.target.text())
            }
            Role::Discarded(why) => format!("it was discarded: {why}"),
        },
        evidence: texts.collect(),
        against: claim.against.clone(),
        missing: claim.depends_on.as_ref().map(|one| one.what.clone()),
    }
}
