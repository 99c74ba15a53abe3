//! Parses rule files as Prometheus does, and reports everything that Prometheus would refuse.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::template::Template;
use super::yaml::first_document;
use crate::model::{is_label_name, is_metric_name};
use crate::promql::{Expression, ValueType};

/// A parsed rule file.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// Name of the file in reports.
    pub name: String,
    /// Groups in the order of the file.
    pub groups: Vec<RuleGroup>,
}

/// A group of rules that are evaluated one after the other, at the same instants.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// Name of the group, unique within its file.
    pub name: String,
    /// Interval between evaluations in milliseconds; `None` for the default of the server.
    pub interval_ms: Option<i64>,
    /// Offset in milliseconds by which its queries are evaluated before the instant of evaluation.
    pub query_offset_ms: i64,
    /// Most series or alerts that a rule may yield; 0 for no limit.
    pub limit: usize,
    /// Rules in the order of the file.
    pub rules: Vec<Rule>,
}

/// A recording rule or an alerting rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name of the alert or of the recorded metric.
    pub name: String,
    /// Whether the result is recorded or makes alerts.
    pub kind: RuleKind,
    /// The parsed PromQL expression.
    pub expression: Expression,
    /// Labels to set, ascending by name, including those of the group. In a recording rule they are
    /// plain text.
    pub labels: Vec<(String, Template)>,
}

/// Kind of a rule: recording or alerting.
#[derive(Clone, Debug)]
pub enum RuleKind {
    /// Records the result as series.
    Recording,
    /// Makes an alert of each element of the result.
    Alert {
        /// How long an element has to stay before its alert fires, in milliseconds.
        for_ms: i64,
        /// How long an alert continues to fire without its element, in milliseconds.
        keep_firing_for_ms: i64,
        /// Annotations, ascending by name.
        annotations: Vec<(String, Template)>,
    },
}

/// A rule file that Prometheus would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}", .problems.join("; "))]
pub struct RuleFileError {
    /// Name of the file.
    pub file: String,
    /// All problems that were found, each with its group and rule.
    pub problems: Vec<String>,
}

/// A rule file, or a `PrometheusRule` of Kubernetes, whose `spec` is one.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    groups: Option<Vec<RawGroup>>,
    #[serde(rename = "apiVersion")]
    api_version: Option<IgnoredAny>,
    kind: Option<String>,
    metadata: Option<IgnoredAny>,
    spec: Option<RawSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    groups: Option<Vec<RawGroup>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    #[serde(default)]
    name: String,
    interval: Option<String>,
    query_offset: Option<String>,
    limit: Option<i64>,
    labels: Option<Pairs>,
    rules: Option<Vec<RawRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    record: Option<String>,
    alert: Option<String>,
    expr: Option<String>,
    r#for: Option<String>,
    keep_firing_for: Option<String>,
    labels: Option<Pairs>,
    annotations: Option<Pairs>,
}

type Pairs = BTreeMap<String, Option<String>>;

impl RuleFile {
    /// Reads a file's text; `name` is what reports call it. A `PrometheusRule` of Kubernetes is
    /// read as the rule file that its `spec` is. Like Prometheus, reads only the first document.
    ///
    /// # Errors
    ///
    /// [`RuleFileError`] with everything that Prometheus would refuse.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::rules::RuleFile;
    /// let text = "groups: [{name: a, rules: [{alert: Down, expr: up == 0, for: 1m}]}]";
    /// assert_eq!(RuleFile::parse("a.yaml", text)?.groups[0].rules[0].name, "Down");
    /// assert!(RuleFile::parse("a.yaml", "groups: [{name: a, rules: [{alert: Down}]}]").is_err());
    /// # Ok::<(), operator::rules::RuleFileError>(())
    /// ```
    pub fn parse(name: &str, text: &str) -> Result<Self, RuleFileError> {
        let error = |problems| RuleFileError { file: name.to_owned(), problems };
        let raw = first_document(text).and_then(RawFile::into_groups);
        let raw = raw.map_err(|why| error(vec![format!("not a rule file: {why}")]))?;
        let mut problems = Vec::new();
        let mut names = BTreeSet::new();
        let mut groups = Vec::new();
        for group in raw {
            if group.name.is_empty() {
                problems.push("a group has no name".to_owned());
            } else if !names.insert(group.name.clone()) {
                problems.push(format!("group {:?} stands twice", group.name));
            }
            groups.push(group.read(&mut problems));
        }
        if !problems.is_empty() {
            return Err(error(problems));
        }
        Ok(Self { name: name.to_owned(), groups })
    }
}

