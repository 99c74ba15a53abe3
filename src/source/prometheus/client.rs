//! The part of a Prometheus server's HTTP API that the recorder uses, except for raw samples.
//!
//! Reading raw samples is in `read`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::query::{self, ApiAnswer};
use super::read::{ScalarData, ScalarResult, VectorData, VectorSample, seconds};
use super::selector::Selector;
use crate::model::{ClockOffset, Source, TimeRange, Timestamp, cut, parse_duration_ms};
use crate::source::SourceError;
use crate::source::http::{AnswerStream, Ask, Http, HttpOptions};
use crate::source::redact::{Redactor, public_url};

/// How many characters of a server's error message are kept: it may quote a long query before it names
/// the limit that was exceeded.
const LONGEST_MESSAGE: usize = 4096;

/// A client of a Prometheus server, or of another server with the same HTTP API.
#[derive(Clone, Debug)]
pub struct PrometheusClient {
    http: Http,
    base: String,
    /// The query part of every URL: empty, or `?` and the rest.
    query: String,
    public_base: String,
    timeout: Duration,
    max_body_bytes: u64,
    /// Whether it is known that the server is no Thanos Querier, shared between clones.
    pub(super) lists_no_stores: Arc<AtomicBool>,
}

impl PrometheusClient {
    /// A client for the server at `base_url`, to whose path `/api/v1/…` is appended; a query in it,
    /// such as `?extra_label=team=a`, is sent along with every request.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of these options.
    pub fn new(base_url: &str, options: &HttpOptions) -> Result<Self, SourceError> {
        let base_url = base_url.trim();
        let public_base = public_url(base_url).trim_end_matches('/').to_owned();
        match Url::parse(base_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => {
                let why = format!("{public_base:?} is not the URL of an HTTP server");
                return Err(SourceError::Options(why));
            }
        }
        let without_fragment = base_url.split('#').next().unwrap_or_default();
        let (base, query) = match without_fragment.split_once('?') {
            Some((base, query)) => (base, format!("?{query}")),
            None => (without_fragment, String::new()),
        };
        Ok(Self {
            http: Http::new(options)?.hiding(base_url),
            base: base.trim_end_matches('/').to_owned(),
            query,
            public_base,
            timeout: options.timeout,
            max_body_bytes: options.max_body_bytes,
            lists_no_stores: Arc::default(),
        })
    }

    /// The base URL without secrets, as it may be stored: see [`public_url`].
    pub fn public_base(&self) -> &str {
        &self.public_base
    }

    /// The secrets of this client, to be removed from texts.
    pub fn redactor(&self) -> &Redactor {
        self.http.redactor()
    }

    /// The server's version, such as `2.42.0`. Only the major version, such as `3`, where the server does
    /// not report it: builds without linker flags and some compatible servers do not. Where a compatible server
    /// reports a version that is not Prometheus's, as Thanos and VictoriaMetrics do, the generation of PromQL that it
    /// evaluates stands behind: `0.42.4 (PromQL 3)`. `None` where neither can be determined.
    pub async fn version(&self) -> Option<String> {
        let version = self.build_info().await.ok().filter(|version| !version.is_empty());
        let major = self.major().await;
        match (version, major) {
            (Some(version), Some(major))
                if version.trim_start_matches('v').split('.').next() != Some(major) =>
            {
                Some(format!("{version} (PromQL {major})"))
            }
            (version, major) => version.or(major.map(str::to_owned)),
        }
    }

    async fn build_info(&self) -> Result<String, SourceError> {
        #[derive(Deserialize)]
        struct BuildInfo {
            version: String,
        }
        let (url, body) = self.get("/api/v1/status/buildinfo", &[]).await?;
        let version = self.api_data::<BuildInfo>(&url, &body)?.version;
        Ok(self.redactor().redact(&version).into_owned())
    }

