//! `operator rules test`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::Global;
use crate::cli::config::file::read_small;
use crate::cli::exit::Code;
use crate::cli::terminal::output::{self, Format};
use crate::model::escape_path;
use crate::promql::{Dialect, Engine, EngineOptions};
use crate::rules::{RuleFile, RuleTests};

const EXAMPLES: &str = "\
Examples:
  operator rules test alerts-test.yaml
  operator rules test a-test.yaml b-test.yaml --prometheus-version 2.42

The files are those of `promtool test rules`. Exits with 0 where all expectations are met, 2 where a
file is none of tests or of rules, 4 where an expectation is not met, 8 where a file cannot be read.";

/// Arguments of `rules test`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Files of tests, as `promtool test rules` takes them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Whose answers to give, such as 2.42 or 3 [default: those of the newest]
    #[arg(long, value_name = "VERSION")]
    prometheus_version: Option<String>,
}

/// Runs files of tests of rules.
///
/// # Errors
///
/// Where a file of tests or a rule file that it names cannot be read.
pub fn run(global: &Global, args: &TestArgs) -> anyhow::Result<Code> {
    let version = args.prometheus_version.as_deref();
    let dialect = version.map_or(Dialect::V3, Dialect::of_version);
    let engine = Engine::new(EngineOptions::new(dialect));
    let (mut tested, mut failed) = (Vec::new(), false);
    for path in &args.files {
        let name = escape_path(path);
        let tests = RuleTests::parse(&name, &read_small(path)?)?;
        let mut rules = Vec::new();
        for pattern in &tests.rule_files {
            for file in named(path, pattern)? {
                rules.push(RuleFile::parse(&escape_path(&file), &read_small(&file)?)?);
            }
        }
        let outcome = tests
            .run(&rules, &engine)
            .map_err(|error| anyhow::anyhow!(error).context("cannot read series"))?;
        failed |= !outcome.failures.is_empty();
        tested.push((name, outcome));
    }
    match global.format {
        Format::Json => {
            let files = tested.iter().map(|(name, outcome)| {
                json!({ "file": name, "checked": outcome.checked, "failures": outcome.failures })
            });
            let files: Vec<_> = files.collect();
            output::json(
                &json!({ "schema": crate::cli::commands::rules::SCHEMA, "files": files }),
            )?;
        }
        Format::Text => {
            for (name, outcome) in &tested {
                let (checked, failures) = (outcome.checked, &outcome.failures);
                output::line(&format!(
                    "{name}: {} of {checked} expectations are met",
                    checked - failures.len()
                ))?;
                for failure in failures {
                    output::line(&format!("  {failure}"))?;
                }
            }
        }
    }
    Ok(if failed { Code::Mismatch } else { Code::Ok })
}

/// The rule files that a file of tests names, relative to itself, ascending by name. Where no file matches
/// the pattern, it is returned as a path, and reading it reports the error.
fn named(tests: &Path, pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let folder = tests.parent().unwrap_or(Path::new(""));
    // A folder whose name is not UTF-8 cannot be part of a pattern, so the pattern is used as a name.
    let Some(name) = folder.to_str() else { return Ok(vec![folder.join(pattern)]) };
    let whole = Path::new(&glob::Pattern::escape(name)).join(pattern);
    let found: Vec<PathBuf> = glob::glob(&whole.to_string_lossy())?.collect::<Result<_, _>>()?;
    Ok(if found.is_empty() { vec![folder.join(pattern)] } else { found })
}
