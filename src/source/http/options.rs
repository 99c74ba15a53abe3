//! How a source is reached: its credentials, headers and certificates, and the bounds of an exchange.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Identity};

use super::failure::why;
use crate::source::error::SourceError;

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

pub(super) fn default_headers(options: &HttpOptions) -> Result<HeaderMap, SourceError> {
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
pub(super) fn with_certificates(
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