    /// The major version, derived from whether a range includes its left bound, as it does before
    /// version 3. The query is a subquery over a constant, which needs no data.
    async fn major(&self) -> Option<&'static str> {
        let query = "scalar(count_over_time(vector(1)[2s:1s]))";
        let (_, count) = self.scalar(&[("query", query), ("time", "10")]).await.ok()?;
        match count.as_str() {
            "3" => Some("2"),
            "2" => Some("3"),
            _ => None,
        }
    }

    /// Type, help and unit of each metric: the answer of `/api/v1/metadata`, unchanged.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the request fails.
    pub async fn metadata(&self) -> Result<serde_json::Value, SourceError> {
        let (url, body) = self.get("/api/v1/metadata", &[]).await?;
        self.api_data(&url, &body)
    }

    /// The global scrape interval of the server's configuration, in milliseconds; `None` where
    /// it is unavailable. Jobs may have intervals of their own.
    pub async fn scrape_interval_ms(&self) -> Option<i64> {
        #[derive(Deserialize)]
        struct Config {
            yaml: String,
        }
        let (url, body) = self.get("/api/v1/status/config", &[]).await.ok()?;
        global_scrape_interval_ms(&self.api_data::<Config>(&url, &body).ok()?.yaml)
    }

    /// The names of the metrics that `selector` finds in blocks that overlap `range`, ascending.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the request fails.
    pub async fn metric_names(
        &self,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<Vec<String>, SourceError> {
        let selector = selector.to_string();
        let start = range.start.as_millis().div_euclid(1000).to_string();
        let end = range.end.as_millis().div_euclid(1000).saturating_add(1).to_string();
        let query = [("match[]", selector.as_str()), ("start", &start), ("end", &end)];
        let (url, body) = self.get("/api/v1/label/__name__/values", &query).await?;
        let mut names: Vec<String> = self.api_data(&url, &body)?;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The number that `query` evaluates to at an instant; zero where its result is empty.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the request fails or the result is more than one number.
    pub async fn count(&self, query: &str, at: Timestamp) -> Result<f64, SourceError> {
        let url = self.url("/api/v1/query");
        let time = seconds(at.as_millis());
        let body = self.post_form(&url, &[("query", query), ("time", &time)]).await?;
        let data: VectorData = self.api_data(&url, &body)?;
        match &data.result[..] {
            [] => Ok(0.0),
            [one] => one
                .value
                .1
                .parse()
                .map_err(|_| self.malformed(&url, format!("{:?} is not a number", one.value.1))),
            more => Err(self.malformed(&url, format!("{} values and not one", more.len()))),
        }
    }

    /// The server's clock, to the millisecond: its answer to the query `time()`.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the request fails or the answer is no instant.
    pub async fn server_time(&self) -> Result<Timestamp, SourceError> {
        let (seconds, _) = self.scalar(&[("query", "time()")]).await?;
        query::timestamp(seconds).ok_or_else(|| {
            self.malformed(&self.url("/api/v1/query"), format!("{seconds} is not an instant"))
        })
    }

    /// The instant in seconds, and the value in text.
    async fn scalar(&self, asked: &[(&str, &str)]) -> Result<(f64, String), SourceError> {
        let url = self.url("/api/v1/query");
        let body = self.post_form(&url, asked).await?;
        match self.api_data::<ScalarData>(&url, &body)?.result {
            ScalarResult::Scalar(seconds, value) => Ok((seconds, value)),
            ScalarResult::Vector(mut found) => match (found.pop(), found.is_empty()) {
                (Some(VectorSample { value }), true) => Ok(value),
                _ => Err(self.malformed(&url, "it is not one number".to_owned())),
            },
        }
    }

    /// The server's clock minus the clock `now`, under the assumption that the server answered half way
    /// through the exchange. The header `Date` has whole seconds only, and so has VictoriaMetrics, which rounds
    /// the instant of a query down.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where [`server_time`](Self::server_time) fails.
    pub async fn clock_offset(
        &self,
        now: &(dyn Fn() -> Timestamp + Sync),
    ) -> Result<ClockOffset, SourceError> {
        let before = now();
        let server = self.server_time().await?;
        let half = ((now() - before) / 2).max(0);
        let at = before + half;
        let rounded = if server.as_millis() % 1000 == 0 { 500 } else { 0 };
        Ok(ClockOffset {
            source: Source::Prometheus.to_string(),
            at,
            offset_ms: server - at + rounded,
            uncertainty_ms: half + 1 + rounded,
        })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}{}", self.base, self.query)
    }

    pub(super) fn max_body_bytes(&self) -> u64 {
        self.max_body_bytes
    }

    /// Posts `body` and returns once the answer's headers have arrived.
    pub(super) async fn open(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<AnswerStream, SourceError> {
        self.http.open(url, headers, Ask::Post(body), self.timeout, self.max_body_bytes).await
    }

    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<(String, Vec<u8>), SourceError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.push(if self.query.is_empty() { '?' } else { '&' });
            url.push_str(&form(query));
        }
        let answer = self.http.open(&url, &[], Ask::Get, self.timeout, self.max_body_bytes).await?;
        Ok((url, answer.successful().await?.read_whole().await?.body))
    }

    /// Posts a form, which is free of the limits on the length of URLs.
    pub(super) async fn post_form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
    ) -> Result<Vec<u8>, SourceError> {
        let answer = self.post_form_open(url, fields).await?;
        Ok(answer.successful().await?.read_whole().await?.body)
    }

    /// Posts a form, and returns once the answer's headers have arrived.
    pub(super) async fn post_form_open(
        &self,
        url: &str,
        fields: &[(&str, &str)],
    ) -> Result<AnswerStream, SourceError> {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.open(url, &headers, form(fields).into_bytes()).await
    }

    /// The data of an answer of the HTTP API, whose success lies in its body.
    pub(super) fn api_data<'a, T: Deserialize<'a>>(
        &self,
        url: &str,
        body: &'a [u8],
    ) -> Result<T, SourceError> {
        let (data, remarks) = self.api_answer(url, body)?;
        for warning in remarks {
            tracing::warn!(url = public_url(url), %warning, "the source warns");
        }
        Ok(data)
    }

    /// The same, and why something may be missing in it: the server's warnings, without secrets.
    pub(super) fn api_answer<'a, T: Deserialize<'a>>(
        &self,
        url: &str,
        body: &'a [u8],
    ) -> Result<(T, Vec<String>), SourceError> {
        let answer: ApiAnswer<T> = serde_json::from_slice(body).map_err(|error| {
            let start = self.redactor().body_start(body);
            self.malformed(url, format!("{error}, in {start:?}"))
        })?;
        let mut remarks: Vec<String> =
            answer.warnings.iter().map(|text| self.readable(text)).collect();
        if answer.is_partial {
            remarks.push("the answer is partial".to_owned());
        }
        match answer {
            ApiAnswer { data: Some(data), status, .. } if status == "success" => {
                Ok((data, remarks))
            }
            ApiAnswer { status, error_type, error, .. } if status == "error" => {
                Err(SourceError::Reported {
                    url: public_url(url),
                    kind: self.readable(&error_type),
                    message: self.readable(&error),
                })
            }
            ApiAnswer { status, .. } => {
                Err(self.malformed(url, format!("status {status:?} without data")))
            }
        }
    }

    /// What a server says, without secrets and not longer than is kept.
    pub(super) fn readable(&self, text: &str) -> String {
        cut(&self.redactor().redact(text), LONGEST_MESSAGE).into_owned()
    }

    pub(super) fn malformed(&self, url: &str, why: String) -> SourceError {
        let why = self.redactor().redact(&why).into_owned();
        SourceError::Malformed { url: public_url(url), why }
    }

    pub(super) fn too_large(&self, url: &str) -> SourceError {
        SourceError::TooLarge { url: public_url(url), limit: self.max_body_bytes }
    }
}

