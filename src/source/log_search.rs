//! Asks members and stores for lines of their own log files: the call `search_log` of the gRPC service
//! `Diagnostics`, which TiKV and PD serve at the port of their clients, without a way to the machine.
//!
//! The service is defined in `diagnosticspb.proto` of pingcap/kvproto and is served from 4.0.16 on.
//!
//! A node reads its files from their beginning for each question, TiKV on the thread of its debugging
//! service. So one node is asked at a time, once, for a bounded time.

use std::time::Duration;

use chrono::DateTime;

use super::error::SourceError;
use super::grpc::{Messages, call};
use super::http::{Http, HttpOptions};
use super::protobuf::{BrokenMessage, Fields, Value, put_bytes_field, put_varint_field};
use super::redact::Redactor;
use crate::model::TimeRange;

/// The path of the call.
const SEARCH_LOG: &str = "/diagnosticspb.Diagnostics/search_log";
/// The levels that are asked for, by their numbers in `diagnosticspb.proto`: info, warning, critical, error.
/// A level that the node does not know, as TiKV does not know `FATAL`, passes in any case.
const LEVELS: [u8; 4] = [2, 3, 5, 6];
/// The most bytes of one answer: a minute of the busiest logs known, which write 300 MB in three minutes.
const MAX_ANSWER_BYTES: u64 = 128 << 20;
/// A client of the service `Diagnostics` of members and stores.
#[derive(Clone, Debug)]
pub struct LogSearch {
    http: Http,
}

impl LogSearch {
    /// A client with these options. Their timeout and size limit do not apply.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of them.
    pub fn new(options: &HttpOptions) -> Result<Self, SourceError> {
        Ok(Self { http: Http::of_grpc(options)? })
    }

    /// The secrets of this client, to be removed from texts.
    pub fn redactor(&self) -> &Redactor {
        self.http.redactor()
    }

    /// Asks the node at `url`, such as `http://10.0.1.5:20160`, for the lines of `range` from the level INFO on.
    /// The whole answer has to arrive within `timeout` and 128 MiB.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the node does not answer, or not with a stream of lines.
    pub async fn search(
        &self,
        url: &str,
        range: TimeRange,
        timeout: Duration,
    ) -> Result<FoundLines, SourceError> {
        let url = format!("{}{SEARCH_LOG}", url.trim_end_matches('/'));
        let messages = call(&self.http, &url, &request(range), (timeout, MAX_ANSWER_BYTES)).await?;
        Ok(FoundLines { messages })
    }
}

/// The message `SearchLogRequest`. Its end is inclusive.
fn request(range: TimeRange) -> Vec<u8> {
    let mut message = Vec::new();
    put_varint_field(&mut message, 1, range.start.as_millis() as u64);
    put_varint_field(&mut message, 2, range.end.as_millis().saturating_sub(1) as u64);
    put_bytes_field(&mut message, 3, &LEVELS);
    message
}

/// The lines that a node has found, in the order of its files.
pub struct FoundLines {
    messages: Messages,
}

impl FoundLines {
    /// The next lines as they stand in a log file, each with its end; `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`SourceError::Reported`] where the node says why it found nothing or no more, such as a log that is
    /// not written to a file; other errors where the stream ends early or is none of lines.
    pub async fn next_lines(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(message) = self.messages.next_message().await? else { return Ok(None) };
        let mut text = Vec::new();
        let put = put_lines(&mut text, &message);
        put.map_err(|error| self.messages.malformed(error.to_string()))?;
        Ok(Some(text))
    }
}

/// Appends the lines of a `SearchLogResponse`.
fn put_lines(text: &mut Vec<u8>, response: &[u8]) -> Result<(), BrokenMessage> {
    let mut fields = Fields::of(response);
    while let Some(field) = fields.next_field()? {
        if let (1, Value::Bytes(message)) = (field.number, field.value) {
            put_line(text, message)?;
        }
    }
    Ok(())
}

/// Appends a `LogMessage` as the line that it was read from. A node takes time and level off a line's front; a
/// line without them, such as one of a backtrace, it sends whole, with those of the line before.
fn put_line(text: &mut Vec<u8>, message: &[u8]) -> Result<(), BrokenMessage> {
    let (mut at, mut level, mut line) = (0, 0, &[][..]);
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        match (field.number, field.value) {
            (1, Value::Varint(millis)) => at = millis as i64,
            (2, Value::Varint(number)) => level = number,
            (3, Value::Bytes(bytes)) => line = bytes,
            _ => {}
        }
    }
    if line.first() == Some(&b'[')
        && let Some(at) = DateTime::from_timestamp_millis(at)
    {
        let time = at.format("%Y/%m/%d %H:%M:%S%.3f");
        text.extend(format!("[{time} +00:00] [{}] ", level_name(level)).bytes());
    }
    text.extend_from_slice(line);
    text.push(b'\n');
    Ok(())
}

/// The level as a line has it, by its number. The nodes' parsers know no `FATAL`, and send it as 0.
fn level_name(number: u64) -> &'static str {
    match number {
        1 => "DEBUG",
        2 => "INFO",
        3 => "WARN",
        4 => "TRACE",
        5 => "CRITICAL",
        6 => "ERROR",
        _ => "FATAL",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Timestamp;

    fn message(at: i64, level: u64, line: &str) -> Vec<u8> {
        let mut message = Vec::new();
        put_varint_field(&mut message, 1, at as u64);
        put_varint_field(&mut message, 2, level);
        put_bytes_field(&mut message, 3, line.as_bytes());
        let mut field = Vec::new();
        put_bytes_field(&mut field, 1, &message);
        field
    }

    #[test]
    fn the_request_is_the_message_of_diagnosticspb() {
        let range = TimeRange::new(Timestamp::from_millis(1), Timestamp::from_millis(6));
        assert_eq!(request(range), [0x08, 1, 0x10, 5, 0x1a, 4, 2, 3, 5, 6]);
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let response = [
            message(1_795_537_640_277, 2, "[server.rs:422] [\"TiKV is ready to serve\"]"),
            message(1_795_537_640_278, 0, "[lib.rs:481] [\"a panic\"] [thread_name=main]"),
            message(1_795_537_640_278, 0, "   0: std::backtrace"),
        ]
        .concat();
        let mut text = Vec::new();
        put_lines(&mut text, &response).expect("the message is whole");
        let text = String::from_utf8(text).expect("lines are text");
        let expected = "\
[2026/11/24 16:27:20.277 +00:00] [INFO] [server.rs:422] [\"TiKV is ready to serve\"]
[2026/11/24 16:27:20.278 +00:00] [FATAL] [lib.rs:481] [\"a panic\"] [thread_name=main]
   0: std::backtrace
";
        assert_eq!(text, expected);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = put_lines(&mut Vec::new(), &bytes);
        }
    }
}
