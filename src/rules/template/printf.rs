//! Formats as Go's `printf`, as far as templates use it.

use super::number::{scientific, significant};
use super::value::Value;
use crate::promql::format_short;

/// Largest width and precision of a verb.
const MAX_WIDTH: usize = 1000;

/// A verb with its flags, width and precision.
#[derive(Default)]
struct Verb {
    left: bool,
    plus: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

/// Formats arguments. Mismatches between verbs and arguments are shown in the text, as in Go.
pub fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        let (verb, after) = verb(&rest[start + 1..]);
        rest = after;
        match (verb.letter, arguments.clone().next()) {
            ('%', _) => out.push('%'),
            ('\0', _) => out.push_str("%!(NOVERB)"),
            (letter, None) => out.push_str(&format!("%!{letter}(MISSING)")),
            (_, Some(value)) => {
                arguments.next();
                out.push_str(&verb.padded(value));
            }
        }
    }
    out.push_str(rest);
    let extra: Vec<String> =
        arguments.map(|value| format!("{}={}", go_type(value), value.printed())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn verb(text: &str) -> (Verb, &str) {
    let mut verb = Verb::default();
    let mut rest = text;
    while let Some(flag) = rest.chars().next() {
        match flag {
            '-' => verb.left = true,
            '+' => verb.plus = true,
            '0' => verb.zeros = true,

            '#' | ' ' => {}
            _ => break,
        }
        rest = &rest[1..];
    }
    (verb.width, rest) = digits(rest);
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = digits(after);
        verb.precision = Some(precision);
        rest = after;
    }
    let mut chars = rest.chars();
    verb.letter = chars.next().unwrap_or('\0');
    (verb, chars.as_str())
}

fn digits(text: &str) -> (usize, &str) {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text[..text.len() - rest.len()].parse().unwrap_or(0);
    (number.min(MAX_WIDTH), rest)
}

impl Verb {
    fn padded(&self, value: &Value) -> String {
        let text = self.text(value);
        let fill = self.width.saturating_sub(text.chars().count());
        if self.left {
            return text + &" ".repeat(fill);
        }
        let is_number = matches!(value, Value::Int(_) | Value::Float(_));
        if self.zeros && is_number {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text.as_str()),
            };
            return format!("{sign}{}{digits}", "0".repeat(fill));
        }
        " ".repeat(fill) + &text
    }

    fn text(&self, value: &Value) -> String {
        let cut = |text: &str| match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        };
        let text = match (self.letter, value) {
            ('v', Value::Float(value)) => self
                .precision
                .map_or_else(|| format_short(*value), |precision| significant(*value, precision)),
            ('v', value) => value.printed(),
            ('s', Value::Text(text)) => cut(text),
            ('q', Value::Text(text)) => format!("{:?}", cut(text)),
            ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('t', Value::Bool(value)) => value.to_string(),
            ('d', Value::Int(value)) => value.to_string(),
            ('x', Value::Int(value)) => hexadecimal(*value),
            ('X', Value::Int(value)) => hexadecimal(*value).to_uppercase(),
            ('f' | 'F', Value::Float(value)) if value.is_finite() => {
                format!("{value:.*}", self.precision.unwrap_or(6))
            }
            ('e', Value::Float(value)) => scientific(*value, self.precision.unwrap_or(6)),
            ('f' | 'F' | 'g' | 'G', Value::Float(value)) => match self.precision {
                Some(precision) if self.letter == 'g' => significant(*value, precision),
                _ => format_short(*value),
            },
            (letter, value) => {
                return format!("%!{letter}({}={})", go_type(value), value.printed());
            }
        };
        let positive = match value {
            Value::Int(value) => *value >= 0,
            Value::Float(value) => *value >= 0.0,
            _ => false,
        };
        if self.plus && positive && !text.starts_with('+') { format!("+{text}") } else { text }
    }
}

fn hexadecimal(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{:x}", value.unsigned_abs())
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::Labels(_) => "map[string]string",
        Value::Fields(_) => "map[string]interface {}",
        Value::Sample { .. } => "*template.sample",
        Value::List(_) => "template.queryResult",
        Value::Time(_) => "*time.Time",
        Value::Duration(_) => "*time.Duration",
    }
}
