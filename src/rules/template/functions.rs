//! The functions of templates: those of Go and those of Prometheus.

use std::cmp::Ordering;

use super::TemplateData;
use super::number;
use super::printf;
use super::value::Value;
use crate::promql::go_regex;

const NAMES: [&str; 47] = [
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "len",
    "index",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "args",
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "safeHtml",
    "match",
    "title",
    "toUpper",
    "toLower",
    "reReplaceAll",
    "graphLink",
    "tableLink",
    "sortByLabel",
    "stripPort",
    "stripDomain",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "pathPrefix",
    "externalURL",
    "parseDuration",
    "slice",
    "toTime",
    "toDuration",
    "now",
    "urlQueryEscape",
];

/// Functions of Go and Prometheus that are not supported.
const LEFT_OUT: [&str; 2] = ["tmpl", "call"];

/// Returns the name of a known function.
pub fn named(name: &str) -> Result<&'static str, String> {
    if LEFT_OUT.contains(&name) {
        return Err(format!("function {name:?} is not supported"));
    }
    let known = NAMES.iter().find(|known| **known == name);
    known.copied().ok_or_else(|| format!("function {name:?} not defined"))
}

type Returned = Result<Value, String>;

/// Calls a function with its arguments.
pub fn call(name: &str, arguments: Vec<Value>, data: &TemplateData<'_>) -> Returned {
    let arguments = Arguments(arguments);
    match name {
        "and" | "or" => arguments.0.into_iter().next_back().ok_or_else(|| missing(1, 0)),
        "not" => Ok(Value::Bool(!arguments.take::<1>()?[0].is_true())),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => compared(name, &arguments.0),
        "len" => length(&arguments.take()?),
        "index" => indexed(arguments.0),
        "slice" => sliced(&arguments.0),
        "now" => {
            let [] = arguments.take()?;
            Ok(Value::Float(data.at.as_millis() as f64 / 1000.0))
        }
        "toTime" => Ok(Value::Time(number::to_time(float(&arguments.take::<1>()?[0])?)?)),
        "toDuration" => {
            let seconds = float(&arguments.take::<1>()?[0])?;
            Ok(Value::Duration((seconds * 1e9) as i64))
        }
        "print" => Ok(Value::Text(printed(&arguments.0))),
        "println" => {
            let words: Vec<String> = arguments.0.iter().map(Value::printed).collect();
            Ok(Value::Text(words.join(" ") + "\n"))
        }
        "printf" => {
            let (format, rest) = arguments.0.split_first().ok_or_else(|| missing(1, 0))?;
            Ok(Value::Text(printf::printf(&text(format)?, rest)))
        }
        "html" | "js" | "urlquery" => Ok(Value::Text(escaped(name, &printed(&arguments.0)))),
        "args" => {
            Ok(Value::Fields((0..).map(|n: usize| format!("arg{n}")).zip(arguments.0).collect()))
        }
        "query" => {
            let [expression] = arguments.take()?;
            let found = (data.query)(&text(&expression)?)?;
            Ok(Value::List(found.iter().map(|(labels, v)| Value::sample(labels, *v)).collect()))
        }
        "first" | "label" | "value" | "strvalue" | "sortByLabel" => of_samples(name, arguments),
        "pathPrefix" | "externalURL" => {
            let [] = arguments.take()?;
            Ok(Value::Text(String::new()))
        }
        _ if name.starts_with("humanize") => humanized(name, &arguments.take::<1>()?[0]),
        _ => of_texts(name, arguments),
    }
}

struct Arguments(Vec<Value>);

impl Arguments {
    fn take<const N: usize>(self) -> Result<[Value; N], String> {
        self.0.try_into().map_err(|given: Vec<Value>| missing(N, given.len()))
    }

    fn texts<const N: usize>(self) -> Result<[String; N], String> {
        let mut texts = std::array::from_fn(|_| String::new());
        for (slot, value) in texts.iter_mut().zip(self.take::<N>()?) {
            *slot = text(&value)?;
        }
        Ok(texts)
    }
}

fn missing(want: usize, got: usize) -> String {
    format!("wrong number of args: want {want} got {got}")
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("expected a text; found {}", other.kind())),
    }
}

