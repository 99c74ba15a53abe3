//! Removes the recorder's own secrets from text that a server sends.
//!
//! A server may repeat what it received: in an error, in a warning, in the page of a proxy. Such text is
//! stored in gaps, logged and printed, so the secrets are removed where it arrives. Samples, labels and
//! bodies of successful answers are data and stay unchanged.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use reqwest::Url;

use super::http::{Auth, HttpOptions};

/// The text that replaces a secret.
pub const REDACTED: &str = "***";
/// The shortest secret in characters; shorter values occur in other texts by chance.
const SHORTEST: usize = 4;
/// A shorter secret is replaced only where it is a whole word.
const SHORTEST_INSIDE: usize = 6;
/// The shortest part of a header's value that counts as a secret by itself; `Bearer` is shorter.
const SHORTEST_PART: usize = 8;
/// The fewest characters of base64 to search for; fewer occur in other texts by chance.
const SHORTEST_BASE64: usize = 8;
/// The largest compiled pattern, in bytes: a token of 4 KiB needs about 20 MB.
const LARGEST_PATTERN: usize = 1 << 26;
/// How many characters of a body an error quotes.
const BODY_START: usize = 300;
/// How many bytes more are read, so that a secret at the cut is recognised and not quoted in part.
const BODY_MARGIN: usize = 4096;

/// The secrets of one source or of several.
///
/// A secret is recognised in upper and lower case; with any of its characters percent-encoded, as an
/// HTML entity, or escaped as in JSON; and in base64, also in the middle of what was encoded, as the
/// password is in `Authorization: Basic`.
#[derive(Clone)]
pub struct Redactor {
    secrets: BTreeSet<String>,
    /// Parts of paths of URLs, which are secrets unless somebody says otherwise.
    segments: BTreeSet<String>,
    pattern: Option<Regex>,
}

impl Redactor {
    /// A redactor without secrets, which changes no text.
    pub const fn none() -> Self {
        Self { secrets: BTreeSet::new(), segments: BTreeSet::new(), pattern: None }
    }

    /// The secrets that these options send: the token, the password, alone and with its user, and the
    /// values of headers.
    pub fn of_options(options: &HttpOptions) -> Self {
        let mut secrets = BTreeSet::new();
        match &options.auth {
            Auth::None => {}
            Auth::Bearer(token) => drop(secrets.insert(token.expose().trim().to_owned())),
            Auth::Basic { user, password } => secrets.extend(basic(user, password.expose())),
        }
        for (_, value) in &options.headers {
            let value = value.expose().trim();
            secrets.insert(value.to_owned());
            let parts = value.split([' ', '\t', ',', ';', '=', '"']);
            secrets.extend(parts.filter(|part| part.len() >= SHORTEST_PART).map(str::to_owned));
        }
        Self::new(secrets, BTreeSet::new())
    }

    /// The secrets inside a URL: its password, alone and with its user, or its user where that
    /// stands alone; the values of its query; and the parts of its path that
    /// [`public_url`] masks. There are none where the text is no URL.
    pub fn of_url(url: &str) -> Self {
        let Ok(url) = Url::parse(url.trim()) else { return Self::none() };
        let mut secrets = BTreeSet::new();
        match url.password() {
            Some(password) => {
                secrets.extend(basic(&decoded(url.username()), &decoded(password)));
            }
            None => drop(secrets.insert(decoded(url.username()))),
        }
        secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        let hidden = url.path().split('/').filter(|segment| !reads_as_words(segment));
        Self::new(secrets, hidden.map(decoded).collect())
    }

    fn new(mut secrets: BTreeSet<String>, mut segments: BTreeSet<String>) -> Self {
        for set in [&mut secrets, &mut segments] {
            set.retain(|secret| secret.chars().count() >= SHORTEST);
        }
        let pattern = pattern(&secrets.union(&segments).collect());
        Self { secrets, segments, pattern }
    }

    /// The same, to which `word` is no secret for standing in the path of a URL. It stays one where it is a password,
    /// a token or the like as well.
    #[must_use]
    pub fn with_public_segment(&self, word: &str) -> Self {
        if !self.segments.contains(word) {
            return self.clone();
        }
        let segments = self.segments.iter().filter(|segment| *segment != word);
        Self::new(self.secrets.clone(), segments.cloned().collect())
    }