impl RawFile {
    fn into_groups(self) -> Result<Vec<RawGroup>, String> {
        let is_object = self.api_version.is_some() || self.metadata.is_some();
        match (self.kind.as_deref(), self.spec, self.groups) {
            (None, None, groups) if !is_object => Ok(groups.unwrap_or_default()),
            (Some("PrometheusRule"), Some(spec), None) => Ok(spec.groups.unwrap_or_default()),
            _ => Err("of Kubernetes objects only a PrometheusRule with a `spec` is one".to_owned()),
        }
    }
}

impl RawGroup {
    fn read(self, problems: &mut Vec<String>) -> RuleGroup {
        let mut duration = |key: &str, text: &Option<String>| {
            let read = text.as_deref().map(duration_ms).transpose();
            read.unwrap_or_else(|why| {
                problems.push(format!("group {:?}: {key}: {why}", self.name));
                None
            })
        };
        // Prometheus treats an interval of zero as absent.
        let interval_ms = duration("interval", &self.interval).filter(|&interval| interval > 0);
        let query_offset_ms = duration("query_offset", &self.query_offset).unwrap_or(0);
        let shared = self.labels.unwrap_or_default();
        let mut rules = Vec::new();
        for (number, rule) in (1..).zip(self.rules.unwrap_or_default()) {
            let name = rule.alert.as_deref().or(rule.record.as_deref()).unwrap_or("without name");
            let place = format!("group {:?}, rule {number} ({name})", self.name);
            let mut found = Vec::new();
            rules.extend(rule.read(&shared, &mut found));
            problems.extend(found.into_iter().map(|why| format!("{place}: {why}")));
        }
        RuleGroup {
            name: self.name,
            interval_ms,
            query_offset_ms,
            limit: self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0),
            rules,
        }
    }
}

