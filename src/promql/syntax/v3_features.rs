//! The parts of PromQL that Prometheus 2 does not parse, and which are refused in its dialect.

use crate::model::is_label_name;
use crate::promql::dialect::Dialect;
use crate::promql::syntax::ast::{Expr, ExprKind, Grouping, RangeExtension, Selector};

/// The part of a node, apart from its children, that only Prometheus 3 parses, as an error names
/// it.
pub(in crate::promql) fn of_node(node: &Expr) -> Option<String> {
    if node.computed_durations.is_some() {
        return Some("arithmetic with durations".to_owned());
    }
    match &node.kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => of_selector(selector),
        ExprKind::Call { function, .. } if function.signature().since == Dialect::V3 => {
            Some(format!("{function}()"))
        }
        ExprKind::Aggregate(aggregate) => match &aggregate.grouping {
            Grouping::By(labels) | Grouping::Without(labels) => quoted(labels),
        },
        ExprKind::Binary(binary) => {
            let matching = &binary.matching;
            if matching.fill_left.is_some() || matching.fill_right.is_some() {
                return Some("the fill modifier".to_owned());
            }
            quoted(&matching.labels).or_else(|| quoted(matching.cardinality.included()))
        }
        _ => None,
    }
}

fn of_selector(selector: &Selector) -> Option<String> {
    match selector.extension {
        RangeExtension::None => {}
        extension => return Some(extension.keyword().to_owned()),
    }
    if selector.quotes_name {
        return Some("a quoted metric name".to_owned());
    }
    quoted(selector.matchers.iter().map(|matcher| &matcher.name))
}

fn quoted<'l>(labels: impl IntoIterator<Item = &'l String>) -> Option<String> {
    let mut labels = labels.into_iter();
    labels.find(|label| !is_label_name(label)).map(|label| format!("the label name {label:?}"))
}
