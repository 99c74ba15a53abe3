//! Fetches the configuration of a store of TiKV.
//!
//! What of it is kept is decided in `record`.

use std::time::Duration;

use crate::source::{Http, HttpOptions, Redactor, SourceError};

/// The size of the largest answer that is accepted, in bytes after decompression. TiKV 8.5 sends about 30 KB.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// A client for the configurations of stores, all fetched with the same options.
#[derive(Clone, Debug)]
pub struct StoreClient {
    http: Http,
}

impl StoreClient {
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

    /// Fetches the configuration at `url`, at most 1 MiB, within `timeout`.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where no complete answer with a status of success arrived within the bounds.
    pub async fn config(&self, url: &str, timeout: Duration) -> Result<Vec<u8>, SourceError> {
        let answer = self.http.get_bounded(url, &[], None, timeout, MAX_CONFIG_BYTES).await?;
        Ok(answer.into_success(url)?.body)
    }
}
