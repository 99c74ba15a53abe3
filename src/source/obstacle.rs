//! Why a server could not be asked: the cause of a failed connection in plain words.
//!
//! The HTTP client nests its errors several levels deep; the cause is found by type, not by its text. What
//! to do about it is said in `cli`, which knows the options.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// What Go's servers answer, with status 400, to a request without TLS on a port with TLS.
const GO_EXPECTS_TLS: &[u8] = b"Client sent an HTTP request to an HTTPS server";

/// The cause of a failed connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The name service knows no address of the host.
    #[error("the host name does not resolve")]
    UnknownHost,
    /// The host refuses connections on this port.
    #[error("nothing listens on this port (connection refused)")]
    Refused,
    /// The network has no way to the address.
    #[error("there is no route to this address")]
    NoRoute,
    /// The connection was closed before an answer, without TLS.
    #[error("the server closed the connection without an answer")]
    Closed,
    /// The connection was closed before an answer, with TLS. A server that wants a client certificate may
    /// do so before its alert is read.
    #[error("the server closed the TLS connection without an answer")]
    ClosedTls,
    /// What arrives on an `http` connection is not HTTP; servers with TLS answer so.
    #[error("the server does not answer in HTTP, so it may expect TLS")]
    NotHttp,
    /// The server says that it expects TLS.
    #[error("the server expects TLS")]
    ExpectsTls,
    /// What arrives on an `https` connection is not TLS.
    #[error("the server does not speak TLS on this port")]
    NotTls,
    /// The server requires a client certificate, and none was sent.
    #[error("the server requires a client certificate")]
    ClientCertificateMissing,
    /// The server does not accept the client certificate.
    #[error("the server refuses the client certificate")]
    ClientCertificateRefused,
    /// No trusted authority signed the server's certificate.
    #[error("no trusted authority signed the server's certificate")]
    UnknownIssuer,
    /// The server's certificate has expired.
    #[error("the server's certificate has expired")]
    Expired,
    /// The server's certificate begins in the future.
    #[error("the server's certificate is not valid yet")]
    NotValidYet,
    /// The server's certificate has the form X.509 version 1, which has no names to check.
    #[error("the server's certificate has X.509 version 1, which cannot be verified")]
    Version1,
    /// The server's certificate is for other names.
    #[error("the server's certificate is for another host name")]
    WrongName,
}

impl Obstacle {
    /// The obstacle among the causes of `error`, which a request to `url` ended with; `None` where the
    /// cause is another one.
    pub(super) fn of(error: &(dyn Error + 'static), url: &str) -> Option<Self> {
        let causes = causes(error);
        let tls = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Self::of_tls(tls);
        }
        let closed = if url.starts_with("https:") { Self::ClosedTls } else { Self::Closed };
        // Over HTTP/2, which Go's servers speak with TLS, nothing but the text is left of an alert that comes once
        // requests are under way.
        let alert = causes.iter().find_map(|cause| {
            Self::of_alert(cause.to_string().rsplit_once("received fatal alert: ")?.1)
        });
        alert.or_else(|| causes.iter().find_map(|cause| Self::of_connection(*cause, closed)))
    }

    /// What the server refuses by an alert of TLS, by the alert's name.
    fn of_alert(name: &str) -> Option<Self> {
        match name {
            "CertificateRequired" => Some(Self::ClientCertificateMissing),
            "BadCertificate"
            | "UnsupportedCertificate"
            | "CertificateRevoked"
            | "CertificateExpired"
            | "CertificateUnknown"
            | "UnknownCA"
            | "AccessDenied" => Some(Self::ClientCertificateRefused),
            _ => None,
        }
    }

    /// The obstacle that an answer with status 400 names.
    pub(super) fn of_bad_request(body: &[u8]) -> Option<Self> {
        let mut windows = body.windows(GO_EXPECTS_TLS.len());
        windows.any(|window| window == GO_EXPECTS_TLS).then_some(Self::ExpectsTls)
    }

    /// Whether it lies in certificates, so that a connection could be made and access was refused.
    pub fn is_about_certificates(self) -> bool {
        match self {
            Self::ClientCertificateMissing
            | Self::ClientCertificateRefused
            | Self::UnknownIssuer
            | Self::Expired
            | Self::NotValidYet
            | Self::Version1
            | Self::WrongName => true,
            Self::UnknownHost
            | Self::Refused
            | Self::NoRoute
            | Self::Closed
            | Self::ClosedTls
            | Self::NotHttp
            | Self::ExpectsTls
            | Self::NotTls => false,
        }
    }

    /// Whether the server may answer the same request later, since it or the way to it is down.
    pub fn is_about_reachability(self) -> bool {
        matches!(
            self,
            Self::UnknownHost | Self::Refused | Self::NoRoute | Self::Closed | Self::ClosedTls
        )
    }

    fn of_tls(error: &rustls::Error) -> Option<Self> {
        Some(match error {
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::AlertReceived(alert) => return Self::of_alert(&format!("{alert:?}")),
            rustls::Error::InvalidCertificate(error) => return Self::of_certificate(error),
            _ => return None,
        })
    }

    fn of_certificate(error: &CertificateError) -> Option<Self> {
        Some(match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotValidYet
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            // The type of this error belongs to a library that rustls does not export.
            CertificateError::Other(other) if other.to_string() == "UnsupportedCertVersion" => {
                Self::Version1
            }
            _ => return None,
        })
    }

    fn of_connection(cause: &(dyn Error + 'static), closed: Self) -> Option<Self> {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            return match (error.is_parse(), error.is_incomplete_message()) {
                (true, _) => Some(Self::NotHttp),
                (_, true) => Some(closed),
                _ => error.is_canceled().then_some(closed),
            };
        }
        // The name service has no error type of its own: the resolver's message is all there is.
        if cause.to_string() == "dns error" {
            return Some(Self::UnknownHost);
        }
        match cause.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Some(Self::NoRoute)
            }
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Some(closed),
            _ => None,
        }
    }
}

/// The causes of an error, outermost first. The source of an I/O error skips the error that it wraps, which
/// is included here.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause);
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    causes
}
