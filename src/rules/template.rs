//! Parses and expands Go templates (`text/template`) in labels and annotations, as far as rules use
//! them.
//!
//! Not supported, and refused with an error: `break`, `continue`, `call`, and `tmpl`, which is only
//! useful in consoles.

mod functions;
mod lexer;
mod number;
mod parser;
mod printf;
mod run;
mod value;

use std::sync::Arc;

use crate::model::{Labels, Timestamp};

/// The parsed text of a label or an annotation.
#[derive(Clone, Debug)]
pub struct Template {
    text: Arc<str>,
    /// `None` where the text is plain.
    parsed: Option<Arc<parser::Parsed>>,
}

/// How the server names itself to the outside: what `$externalLabels` and `$externalURL` hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct External<'a> {
    /// Names and values of the labels that the server adds to what it sends away.
    pub labels: &'a [(String, String)],
    /// The URL under which the server is reachable; empty where it is unknown.
    pub url: &'a str,
}

/// Data that a template can use.
pub struct TemplateData<'a> {
    /// `$labels`: the labels of the element that the expression yielded.
    pub labels: &'a Labels,
    /// `$value`: the value of the element.
    pub value: f64,
    /// `now`: the instant of the rule's evaluation.
    pub at: Timestamp,
    /// `$externalLabels` and `$externalURL`.
    pub external: External<'a>,
    /// `query`: evaluates an expression at the instant of the rule's evaluation.
    pub query: &'a dyn Fn(&str) -> Result<VectorElements, String>,
}

/// Elements of an instant vector: labels and value.
pub type VectorElements = Vec<(Labels, f64)>;

/// A template cannot be parsed or expanded; the text says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    /// A plain text without template syntax.
    pub fn plain(text: &str) -> Self {
        Self { text: text.into(), parsed: None }
    }

    /// Parses a text.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] where it is not a valid template, or uses a function that is unknown or
    /// not supported.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.contains("{{") {
            return Ok(Self::plain(text));
        }
        let parsed = parser::parse(text).map_err(TemplateError)?;
        Ok(Self { text: text.into(), parsed: Some(parsed.into()) })
    }

    /// The text of the template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Expands the template to a text.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] where a function refuses its arguments, or the text becomes too long.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::model::{Labels, Timestamp};
    /// use operator::rules::{External, Template, TemplateData};
    /// let template = Template::parse("{{ $labels.job }} at {{ $value | humanize }}")?;
    /// let labels = Labels::from_pairs(&[("job", "tikv")]);
    /// let query = |_: &str| Ok(Vec::new());
    /// let external = External::default();
    /// let at = Timestamp::from_millis(0);
    /// let data = TemplateData { labels: &labels, value: 12_345.0, at, external, query: &query };
    /// assert_eq!(template.expand(&data)?, "tikv at 12.35k");
    /// # Ok::<(), operator::rules::TemplateError>(())
    /// ```
    pub fn expand(&self, data: &TemplateData<'_>) -> Result<String, TemplateError> {
        match &self.parsed {
            None => Ok(self.text.to_string()),
            Some(parsed) => run::expand(parsed, data).map_err(TemplateError),
        }
    }
}

#[cfg(test)]
mod tests;
