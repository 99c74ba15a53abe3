//! Which scrape target is which node, and why, as text and JSON for `show --nodes`.

use serde_json::{Value, json};

use super::table::{table, table_within};
use crate::model::{Component, Labels};
use crate::nodes::{Nodes, Reason, ScrapeTarget};

/// One store or member, as both forms show it.
struct Row<'a> {
    name: String,
    address: &'a str,
    known_as: Option<&'a str>,
    target: Option<&'a str>,
    reason: Reason,
    is_store: bool,
}

impl Row<'_> {
    /// Why the target is the node's. What PD lists of a store is its address and its status_address.
    fn why(&self) -> String {
        let port = |address: &str| address.rsplit_once(':').map(|(_, port)| port.to_owned());
        let is_other = self.target.is_some_and(|target| port(target) != port(self.address));
        match self.reason {
            Reason::ListedAddress if is_other && self.is_store => {
                "PD lists its status_address".to_owned()
            }
            reason => reason.to_string(),
        }
    }
}

fn rows(nodes: &Nodes) -> Vec<Row<'_>> {
    let members = nodes.members.iter().map(|member| Row {
        name: member.name.clone(),
        address: &member.address,
        known_as: member.known_as.as_deref(),
        target: member.instance.as_deref(),
        reason: member.reason,
        is_store: false,
    });
    let stores = nodes.stores.iter().map(|store| Row {
        name: store.name(),
        address: &store.address,
        known_as: store.known_as.as_deref(),
        target: store.instance.as_deref(),
        reason: store.reason,
        is_store: true,
    });
    members.chain(stores).collect()
}

/// A row for each node with the scrape target that it is and why, then the other targets by what they are,
/// then what was left out or could not be decided. Rows are at most `width` columns wide where words allow.
pub fn nodes_text(nodes: &Nodes, width: usize) -> String {
    let head = ["NODE", "ADDRESS", "TARGET", "KNOWN AS", "WHY"].map(str::to_owned);
    let cells = |row: &Row<'_>| {
        let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let known_as = or_none(row.known_as);
        vec![row.name.clone(), row.address.to_owned(), or_none(row.target), known_as, row.why()]
    };
    let mut lines = vec![head.to_vec()];
    lines.extend(rows(nodes).iter().map(cells));
    let mut text = table_within(&lines, width);
    let others = [
        Component::Tidb,
        Component::Node,
        Component::Probe,
        Component::Kubernetes,
        Component::Other,
    ];
    let others = others.into_iter().filter_map(|component| {
        let names: Vec<&str> = nodes.names_of(component).collect();
        (!names.is_empty()).then(|| vec![component.to_string(), names.join(", ")])
    });
    text.push_str(&section("Beside them", others.collect()));
    let labels = |all: &[Labels]| all.iter().map(|one| vec![one.to_string()]).collect();
    text.push_str(&section("Other clusters, left out", labels(&nodes.other_clusters)));
    text.push_str(&section("Clusters of which one may be PD's", labels(&nodes.undecided_clusters)));
    let unassigned = nodes.unassigned.iter().map(|target| vec![target.labels.to_string()]);
    text.push_str(&section("Targets that may be the nodes without one", unassigned.collect()));
    text
}

fn section(heading: &str, rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let indented: Vec<Vec<String>> = rows
        .into_iter()
        .map(|mut row| {
            row[0].insert_str(0, "  ");
            row
        })
        .collect();
    format!("\n{heading}\n{}", table(&indented))
}

/// The same as a JSON value.
pub fn nodes_json(nodes: &Nodes) -> Value {
    let node = |row: &Row<'_>| {
        json!({
            "name": row.name,
            "address": row.address,
            "known_as": row.known_as,
            "target": row.target,
            "why": row.why(),
        })
    };
    let target = |target: &ScrapeTarget| {
        json!({
            "name": target.name,
            "component": target.component.to_string(),
            "labels": labels_json(&target.labels),
        })
    };
    let all = |labels: &[Labels]| labels.iter().map(labels_json).collect::<Vec<Value>>();
    json!({
        "nodes": rows(nodes).iter().map(node).collect::<Vec<Value>>(),
        "targets": nodes.targets.iter().map(target).collect::<Vec<Value>>(),
        "unassigned": nodes.unassigned.iter().map(target).collect::<Vec<Value>>(),
        "other_clusters": all(&nodes.other_clusters),
        "undecided_clusters": all(&nodes.undecided_clusters),
    })
}

fn labels_json(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
