//! An open capture, and what can be asked of it.

use std::path::Path;

use super::alerts::{CriticalAlerts, critical_alerts};
use super::capture_storage::CaptureStorage;
use super::window::{View, Window};
use crate::capture::{CaptureError, CaptureReader, is_unsealed};
use crate::diagnose::{Evidence, HORIZON_MS, Verdict, unexplained_alerts};
use crate::model::{AsOf, TimeRange, Timestamp, Told};

/// An open capture.
///
/// # Examples
///
/// ```
/// use operator::session::Session;
///
/// let session = Session::open("data/chaos-02.capture".as_ref())?;
/// let verdict = session.verdict()?;
/// let cause = &verdict.causes[0];
/// assert_eq!(cause.mode, "store_crash");
/// assert_eq!(cause.target.name, "store 4");
/// // Four minutes into the run nothing was broken yet.
/// let before = session.verdict_as_of(session.window().start + 180_000)?;
/// assert!(before.causes.is_empty());
/// # Ok::<(), operator::capture::CaptureError>(())
/// ```
pub struct Session {
    reader: CaptureReader,
    told: Told,
    is_being_recorded: bool,
}

impl Session {
    /// Opens a capture for reading, also one that is still being recorded.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where there is no such file, it is no capture, it has a newer format, or it
    /// cannot be read.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let is_being_recorded = is_unsealed(path);
        Ok(Self { reader: CaptureReader::open(path)?, told: Told::default(), is_being_recorded })
    }

    /// Whether the capture was not sealed when it was opened: it is being recorded, or its recorder was killed.
    pub fn is_being_recorded(&self) -> bool {
        self.is_being_recorded
    }

    /// Answers questions that addresses, names and behaviour leave open, before what the recording says.
    pub fn tell(&mut self, told: Told) {
        self.told = told;
    }

    /// The capture itself: metadata, series, answers, events, gaps, damage, digest.
    pub fn reader(&self) -> &CaptureReader {
        &self.reader
    }

    /// From the first observation to just after the last.
    pub fn window(&self) -> TimeRange {
        self.reader.window()
    }

    /// Loads what the timeline and diagnosis read of a part of the run.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read. Damaged parts are left out, and noted in
    /// the [`Recording`](crate::timeline::Recording).
    pub fn load(&self, view: View) -> Result<Window<'_>, CaptureError> {
        Window::load(&self.reader, view, &self.told)
    }

    /// The evidence of everything in the run, for whoever asks for no verdict.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn evidence(&self) -> Result<Evidence, CaptureError> {
        Window::load_unjudged(&self.reader, View::WHOLE, &self.told)?.evidence()
    }

    /// The view as of `at` that looks back as far as `operator watch` does: [`HORIZON_MS`].
    pub fn view_as_of(&self, at: Timestamp) -> View {
        let as_of = AsOf::new(at);
        View { range: as_of.recent(self.window().start, HORIZON_MS), as_of }
    }

    /// The verdict on the whole run.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn verdict(&self) -> Result<Verdict, CaptureError> {
        self.load(View::WHOLE)?.verdict()
    }

    /// The verdict that `operator watch` would have given at `at`.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn verdict_as_of(&self, at: Timestamp) -> Result<Verdict, CaptureError> {
        Ok(self.load(self.view_as_of(at))?.judge()?.verdict)
    }

    /// The critical alerts of the bundled rules that fire in the window of `evidence` and that its verdict does
    /// not explain; not evaluated where the window is longer than two hours.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn unexplained_alerts(
        &self,
        verdict: &Verdict,
        evidence: &Evidence,
    ) -> Result<CriticalAlerts, CaptureError> {
        let CriticalAlerts { fired, not_evaluated } =
            critical_alerts(&self.reader, evidence.window, &evidence.nodes)?;
        Ok(CriticalAlerts { fired: unexplained_alerts(verdict, evidence, fired), not_evaluated })
    }

    /// The capture as storage for PromQL, with PD's answers as series.
    pub fn storage(&self) -> CaptureStorage<'_> {
        CaptureStorage::new(&self.reader)
    }
}
