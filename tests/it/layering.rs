//! Dependencies point one way: the module table of the architecture, asserted on the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what it may use.
const TABLE: [(&str, &[&str]); 17] = [
    ("model", &[]),
    ("pd", &["model"]),
    ("nodes", &["model"]),
    ("logs", &["model"]),
    ("capture", &["model"]),
    ("source", &["model", "pd"]),
    ("record", &["model", "pd", "logs", "source", "capture"]),
    ("promql", &["model"]),
    ("rules", &["model", "promql"]),
    ("timeline", &["model", "pd"]),
    ("diagnose", &["model", "pd", "nodes"]),
    ("session", &["model", "pd", "nodes", "capture", "promql", "rules", "timeline", "diagnose"]),
    (
        "report",
        &["model", "pd", "nodes", "capture", "promql", "rules", "timeline", "diagnose", "session"],
    ),
    ("share", &["model", "pd", "capture", "diagnose", "session"]),
    ("score", &["model", "capture", "promql", "rules", "diagnose", "session"]),
    ("watch", &["model", "nodes", "source", "record", "diagnose"]),
    (
        "cli",
        &[
            "model", "pd", "nodes", "logs", "capture", "source", "record", "promql", "rules",
            "timeline", "diagnose", "session", "report", "share", "score", "watch",
        ],
    ),
];

/// Text that may stand in one module only.
const OWNED: [(&str, &str); 6] = [
    ("rusqlite", "capture"),
    ("reqwest", "source"),
    ("io::stdout()", "cli"),
    ("io::stderr()", "cli"),
    ("SystemTime::now", "cli"),
    ("Utc::now", "cli"),
];

/// A source file: its module, its path and its code without comments.
struct Source {
    module: String,
    path: PathBuf,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("the source can be listed") {
            let path = entry.expect("the source can be listed").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).expect("the file lies in src").to_owned();
                let first = inside.iter().next().expect("the path is not empty");
                let module = first.to_string_lossy().trim_end_matches(".rs").to_owned();
                if inside.ends_with("tests.rs") {
                    continue;
                }
                let text = fs::read_to_string(&path).expect("the source can be read");
                found.push(Source { module, path: inside, code: without_comments(&text) });
            }
        }
    }
    assert!(found.len() > 20, "the scan finds the source");
    found
}

fn without_comments(text: &str) -> String {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The modules named after `crate::`.
fn used(code: &str) -> BTreeSet<&str> {
    code.match_indices("crate::")
        .map(|(position, prefix)| {
            let rest = &code[position + prefix.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
        .collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    for source in sources() {
        if matches!(source.module.as_str(), "lib" | "main") {
            continue;
        }
        let (_, allowed) = TABLE
            .iter()
            .find(|(module, _)| *module == source.module)
            .unwrap_or_else(|| panic!("module {} is not in the table", source.module));
        for module in used(&source.code) {
            assert!(
                module == source.module || allowed.contains(&module),
                "src/{} uses {module:?}",
                source.path.display()
            );
        }
    }
}

#[test]
fn sql_http_printing_and_the_clock_have_one_owner_each() {
    for (text, owner) in OWNED {
        let mut owned = false;
        for source in sources() {
            if source.module == "main" || !source.code.contains(text) {
                continue;
            }
            owned |= source.module == owner;
            let may = source.module == owner
                || (text, source.module.as_str()) == ("io::stderr()", "watch");
            assert!(may, "src/{} has {text}", source.path.display());
        }
        assert!(owned || text == "Utc::now", "nothing has {text}, so the test asserts nothing");
    }
}

#[test]
fn nothing_prints_by_a_macro_that_panics_where_nobody_reads() {
    for source in sources() {
        for name in ["print!", "println!", "eprint!", "eprintln!", "dbg!"] {
            let path = source.path.display();
            assert!(!source.code.contains(name), "src/{path} has {name}");
        }
    }
}

#[test]
fn bodies_of_pd_are_parsed_in_one_place() {
    let mut parses = false;
    for source in sources() {
        // What is read elsewhere is the program's own: a capture's rows, a log's lines, a report.
        let may = ["pd", "logs", "capture", "record", "source", "score", "cli"];
        let code = source.code.split("#[cfg(test)]").next().unwrap_or_default();
        let reads_json = code.contains("serde_json::from_");
        parses |= reads_json && source.module == "pd";
        let path = source.path.display();
        assert!(!reads_json || may.contains(&source.module.as_str()), "src/{path} reads JSON");
        let names_routes = code.contains("\"/pd/api/") && source.module != "pd";
        let is_log = path.to_string().starts_with("record/pd_log");
        assert!(!names_routes || is_log, "src/{path} names a path of PD's");
    }
    assert!(parses, "nothing in pd reads JSON, so the test asserts nothing");
}

#[test]
fn the_scan_sees_uses_and_not_comments() {
    let code =
        without_comments("use crate::model::Gap;\n// use crate::cli::main;\ncrate::capture::f()");
    assert_eq!(used(&code), BTreeSet::from(["capture", "model"]));
}

#[test]
fn only_score_opens_a_truth_and_only_an_export_passes_one_on() {
    for source in sources() {
        let path = source.path.to_string_lossy().into_owned();
        let may = |owner: &str| source.module == "capture" || path == owner;
        assert!(
            may("score/truth.rs") || !source.code.contains("unseal_truth"),
            "src/{path} opens a truth"
        );
        for name in ["visit_truths", "rewrite_truths"] {
            let may = may("share/export.rs") || path.starts_with("share/export/");
            assert!(may || !source.code.contains(name), "src/{path} passes a truth on");
        }
    }
}
