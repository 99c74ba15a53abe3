//! A window of a capture, loaded for judging: everything but samples, and the samples that the
//! timeline and diagnosis read.

use std::cell::OnceCell;
use std::sync::LazyLock;

use super::pd_bodies::PdSource;
use super::recording;
use super::survey::{series_and_survey, survey};
use crate::capture::{CaptureError, CaptureReader};
use crate::diagnose::survey::Survey;
use crate::diagnose::{
    Evidence, LATENCIES, Parts, PdHistory, PdReading, STATEMENT_LATENCIES, STATEMENTS, Verdict,
    WhyNot, diagnose_surveyed, metrics, reads, requested_types, why_not,
};
use crate::model::{
    AsOf, LabelMatcher, LogEvent, MatchOp, PdAnswer, Series, SettingsEvent, TimeRange, Timestamp,
    Told,
};
use crate::pd::ParsedBody;
use crate::timeline::{Evaluation, PdSummary, Recording};

/// One matcher on the metric's name, so that each block is decoded once.
static METRICS: LazyLock<regex::Regex> = LazyLock::new(|| {
    let names = metrics().join("|");
    regex::Regex::new(&format!("^(?:{names})$")).expect("metric names are words")
});

/// Buckets of histograms, most series of all, of which diagnosis reads few.
const BUCKETS: &str = "^.*_bucket$";
/// The bounds of those that are surveyed.
const BOUNDS: &str = "^1(?:[.][0-9]+)?$";

/// Which part of a capture is looked at, and as of which instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The part of the run; [`TimeRange::ALL`] means the whole.
    pub range: TimeRange,
    /// From when it is seen.
    pub as_of: AsOf,
}

impl View {
    /// The whole run, seen from its end.
    pub const WHOLE: Self = Self { range: TimeRange::ALL, as_of: AsOf::END };
}

/// Series that diagnosis reads, inside `range`, ascending by labels.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub fn diagnosis_series(
    reader: &CaptureReader,
    range: TimeRange,
) -> Result<Vec<Series>, CaptureError> {
    let op = MatchOp::Regex(METRICS.clone());
    let matcher = LabelMatcher { name: "__name__".to_owned(), op, value: String::new() };
    let series = reader.select(&[matcher], range)?;
    with_latencies(reader, range, series)
}

/// Adds the buckets that say how long requests took, of the types that clients used: of all types they would be
/// more than all other series together.
fn with_latencies(
    reader: &CaptureReader,
    range: TimeRange,
    mut series: Vec<Series>,
) -> Result<Vec<Series>, CaptureError> {
    let types = requested_types(&series);
    let has_statements = series.iter().any(|one| one.labels.metric() == STATEMENTS);
    let matcher = |name: &str, op, value: &str| LabelMatcher {
        name: name.to_owned(),
        op,
        value: value.to_owned(),
    };
    let mut buckets = Vec::new();
    if !types.is_empty() {
        let types: Vec<String> = types.iter().map(|one| regex::escape(one)).collect();
        let types = format!("^(?:{})$", types.join("|"));
        let types = regex::Regex::new(&types).expect("escaped words");
        let matchers = [
            matcher("__name__", MatchOp::Equal, LATENCIES),
            matcher("type", MatchOp::Regex(types), ""),
        ];
        buckets.extend(reader.select(&matchers, range)?);
    }
    if has_statements {
        let matchers = [matcher("__name__", MatchOp::Equal, STATEMENT_LATENCIES)];
        buckets.extend(reader.select(&matchers, range)?);
    }
    let has_any = |one: &Series| one.samples.iter().any(|sample| sample.value != 0.0);
    series.extend(buckets.into_iter().filter(|one| has_any(one) && reads(&one.labels)));
    series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    Ok(series)
}

/// Series that diagnosis reads or surveys, inside `range`, ascending by labels: what
/// [`diagnosis_series`] returns and some thousands more.
///
/// # Errors
///
/// As [`diagnosis_series`].
pub fn watched_series(
    reader: &CaptureReader,
    range: TimeRange,
) -> Result<Vec<Series>, CaptureError> {
    let op = MatchOp::NotRegex(regex::Regex::new(BUCKETS).expect("a valid pattern"));
    let named = LabelMatcher { name: "__name__".to_owned(), op, value: String::new() };
    let mut series = reader.select(&[named], range)?;
    let matcher = |name: &str, pattern: &str| LabelMatcher {
        name: name.to_owned(),
        op: MatchOp::Regex(regex::Regex::new(pattern).expect("a valid pattern")),
        value: String::new(),
    };
    let bounded = [matcher("__name__", BUCKETS), matcher("le", BOUNDS)];
    series.extend(reader.select(&bounded, range)?);
    series.retain(|one| reads(&one.labels));
    // Some that say how long requests took are surveyed too.
    let mut series = with_latencies(reader, range, series)?;
    series.dedup_by(|a, b| a.labels == b.labels);
    Ok(series)
}

