//! Every metric that diagnosis or a bundled rule reads is one that some release registers, and `docs/versions.md`
//! says which releases lack which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use operator::diagnose::{MODES, metrics};
use operator::rules::{bundled, metrics_read};

use crate::documentation::assert_generated;

/// Component, metric and the releases that register it, by their sources.
const RELEASES: &str = include_str!("../../data/metrics/releases.tsv");

/// What every listed release has.
const ALWAYS: &str = "5.0-master";

/// Metrics of libraries and of other programs, by the beginning of their names, which no source of TiKV's or PD's
/// registers; and names that TiKV puts together at run time.
const ELSEWHERE: [(&str, &str); 13] = [
    ("ALERTS", "Prometheus"),
    ("container_", "the kubelet's cAdvisor"),
    ("etcd_", "etcd, which PD embeds"),
    ("go_", "the Go runtime, in PD"),
    ("kube_", "kube-state-metrics"),
    ("node_", "node_exporter"),
    ("probe_", "blackbox_exporter"),
    ("process_", "the client libraries, in TiKV and PD"),
    ("raft_engine_", "the raft-engine library, in TiKV since 5.4"),
    ("scrape_", "Prometheus"),
    ("tidb_", "TiDB"),
    ("tikv_thread_", "TiKV, put together at run time"),
    ("up", "Prometheus"),
];

fn releases() -> BTreeMap<&'static str, &'static str> {
    let lines = RELEASES.lines().filter(|line| !line.starts_with('#'));
    let fields = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    fields.map(|fields| (fields[1], fields[2])).collect()
}

/// The releases that register a metric, also where it is a part of a histogram.
fn registered(known: &BTreeMap<&'static str, &'static str>, metric: &str) -> Option<&'static str> {
    let parts = ["_bucket", "_sum", "_count"];
    let whole = parts.iter().find_map(|part| metric.strip_suffix(part));
    known.get(metric).or_else(|| known.get(whole?)).copied()
}

fn is_elsewhere(metric: &str) -> bool {
    ELSEWHERE.iter().any(|(start, _)| metric.starts_with(start))
}

/// The page as the lists make it.
fn page() -> String {
    let known = releases();
    let mut text = String::from(
        "# Releases\n\n\
         What TiKV and PD register in releases 5.0 to 8.5 and on the master branch, of what diagnosis and the rules\n\
         that are built in read. `data/metrics/list.py` takes the names out of the sources of the release branches;\n\
         the test `versions` writes this page. A metric that a release lacks is no fault there: a failure mode then\n\
         looks at what else it reads, and a rule says that it cannot fire.\n\n\
         Every release has what is not listed here. Of others than TiKV and PD come:\n\n",
    );
    for (start, whose) in ELSEWHERE {
        let _ = writeln!(text, "- `{start}…`: {whose}");
    }
    let mut readers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for mode in MODES {
        for metric in mode.metrics {
            readers.entry(metric).or_default().insert(format!("`{}`", mode.name));
        }
    }
    let files = bundled();
    for metric in metrics_read(&files) {
        readers.entry(metric).or_default().insert("rules".to_owned());
    }
    text.push_str("\n| metric | releases | read by |\n|-|-|-|\n");
    for (metric, readers) in &readers {
        match registered(&known, metric) {
            Some(releases) if releases != ALWAYS => {
                let readers: Vec<&str> = readers.iter().map(String::as_str).collect();
                let releases = releases.replace(' ', ", ");
                let _ = writeln!(text, "| `{metric}` | {releases} | {} |", readers.join(", "));
            }
            _ => {}
        }
    }
    text
}

#[test]
fn every_metric_that_is_read_is_one_that_a_release_registers() {
    let known = releases();
    let files = bundled();
    let read: BTreeSet<&str> = metrics().into_iter().chain(metrics_read(&files)).collect();
    assert!(read.len() > 60);
    let unknown: Vec<&&str> = read
        .iter()
        .filter(|metric| registered(&known, metric).is_none() && !is_elsewhere(metric))
        .collect();
    assert!(unknown.is_empty(), "no release has {unknown:?}");
}

#[test]
fn the_page_says_what_the_lists_say() {
    assert_generated("docs/versions.md", &page());
}
