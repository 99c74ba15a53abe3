//! Lines of a fixed width for a terminal: breaks, indents and colours text.
//!
//! What the lines say is decided by the reports that use it.

use std::fmt::Write;

use crate::model::{Timestamp, cut, escape, uncertainty_text};

/// Whether text is emphasised with ANSI escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Text without escape sequences.
    Plain,
    /// Text with ANSI escape sequences for bold, dim and colours.
    Ansi,
}

/// A text that grows line by line. All but [`ink`](Page::ink) escape what they add.
pub(super) struct Page {
    pub(super) out: String,
    pub(super) width: usize,
    pub(super) color: Color,
}

/// The emphasis of a piece of text.
#[derive(Clone, Copy)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Page {
    /// Adds a blank line and a bold line.
    pub(super) fn heading(&mut self, text: &str) {
        self.out.push('\n');
        self.line(0, text, Ink::Bold);
    }

    /// Adds a name and its value, which is broken within its own column.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let name = escape(name);
        let indent = 15;
        for (index, line) in wrap(&escape(value), self.width - indent).into_iter().enumerate() {
            let name = if index == 0 { name.as_str() } else { "" };
            let _ = writeln!(self.out, "  {name:<12} {line}");
        }
    }

    /// The number of lines that [`line`](Self::line) needs for this text.
    pub(super) fn lines_of(&self, indent: usize, text: &str) -> usize {
        wrap(&escape(text), self.width - indent - 2).len()
    }

    /// Adds a text, broken into lines; those after the first are indented by two more columns.
    pub(super) fn line(&mut self, indent: usize, text: &str, ink: Ink) {
        for (index, line) in wrap(&escape(text), self.width - indent - 2).into_iter().enumerate() {
            let indent = if index == 0 { indent } else { indent + 2 };
            let _ = write!(self.out, "{:indent$}", "");
            self.ink(&line, ink);
            self.out.push('\n');
        }
    }

    /// Adds one line, which is cut where it is too long.
    pub(super) fn one_line(&mut self, text: &str, ink: Ink) {
        let text = escape(text);
        self.ink(&cut(&text, self.width), ink);
        self.out.push('\n');
    }

    /// Adds a PromQL expression, broken only where that does not change what it says, so that it can be pasted.
    pub(super) fn expression(&mut self, indent: usize, text: &str) {
        let mut used = 0;
        for piece in expression_pieces(&escape(text)) {
            let length = piece.trim_end().chars().count();
            if used > 0 && indent + used + length > self.width {
                self.out.truncate(self.out.trim_end_matches(' ').len());
                let _ = write!(self.out, "\n{:indent$}", "");
                used = 0;
            } else if used == 0 {
                let _ = write!(self.out, "{:indent$}", "");
            }
            self.out.push_str(piece);
            used += piece.chars().count();
        }
        self.out.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// Adds text with this emphasis, unescaped and unbroken.
    pub(super) fn ink(&mut self, text: &str, ink: Ink) {
        let code = match (self.color, ink) {
            (Color::Plain, _) | (_, Ink::Plain) => return self.out.push_str(text),
            (_, Ink::Bold) => 1,
            (_, Ink::Dim) => 2,
            (_, Ink::Red) => 31,
            (_, Ink::Green) => 32,
            (_, Ink::Yellow) => 33,
        };
        let _ = write!(self.out, "\x1b[{code}m{text}\x1b[0m");
    }
}

/// The pieces of a PromQL expression between which a line may end: after spaces, commas and opening brackets that
/// stand in no string.
fn expression_pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut quote, mut is_escaped) = (Vec::new(), 0, None, false);
    for (place, c) in text.char_indices() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (Some(open), '\\') if open != '`' => is_escaped = true,
            (Some(open), _) if open == c => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, ' ' | ',' | '(' | '{') => {
                pieces.push(&text[start..place + c.len_utf8()]);
                start = place + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// The first and the last items of a list, together at most `most`, and the number of items between them.
pub(super) fn ends<T>(items: &[T], most: usize) -> (&[T], usize, &[T]) {
    match items.len().checked_sub(most) {
        None | Some(0) => (items, 0, &[]),
        Some(between) => {
            let (first, rest) = items.split_at(most / 2);
            (first, between, &rest[between..])
        }
    }
}

/// A text in lines of at most `width` columns, of which those after the first are indented by `indent`, without the end
/// of the last one. It is broken at spaces, and in words that are longer than a line.
pub fn hanging(text: &str, width: usize, indent: usize) -> String {
    match text.chars().count() <= width {
        true => text.replace('\u{a0}', " "),
        false => {
            wrap(text, width.saturating_sub(indent)).join(&format!("\n{}", " ".repeat(indent)))
        }
    }
}

/// Breaks a text into lines at spaces. No-break spaces become spaces and are not broken at; a word longer
/// than `width` is broken after a separator where it has one, else anywhere. There is at least one line.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(10);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            lines.last_mut().expect("there is a line").push(' ');
            used += 1;
        }
        let mut rest = word.as_slice();
        while rest.len() > width {
            let (piece, after) = rest.split_at(piece_of(rest, width));
            lines.last_mut().expect("there is a line").extend(spaced(piece));
            lines.push(String::new());
            rest = after;
        }
        lines.last_mut().expect("there is a line").extend(spaced(rest));
        used += rest.len();
    }
    lines
}

