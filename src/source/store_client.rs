//! Fetches what a store of TiKV says of itself: its configuration, by HTTP at its status address, and its machine, by
//! gRPC at the port of its clients.
//!
//! What of it is kept is decided in `record`.

use std::time::Duration;

use super::server_info::{ServerInfoItem, server_info};
use crate::source::{Http, HttpOptions, Redactor, SourceError};

/// The size of the largest configuration that is accepted, in bytes after decompression. TiKV 8.5 sends about 30 KB.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// A client for what stores say of themselves, all of it fetched with the same options.
#[derive(Clone, Debug)]
pub struct StoreClient {
    http: Http,
    grpc: Http,
}

impl StoreClient {
    /// A client with these options. Their timeout and size limit do not apply.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of them.
    pub fn new(options: &HttpOptions) -> Result<Self, SourceError> {
        Ok(Self { http: Http::new(options)?, grpc: Http::of_grpc(options)? })
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

    /// Asks the store at `url`, such as `http://10.0.1.5:20160`, for its hardware and the settings of its kernel, each
    /// at most 4 MiB, within `timeout`.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where it does not answer, or not with what it was asked for.
    pub async fn server_info(
        &self,
        url: &str,
        timeout: Duration,
    ) -> Result<Vec<ServerInfoItem>, SourceError> {
        server_info(&self.grpc, url, timeout).await
    }
}
