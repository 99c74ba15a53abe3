//! Reads pages in Prometheus's text format 0.0.4, as Prometheus itself reads them.
//!
//! The format is specified in Prometheus's documentation ("Exposition formats"); where that leaves
//! something open, Prometheus's parser decides (`model/textparse/promlex.l` and `promparse.go`). Comments,
//! `# HELP` and `# TYPE` among them, are skipped whatever they say. Names in quotes, which Prometheus 3 sends
//! and receives where both sides ask for them, are refused.

use std::borrow::Cow;

use crate::model::Timestamp;

/// The NaN that Prometheus stores for every NaN of a page (`model/value/value.go`, `NormalNaN`). Another one
/// could be a staleness marker.
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// Why a page is not in the format. Prometheus takes nothing of such a page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct TextFormatError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What stands there, or does not.
    pub why: &'static str,
}

/// One sample of a page.
#[derive(Debug, PartialEq)]
pub struct TextSample<'p, 'a> {
    /// The name of the metric.
    pub metric: &'a str,
    /// The labels in the order of the page; a name may stand twice, and a value be empty.
    pub labels: &'p [(&'a str, Cow<'a, str>)],
    /// The value.
    pub value: f64,
    /// When it was measured, where the page says so; Prometheus otherwise takes the time of the scrape.
    pub at: Option<Timestamp>,
}

