//! Reads the header of a line in each format that TiKV, PD and TiDB write since 4.0.
//!
//! | format | looks like |
//! |-|-|
//! | unified | `[2024/01/02 03:04:05.678 +08:00] [INFO] [server.rs:422] ["TiKV is ready"] [k=v]` |
//! | JSON | `{"time":"…","level":"INFO","caller":"server.rs:422","message":"…","k":"v"}` |
//! | RocksDB from 5.0 | `[2024/01/02 03:04:05.678 +08:00][12][WARN] [db/column_family.cc:975] [write] …` |
//! | RocksDB's own | `2020/05/16-15:49:52.449123 7f23db1ff700 [WARN] [/build/db/column_family.cc:696] …` |
//!
//! Any of them may lack its time, or stand inside a wrapper. Everything else is text: what a runtime
//! writes to stderr, what a service manager and the kernel say.

use std::borrow::Cow;

use super::clock::{ReadTime, read_time};
use super::fields::{Fields, token};
use super::wrapper::{Entries, Inner, unwrap};
use crate::model::{Timestamp, Zone};

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
    /// The line names none.
    Unknown,
}

impl Level {
    /// Every level, the gravest last but for [`Unknown`](Self::Unknown).
    pub const ALL: [Self; 7] =
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal, Self::Unknown];

    /// As the unified format writes it; empty where a line names none.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Unknown => "",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let is = |name: &str| text.eq_ignore_ascii_case(name);
        match text {
            _ if is("WARNING") => Some(Self::Warn),
            // Zap's levels above error; PD's logger knows them too.
            _ if is("PANIC") || is("DPANIC") || is("CRITICAL") => Some(Self::Fatal),
            "" => None,
            _ => Self::ALL.into_iter().find(|level| is(level.name())),
        }
    }
}

/// A line with a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When it was written; where it says none itself, when its wrapper saw it.
    pub at: Timestamp,
    /// How grave it is.
    pub level: Level,
    /// The source file that wrote it, without its folder and the number of the line there; empty where
    /// it names none.
    pub file: &'a str,
    /// The message.
    pub message: Cow<'a, str>,
    /// What follows the message.
    pub fields: Fields<'a>,
}

/// What a line turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A line of a component.
    Line(LogLine<'a>),
    /// A text without a header: stderr, a service manager, the kernel, or what continues the line before.
    Text {
        /// When its wrapper saw it.
        at: Option<Timestamp>,
        /// The text.
        text: &'a str,
    },
    /// A line of a component that cannot be placed.
    Refused(Refusal),
}

/// Why a line cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Its time has no offset from UTC, and none was given.
    NoZone,
    /// It has no time, nor has its wrapper.
    NoTime,
}

/// Memory that a line may need beside its own bytes; reused from line to line.
#[derive(Debug, Default)]
pub struct Scratch {
    repaired: String,
    unwrapped: String,
}

/// Reads a line. `zone` is the offset of times that have none.
pub fn parse_line<'a>(line: &'a [u8], zone: Option<Zone>, scratch: &'a mut Scratch) -> Parsed<'a> {
    let Scratch { repaired, unwrapped } = scratch;
    let line = match std::str::from_utf8(line) {
        Ok(line) => line,
        Err(_) => {
            *repaired = String::from_utf8_lossy(line).into_owned();
            repaired
        }
    };
    let wrapped = unwrap(line);
    let at = wrapped.at;
    let text: &'a str = match wrapped.inner {
        Inner::Object(entries) => return object(entries, Placing { at, zone }),
        Inner::Text(Cow::Borrowed(text)) => text,
        Inner::Text(Cow::Owned(text)) => {
            *unwrapped = text;
            unwrapped
        }
    };
    let placing = Placing { at, zone };
    match text.as_bytes().first() {
        Some(b'[') => bracketed(text, placing),
        Some(b'0'..=b'9') => rocksdb_own(text, placing),
        _ => None,
    }
    .unwrap_or(Parsed::Text { at, text })
}

/// Where a line stands in time if it does not say so itself.
#[derive(Clone, Copy)]
struct Placing {
    at: Option<Timestamp>,
    zone: Option<Zone>,
}

impl Placing {
    /// The instant of a line that has the time `read`, or none.
    fn instant(self, read: Option<ReadTime>) -> Result<Timestamp, Refusal> {
        match read {
            Some(time) => time.instant(self.zone).or(self.at).ok_or(Refusal::NoZone),
            None => self.at.ok_or(Refusal::NoTime),
        }
    }
}

