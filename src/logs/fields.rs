//! The fields of a line, which follow its message: `[name=value] ["a name"="a value"]`.

use std::borrow::Cow;

/// The fields of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields<'a> {
    /// In the text format, not read yet.
    Text(&'a str),
    /// In the JSON format.
    Read(Vec<(Cow<'a, str>, Cow<'a, str>)>),
}

impl Fields<'_> {
    /// Name and value of each field, in the order of the line. What cannot be read ends the list.
    pub fn read(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        match self {
            Self::Read(fields) => {
                let borrowed = |text| Cow::Borrowed(Cow::as_ref(text));
                fields.iter().map(|(name, value)| (borrowed(name), borrowed(value))).collect()
            }
            Self::Text(text) => {
                let mut rest = *text;
                std::iter::from_fn(|| {
                    let (name, value, after) = field(rest)?;
                    rest = after;
                    Some((name, value))
                })
                .collect()
            }
        }
    }
}

/// The first field of a text, and what follows it.
fn field(text: &str) -> Option<(Cow<'_, str>, Cow<'_, str>, &str)> {
    let inside = text.trim_start_matches(' ').strip_prefix('[')?;
    let (name, rest) = token(inside, '=')?;
    let (value, rest) = token(rest, ']')?;
    Some((name, value, rest))
}

/// A text, plain or as a JSON string, up to the mark that ends it, and what follows that mark.
pub fn token(text: &str, end: char) -> Option<(Cow<'_, str>, &str)> {
    if !text.starts_with('"') {
        let (plain, rest) = text.split_once(end)?;
        return Some((Cow::Borrowed(plain), rest));
    }
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            break;
        }
        at += 2;
    }
    let rest = text.get(at + 1..)?.strip_prefix(end)?;
    let inside = &text[1..at];
    if !inside.contains('\\') {
        return Some((Cow::Borrowed(inside), rest));
    }
    // Rust's loggers write control characters as they are, which JSON does not allow.
    let decoded = serde_json::from_str::<String>(&text[..=at]);
    Some((decoded.map_or(Cow::Borrowed(inside), Cow::Owned), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_quoted_fields_are_read() {
        let fields = Fields::Text(r#" [store_id=4] ["a b"="c \"d\" ]"] [e=] [broken"#);
        let expected = [("store_id", "4"), ("a b", "c \"d\" ]"), ("e", "")];
        let read = fields.read();
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_string_without_an_end_is_none() {
        assert_eq!(token("\"abc\\", ']'), None);
        assert_eq!(token("\"abc\\\"]", ']'), None);
    }
}
