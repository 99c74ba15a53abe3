//! Reads PD answers that another program wrote as JSON lines, plain or compressed by gzip.
//!
//! The format is specified in `docs/pd-log.md`. Nothing is held but the line being read.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use crate::model::{GapReason, PdAnswer, PdOutcome, Timestamp};
use crate::pd::{Member, without_userinfo};

/// The longest line that is read, in bytes. PD's largest answers are far shorter.
pub const MAX_LINE_BYTES: u64 = 64 << 20;

/// A line that is not an answer, or a log that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum PdLogError {
    /// The reader failed, or the compressed data is damaged or cut short. Nothing follows.
    #[error("cannot read the PD log past line {line}")]
    Read {
        /// The last line that was read completely, counted from one; zero where there is none.
        line: u64,
        /// The reader's error.
        source: io::Error,
    },
    /// The line is longer than [`MAX_LINE_BYTES`]; reading goes on with the next.
    #[error("line {line} of the PD log is longer than {limit} bytes")]
    TooLong {
        /// The number of the line, counted from one.
        line: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The line is not a JSON object with the fields of an answer.
    #[error("line {line} of the PD log is not an answer")]
    Json {
        /// The number of the line, counted from one.
        line: u64,
        /// The parser's error.
        source: serde_json::Error,
        /// The member and the instant that the line names all the same.
        about: LineOrigin,
    },
    /// A field has a value that is not allowed.
    #[error("line {line} of the PD log: {why}")]
    Field {
        /// The number of the line, counted from one.
        line: u64,
        /// The field, and what is wrong with it.
        why: String,
        /// The member and the instant that the line names all the same.
        about: LineOrigin,
    },
}

/// The member and the instant of a broken line, as far as they can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineOrigin {
    member: Option<String>,
    sent: Option<Timestamp>,
}

impl LineOrigin {
    fn of(text: &[u8]) -> Self {
        let Ok(line) = serde_json::from_slice::<serde_json::Value>(text) else {
            return Self::default();
        };
        let member = line["member"].as_str().filter(|name| !name.is_empty());
        Self {
            member: member.map(str::to_owned),
            sent: line["ts_ms"].as_i64().map(Timestamp::from_millis),
        }
    }
}

impl PdLogError {
    /// The member and the instant that the broken line names, where it does.
    pub fn origin(&self) -> (Option<String>, Option<Timestamp>) {
        match self {
            Self::Json { about, .. } | Self::Field { about, .. } => {
                (about.member.clone(), about.sent)
            }
            Self::Read { .. } | Self::TooLong { .. } => (None, None),
        }
    }
}

/// Iterates over the answers of a log in the order of its lines. Blank lines are skipped. A bad line is
/// an error, after which the next line is read.
pub struct PdLog<'a> {
    input: Box<dyn BufRead + 'a>,
    max_line_bytes: u64,
    line: u64,
    buffer: Vec<u8>,
    ended: bool,
}

/// Reads a log, compressed where it begins with gzip's magic bytes and plain otherwise.
///
/// # Errors
///
/// Each item is an answer or a [`PdLogError`] that names its line.
///
/// # Examples
///
/// ```
/// let log = br#"{"ts_ms":1000,"member":"pd0","url":"http://h:2379","path":"/pd/api/v1/ping",
/// "status":200,"elapsed_ms":1.5,"body":""}"#;
/// let log: Vec<u8> = log.iter().copied().filter(|byte| *byte != b'\n').collect();
/// let answers: Result<Vec<_>, _> = operator::record::pd_log::read_pd_log(&log[..]).collect();
/// assert_eq!(answers?[0].elapsed_us, 1500);
/// # Ok::<(), operator::record::pd_log::PdLogError>(())
/// ```
pub fn read_pd_log<'a>(reader: impl Read + 'a) -> PdLog<'a> {
    let (head, rest) = peek(reader);
    let is_gzip = head == [0x1f, 0x8b];
    let whole = BufReader::with_capacity(64 << 10, io::Cursor::new(head).chain(rest));
    let input: Box<dyn BufRead + 'a> = if is_gzip {
        Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(whole)))
    } else {
        Box::new(whole)
    };
    PdLog { input, max_line_bytes: MAX_LINE_BYTES, line: 0, buffer: Vec::new(), ended: false }
}

/// The first two bytes, and the rest of the input. A failure on reading the two bytes is returned by the
/// first read of the rest.
fn peek<'a>(mut reader: impl Read + 'a) -> (Vec<u8>, impl Read + 'a) {
    let mut head = Vec::with_capacity(2);
    let failure = reader.by_ref().take(2).read_to_end(&mut head).err();
    (head, Failing(failure).chain(reader))
}

/// A reader that returns one error and is then at its end.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

