//! A system under observation: its endpoints, its jobs in Prometheus, its rules, and how its nodes are
//! named.
//!
//! A subject is a TOML file; `subjects/README.md` specifies its keys. The one of TiKV is built in.
//! Reading files is the caller's.

use regex::Regex;
use serde::Deserialize;

use crate::model::{Comparison, Labels, MatcherText};
use crate::source::Selector;

/// The subjects that are built in: name and text.
const BUILT_IN: [(&str, &str); 1] = [("tikv", include_str!("../../subjects/tikv/subject.toml"))];
/// Prometheus's own metrics about a scrape, which are copied whatever a job's `metrics` select.
const ABOUT_SCRAPES: &str = "up|scrape_.*";

/// A system under observation.
#[derive(Clone, Debug)]
pub struct Subject {
    name: String,
    endpoints: SubjectEndpoints,
    rules: Vec<String>,
    nodes: Option<NodeNaming>,
    jobs: Vec<Job>,
}

/// The endpoints of a subject for a user who gives none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct SubjectEndpoints {
    /// URLs of PD members, any number of them; `None` for a subject without PD.
    pub pd: Option<Vec<String>>,
    /// Base URL of Prometheus; `None` for a subject without one.
    pub prometheus: Option<String>,
}

/// One part of a subject: a job of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Job {
    /// The name of the part, such as `tikv`.
    pub part: String,
    /// A regular expression for the whole value of the label `job`.
    pub job: String,
    /// Regular expressions for whole metric names to copy; all metrics where there is none.
    #[serde(default)]
    pub metrics: Vec<String>,
}

#[derive(Clone, Debug)]
struct NodeNaming {
    label: String,
    name: Regex,
}

