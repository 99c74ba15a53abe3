//! A run as it is loaded and judged.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use operator::capture::{CaptureError, CaptureReader};
use operator::diagnose::survey::Survey;
use operator::diagnose::{Evidence, Parts, Verdict, diagnose_surveyed, named};
use operator::model::{Gap, PdAnswer, Series, TimeRange, Timestamp};
use operator::session::{Session, diagnosis_series, watched_series};

/// Where `data/<name>.capture` is.
pub fn bundled(name: &str) -> PathBuf {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../data");
    Path::new(data).join(format!("{name}.capture"))
}

/// Opens `data/<name>.capture` unchanged, to be judged as the program does.
pub fn session(name: &str) -> Session {
    Session::open(&bundled(name)).expect("the bundled capture opens")
}

/// A run that can be changed, as far as diagnosis reads it.
#[derive(Clone)]
pub struct Run {
    /// What the capture covers.
    pub window: TimeRange,
    /// The series that diagnosis reads, ascending by labels.
    pub series: Vec<Series>,
    /// PD's answers, ascending by the instant they were asked for.
    pub pd: Vec<PdAnswer>,
    /// The gaps of every source.
    pub gaps: Vec<Gap>,
}

/// Selects the series of a run.
type Select = fn(&CaptureReader, TimeRange) -> Result<Vec<Series>, CaptureError>;

impl Run {
    /// Loads `data/<name>.capture`, with the metrics that failure modes read.
    pub fn load(name: &str) -> Self {
        static LOADED: Mutex<BTreeMap<String, Run>> = Mutex::new(BTreeMap::new());
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || Self::with(&bundled(name), diagnosis_series);
        loaded.entry(name.to_owned()).or_insert_with(open).clone()
    }

    /// The two minutes before the injection in a run, repeated four times: eight minutes without a fault.
    pub fn before(name: &str, injected_ms: i64) -> Self {
        let mut run = Self::load(name);
        let injected = (injected_ms - run.window.start.as_millis()) / 1000;
        run.cut(run.range(injected - 125, injected - 5));
        run.repeat(4);
        run
    }

    /// Loads any capture, with everything that diagnosis reads or surveys.
    pub fn open(path: &Path) -> Self {
        Self::with(path, watched_series)
    }

    /// Loads any capture with every series but the buckets of histograms, whether diagnosis reads it or not.
    pub fn open_whole(path: &Path) -> Self {
        Self::with(path, |reader, range| {
            let mut series = reader.select(&[], range)?;
            series.retain(|one| !one.labels.metric().ends_with("_bucket"));
            Ok(series)
        })
    }

    /// Loads any capture with all that it holds.
    pub fn open_all(path: &Path) -> Self {
        Self::with(path, |reader, range| reader.select(&[], range))
    }

    fn with(path: &Path, select: Select) -> Self {
        let session = Session::open(path).expect("the capture opens");
        let (reader, window) = (session.reader(), session.window());
        Self {
            window,
            series: select(reader, window).expect("samples read"),
            pd: reader.pd_answers(window).expect("answers read"),
            gaps: reader.gaps().expect("gaps read"),
        }
    }

    /// The verdict on the whole, as it was changed.
    pub fn verdict(&self) -> Verdict {
        self.verdict_at(self.window.end)
    }

    /// The verdict on the changed run as of an instant.
    pub fn verdict_at(&self, as_of: Timestamp) -> Verdict {
        self.judged_at(as_of).1
    }

    /// As [`verdict_at`](Self::verdict_at), with the evidence that it is made of.
    pub fn judged_at(&self, as_of: Timestamp) -> (Evidence, Verdict) {
        let parts = Parts {
            series: named(&self.series),
            pd: &self.pd,
            gaps: &self.gaps,
            ..Parts::default()
        };
        let evidence = Evidence::new(self.window, as_of, parts);
        let survey = || Ok::<_, Infallible>(Survey::of(&self.series, self.window));
        let Ok(verdict) = diagnose_surveyed(&evidence, survey);
        (evidence, verdict)
    }

    /// The instant `seconds` after the start of the window.
    pub fn at(&self, seconds: i64) -> Timestamp {
        self.window.start.saturating_add_millis(seconds * 1000)
    }

    /// The range between two instants, in seconds after the start of the window.
    pub fn range(&self, from: i64, to: i64) -> TimeRange {
        TimeRange::new(self.at(from), self.at(to))
    }
}
