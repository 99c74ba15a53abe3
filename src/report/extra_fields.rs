//! Fields of a verdict that the reports have no section for, so that none goes unseen.

use serde_json::Value;

use crate::diagnose::Verdict;

/// The fields for which the reports have sections.
const KNOWN: [&str; 13] = [
    "alternatives",
    "as_of_ms",
    "causes",
    "changes",
    "clients",
    "clocks",
    "damage",
    "findings",
    "other_clusters",
    "outcome",
    "schema",
    "summary",
    "unchecked",
];

/// A further field of a verdict.
pub(super) struct ExtraField {
    /// Its name as a heading.
    pub name: String,
    /// What it says.
    pub value: Extra,
}

/// What a further field says.
pub(super) enum Extra {
    /// One value.
    Text(String),
    /// A line for each element.
    List(Vec<String>),
}

/// The further fields that are not empty, ascending by name.
pub(super) fn extra_fields(verdict: &Verdict) -> Vec<ExtraField> {
    match serde_json::to_value(verdict) {
        Ok(document) => fields_of(document),
        Err(_) => Vec::new(),
    }
}

fn fields_of(document: Value) -> Vec<ExtraField> {
    let Value::Object(fields) = document else { return Vec::new() };
    let further = fields.into_iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    let mut fields: Vec<ExtraField> = further
        .filter_map(|(name, value)| {
            let value = match value {
                Value::Null => return None,
                Value::Array(elements) if elements.is_empty() => return None,
                Value::Array(elements) => Extra::List(elements.iter().map(line).collect()),
                other => Extra::Text(line(&other)),
            };
            Some(ExtraField { name: heading(&name), value })
        })
        .collect();
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields
}

/// A name of JSON as a heading: `not_explained` becomes `Not explained`.
fn heading(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// A value in one line.
fn line(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let parts = fields.iter().filter(|(_, value)| !value.is_null());
            let parts: Vec<String> = parts
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), line(value)))
                .collect();
            parts.join("; ")
        }
        Value::Array(elements) => elements.iter().map(line).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_without_a_section_is_shown() {
        let document = serde_json::json!({
            "summary": "x",
            "not_explained": [{ "finding": "F1", "text": "a & b" }, "c"],
            "none": [],
        });
        let fields = fields_of(document);
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].name, "Not explained");
        let Extra::List(lines) = &fields[0].value else { panic!("it is a list") };
        assert_eq!(lines, &["finding F1; text a & b", "c"]);
    }
}
