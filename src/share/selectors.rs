//! The selectors by which a recording copied series.
//!
//! What a default recording asks for is this program's own and stays, so that a reader sees what was recorded: labels,
//! metrics, and the jobs of usual deployments. Other words in a selector name something of the reporter's.

use std::sync::LazyLock;

use regex::Regex;

use super::text::Class;
use super::vocabulary::{is_known_label, is_known_metric, is_public};
use super::walk::Content;

/// What stands in quotes, or a word outside of them.
static PIECE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<word>[\w:]+)"#;
    Regex::new(pattern).expect("the pattern is valid")
});

/// A word in a regular expression.
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\w+").expect("the pattern is valid"));

/// Words of jobs that default recordings ask for.
const OF_JOBS: [&str; 9] = [
    "tso",
    "scheduling",
    "nodes",
    "overwritten",
    "port_probe",
    "probe",
    "state",
    "cadvisor",
    "kubelet",
];

/// A selector with the words replaced that are not known.
pub fn rewrite_selector(selector: &str, content: &mut impl Content) -> String {
    let mut written = String::with_capacity(selector.len());
    let mut done = 0;
    // The label that the next value is of.
    let mut label = "";
    for found in PIECE.captures_iter(selector) {
        let piece = found.get(0).expect("the whole match is there");
        written.push_str(&selector[done..piece.start()]);
        done = piece.end();
        if found.name("value").is_some() {
            written.push_str(&value(piece.as_str(), label, content));
            continue;
        }
        label = piece.as_str();
        let is_known = is_known_label(label) || is_known_metric(label);
        if is_known {
            content.fixed(label);
            written.push_str(label);
        } else {
            written.push_str(&content.text(label, Class::Name));
        }
    }
    written + &selector[done..]
}

/// The value of a matcher, word by word, if all of them are known; otherwise as any name.
fn value(quoted: &str, label: &str, content: &mut impl Content) -> String {
    let is_known = |word: &str| match label {
        "__name__" => is_known_metric(word.trim_start_matches("_")),
        _ => is_public(word) || OF_JOBS.contains(&word) || is_known_metric(word),
    };
    // `\d` and `\w` are no words.
    let text = quoted.replace("\\\\", " ").replace("\\d", " ").replace("\\w", " ");
    if WORD.find_iter(&text).all(|word| is_known(word.as_str())) {
        return quoted.to_owned();
    }
    content.text(quoted, Class::Name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::key::{KEY_BYTES, Key};
    use crate::share::pseudonyms::{Originals, content};

    fn rewritten(selector: &str) -> String {
        let mut originals = Originals::default();
        rewrite_selector(selector, &mut originals);
        let mapping = originals.mapping(&Key::new([1; KEY_BYTES]));
        rewrite_selector(selector, &mut content(&mapping))
    }

    #[test]
    fn what_a_default_recording_asks_for_stays() {
        for selector in [
            r#"{job=~"(.*[-/])?(pd|tso|scheduling)(-peer)?"}"#,
            r#"{job=~"(.*[-/])?(tidb|tiflash|ticdc)(-peer)?|tidb.*"}"#,
            r#"{job=~"nodes?|(.*[-/])?node.exporter|overwritten.*"}"#,
            r#"{job=~"blackbox.*|(.*[-_/])?port_probe|probe/.*"}"#,
            r#"{job=~"(.*[-/])?(kube-state-metrics|kubelet|cadvisor)",__name__=~"kube_pod_info|container_(oom_events_total|memory_working_set_bytes)"}"#,
            r#"{job=~"prometheus|operator"}"#,
            r#"{__name__=~"tikv_.*|pd_.*|up"}"#,
        ] {
            assert_eq!(rewritten(selector), selector);
        }
    }

    #[test]
    fn what_names_something_does_not() {
        let written = rewritten(r#"up{job=~"acme-.*",team="payments",namespace="tikv"}"#);
        assert!(!written.contains("acme") && !written.contains("payments"), "{written}");
        assert!(!written.contains("team"), "{written}");
        assert!(written.starts_with("up{job=~\"name-") && written.ends_with("namespace=\"tikv\"}"));
    }
}
