//! How text from outside is shown: in text, in JSON and cut at a width.
//!
//! Labels, PD's answers, errors of servers, rule files and file names are written by others. A
//! terminal obeys some characters, a person does not see others, and a language model reads what
//! the person does not see. All of them are shown as escapes; every other character stays.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether a character is shown as an escape.
///
/// These are, by Unicode's own properties, the controls (C0, DEL, C1), the format characters
/// (marks of direction, tags, the soft hyphen and others of category `Cf`), the separators of lines
/// and paragraphs, and whatever `Default_Ignorable_Code_Point` calls invisible: fillers, variation
/// selectors, and the code points that are reserved for more of them.
pub fn is_escaped(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let obeyed = matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    obeyed || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Text in which whatever [`is_escaped`] is written as in Rust: `\n`, `\u{202e}`. The result is
/// one line. Escaping it again changes nothing.
///
/// # Examples
///
/// ```
/// use operator::model::escape;
/// assert_eq!(escape("größer\u{1b}[2J\u{202e}\n"), "größer\\u{1b}[2J\\u{202e}\\n");
/// ```
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// JSON in which whatever [`is_escaped`] is written as JSON does: `\u202e`, in two halves beyond
/// U+FFFF. What the JSON says stays the same: outside its strings there is nothing but ASCII, and
/// inside them the controls below a space are escaped already, so those are left alone.
///
/// # Examples
///
/// ```
/// use operator::model::escape_json;
/// assert_eq!(escape_json("{\n  \"\u{9b}\": \"\u{e0041}ß\"\n}"), "{\n  \"\\u009b\": \"\\udb40\\udc41ß\"\n}");
/// ```
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let inside = |c: char| c >= '\u{7f}' && is_escaped(c);
    if !json.contains(inside) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if inside(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("writing to a string succeeds");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Text as [`escape`] shows it, inside Markdown: nothing in it is markup, a mention or a reference.
///
/// # Examples
///
/// ```
/// use operator::model::escape_markdown;
/// assert_eq!(escape_markdown("a_b <b> [x](y) 5 %"), r"a\_b \<b\> \[x\](y) 5 %");
/// ```
pub fn escape_markdown(text: &str) -> String {
    let mut out = String::new();
    for c in escape(text).chars() {
        if c.is_ascii_punctuation() && !".,:;-'/%()\"?=".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A path as [`escape`] shows it, with bytes that are not UTF-8 as `\xff`.
///
/// # Examples
///
/// ```
/// use std::path::Path;
/// use operator::model::escape_path;
/// assert_eq!(escape_path(Path::new("data/a\u{1b}.capture")), "data/a\\u{1b}.capture");
/// ```
pub fn escape_path(path: &Path) -> String {
    let mut out = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").expect("writing to a string succeeds");
        }
    }
    out
}

/// Text of at most `width` characters, the last of which is `…` where something was cut off.
///
/// # Examples
///
/// ```
/// use operator::model::cut;
/// assert_eq!(cut("leader_count", 7), "leader…");
/// assert_eq!(cut("leader", 7), "leader");
/// ```
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.len() <= width || text.chars().nth(width).is_none() {
        return Cow::Borrowed(text);
    }
    let kept = width.saturating_sub(1);
    let end = text.char_indices().nth(kept).map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_is_obeyed_or_invisible_is_escaped() {
        let ranges = [
            '\0'..='\u{1f}',
            '\u{7f}'..='\u{9f}',
            '\u{ad}'..='\u{ad}',
            '\u{34f}'..='\u{34f}',
            '\u{61c}'..='\u{61c}',
            '\u{115f}'..='\u{1160}',
            '\u{180b}'..='\u{180f}',
            '\u{200b}'..='\u{200f}',
            '\u{2028}'..='\u{202e}',
            '\u{2060}'..='\u{206f}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{feff}'..='\u{feff}',
            '\u{fff0}'..='\u{fffb}',
            '\u{1d173}'..='\u{1d17a}',
            '\u{e0000}'..='\u{e0fff}',
        ];
        for c in ranges.into_iter().flatten() {
            assert!(is_escaped(c), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn what_is_seen_stays() {
        for text in
            ["größer", "日本語", "🦀", "Ελλάδα", "a\u{a0}b", "e\u{301}", "עברית", "\u{fffd}"]
        {
            assert_eq!(escape(text), text);
            assert_eq!(escape_json(text), text);
        }
    }

    #[test]
    fn escaping_twice_is_escaping_once() {
        let once = escape("a\u{1b}[2J\u{202e}\r\n\t\u{e0041}");
        assert_eq!(once, "a\\u{1b}[2J\\u{202e}\\r\\n\\t\\u{e0041}");
        assert_eq!(escape(&once), once);
    }

    #[test]
    fn escaped_json_says_the_same() {
        let text = "\u{1b}\u{7f}\u{9b}\u{202e}\u{e0041}🦀\"\\";
        let json = serde_json::to_string_pretty(&[text]).expect("a string");
        let escaped = escape_json(&json);
        assert!(!escaped.chars().any(|c| is_escaped(c) && c != '\n'), "{escaped}");
        let read: [String; 1] = serde_json::from_str(&escaped).expect("it is JSON");
        assert_eq!(read, [text]);
    }

    #[test]
    fn names_that_are_not_utf8_show_their_bytes() {
        let path = Path::new(OsStr::from_bytes(b"d/\xff\xc3\xa9\n\xc3.capture"));
        assert_eq!(escape_path(path), "d/\\xffé\\n\\xc3.capture");
    }

    #[test]
    fn a_cut_counts_characters() {
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("ab", 1), "…");
        assert_eq!(cut("", 0), "");
    }
}
