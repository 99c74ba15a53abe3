//! Checks the readings that findings cite against the capture: each names a sample, or an answer of PD, that
//! is there, or an expression with that value.
//!
//! Medians over a stretch of time and the like are counted and not checked.

use serde::Serialize;

use crate::capture::{CaptureError, CaptureReader, PdOrder, PdVisit};
use crate::diagnose::{Citation, Finding, number};
use crate::model::{LabelMatcher, PdAnswer, PdOutcome, TimeRange, Timestamp, is_stale};
use crate::pd::short_path;
use crate::promql::{
    Dialect, Engine, EngineOptions, Expression, MatcherCache, Value, parse_selector,
};
use crate::session::CaptureStorage;

/// What a check of citations found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CitationCheck {
    /// How many citations were looked up in the capture.
    pub checked: usize,
    /// How many of these are expressions that were evaluated once more, as PromQL.
    pub evaluated: usize,
    /// How many further ones were computed of several samples in another way, as their reference says.
    pub computed: usize,
    /// Those that the capture does not hold.
    pub disagreeing: Vec<Disagreeing>,
}

/// A citation that the capture does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disagreeing {
    /// The id of the finding that cites it.
    pub finding: String,
    /// What is cited.
    #[serde(flatten)]
    pub citation: Citation,
    /// What the capture holds instead, in words.
    pub held: String,
}

/// Looks up every reading that the findings cite.
///
/// A citation of a series agrees where a sample of that series, or the sum of all samples that it selects,
/// has the cited value at the cited instant; where the value is no number, a sample is enough. One of an expression
/// agrees where it has the cited value then. Diagnosis computes with the samples of one cluster and one replica, of
/// which a recording may hold several; an expression with another value over all of them counts as computed. A
/// citation of PD agrees where a request to that path was sent, or answered, at that instant.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn check_citations(
    reader: &CaptureReader,
    findings: &[Finding],
) -> Result<CitationCheck, CaptureError> {
    let mut check = CitationCheck::default();
    let storage = CaptureStorage::new(reader);
    let engine = Engine::new(EngineOptions::new(storage.dialect()));
    let compiled = MatcherCache::default();
    let mut of_pd: Vec<(&Finding, &Citation)> = Vec::new();
    let cited = findings.iter().flat_map(|one| one.citations.iter().map(move |of| (one, of)));
    for (finding, citation) in cited {
        if citation.reference.starts_with(PD) {
            of_pd.push((finding, citation));
        } else if let Ok(selector) = parse_selector(&citation.reference) {
            check.checked += 1;
            let matchers = compiled.matchers(&selector.matchers, Dialect::V3);
            // A regular expression that is none selects nothing.
            let held = match matchers {
                Ok(matchers) => values_at(reader, &matchers, citation.at_ms)?,
                Err(_) => Vec::new(),
            };
            if !are_cited(&held, &citation.value) {
                check.disagreeing.push(disagreeing(finding, citation, told(&held)));
            }
        } else if has_value(&storage, &engine, citation) {
            check.checked += 1;
            check.evaluated += 1;
        } else {
            check.computed += 1;
        }
    }
    check.checked += of_pd.len();
    for (finding, citation) in unanswered(reader, of_pd)? {
        let held = "no such request at that instant".to_owned();
        check.disagreeing.push(disagreeing(finding, citation, held));
    }
    Ok(check)
}

/// What references to PD's answers begin with.
const PD: &str = "PD ";

/// Whether what is cited is an expression that has the cited value, or one of several, at the cited instant.
fn has_value(storage: &CaptureStorage<'_>, engine: &Engine, citation: &Citation) -> bool {
    let Ok(expression) = Expression::parse(&citation.reference) else { return false };
    let Ok(answer) = engine.instant(&expression, storage, citation.at_ms) else { return false };
    let is_cited = |value: f64| number(value) == citation.value;
    match answer.value {
        Value::Scalar(sample) => is_cited(sample.value),
        Value::Vector(samples) => samples.iter().any(|one| is_cited(one.sample.value)),
        _ => false,
    }
}

fn disagreeing(finding: &Finding, citation: &Citation, held: String) -> Disagreeing {
    Disagreeing { finding: finding.id.clone(), citation: citation.clone(), held }
}

/// The values of all selected series at one instant.
fn values_at(
    reader: &CaptureReader,
    matchers: &[LabelMatcher],
    at: Timestamp,
) -> Result<Vec<f64>, CaptureError> {
    let range = TimeRange::new(at, at.saturating_add_millis(1));
    let series = reader.select(matchers, range)?;
    let samples = series.iter().flat_map(|one| &one.samples);
    Ok(samples.map(|sample| sample.value).filter(|value| !is_stale(*value)).collect())
}

/// Whether values are what is cited, which is rounded for a person.
fn are_cited(held: &[f64], cited: &str) -> bool {
    let Ok(exact) = cited.parse::<f64>() else { return !held.is_empty() };
    let sum: f64 = held.iter().sum();
    let is_cited = |value: &f64| *value == exact || number(*value) == cited;
    held.iter().any(is_cited) || (!held.is_empty() && is_cited(&sum))
}

fn told(held: &[f64]) -> String {
    match held {
        [] => "no sample at that instant".to_owned(),
        values => values.iter().map(f64::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// The citations of PD at whose instant no such request was sent or answered.
fn unanswered<'f>(
    reader: &CaptureReader,
    mut cited: Vec<(&'f Finding, &'f Citation)>,
) -> Result<Vec<(&'f Finding, &'f Citation)>, CaptureError> {
    if cited.is_empty() {
        return Ok(cited);
    }
    let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Observed, shuffle_seed: None };
    reader.visit_pd_answers(visit, |answer| {
        cited.retain(|(_, citation)| !is_of(citation, &answer));
        Ok(())
    })?;
    Ok(cited)
}

/// Whether an answer is what a citation names: `PD pd0 /status start_timestamp` is one of `pd0`, and one
/// without a member of any.
fn is_of(citation: &Citation, answer: &PdAnswer) -> bool {
    if citation.at_ms != answer.observed() && citation.at_ms != answer.sent {
        return false;
    }
    let reference = citation.reference.strip_prefix(PD).unwrap_or_default();
    let Some(slash) = reference.find('/') else { return false };
    let (member, path) = reference.split_at(slash);
    let path = path.split(' ').next().unwrap_or_default();
    let whole = short_path(&answer.path);
    let route = whole.split('?').next().unwrap_or_default();
    let below = route.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    // A failed request of any path shows that the member did not answer a `/ping` either.
    let is_silent = path == "/ping" && matches!(answer.outcome, PdOutcome::Failed { .. });
    (member.is_empty() || member.trim_end() == answer.member)
        && (path == whole || path == route || below || is_silent)
}
