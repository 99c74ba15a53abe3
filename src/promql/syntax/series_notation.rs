//! Reads series in the notation of Prometheus's test files: `up{job="a"} 0+1x3 _ stale`.

use crate::model::{Comparison, Labels, stale_marker};
use crate::promql::error::ParseError;
use crate::promql::syntax::ast::ExprKind;
use crate::promql::syntax::{lexer, parser};

/// How many values one word may denote; Prometheus sets no limit.
const MOST_REPEATED: usize = 10_000_000;

/// Labels and values of a line such as `up{job="a"} 0+1x3 _ stale`.
///
/// # Errors
///
/// [`ParseError`] as [`parse_labels`] and [`parse_values`].
pub fn parse_series(line: &str) -> Result<(Labels, Vec<Option<f64>>), ParseError> {
    let (metric, values) = line.split_at(end_of_metric(line));
    Ok((parse_labels(metric)?, parse_values(values)?))
}

/// Where the labels of a line end and its values begin.
fn end_of_metric(line: &str) -> usize {
    let (mut quote, mut escaped, mut braces) = (None, false, false);
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(open), '\\') if open != '`' => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => braces = true,
            (None, '}') => return at + 1,
            (None, ' ' | '\t') if !braces && !line[at..].trim_start().starts_with('{') => {
                return at;
            }
            _ => {}
        }
    }
    line.len()
}

/// Labels written as a selector of equalities, `{}` for none of them.
///
/// # Errors
///
/// [`ParseError`] where the text is no selector, or compares otherwise than with `=`.
pub fn parse_labels(text: &str) -> Result<Labels, ParseError> {
    if text.trim() == "{}" || text.trim().is_empty() {
        return Ok(Labels::default());
    }
    let bad = |why: &str| ParseError::at(text, 0, why);
    let matchers = parser::parse_selector(text)?.matchers;
    if matchers.iter().any(|matcher| matcher.comparison != Comparison::Equal) {
        return Err(bad("labels of a series are written with ="));
    }
    let pairs = matchers.into_iter().map(|matcher| (matcher.name, matcher.value));
    Labels::new(pairs.collect()).map_err(|error| bad(&error.to_string()))
}

/// Values separated by blanks, one for each step; none where a word is `_`. `a+bxn` is `a` and `n`
/// more, each greater by `b`; `axn` is `a` and `n` more; `_xn` is `n` times nothing; `stale` is the
/// staleness marker.
///
/// # Errors
///
/// [`ParseError`] where a word is none of these. Native histograms are none.
///
/// # Examples
///
/// ```
/// use operator::promql::parse_series_values;
/// let values = parse_series_values("1-1x2 _ 5")?;
/// assert_eq!(values, [Some(1.0), Some(0.0), Some(-1.0), None, Some(5.0)]);
/// # Ok::<(), operator::promql::ParseError>(())
/// ```
pub fn parse_values(text: &str) -> Result<Vec<Option<f64>>, ParseError> {
    let mut found = Vec::new();
    for word in text.split_whitespace() {
        let place = word.as_ptr().addr() - text.as_ptr().addr();
        push(word, &mut found).ok_or_else(|| {
            ParseError::at(text, place, format!("{word:?} does not stand for values of a series"))
        })?;
    }
    Ok(found)
}

fn push(word: &str, found: &mut Vec<Option<f64>>) -> Option<()> {
    // Which is why no number is hexadecimal here.
    let (body, times) = match word.rsplit_once('x') {
        Some((body, times)) => (body, Some(times.parse().ok().filter(|t| *t <= MOST_REPEATED)?)),
        None => (word, None),
    };
    match (body, times) {
        ("_", times) => found.extend(std::iter::repeat_n(None, times.unwrap_or(1))),
        ("stale", None) => found.push(Some(stale_marker())),
        (_, None) => found.push(Some(number(body)?)),
        (_, Some(times)) => {
            let (mut value, growth) = match growth_of(body) {
                Some(at) => (number(&body[..at])?, number(&body[at..])?),
                None => (number(body)?, 0.0),
            };
            found.push(Some(value));
            for _ in 0..times {
                value += growth;
                found.push(Some(value));
            }
        }
    }
    Some(())
}

/// Where a sign separates a value from its growth: not at its beginning, not in its exponent.
fn growth_of(body: &str) -> Option<usize> {
    let signs = body.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    let mut signs = signs.filter(|(at, _)| !body[..*at].ends_with(['e', 'E']));
    signs.next().map(|(at, _)| at)
}

/// A number as an expression writes it, with its sign.
pub(in crate::promql) fn number(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if let Some(value) = lexer::parse_number(unsigned).filter(|_| text.len() - unsigned.len() < 2) {
        return Some(if text.starts_with('-') { -value } else { value });
    }
    match parser::parse(text).ok()?.kind {
        ExprKind::Number(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::is_stale;

    #[test]
    fn values_repeat_and_grow() {
        let values = |text: &str| parse_values(text).expect("it reads");
        assert_eq!(
            values("1+2x2 3x1 _x2"),
            [1.0, 3.0, 5.0, 3.0, 3.0]
                .map(Some)
                .iter()
                .copied()
                .chain([None, None])
                .collect::<Vec<_>>()
        );
        assert_eq!(values("-1e+3-1x1 0x1"), [-1000.0, -1001.0, 0.0, 0.0].map(Some));
        assert!(values("NaN")[0].is_some_and(f64::is_nan));
        assert!(values("stale")[0].is_some_and(is_stale));
    }

    #[test]
    fn a_line_is_cut_where_its_labels_end() {
        let (labels, values) = parse_series("a{b=\"} 1\", c='\\'}'} 7").expect("it reads");
        assert_eq!(labels, Labels::from_pairs(&[("__name__", "a"), ("b", "} 1"), ("c", "'}")]));
        assert_eq!(values, [Some(7.0)]);
        assert_eq!(parse_series("{} 1").expect("it reads").0, Labels::default());
        assert_eq!(parse_series("a {b='c'} 1").expect("it reads").0.len(), 2);
    }

    #[test]
    fn what_is_no_value_is_named_with_its_place() {
        let error = parse_values("1 {{sum:1}}").expect_err("a native histogram");
        assert_eq!((error.column, error.message.contains("{{sum:1}}")), (3, true));
        for text in ["1x", "x3", "1xx3", "_x-1", "a", "stalex2", "1x99999999999"] {
            assert!(parse_values(text).is_err(), "{text}");
        }
        assert!(parse_labels("a{b!='c'}").is_err());
    }
}