    /// A redactor of these secrets and those of `other`.
    pub fn and(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    /// Adds the secrets of `other`.
    pub fn add(&mut self, other: &Self) {
        let knows =
            other.secrets.is_subset(&self.secrets) && other.segments.is_subset(&self.segments);
        if !knows {
            let both = |a: &BTreeSet<String>, b| a.union(b).cloned().collect();
            *self = Self::new(
                both(&self.secrets, &other.secrets),
                both(&self.segments, &other.segments),
            );
        }
    }

    /// The text with `***` in place of every secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.pattern {
            Some(pattern) => pattern.replace_all(text, REDACTED),
            None => Cow::Borrowed(text),
        }
    }

    /// A body unchanged or, where it contains a secret, as text without the secret.
    pub fn redact_body(&self, body: Vec<u8>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&body);
        let holds_secret = self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&text));
        if holds_secret { self.redact(&text).into_owned().into_bytes() } else { body }
    }

    /// The first few hundred characters of a body on one line, of a page for browsers its title, without secrets.
    pub fn body_start(&self, body: &[u8]) -> String {
        let read = &body[..body.len().min(BODY_START + BODY_MARGIN)];
        let text = String::from_utf8_lossy(read);
        let text = title_of_page(&text).map_or(text, Cow::Owned);
        let words: Vec<&str> = text
            .split(|character: char| character.is_whitespace() || character.is_control())
            .filter(|word| !word.is_empty())
            .collect();
        let line = self.redact(&words.join(" ")).into_owned();
        let line = self.without_broken_end(&line);
        match line.char_indices().nth(BODY_START) {
            Some((end, _)) => line[..end].to_owned(),
            None => line.to_owned(),
        }
    }

    /// The number of bytes of a body that [`body_start`](Self::body_start) reads.
    pub(super) const fn body_start_bytes() -> usize {
        BODY_START + BODY_MARGIN
    }

    /// A text that was cut, without the beginning of a secret at its end.
    fn without_broken_end<'a>(&self, text: &'a str) -> &'a str {
        let ends_with = |start: &str| {
            let at = text.len().checked_sub(start.len())?;
            text.get(at..)?.eq_ignore_ascii_case(start).then_some(at)
        };
        let beginnings = self
            .secrets
            .union(&self.segments)
            .flat_map(|secret| secret.char_indices().skip(SHORTEST).map(|(end, _)| &secret[..end]));
        let cut = beginnings.filter_map(ends_with).min();
        cut.map_or(text, |at| &text[..at])
    }
}

/// What stands for a page for browsers; `None` where the text is none.
fn title_of_page(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let is_page = lower.trim_start().starts_with('<') && lower.contains("<html");
    let title = || {
        let start = lower.find("<title>")? + "<title>".len();
        let end = start + lower[start..].find("</title>")?;
        Some(format!("an HTML page, {:?}", text[start..end].trim()))
    };
    is_page.then(|| title().unwrap_or_else(|| "an HTML page".to_owned()))
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} secrets", self.secrets.union(&self.segments).count())
    }
}

/// The secrets of basic authentication: the encoded credentials, `user:password`, and the password.
fn basic(user: &str, password: &str) -> [String; 3] {
    let both = format!("{user}:{password}");
    [STANDARD.encode(&both), both, password.to_owned()]
}

/// A pattern of all forms of these secrets, the longest first, since one may contain another.
fn pattern(secrets: &BTreeSet<&String>) -> Option<Regex> {
    if secrets.is_empty() {
        return None;
    }
    let mut secrets: Vec<&String> = secrets.iter().copied().collect();
    secrets.sort_by_key(|secret| (std::cmp::Reverse(secret.len()), *secret));
    let mut forms: Vec<String> = secrets.iter().map(|secret| plain(secret)).collect();
    forms.extend(secrets.iter().flat_map(|secret| in_base64(secret)));
    let pattern = regex::RegexBuilder::new(&format!("(?i){}", forms.join("|")))
        .size_limit(LARGEST_PATTERN)
        .build();
    // A secret too long for a pattern is too long for any server: then all text is replaced.
    Some(pattern.unwrap_or_else(|_| Regex::new("(?s).+").expect("the pattern is valid")))
}