/// The fields in the encoding `application/x-www-form-urlencoded`.
fn form(fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://localhost/").expect("the literal is a URL");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

/// The value of `scrape_interval` under `global`, in milliseconds. Prometheus prints its configuration
/// with an indentation of two spaces, so that it can be read line by line.
fn global_scrape_interval_ms(yaml: &str) -> Option<i64> {
    yaml.lines()
        .skip_while(|line| line.trim_end() != "global:")
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .find_map(|line| line.strip_prefix("  scrape_interval:"))
        .and_then(|value| parse_duration_ms(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_global_interval_is_not_that_of_a_job() {
        let yaml = "global:\n  scrape_timeout: 10s\n  scrape_interval: 1m30s\nscrape_configs:\n";
        assert_eq!(global_scrape_interval_ms(yaml), Some(90_000));
        let job = "global:\n  scrape_timeout: 10s\nscrape_configs:\n- scrape_interval: 5s\n";
        assert_eq!(global_scrape_interval_ms(job), None);
    }

    #[test]
    fn credentials_in_the_base_url_do_not_show() {
        let client = PrometheusClient::new("http://ann:hunter2@p:9090/x/", &HttpOptions::default())
            .expect("the URL is valid");
        assert_eq!(client.public_base(), "http://p:9090/x");
        assert_eq!(client.url("/api"), "http://ann:hunter2@p:9090/x/api");
    }

    #[test]
    fn a_query_in_the_base_url_is_sent_and_not_shown() {
        let url = "http://p:9090/x/?token=hunter2";
        let client = PrometheusClient::new(url, &HttpOptions::default()).expect("it is valid");
        assert_eq!(client.url("/api"), "http://p:9090/x/api?token=hunter2");
        assert_eq!(client.public_base(), "http://p:9090/x");
        assert_eq!(client.redactor().redact("got hunter2"), "got ***");
    }
}
