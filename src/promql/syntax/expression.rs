//! An expression that is parsed and checked, ready to be evaluated any number of times.

use std::borrow::Cow;

use crate::promql::error::{EvalError, ParseError};
use crate::promql::syntax::ast::{Expr, ExprKind, Selector, ValueType};
use crate::promql::syntax::duration::{self, QueryTimes};
use crate::promql::syntax::{parser, v3_features};

/// A parsed and checked expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    root: Expr,
    /// Whether any duration is computed rather than written.
    computes_durations: bool,
    /// The first part that Prometheus 2 does not know, as an error message names it.
    v3_feature: Option<String>,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    ///
    /// [`ParseError`] with line, column and Prometheus's words.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::promql::Expression;
    /// assert!(Expression::parse("sum by (job) (rate(tikv_grpc_msg_total[1m]))").is_ok());
    /// let error = Expression::parse("sum(").unwrap_err();
    /// assert_eq!((error.line, error.column), (1, 5));
    /// ```
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let root = parser::parse(text)?;
        let mut parsed =
            Self { text: text.to_owned(), root, computes_durations: false, v3_feature: None };
        let nodes = parsed.nodes();
        let computes_durations = nodes.iter().any(|node| node.computed_durations.is_some());
        let v3_feature = nodes.into_iter().find_map(v3_features::of_node);
        (parsed.computes_durations, parsed.v3_feature) = (computes_durations, v3_feature);
        Ok(parsed)
    }

    /// The text of the expression, as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The outermost node of the tree.
    pub fn root(&self) -> &Expr {
        &self.root
    }

    /// The type of the value that it evaluates to.
    pub fn value_type(&self) -> ValueType {
        self.root.value_type()
    }

    /// All nodes, parents before children, from left to right.
    pub fn nodes(&self) -> Vec<&Expr> {
        let mut nodes = Vec::new();
        let mut waiting = vec![&self.root];
        while let Some(node) = waiting.pop() {
            nodes.push(node);
            waiting.extend(node.children().into_iter().rev());
        }
        nodes
    }

    /// All selectors, from left to right.
    pub fn selectors(&self) -> Vec<&Selector> {
        self.nodes()
            .into_iter()
            .filter_map(|node| match &node.kind {
                ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => Some(selector),
                _ => None,
            })
            .collect()
    }

    /// The first part that Prometheus 2 does not know, as an error message names it.
    pub(in crate::promql) fn v3_feature(&self) -> Option<&str> {
        self.v3_feature.as_deref()
    }

    /// The expression with every computed duration replaced by its value in this query.
    ///
    /// # Errors
    ///
    /// [`EvalError::Expression`] where a duration has no meaning in this query.
    pub(in crate::promql) fn resolve(&self, times: QueryTimes) -> Result<Cow<'_, Self>, EvalError> {
        if !self.computes_durations {
            return Ok(Cow::Borrowed(self));
        }
        let mut resolved = self.clone();
        duration::resolve(&mut resolved.root, times)?;
        Ok(Cow::Owned(resolved))
    }
}
