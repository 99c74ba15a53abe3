//! Series selectors, as they are sent to Prometheus.
//!
//! `promql` parses selectors too, as part of expressions that it evaluates. This parser is separate: it
//! accepts a selector alone, reports errors as [`SourceError`], and leaves regular expressions as text,
//! since it is the server that compiles and evaluates them.

use std::fmt;

use crate::model::{Comparison, MatcherText, is_label_name, is_metric_name};
use crate::source::SourceError;

/// A conjunction of conditions: it selects the series that meet all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    matchers: Vec<MatcherText>,
}

impl Selector {
    /// Parses a selector: `name`, `name{label="value",…}` or `{label=~"regex",…}`, with PromQL's
    /// four operators, three kinds of quotes and escapes.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] says what cannot be parsed and at which byte. A selector without a
    /// condition is refused, as in Prometheus.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::source::Selector;
    /// let selector = Selector::parse("tikv_store_size_bytes{ type = 'used' }")?;
    /// assert_eq!(selector.to_string(), r#"tikv_store_size_bytes{type="used"}"#);
    /// # Ok::<(), operator::source::SourceError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let mut parser = Parser { text, rest: text };
        let matchers = parser.selector()?;
        Ok(Self { matchers })
    }

    /// A selector of `matchers`, which must not be empty.
    pub fn new(matchers: Vec<MatcherText>) -> Self {
        Self { matchers }
    }

    /// The conditions, in the order in which they were written.
    pub fn matchers(&self) -> &[MatcherText] {
        &self.matchers
    }

    /// The same selector with one more condition.
    #[must_use]
    pub fn with_matcher(&self, name: &str, kind: Comparison, value: &str) -> Self {
        let mut matchers = self.matchers.clone();
        matchers.push(MatcherText {
            name: name.to_owned(),
            comparison: kind,
            value: value.to_owned(),
        });
        Self { matchers }
    }

    /// The same selector, narrowed to metrics whose whole name matches `regex`.
    #[must_use]
    pub fn with_metric_regex(&self, regex: &str) -> Self {
        self.with_matcher("__name__", Comparison::Regex, regex)
    }

    /// The same selector, narrowed to the metrics `names`, which must not be empty.
    ///
    /// Prometheus looks up an alternation of literals name by name, so this is as fast as one selector
    /// for each metric, with one request instead of many.
    #[must_use]
    pub fn with_metrics(&self, names: &[String]) -> Self {
        match names {
            [name] => self.with_matcher("__name__", Comparison::Equal, name),
            names => {
                let escaped: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
                self.with_metric_regex(&escaped.join("|"))
            }
        }
    }

    /// A selector of the `up` series of the targets of this selector's series: it keeps the conditions
    /// on `job` and `instance`.
    pub fn scrapes(&self) -> Self {
        let mut matchers = vec![MatcherText {
            name: "__name__".to_owned(),
            comparison: Comparison::Equal,
            value: "up".to_owned(),
        }];
        let of_target =
            |matcher: &&MatcherText| matches!(matcher.name.as_str(), "job" | "instance");
        matchers.extend(self.matchers.iter().filter(of_target).cloned());
        Self { matchers }
    }
}

impl fmt::Display for Selector {
    /// Writes PromQL that [`Selector::parse`] and Prometheus 2 and 3 can parse.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |matcher: &&MatcherText| {
            matcher.name == "__name__"
                && matcher.comparison == Comparison::Equal
                && is_metric_name(&matcher.value)
        };
        // Prometheus refuses a name before the braces where there is a further condition on it inside.
        let on_name = self.matchers.iter().filter(|matcher| matcher.name == "__name__").count();
        let metric = self.matchers.iter().find(plain).filter(|_| on_name == 1);
        if let Some(metric) = metric {
            formatter.write_str(&metric.value)?;
        }
        let mut separator = '{';
        for matcher in &self.matchers {
            if metric.is_some_and(|metric| std::ptr::eq(metric, matcher)) {
                continue;
            }
            write!(formatter, "{separator}")?;
            if is_label_name(&matcher.name) {
                formatter.write_str(&matcher.name)?;
            } else {
                write_quoted(formatter, &matcher.name)?;
            }
            formatter.write_str(matcher.comparison.operator())?;
            write_quoted(formatter, &matcher.value)?;
            separator = ',';
        }
        if separator == ',' { formatter.write_str("}") } else { Ok(()) }
    }
}

