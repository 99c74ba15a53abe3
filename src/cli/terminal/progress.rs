//! Reports the progress of a recording: as a status line on a terminal, as plain lines elsewhere, or as
//! lines of JSON.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::cli::Global;
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::remarks::remark;
use crate::diagnose::counted;
use crate::model::{Timestamp, duration_text, escape};
use crate::record::{HistoryEstimate, HistoryProgress, Progress};
use crate::report;

/// The least time between two plain lines.
const PLAIN_EVERY_MS: i64 = 60_000;
/// When the first of them comes: what a recording does at once says nothing.
const FIRST_PLAIN_MS: i64 = 10_000;
/// How often a line that waits is drawn again.
const REDRAWN_EVERY: Duration = Duration::from_millis(250);

/// A line on the terminal that shows that something is being done, and for how long, until it is dropped.
pub struct Waiting(ProgressBar);

impl Waiting {
    /// Shows `what` where stderr is a terminal and the user did not ask for silence.
    pub fn of(global: &Global, what: &'static str) -> Self {
        let bar = match std::io::stderr().is_terminal() && !global.quiet {
            true => ProgressBar::new_spinner().with_style(line_style()).with_message(what),
            false => ProgressBar::hidden(),
        };
        bar.enable_steady_tick(REDRAWN_EVERY);
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Where and how progress is shown.
enum Display {
    Quiet,
    Bar(ProgressBar),
    Plain,
    Json,
}

/// Reports progress in the form that fits its destination.
pub struct Reporter {
    display: Display,
    started: Timestamp,
    started_bytes: Option<u64>,
    last_line: Timestamp,
    estimated: bool,
    copying: bool,
    standing: Option<String>,
    totals: Totals,
}

/// What was recorded since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    copied_samples: u64,
    live_samples: u64,
    series: u64,
    imported_answers: u64,
    live_answers: u64,
    copied_gaps: u64,
    live_gaps: u64,
}

impl Totals {
    fn text(&self) -> String {
        format!(
            "{} samples of {} series, {} PD answers, {}",
            report::count(self.copied_samples + self.live_samples),
            report::count(self.series),
            report::count(self.imported_answers + self.live_answers),
            counted(self.copied_gaps + self.live_gaps, "gap"),
        )
    }
}

impl Reporter {
    /// A reporter for a recording that starts at `started`.
    pub fn new(global: &Global, started: Timestamp) -> Self {
        let display = if global.format == Format::Json {
            Display::Json
        } else if global.quiet {
            Display::Quiet
        } else if std::io::stderr().is_terminal() {
            let target = ProgressDrawTarget::stderr();
            Display::Bar(ProgressBar::with_draw_target(None, target).with_style(line_style()))
        } else {
            Display::Plain
        };
        Self {
            display,
            started,
            started_bytes: None,
            last_line: started.saturating_add_millis(FIRST_PLAIN_MS - PLAIN_EVERY_MS),
            estimated: false,
            copying: false,
            standing: None,
            totals: Totals::default(),
        }
    }

    /// Reports a commit of a live recording.
    pub fn live(&mut self, progress: &Progress) {
        self.totals = Totals {
            live_samples: progress.samples,
            series: progress.series,
            live_answers: progress.pd_answers,
            live_gaps: progress.gaps,
            ..self.totals
        };
        let first = *self.started_bytes.get_or_insert(progress.file_bytes);
        let elapsed_ms = (progress.at - self.started).max(1);
        let grown = progress.file_bytes.saturating_sub(first);
        // The first minute is headers and label sets, so nothing is projected from it.
        let per_hour = (elapsed_ms >= PLAIN_EVERY_MS)
            .then(|| (grown as f64 * 3_600_000.0 / elapsed_ms as f64) as u64);
        let rate = progress.samples as f64 * 1000.0 / elapsed_ms as f64;
        if let Display::Json = self.display {
            print_json(&json!({
                "schema": 1, "event": "tick", "at": progress.at, "samples": progress.samples,
                "new_samples": progress.new_samples, "samples_per_second": rate,
                "series": progress.series, "pd_answers": progress.pd_answers,
                "gaps": progress.gaps, "failing": progress.failing,
                "file_bytes": progress.file_bytes, "bytes_per_hour": per_hour,
                "copied_through": progress.copied_through, "disk_full": progress.disk_full,
            }));
            return;
        }
        let failing = match progress.failing {
            0 => String::new(),
            failing => format!(", {failing} failing"),
        };
        let full = if progress.disk_full { "  THE DISK IS FULL" } else { "" };
        let projected =
            per_hour.map(|bytes| format!(" ({}/h)", report::size(bytes))).unwrap_or_default();
        let standing = self.standing.iter().map(|text| format!("{text}  ")).collect::<String>();
        self.say(progress.at, &format!(
            "{standing}{}  {} samples ({rate:.0}/s)  {} series  {} PD answers  {}{failing}  {}{projected}{full}",
            duration_text(elapsed_ms),
            report::count(progress.samples),
            report::count(progress.series),
            report::count(progress.pd_answers),
            counted(progress.gaps, "gap"),
            report::size(progress.file_bytes),
        ));
    }

