//! An HTTP client with bounds: of the time of an exchange, the number of redirects and the size of an
//! answer.
//!
//! What an answer means, its status included, is decided by the callers.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Certificate, Client, ClientBuilder, Identity, Response, Url, redirect};

use super::error::SourceError;
use super::obstacle::Obstacle;
use super::redact::{Redactor, public_url};

/// How long a connection may take to be established.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of redirects that are followed; a fourth is an error, so that a cycle ends.
const MAX_REDIRECTS: usize = 3;

/// A text that is never printed: its `Debug` output is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that is secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret text itself, for sending it to the source only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The credentials that the recorder sends to a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// No credentials besides a client certificate.
    #[default]
    None,
    /// A bearer token (`Authorization: Bearer`).
    Bearer(Secret),
    /// A user name and a password (`Authorization: Basic`).
    Basic {
        /// The name of the user.
        user: String,
        /// The password of that user.
        password: Secret,
    },
}

/// How a source is reached, and the bounds of an exchange with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// A PEM file of the only certificate authorities to trust; without it, the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client certificate; needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the client certificate's key; needs `cert_file`.
    pub key_file: Option<PathBuf>,
    /// The credentials of every request.
    pub auth: Auth,
    /// Headers that every request carries, such as `X-Scope-OrgID`.
    pub headers: Vec<(String, Secret)>,
    /// The longest time of a whole exchange.
    pub timeout: Duration,
    /// The size of the largest acceptable answer, in bytes after decompression.
    pub max_body_bytes: u64,
}

impl Default for HttpOptions {
    /// No TLS files and no credentials, 30 seconds, 1 GiB.
    fn default() -> Self {
        Self {
            ca_file: None,
            cert_file: None,
            key_file: None,
            auth: Auth::None,
            headers: Vec::new(),
            timeout: Duration::from_secs(30),
            max_body_bytes: 1 << 30,
        }
    }
}

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

/// An answer whose body is still arriving.
pub(super) struct AnswerStream {
    response: Response,
    redactor: Arc<Redactor>,
    url: String,
    started: Instant,
    timeout: Duration,
    taken: u64,
    limit: u64,
}

impl AnswerStream {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The number of bytes that have arrived, after decompression.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The next piece of the body, or `None` at its end.
    pub(super) async fn chunk(
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
    pub(super) async fn successful(mut self) -> Result<Self, SourceError> {
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
    pub(super) fn with_trailers(self) -> TrailedAnswer {
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
    pub(super) async fn read_whole(mut self) -> Result<HttpAnswer, SourceError> {
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
pub(super) struct TrailedAnswer {
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
    pub(super) async fn chunk(
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
    pub(super) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A text of the server without the recorder's secrets.
    pub(super) fn redact(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    /// The URL that was asked, without secrets.
    pub(super) fn public_url(&self) -> String {
        public_url(&self.url)
    }
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

fn default_headers(options: &HttpOptions) -> Result<HeaderMap, SourceError> {
    let mut headers = HeaderMap::new();
    let credentials = match &options.auth {
        Auth::None => None,
        Auth::Bearer(token) => Some(format!("Bearer {}", token.expose())),
        Auth::Basic { user, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
        }
    };
    if let Some(credentials) = credentials {
        headers.insert(AUTHORIZATION, sensitive("authorization", &credentials)?);
    }
    for (name, value) in &options.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| SourceError::Options(format!("{name:?} cannot name a header")))?;
        let value = sensitive(name.as_str(), value.expose())?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn sensitive(name: &str, text: &str) -> Result<HeaderValue, SourceError> {
    let mut value = HeaderValue::from_str(text.trim())
        .map_err(|_| SourceError::Options(format!("the value of header {name} cannot be sent")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The builder with the authorities that are trusted and the certificate that is shown, from their files.
fn with_certificates(
    mut builder: ClientBuilder,
    options: &HttpOptions,
) -> Result<ClientBuilder, SourceError> {
    if let Some(path) = &options.ca_file {
        let pem = read_file(path)?;
        let authorities = Certificate::from_pem_bundle(&pem)
            .map_err(|error| unusable(path, "certificate authorities", &error))?;
        if authorities.is_empty() {
            return Err(SourceError::Options(format!("{} has no certificate", path.display())));
        }
        builder = builder.tls_certs_only(authorities);
    }
    match (&options.cert_file, &options.key_file) {
        (Some(cert), Some(key)) => {
            let mut pem = read_file(cert)?;
            pem.push(b'\n');
            pem.extend(read_file(key)?);
            let identity = Identity::from_pem(&pem)
                .map_err(|error| unusable(cert, "a client certificate", &error))?;
            builder = builder.identity(identity);
        }
        (None, None) => {}
        _ => {
            let why = "a client certificate needs both a certificate file and a key file";
            return Err(SourceError::Options(why.to_owned()));
        }
    }
    Ok(builder)
}

fn read_file(path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path)
        .map_err(|error| SourceError::Options(format!("cannot read {}: {error}", path.display())))
}

fn unusable(path: &Path, what: &str, error: &reqwest::Error) -> SourceError {
    SourceError::Options(format!("{} does not hold {what}: {}", path.display(), why(error)))
}

fn classify(
    error: &reqwest::Error,
    url: &str,
    timeout: Duration,
    redactor: &Redactor,
) -> SourceError {
    // The error of a redirect quotes what the server sent.
    let why = redactor.redact(&why(error)).into_owned();
    let obstacle = Obstacle::of(error, url);
    let url = public_url(url);
    if error.is_timeout() {
        // A connection that cannot be established has its own, shorter limit.
        let after = if error.is_connect() { timeout.min(CONNECT_TIMEOUT) } else { timeout };
        SourceError::Timeout { url, after }
    } else if error.is_redirect() {
        SourceError::Redirect { url, why }
    } else if let Some(obstacle) = obstacle {
        SourceError::Blocked { url, obstacle }
    } else if is_about_certificates(&why) {
        SourceError::Unauthorized { url, why }
    } else if error.is_decode() {
        SourceError::Malformed { url, why }
    } else {
        SourceError::Connect { url, why }
    }
}

/// Whether an error is about certificates. rustls reports `invalid peer certificate: …`, and `received
/// fatal alert: CertificateRequired`, `BadCertificate`, `UnknownCA` or `AccessDenied` where the peer
/// refuses ours.
fn is_about_certificates(why: &str) -> bool {
    ["certificate", "Certificate", "UnknownCA", "AccessDenied"]
        .iter()
        .any(|part| why.contains(part))
}

/// The causes of an error of the HTTP client, joined. Its own message says only which step failed, and
/// repeats the URL.
fn why(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        cause = inner.source();
    }
    if parts.is_empty() { "the exchange failed".to_owned() } else { parts.join(": ") }
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
