//! Reads YAML as Prometheus reads its rule files and promtool its test files.

use serde::de::{DeserializeOwned, Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// The first document of a text, or the default where it has none. Like Prometheus, leaves out
/// further documents.
///
/// # Errors
///
/// The message of the parser, with its place in the text.
pub fn first_document<T: DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    let mut bytes = text.as_bytes();
    let first = serde_saphyr::read_with_options(&mut bytes, options()).next();
    first
        .unwrap_or_else(|| Ok(T::default()))
        .map_err(|why: serde_saphyr::Error| why.without_snippet().to_string())
}

/// Go reads `010` as octal. Files of tens of thousands of rules are in use; by default a document
/// may have 250,000 nodes.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        budget: serde_saphyr::budget! {
            max_events: 20_000_000,
            max_nodes: 10_000_000,
        },
    }
}

/// Reads a field that may be null, which stands for the default.
pub fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A number; in quotes it is a string, and no number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Number(pub f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
        Ok(Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
        Ok(Number(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Number, E> {
        Ok(Number::default())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        // The parser gives numbers beyond the range of its types as text.
        match text.parse() {
            Ok(value) if text.len() > LONGEST_I64 => Ok(Number(value)),
            _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }
}

/// Characters of the smallest 64-bit integer.
const LONGEST_I64: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    struct Document {
        #[serde(default)]
        value: Number,
        #[serde(default, deserialize_with = "or_default")]
        names: Vec<String>,
    }

    #[test]
    fn numbers_are_those_of_go() {
        for (text, expected) in [
            ("0x10", 16.0),
            ("16_000", 16_000.0),
            ("010", 8.0),
            ("0b101", 5.0),
            ("-1.5e3", -1500.0),
            (".inf", f64::INFINITY),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("", 0.0),
        ] {
            let document: Document = first_document(&format!("value: {text}")).expect(text);
            assert_eq!(document.value, Number(expected), "{text}");
        }
        for text in ["'1000'", "NaN", "one"] {
            assert!(first_document::<Document>(&format!("value: {text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_null_is_empty_and_further_documents_are_left_out() {
        for text in ["", "---\nnames:\n---\n", "names: []\n---\n- [another]\n", "# none\n"] {
            assert_eq!(first_document(text), Ok(Document::default()), "{text:?}");
        }
    }
}
