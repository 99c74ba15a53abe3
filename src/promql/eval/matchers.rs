//! Compiles the matchers of selectors, each regular expression once.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::model::{LabelMatcher, MatchOp};
use crate::promql::dialect::Dialect;
use crate::promql::go_compat::regexp::anchored;
use crate::promql::syntax::ast::{Comparison, Condition};

/// Compiled matchers by their text, since expressions repeat them.
#[derive(Debug, Default)]
pub struct MatcherCache {
    compiled: Mutex<HashMap<Condition, LabelMatcher>>,
}

/// Compiled conditions to keep; past that the cache starts anew.
const CACHED: usize = 4096;

impl MatcherCache {
    /// The conditions as matchers. Those that always hold are left out, and those that need no
    /// regular expression get none.
    pub fn matchers(
        &self,
        conditions: &[Condition],
        dialect: Dialect,
    ) -> Result<Vec<LabelMatcher>, String> {
        let mut compiled = self.compiled.lock().expect("nothing panics while it compiles");
        let mut matchers = Vec::with_capacity(conditions.len());
        for condition in conditions {
            if dialect == Dialect::V3
                && condition.comparison == Comparison::Regex
                && condition.value == ".*"
            {
                continue;
            }
            if let Some(known) = compiled.get(condition) {
                matchers.push(known.clone());
                continue;
            }
            let matcher = compile(condition, dialect)?;
            if compiled.len() >= CACHED {
                compiled.clear();
            }
            compiled.insert(condition.clone(), matcher.clone());
            matchers.push(matcher);
        }
        Ok(matchers)
    }
}

fn compile(condition: &Condition, dialect: Dialect) -> Result<LabelMatcher, String> {
    let literal = is_literal(&condition.value);
    let (op, value) = match condition.comparison {
        Comparison::Equal => (MatchOp::Equal, condition.value.clone()),
        Comparison::NotEqual => (MatchOp::NotEqual, condition.value.clone()),
        Comparison::Regex if literal => (MatchOp::Equal, condition.value.clone()),
        Comparison::NotRegex if literal => (MatchOp::NotEqual, condition.value.clone()),
        Comparison::Regex if dialect == Dialect::V3 && condition.value == ".+" => {
            (MatchOp::NotEqual, String::new())
        }
        Comparison::Regex => (MatchOp::Regex(anchored(&condition.value, dialect)?), String::new()),
        Comparison::NotRegex => {
            (MatchOp::NotRegex(anchored(&condition.value, dialect)?), String::new())
        }
    };
    Ok(LabelMatcher { name: condition.name.clone(), op, value })
}

fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_need_no_regular_expression() {
        let condition = |comparison, value: &str| Condition {
            name: "job".to_owned(),
            comparison,
            value: value.to_owned(),
        };
        let cache = MatcherCache::default();
        let conditions = [condition(Comparison::Regex, "pd"), condition(Comparison::Regex, ".*")];
        let matchers = cache.matchers(&conditions, Dialect::V3).expect("they compile");
        assert_eq!(matchers.len(), 1);
        assert!(matches!(matchers[0].op, MatchOp::Equal));
    }
}
