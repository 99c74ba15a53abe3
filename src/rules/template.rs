//! Texts with Go's `text/template` in them, as far as rules use it.
//!
//! Left out, and refused by name: `define`, `template`, `block`, `break`, `continue`, and the
//! functions that make sense in consoles only.

mod functions;
mod lexer;
mod number;
mod parser;
mod printf;
mod run;
mod value;

use std::sync::Arc;

use crate::model::Labels;

/// A label's or an annotation's text, read.
#[derive(Clone, Debug)]
pub struct Template {
    text: Arc<str>,
    /// `None` where the text is plain.
    nodes: Option<Arc<[parser::Node]>>,
}

/// What a template sees.
pub struct TemplateData<'a> {
    /// `$labels`: those of the element that the expression yielded.
    pub labels: &'a Labels,
    /// `$value`.
    pub value: f64,
    /// `query`: evaluates an expression at the instant of the rule's evaluation.
    pub query: &'a dyn Fn(&str) -> Result<VectorElements, String>,
}

/// VectorElements of an instant vector.
pub type VectorElements = Vec<(Labels, f64)>;

/// Why a template cannot be read or expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    /// A text that is taken as it stands.
    pub fn plain(text: &str) -> Self {
        Self { text: text.into(), nodes: None }
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] where it is no template, or uses a function that is unknown or left out.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.contains("{{") {
            return Ok(Self::plain(text));
        }
        let nodes = parser::parse(text).map_err(TemplateError)?;
        Ok(Self { text: text.into(), nodes: Some(nodes.into()) })
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with everything filled in.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] where a function refuses its arguments, or the text becomes too long.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::model::Labels;
    /// use operator::rules::{Template, TemplateData};
    /// let template = Template::parse("{{ $labels.job }} at {{ $value | humanize }}")?;
    /// let labels = Labels::from_pairs(&[("job", "tikv")]);
    /// let query = |_: &str| Ok(Vec::new());
    /// let data = TemplateData { labels: &labels, value: 12_345.0, query: &query };
    /// assert_eq!(template.expand(&data)?, "tikv at 12.35k");
    /// # Ok::<(), operator::rules::TemplateError>(())
    /// ```
    pub fn expand(&self, data: &TemplateData<'_>) -> Result<String, TemplateError> {
        match &self.nodes {
            None => Ok(self.text.to_string()),
            Some(nodes) => run::expand(nodes, data).map_err(TemplateError),
        }
    }
}

#[cfg(test)]
mod tests;