/// The text of a subject that is invalid.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// It is not TOML, or has unknown keys, or lacks some.
    #[error("not a subject")]
    Toml(#[from] toml::de::Error),
    /// A value that should be a regular expression is none.
    #[error("{key} is no regular expression")]
    Regex {
        /// The key and its value.
        key: String,
        /// The parser's error.
        source: Box<regex::Error>,
    },
    /// A value that is not allowed; the text says why.
    #[error("{0}")]
    Value(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Text {
    name: String,
    #[serde(default)]
    endpoints: SubjectEndpoints,
    #[serde(default)]
    rules: Vec<String>,
    nodes: Option<NodesText>,
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NodesText {
    label: String,
    name: String,
}

impl Subject {
    /// The built-in subject of that name.
    pub fn built_in(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Some(Self::parse(text).expect("what is built in can be read"))
    }

    /// The names of all built-in subjects.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Reads the text of a `subject.toml`.
    ///
    /// # Errors
    ///
    /// [`SubjectError`] where the text is no TOML, has a key that is not specified, an invalid regular
    /// expression, no job, or a name that cannot be part of a file name.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let text: Text = toml::from_str(text)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if !(1..=40).contains(&text.name.len()) || !text.name.bytes().all(allowed) {
            return Err(SubjectError::Value(format!(
                "name {:?} is not 1 to 40 letters, digits, '_' and '-'",
                text.name
            )));
        }
        if text.jobs.is_empty() {
            return Err(SubjectError::Value(
                "a subject without jobs has nothing to copy".to_owned(),
            ));
        }
        for job in &text.jobs {
            regex("job", &job.job)?;
            for metric in &job.metrics {
                regex("metrics", metric)?;
            }
        }
        let nodes = text.nodes.map(NodesText::read).transpose()?;
        Ok(Self {
            name: text.name,
            endpoints: text.endpoints,
            rules: text.rules,
            nodes,
            jobs: text.jobs,
        })
    }

    /// The subject's name, which becomes part of generated run names.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The endpoints for a user who gives none.
    pub fn endpoints(&self) -> &SubjectEndpoints {
        &self.endpoints
    }

    /// Paths of the subject's Prometheus rule files, relative to its own file.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// The parts of the subject, in the order of the file.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The selectors of its jobs' series: one for all jobs that are copied completely, and one for each
    /// job that picks metrics.
    pub fn selectors(&self) -> Vec<Selector> {
        let (whole, picked): (Vec<&Job>, Vec<&Job>) =
            self.jobs.iter().partition(|job| job.metrics.is_empty());
        let mut selectors = Vec::new();
        if !whole.is_empty() {
            let jobs: Vec<&str> = whole.iter().map(|job| job.job.as_str()).collect();
            selectors.push(Selector::new(vec![of_job(jobs.join("|"))]));
        }
        for job in picked {
            let metrics = format!("{}|{ABOUT_SCRAPES}", job.metrics.join("|"));
            selectors
                .push(Selector::new(vec![of_job(job.job.clone())]).with_metric_regex(&metrics));
        }
        selectors
    }

    /// The name of the first part whose pattern matches a value of the label `job`.
    pub fn part(&self, job: &str) -> Option<&str> {
        let whole = |pattern: &str| Regex::new(&anchored(pattern)).expect("checked on reading");
        self.jobs.iter().find(|known| whole(&known.job).is_match(job)).map(|known| &*known.part)
    }

    /// The node that a series comes from; `None` where its labels do not name one.
    pub fn node(&self, labels: &Labels) -> Option<String> {
        let naming = self.nodes.as_ref()?;
        let captures = naming.name.captures(labels.get(&naming.label)?)?;
        captures.get(1).map(|name| name.as_str().to_owned())
    }
}

impl NodesText {
    fn read(self) -> Result<NodeNaming, SubjectError> {
        let name = regex("nodes.name", &self.name)?;
        if name.captures_len() != 2 {
            let text = "nodes.name needs exactly one group, which is the name".to_owned();
            return Err(SubjectError::Value(text));
        }
        Ok(NodeNaming { label: self.label, name })
    }
}

fn of_job(pattern: String) -> MatcherText {
    MatcherText { name: "job".to_owned(), comparison: Comparison::Regex, value: pattern }
}

/// Prometheus anchors regular expressions at both ends.
fn anchored(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

fn regex(key: &str, pattern: &str) -> Result<Regex, SubjectError> {
    Regex::new(&anchored(pattern)).map_err(|source| SubjectError::Regex {
        key: format!("{key} {pattern:?}"),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tikv() -> Subject {
        Subject::built_in("tikv").expect("it is built in")
    }

    #[test]
    fn the_usual_jobs_belong_to_tikv() {
        let tikv = tikv();
        let parts = [
            ("tikv", "tikv"),
            ("pd", "pd"),
            ("ns-basic-tikv", "tikv"),
            ("ns-basic-pd", "pd"),
            ("node_exporter", "node"),
            ("overwritten-nodes", "node"),
            ("tidb", "tidb"),
            ("blackbox_exporter_http", "probe"),
            ("tidb_port_probe", "tidb"),
            ("probe/monitoring/tikv-ports", "probe"),
            ("prometheus-node-exporter", "node"),
            ("kube-state-metrics", "kubernetes"),
            ("kubernetes-cadvisor", "kubernetes"),
            ("kubelet", "kubernetes"),
            ("operator", "observer"),
        ];
        for (job, part) in parts {
            assert_eq!(tikv.part(job), Some(part), "{job}");
        }
        for job in ["apiserver", "etcd", "my_tikv", "pd2"] {
            assert_eq!(tikv.part(job), None, "{job}");
        }
    }

    #[test]
    fn jobs_that_are_copied_whole_share_one_selector() {
        let [selector, picked] = &tikv().selectors()[..] else { panic!("one job picks metrics") };
        let [of_job, _] = picked.matchers() else { panic!("{picked}") };
        assert!(of_job.value.contains("kube-state-metrics"), "{picked}");
        let [matcher] = selector.matchers() else { panic!("{selector}") };
        assert_eq!((&*matcher.name, matcher.comparison), ("job", Comparison::Regex));
        let jobs = Regex::new(&anchored(&matcher.value)).expect("a regular expression");
        assert!(jobs.is_match("ns-basic-tikv") && jobs.is_match("node") && !jobs.is_match("etcd"));
    }

    #[test]
    fn a_job_that_picks_metrics_keeps_what_tells_of_its_scrapes() {
        let text = "name = 'etcd'\n[[jobs]]\npart = 'etcd'\njob = 'etcd'\nmetrics = ['etcd_.*', 'go_.*']\n[[jobs]]\npart = 'node'\njob = 'node'";
        let selectors: Vec<String> = Subject::parse(text)
            .expect("reads")
            .selectors()
            .iter()
            .map(ToString::to_string)
            .collect();
        let picked = r#"{job=~"etcd",__name__=~"etcd_.*|go_.*|up|scrape_.*"}"#;
        assert_eq!(selectors, [r#"{job=~"node"}"#, picked]);
    }

    #[test]
    fn a_node_is_named_without_its_port() {
        let tikv = tikv();
        for (instance, node) in [
            ("tikv0:20180", Some("tikv0")),
            ("10.77.0.20:20180", Some("10.77.0.20")),
            ("a b:x", None),
        ] {
            let labels = Labels::from_pairs(&[("__name__", "up"), ("instance", instance)]);
            assert_eq!(tikv.node(&labels).as_deref(), node, "{instance}");
        }
    }

    #[test]
    fn what_is_no_subject_is_refused_with_a_reason() {
        let job = "[[jobs]]\npart = 'a'\njob = 'a'";
        for (text, reason) in [
            ("jobs = []".to_owned(), "not a subject"),
            ("name = 'x'\njobs = []".to_owned(), "nothing to copy"),
            (format!("name = '../x'\n{job}"), "letters"),
            (format!("name = 'x'\ncolour = 1\n{job}"), "not a subject"),
            ("name = 'x'\n[[jobs]]\npart = 'a'\njob = '('".to_owned(), "no regular expression"),
            (format!("name = 'x'\n[nodes]\nlabel = 'instance'\nname = '.*'\n{job}"), "one group"),
        ] {
            let error = Subject::parse(&text).expect_err(&text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
