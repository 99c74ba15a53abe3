//! What the user can do about a source that does not answer, by the cause.

use crate::source::{Obstacle, SourceError};

/// What to do about an error of a source; `None` where the error itself is all that is known.
pub fn source_fix(error: &SourceError) -> Option<&'static str> {
    match error {
        SourceError::Blocked { obstacle, .. } => Some(obstacle_fix(*obstacle)),
        SourceError::Timeout { .. } => Some(
            "check the address; a firewall between may drop the packets, or the server hangs: see its log",
        ),
        SourceError::Unauthorized { .. } => {
            Some("see --ca-file, --cert-file and --key-file, --bearer-file, --basic-user")
        }
        SourceError::Status { status: 404, .. } => {
            Some("check that the URL is the base URL of this server, and not of another one")
        }
        SourceError::Connect { .. } => Some("check the address and the network between"),
        _ => None,
    }
}

/// The same of PD, at whose URL another server may answer.
pub fn pd_fix(error: &SourceError) -> Option<&'static str> {
    match error {
        SourceError::Malformed { .. } | SourceError::Status { status: 404, .. } => {
            Some("give a client URL of PD, usually port 2379, to --pd")
        }
        SourceError::Blocked { obstacle: Obstacle::Refused, .. } => {
            Some("if this member is down, give another to --pd as well; else correct the port")
        }
        other => source_fix(other),
    }
}

/// The same of an Alertmanager.
pub fn alertmanager_fix(error: &SourceError) -> &'static str {
    match error {
        SourceError::Malformed { .. } | SourceError::Status { status: 404, .. } => {
            "give the base URL of an Alertmanager, usually port 9093, to --alertmanager"
        }
        other => source_fix(other).unwrap_or("see the log of the Alertmanager"),
    }
}

fn obstacle_fix(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::UnknownHost => "check the spelling of the host name and the DNS of this machine",
        Obstacle::Refused => "start the server, or correct the port",
        Obstacle::NoRoute => "check the address, and the network and firewall between",
        Obstacle::Closed => {
            "if the server speaks TLS, use https:// with --ca-file; else see its log"
        }
        Obstacle::ClosedTls | Obstacle::ClientCertificateMissing => {
            "give the client certificate that the server expects with --cert-file and --key-file"
        }
        Obstacle::NotHttp | Obstacle::ExpectsTls => {
            "use https:// with --ca-file, or correct the port"
        }
        Obstacle::NotTls => "use http://, or correct the port",
        Obstacle::ClientCertificateRefused => {
            "give --cert-file a certificate that the cluster's authority signed and that has not expired"
        }
        Obstacle::UnknownIssuer => {
            "give the authority that signed the server's certificate with --ca-file"
        }
        Obstacle::Expired => "renew the server's certificate, and check the clock of this machine",
        Obstacle::NotValidYet => "check the clocks of this machine and of the server",
        Obstacle::Version1 => {
            "issue the server's certificate again as X.509 version 3, with its names in subjectAltName"
        }
        Obstacle::WrongName => {
            "use a host name that the certificate has, or issue it for this one (subjectAltName)"
        }
    }
}
