//! `operator rules test`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::Global;
use crate::cli::commands::rules::{MOST_MIB, read};
use crate::cli::config::file::read_up_to;
use crate::cli::exit::{self, Code};
use crate::cli::terminal::output::{self, Format};
use crate::model::escape_path;
use crate::promql::{Dialect, Engine, EngineOptions};
use crate::rules::{RuleTests, RuleTestsOutcome};

const EXAMPLES: &str = "\
Examples:
  operator rules test alerts-test.yaml
  operator rules test a-test.yaml b-test.yaml --prometheus-version 2.42

The files are those of `promtool test rules`. Exits with 0 where all expectations are met, 2 \
where a file is none of tests or of rules, 4 where an expectation is not met or a rule cannot be \
evaluated, 5 where a file is not there.";

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

/// Runs files of tests of rules. A file that cannot be run does not keep others from being run.
///
/// # Errors
///
/// Where the result cannot be printed.
pub fn run(global: &Global, args: &TestArgs) -> anyhow::Result<Code> {
    let version = args.prometheus_version.as_deref();
    let dialect = version.map_or(Dialect::V3, Dialect::of_version);
    let engine = Engine::new(EngineOptions::new(dialect));
    let tested = args.files.iter().map(|path| (escape_path(path), tested(path, &engine)));
    let tested: Vec<Tested> = tested.collect();
    match global.format {
        Format::Json => {
            let files: Vec<_> = tested.iter().map(as_json).collect();
            output::json(
                &json!({ "schema": crate::cli::commands::rules::SCHEMA, "files": files }),
            )?;
        }
        Format::Text => {
            for line in tested.iter().flat_map(lines) {
                output::line(&line)?;
            }
        }
    }
    let unread = tested.iter().find_map(|(_, outcome)| outcome.as_ref().err()).map(exit::code);
    let fails = |outcome: &RuleTestsOutcome| !outcome.failures.is_empty();
    let failed = tested.iter().any(|(_, outcome)| outcome.as_ref().is_ok_and(fails));
    Ok(unread.unwrap_or(if failed { Code::Mismatch } else { Code::Ok }))
}

/// The name of a file of tests, and what came of it.
type Tested = (String, anyhow::Result<RuleTestsOutcome>);

fn tested(path: &Path, engine: &Engine) -> anyhow::Result<RuleTestsOutcome> {
    let tests = RuleTests::parse(&escape_path(path), &read_up_to(path, MOST_MIB)?)?;
    let mut rules = Vec::new();
    for pattern in &tests.rule_files {
        for file in named(path, pattern)? {
            rules.push(read(&file)?);
        }
    }
    let outcome = tests.run(&rules, engine);
    outcome.map_err(|error| anyhow::anyhow!(error).context("cannot read series"))
}

fn as_json((name, outcome): &Tested) -> serde_json::Value {
    match outcome {
        Ok(RuleTestsOutcome { checked, met, failures }) => {
            json!({ "file": name, "checked": checked, "met": met, "failures": failures })
        }
        Err(error) => json!({ "file": name, "error": exit::chain(error) }),
    }
}

fn lines((name, outcome): &Tested) -> Vec<String> {
    match outcome {
        Ok(RuleTestsOutcome { checked, met, failures }) => {
            let head = format!("{name}: {met} of {checked} expectations are met");
            let failures = failures.iter().map(|failure| format!("  {failure}"));
            std::iter::once(head).chain(failures).collect()
        }
        Err(error) => vec![format!("{name}: cannot be run"), format!("  {}", exit::chain(error))],
    }
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
