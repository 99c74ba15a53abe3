//! `subjects/`: what a subject brings with it agrees with itself and with real captures.

mod compose;
mod dashboards;
mod demands;
mod expressions;
mod health;
mod image;
mod kubernetes;
mod prometheus;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use operator::record::Subject;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("subjects/tikv")
}

/// A text file of the subject.
fn text(path: &str) -> String {
    let path = folder().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file of the subject, its anchors and merges resolved.
fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|item| item.as_str().expect("a string").to_owned()).collect()
}

#[test]
fn the_built_in_subject_is_the_file() {
    let file = Subject::parse(&text("subject.toml")).expect("the file is a subject");
    let built_in = Subject::built_in("tikv").expect("it is built in");
    assert_eq!(format!("{built_in:?}"), format!("{file:?}"));
}

#[test]
fn the_subject_names_its_rules_and_knows_the_jobs_that_are_scraped() {
    let subject = Subject::parse(&text("subject.toml")).expect("the file is a subject");
    for rules in subject.rules() {
        assert!(folder().join(rules).is_file(), "{rules}");
    }
    let config = yaml("prometheus/prometheus.yaml");
    for scrape in config["scrape_configs"].as_array().expect("there are scrapes") {
        let job = scrape["job_name"].as_str().expect("a scrape has a job");
        assert!(subject.part(job).is_some(), "{job} belongs to no part");
    }
}
