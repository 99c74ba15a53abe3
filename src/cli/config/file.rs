//! The configuration file `operator.toml`, and the flags and files that say how sources are reached.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Deserializer};

use crate::cli::config::retention::RetentionArgs;
use crate::cli::config::told::ToldArgs;
use crate::cli::exit::CliError;
use crate::model::{ScrapedBy, escape_path};
use crate::source::{Auth, HttpOptions, Secret};

/// When what PD names is scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScrapeWhen {
    /// All the time; no Prometheus is asked
    Alone,
    /// While the Prometheus that is copied is away
    Fallback,
}

/// Where sources are and how the recorder identifies itself. Shared by `record` and `doctor`,
/// and the keys of `operator.toml`.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[command(next_help_heading = "Sources")]
pub struct SourceArgs {
    /// A cluster of TiUP: takes PD, Prometheus and certificates from TIUP_HOME or ~/.tiup
    #[arg(long, value_name = "CLUSTER")]
    pub tiup: Option<String>,
    /// URL of any PD member; the others are discovered. Repeatable, or separated by commas
    #[arg(
        long,
        value_name = "URL",
        env = "PD_ENDPOINT",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub pd: Vec<String>,
    /// Base URL of Prometheus; without it, PD is asked where its metrics live
    #[arg(long, value_name = "URL", env = "PROMETHEUS_URL", hide_env_values = true)]
    pub prometheus: Option<String>,
    /// Ask no Prometheus, and read /metrics of the members and stores that PD names, every --interval; with
    /// `=fallback`, do so only while the Prometheus is away
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "alone")]
    pub scrape: Option<ScrapeWhen>,
    /// PEM file of the certificate authorities to trust, for PD, Prometheus and what is scraped
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate, for PD, Prometheus and what is scraped
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// PEM file of the client certificate's key
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
    /// File with a bearer token for Prometheus (or OPERATOR_BEARER_TOKEN in the environment)
    #[arg(long, value_name = "FILE", conflicts_with = "basic_user")]
    pub bearer_file: Option<PathBuf>,
    /// User name for Prometheus
    #[arg(long, value_name = "USER")]
    pub basic_user: Option<String>,
    /// File with the password of --basic-user (or OPERATOR_BASIC_PASSWORD in the environment)
    #[arg(long, value_name = "FILE", requires = "basic_user")]
    pub basic_password_file: Option<PathBuf>,
    /// File with headers for Prometheus, one `Name: value` a line
    #[arg(long, value_name = "FILE")]
    pub header_file: Option<PathBuf>,
}

impl SourceArgs {
    /// These flags, with the values of `file` where a flag is not given.
    pub fn or(self, file: Self) -> Self {
        // Credentials are taken from one place, so that a token of the one is not combined with a
        // user name of the other.
        let own_credentials = self.bearer_file.is_some() || self.basic_user.is_some();
        let credentials = if own_credentials { self.clone() } else { file.clone() };
        Self {
            tiup: self.tiup.or(file.tiup),
            pd: if self.pd.is_empty() { file.pd } else { self.pd },
            prometheus: self.prometheus.or(file.prometheus),
            scrape: self.scrape.or(file.scrape),
            ca_file: self.ca_file.or(file.ca_file),
            cert_file: self.cert_file.or(file.cert_file),
            key_file: self.key_file.or(file.key_file),
            bearer_file: credentials.bearer_file,
            basic_user: credentials.basic_user,
            basic_password_file: credentials.basic_password_file,
            header_file: self.header_file.or(file.header_file),
        }
    }

    /// Whether what PD names is scraped, and no Prometheus is asked.
    pub fn scrapes_alone(&self) -> bool {
        self.scrape == Some(ScrapeWhen::Alone)
    }

    /// Who scrapes the targets of what is recorded.
    pub fn scraped_by(&self) -> ScrapedBy {
        if self.scrapes_alone() { ScrapedBy::Recorder } else { ScrapedBy::Prometheus }
    }

    /// Whether credentials or headers would be sent to Prometheus.
    pub fn has_credentials(&self) -> bool {
        self.bearer_file.is_some()
            || self.basic_user.is_some()
            || self.header_file.is_some()
            || environment("OPERATOR_BEARER_TOKEN").is_some()
    }

    /// The options for PD: TLS files alone, since PD has no other credentials.
    pub fn pd_options(&self) -> HttpOptions {
        HttpOptions {
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            ..HttpOptions::default()
        }
    }