impl PdLog<'_> {
    /// Reads the next line into the buffer, without its end. `None` at the end of the log.
    fn next_line(&mut self) -> Option<Result<(), PdLogError>> {
        self.buffer.clear();
        let limit = self.max_line_bytes;
        let read = self.input.by_ref().take(limit + 1).read_until(b'\n', &mut self.buffer);
        match read {
            Err(source) => {
                self.ended = true;
                return Some(Err(PdLogError::Read { line: self.line, source }));
            }
            Ok(0) => {
                self.ended = true;
                return None;
            }
            Ok(_) => self.line += 1,
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() as u64 > limit {
            self.buffer = Vec::new();
            let line = self.line;
            if let Err(source) = self.input.skip_until(b'\n') {
                self.ended = true;
                return Some(Err(PdLogError::Read { line: line - 1, source }));
            }
            return Some(Err(PdLogError::TooLong { line, limit }));
        }
        Some(Ok(()))
    }
}

impl Iterator for PdLog<'_> {
    type Item = Result<PdAnswer, PdLogError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.next_line()? {
                Err(error) => return Some(Err(error)),
                Ok(()) if self.buffer.trim_ascii().is_empty() => {}
                Ok(()) => return Some(read_line(&self.buffer, self.line)),
            }
        }
        None
    }
}

#[derive(Deserialize)]
struct Line {
    ts_ms: i64,
    #[serde(default)]
    member: String,
    url: String,
    path: String,
    status: Option<u16>,
    elapsed_ms: f64,
    body: Option<String>,
    error: Option<String>,
}

fn read_line(text: &[u8], line: u64) -> Result<PdAnswer, PdLogError> {
    let fields: Line = serde_json::from_slice(text).map_err(|source| PdLogError::Json {
        line,
        source,
        about: LineOrigin::of(text),
    })?;
    let wrong = |why: String| PdLogError::Field { line, why, about: LineOrigin::of(text) };
    let named = Member::of_url(&fields.url).ok_or_else(|| {
        wrong(format!("url {:?} is not an http url", without_userinfo(&fields.url)))
    })?;
    if !fields.path.starts_with('/') {
        return Err(wrong(format!("path {:?} does not begin with a slash", fields.path)));
    }
    let elapsed_us = (fields.elapsed_ms * 1000.0).round();
    if !(0.0..=f64::from(u32::MAX)).contains(&elapsed_us) {
        return Err(wrong(format!("elapsed_ms {} is out of range", fields.elapsed_ms)));
    }
    let outcome = match (fields.status, fields.body, fields.error) {
        (Some(status @ 100..=599), body, None) => {
            PdOutcome::Answered { status, body: body.unwrap_or_default().into_bytes().into() }
        }
        (Some(status), _, None) => {
            return Err(wrong(format!("status {status} is not an http status")));
        }
        (None, None, Some(error)) => {
            PdOutcome::Failed { reason: reason_of(&error), detail: without_userinfo(&error) }
        }
        _ => {
            let why = "it has neither a status with a body nor an error alone";
            return Err(wrong(why.to_owned()));
        }
    };
    Ok(PdAnswer {
        sent: Timestamp::from_millis(fields.ts_ms),
        member: if fields.member.is_empty() { named.name } else { fields.member },
        url: named.url,
        path: fields.path,
        // In range and whole by the check above.
        elapsed_us: elapsed_us as u32,
        outcome,
    })
}