impl RawRule {
    fn read(self, shared: &Pairs, problems: &mut Vec<String>) -> Option<Rule> {
        let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        let (name, is_alert) = match (named(&self.record), named(&self.alert)) {
            (Some(record), None) => (record, false),
            (None, Some(alert)) => (alert, true),
            (Some(_), Some(_)) => {
                problems.push("has both `record` and `alert`".to_owned());
                return None;
            }
            (None, None) => {
                problems.push("has neither `record` nor `alert`".to_owned());
                return None;
            }
        };
        if !is_alert && !is_metric_name(&name) {
            problems.push(format!("{name:?} is not a metric name"));
        }
        let expression = self.expression(problems);
        let mut labels = shared.clone();
        labels.extend(self.labels.clone().unwrap_or_default());
        let style = if is_alert { Style::Template } else { Style::Plain };
        let labels = texts("label", labels, style, problems);
        let kind = if is_alert {
            self.alert(problems)
        } else {
            for (key, given) in [
                ("for", self.r#for.is_some()),
                ("keep_firing_for", self.keep_firing_for.is_some()),
                ("annotations", self.annotations.is_some()),
            ] {
                if given {
                    problems.push(format!("a recording rule has no `{key}`"));
                }
            }
            RuleKind::Recording
        };
        Some(Rule { name, kind, expression: expression?, labels })
    }

    fn expression(&self, problems: &mut Vec<String>) -> Option<Expression> {
        let Some(text) = self.expr.as_deref().filter(|text| !text.trim().is_empty()) else {
            problems.push("has no `expr`".to_owned());
            return None;
        };
        match Expression::parse(text) {
            Ok(expression) => {
                let yields = expression.value_type();
                if !matches!(yields, ValueType::Vector | ValueType::Scalar) {
                    let yields = yields.documented();
                    problems.push(format!("expr: yields a {yields}, not a vector or scalar"));
                }
                Some(expression)
            }
            Err(why) => {
                problems.push(format!("expr: {why}"));
                None
            }
        }
    }

    fn alert(self, problems: &mut Vec<String>) -> RuleKind {
        let mut duration = |key: &str, text: Option<String>| {
            text.map_or(0, |text| {
                duration_ms(&text).unwrap_or_else(|why| {
                    problems.push(format!("{key}: {why}"));
                    0
                })
            })
        };
        let for_ms = duration("for", self.r#for);
        let keep_firing_for_ms = duration("keep_firing_for", self.keep_firing_for);
        let annotations = self.annotations.unwrap_or_default();
        let annotations = texts("annotation", annotations, Style::Template, problems);
        RuleKind::Alert { for_ms, keep_firing_for_ms, annotations }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Template,
}

fn texts(
    what: &str,
    pairs: Pairs,
    style: Style,
    problems: &mut Vec<String>,
) -> Vec<(String, Template)> {
    let mut read = Vec::with_capacity(pairs.len());
    for (name, text) in pairs {
        let text = text.unwrap_or_default();
        if !is_label_name(&name) || (what == "label" && name == "__name__") {
            problems.push(format!("{name:?} cannot name a {what}"));
            continue;
        }
        let template = match style {
            Style::Plain => Ok(Template::plain(&text)),
            Style::Template => Template::parse(&text),
        };
        match template {
            Ok(template) => read.push((name, template)),
            Err(why) => problems.push(format!("{what} {name}: {why}")),
        }
    }
    read
}

/// Parses a duration as rule files write it: units from `y` to `ms`, each once, larger ones first;
/// `0` needs no unit.
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    match text {
        "0" => Ok(0),
        "" => Err("empty duration string".to_owned()),
        _ => crate::model::duration_ms(text)
            .ok_or_else(|| format!("not a valid duration string: {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(rules: &str) -> Vec<String> {
        let text = format!("groups:\n- name: g\n  rules:\n{rules}");
        RuleFile::parse("r.yaml", &text).map(|_| ()).expect_err("it is wrong").problems
    }

    #[test]
    fn everything_wrong_is_named_with_its_place() {
        let found = problems(
            "  - {alert: A, expr: 'sum(', for: 5}\n  - {record: 'a b', expr: up, for: 1m}\n  \
             - {expr: up}\n  - {alert: B, expr: 'up[1m]'}\n  - {alert: C, expr: up, \
             annotations: {summary: '{{ nope }}'}}\n",
        );
        let expected = [
            "group \"g\", rule 1 (A): expr: 1:5: parse error: unexpected end of input",
            "group \"g\", rule 1 (A): for: not a valid duration string: \"5\"",
            "group \"g\", rule 2 (a b): \"a b\" is not a metric name",
            "group \"g\", rule 2 (a b): a recording rule has no `for`",
            "group \"g\", rule 3 (without name): has neither `record` nor `alert`",
            "group \"g\", rule 4 (B): expr: yields a range vector, not a vector or scalar",
            "group \"g\", rule 5 (C): annotation summary: function \"nope\" not defined",
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\n{expected}");
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    #[test]
    fn unknown_keys_and_groups_that_stand_twice_are_refused() {
        let unknown = RuleFile::parse("r", "groups: [{name: g, rule: []}]").expect_err("no key");
        assert!(unknown.to_string().contains("rule"), "{unknown}");
        let twice = RuleFile::parse("r", "groups: [{name: g}, {name: g}]").expect_err("twice");
        assert_eq!(twice.problems, ["group \"g\" stands twice"]);
        assert!(RuleFile::parse("r", "- 1").is_err());
        assert!(RuleFile::parse("r", "{}").is_ok_and(|file| file.groups.is_empty()));
        assert!(RuleFile::parse("r", "---\ngroups: []\n---\n").is_ok());
    }

    #[test]
    fn the_spec_of_a_prometheus_rule_is_a_rule_file() {
        let object = |kind: &str| {
            let spec = "{groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]}";
            format!("apiVersion: monitoring.coreos.com/v1\nkind: {kind}\nspec: {spec}")
        };
        let file = RuleFile::parse("r", &object("PrometheusRule")).expect("it holds a rule");
        assert_eq!(file.groups[0].rules[0].name, "A");
        for text in [&object("ConfigMap"), "kind: PrometheusRule", "{apiVersion: v1, groups: []}"] {
            let error = RuleFile::parse("r", text).expect_err(text);
            assert!(error.to_string().contains("PrometheusRule"), "{error}");
        }
    }

    #[test]
    fn plain_values_are_texts_and_a_groups_labels_are_its_rules() {
        let text = "groups: [{name: g, limit: 5, query_offset: 10s, labels: {team: kv, tier: 1}, \
                    rules: [{record: a:b, expr: 1, labels: {tier: 2}}]}]";
        let file = RuleFile::parse("r", text).expect("it is a rule file");
        let rule = &file.groups[0].rules[0];
        let labels: Vec<_> =
            rule.labels.iter().map(|(name, text)| (name.as_str(), text.text())).collect();
        assert_eq!(labels, [("team", "kv"), ("tier", "2")]);
        assert_eq!((file.groups[0].limit, file.groups[0].query_offset_ms), (5, 10_000));
    }

    #[test]
    fn durations_are_prometheus_s() {
        assert_eq!(duration_ms("1d2h3m4s5ms"), Ok(93_784_005));
        assert_eq!(duration_ms("0"), Ok(0));
        for text in ["", "5", "1m1h", "1m1m", "-1s", "1.5s", "99999999999999y"] {
            assert!(duration_ms(text).is_err(), "{text}");
        }
    }
}
