//! Compiles the matchers of selectors, each regular expression once.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::model::{Comparison, LabelMatcher, MatchOp, MatcherText};
use crate::promql::dialect::Dialect;
use crate::promql::go_compat::regexp::anchored;

/// Compiled matchers by their text, because expressions repeat them.
#[derive(Debug, Default)]
pub struct MatcherCache {
    compiled: Mutex<HashMap<MatcherText, LabelMatcher>>,
}

/// How many compiled matchers are kept; past that number the cache starts anew.
const CACHED: usize = 4096;

impl MatcherCache {
    /// Compiles matchers. Those that match every series are left out, and those that compare with a
    /// plain text get no regular expression.
    ///
    /// # Errors
    ///
    /// The text of the error where a regular expression is not one, or is too large.
    pub fn matchers(
        &self,
        parsed: &[MatcherText],
        dialect: Dialect,
    ) -> Result<Vec<LabelMatcher>, String> {
        let mut compiled = self.compiled.lock().expect("nothing panics while it compiles");
        let mut matchers = Vec::with_capacity(parsed.len());
        for parsed in parsed {
            if dialect == Dialect::V3
                && parsed.comparison == Comparison::Regex
                && parsed.value == ".*"
            {
                continue;
            }
            if let Some(known) = compiled.get(parsed) {
                matchers.push(known.clone());
                continue;
            }
            let matcher = compile(parsed, dialect)?;
            if compiled.len() >= CACHED {
                compiled.clear();
            }
            compiled.insert(parsed.clone(), matcher.clone());
            matchers.push(matcher);
        }
        Ok(matchers)
    }
}

fn compile(parsed: &MatcherText, dialect: Dialect) -> Result<LabelMatcher, String> {
    let literal = is_literal(&parsed.value);
    let (op, value) = match parsed.comparison {
        Comparison::Equal => (MatchOp::Equal, parsed.value.clone()),
        Comparison::NotEqual => (MatchOp::NotEqual, parsed.value.clone()),
        Comparison::Regex if literal => (MatchOp::Equal, parsed.value.clone()),
        Comparison::NotRegex if literal => (MatchOp::NotEqual, parsed.value.clone()),
        Comparison::Regex if dialect == Dialect::V3 && parsed.value == ".+" => {
            (MatchOp::NotEqual, String::new())
        }
        Comparison::Regex => (MatchOp::Regex(anchored(&parsed.value, dialect)?), String::new()),
        Comparison::NotRegex => {
            (MatchOp::NotRegex(anchored(&parsed.value, dialect)?), String::new())
        }
    };
    Ok(LabelMatcher { name: parsed.name.clone(), op, value })
}

fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_need_no_regular_expression() {
        let parsed = |comparison, value: &str| MatcherText {
            name: "job".to_owned(),
            comparison,
            value: value.to_owned(),
        };
        let cache = MatcherCache::default();
        let patterns = [parsed(Comparison::Regex, "pd"), parsed(Comparison::Regex, ".*")];
        let matchers = cache.matchers(&patterns, Dialect::V3).expect("they compile");
        assert_eq!(matchers.len(), 1);
        assert!(matches!(matchers[0].op, MatchOp::Equal));
    }
}