    /// The options for Prometheus, with its credentials and headers.
    ///
    /// # Errors
    ///
    /// Where a file of secrets cannot be read, or a user name has no password.
    pub fn prometheus_options(&self) -> anyhow::Result<HttpOptions> {
        let headers = self.header_file.as_deref().map(headers).transpose()?.unwrap_or_default();
        Ok(HttpOptions { auth: self.auth()?, headers, ..self.pd_options() })
    }

    fn auth(&self) -> anyhow::Result<Auth> {
        if let Some(path) = &self.bearer_file {
            return Ok(Auth::Bearer(secret(path)?));
        }
        if let Some(user) = &self.basic_user {
            let password = match &self.basic_password_file {
                Some(path) => secret(path)?,
                None => environment("OPERATOR_BASIC_PASSWORD").ok_or_else(|| {
                    CliError::Usage(
                        "--basic-user needs --basic-password-file or OPERATOR_BASIC_PASSWORD"
                            .to_owned(),
                    )
                })?,
            };
            return Ok(Auth::Basic { user: user.clone(), password });
        }
        Ok(environment("OPERATOR_BEARER_TOKEN").map_or(Auth::None, Auth::Bearer))
    }
}

/// The file `operator.toml`: its keys are the long flags of `record`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigFile {
    /// The name of the run, as `--run`.
    pub run: Option<String>,
    /// How long to record live, as `--for`.
    pub r#for: Option<String>,
    /// The start of the past to copy, as `--from`.
    pub from: Option<String>,
    /// The end of the past to copy, as `--to`.
    pub to: Option<String>,
    /// The time between two copies, as `--interval`.
    pub interval: Option<String>,
    /// The name or the file of the subject, as `--subject`.
    pub subject: Option<String>,
    /// How long segments are kept, as `--keep`.
    pub keep: Option<String>,
    /// How much all captures may occupy, as `--max-bytes`.
    pub max_bytes: Option<String>,
    /// The address to serve metrics on, as `--listen`.
    pub listen: Option<SocketAddr>,
    /// Further selectors, as `--match`.
    pub r#match: Vec<String>,
    /// Whether only `match` is copied, as `--no-default-match`.
    pub no_default_match: bool,
    /// Whether the settings of stores are not read, as `--no-settings`.
    pub no_settings: bool,
    /// The cluster that is meant, as `--cluster`.
    pub cluster: Option<String>,
    /// Two names of a node, as `--node`.
    pub node: Vec<String>,
    /// Logs of PD answers to import, as `--pd-log`.
    pub pd_log: Vec<PathBuf>,
    /// The name of a cluster of TiUP, as `--tiup`.
    pub tiup: Option<String>,
    /// URLs of PD members, as `--pd`.
    pub pd: Vec<String>,
    /// The base URL of Prometheus, as `--prometheus`.
    pub prometheus: Option<String>,
    /// Whether and when what PD names is scraped, as `--scrape`: `true`, or the word of the flag.
    #[serde(deserialize_with = "scrape")]
    pub scrape: Option<ScrapeWhen>,
    /// The file of certificate authorities, as `--ca-file`.
    pub ca_file: Option<PathBuf>,
    /// The file of the client certificate, as `--cert-file`.
    pub cert_file: Option<PathBuf>,
    /// The file of that certificate's key, as `--key-file`.
    pub key_file: Option<PathBuf>,
    /// The file of the bearer token, as `--bearer-file`.
    pub bearer_file: Option<PathBuf>,
    /// The user name for Prometheus, as `--basic-user`.
    pub basic_user: Option<String>,
    /// The file of its password, as `--basic-password-file`.
    pub basic_password_file: Option<PathBuf>,
    /// The file of headers, as `--header-file`.
    pub header_file: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads the file; without a path, no key is set.
    ///
    /// # Errors
    ///
    /// An error where it cannot be read, is no TOML, or has a key that is no flag.
    pub fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = read_small(path)?;
        let usage = |error| {
            CliError::Usage(format!("{}: {}", escape_path(path), error_in_line(&text, &error)))
        };
        toml::from_str(&text).map_err(|error| usage(error).into())
    }

    /// The keys of the file about how much is kept.
    pub fn retention(&self) -> RetentionArgs {
        RetentionArgs { keep: self.keep.clone(), max_bytes: self.max_bytes.clone() }
    }

    /// The keys of the file about clusters and nodes.
    pub fn told(&self) -> ToldArgs {
        ToldArgs { cluster: self.cluster.clone(), nodes: self.node.clone() }
    }

    /// The keys of the file about sources.
    pub fn sources(&self) -> SourceArgs {
        SourceArgs {
            tiup: self.tiup.clone(),
            pd: self.pd.clone(),
            prometheus: self.prometheus.clone(),
            scrape: self.scrape,
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            bearer_file: self.bearer_file.clone(),
            basic_user: self.basic_user.clone(),
            basic_password_file: self.basic_password_file.clone(),
            header_file: self.header_file.clone(),
        }
    }
}

