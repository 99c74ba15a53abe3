//! Calls of gRPC over HTTP/2, by hand: a call that answers with messages takes no more of gRPC than a header of five
//! bytes before each message and a status after the last one.

use std::time::Duration;

use super::error::SourceError;
use super::http::{Ask, Http, TrailedAnswer};

/// The largest message that is accepted, in bytes. TiKV sends 256 lines in one, PD 1,024.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// The names of gRPC's status codes, by number.
const STATUSES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid argument",
    "deadline exceeded",
    "not found",
    "already exists",
    "permission denied",
    "resource exhausted",
    "failed precondition",
    "aborted",
    "out of range",
    "unimplemented",
    "internal",
    "unavailable",
    "data loss",
    "unauthenticated",
];

/// Calls the method at `url` with a message. The whole answer has to arrive within the time and the bytes given.
///
/// # Errors
///
/// [`SourceError`] where the server does not answer, or not with a status of success.
pub(super) async fn call(
    http: &Http,
    url: &str,
    message: &[u8],
    (timeout, max_bytes): (Duration, u64),
) -> Result<Messages, SourceError> {
    let mut body = vec![0];
    body.extend((message.len() as u32).to_be_bytes());
    body.extend(message);
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = http.open(url, &headers, Ask::Post(body), timeout, max_bytes);
    let answer = answer.await?.successful().await?.with_trailers();
    Ok(Messages { answer, buffer: Vec::new() })
}

/// The messages of an answer, in their order.
pub(super) struct Messages {
    answer: TrailedAnswer,
    /// What arrived of the next message.
    buffer: Vec<u8>,
}

impl Messages {
    /// The next message; `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`SourceError::Reported`] where the server says why there is none or no more; other errors where the stream
    /// ends early or is none of messages.
    pub(super) async fn next_message(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        loop {
            if let Some(message) = self.message()? {
                return Ok(Some(message));
            }
            match self.answer.chunk().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => return self.finish(),
            }
        }
    }

    /// The message at the front, once it has arrived.
    fn message(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(([compressed, length @ ..], rest)) = self.buffer.split_first_chunk::<5>() else {
            return Ok(None);
        };
        if *compressed != 0 {
            let why = "a message is compressed, which was not asked for";
            return Err(self.malformed(why.to_owned()));
        }
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_MESSAGE_BYTES {
            let why = format!("a message of {length} bytes exceeds {MAX_MESSAGE_BYTES}");
            return Err(self.malformed(why));
        }
        let Some(message) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.buffer.drain(..5 + length);
        Ok(Some(message))
    }

    /// The end of the answer, which is one only if the server says that all went well.
    fn finish(&self) -> Result<Option<Vec<u8>>, SourceError> {
        let status = self.answer.trailer("grpc-status");
        let Some(status) = status.and_then(|text| text.parse::<usize>().ok()) else {
            return Err(self.malformed("the answer ends without a status of gRPC".to_owned()));
        };
        if status != 0 {
            let said = self.answer.trailer("grpc-message").unwrap_or_default();
            let said = percent_encoding::percent_decode_str(said).decode_utf8_lossy();
            return Err(SourceError::Reported {
                url: self.answer.public_url(),
                kind: STATUSES.get(status).map_or_else(|| status.to_string(), ToString::to_string),
                message: self.answer.redact(&said),
            });
        }
        match self.buffer.is_empty() {
            true => Ok(None),
            false => Err(self.malformed("the answer ends within a message".to_owned())),
        }
    }

    /// The error of an answer that is not what it should be.
    pub(super) fn malformed(&self, why: String) -> SourceError {
        SourceError::Malformed { url: self.answer.public_url(), why }
    }
}
