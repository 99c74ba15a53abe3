//! Certificates, for commands that ask nodes and have no other sources.

use std::path::PathBuf;

use clap::Args;

use crate::source::HttpOptions;

/// The files of a TLS connection to the nodes of a cluster.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Certificates for --logs and --profiles")]
pub struct TlsArgs {
    /// PEM file of the certificate authorities to trust
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// PEM file of the client certificate's key
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
}

impl TlsArgs {
    /// The options of a client.
    pub fn options(&self) -> HttpOptions {
        HttpOptions {
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            ..HttpOptions::default()
        }
    }
}
