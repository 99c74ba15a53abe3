//! `operator health`.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::Global;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, Format};
use crate::model::parse_duration_ms;
use crate::source::{Http, HttpOptions};

/// The largest answer that is read, in bytes; it is one line.
const MAX_BODY: u64 = 4096;

const EXAMPLES: &str = "\
Examples:
  operator health  of `operator record --listen 127.0.0.1:9464`
  operator health --url http://recorder:9464

Exits with 0 where the recorder commits, and with 6 where it does not or cannot be reached.";

/// Arguments of `health`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct HealthArgs {
    /// Where the recorder listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    url: String,
    /// How long to wait for an answer
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    timeout: String,
}

/// Asks a recorder whether it commits.
///
/// # Errors
///
/// [`CliError::Unhealthy`] where it says no, a [`SourceError`](crate::source::SourceError) where it does not answer.
pub fn run(global: &Global, args: &HealthArgs) -> anyhow::Result<()> {
    let base = args.url.trim_end_matches('/');
    let url = format!("{}/healthz", base.strip_suffix("/healthz").unwrap_or(base));
    let timeout = Duration::from_millis(parse_duration_ms(&args.timeout)?.try_into()?);
    let answer = crate::cli::block_on(async {
        let http = Http::new(&HttpOptions::default())?;
        Ok(http.get_bounded(&url, &[], None, timeout, MAX_BODY).await?)
    })?;
    let said = answer.body_start();
    let healthy = answer.status == 200;
    if global.format == Format::Json {
        output::json(&json!({ "schema": 1, "healthy": healthy, "said": said }))?;
    } else if healthy {
        output::line(&said)?;
    }
    if healthy { Ok(()) } else { Err(CliError::Unhealthy(said).into()) }
}
