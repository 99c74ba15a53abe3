//! Rewrites regular expressions from RE2's notation, as Go reads it, to that of the `regex` crate.
//!
//! Both match the same way; the notations differ. In RE2 `\d`, `\w`, `\s` and `\b` are ASCII, a
//! class holds characters and ranges only, without operations on sets, a `{` that begins no
//! repetition is ordinary, and there are octal escapes and `\Q…\E`. What Go refuses and the crate
//! would accept is refused: stacked repetitions, other flags than `i`, `m`, `s` and `U`, and
//! escapes of letters that have no meaning.

/// Largest number of repetitions in `{n,m}`.
const MOST_REPEATED: u32 = 1000;

/// The pattern in the notation of the `regex` crate; `None` where Go refuses it. What both refuse,
/// such as an open group, is left to the crate.
pub fn translate(pattern: &str) -> Option<String> {
    let out = String::with_capacity(pattern.len() + 8);
    let mut translation = Translation { rest: pattern, out, after_repetition: false };
    while !translation.rest.is_empty() {
        translation.next()?;
    }
    Some(translation.out)
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
    /// Whether a repetition was written last, which may not be repeated itself.
    after_repetition: bool,
}

impl<'p> Translation<'p> {
    /// Rewrites one atom, operator or repetition.
    fn next(&mut self) -> Option<()> {
        let repetition = repetition(self.rest)?;
        match self.rest.as_bytes()[0] {
            _ if repetition > 0 => self.repetition(repetition)?,
            b'\\' => self.escape()?,
            b'[' => self.class()?,
            b'(' if self.rest.starts_with("(?") => self.flags_or_name()?,
            b'{' => {
                self.take(1);
                self.out.push_str("\\{");
            }
            _ => {
                let c = self.take_char()?;
                self.out.push(c);
            }
        }
        self.after_repetition = repetition > 0;
        Some(())
    }