/// Prints as `fmt.Sprint`: with a blank between two arguments of which neither is a text.
fn printed(values: &[Value]) -> String {
    let mut out = String::new();
    for (position, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if position > 0 && !is_text(value) && !is_text(&values[position - 1]) {
            out.push(' ');
        }
        out.push_str(&value.printed());
    }
    out
}

fn escaped(name: &str, plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match (name, c) {
            ("html", '<') => out.push_str("&lt;"),
            ("html", '>') => out.push_str("&gt;"),
            ("html", '&') => out.push_str("&amp;"),
            ("html", '"') => out.push_str("&#34;"),
            ("html", '\'') => out.push_str("&#39;"),
            ("js", '\\' | '\'' | '"') => out.extend(['\\', c]),
            ("js", '<' | '>' | '&' | '=') => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            ("js", c) if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            ("urlquery", ' ') => out.push('+'),
            ("urlquery", c) if !(c.is_ascii_alphanumeric() || "-_.~".contains(c)) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            (_, c) => out.push(c),
        }
    }
    out
}

fn compared(name: &str, values: &[Value]) -> Returned {
    let (first, rest) = values.split_first().ok_or_else(|| missing(2, 0))?;
    if rest.is_empty() || (name != "eq" && rest.len() > 1) {
        return Err(missing(2, values.len()));
    }
    if name == "eq" {
        for other in rest {
            if ordering(first, other)? == Some(Ordering::Equal) {
                return Ok(Value::Bool(true));
            }
        }
        return Ok(Value::Bool(false));
    }
    let ordering = ordering(first, &rest[0])?;
    Ok(Value::Bool(match name {
        "ne" => ordering != Some(Ordering::Equal),
        "lt" => ordering == Some(Ordering::Less),
        "gt" => ordering == Some(Ordering::Greater),
        "le" => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        _ => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    }))
}

fn ordering(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Nil, Value::Nil) => Ok(Some(Ordering::Equal)),
        // Go compares no integer with a number: `gt $value 5.0` has to be written.
        (a, b) => Err(format!("incompatible types for comparison: {} and {}", a.kind(), b.kind())),
    }
}

fn length([value]: &[Value; 1]) -> Returned {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Labels(labels) => labels.len(),
        Value::Fields(fields) => fields.len(),
        other => return Err(format!("{} has no length", other.kind())),
    };
    Ok(Value::Int(length as i64))
}

fn indexed(values: Vec<Value>) -> Returned {
    let mut values = values.into_iter();
    let mut held = values.next().ok_or_else(|| missing(2, 0))?;
    for key in values {
        held = match (&held, &key) {
            (Value::List(list), Value::Int(at)) => {
                let item = usize::try_from(*at).ok().and_then(|at| list.get(at));
                item.cloned().ok_or_else(|| format!("index out of range: {at}"))?
            }
            (Value::Labels(_) | Value::Fields(_), Value::Text(name)) => held.field(name)?,
            (held, key) => {
                return Err(format!("can't index {} by {}", held.kind(), key.kind()));
            }
        };
    }
    Ok(held)
}

