//! Answers: whole, still arriving, and followed by trailers.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use reqwest::header::HeaderMap;
use reqwest::{Body, Response};

use super::failure::classify;
use crate::source::error::SourceError;
use crate::source::obstacle::Obstacle;
use crate::source::redact::{Redactor, public_url};

/// A complete answer, with any status.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The HTTP status code.
    pub status: u16,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The body after decompression.
    pub body: Vec<u8>,
    /// The time from sending the request to the last byte of the body.
    pub elapsed: Duration,
    redactor: Arc<Redactor>,
}

impl HttpAnswer {
    /// The value of a header; `None` where the header is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The start of the body on one line, without the secrets that were sent; for error messages.
    pub fn body_start(&self) -> String {
        self.redactor.body_start(&self.body)
    }

    /// Returns the answer where its status is 2xx.
    ///
    /// # Errors
    ///
    /// [`SourceError::Unauthorized`] for 401 and 403, [`SourceError::Blocked`] where the server says that
    /// it expects TLS, [`SourceError::Status`] for others.
    pub fn into_success(self, url: &str) -> Result<Self, SourceError> {
        let said = (self.status == 400).then(|| Obstacle::of_bad_request(&self.body)).flatten();
        if let Some(obstacle) = said {
            return Err(SourceError::Blocked { url: public_url(url), obstacle });
        }
        match self.status {
            200..=299 => Ok(self),
            401 | 403 => Err(SourceError::Unauthorized {
                url: public_url(url),
                why: format!("status {}: {}", self.status, self.body_start()),
            }),
            status => Err(SourceError::Status {
                url: public_url(url),
                status,
                body_start: self.body_start(),
            }),
        }
    }
}

/// An answer whose body is still arriving.
pub(in crate::source) struct AnswerStream {
    pub(super) response: Response,
    pub(super) redactor: Arc<Redactor>,
    pub(super) url: String,
    pub(super) started: Instant,
    pub(super) timeout: Duration,
    pub(super) taken: u64,
    pub(super) limit: u64,
}

impl AnswerStream {
    pub(in crate::source) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(in crate::source) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The number of bytes that have arrived, after decompression.
    pub(in crate::source) fn taken(&self) -> u64 {
        self.taken
    }

    /// The next piece of the body, or `None` at its end.
    pub(in crate::source) async fn chunk(
        &mut self,
    ) -> Result<Option<impl Deref<Target = [u8]> + use<>>, SourceError> {
        let chunk = match self.response.chunk().await {
            Ok(chunk) => chunk,
            Err(error) => {
                return Err(classify(&error, &self.url, self.timeout, &self.redactor));
            }
        };
        self.taken += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.taken > self.limit {
            return Err(SourceError::TooLarge { url: public_url(&self.url), limit: self.limit });
        }
        Ok(chunk)
    }

    /// Returns the answer where its status is 2xx. Of any other answer only the start is read.
    pub(in crate::source) async fn successful(mut self) -> Result<Self, SourceError> {
        if (200..300).contains(&self.status()) {
            return Ok(self);
        }
        let mut body = Vec::new();
        while body.len() < Redactor::body_start_bytes() {
            // The status is reported even where its body cannot be read.
            match self.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        let answer = HttpAnswer {
            status: self.status(),
            headers: self.response.headers().clone(),
            body,
            elapsed: self.started.elapsed(),
            redactor: self.redactor,
        };
        Err(answer.into_success(&self.url).expect_err("the status is not a success"))
    }

    /// The answer with what follows its body. A server that has nothing to say sends that as headers.
    pub(in crate::source) fn with_trailers(self) -> TrailedAnswer {
        let trailers = self.response.headers().clone();
        TrailedAnswer {
            body: Body::from(self.response),
            trailers,
            redactor: self.redactor,
            url: self.url,
            timeout: self.timeout,
            taken: self.taken,
            limit: self.limit,
        }
    }

    /// Collects the body.
    pub(in crate::source) async fn read_whole(mut self) -> Result<HttpAnswer, SourceError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer {
            status: self.status(),
            headers: self.response.headers().clone(),
            body,
            elapsed: self.started.elapsed(),
            redactor: self.redactor,
        })
    }
}

/// An answer whose body is still arriving, and what follows the body.
pub(in crate::source) struct TrailedAnswer {
    body: Body,
    trailers: HeaderMap,
    redactor: Arc<Redactor>,
    url: String,
    timeout: Duration,
    taken: u64,
    limit: u64,
}

impl TrailedAnswer {
    /// The next piece of the body, or `None` at its end.
    pub(in crate::source) async fn chunk(
        &mut self,
    ) -> Result<Option<impl Deref<Target = [u8]> + use<>>, SourceError> {
        loop {
            let frame = match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    return Err(classify(&error, &self.url, self.timeout, &self.redactor));
                }
            };
            match frame.into_data() {
                Ok(piece) => {
                    self.taken += piece.len() as u64;
                    if self.taken > self.limit {
                        let (url, limit) = (public_url(&self.url), self.limit);
                        return Err(SourceError::TooLarge { url, limit });
                    }
                    return Ok(Some(piece));
                }
                Err(frame) => {
                    self.trailers.extend(frame.into_trailers().unwrap_or_default());
                }
            }
        }
    }

    /// What stood in the headers and, once the body has ended, after it; `None` where neither is text.
    pub(in crate::source) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A text of the server without the recorder's secrets.
    pub(in crate::source) fn redact(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    /// The URL that was asked, without secrets.
    pub(in crate::source) fn public_url(&self) -> String {
        public_url(&self.url)
    }
}