fn parsed<'a>(
    at: Result<Timestamp, Refusal>,
    line: impl FnOnce(Timestamp) -> LogLine<'a>,
) -> Parsed<'a> {
    match at {
        Ok(at) => Parsed::Line(line(at)),
        Err(refusal) => Parsed::Refused(refusal),
    }
}

/// A line that begins with a bracket: the unified format, or RocksDB's as TiKV writes it since 5.0.
fn bracketed(text: &str, placing: Placing) -> Option<Parsed<'_>> {
    let (first, rest) = bracket(text)?;
    let time = read_time(first.as_bytes());
    let (second, after) = match time {
        Some(time) if time.len != first.len() => return None,
        Some(_) => bracket(rest)?,
        None => (first, rest),
    };
    let at = placing.instant(time);
    if let Some(level) = Level::parse(second) {
        let (file, message, fields) = match bracket(after) {
            Some((place, rest)) if time.is_some() || is_place(place) => {
                let (message, fields) = message(rest)?;
                (file_of(place), message, fields)
            }
            _ => engine_text(after),
        };
        return Some(parsed(at, |at| LogLine { at, level, file, message, fields }));
    }
    // The number of a thread, then the level.
    let is_thread = time.is_some() && second.bytes().all(|byte| byte.is_ascii_digit());
    let (third, after) = bracket(after).filter(|_| is_thread)?;
    let level = Level::parse(third)?;
    let (file, message, fields) = engine_text(after);
    Some(parsed(at, |at| LogLine { at, level, file, message, fields }))
}

/// A line as RocksDB's own logger writes it, without an offset. Most lines name no level: those are
/// informative.
fn rocksdb_own(text: &str, placing: Placing) -> Option<Parsed<'_>> {
    let time = read_time(text.as_bytes())?;
    let rest = text.get(time.len..)?.strip_prefix(' ')?;
    let (thread, rest) = rest.split_once(' ')?;
    if !thread.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let named = bracket(rest).and_then(|(level, rest)| Some((Level::parse(level)?, rest)));
    let (level, rest) = named.unwrap_or((Level::Info, rest));
    let (file, message, fields) = engine_text(rest);
    Some(parsed(placing.instant(Some(time)), |at| LogLine { at, level, file, message, fields }))
}

/// The text of RocksDB: `[db/column_family.cc:975] [write] Stalling writes because …`.
fn engine_text(text: &str) -> (&str, Cow<'_, str>, Fields<'_>) {
    let text = text.trim_start_matches(' ');
    let (file, message) = match bracket(text) {
        Some((place, rest)) if is_place(place) => (file_of(place), rest.trim_start_matches(' ')),
        _ => ("", text),
    };
    (file, Cow::Borrowed(message), Fields::Text(""))
}

/// The inside of the bracket at the beginning of a text, past one blank, and what follows it.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix(' ').unwrap_or(text).strip_prefix('[')?;
    let end = memchr::memchr(b']', inside.as_bytes())?;
    Some((&inside[..end], &inside[end + 1..]))
}

/// The message and the fields of the unified format.
fn message(text: &str) -> Option<(Cow<'_, str>, Fields<'_>)> {
    let inside = text.strip_prefix(' ').unwrap_or(text).strip_prefix('[')?;
    let (message, rest) = match token(inside, ']') {
        Some(read) => read,
        // Cut off by a full disk, a killed process or the bound on a line's length.
        None => (Cow::Borrowed(inside.trim_start_matches('"')), ""),
    };
    Some((message, Fields::Text(rest)))
}

/// Whether it is a file with the number of a line, or what stands for an unknown one.
fn is_place(text: &str) -> bool {
    let numbered = text.rsplit_once(':').is_some_and(|(file, line)| {
        !file.is_empty() && !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
    });
    numbered || text == "<unknown>"
}

/// The file of a place such as `db/column_family.cc:975`, without its folders.
fn file_of(place: &str) -> &str {
    let file = place.rsplit_once(':').map_or(place, |(file, _)| file);
    let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
    if file.starts_with('<') { "" } else { file }
}

