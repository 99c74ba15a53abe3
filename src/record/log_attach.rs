//! Writes the extract of a node's log into a capture: counts as series, kept lines as events.

use crate::capture::{CaptureError, CaptureReader, CaptureWriter, Tick};
use crate::logs::{Extract, log_series};
use crate::model::{EncodedLabels, LogEvent, LogKind};

/// Why an extract cannot be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The capture cannot be read or written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The capture holds another extract of the same node. Series of counts cannot be extended backwards,
    /// so all files of a node are attached at once.
    #[error(
        "the capture holds another log of {0} already: attach all its files at once to a copy without it"
    )]
    HeldAlready(String),
}

/// What became of asking a node for its log.
#[derive(Debug)]
pub enum AskedLog {
    /// Its lines.
    Read(Box<Extract>),
    /// No line, and why.
    Unread(LogEvent),
}

/// Whether a capture holds an extract already.
///
/// # Errors
///
/// [`AttachError::HeldAlready`] where it holds another one of the same node that does not end before this one
/// begins, or [`CaptureError`].
pub fn holds_log(reader: &CaptureReader, extract: &Extract) -> Result<bool, AttachError> {
    let events = reader.events()?;
    let held = events
        .iter()
        .filter_map(LogEvent::of_event)
        .filter(|event| event.kind == LogKind::Coverage && event.node == extract.node);
    let mut held = held.peekable();
    if held.peek().is_none() {
        return Ok(false);
    }
    let own = extract.events.iter().find(|event| event.kind == LogKind::Coverage);
    let held: Vec<LogEvent> = held.collect();
    if held.iter().any(|event| Some(event) == own) {
        return Ok(true);
    }
    let begins = extract.window.start;
    match held.iter().all(|event| event.asked_until().is_some_and(|until| until <= begins)) {
        true => Ok(false),
        false => Err(AttachError::HeldAlready(extract.node.clone())),
    }
}

/// Writes an extract in one transaction, and returns how many series of counts it has.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be written; nothing of the extract is in it then.
pub fn attach_log(writer: &mut CaptureWriter, extract: &Extract) -> Result<usize, CaptureError> {
    let mut tick = Tick::default();
    let series = put_log(writer, &mut tick, extract);
    writer.commit(tick)?;
    Ok(series)
}

/// Puts an extract into the tick that is written next, and returns how many series of counts it has.
pub(super) fn put_log(writer: &mut CaptureWriter, tick: &mut Tick, extract: &Extract) -> usize {
    let series = log_series(extract);
    let mut encoded = Vec::new();
    for one in &series {
        encoded.clear();
        one.labels.encode(&mut encoded);
        tick.samples
            .push(writer.index(), EncodedLabels(&encoded), &one.samples)
            .expect("labels that were encoded are a label set");
    }
    tick.events.extend(extract.events.iter().map(LogEvent::to_event));
    series.len()
}
