//! Fetches pages of metrics from what exposes them, as Prometheus does.
//!
//! What stands in a page is read by `text_format`; when pages are fetched is decided in `record`.

use std::time::Duration;

use crate::source::{Http, HttpOptions, Redactor, SourceError};

/// The one format that is asked for: the text format, which everything that Prometheus scrapes can send.
const ACCEPT: &str = "text/plain;version=0.0.4";

/// The size of the largest page that is accepted, in bytes after decompression. A store with 19,000 series
/// sends 1.6 MB.
pub const MAX_PAGE_BYTES: u64 = 64 << 20;

/// A client for pages of metrics, all fetched with the same options.
#[derive(Clone, Debug)]
pub struct ScrapeClient {
    http: Http,
}

impl ScrapeClient {
    /// A client with these options. Their timeout and size limit do not apply.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of them.
    pub fn new(options: &HttpOptions) -> Result<Self, SourceError> {
        Ok(Self { http: Http::new(options)? })
    }

    /// The secrets of this client, to be removed from texts.
    pub fn redactor(&self) -> &Redactor {
        self.http.redactor()
    }

    /// Fetches the page at `url`, at most 64 MiB, within `timeout`.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where no complete answer with a status of success arrived within the bounds.
    pub async fn page(&self, url: &str, timeout: Duration) -> Result<Vec<u8>, SourceError> {
        let seconds = timeout.as_secs_f64().to_string();
        let headers =
            [("Accept", ACCEPT), ("X-Prometheus-Scrape-Timeout-Seconds", seconds.as_str())];
        let answer = self.http.get_bounded(url, &headers, None, timeout, MAX_PAGE_BYTES).await?;
        Ok(answer.into_success(url)?.body)
    }
}
