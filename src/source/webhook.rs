//! Tells somebody over HTTP.

use std::time::Duration;

use super::error::SourceError;
use super::http::{Ask, Http, HttpOptions};

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of an answer.
const MAX_BODY: u64 = 1 << 16;
/// Waits between attempts.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// A URL that takes JSON by POST.
#[derive(Clone, Debug)]
pub struct Webhook {
    http: Http,
    url: String,
}

impl Webhook {
    /// A webhook at `url`.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of these options.
    pub fn new(url: &str, options: &HttpOptions) -> Result<Self, SourceError> {
        Ok(Self { http: Http::new(options)?, url: url.to_owned() })
    }

    /// Posts a JSON document, three times at most.
    ///
    /// # Errors
    ///
    /// [`SourceError`] of the last attempt, where none was answered with a success.
    pub async fn post(&self, json: &str) -> Result<(), SourceError> {
        for wait in RETRIES {
            match self.attempt(json).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(%error, "the webhook is tried again"),
            }
            tokio::time::sleep(wait).await;
        }
        self.attempt(json).await
    }

    async fn attempt(&self, json: &str) -> Result<(), SourceError> {
        let headers = [("content-type", "application/json")];
        let ask = Ask::Post(json.as_bytes().to_vec());
        let answer = self.http.open(&self.url, &headers, ask, TIMEOUT, MAX_BODY).await?;
        answer.read_whole().await?.into_success(&self.url).map(drop)
    }
}