/// A part of a text in bytes, or of a list, between one or two indices.
fn sliced(values: &[Value]) -> Returned {
    let [held, bounds @ ..] = values else { return Err(missing(1, 0)) };
    let mut range = [0, if let Value::List(list) = held { list.len() } else { text(held)?.len() }];
    let length = range[1];
    if bounds.len() > 2 {
        return Err("cannot slice with more than two indices".to_owned());
    }
    for (slot, bound) in range.iter_mut().zip(bounds) {
        let Value::Int(at) = bound else {
            return Err(format!("cannot index slice with {}", bound.kind()));
        };
        let inside = usize::try_from(*at).ok().filter(|at| *at <= length);
        *slot = inside.ok_or_else(|| format!("index out of range: {at}"))?;
    }
    let [start, end] = range;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    Ok(match held {
        Value::List(list) => Value::List(list[start..end].to_vec()),
        other => {
            let bytes = &text(other)?.into_bytes()[start..end];
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    })
}

fn of_samples(name: &str, arguments: Arguments) -> Returned {
    let label = |labels: &std::collections::BTreeMap<String, String>, name: &str| {
        labels.get(name).cloned().unwrap_or_default()
    };
    match name {
        "first" => match arguments.take()? {
            [Value::List(list)] => list
                .into_iter()
                .next()
                .ok_or_else(|| "first() called on vector with no elements".to_owned()),
            [other] => Err(format!("expected a list; found {}", other.kind())),
        },
        "sortByLabel" => match arguments.take()? {
            [Value::Text(name), Value::List(mut list)] => {
                list.sort_by_key(|item| match item {
                    Value::Sample { labels, .. } => label(labels, &name),
                    _ => String::new(),
                });
                Ok(Value::List(list))
            }
            _ => Err("expected a label's name and a list".to_owned()),
        },
        "label" => match arguments.take()? {
            [Value::Text(name), Value::Sample { labels, .. }] => {
                Ok(Value::Text(label(&labels, &name)))
            }
            _ => Err("expected a label's name and a sample".to_owned()),
        },
        _ => match arguments.take()? {
            [Value::Sample { value, .. }] if name == "value" => Ok(Value::Float(value)),
            [Value::Sample { labels, .. }] => Ok(Value::Text(label(&labels, "__value__"))),
            [other] => Err(format!("expected a sample; found {}", other.kind())),
        },
    }
}

/// A number, or the number that a text or a duration in seconds is.
fn float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Duration(nanos) => Ok(*nanos as f64 / 1e9),
        Value::Text(text) => {
            text.parse().map_err(|_| format!("strconv.ParseFloat: parsing {text:?}"))
        }
        other => Err(format!("can't convert {} to a number", other.kind())),
    }
}

fn humanized(name: &str, value: &Value) -> Returned {
    let value = float(value)?;
    Ok(Value::Text(match name {
        "humanize" => number::humanize(value),
        "humanize1024" => number::humanize1024(value),
        "humanizeDuration" => number::humanize_duration(value),
        "humanizePercentage" => number::humanize_percentage(value),
        _ => number::humanize_timestamp(value)?,
    }))
}

fn of_texts(name: &str, arguments: Arguments) -> Returned {
    Ok(Value::Text(match name {
        "safeHtml" => arguments.texts::<1>()?[0].clone(),
        "toUpper" => arguments.texts::<1>()?[0].to_uppercase(),
        "toLower" => arguments.texts::<1>()?[0].to_lowercase(),
        "urlQueryEscape" => escaped("urlquery", &arguments.texts::<1>()?[0]),
        "title" => title(&arguments.texts::<1>()?[0]),
        "stripPort" => without_port(&arguments.texts::<1>()?[0]).to_owned(),
        "stripDomain" => without_domain(&arguments.texts::<1>()?[0]),
        "graphLink" | "tableLink" => {
            let [expression] = arguments.texts()?;
            let tab = u8::from(name == "tableLink");
            format!("/graph?g0.expr={}&g0.tab={tab}", escaped("urlquery", &expression))
        }
        "match" => {
            let [pattern, text] = arguments.texts()?;
            return Ok(Value::Bool(go_regex(&pattern)?.is_match(&text)));
        }
        "reReplaceAll" => {
            let [pattern, by, text] = arguments.texts()?;
            go_regex(&pattern)?.replace_all(&text, by.as_str()).into_owned()
        }
        "parseDuration" => {
            let [text] = arguments.texts()?;
            let millis = crate::model::parse_duration_ms(&text).map_err(|e| e.to_string())?;
            return Ok(Value::Float(millis as f64 / 1000.0));
        }
        other => return Err(format!("function {other:?} not defined")),
    }))
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        if begins {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        begins = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    out
}

/// The host of `host:port`, or the whole text if it has another form.
fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
                Some(bare) => bare,
                None if host.contains(':') => text,
                None => host,
            }
        }
        _ => text,
    }
}

/// The host without its domain, with its port; an IP address is not changed.
fn without_domain(text: &str) -> String {
    let host = without_port(text);
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let port = text.strip_prefix(host).unwrap_or_default();
    let short = host.split('.').next().unwrap_or_default();
    format!("{short}{port}")
}