/// Characters with spaces in place of no-break spaces.
fn spaced(text: &[char]) -> impl Iterator<Item = char> {
    text.iter().map(|&c| if c == '\u{a0}' { ' ' } else { c })
}

/// How many characters of a word that is longer than a line go onto it: up to the last separator in its second half.
fn piece_of(word: &[char], width: usize) -> usize {
    let separates = |c: char| matches!(c, '|' | ',' | ';' | '/' | '&' | '{' | '\u{a0}');
    let last = (width / 2..width).rev().find(|&place| separates(word[place]));
    last.map_or(width, |place| place + 1)
}

/// The time of day in UTC, as `HH:MM:SS.mmm`.
pub(super) fn clock(at: Timestamp) -> String {
    let millis = at.as_millis().rem_euclid(86_400_000);
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let (hours, minutes) = (seconds / 3_600, seconds % 3_600 / 60);
    format!("{hours:02}:{minutes:02}:{:02}.{millis:03}", seconds % 60)
}

/// An onset and how far it may be off, in milliseconds: `16:50:20.512 -5.0s` where only towards earlier instants,
/// otherwise `16:40:34.126 ±15.0s`.
pub(super) fn onset(at: Timestamp, uncertainty_ms: i64, began_by_then: bool) -> String {
    let sign = if began_by_then { '-' } else { '±' };
    format!("{} {sign}{}", clock(at), uncertainty_text(uncertainty_ms))
}

/// The same in words, for readers without the README: `16:50:20.512, or up to 5.0s earlier,`.
pub(super) fn onset_words(at: Timestamp, uncertainty_ms: i64, began_by_then: bool) -> String {
    match began_by_then {
        true => format!("{}, or up to {} earlier,", clock(at), uncertainty_text(uncertainty_ms)),
        false => onset(at, uncertainty_ms, false),
    }
}

/// The date in UTC, as `YYYY-MM-DD`.
pub(super) fn date(at: Timestamp) -> String {
    let text = at.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("leaders: store\u{a0}4 gone", 14), ["leaders:", "store 4 gone"]);
        assert_eq!(wrap("abcdefghijklmno", 10), ["abcdefghij", "klmno"]);
        assert_eq!(wrap("an abcdefg|hijk|lm", 10), ["an", "abcdefg|", "hijk|lm"]);
        assert_eq!(wrap("sum(up{job=\"a\"})", 12), ["sum(up{", "job=\"a\"})"]);
        assert_eq!(wrap("abcdefghijklmno p", 10), ["abcdefghij", "klmno p"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn lines_after_the_first_are_indented_where_a_text_is_broken() {
        assert_eq!(hanging("error: no such run", 18, 2), "error: no such run");
        assert_eq!(hanging("error: no such run", 17, 2), "error: no such\n  run");
    }

    #[test]
    fn an_expression_is_broken_outside_of_its_strings() {
        let mut page = Page { out: String::new(), width: 24, color: Color::Plain };
        page.expression(2, r#"sum(rate(a_total{x="b, c\" (d",y="z"}[5m])) / sum(b)"#);
        let lines =
            ["  sum(rate(a_total{", r#"  x="b, c\" (d","#, r#"  y="z"}[5m])) / sum(b)"#, ""];
        assert_eq!(page.out, lines.join("\n"));
    }

    #[test]
    fn of_many_the_first_and_the_last_are_told() {
        assert_eq!(ends(&[1, 2, 3, 4], 4), (&[1, 2, 3, 4][..], 0, &[][..]));
        assert_eq!(ends(&[1, 2, 3, 4, 5, 6, 7], 4), (&[1, 2][..], 3, &[6, 7][..]));
        assert_eq!(ends::<u8>(&[], 4), (&[][..], 0, &[][..]));
    }
}