/// The reason that an HTTP client's error message stands for. The words are those of Python's urllib,
/// Go's net/http, curl and hyper.
fn reason_of(error: &str) -> GapReason {
    const WORDS: [(&[&str], GapReason); 4] = [
        (&["timed out", "timeout", "deadline exceeded"], GapReason::Timeout),
        (&["certificate", "unauthorized", "forbidden", "ssl", "tls"], GapReason::Unauthorized),
        (
            &[
                "refused",
                "reset",
                "unreachable",
                "no route",
                "aborted",
                "broken pipe",
                "closed connection",
                "remotedisconnected",
                "could not resolve",
                "name resolution",
                "name or service",
                "no such host",
                "dns error",
                "could not connect",
                "error trying to connect",
                "unexpected eof",
            ],
            GapReason::Connect,
        ),
        (&["incompleteread", "badstatusline", "malformed", "decod"], GapReason::Malformed),
    ];
    let error = error.to_lowercase();
    let found = WORDS.iter().find(|(words, _)| words.iter().any(|word| error.contains(word)));
    found.map_or(GapReason::Other, |(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const ANSWERED: &str = r#"{"ts_ms": 1795537029202, "member": "pd2", "url": "http://u:p@10.77.0.12:2379", "path": "/pd/api/v1/ping", "status": 200, "elapsed_ms": 1.49, "body": "é\n"}"#;

    fn failed(error: &str) -> String {
        format!(
            r#"{{"ts_ms": 1, "member": "pd0", "url": "http://h:2379", "path": "/p", "error": "{error}", "elapsed_ms": 5000}}"#
        )
    }

    fn read(log: &[u8]) -> Vec<Result<PdAnswer, PdLogError>> {
        read_pd_log(log).collect()
    }

    #[test]
    fn an_answer_reads_as_written_but_for_credentials() {
        let answers = read(ANSWERED.as_bytes());
        let answer = answers[0].as_ref().expect("an answer");
        assert_eq!(answer.sent.as_millis(), 1_795_537_029_202);
        assert_eq!(answer.url, "http://10.77.0.12:2379");
        assert_eq!(answer.elapsed_us, 1490);
        assert_eq!(answer.success(), Some("é\n".as_bytes()));
    }

    #[test]
    fn messages_of_clients_become_reasons() {
        for (error, expected) in [
            ("URLError: <urlopen error [Errno 111] Connection refused>", GapReason::Connect),
            ("ConnectionResetError: [Errno 104] Connection reset by peer", GapReason::Connect),
            ("URLError: <urlopen error timed out>", GapReason::Timeout),
            ("something else", GapReason::Other),
        ] {
            let answers = read(failed(error).as_bytes());
            match &answers[0].as_ref().expect("an answer").outcome {
                PdOutcome::Failed { reason, detail } => {
                    assert_eq!((*reason, detail.as_str()), (expected, error));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_bad_line_is_named_and_the_next_is_read() {
        let log = format!("{ANSWERED}\n\n{{\"ts_ms\": 1\n{ANSWERED}");
        let answers = read(log.as_bytes());
        assert_eq!(answers.len(), 3);
        let error = answers[1].as_ref().expect_err("half a line");
        assert!(matches!(error, PdLogError::Json { line: 3, .. }), "{error:?}");
        assert!(answers[2].is_ok());
    }

    #[test]
    fn fields_that_no_answer_has_are_refused() {
        for (from, to) in [
            ("http://u:p@10.77.0.12:2379", "unix://10.77.0.12"),
            ("/pd/api", "pd/api"),
            ("1.49", "-1"),
            ("1.49", "1e300"),
            ("\"status\": 200", "\"status\": 7"),
            ("\"status\": 200", "\"error\": \"x\""),
            ("\"status\": 200", "\"error\": \"x\", \"status\": 200"),
        ] {
            let log = ANSWERED.replace(from, to);
            let error = read(log.as_bytes()).remove(0).expect_err(to);
            assert!(matches!(error, PdLogError::Field { line: 1, .. }), "{error:?}");
        }
    }

    #[test]
    fn gzip_is_told_by_its_magic_bytes_and_members_are_joined() {
        let mut log = Vec::new();
        for _ in 0..2 {
            let mut encoder = flate2::write::GzEncoder::new(&mut log, flate2::Compression::fast());
            writeln!(encoder, "{ANSWERED}").expect("memory takes it");
        }
        assert_eq!(read(&log).into_iter().filter(Result::is_ok).count(), 2);
        log.truncate(log.len() - 12);
        let cut = read(&log);
        assert!(matches!(cut.last(), Some(Err(PdLogError::Read { line: 1.., .. }))), "{cut:?}");
    }

    #[test]
    fn a_line_past_the_limit_is_skipped_without_being_held() {
        let text = format!("{}\n{ANSWERED}\n", "x".repeat(1000));
        let mut log = read_pd_log(text.as_bytes());
        log.max_line_bytes = 400;
        assert!(matches!(log.next(), Some(Err(PdLogError::TooLong { line: 1, limit: 400 }))));
        assert!(log.next().expect("the second line").is_ok());
        assert!(log.buffer.capacity() < 1000);
        assert!(log.next().is_none());
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_always_ends(log in any::<Vec<u8>>(), gzip in any::<bool>()) {
            let magic: &[u8] = if gzip { &[0x1f, 0x8b, 8, 0] } else { &[] };
            let log = [magic, &log].concat();
            let lines = log.iter().filter(|byte| **byte == b'\n').count();
            let found = read(&log).len();
            prop_assert!(gzip || found <= lines + 1);
        }

        #[test]
        fn a_line_with_any_field_changed_is_read_or_refused(
            field in 0_usize..8, value in any::<i64>(), text in any::<String>(), kind in 0_u8..5,
        ) {
            let mut line: serde_json::Value = serde_json::from_str(ANSWERED).expect("it is JSON");
            let names =
                ["ts_ms", "member", "url", "path", "status", "elapsed_ms", "body", "error"];
            line[names[field]] = match kind {
                0 => value.into(),
                1 => text.into(),
                2 => (value as f64 * 1e-3).into(),
                3 => serde_json::Value::Null,
                _ => vec![text].into(),
            };
            let answers = read(line.to_string().as_bytes());
            prop_assert_eq!(answers.len(), 1);
            if let Ok(answer) = &answers[0] {
                prop_assert!(answer.path.starts_with('/') && answer.url.contains("://"));
            }
        }
    }

    #[test]
    fn an_empty_log_has_no_answers() {
        assert!(read(b"").is_empty());
        assert!(read(b"\n \n").is_empty());
    }

    #[test]
    fn a_reader_that_fails_at_once_is_an_error_and_the_end() {
        let failing = Failing(Some(io::Error::other("no disk")));
        let answers: Vec<_> = read_pd_log(failing).collect();
        assert!(matches!(answers[..], [Err(PdLogError::Read { line: 0, .. })]), "{answers:?}");
    }
}