impl std::str::FromStr for Selector {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        Self::parse(text)
    }
}

fn write_quoted(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_str("\"")?;
    for character in text.chars() {
        match character {
            '\\' => formatter.write_str("\\\\")?,
            '"' => formatter.write_str("\\\"")?,
            '\n' => formatter.write_str("\\n")?,
            '\r' => formatter.write_str("\\r")?,
            '\t' => formatter.write_str("\\t")?,
            other => write!(formatter, "{other}")?,
        }
    }
    formatter.write_str("\"")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IdentifierKind {
    Metric,
    Label,
}

impl IdentifierKind {
    fn allows(self, character: char) -> bool {
        character.is_ascii_alphanumeric()
            || character == '_'
            || (character == ':' && self == Self::Metric)
    }

    fn is_whole(self, word: &str) -> bool {
        match self {
            Self::Metric => is_metric_name(word),
            Self::Label => is_label_name(word),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn fail(&self, why: &str) -> SourceError {
        let at = self.text.len() - self.rest.len();
        SourceError::Options(format!(
            "cannot read {:?} as a selector: {why} at byte {at}",
            self.text
        ))
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn identifier(&mut self, kind: IdentifierKind) -> Option<&'a str> {
        self.skip_space();
        let end = self.rest.find(|next| !kind.allows(next)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if !kind.is_whole(word) {
            return None;
        }
        self.rest = rest;
        Some(word)
    }

    fn selector(&mut self) -> Result<Vec<MatcherText>, SourceError> {
        let mut matchers = Vec::new();
        let metric = |value: &str| MatcherText {
            name: "__name__".to_owned(),
            comparison: Comparison::Equal,
            value: value.to_owned(),
        };
        if let Some(name) = self.identifier(IdentifierKind::Metric) {
            matchers.push(metric(name));
        }
        if self.eat("{") {
            while !self.eat("}") {
                let quoted = self.quoted()?;
                let name = match &quoted {
                    Some(name) => name.as_str(),
                    None => self
                        .identifier(IdentifierKind::Label)
                        .ok_or_else(|| self.fail("a label name is missing"))?,
                };
                match self.operator() {
                    Some(kind) => {
                        let value =
                            self.quoted()?.ok_or_else(|| self.fail("a quoted value is missing"))?;
                        matchers.push(MatcherText {
                            name: name.to_owned(),
                            comparison: kind,
                            value,
                        });
                    }
                    // A quoted name alone is the metric, since Prometheus 3.
                    None if quoted.is_some() => matchers.push(metric(name)),
                    None => return Err(self.fail("an operator is missing")),
                }
                if !self.eat(",") {
                    if self.eat("}") {
                        break;
                    }
                    return Err(self.fail("a comma or a closing brace is missing"));
                }
            }
        }
        self.skip_space();
        if !self.rest.is_empty() {
            return Err(self.fail("something else follows"));
        }
        if matchers.is_empty() {
            return Err(self.fail("a condition is missing"));
        }
        Ok(matchers)
    }

    fn operator(&mut self) -> Option<Comparison> {
        // `=~` must be tried before `=`, which is a prefix of it.
        [Comparison::Regex, Comparison::NotRegex, Comparison::NotEqual, Comparison::Equal]
            .into_iter()
            .find(|kind| self.eat(kind.operator()))
    }

    fn quoted(&mut self) -> Result<Option<String>, SourceError> {
        self.skip_space();
        let Some(quote @ ('"' | '\'' | '`')) = self.rest.chars().next() else { return Ok(None) };
        let mut value = String::new();
        let mut characters = self.rest[1..].chars();
        loop {
            match characters.next() {
                None => return Err(self.fail("a quote does not close")),
                Some(end) if end == quote => break,
                Some('\\') if quote != '`' => {
                    let escaped = unescape(&mut characters);
                    value.push(escaped.ok_or_else(|| self.fail("an unknown escape stands"))?);
                }
                Some(other) => value.push(other),
            }
        }
        self.rest = characters.as_str();
        Ok(Some(value))
    }
}

fn unescape(characters: &mut std::str::Chars<'_>) -> Option<char> {
    match characters.next()? {
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        same @ ('\\' | '\'' | '"') => Some(same),
        kind => {
            let (count, radix, first) = match kind {
                'x' => (2, 16, 0),
                'u' => (4, 16, 0),
                'U' => (8, 16, 0),
                digit @ '0'..='7' => (2, 8, digit.to_digit(8)?),
                _ => return None,
            };
            let mut value = first;
            for _ in 0..count {
                value =
                    value.checked_mul(radix)?.checked_add(characters.next()?.to_digit(radix)?)?;
            }
            // Bytes above ASCII would be parts of UTF-8 characters.
            let limit = if matches!(kind, 'u' | 'U') { u32::MAX } else { 0x7f };
            (value <= limit).then(|| char::from_u32(value)).flatten()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_four_operators_and_three_quotes_read() {
        let selector =
            Selector::parse("m:x { a=\"1\", b!='2', c=~`\\d+`,d!~\"x\\\"\\\\\\n\\u00e9\", }")
                .expect("reads");
        let kinds: Vec<Comparison> = selector.matchers().iter().map(|m| m.comparison).collect();
        use Comparison::{Equal, NotEqual, NotRegex, Regex};
        assert_eq!(kinds, [Equal, Equal, NotEqual, Regex, NotRegex]);
        assert_eq!(selector.matchers()[3].value, "\\d+");
        assert_eq!(selector.matchers()[4].value, "x\"\\\né");
        let printed = r#"m:x{a="1",b!="2",c=~"\\d+",d!~"x\"\\\né"}"#;
        assert_eq!(selector.to_string(), printed);
        assert_eq!(Selector::parse(printed), Ok(selector));
    }

    #[test]
    fn what_is_not_a_selector_is_refused() {
        let texts = [
            "",
            "{}",
            "up{",
            "up{a}",
            "up{a=}",
            "up{a=\"}",
            "up{a=\"1\" b=\"2\"}",
            "up[5m]",
            "1up",
            "rate(up)",
            "up{a==\"1\"}",
            "up{a=\"\\q\"}",
            "up{a=\"\\xff\"}",
            "up up",
        ];
        for text in texts {
            assert!(matches!(Selector::parse(text), Err(SourceError::Options(_))), "{text}");
        }
    }

    #[test]
    fn metrics_narrow_a_selector() {
        let selector = Selector::parse("{job=\"tikv\"}").expect("reads");
        let one = selector.with_metrics(&["up".to_owned()]);
        assert_eq!(one.to_string(), "up{job=\"tikv\"}");
        let two = selector.with_metrics(&["up".to_owned(), "a.b".to_owned()]);
        assert_eq!(two.to_string(), r#"{job="tikv",__name__=~"up|a\\.b"}"#);
        assert_eq!(two.scrapes().to_string(), "up{job=\"tikv\"}");
        let narrowed = two.with_metrics(&["up".to_owned()]).to_string();
        let refused = r#"up{job="tikv",__name__=~"up|a\\.b"}"#;
        assert_ne!(narrowed, refused, "Prometheus: metric name must not be set twice");
        assert_eq!(narrowed, r#"{job="tikv",__name__=~"up|a\\.b",__name__="up"}"#);
    }

    proptest! {
        #[test]
        fn printing_reads_back(name in "[a-z_.]{1,8}", value in any::<String>(), kind in 0_usize..4) {
            let kinds =
                [Comparison::Equal, Comparison::NotEqual, Comparison::Regex, Comparison::NotRegex];
            let base = Selector::parse("up").expect("reads");
            let selector = base.with_matcher(&name, kinds[kind], &value);
            prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn garbage_never_panics(text in any::<String>()) {
            let _ = Selector::parse(&text);
        }
    }
}