    /// Reports the estimate for a history of `total_ms`, before its first slice.
    pub fn estimate(&mut self, estimate: &HistoryEstimate, total_ms: i64, now: Timestamp) {
        let HistoryEstimate { series, samples, file_bytes, copy_ms } = *estimate;
        self.estimated = true;
        if let Display::Json = self.display {
            print_json(&json!({
                "schema": 1, "event": "estimate", "at": now, "total_ms": total_ms,
                "series": series, "samples": samples, "file_bytes": file_bytes,
                "copy_ms": copy_ms,
            }));
        }
        self.line(&format!(
            "about {} samples of {} series, {} and {} for {} of history",
            report::count(samples),
            report::count(series),
            report::size(file_bytes),
            duration_text(i64::try_from(copy_ms).unwrap_or(i64::MAX)),
            duration_text(total_ms)
        ));
    }

    /// Reports a slice of history.
    pub fn history(&mut self, progress: &HistoryProgress, now: Timestamp) {
        (self.totals.copied_samples, self.totals.series) = (progress.samples, progress.series);
        self.totals.copied_gaps = progress.gaps;
        let elapsed_ms = (now - self.started).max(1);
        let left_ms = (progress.done_ms > 0).then(|| {
            let rest = (progress.total_ms - progress.done_ms) as f64;
            (elapsed_ms as f64 * rest / progress.done_ms as f64) as i64
        });
        let estimate = progress.estimate();
        match &self.display {
            Display::Json => print_json(&json!({
                "schema": 1, "event": "slice", "at": now, "done_ms": progress.done_ms,
                "total_ms": progress.total_ms, "samples": progress.samples,
                "received_bytes": progress.received_bytes, "series": progress.series,
                "gaps": progress.gaps, "file_bytes": progress.file_bytes, "left_ms": left_ms,
                "estimated_samples": estimate.map(|(samples, _)| samples),
                "estimated_bytes": estimate.map(|(_, bytes)| bytes),
            })),
            Display::Quiet => {}
            Display::Bar(bar) => {
                if !self.copying {
                    bar.set_style(bar_style());
                    bar.set_length(u64::try_from(progress.total_ms).unwrap_or_default());
                }
                bar.set_position(u64::try_from(progress.done_ms).unwrap_or_default());
                bar.set_message(format!(
                    "{} samples, {}, {} left",
                    report::count(progress.samples),
                    report::size(progress.file_bytes),
                    duration_text(left_ms.unwrap_or_default())
                ));
            }
            Display::Plain => {}
        }
        if let (false, Some((samples, bytes))) = (self.estimated, estimate) {
            self.line(&format!(
                "about {} samples, {} and {} for {} of history",
                report::count(samples),
                report::size(bytes),
                duration_text(left_ms.unwrap_or_default()),
                duration_text(progress.total_ms)
            ));
        }
        (self.estimated, self.copying) = (true, true);
        if let Display::Plain = self.display {
            self.say(
                now,
                &format!(
                    "{:.0} %  {} samples  {}",
                    progress.done_ms as f64 * 100.0 / progress.total_ms.max(1) as f64,
                    report::count(progress.samples),
                    report::size(progress.file_bytes)
                ),
            );
        }
    }

    /// Notes answers of PD that were imported.
    pub fn imported(&mut self, answers: u64) {
        self.totals.imported_answers += answers;
    }

    /// Prints a remark that stays on the screen.
    pub fn line(&self, text: &str) {
        match &self.display {
            Display::Bar(bar) => bar.suspend(|| remark(text)),
            Display::Plain => remark(text),
            Display::Quiet | Display::Json => {}
        }
    }

    /// Prints a warning on stderr in every form, without disturbing the status line.
    pub fn warn(&self, text: &str) {
        match &self.display {
            Display::Bar(bar) => bar.suspend(|| remark(text)),
            Display::Plain | Display::Quiet | Display::Json => remark(text),
        }
    }

    /// Prints a line of text on stdout, without disturbing the status line.
    ///
    /// # Errors
    ///
    /// An I/O error where stdout is closed.
    pub fn result(&self, text: &str) -> std::io::Result<()> {
        self.undisturbed(|| output::line(text))
    }

    /// Prints a document as one line of JSON on stdout, without disturbing the status line.
    ///
    /// # Errors
    ///
    /// An I/O error where stdout is closed.
    pub fn document(&self, document: &serde_json::Value) -> std::io::Result<()> {
        self.undisturbed(|| output::json_line(document))
    }

    fn undisturbed(&self, print: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
        match &self.display {
            Display::Bar(bar) => bar.suspend(print),
            Display::Plain | Display::Quiet | Display::Json => print(),
        }
    }

    /// Sets the text with which the status line begins.
    pub fn standing(&mut self, text: String) {
        self.standing = Some(text);
    }

    /// Removes the status line, and says what was recorded since the start.
    pub fn finish(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
        self.line(&self.totals.text());
    }

    fn say(&mut self, at: Timestamp, text: &str) {
        match &self.display {
            Display::Bar(bar) => {
                if std::mem::take(&mut self.copying) {
                    bar.set_style(line_style());
                }
                bar.enable_steady_tick(REDRAWN_EVERY);
                bar.set_message(escape(text));
            }
            Display::Plain => {
                if at - self.last_line >= PLAIN_EVERY_MS {
                    self.last_line = at;
                    remark(text);
                }
            }
            Display::Quiet | Display::Json => {}
        }
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:20} {percent:>3} % {wide_msg}")
        .expect("the template is well formed")
}

/// A line about what has no end, cut at the width of the terminal.
fn line_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is well formed")
}

/// Prints a line of JSON. A reader that has closed stdout does not end a recording.
fn print_json(value: &serde_json::Value) {
    if let Err(error) = output::json_line(value) {
        tracing::debug!(%error, "nobody reads the progress");
    }
}
