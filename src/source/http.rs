//! An HTTP client with bounds: of the time of an exchange, the number of redirects and the size of an
//! answer.
//!
//! What an answer means, its status included, is decided by the callers.

mod answer;
mod failure;
mod options;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, ClientBuilder, Url, redirect};

use failure::{classify, why};
use options::{default_headers, with_certificates};

use super::error::SourceError;
use super::redact::{Redactor, public_url};

pub use answer::HttpAnswer;
pub(super) use answer::{AnswerStream, TrailedAnswer};
pub use options::{Auth, HttpOptions, Secret};

/// How long a connection may take to be established.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of redirects that are followed; a fourth is an error, so that a cycle ends.
const MAX_REDIRECTS: usize = 3;

/// A client for one source.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    redactor: Arc<Redactor>,
}

impl Http {
    /// A client with these options, whose files are read once. Their timeout and size limit are not used
    /// here: callers pass them with each request. Proxy settings of the environment are ignored, since
    /// otherwise outages of the proxy would be recorded as outages of the source.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where a file cannot be read or a header cannot be sent.
    pub fn new(options: &HttpOptions) -> Result<Self, SourceError> {
        Self::with(options, Client::builder())
    }

    /// The same, which speaks HTTP/2 from the first byte on, as gRPC does.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub(super) fn of_grpc(options: &HttpOptions) -> Result<Self, SourceError> {
        Self::with(options, Client::builder().http2_prior_knowledge())
    }

    fn with(options: &HttpOptions, builder: ClientBuilder) -> Result<Self, SourceError> {
        // The provider is the process's; a second installation fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = builder
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .redirect(same_origin_redirects())
            .user_agent(concat!("operator/", env!("CARGO_PKG_VERSION")))
            .default_headers(default_headers(options)?);
        let client = with_certificates(builder, options)?
            .build()
            .map_err(|error| SourceError::Options(format!("cannot set up TLS: {}", why(&error))))?;
        Ok(Self { client, redactor: Arc::new(Redactor::of_options(options)) })
    }

    /// The same client, which also removes the secrets inside `url` from what it reports.
    pub fn hiding(self, url: &str) -> Self {
        let redactor = Redactor::clone(&self.redactor).and(&Redactor::of_url(url));
        Self { redactor: Arc::new(redactor), ..self }
    }

    /// The secrets of this client, to be removed from texts.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Sends a GET, with a body where one is given, and returns the answer, whatever its status is.
    ///
    /// `timeout` bounds the whole exchange, `max_body` the decompressed body in bytes. The declared length
    /// of a body is not relied on.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where no complete answer arrived within the bounds.
    pub async fn get_bounded(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
        timeout: Duration,
        max_body: u64,
    ) -> Result<HttpAnswer, SourceError> {
        let ask = body.map_or(Ask::Get, Ask::GetWith);
        self.open(url, headers, ask, timeout, max_body).await?.read_whole().await
    }

    /// Sends a request and returns once the answer's headers have arrived.
    pub(super) async fn open(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        ask: Ask,
        timeout: Duration,
        max_body: u64,
    ) -> Result<AnswerStream, SourceError> {
        let target = http_url(url)?;
        let mut request = match ask {
            Ask::Get => self.client.get(target),
            Ask::GetWith(body) => self.client.get(target).body(body),
            Ask::Post(body) => self.client.post(target).body(body),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let started = instant_now();
        let response = request
            .timeout(timeout)
            .send()
            .await
            .map_err(|error| classify(&error, url, timeout, &self.redactor))?;
        Ok(AnswerStream {
            response,
            redactor: Arc::clone(&self.redactor),
            url: url.to_owned(),
            started,
            timeout,
            taken: 0,
            limit: max_body,
        })
    }
}

/// The method and the body of a request.
pub(super) enum Ask {
    /// A GET without a body.
    Get,
    /// A GET with a body, as PD's `/hotspot/regions/history` requires.
    GetWith(Vec<u8>),
    /// A POST with a body.
    Post(Vec<u8>),
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long an exchange took is measured where it happens, and nothing is derived from it"
)]
fn instant_now() -> Instant {
    Instant::now()
}

/// Reads a URL that HTTP can reach.
///
/// # Errors
///
/// [`SourceError::Options`] for any other text.
pub(super) fn http_url(url: &str) -> Result<Url, SourceError> {
    let target = Url::parse(url).map_err(|error| {
        SourceError::Options(format!("{:?} is not a URL: {error}", public_url(url)))
    })?;
    if !matches!(target.scheme(), "http" | "https") {
        let why = format!("{:?} is not an HTTP URL", public_url(url));
        return Err(SourceError::Options(why));
    }
    Ok(target)
}

fn same_origin_redirects() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let first = attempt.previous().first();
        let same = first.is_some_and(|first| first.origin() == attempt.url().origin());
        if !same {
            // Credentials and extra headers belong to the origin that was configured.
            let why = format!("to another origin, {}", public_url(attempt.url().as_str()));
            return attempt.error(why);
        }
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
        }
        attempt.follow()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let options = HttpOptions {
            auth: Auth::Basic { user: "ann".to_owned(), password: Secret::new("hunter2") },
            headers: vec![("x-token".to_owned(), Secret::new("hunter2"))],
            ..HttpOptions::default()
        };
        assert!(!format!("{options:?}").contains("hunter2"));
        let http = Http::new(&options).expect("the options are valid");
        assert!(!format!("{http:?}").contains("hunter2"));
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let options = HttpOptions { cert_file: Some("cert.pem".into()), ..HttpOptions::default() };
        assert!(matches!(Http::new(&options), Err(SourceError::Options(_))));
    }
}