/// A loaded window. PD's answers are read anew for each judgement: a day of a large cluster's do
/// not fit into memory.
pub struct Window<'s> {
    reader: &'s CaptureReader,
    view: View,
    recording: Recording,
    series: Vec<Series>,
    survey: OnceCell<Survey>,
}

/// A window that was judged.
pub struct Judgement {
    /// What broke, and what could not be told.
    pub verdict: Verdict,
    /// What was observed of this cluster, without PD's answers.
    pub recording: Recording,
    /// What PD's answers say, for the timeline.
    pub pd: PdSummary,
}

impl<'s> Window<'s> {
    pub(super) fn load(
        reader: &'s CaptureReader,
        view: View,
        told: &Told,
    ) -> Result<Self, CaptureError> {
        Self::load_by(reader, view, told, |recording| {
            series_and_survey(reader, recording.window, &recording.series)
        })
    }

    /// As [`load`](Self::load), for whoever asks for no verdict: nothing is surveyed unless it is needed after all.
    pub(super) fn load_unjudged(
        reader: &'s CaptureReader,
        view: View,
        told: &Told,
    ) -> Result<Self, CaptureError> {
        Self::load_by(reader, view, told, |recording| {
            Ok((diagnosis_series(reader, recording.window)?, None))
        })
    }

    fn load_by(
        reader: &'s CaptureReader,
        view: View,
        told: &Told,
        read: impl FnOnce(&Recording) -> Result<(Vec<Series>, Option<Survey>), CaptureError>,
    ) -> Result<Self, CaptureError> {
        let mut recording = recording::load(reader, view.range)?;
        recording.meta.told = told.clone().or(std::mem::take(&mut recording.meta.told));
        let (series, survey) = read(&recording)?;
        recording::note_damage(&mut recording, reader)?;
        let survey = survey.map_or_else(OnceCell::new, OnceCell::from);
        Ok(Self { reader, view, recording, series, survey })
    }

    /// What was observed, without PD's answers.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// The end of the window, half-open: the latest instant that can be judged.
    pub fn end(&self) -> Timestamp {
        self.recording.window.end
    }

