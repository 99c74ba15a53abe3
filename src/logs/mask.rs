//! Makes the key under which a message is counted: its words, with `*` for what changes from line to line.
//!
//! Most messages of TiKV and PD are fixed and are their own key. Of the others, whatever is no plain word
//! becomes a star: numbers, strings, paths, addresses, and values behind an equals sign.

/// The longest key in bytes.
const LONGEST: usize = 160;
/// The longest word that is kept.
const LONGEST_WORD: usize = 40;

/// Writes the key of a message into `key`, which is cleared first.
pub fn mask_into(message: &str, key: &mut String) {
    key.clear();
    let mut rest = message;
    let mut after_equals = false;
    while key.len() < LONGEST {
        let Some(first) = rest.chars().next() else { break };
        if let Some(close) = closing_quote(first) {
            star(key);
            let inside = &rest[first.len_utf8()..];
            rest = inside.split_once(close).map_or("", |(_, rest)| rest);
        } else if is_part(first) {
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if after_equals || !is_plain(word) {
                star(key);
            } else {
                key.push_str(word);
            }
            rest = after;
        } else {
            key.push(first);
            after_equals = first == '=';
            rest = &rest[first.len_utf8()..];
            continue;
        }
        after_equals = false;
    }
    let end = (0..=LONGEST.min(key.len())).rev().find(|end| key.is_char_boundary(*end));
    key.truncate(end.unwrap_or_default());
    key.truncate(key.trim_end().len());
}

/// Adds a star, unless only separators of a list lie between it and the star before: lists of any length
/// have one key.
fn star(key: &mut String) {
    let list = key.trim_end_matches([' ', ',', ';']);
    if list.ends_with('*') {
        key.truncate(list.len());
    } else {
        key.push('*');
    }
}

fn closing_quote(c: char) -> Option<char> {
    match c {
        '"' | '\'' | '`' => Some(c),
        '‹' => Some('›'),
        _ => None,
    }
}

/// Whether a character belongs to a word.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || "_-.:/\\%+@#$&~^".contains(c)
}

fn is_plain(word: &str) -> bool {
    let core = word.trim_end_matches(['.', ':', '-']);
    let allowed = |byte: u8| byte.is_ascii_alphabetic() || b"_-:".contains(&byte);
    core.len() <= LONGEST_WORD && core.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(message: &str) -> String {
        let mut key = String::new();
        mask_into(message, &mut key);
        key
    }

    #[test]
    fn what_changes_becomes_a_star() {
        for (message, key) in [
            ("TiKV is ready to serve", "TiKV is ready to serve"),
            (
                "[store 4] handle 12 pending peers include [1, 22, 333]",
                "[store *] handle * pending peers include [*]",
            ),
            ("became leader at term 6", "became leader at term *"),
            ("failed to open \"/data/x\": IO error", "failed to open *: IO error"),
            ("new_index=5, peer=a", "new_index=*, peer=*"),
            ("key ‹alice› at 10.0.0.1:20160", "key * at *"),
            (
                "[write] Stalling writes because we have 21 level-0 files rate 1",
                "[write] Stalling writes because we have * files rate *",
            ),
        ] {
            assert_eq!(masked(message), key);
        }
    }

    proptest! {
        #[test]
        fn a_key_is_bounded_and_its_own_key(message: String) {
            let key = masked(&message);
            prop_assert!(key.len() <= LONGEST);
            prop_assert!(!key.bytes().any(|byte| byte.is_ascii_digit()));
        }
    }
}