/// A line of the JSON format, of TiKV's logger or of zap.
fn object<'a>(mut entries: Entries<'a>, placing: Placing) -> Parsed<'a> {
    let level = entries.take("level").and_then(|level| Level::parse(&level));
    let message = entries.take("message").or_else(|| entries.take("msg"));
    let time = entries.take("time").or_else(|| entries.take("ts"));
    let time = time.as_deref().and_then(|time| read_time(time.as_bytes()));
    let file = match entries.take("caller") {
        Some(Cow::Borrowed(caller)) => file_of(caller),
        // A path with escapes in it is none of these programs'.
        Some(Cow::Owned(_)) | None => "",
    };
    parsed(placing.instant(time), move |at| LogLine {
        at,
        level: level.unwrap_or(Level::Unknown),
        file,
        message: message.unwrap_or_default(),
        fields: Fields::Read(entries.0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line<'a>(text: &'a str, zone: Option<&str>, scratch: &'a mut Scratch) -> LogLine<'a> {
        let zone = zone.map(|zone| zone.parse().expect("an offset"));
        match parse_line(text.as_bytes(), zone, scratch) {
            Parsed::Line(line) => line,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_format_gives_the_same_line() {
        let formats = [
            r#"[2024/01/02 03:04:05.678 +08:00] [WARN] [raft_client.rs:931] ["a \"b\""] [store_id=4]"#,
            r#"{"time":"2024/01/02 03:04:05.678 +08:00","level":"WARN","caller":"raft_client.rs:931","message":"a \"b\"","store_id":4}"#,
            r#"2024-01-01T19:04:05.678Z stderr F [WARN] [raft_client.rs:931] ["a \"b\""] [store_id=4]"#,
        ];
        for text in formats {
            let mut scratch = Scratch::default();
            let read = line(text, None, &mut scratch);
            assert_eq!(read.at.as_millis(), 1_704_135_845_678, "{text}");
            assert_eq!((read.level, read.file), (Level::Warn, "raft_client.rs"), "{text}");
            assert_eq!(read.message, "a \"b\"", "{text}");
            let fields = read.fields.read();
            assert_eq!(fields, [(Cow::Borrowed("store_id"), Cow::Borrowed("4"))], "{text}");
        }
    }

    #[test]
    fn both_formats_of_rocksdb_are_read() {
        let formats = [
            "[2024/01/02 03:04:05.678 +08:00][12][WARN] [db/column_family.cc:975] [write] Stalling writes",
            "2024/01/02-03:04:05.678123 7f23db1ff700 [WARN] [/b/rocksdb/db/column_family.cc:696] [write] Stalling writes",
        ];
        for text in formats {
            let mut scratch = Scratch::default();
            let read = line(text, Some("+08:00"), &mut scratch);
            assert_eq!(read.at.as_millis(), 1_704_135_845_678, "{text}");
            assert_eq!((read.level, read.file), (Level::Warn, "column_family.cc"), "{text}");
            assert_eq!(read.message, "[write] Stalling writes", "{text}");
        }
    }

    #[test]
    fn a_line_without_an_offset_or_a_time_is_refused() {
        let read = |text: &str| {
            matches!(parse_line(text.as_bytes(), None, &mut Scratch::default()),
                Parsed::Refused(refusal) if refusal == Refusal::NoZone)
        };
        assert!(read("[2024/01/02 03:04:05.678] [INFO] [a.rs:1] [m]"));
        assert!(read("2024/01/02-03:04:05.678123 7f23db1ff700 [db/db_impl.cc:1] m"));
        let mut scratch = Scratch::default();
        let parsed = parse_line(b"[INFO] [a.rs:1] [m]", None, &mut scratch);
        assert_eq!(parsed, Parsed::Refused(Refusal::NoTime));
    }

    #[test]
    fn what_has_no_header_is_text() {
        for text in
            ["fatal runtime error: stack overflow", "", "[not a log", "goroutine 1 [running]:"]
        {
            let mut scratch = Scratch::default();
            let parsed = parse_line(text.as_bytes(), None, &mut scratch);
            assert_eq!(parsed, Parsed::Text { at: None, text }, "{text}");
        }
    }

    #[test]
    fn a_line_that_was_cut_off_keeps_what_is_there() {
        let mut scratch = Scratch::default();
        let read =
            line("[2024/01/02 03:04:05.678 Z] [FATAL] [lib.rs:1] [\"half", None, &mut scratch);
        assert_eq!((read.level, &*read.message), (Level::Fatal, "half"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_something(bytes: Vec<u8>) {
            let mut scratch = Scratch::default();
            if let Parsed::Line(line) = parse_line(&bytes, Some(Zone::UTC), &mut scratch) {
                line.fields.read();
            }
        }

        #[test]
        fn pieces_of_lines_in_any_order_are_something(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "[", "]", "\"", "\\", "=", " ", "2024/01/02 03:04:05.678 +08:00", "INFO", "{", "}", ":",
                "2024-01-01T19:04:05Z", "stdout F ", "a.rs:1", "\"time\":", "é", ",", "MESSAGE", "[pod/",
            ]), 0..24),
        ) {
            let text = pieces.concat();
            let mut scratch = Scratch::default();
            if let Parsed::Line(line) = parse_line(text.as_bytes(), None, &mut scratch) {
                line.fields.read();
            }
        }
    }
}
