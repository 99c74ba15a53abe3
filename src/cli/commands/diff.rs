//! `operator diff`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::Code;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, lookup};
use crate::model::{TimeRange, Timestamp, canonical_json, escape_path};
use crate::session::{Session, View};

const EXAMPLES: &str = "\
Examples:
  operator diff chaos-02 chaos-08
  operator replay chaos-02 --format json > before.json  with one version
  operator diff before.json chaos-02                    with another

Each side is a run, a capture, or a file that `operator replay --format json` wrote. A cause or \
a change is marked with = where both name it, with - where only A does and with + where only B \
does. Exits with 0 where the verdicts name the same causes and changes, 4 where they differ, 11 where \
of neither can anybody tell.";

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// One side: a run, or the JSON of a replay
    #[arg(value_name = "A")]
    a: OsString,
    /// The other side
    #[arg(value_name = "B")]
    b: OsString,
}

/// How the JSON of a verdict says that nobody can tell.
const CANNOT_TELL: &str = "cannot_tell";

/// A side: what it is, and its verdict.
struct Side {
    /// The name of the run; that of the file and of the run where a report was saved.
    name: String,
    /// The part of the run that was judged, where that is known.
    window: Option<String>,
    verdict: Value,
}

/// A cause or a change that one or both sides name.
struct Compared {
    /// `store_crash  store 4 (10.77.0.20:20160)`.
    what: String,
    a: Option<Value>,
    b: Option<Value>,
}

/// Compares the verdicts of two sides, and prints the causes and changes that each names. Returns
/// [`Code::Mismatch`] where they differ.
///
/// # Errors
///
/// Where a side cannot be read.
pub fn run(global: &Global, args: &DiffArgs) -> anyhow::Result<Code> {
    let (mut a, mut b) = (side(global, &args.a)?, side(global, &args.b)?);
    // Two files of one run are told apart by how they were asked for.
    if a.name == b.name && args.a != args.b {
        let asked = |text: &OsStr| escape_path(Path::new(text));
        (a.name, b.name) = (asked(&args.a), asked(&args.b));
    }
    let compared = compared(&a.verdict, &b.verdict);
    let same = a.verdict["outcome"] == b.verdict["outcome"]
        && compared.iter().all(|one| one.a.is_some() && one.b.is_some());
    match global.format {
        Format::Json => output::json(&as_json(&a, &b, &compared, same))?,
        Format::Text => {
            as_text(&a, &b, &compared, same).iter().try_for_each(|line| output::line(line))?
        }
    }
    let cannot_tell = [&a, &b].iter().any(|side| side.verdict["outcome"] == CANNOT_TELL);
    Ok(match same {
        false => Code::Mismatch,
        // Two sides of which nobody can tell are no agreement.
        true if cannot_tell => Code::CannotTell,
        true => Code::Ok,
    })
}

fn as_json(a: &Side, b: &Side, compared: &[Compared], same: bool) -> Value {
    let only = |is_it: fn(&Compared) -> bool| -> Vec<String> {
        compared.iter().filter(|one| is_it(one)).map(|one| one.name()).collect()
    };
    let told = |side: &Side| json!({ "run": side.name, "window": side.window });
    let causes = compared.iter().map(|one| {
        let shown = |cause: &Option<Value>| cause.as_ref().map(Compared::shown);
        json!({ "what": one.what, "a": shown(&one.a), "b": shown(&one.b) })
    });
    let mut value = json!({
        "same": same,
        "a": told(a),
        "b": told(b),
        "outcome": [a.verdict["outcome"], b.verdict["outcome"]],
        "only_a": only(|one| one.b.is_none()),
        "only_b": only(|one| one.a.is_none()),
        "causes": causes.collect::<Vec<_>>(),
    });
    if [a, b].iter().any(|side| !side.verdict["damage"].is_null()) {
        value["damage"] = json!([a.verdict["damage"], b.verdict["damage"]]);
    }
    value
}

fn as_text(a: &Side, b: &Side, compared: &[Compared], same: bool) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let outcome = |side: &Side| text(&side.verdict["outcome"]).replace('_', " ");
    let sides = [("A", a), ("B", b)];
    let head = |(letter, side): (&str, &Side)| {
        let window = side.window.iter().map(|window| format!(", {window}")).collect::<String>();
        format!("{letter}  {}{window}: {}", side.name, outcome(side))
    };
    let mut lines: Vec<String> = sides.map(head).to_vec();
    let damaged = sides.map(|(letter, side)| (letter, &side.verdict["damage"]["summary"]));
    let damaged = damaged.iter().filter(|(_, summary)| summary.is_string());
    lines.extend(damaged.map(|(letter, summary)| format!("{letter} is {}", text(summary))));
    for one in compared {
        let sign = match (&one.a, &one.b) {
            (Some(_), Some(_)) => '=',
            (Some(_), None) => '-',
            _ => '+',
        };
        lines.push(format!("{sign} {}", one.what));
        let each = [("A", &one.a), ("B", &one.b)];
        let each = each.into_iter().filter_map(|(letter, cause)| Some((letter, cause.as_ref()?)));
        lines.extend(each.map(|(letter, cause)| format!("    {letter} {}", when(cause))));
    }
    if same && a.verdict["outcome"] == CANNOT_TELL {
        lines.push("of neither can anybody tell, which is no agreement".to_owned());
    } else if same {
        lines.push("the verdicts name the same causes and changes".to_owned());
    } else if a.verdict["outcome"] != b.verdict["outcome"] {
        lines.push(format!("the outcomes differ: {}, and {}", outcome(a), outcome(b)));
    }
    lines
}

