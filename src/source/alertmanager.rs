//! Posts alerts to Alertmanager's API, version 2, and asks it for its version.
//!
//! Which alerts there are is decided in `watch`.

use std::time::Duration;

use serde::Deserialize;

use super::error::SourceError;
use super::http::{Http, HttpOptions, http_url};
use super::redact::{Redactor, public_url};
use super::webhook::Webhook;

/// Where the API takes alerts.
const ALERTS: &str = "/api/v2/alerts";
/// Where it says which version runs (`alertmanagerStatus` in `api/v2/openapi.yaml` of prometheus/alertmanager).
const STATUS: &str = "/api/v2/status";
/// The longest time for the version.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest status that is read, in bytes: it holds the configuration.
const MAX_STATUS_BYTES: u64 = 4 << 20;

/// An Alertmanager.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    alerts: Webhook,
    /// A client of its own: the connections of the other belong to the thread that posts.
    http: Http,
    base: String,
}

/// The part of `/api/v2/status` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version_info: VersionInfo,
}

#[derive(Deserialize)]
struct VersionInfo {
    version: String,
}

impl Alertmanager {
    /// The Alertmanager at a base URL, such as `http://alertmanager:9093`, reached with these options. A host and a
    /// port without a scheme are reached by `http`.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of these options, or `base` is no URL of HTTP.
    pub fn new(base: &str, options: &HttpOptions) -> Result<Self, SourceError> {
        let base = base.trim().trim_end_matches('/');
        let base = match (base.contains("://"), has_port(base)) {
            (true, _) => base.to_owned(),
            (false, true) => format!("http://{base}"),
            (false, false) => {
                let whole = public_url(&format!("http://{base}"));
                let whole = whole.trim_end_matches('/');
                let given = whole.trim_start_matches("http://");
                return Err(SourceError::Options(format!("{given:?} is not a URL: write {whole}")));
            }
        };
        http_url(&base)?;
        let alerts = Webhook::new(&format!("{base}{ALERTS}"), options)?;
        Ok(Self { alerts, http: Http::new(options)?.hiding(&base), base })
    }

    /// The base URL without secrets.
    pub fn public_base(&self) -> String {
        public_url(&self.base).trim_end_matches('/').to_owned()
    }

    /// The secrets of this client, to be removed from texts.
    pub fn redactor(&self) -> &Redactor {
        self.alerts.redactor()
    }

    /// The version of the server, which shows that it is an Alertmanager.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where it does not answer within 10 s, or not as an Alertmanager does.
    pub async fn version(&self) -> Result<String, SourceError> {
        let url = format!("{}{STATUS}", self.base);
        let answer = self.http.get_bounded(&url, &[], None, TIMEOUT, MAX_STATUS_BYTES).await?;
        let answer = answer.into_success(&url)?;
        match serde_json::from_slice::<Status>(&answer.body) {
            Ok(status) => Ok(self.redactor().redact(&status.version_info.version).into_owned()),
            Err(_) => Err(SourceError::Malformed {
                url: public_url(&url),
                why: "this is not an Alertmanager, or one without the API of version 2".to_owned(),
            }),
        }
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

/// Whether a text without a scheme names a port after its host.
fn has_port(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    host.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_a_port_needs_no_scheme() {
        let base = |text| Some(Alertmanager::new(text, &HttpOptions::default()).ok()?.base);
        assert_eq!(base("127.0.0.1:9093").as_deref(), Some("http://127.0.0.1:9093"));
        assert_eq!(base("localhost:9093/").as_deref(), Some("http://localhost:9093"));
        assert_eq!(base("https://am/x/").as_deref(), Some("https://am/x"));
        for refused in ["unix://socket", "", "foo", ":9093", "foo:bar"] {
            assert_eq!(base(refused), None, "{refused}");
        }
    }
}
