//! The arguments that limit how much of a recording is kept, and the messages about its segments.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytesize::ByteSize;
use clap::Args;
use serde_json::json;

use crate::capture::{CaptureError, LockFile};
use crate::cli::exit::CliError;
use crate::cli::terminal::output::Format;
use crate::cli::terminal::progress::Reporter;
use crate::diagnose::HORIZON_MS;
use crate::model::{RunName, escape_path, parse_duration_ms};
pub use crate::record::Incident;
use crate::record::{Retention, SegmentChange, SegmentListener, Segments, Succession};
use crate::report;

/// How much is kept.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Retention")]
pub struct RetentionArgs {
    /// How long segments are kept, such as 7d; at least 1h. Incidents stay
    #[arg(long, value_name = "DURATION")]
    pub keep: Option<String>,
    /// How much all captures of the run may take, such as 20GB or 500MiB: the oldest segments go
    #[arg(long, value_name = "SIZE")]
    pub max_bytes: Option<String>,
}

impl RetentionArgs {
    /// These flags, with the values of `file` where a flag is not given.
    pub fn or(self, file: Self) -> Self {
        Self { keep: self.keep.or(file.keep), max_bytes: self.max_bytes.or(file.max_bytes) }
    }

    /// The retention that they describe; `None` where everything is kept.
    ///
    /// # Errors
    ///
    /// [`CliError::Usage`] where one is no duration or no size, or is too little.
    pub fn retention(&self) -> anyhow::Result<Option<Retention>> {
        let keep_ms = self.keep.as_deref().map(parse_duration_ms).transpose()?;
        if keep_ms.is_some_and(|keep| keep < HORIZON_MS) {
            let text = "--keep is at least 1h: that is what a judgement looks at";
            return Err(CliError::Usage(text.to_owned()).into());
        }
        let max_bytes = self.max_bytes.as_deref().map(size).transpose()?;
        let limited = keep_ms.is_some() || max_bytes.is_some();
        Ok(limited.then_some(Retention { keep_ms, max_bytes, past_ms: HORIZON_MS }))
    }
}

fn size(text: &str) -> Result<u64, CliError> {
    let size: ByteSize = text.parse().map_err(|_| {
        CliError::Usage(format!("{text:?} is not a size: write 20GB, 500MiB or a number of bytes"))
    })?;
    match size.as_u64() {
        0 => Err(CliError::Usage("--max-bytes is more than 0".to_owned())),
        bytes => Ok(bytes),
    }
}

/// Refuses names whose segments could be confused with other captures, which would then be removed.
///
/// # Errors
///
/// [`CliError::Usage`] for such a name.
pub fn check_name(run: &RunName, subject: &str) -> Result<(), CliError> {
    let text = if run.as_str() == subject {
        format!("{run}-TIME is what recordings without a name are called: give another --run")
    } else if run.as_str().ends_with("-incident") {
        format!("{run}-TIME is what incidents of another run are called: give another --run")
    } else {
        return Ok(());
    };
    Err(CliError::Usage(text))
}

/// That no other recorder writes segments of a run, for as long as this lives.
pub struct RunLock(Option<LockFile>);

impl RunLock {
    /// Acquires it for the segments of `run` in `dir`, before any of them is begun.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Locked`] where another recorder holds it, and those of making the directory or the file.
    pub fn take(dir: &Path, run: &RunName) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make {}", escape_path(dir)))?;
        Ok(Self(Some(LockFile::take(&dir.join(run.as_str()))?)))
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(LockFile::release);
    }
}

/// A listener that prints every event in the files of a run.
pub fn listener(run: RunName, format: Format, reporter: Arc<Mutex<Reporter>>) -> SegmentListener {
    Box::new(move |change| {
        let reporter = reporter.lock().unwrap_or_else(PoisonError::into_inner);
        match format {
            Format::Json => {
                let mut event = event_json(change);
                event["schema"] = json!(1);
                event["run"] = json!(run);
                // A reader that has closed stdout does not end a recording.
                if let Err(error) = reporter.document(&event) {
                    tracing::debug!(%error, "nobody reads what becomes of the segments");
                }
            }
            Format::Text => reporter.line(&event_text(change)),
        }
    })
}

fn event_json(change: &SegmentChange) -> serde_json::Value {
    match change {
        SegmentChange::Began { path } => json!({ "event": "segment", "file": path }),
        SegmentChange::Sealed { path, bytes } => {
            json!({ "event": "sealed", "file": path, "file_bytes": bytes })
        }
        SegmentChange::Dropped { path, bytes, why } => {
            json!({ "event": "dropped", "file": path, "file_bytes": bytes, "reason": why.name() })
        }
    }
}

fn event_text(change: &SegmentChange) -> String {
    match change {
        SegmentChange::Began { path } => format!("goes on in {}", escape_path(path)),
        SegmentChange::Sealed { path, bytes } => {
            format!("sealed {} ({})", escape_path(path), report::size(*bytes))
        }
        SegmentChange::Dropped { path, bytes, why } => {
            format!("removed {} ({}): {}", escape_path(path), report::size(*bytes), why.text())
        }
    }
}

/// Opens the first capture of a recording by `open`. Where the disk is full, it removes what need not be
/// kept and tries again.
///
/// # Errors
///
/// The error of `open` where nothing can be removed.
pub fn open_making_room<T>(
    segments: &mut Segments,
    mut open: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    loop {
        match open() {
            Err(error) if is_full(&error) && segments.make_room() => {}
            opened => return opened,
        }
    }
}

fn is_full(error: &anyhow::Error) -> bool {
    error.downcast_ref::<CaptureError>().is_some_and(CaptureError::is_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(keep: Option<&str>, max_bytes: Option<&str>) -> anyhow::Result<Option<Retention>> {
        let text = |text: &str| text.to_owned();
        RetentionArgs { keep: keep.map(text), max_bytes: max_bytes.map(text) }.retention()
    }

    #[test]
    fn sizes_are_decimal_or_binary_as_they_say() {
        let bytes = |text| {
            let retention = retention(None, Some(text)).expect("a size").expect("it limits");
            retention.max_bytes.expect("it is given")
        };
        assert_eq!(bytes("20GB"), 20_000_000_000);
        assert_eq!(bytes("500MiB"), 500 << 20);
        assert_eq!(bytes("4096"), 4096);
        for wrong in ["", "many", "-1GB", "0"] {
            assert!(retention(None, Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_recorder_at_a_time_writes_segments_of_a_run() {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let take = |name| RunLock::take(dir.path(), &RunName::new(name).expect("a name"));
        let held = take("prod").expect("nobody holds it");
        assert!(take("prod").is_err());
        assert!(take("test").is_ok());
        drop(held);
        assert!(take("prod").is_ok());
        assert_eq!(std::fs::read_dir(dir.path()).expect("it is there").count(), 0);
    }

    #[test]
    fn nothing_said_keeps_everything_and_less_than_an_hour_is_refused() {
        assert_eq!(retention(None, None).expect("nothing is wrong"), None);
        assert!(retention(Some("59m"), None).is_err());
        let week = retention(Some("7d"), None).expect("a duration").expect("it limits");
        assert_eq!(week.keep_ms, Some(7 * 24 * HORIZON_MS));
    }

    #[test]
    fn names_that_would_mix_segments_with_other_captures_are_refused() {
        let check = |name| check_name(&RunName::new(name).expect("a name"), "tikv");
        assert!(check("prod").is_ok());
        assert!(check("tikv").is_err() && check("prod-incident").is_err());
    }
}
