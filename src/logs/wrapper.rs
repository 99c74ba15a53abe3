//! Takes off what other programs put around a line: `kubectl logs --timestamps` and `--prefix`, the files
//! of a container runtime, `docker logs -t`, `journalctl -o json` and `-o short-iso`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::clock::read_time;
use crate::model::Timestamp;

/// How many wrappers may lie around one another.
const MOST_NESTED: usize = 3;

/// A line without its wrappers.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwrapped<'a> {
    /// When the wrapper saw it, where one says that.
    pub at: Option<Timestamp>,
    /// What was inside.
    pub inner: Inner<'a>,
}

/// What is inside all wrappers.
#[derive(Debug, PartialEq, Eq)]
pub enum Inner<'a> {
    /// A line of text.
    Text(Cow<'a, str>),
    /// A JSON object that is no wrapper: a line of a log in the JSON format.
    Object(Entries<'a>),
}

/// Takes all wrappers off a line.
pub fn unwrap(line: &str) -> Unwrapped<'_> {
    unwrap_nested(line, MOST_NESTED)
}

fn unwrap_nested(line: &str, levels: usize) -> Unwrapped<'_> {
    let text = Unwrapped { at: None, inner: Inner::Text(Cow::Borrowed(line)) };
    if levels == 0 {
        return text;
    }
    match line.as_bytes().first() {
        Some(b'{') => match serde_json::from_str::<Entries<'_>>(line) {
            Ok(entries) => unwrap_object(entries, levels),
            Err(_) => text,
        },
        Some(b'[') if line.starts_with("[pod/") => match line.split_once("] ") {
            Some((_, rest)) => unwrap_nested(rest, levels - 1),
            None => text,
        },
        Some(b'0'..=b'9') => match stamped(line) {
            Some((at, rest)) => within(unwrap_nested(rest, levels - 1), Some(at)),
            None => text,
        },
        _ => text,
    }
}