/// A flag as a key: `true` is the flag without a word.
fn scrape<'de, D: Deserializer<'de>>(value: D) -> Result<Option<ScrapeWhen>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "neither true, false, \"alone\" nor \"fallback\"")]
    enum Key {
        Flag(bool),
        When(ScrapeWhen),
    }
    Ok(match Key::deserialize(value)? {
        Key::Flag(is_given) => is_given.then_some(ScrapeWhen::Alone),
        Key::When(when) => Some(when),
    })
}

/// The error and the number of its line. The line is never quoted, since it may contain a secret.
fn error_in_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}

fn environment(name: &str) -> Option<Secret> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(Secret::new)
}

fn secret(path: &Path) -> anyhow::Result<Secret> {
    let text = read_small(path)?;
    let text = text.trim();
    anyhow::ensure!(!text.is_empty(), CliError::Usage(format!("{} is empty", escape_path(path))));
    Ok(Secret::new(text))
}

/// The headers in a file. An error names the line and never quotes it, since it may contain a secret.
fn headers(path: &Path) -> anyhow::Result<Vec<(String, Secret)>> {
    let text = read_small(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let (name, value) = line.split_once(':').ok_or_else(|| {
                let path = escape_path(path);
                CliError::Usage(format!("{path}: line {} is not `Name: value`", number + 1))
            })?;
            Ok((name.trim().to_owned(), Secret::new(value.trim())))
        })
        .collect()
}

/// Reads a configuration file or a file of secrets, which is no larger than 1 MiB: a larger one is
/// a mistake.
///
/// # Errors
///
/// Where it is larger or cannot be read.
pub fn read_small(path: &Path) -> anyhow::Result<String> {
    read_up_to(path, 1)
}

/// Reads a file that is no larger than `most_mib` MiB.
///
/// # Errors
///
/// Where it is larger or cannot be read.
pub fn read_up_to(path: &Path, most_mib: u64) -> anyhow::Result<String> {
    let cannot_read = || format!("cannot read {}", escape_path(path));
    let bytes = fs::metadata(path).with_context(cannot_read)?.len();
    anyhow::ensure!(
        bytes <= most_mib << 20,
        CliError::Usage(format!("{} is larger than {most_mib} MiB", escape_path(path)))
    );
    fs::read_to_string(path).with_context(cannot_read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_the_file_and_unknown_keys_are_refused() {
        let file: ConfigFile = toml::from_str(
            "pd = [\"http://a:2379\"]\nprometheus = \"http://p:9090\"\nfor = \"10m\"",
        )
        .expect("the keys are flags");
        let flags =
            SourceArgs { prometheus: Some("http://q:9090".to_owned()), ..SourceArgs::default() };
        let both = flags.or(file.sources());
        assert_eq!(both.prometheus.as_deref(), Some("http://q:9090"));
        assert_eq!(both.pd, ["http://a:2379"]);
        assert_eq!(file.r#for.as_deref(), Some("10m"));
        assert!(toml::from_str::<ConfigFile>("password = \"x\"").is_err());
        for (text, scrape) in [
            ("scrape = true", Some(ScrapeWhen::Alone)),
            ("scrape = false", None),
            ("scrape = 'fallback'", Some(ScrapeWhen::Fallback)),
        ] {
            let file: ConfigFile = toml::from_str(text).expect("the key is a flag");
            assert_eq!(file.sources().scrape, scrape, "{text}");
        }
        let error = toml::from_str::<ConfigFile>("scrape = 'never'").expect_err("no such word");
        assert!(error.message().contains("fallback"), "{error}");
    }

    #[test]
    fn a_line_of_the_configuration_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("operator.toml");
        for text in ["run = 'a'\nbasic-password = 'hunter2'", "run = 'a'\npd = 'hunter2' x"] {
            fs::write(&path, text).expect("the directory is writable");
            let error = ConfigFile::read(Some(&path)).expect_err("no such key").to_string();
            assert!(error.contains("line 2: ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_broken_header_line_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("headers");
        fs::write(&path, "X-Scope-OrgID: tenant\nhunter2").expect("the directory is writable");
        let error = headers(&path).expect_err("the second line is broken").to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }
}