fn plain(secret: &str) -> String {
    let form: String = secret.chars().map(spelled).collect();
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if secret.chars().count() >= SHORTEST_INSIDE {
        return form;
    }
    let before = if is_word(secret.chars().next()) { r"\b" } else { "" };
    let after = if is_word(secret.chars().last()) { r"\b" } else { "" };
    format!("{before}{form}{after}")
}

/// A pattern of all encodings of a character.
fn spelled(c: char) -> String {
    let code = u32::from(c);
    let percent: String =
        c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02x}")).collect();
    let entity = match c {
        ' ' => r"|\+",
        '&' => "|&amp;",
        '<' => "|&lt;",
        '>' => "|&gt;",
        '"' => "|&quot;",
        '\'' => "|&apos;",
        _ => "",
    };
    let plain = regex::escape(c.encode_utf8(&mut [0; 4]));
    format!(r"(?:\\*{plain}|{percent}|\\+u{code:04x}|&#0*{code};|&#x0*{code:x};{entity})")
}

/// The secret in base64, at each of the three places in which it may begin within a group of
/// three bytes: those characters that depend on nothing else, and what may follow.
fn in_base64(secret: &str) -> Vec<String> {
    let at = |before: usize| {
        let padded = [&vec![0; before][..], secret.as_bytes()].concat();
        let encoded = STANDARD.encode(&padded);
        let first = (before * 8).div_ceil(6);
        let end = padded.len() * 8 / 6;
        let own = encoded.get(first..end).filter(|own| own.len() >= SHORTEST_BASE64)?;
        let own: String = own
            .chars()
            .map(|c| match c {
                // The URL-safe alphabet has others for these two.
                '+' => format!("(?:-|{})", spelled(c)),
                '/' => format!("(?:_|{})", spelled(c)),
                _ => spelled(c),
            })
            .collect();
        Some(format!("{own}[0-9A-Za-z+/_-]?(?:=|%3d)*"))
    };
    (0..3).filter_map(at).collect()
}

/// A part of a URL without its percent-encoding.
fn decoded(part: &str) -> String {
    let plus = part.replace('+', "%2B");
    let query = format!("http://localhost/?v={}", plus.replace('&', "%26").replace('#', "%23"));
    let url = Url::parse(&query).ok();
    let value = url.as_ref().and_then(|url| url.query_pairs().next());
    value.map_or_else(|| part.to_owned(), |(_, value)| value.into_owned())
}

