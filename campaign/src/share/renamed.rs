//! Puts secrets in the place of every name that a deployment gave in a run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::sync::LazyLock;

use operator::model::{Labels, PdOutcome};
use regex::{Captures, Regex};
use serde_json::Value;
use testkit::run::Run;

use super::planted::Draw;

/// Labels whose values a deployment gives.
const GIVEN: [&str; 27] = [
    "app_kubernetes_io_instance",
    "cluster",
    "dc",
    "exported_instance",
    "exported_job",
    "host",
    "host_ip",
    "instance",
    "job",
    "kubernetes_namespace",
    "kubernetes_pod_name",
    "monitor",
    "namespace",
    "node",
    "ping",
    "pod",
    "prometheus",
    "prometheus_replica",
    "replica",
    "rack",
    "scraper",
    "service",
    "target_addr",
    "team",
    "tenant",
    "tidb_cluster",
    "zone",
];

/// Words in names that say what something is, and not whose.
const COMMON: [&str; 21] = [
    "tikv",
    "pd",
    "tidb",
    "tiflash",
    "ticdc",
    "tiproxy",
    "peer",
    "svc",
    "cluster",
    "local",
    "host",
    "node",
    "kube",
    "prometheus",
    "exporter",
    "http",
    "https",
    "com",
    "example",
    "default",
    "proxy",
];

/// An address, or a word of at least three letters.
static PART: LazyLock<Regex> = LazyLock::new(|| {
    let v6 = "[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7}";
    let v4 = r"\d{1,3}(?:\.\d{1,3}){3}|\d{1,3}(?:-\d{1,3}){3}";
    Regex::new(&format!(r"(?<v6>{v6})|\b(?<v4>{v4})\b|(?<word>[A-Za-z]{{3,}})"))
        .expect("the pattern is valid")
});

/// The secret for each name, drawn when it is first met.
struct Names<'d, 'r> {
    draw: &'d mut Draw<'r>,
    known: BTreeMap<String, String>,
}

/// Gives every name in a run another one, which is a secret.
pub fn rename(run: &mut Run, draw: &mut Draw<'_>) {
    let mut names = Names { draw, known: BTreeMap::new() };
    for series in &mut run.series {
        let pairs = series.labels.iter().map(|(name, value)| {
            let value = match GIVEN.contains(&name) {
                true => names.renamed(value),
                false => value.to_owned(),
            };
            (name.to_owned(), value)
        });
        series.labels = Labels::new(pairs.collect()).expect("names stay distinct");
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    for answer in &mut run.pd {
        answer.member = names.renamed(&answer.member);
        answer.url = names.renamed(&answer.url);
        if let PdOutcome::Answered { body, .. } = &mut answer.outcome
            && let Ok(mut value) = serde_json::from_slice(body)
        {
            names.rename_in(&mut value);
            *body = value.to_string().into_bytes().into();
        }
    }
}

/// Leaves one series for each set of names, and one answer of each member to each question.
pub fn reduce(run: &mut Run) {
    let mut seen = BTreeSet::new();
    run.series.retain(|series| {
        let given = series.labels.iter().filter(|(name, _)| GIVEN.contains(name));
        let given: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();
        seen.insert(given)
    });
    let mut asked = BTreeSet::new();
    run.pd.retain(|answer| asked.insert((answer.member.clone(), answer.path.clone())));
}

impl Names<'_, '_> {
    /// Renames texts of a document that stand where PD tells of nodes.
    fn rename_in(&mut self, value: &mut Value) {
        const OF_NODES: [&str; 8] = [
            "address",
            "peer_address",
            "status_address",
            "client_urls",
            "peer_urls",
            "name",
            "etcd_leader",
            "hostname",
        ];
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| self.rename_in(value)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if OF_NODES.contains(&&**name) => {
                            *text = self.renamed(text);
                        }
                        Value::Array(texts) if OF_NODES.contains(&&**name) => {
                            for text in texts {
                                if let Value::String(text) = text {
                                    *text = self.renamed(text);
                                }
                            }
                        }
                        value => self.rename_in(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn renamed(&mut self, text: &str) -> String {
        let replaced = PART.replace_all(text, |found: &Captures<'_>| self.of(found));
        replaced.into_owned()
    }

    fn of(&mut self, found: &Captures<'_>) -> String {
        let part = &found[0];
        if found.name("word").is_some() {
            return match COMMON.contains(&part) {
                true => part.to_owned(),
                false => self.known(part, |draw| draw.word()),
            };
        }
        if found.name("v4").is_some() {
            let dotted = part.replace('-', ".");
            if dotted == "127.0.0.1" {
                return part.to_owned();
            }
            let address = self.known(&dotted, |draw| draw.v4());
            return match part.contains('-') {
                true => self.draw.keep(address.replace('.', "-")),
                false => address,
            };
        }
        let Ok(parsed) = part.parse::<Ipv6Addr>() else { return part.to_owned() };
        let address = self.known(&parsed.to_string(), |draw| draw.v6());
        match (part.contains("::"), address.parse::<Ipv6Addr>()) {
            (false, Ok(address)) => {
                let groups = address.segments().map(|group| format!("{group:X}"));
                self.draw.keep(groups.join(":"))
            }
            _ => address,
        }
    }

    fn known(&mut self, part: &str, draw: fn(&mut Draw<'_>) -> String) -> String {
        if let Some(known) = self.known.get(part) {
            return known.clone();
        }
        let drawn = draw(self.draw);
        self.known.insert(part.to_owned(), drawn.clone());
        drawn
    }
}