/// A page that is read sample by sample.
///
/// # Examples
///
/// ```
/// use operator::source::TextFormat;
/// let mut page = TextFormat::new(b"# TYPE up gauge\nup{job=\"pd\"} 1\n").expect("UTF-8");
/// let sample = page.next_sample().expect("the format").expect("a sample");
/// assert_eq!((sample.metric, sample.value), ("up", 1.0));
/// assert_eq!(page.next_sample(), Ok(None));
/// ```
#[derive(Debug)]
pub struct TextFormat<'a> {
    text: &'a str,
    /// The position of the next byte to read.
    next: usize,
    labels: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> TextFormat<'a> {
    /// A page, at its start.
    ///
    /// # Errors
    ///
    /// [`TextFormatError`] where it is not UTF-8.
    pub fn new(page: &'a [u8]) -> Result<Self, TextFormatError> {
        match std::str::from_utf8(page) {
            Ok(text) => Ok(Self { text, next: 0, labels: Vec::new() }),
            Err(error) => {
                let line = memchr::memchr_iter(b'\n', &page[..error.valid_up_to()]).count() + 1;
                Err(TextFormatError { line, why: "not UTF-8" })
            }
        }
    }

    /// The next sample; `None` at the end of the page.
    ///
    /// # Errors
    ///
    /// [`TextFormatError`] where the rest of the page does not begin with a sample. Nothing can be read
    /// after that.
    pub fn next_sample(&mut self) -> Result<Option<TextSample<'_, 'a>>, TextFormatError> {
        if !self.skip_to_sample() {
            return Ok(None);
        }
        // Prometheus would take the blanks for a part of the name.
        if self.text[..self.next].ends_with([' ', '\t']) {
            return Err(self.error("blanks before a metric name"));
        }
        let metric = self.name(is_metric_byte).ok_or_else(|| self.error("no metric name"))?;
        self.skip_blanks();
        self.labels.clear();
        if self.take(b'{') {
            self.read_labels()?;
            self.skip_blanks();
        }
        let value = self.value()?;
        self.skip_blanks();
        let at = self.time()?;
        self.skip_blanks();
        if self.peek().is_some_and(|byte| byte != b'\n') {
            return Err(self.error("neither a time nor the end of the line after the value"));
        }
        Ok(Some(TextSample { metric, labels: &self.labels, value, at }))
    }

    /// Skips blank lines and comments. Whether something is left.
    fn skip_to_sample(&mut self) -> bool {
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return false,
                Some(b'\n') => self.next += 1,
                Some(b'#') => self.next = self.end_of_line(),
                Some(_) => return true,
            }
        }
    }

    /// Reads labels up to the brace that closes them.
    fn read_labels(&mut self) -> Result<(), TextFormatError> {
        loop {
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(());
            }
            let name = self.name(is_label_byte).ok_or_else(|| self.error("no label name"))?;
            self.skip_blanks();
            if !self.take(b'=') {
                return Err(self.error("no equals sign after the name of a label"));
            }
            self.skip_blanks();
            let value = self.quoted()?;
            self.labels.push((name, value));
            self.skip_blanks();
            // A comma may be missing between two labels, and stand after the last one.
            self.take(b',');
        }
    }

    /// Reads a name: bytes of `allowed`, of which the first is no digit.
    fn name(&mut self, allowed: fn(u8) -> bool) -> Option<&'a str> {
        let rest = &self.text[self.next..];
        let length = rest.bytes().position(|byte| !allowed(byte)).unwrap_or(rest.len());
        let name = &rest[..length];
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        self.next += length;
        Some(name)
    }

    /// Reads a label's value in its quotes. It may contain line breaks.
    fn quoted(&mut self) -> Result<Cow<'a, str>, TextFormatError> {
        if !self.take(b'"') {
            return Err(self.error("no quote before the value of a label"));
        }
        let rest = &self.text[self.next..];
        let mut after = 0;
        let mut has_escapes = false;
        loop {
            match memchr::memchr2(b'"', b'\\', &rest.as_bytes()[after..]) {
                None => return Err(self.error("no quote after the value of a label")),
                Some(ahead) if rest.as_bytes()[after + ahead] == b'"' => {
                    let value = &rest[..after + ahead];
                    self.next += after + ahead + 1;
                    return Ok(if has_escapes {
                        Cow::Owned(unescaped(value))
                    } else {
                        value.into()
                    });
                }
                Some(ahead) => {
                    has_escapes = true;
                    after += ahead + 2;
                    if matches!(rest.as_bytes().get(after - 1), None | Some(b'\n')) {
                        return Err(self.error("nothing after a backslash in the value of a label"));
                    }
                }
            }
        }
    }

    fn value(&mut self) -> Result<f64, TextFormatError> {
        let rest = &self.text[self.next..];
        let ends = |byte: u8| matches!(byte, b'{' | b' ' | b'\t' | b'\n');
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        let value = float(&rest[..length]).ok_or_else(|| self.error("no value"))?;
        self.next += length;
        Ok(value)
    }

    /// Reads the time in milliseconds that may stand after a value: digits alone, as in Prometheus.
    fn time(&mut self) -> Result<Option<Timestamp>, TextFormatError> {
        let rest = &self.text[self.next..];
        let length = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        if length == 0 {
            return Ok(None);
        }
        let millis = rest[..length].parse().map_err(|_| self.error("a time out of range"))?;
        self.next += length;
        Ok(Some(Timestamp::from_millis(millis)))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.next).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.next += usize::from(is_there);
        is_there
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.next += 1;
        }
    }

    fn end_of_line(&self) -> usize {
        let ahead = memchr::memchr(b'\n', &self.text.as_bytes()[self.next..]);
        ahead.map_or(self.text.len(), |ahead| self.next + ahead)
    }

    fn error(&self, why: &'static str) -> TextFormatError {
        let before = &self.text.as_bytes()[..self.next];
        TextFormatError { line: memchr::memchr_iter(b'\n', before).count() + 1, why }
    }
}

fn is_label_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

fn is_metric_byte(byte: u8) -> bool {
    byte == b':' || is_label_byte(byte)
}

/// A label's value without its escapes: `\\`, `\"` and `\n`. A backslash before anything else stays.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let stands_for = match after.as_bytes().first() {
            Some(b'\\') => '\\',
            Some(b'"') => '"',
            Some(b'n') => '\n',
            _ => {
                text.push('\\');
                rest = after;
                continue;
            }
        };
        text.push(stands_for);
        rest = &after[1..];
    }
    text.push_str(rest);
    text
}

/// A number as Go's `strconv.ParseFloat` reads it, without the forms that came with Go 1.13 (hexadecimal,
/// underscores), which Prometheus refuses. `None` where it is none, or too large.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_word = unsigned.starts_with(|first: char| first.is_ascii_alphabetic());
    // Rust reads a NaN with a sign, which Go does not.
    if unsigned.eq_ignore_ascii_case("nan") {
        return (text == unsigned).then(|| f64::from_bits(NORMAL_NAN_BITS));
    }
    let value: f64 = text.parse().ok()?;
    // Rust rounds what is too large to infinity, which for Go is an error.
    (is_word || value.is_finite()).then_some(value)
}

#[cfg(test)]
mod tests;
