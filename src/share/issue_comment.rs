//! What a reporter pastes into an issue beside the exported file.

use std::fmt::Write;
use std::path::Path;

use super::export::Exported;
use crate::diagnose::{Cause, Outcome, Verdict};
use crate::model::{Export, escape_markdown, escape_path};

/// Markdown with the verdict, digests and versions, and with how to open the file.
pub fn issue_comment(exported: &Exported) -> String {
    let file_name = exported.path.file_name().unwrap_or_default();
    let file_name = escape_path(Path::new(file_name));
    let meta = &exported.meta;
    let verdict = &exported.verdict;
    let mut text = format!("### {}\n", escape_markdown(&capitalized(&verdict.summary)));
    if !verdict.causes.is_empty() {
        text.push('\n');
    }
    for cause in &verdict.causes {
        let target = escape_markdown(&cause.target.name);
        let _ = writeln!(
            text,
            "- {} on {target} {}: {} ({:.0} %)",
            cause.mode,
            when(cause),
            cause.says,
            cause.confidence * 100.0
        );
    }
    if let Some(whole) = &exported.whole {
        let _ = writeln!(
            text,
            "\n**Of the whole run, the same build says: {}.** Part of it is attached.",
            said_of_whole(whole)
        );
    }
    if exported.path.extension().is_some_and(|extension| extension == "html") {
        let _ = writeln!(
            text,
            "\nThe file opens in any browser, as a report. What it holds is judged again with:"
        );
    }
    let _ = write!(text, "\n```sh\noperator replay {file_name}\n```\n\n");
    let version = |version: &Option<String>| match version {
        // A plus sign means something at the beginning of a line alone.
        Some(version) => escape_markdown(version).replace("\\+", "+"),
        None => "unknown".to_owned(),
    };
    let tikv: Vec<&str> = exported.tikv_versions.iter().map(String::as_str).collect();
    let tikv = (!tikv.is_empty()).then(|| tikv.join(" and "));
    let rows = [
        ("window", format!("{} to {}", exported.window.start, exported.window.end)),
        ("PD", version(&exported.pd_version)),
        ("TiKV", version(&tikv)),
        ("Prometheus", version(&meta.versions.prometheus)),
        ("recorded by", format!("operator {}", escape_markdown(&meta.versions.operator))),
        ("file, SHA-256", exported.file_sha256.clone()),
        ("capture digest", exported.capture_digest.clone()),
    ];
    text.push_str("| | |\n|-|-|\n");
    for (name, value) in rows {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    if let Some(export) = &meta.export {
        push_export(&mut text, export);
    }
    text
}

/// By which build it was exported, and what is replaced, lost and left out.
fn push_export(text: &mut String, export: &Export) {
    let lost = export.lost.as_ref().map(ToString::to_string);
    let _ = writeln!(text, "| exported by | operator {} |", export.build);
    let _ = writeln!(text, "| verdict digest | {} |", export.verdict_digest);
    if export.replaced.is_empty() {
        text.push_str("\nNothing was redacted.\n");
    } else {
        let counts: Vec<String> =
            export.replaced.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let _ = writeln!(
            text,
            "\nPseudonyms: {}. The digests are those of this file, and not of what was recorded.",
            counts.join(", ")
        );
    }
    if let Some(lost) = lost {
        let _ = writeln!(text, "Damaged before it was exported: {}.", escape_markdown(&lost));
    }
    if !export.left_out.is_empty() {
        let _ = writeln!(text, "Left out: {}.", export.left_out.join("; "));
    }
}

/// What a verdict on a run says, without a name in it, since those of the run are not redacted.
fn said_of_whole(whole: &Verdict) -> String {
    let causes = whole.causes.iter().map(|cause| {
        let sure = cause.confidence * 100.0;
        format!("{} {} ({sure:.0} %)", cause.mode, when(cause))
    });
    let causes: Vec<String> = causes.collect();
    match (causes.is_empty(), whole.outcome) {
        (false, _) => causes.join(", "),
        (true, Outcome::CannotTell) => "it cannot be told whether something is broken".to_owned(),
        (true, _) => "no fault".to_owned(),
    }
}

/// `since 2026-11-24T16:30:50Z`, or from when to when.
fn when(cause: &Cause) -> String {
    match cause.end_ms {
        Some(end) => format!("from {} to {end}", cause.onset_ms),
        None => format!("since {}", cause.onset_ms),
    }
}

/// A sentence with its first letter in upper case.
fn capitalized(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