/// The same line, seen at `at` where no wrapper inside says when.
fn within(unwrapped: Unwrapped<'_>, at: Option<Timestamp>) -> Unwrapped<'_> {
    Unwrapped { at: unwrapped.at.or(at), ..unwrapped }
}

/// The time before a line, and the line: of `kubectl logs --timestamps`, `docker logs -t`, a container
/// runtime's file or `journalctl -o short-iso`. Only RFC 3339 is taken: RocksDB writes another spelling.
fn stamped(line: &str) -> Option<(Timestamp, &str)> {
    let time = read_time(line.as_bytes())?;
    if line.as_bytes()[10] != b'T' {
        return None;
    }
    let at = time.instant(None)?;
    let rest = line.get(time.len..)?.strip_prefix(' ')?;
    let streams = ["stdout F ", "stderr F ", "stdout P ", "stderr P "];
    let of_runtime = streams.iter().find_map(|stream| rest.strip_prefix(stream));
    Some((at, of_runtime.unwrap_or_else(|| without_unit(rest))))
}

/// A line of `journalctl -o short-iso` without the host and the unit before it: `host unit[81]: line`.
fn without_unit(rest: &str) -> &str {
    let is_word = |text: &str| !text.is_empty() && !text.contains([' ', '[', '{', '"']);
    let split = rest.split_once(": ").and_then(|(head, line)| {
        let (host, unit) = head.split_once(' ')?;
        let unit = unit
            .strip_suffix(']')
            .and_then(|unit| unit.split_once('['))
            .map_or(Some(unit), |(unit, pid)| {
                pid.bytes().all(|byte| byte.is_ascii_digit()).then_some(unit)
            })?;
        (is_word(host) && is_word(unit)).then_some(line)
    });
    split.unwrap_or(rest)
}

fn unwrap_object(mut entries: Entries<'_>, levels: usize) -> Unwrapped<'_> {
    let wrapped = match (entries.get("__REALTIME_TIMESTAMP"), entries.get("time")) {
        (Some(micros), _) if entries.get("MESSAGE").is_some() => {
            let at = micros.parse::<i64>().ok().map(|us| Timestamp::from_millis(us / 1_000));
            Some((at, "MESSAGE"))
        }
        (None, Some(time)) if entries.get("log").is_some() && entries.get("stream").is_some() => {
            let at = read_time(time.as_bytes()).and_then(|time| time.instant(None));
            Some((at, "log"))
        }
        _ => None,
    };
    let Some((at, name)) = wrapped else {
        return Unwrapped { at: None, inner: Inner::Object(entries) };
    };
    let unwrapped = match entries.take(name).unwrap_or_default() {
        Cow::Borrowed(line) => unwrap_nested(line, levels - 1),
        Cow::Owned(line) => into_owned(unwrap_nested(line.trim_end_matches('\n'), levels - 1)),
    };
    within(unwrapped, at)
}

fn into_owned(unwrapped: Unwrapped<'_>) -> Unwrapped<'static> {
    let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    let inner = match unwrapped.inner {
        Inner::Text(text) => Inner::Text(owned(text)),
        Inner::Object(Entries(entries)) => {
            let entries = entries.into_iter().map(|(name, value)| (owned(name), owned(value)));
            Inner::Object(Entries(entries.collect()))
        }
    };
    Unwrapped { at: unwrapped.at, inner }
}

/// The entries of a JSON object in their order, values as text. An array of small numbers is the text of
/// these bytes, as `journalctl` writes a message that is not UTF-8; other arrays and objects are empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Entries<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Entries<'a> {
    /// The last value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(held, _)| held == name);
        found.map(|(_, value)| value.as_ref())
    }

    /// As [`get`](Self::get), and removes it.
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let place = self.0.iter().rposition(|(held, _)| held == name)?;
        Some(self.0.remove(place).1)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::with_capacity(12);
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    entries.push((name, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A JSON value as text, borrowed where it holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyText).map(Text)
    }
}

/// Makes a text of any value.
struct AnyText;

impl<'de> Visitor<'de> for AnyText {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(if value { "true" } else { "false" }))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let mut bytes = Some(Vec::new());
        while let Some(Text(item)) = seq.next_element()? {
            let byte = item.parse::<u8>().ok();
            bytes = bytes.zip(byte).map(|(mut bytes, byte)| {
                bytes.push(byte);
                bytes
            });
        }
        let bytes = bytes.unwrap_or_default();
        Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrapper_comes_off_and_gives_its_time() {
        let at = Some(Timestamp::from_millis(1_704_135_845_678));
        let line = "[WARN] [a.rs:1] [\"a b\"]";
        for wrapped in [
            format!("2024-01-01T19:04:05.678901234Z {line}"),
            format!("2024-01-02T03:04:05.678901234+08:00 stdout F {line}"),
            format!("2024-01-01T19:04:05.678Z db-1 tikv-server[81]: {line}"),
            format!("[pod/basic-tikv-0/tikv] 2024-01-01T19:04:05.678Z {line}"),
            serde_json::json!({"log": format!("{line}\n"), "stream": "stderr",
                "time": "2024-01-01T19:04:05.678901234Z"})
            .to_string(),
            serde_json::json!({"__REALTIME_TIMESTAMP": "1704135845678901", "MESSAGE": line})
                .to_string(),
            serde_json::json!({"__REALTIME_TIMESTAMP": "1704135845678901",
                "MESSAGE": line.as_bytes()})
            .to_string(),
        ] {
            let expected = Unwrapped { at, inner: Inner::Text(Cow::Borrowed(line)) };
            assert_eq!(unwrap(&wrapped), expected, "{wrapped}");
        }
    }

    #[test]
    fn an_object_that_is_no_wrapper_stays_one() {
        let line =
            r#"{"time":"2024/01/02 03:04:05.678 +08:00","level":"INFO","message":"a \"b\"","n":4}"#;
        let Inner::Object(entries) = unwrap(line).inner else { panic!("not an object") };
        assert_eq!(entries.get("message"), Some("a \"b\""));
        assert_eq!(entries.get("n"), Some("4"));
    }

    #[test]
    fn the_unit_before_a_line_goes_and_a_colon_inside_the_line_stays() {
        assert_eq!(without_unit("db-1 kernel: Out of memory: Killed"), "Out of memory: Killed");
        assert_eq!(without_unit("thread 'x' panicked at: y"), "thread 'x' panicked at: y");
        assert_eq!(without_unit("[INFO] [a.rs:1] [a: b]"), "[INFO] [a.rs:1] [a: b]");
    }
}
