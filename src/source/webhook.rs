//! Posts JSON to a webhook.
//!
//! When to post and what is decided in `watch`.

use std::time::Duration;

use super::error::SourceError;
use super::http::{Ask, Http, HttpOptions, http_url};
use super::redact::{REDACTED, Redactor, public_url};

/// The longest time of one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const MAX_BODY: u64 = 1 << 16;
/// The waits between attempts.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// A URL that accepts JSON by POST.
#[derive(Clone, Debug)]
pub struct Webhook {
    http: Http,
    url: String,
}

impl Webhook {
    /// A webhook at `url`, reached with these options.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of these options, or `url` is none of HTTP. It is
    /// not repeated, since it may be a secret.
    pub fn new(url: &str, options: &HttpOptions) -> Result<Self, SourceError> {
        if http_url(url).is_err() {
            let why = "the webhook is no URL that begins with http:// or https://: write one of them before \
                       the host";
            return Err(SourceError::Options(why.to_owned()));
        }
        Ok(Self { http: Http::new(options)?.hiding(url), url: url.to_owned() })
    }

    /// The secrets of this client, to be removed from texts.
    pub fn redactor(&self) -> &Redactor {
        self.http.redactor()
    }

    /// Posts a JSON document, in at most three attempts.
    ///
    /// # Errors
    ///
    /// [`SourceError`] of the last attempt, where no attempt was answered with a success.
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
        self.exchange(json).await.map_err(|error| error.at(&self.public_url()))
    }

    /// The URL without its path. The path is the secret of most webhooks, even where it consists of words.
    fn public_url(&self) -> String {
        let url = public_url(&self.url);
        let host = url.find("://").map_or(0, |at| at + 3);
        match url[host..].find('/') {
            Some(path) if url.len() > host + path + 1 => {
                format!("{}/{REDACTED}", &url[..host + path])
            }
            _ => url,
        }
    }

    async fn exchange(&self, json: &str) -> Result<(), SourceError> {
        let headers = [("content-type", "application/json")];
        let ask = Ask::Post(json.as_bytes().to_vec());
        let answer = self.http.open(&self.url, &headers, ask, TIMEOUT, MAX_BODY).await?;
        answer.read_whole().await?.into_success(&self.url).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_never_shown() {
        for (url, shown) in [
            ("https://hooks.example.com/services/T0/B0/x", "https://hooks.example.com/***"),
            ("https://ann:pw@h:1/?token=x", "https://h:1/"),
            ("http://h", "http://h/"),
        ] {
            let webhook = Webhook::new(url, &HttpOptions::default()).expect("a URL");
            assert_eq!(webhook.public_url(), shown);
        }
    }

    #[tokio::test]
    async fn an_error_does_not_name_the_path() {
        let url = "http://127.0.0.1:9/services/hook/T0KEN";
        let webhook = Webhook::new(url, &HttpOptions::default()).expect("a URL");
        let error = webhook.attempt("{}").await.expect_err("nobody listens").to_string();
        assert!(error.contains("127.0.0.1:9/***") && !error.contains("hook"), "{error}");
    }
}