    /// PD's answers, read from the capture as they are needed.
    pub fn pd(&self) -> PdSource<'_> {
        self.pd_as_of(self.view.as_of)
    }

    fn pd_as_of(&self, as_of: AsOf) -> PdSource<'_> {
        PdSource::Stored { reader: self.reader, range: self.recording.window, as_of }
    }

    /// The instant that a judgement of the view is about: no later than the end of the window.
    fn judged_at(&self) -> Timestamp {
        self.view.as_of.instant().min(self.end())
    }

    /// The evidence as known at `at`, whatever the view says, without a survey.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where PD's answers cannot be read.
    pub fn evidence_as_of(&self, at: Timestamp) -> Result<Evidence, CaptureError> {
        let source = self.pd_as_of(AsOf::new(at));
        let history = history(source, Evaluation::Sequential, at, |_, _| {})?;
        Ok(evidence(&self.recording, history, self.series.clone(), at))
    }

    /// The evidence of everything in the window, without a survey.
    ///
    /// # Errors
    ///
    /// As [`evidence_as_of`](Self::evidence_as_of).
    pub fn evidence(&self) -> Result<Evidence, CaptureError> {
        self.evidence_as_of(self.end())
    }

    /// The verdict as of `at`, whatever the view says, with all the evidence that it is made of.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read.
    pub fn judged_as_of(&self, at: Timestamp) -> Result<(Evidence, Verdict), CaptureError> {
        let evidence = self.evidence_as_of(at)?;
        let verdict = diagnose_surveyed(&evidence, || self.survey())?;
        Ok((evidence, verdict))
    }

    /// The survey of the window, which is read once.
    fn survey(&self) -> Result<Survey, CaptureError> {
        if let Some(known) = self.survey.get() {
            return Ok(known.clone());
        }
        let found = survey(self.reader, self.recording.window, &self.recording.series)?;
        Ok(self.survey.get_or_init(|| found).clone())
    }

    /// The verdict on everything in the window.
    ///
    /// # Errors
    ///
    /// As [`evidence_as_of`](Self::evidence_as_of).
    pub fn verdict(&self) -> Result<Verdict, CaptureError> {
        Ok(self.judged_as_of(self.end())?.1)
    }

    /// What became of one failure mode in the verdict of the view; `None` where there is no such mode.
    ///
    /// # Errors
    ///
    /// As [`judge`](Self::judge).
    pub fn why_not(&self, mode: &str) -> Result<Option<WhyNot>, CaptureError> {
        Ok(why_not(&self.judged_as_of(self.judged_at())?.0, mode))
    }

    /// Judges the view, and reads PD's answers once for the verdict and for the timeline.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where PD's answers cannot be read.
    pub fn judge(self) -> Result<Judgement, CaptureError> {
        Ok(self.judge_with_evidence()?.0)
    }

    /// As [`judge`](Self::judge), with the evidence that the verdict rests on, for whoever draws it.
    ///
    /// # Errors
    ///
    /// As [`judge`](Self::judge).
    pub fn judge_with_evidence(mut self) -> Result<(Judgement, Evidence), CaptureError> {
        let at = self.judged_at();
        let mut pd = PdSummary::default();
        let summarise = |answer: &PdAnswer, body: &ParsedBody| pd.observe(answer, body);
        let history = history(self.pd(), Evaluation::Sequential, at, summarise)?;
        let series = std::mem::take(&mut self.series);
        let evidence = evidence(&self.recording, history, series, at);
        let verdict = diagnose_surveyed(&evidence, || self.survey())?;
        let mut recording = self.recording;
        // Another cluster's targets, and what replicas recorded twice, are no news of this one.
        let ours = evidence.nodes.finder();
        recording.series.retain(|series| ours.has(&series.labels));
        Ok((Judgement { verdict, recording, pd }, evidence))
    }

    /// The verdict of the view with everything in another order of arrival, which must be the same.
    ///
    /// # Errors
    ///
    /// As [`judge`](Self::judge).
    pub fn verdict_out_of_order(&self) -> Result<Verdict, CaptureError> {
        let at = self.judged_at();
        let disordered = Evaluation::Shuffled { seed: 1, threads: 1 };
        let history = history(self.pd(), disordered, at, |_, _| {})?;
        let series = self.series.iter().rev().cloned().collect();
        let gaps = self.recording.gaps.iter().rev().cloned().collect();
        let recording = Recording { gaps, ..self.recording.clone() };
        diagnose_surveyed(&evidence(&recording, history, series, at), || self.survey())
    }

    /// What damage has cost the capture, in a line; `None` where it is whole.
    pub fn damage(&self) -> Option<String> {
        self.recording.loss.as_ref().map(|loss| format!("damaged: {loss}"))
    }
}

/// What PD's answers up to `at` say, for diagnosis. `also` sees every answer of the source, so that
/// each body is read once.
fn history(
    source: PdSource<'_>,
    evaluation: Evaluation,
    at: Timestamp,
    mut also: impl FnMut(&PdAnswer, &ParsedBody),
) -> Result<PdHistory, CaptureError> {
    let known = AsOf::new(at);
    let mut history = PdReading::default();
    source.for_each(evaluation, |answer, body| {
        also(answer, body);
        if known.knows_answer(answer) {
            history.observe(answer, body.as_ref().ok().and_then(Option::as_ref));
        }
    })?;
    Ok(history.finish())
}

fn evidence(
    recording: &Recording,
    history: PdHistory,
    series: Vec<Series>,
    as_of: Timestamp,
) -> Evidence {
    let parts = Parts {
        series,
        pd: &[],
        gaps: &recording.gaps,
        unreadable: &recording.unreadable,
        loss: recording.loss.as_ref(),
        logs: recording.events.iter().filter_map(LogEvent::of_event).collect(),
        settings: recording.events.iter().filter_map(SettingsEvent::of_event).collect(),
        clock_offsets: &recording.meta.clock_offsets,
        told: recording.meta.told.clone(),
        scraped_by: recording.meta.scraped_by(),
    };
    Evidence::with_history(recording.window, as_of, history, parts)
}