/// `from 2026-11-24T16:30:50.967Z to 16:34:36.100Z, confidence 0.97`.
fn when(cause: &Value) -> String {
    let at = |field: &str| cause[field].as_i64().map(Timestamp::from_millis);
    let onset = at("onset_ms").map_or_else(|| "?".to_owned(), |at| at.to_string());
    let end = match at("end_ms") {
        Some(end) => format!("to {}", end.to_string().split_off("2026-11-24T".len())),
        None => "until the end".to_owned(),
    };
    format!("from {onset} {end}, confidence {}", cause["confidence"])
}

impl Compared {
    /// Without the address.
    fn name(&self) -> String {
        self.a.as_ref().or(self.b.as_ref()).map_or_else(String::new, name)
    }

    /// What is shown of a cause beside its name.
    fn shown(cause: &Value) -> Value {
        json!({
            "onset_ms": cause["onset_ms"],
            "end_ms": cause["end_ms"],
            "confidence": cause["confidence"],
        })
    }
}

/// The verdict of a run, or that of a saved report.
fn side(global: &Global, side: &OsStr) -> anyhow::Result<Side> {
    let path = Path::new(side);
    let saved = path.extension().is_some_and(|extension| extension == "json") && path.is_file();
    if saved {
        let cannot = || format!("cannot read {}", escape_path(path));
        let bytes = fs::read(path).with_context(cannot)?;
        let report: Value = serde_json::from_slice(&bytes).with_context(cannot)?;
        let verdict = report.get("verdict").cloned();
        let verdict = verdict.with_context(|| format!("{} holds no verdict", escape_path(path)))?;
        let end = |name: &str| report["window"][name].as_i64().map(Timestamp::from_millis);
        let window = end("start").zip(end("end"));
        let window = window.map(|(start, end)| window_text(TimeRange::new(start, end)));
        let run = report["meta"]["run"].as_str().unwrap_or("?");
        return Ok(Side { name: format!("{} ({run})", escape_path(path)), window, verdict });
    }
    let path = lookup::find(&global.dir, side)?;
    let session = Session::open(&path)?;
    let cannot = || format!("cannot judge {}", escape_path(path.shown()));
    let window = session.load(View::WHOLE).with_context(cannot)?;
    Ok(Side {
        name: session.reader().meta().run.to_string(),
        window: Some(window_text(session.window())),
        verdict: serde_json::from_str(&canonical_json(&window.verdict()?))?,
    })
}

fn window_text(window: TimeRange) -> String {
    format!("{} to {}", window.start, window.end)
}

/// The causes and changes of both sides: those of `a` in its order, then those that `b` alone names.
fn compared(a: &Value, b: &Value) -> Vec<Compared> {
    let mut left = listed(b);
    let mut all = Vec::new();
    for cause in listed(a) {
        let place = left.iter().position(|other| name(other) == name(&cause));
        let other = place.map(|place| left.remove(place));
        all.push(Compared { what: what(&cause), a: Some(cause), b: other });
    }
    all.extend(left.into_iter().map(|cause| Compared {
        what: what(&cause),
        a: None,
        b: Some(cause),
    }));
    all
}

/// The causes and changes of a verdict.
fn listed(verdict: &Value) -> Vec<Value> {
    let lists = ["causes", "changes"].map(|list| verdict[list].as_array().cloned());
    lists.into_iter().flatten().flatten().collect()
}

fn name(cause: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!("{}  {}", text(&cause["mode"]), text(&cause["target"]["name"]))
}

/// The mode, the target and its address.
fn what(cause: &Value) -> String {
    let (target, name) = (&cause["target"], name(cause));
    match target["address"].as_str().filter(|address| Some(*address) != target["name"].as_str()) {
        Some(address) => format!("{name} ({address})"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_named_and_each_cause_with_its_place_and_time() {
        let cause = |mode: &str, store: u64, onset_ms: i64| {
            json!({
                "mode": mode, "onset_ms": onset_ms, "end_ms": null, "confidence": 0.9,
                "target": { "name": format!("store {store}"), "address": "a:1" },
            })
        };
        let side = |name: &str, causes: Vec<Value>| Side {
            name: name.to_owned(),
            window: None,
            verdict: json!({ "outcome": "fault", "causes": causes, "changes": [] }),
        };
        let a = side("one", vec![cause("store_flap", 4, 1_000), cause("store_flap", 4, 9_000)]);
        let b = side("two", vec![cause("store_flap", 4, 2_000), cause("slow_disk", 1, 0)]);
        let compared = compared(&a.verdict, &b.verdict);
        let lines = as_text(&a, &b, &compared, false);
        let from = |text: &str| format!("from 1970-01-01T00:00:0{text}.000Z until the end");
        assert_eq!(
            lines,
            [
                "A  one: fault".to_owned(),
                "B  two: fault".to_owned(),
                "= store_flap  store 4 (a:1)".to_owned(),
                format!("    A {}, confidence 0.9", from("1")),
                format!("    B {}, confidence 0.9", from("2")),
                // What one side names twice and the other once differs.
                "- store_flap  store 4 (a:1)".to_owned(),
                format!("    A {}, confidence 0.9", from("9")),
                "+ slow_disk  store 1 (a:1)".to_owned(),
                format!("    B {}, confidence 0.9", from("0")),
            ]
        );
        let value = as_json(&a, &b, &compared, false);
        assert_eq!(value["only_b"], json!(["slow_disk  store 1"]));
        assert_eq!(value["causes"][0]["b"]["onset_ms"], 2_000);
    }
}