    fn take(&mut self, bytes: usize) -> &'p str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn take_char(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take_if(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn repetition(&mut self, bytes: usize) -> Option<()> {
        if self.after_repetition {
            return None;
        }
        let written = self.take(bytes);
        self.out.push_str(written);
        if self.take_if("?") {
            self.out.push('?');
        }
        Some(())
    }

    /// Rewrites what begins with `(?`: flags, or a group with a name.
    fn flags_or_name(&mut self) -> Option<()> {
        self.take(2);
        if self.rest.starts_with("P<") || self.rest.starts_with('<') {
            let end = self.rest.find('>')?;
            let (_, name) = self.take(end + 1)[..end].split_once('<')?;
            if !name.bytes().all(is_word) {
                return None;
            }
            self.out.push_str(&format!("(?P<{name}>"));
            return Some(());
        }
        let (mut on, mut off) = (String::new(), String::new());
        let mut negates = false;
        loop {
            match self.take_char()? {
                // The crate refuses a flag that stands twice.
                flag @ ('i' | 'm' | 's' | 'U') if negates => {
                    on.retain(|set| set != flag);
                    off.retain(|set| set != flag);
                    off.push(flag);
                }
                flag @ ('i' | 'm' | 's' | 'U') => {
                    on.retain(|set| set != flag);
                    on.push(flag);
                }
                '-' if !negates => negates = true,
                end @ (':' | ')') if !negates || !off.is_empty() => {
                    let minus = if off.is_empty() { "" } else { "-" };
                    let is_empty = end == ')' && on.is_empty() && off.is_empty();
                    let colon = if is_empty { ":" } else { "" };
                    self.out.push_str(&format!("(?{on}{minus}{off}{colon}{end}"));
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Rewrites an escape outside classes.
    fn escape(&mut self) -> Option<()> {
        match self.rest.chars().nth(1)? {
            'A' | 'z' => {
                let written = self.take(2);
                self.out.push_str(written);
            }
            'b' | 'B' => {
                let written = self.take(2);
                self.out.push_str(&format!("(?-u:{written})"));
            }
            'Q' => {
                self.take(2);
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                self.out.push_str(&regex::escape(quoted));
            }
            _ => match self.class_escape()? {
                Some(class) => self.out.push_str(&format!("[{class}]")),
                None => {
                    let c = self.escaped_char()?;
                    self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                }
            },
        }
        Some(())
    }

    /// Rewrites a class in brackets.
    fn class(&mut self) -> Option<()> {
        self.take(1);
        self.out.push('[');
        if self.take_if("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        while is_first || !self.rest.starts_with(']') {
            is_first = false;
            self.class_item()?;
        }
        self.take(1);
        self.out.push(']');
        Some(())
    }

    fn class_item(&mut self) -> Option<()> {
        if self.rest.starts_with("[:")
            && let Some(length) = self.rest[2..].find(":]")
        {
            let name = self.rest[2..2 + length].trim_start_matches('^');
            if !POSIX.contains(&name) {
                return None;
            }
            let written = self.take(length + 4);
            self.out.push_str(written);
            return Some(());
        }
        if let Some(class) = self.class_escape()? {
            self.out.push_str(&class);
            return Some(());
        }
        let low = self.class_char()?;
        let mut high = low;
        // A hyphen before the closing bracket is an ordinary one.
        if self.rest.len() > 1 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.take(1);
            high = self.class_char()?;
        }
        if high < low {
            return None;
        }
        self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        Some(())
    }

    fn class_char(&mut self) -> Option<char> {
        if self.rest.starts_with('\\') { self.escaped_char() } else { self.take_char() }
    }

    /// The class that an escape stands for, as an item of a class; nothing where it stands for
    /// none.
    fn class_escape(&mut self) -> Option<Option<String>> {
        if !self.rest.starts_with('\\') {
            return Some(None);
        }
        let letter = self.rest.chars().nth(1)?;
        let ascii = match letter.to_ascii_lowercase() {
            'd' => "0-9",
            'w' => "0-9A-Za-z_",
            's' => r"\t\n\x0c\r ",
            'p' => return self.unicode_class().map(Some),
            _ => return Some(None),
        };
        self.take(2);
        let negated = letter.is_ascii_uppercase();
        Some(Some(if negated { format!("[^{ascii}]") } else { ascii.to_owned() }))
    }

    /// Rewrites `\pN`, `\p{Name}`, `\p{^Name}` and the same with `\P`.
    fn unicode_class(&mut self) -> Option<String> {
        let mut negated = self.take(2) == "\\P";
        let name = if self.take_if("{") {
            negated ^= self.take_if("^");
            let end = self.rest.find('}')?;
            &self.take(end + 1)[..end]
        } else {
            let end = self.rest.chars().next()?.len_utf8();
            self.take(end)
        };
        // The crate also takes other spellings and properties.
        if !name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.bytes().all(is_word) {
            return None;
        }
        Some(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// The character that an escape stands for.
    fn escaped_char(&mut self) -> Option<char> {
        self.take(1);
        match self.take_char()? {
            c @ '0'..='7' => {
                let more = self.rest.bytes().take(2).take_while(|b| matches!(b, b'0'..=b'7'));
                let more = more.count();
                // A single digit refers to a group, which RE2 does not support.
                if c != '0' && more == 0 {
                    return None;
                }
                let digits = format!("{c}{}", self.take(more));
                u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32)
            }
            'x' => {
                let digits = if self.take_if("{") {
                    let end = self.rest.find('}')?;
                    &self.take(end + 1)[..end]
                } else {
                    self.rest.get(..2).inspect(|digits| self.rest = &self.rest[digits.len()..])?
                };
                let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                u32::from_str_radix(digits, 16).ok().filter(|_| hex).and_then(char::from_u32)
            }
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            c => (c.is_ascii() && !c.is_ascii_alphanumeric()).then_some(c),
        }
    }
}

/// Names of the classes `[:name:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// Bytes of the repetition that a text begins with, 0 where it begins with none; `None` where it
/// repeats too often.
fn repetition(text: &str) -> Option<usize> {
    if text.starts_with(['*', '+', '?']) {
        return Some(1);
    }
    let Some((inside, _)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Some(0);
    };
    let (low, high) = match inside.split_once(',') {
        Some((low, high)) => (low, Some(high).filter(|high| !high.is_empty())),
        None => (inside, None),
    };
    if !is_count(low) || !high.is_none_or(is_count) {
        return Some(0);
    }
    let is_few = |count: &str| count.parse().is_ok_and(|count: u32| count <= MOST_REPEATED);
    (is_few(low) && high.is_none_or(is_few)).then_some(inside.len() + 2)
}

/// Whether a text is a number without leading zeros.
fn is_count(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}