/// `url` as it may be stored and printed: scheme, host, port and path. User, password, query and
/// fragment are dropped. Each segment of the path that may be a secret is replaced by `***`: all but
/// those of words and small numbers, such as `prometheus`, `v1` and `0:0`. A text of more than 300
/// characters is cut.
///
/// # Examples
///
/// ```
/// use operator::source::public_url;
/// let url = "https://ann:hunter2@vm:8481/select/0/prometheus?token=a1b2c3";
/// assert_eq!(public_url(url), "https://vm:8481/select/0/prometheus");
/// assert_eq!(public_url("http://p:9090/T0KENaB/prom"), "http://p:9090/***/prom");
/// ```
pub fn public_url(url: &str) -> String {
    let mut text = match Url::parse(url) {
        Ok(mut parsed) if parsed.has_host() => {
            // Both fail only for URLs that have no host.
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.set_fragment(None);
            parsed.set_query(None);
            let masked = |segment| if reads_as_words(segment) { segment } else { REDACTED };
            let path: Vec<&str> = parsed.path().split('/').map(masked).collect();
            let path = path.join("/");
            parsed.set_path(&path);
            parsed.to_string()
        }
        _ => host_of_broken(url),
    };
    if let Some((cut, _)) = text.char_indices().nth(BODY_START) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// The probable host of a text that is no valid URL: a password may precede its last `@`, and a token
/// may follow its host.
fn host_of_broken(url: &str) -> String {
    let host = |text: &str| text.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    match (url.rsplit_once('@'), url.split_once("://")) {
        (Some((_, rest)), _) => host(rest),
        (None, Some((scheme, rest))) => format!("{scheme}://{}", host(rest)),
        (None, None) => host(url),
    }
}

/// Whether a segment of a path cannot be a secret. It has at most 32 characters, and each piece between
/// `-`, `_`, `.` and `:` is a number of at most six digits, or a word of at most 16 lowercase letters, of
/// which the first may be a capital, followed by at most three digits.
fn reads_as_words(segment: &str) -> bool {
    let is_piece = |piece: &str| {
        let word = piece.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = piece.len() - word.len();
        let rest = word.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(word);
        let is_small = rest.bytes().all(|byte| byte.is_ascii_lowercase());
        is_small && word.len() <= 16 && digits <= if word.is_empty() { 6 } else { 3 }
    };
    segment.len() <= 32 && segment.split(['-', '_', '.', ':']).all(is_piece)
}

/// Whether a URL names a user or a password.
///
/// # Examples
///
/// ```
/// use operator::source::names_user;
/// assert!(names_user("http://ann:hunter2@pd0:2379") && names_user("ann@pd0"));
/// assert!(!names_user("http://pd0:2379/@/?a=b@c"));
/// ```
pub fn names_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Secret;

    const TOKEN: &str = "s3cret/T0ken+\"<x>";

    fn bearer(token: &str) -> Redactor {
        let auth = Auth::Bearer(Secret::new(token));
        Redactor::of_options(&HttpOptions { auth, ..HttpOptions::default() })
    }

    #[test]
    fn of_a_page_for_browsers_only_the_title_is_told() {
        let redactor = bearer(TOKEN);
        let page = b"<!DOCTYPE HTML>\n<html><head><title>Error response</title></head><body>501</body></html>";
        assert_eq!(redactor.body_start(page), "an HTML page, \"Error response\"");
        assert_eq!(redactor.body_start(b"too many <html> samples"), "too many <html> samples");
    }

    #[test]
    fn a_token_is_found_in_every_form() {
        let redactor = bearer(TOKEN);
        let json = serde_json::to_string(TOKEN).expect("a string");
        for form in [
            TOKEN.to_owned(),
            TOKEN.to_uppercase(),
            json.trim_matches('"').to_owned(),
            format!("{:?}", format!("{TOKEN:?}")),
            "s3cret%2FT0ken%2b%22%3cx%3E".to_owned(),
            "s3cret\\/T0ken+\\\"\\u003cx\\u003E".to_owned(),
            "s3cret/T0ken+&quot;&lt;x&#62;".to_owned(),
            "%73%33cret%2FT0ken%2b%22%3cx%3E".to_owned(),
        ] {
            let said =
                redactor.redact(&format!("debug: Authorization: Bearer {form} end")).into_owned();
            let quotes =
                said.trim_start_matches("debug: Authorization: Bearer ").trim_end_matches(" end");
            assert!(quotes.trim_matches(['"', '\\']) == REDACTED, "{form}: {said}");
        }
    }

    #[test]
    fn a_password_is_found_in_base64_wherever_it_begins() {
        let redactor = bearer("hunter2-hunter2");
        for before in ["", "a", "ab", "abc", "Authorization: Bearer "] {
            let encoded = STANDARD.encode(format!("{before}hunter2-hunter2 and more"));
            let said = redactor.redact(&encoded).into_owned();
            assert!(said.contains(REDACTED), "{before}: {said}");
            let own = STANDARD.encode(format!("{before}hunter2-hunter2"));
            assert!(!said.contains(&own[own.len() - 10..own.len() - 4]), "{said}");
        }
    }

    #[test]
    fn basic_credentials_are_found_as_sent_and_alone() {
        let auth = Auth::Basic { user: "ann".to_owned(), password: Secret::new("hunter2") };
        let redactor = Redactor::of_options(&HttpOptions { auth, ..HttpOptions::default() });
        let sent = STANDARD.encode("ann:hunter2");
        let said = format!("Basic {sent}, ann:hunter2, HUNTER2 of ann");
        assert_eq!(redactor.redact(&said), "Basic ***, ***, *** of ann");
    }

    #[test]
    fn a_header_is_a_secret_whole_and_in_its_parts() {
        let headers = vec![("Cookie".to_owned(), Secret::new("id=0123456789; theme=dark"))];
        let redactor = Redactor::of_options(&HttpOptions { headers, ..HttpOptions::default() });
        assert_eq!(redactor.redact("got id=0123456789; theme=dark"), "got ***");
        assert_eq!(redactor.redact("session 0123456789, dark"), "session ***, dark");
    }

    #[test]
    fn short_values_are_words_or_no_secrets() {
        let redactor = bearer("prom");
        assert_eq!(redactor.redact("prom of prometheus"), "*** of prometheus");
        assert_eq!(bearer("1").redact("status 1"), "status 1");
    }

    #[test]
    fn a_body_is_cut_without_quoting_half_a_secret() {
        let redactor = bearer("SECRETTOKEN123");
        for filler in 270..310 {
            let body = format!("{} SECRETTOKEN123 rest", "x".repeat(filler));
            let start = redactor.body_start(body.as_bytes());
            assert!(!start.contains("SECR") && start.chars().count() <= BODY_START, "{start}");
        }
        let broken = format!("{} SECRETTO", "x".repeat(20));
        assert_eq!(redactor.body_start(broken.as_bytes()), format!("{} ", "x".repeat(20)));
        let many = "SECRETTOKEN123 ".repeat(1000);
        assert!(!redactor.body_start(many.as_bytes()).contains("SECR"));
    }

    #[test]
    fn a_segment_that_is_public_stays_a_secret_where_it_is_a_password() {
        let path = Redactor::of_url("https://vm/T0KENaB/S3CRETxy");
        let shown = path.with_public_segment("T0KENaB");
        assert_eq!(path.redact("T0KENaB S3CRETxy"), "*** ***");
        assert_eq!(shown.redact("T0KENaB S3CRETxy"), "T0KENaB ***");
        assert_eq!(shown.with_public_segment("other").redact("T0KENaB S3CRETxy"), "T0KENaB ***");
        let both = Redactor::of_url("https://ann:T0KENaB@vm/T0KENaB");
        assert_eq!(both.with_public_segment("T0KENaB").redact("T0KENaB"), "***");
    }

    #[test]
    fn secrets_of_urls_are_what_public_urls_lack() {
        let url = "https://ann:p%40ssword@h/prometheus/AbCd1234/?token=x%20y%2bz&extra=long-value";
        let redactor = Redactor::of_url(url);
        for secret in ["p@ssword", "p%40ssword", "AbCd1234", "x y+z", "x%20y%2Bz", "long-value"] {
            assert_eq!(redactor.redact(secret), REDACTED, "{secret}");
        }
        assert_eq!(redactor.redact("prometheus of ann at h"), "prometheus of ann at h");
        assert_eq!(public_url(url), "https://h/prometheus/***/");
    }

    #[test]
    fn prefixes_of_the_field_are_kept_and_tokens_are_not() {
        for kept in [
            "prometheus",
            "select",
            "0",
            "0:0",
            "api",
            "v1",
            "victoria-metrics",
            "team_a",
            "__name__",
            "Prometheus",
            "tenant-12",
            "",
        ] {
            assert!(reads_as_words(kept), "{kept}");
        }
        for masked in [
            "SECRETPATH",
            "T0KEN",
            "d41d8cd98f00b204",
            "xoxb-1234567890",
            "a%20b",
            "ABC",
            "aB",
            "qwertzuiopasdfghjkl",
            "B0192837",
            "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        ] {
            assert!(!reads_as_words(masked), "{masked}");
        }
    }

    #[test]
    fn of_a_broken_url_the_host_is_shown() {
        for (url, shown) in [
            ("ann:hunter2@[host", "[host"),
            ("http://ann:hun/ter2@host/x", "host"),
            ("http://[host/T0KEN", "http://[host"),
            ("pd0:2379?token=x", "pd0:2379"),
        ] {
            assert_eq!(public_url(url), shown);
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        assert_eq!(format!("{:?}", bearer(TOKEN)), "1 secrets");
    }
}
