//! Posts alerts to Alertmanager's API, version 2.
//!
//! Which alerts there are is decided in `watch`.

use super::error::SourceError;
use super::http::{HttpOptions, http_url};
use super::redact::Redactor;
use super::webhook::Webhook;

/// Where the API takes alerts.
const ALERTS: &str = "/api/v2/alerts";

/// An Alertmanager.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    alerts: Webhook,
}

impl Alertmanager {
    /// The Alertmanager at a base URL, such as `http://alertmanager:9093`, reached with these options.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of these options, or `base` is no URL of HTTP.
    pub fn new(base: &str, options: &HttpOptions) -> Result<Self, SourceError> {
        http_url(base)?;
        let url = format!("{}{ALERTS}", base.trim_end_matches('/'));
        Ok(Self { alerts: Webhook::new(&url, options)? })
    }

    /// The secrets of this client, to be removed from texts.
    pub fn redactor(&self) -> &Redactor {
        self.alerts.redactor()
    }

    /// Posts a JSON array of alerts, in at most three attempts.
    ///
    /// # Errors
    ///
    /// [`SourceError`] of the last attempt, where none was answered with a success.
    pub async fn post(&self, alerts: &str) -> Result<(), SourceError> {
        self.alerts.post(alerts).await
    }
}
