//! What a failed exchange is, by the error of the HTTP client.

use std::time::Duration;

use super::CONNECT_TIMEOUT;
use crate::source::error::SourceError;
use crate::source::obstacle::Obstacle;
use crate::source::redact::{Redactor, public_url};

pub(super) fn classify(
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
pub(super) fn why(error: &reqwest::Error) -> String {
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
