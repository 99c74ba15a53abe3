//! `operator redact`.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture::CaptureReader;
use crate::cli::exit::{CliError, Code};
use crate::cli::pseudonym_key::PseudonymKey;
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::remarks::remark;
use crate::cli::{Global, lookup};
use crate::diagnose::counted;
use crate::model::{escape, escape_path};
use crate::share::{Mapping, Reversed, audit, is_looked_for, mapping_of};

const EXAMPLES: &str = "\
Examples:
  operator redact --run chaos-01 < pd.log
      the pseudonyms that an export of the run has
  operator redact --map private.json --reverse < answer.md
  operator redact --check chaos-01.capture.gz --words hosts.txt

Words that messages of TiKV, PD, etcd, Go, gRPC, Kubernetes and the operating system are made of \
pass, and so do numbers, settings' and fields' names, source files and backtraces; stderr says how \
many. Every other word becomes its pseudonym, or `redacted` where the table does not know it. \
--reverse also translates keys and identifiers, which are numbers in an export.
The key lies in the directory of captures, as .pseudonym-key, and --key names another; who has it \
can guess originals. --check exits with 4 where it finds an address or one of the words, which it \
prints, and with 3 where it cannot look inside; loopback addresses, the same on every machine, pass.";

const USAGE: &str = "\
operator redact --run RUN [--key FILE] [--reverse] < TEXT
       operator redact --map FILE [--reverse] < TEXT
       operator redact --check FILE [--words LIST]";

/// How many names that are not in the table are listed.
const SHOWN: usize = 8;

/// Arguments of `redact`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub struct RedactArgs {
    /// The run whose pseudonyms are used: a name, `latest`, or the path of a capture
    #[arg(long, value_name = "RUN", required_unless_present_any = ["map", "check"], conflicts_with = "map")]
    run: Option<OsString>,
    /// The table that `export --map` wrote
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// A file with the key of the pseudonyms, instead of the one in the directory of captures
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Put originals in the place of pseudonyms
    #[arg(long)]
    reverse: bool,
    /// Look into this file for addresses and for the words of --words
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "map", "reverse"])]
    check: Option<PathBuf>,
    /// A file with a word on each line
    #[arg(long, value_name = "LIST", requires = "check")]
    words: Option<PathBuf>,
}

/// Redacts stdin, or audits a file.
///
/// # Errors
///
/// Where a file cannot be read or there is no such run.
pub fn run(global: &Global, args: &RedactArgs) -> anyhow::Result<Code> {
    if let Some(file) = &args.check {
        return check(global, file, args.words.as_deref());
    }
    let mapping = mapping(global, args)?;
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).context("cannot read stdin")?;
    let text = String::from_utf8_lossy(&bytes);
    if args.reverse {
        let reversed = mapping.reverse(&text)?;
        output::write(reversed.text.as_bytes())?;
        if !global.quiet {
            remark(&translated(&reversed));
        }
        return Ok(Code::Ok);
    }
    let scrubbed = mapping.scrub(&text);
    output::write(scrubbed.text.as_bytes())?;
    if !global.quiet {
        let (replaced, passed) = (scrubbed.replaced, scrubbed.passed);
        remark(&format!(
            "{} replaced; {} passed: read what they say before you publish it",
            counted(replaced, "word"),
            counted(passed, "word")
        ));
    }
    Ok(Code::Ok)
}

/// How many pseudonyms were translated, and which names look like some and are not in the table.
fn translated(reversed: &Reversed) -> String {
    let mut text = format!("{} translated", counted(reversed.translated, "pseudonym"));
    if !reversed.unknown.is_empty() {
        let names: Vec<&str> = reversed.unknown.iter().map(String::as_str).take(SHOWN).collect();
        let more = if reversed.unknown.len() > SHOWN { ", …" } else { "" };
        let _ = write!(
            text,
            "; {} not in this table, so they are names of the text itself or of another run or key: {}{more}",
            counted(reversed.unknown.len() as u64, "name"),
            names.join(", ")
        );
    }
    text
}

fn mapping(global: &Global, args: &RedactArgs) -> anyhow::Result<Mapping> {
    if let Some(path) = &args.map {
        let cannot = || format!("cannot read the table {}", escape_path(path));
        let bytes = fs::read(path).with_context(cannot)?;
        let parsed =
            serde_json::from_slice(&bytes).map_err(|error| CliError::Usage(error.to_string()));
        return parsed.with_context(cannot);
    }
    let run = args.run.as_deref().unwrap_or_default();
    let from = lookup::find(&global.dir, run)?;
    let meta = CaptureReader::open(&from)?.meta().clone();
    if meta.is_redacted() {
        return Err(CliError::Usage(format!(
            "{} is redacted and holds no originals: name the recording that it was made of, or the table that `export --map` wrote, with --map",
            escape_path(from.shown())
        ))
        .into());
    }
    let key = PseudonymKey::of(&global.dir, args.key.as_deref())?;
    if args.reverse && key.is_new() {
        return Err(CliError::Usage(format!(
            "there is no key in {} to translate back with: name the directory whose key the export was made with, \
             with --dir, or the key, with --key",
            escape_path(&global.dir)
        ))
        .into());
    }
    let mapping = mapping_of(&from, key.key())?;
    key.keep()?;
    Ok(mapping)
}

fn check(global: &Global, file: &Path, words: Option<&Path>) -> anyhow::Result<Code> {
    let list = match words {
        Some(path) => fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", escape_path(path)))?,
        None => String::new(),
    };
    let words: Vec<String> =
        list.lines().map(|line| line.trim().to_owned()).filter(|word| !word.is_empty()).collect();
    let short: Vec<String> =
        words.iter().filter(|word| !is_looked_for(word)).map(|word| escape(word)).collect();
    if !short.is_empty() {
        let short = short.join(", ");
        remark(&format!("warning: not looked for, since it would stand everywhere: {short}"));
    }
    let leaks = audit(file, &words)?;
    match global.format {
        Format::Json => {
            let found: Vec<_> = leaks
                .iter()
                .map(|leak| json!({ "place": leak.place, "encoding": leak.encoding, "found": leak.secret }))
                .collect();
            output::json(&json!({ "schema": 1, "file": lookup::path_text(file), "found": found }))?;
        }
        Format::Text if leaks.is_empty() => {
            output::wrapped(&format!("{}: nothing found", escape_path(file)))?;
        }
        Format::Text => {
            for leak in &leaks {
                let found = escape(&leak.secret);
                output::wrapped(&format!(
                    "{found} in {}, as {}",
                    escape(&leak.place),
                    leak.encoding
                ))?;
            }
        }
    }
    Ok(if leaks.is_empty() { Code::Ok } else { Code::Mismatch })
}
