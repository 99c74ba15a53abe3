//! Asks the members and stores that a capture lists for their own logs, one after the other.

use std::io::{self, Read};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, channel};

use super::attaching::names;
use crate::capture::CaptureError;
use crate::logs::{Extract, ExtractOptions, Extractor, redact};
use crate::model::{LogEvent, LogKind, TimeRange};
use crate::nodes::Nodes;
use crate::record::AskedLog;
use crate::session::Session;
use crate::source::{FoundLines, HttpOptions, LogSearch, SourceError};

/// The longest part of a log that is asked for, in milliseconds: a node reads all files that overlap it.
const MOST_MS: i64 = 3_600_000;
/// How much before a cause's onset and after its end is asked for, in milliseconds.
pub const AROUND_MS: i64 = 300_000;
/// How long a node may take for its whole answer.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// Whose turn it is to ask: one node at a time, whoever asks.
static TURN: Mutex<()> = Mutex::const_new(());
/// Pieces of an answer that wait to be read, each of at most some hundred lines.
const PIECES: usize = 4;
/// What lines are cited as that a node has searched for, in place of the name of a file.
const FOUND: &str = "search_log";

/// The part of a recording of which logs are asked for: all of it up to an hour, else an hour at most around
/// what broke first, or the last hour where nothing did.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be judged.
pub fn asked_range(session: &Session) -> Result<TimeRange, CaptureError> {
    let window = session.window();
    if window.millis() <= MOST_MS {
        return Ok(window);
    }
    let verdict = session.verdict()?;
    let Some(cause) = verdict.causes.first() else {
        return Ok(TimeRange::new(window.end.saturating_add_millis(-MOST_MS), window.end));
    };
    let start = cause.onset_ms.saturating_add_millis(-AROUND_MS).max(window.start);
    let until = cause.end_ms.map_or(window.end, |end| end.saturating_add_millis(AROUND_MS));
    let end = until.min(window.end).min(start.saturating_add_millis(MOST_MS));
    Ok(TimeRange::new(start, end.max(start)))
}

/// The scheme of nodes in a cluster whose PD has these URLs.
pub fn scheme<'a>(mut urls: impl Iterator<Item = &'a String>) -> &'static str {
    if urls.any(|url| url.starts_with("https:")) { "https" } else { "http" }
}

/// How the lines of a node are read.
pub fn options(node: &AskedNode, range: TimeRange, nodes: &Nodes) -> ExtractOptions {
    ExtractOptions { node: node.name.clone(), window: range, zone: None, names: names(nodes) }
}

/// A node to ask: what it is called, the component that it is, and where it answers.
pub struct AskedNode {
    name: String,
    component: &'static str,
    url: String,
}

impl AskedNode {
    /// Every member and store that PD lists, members first. `scheme` is that of PD's URLs.
    pub fn all(nodes: &Nodes, scheme: &str) -> Vec<Self> {
        let url = |address: &str| format!("{scheme}://{address}");
        let members = nodes.members.iter().map(|member| Self {
            name: member.name.clone(),
            component: "pd",
            url: url(&member.address),
        });
        let stores = nodes.stores.iter().filter(|store| store.id.is_some()).map(|store| Self {
            name: store.name(),
            component: if store.is_tikv() { "tikv" } else { "tiflash" },
            url: url(&store.address),
        });
        members.chain(stores).collect()
    }

    /// Whether it is a member of PD.
    pub fn is_member(&self) -> bool {
        self.component == "pd"
    }

    /// What the node is called in the capture.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Asks one node for its lines, once nobody else asks one; the whole answer has to arrive within `timeout`. A node
/// that gives none leaves a line that says why.
///
/// # Errors
///
/// [`SourceError::Options`] where no client can be made of the options.
pub async fn ask(
    node: &AskedNode,
    http: &HttpOptions,
    options: ExtractOptions,
    timeout: Duration,
) -> Result<AskedLog, SourceError> {
    let _turn = TURN.lock().await;
    let (range, names) = (options.window, options.names.clone());
    let unread = |why: &str| AskedLog::Unread(unread(node, range, &redact(why, &names)));
    let found = LogSearch::new(http)?.search(&node.url, range, timeout).await;
    let (extract, failure) = match found {
        Ok(lines) => extract(lines, options).await,
        Err(error) => return Ok(unread(&error.to_string())),
    };
    if !extract.covered.is_empty() {
        return Ok(AskedLog::Read(Box::new(extract)));
    }
    let why = failure.map_or_else(
        || {
            "it found no line: its log is not in a text file, or what it wrote then is gone"
                .to_owned()
        },
        |error| error.to_string(),
    );
    Ok(unread(&why))
}

/// The extract of what arrives, and why no more did.
async fn extract(mut lines: FoundLines, options: ExtractOptions) -> (Extract, Option<SourceError>) {
    let (sender, receiver) = channel(PIECES);
    let reading = tokio::task::spawn_blocking(move || {
        let mut extractor = Extractor::new(options);
        // That it ended early is counted among the losses.
        let _ = extractor.read(FOUND, Pieces { receiver, piece: Vec::new(), read: 0 });
        extractor.finish()
    });
    let failure = loop {
        match lines.next_lines().await {
            Ok(Some(text)) => {
                if sender.send(Ok(text)).await.is_err() {
                    break None;
                }
            }
            Ok(None) => break None,
            Err(error) => {
                let _ = sender.send(Err(io::Error::other(error.to_string()))).await;
                break Some(error);
            }
        }
    };
    drop(sender);
    (reading.await.expect("reading a log does not panic"), failure)
}

/// Pieces of an answer as a file.
struct Pieces {
    receiver: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    read: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            let Some(piece) = self.receiver.blocking_recv() else { return Ok(0) };
            (self.piece, self.read) = (piece?, 0);
        }
        let rest = &self.piece[self.read..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.read += taken;
        Ok(taken)
    }
}

fn unread(node: &AskedNode, range: TimeRange, why: &str) -> LogEvent {
    LogEvent {
        at: range.start,
        kind: LogKind::Unread,
        node: node.name.clone(),
        component: node.component.to_owned(),
        level: String::new(),
        file: String::new(),
        place: FOUND.to_owned(),
        text: format!("log not read: {why}"),
        values: [("until".to_owned(), range.end.to_string())].into(),
    }
}
