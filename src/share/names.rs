//! Finds the names of hosts and the paths in a text, which are replaced as a whole.
//!
//! A name keeps its number of labels and a path its depth, so that a pod still resolves by the first label of its
//! address and a file system is still found by a path in it. Nothing else of them stays.

use std::sync::LazyLock;

use regex::Regex;

use super::message_words::is_of_messages;
use super::text::{Kind, Replace, Words, has_v4, is_quantity, tokens};
use super::vocabulary::{is_pseudonym, is_public};

/// Which names of hosts are replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Only those that are known from elsewhere.
    WhereKnown,
    /// Those with dots in which a word is not public, and those that are known.
    WhereUnlisted,
    /// Those with dots, or in front of a port, in which a word is not one of messages, and those that are known.
    InMessages,
    /// All that are no public words throughout.
    Everywhere,
}

/// An absolute path, words with dots between them, or words with hyphens between them; each may also be one word.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    let path = r"/(?:[\w.@+~%-]+/)*[\w.@+~%-]+";
    // An address of version 6, or what has as many colons, is no name.
    let colons = r"[0-9A-Fa-f]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*";
    let pattern =
        format!(r"(?<path>{path})|{colons}|(?<dotted>[\w-]+(?:\.[\w-]+)+)|(?<unit>\w+(?:-\w+)*)");
    Regex::new(&pattern).expect("the pattern is valid")
});

/// A method of gRPC, as in `/pdpb.PD/GetMembers`.
static GRPC_METHOD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^/(?:[a-z]\w*\.)+[A-Z]\w*/[A-Z]\w*$").expect("the pattern is valid")
});

/// Labels that names in Kubernetes and of machines themselves end with.
const OF_CLUSTERS: [&str; 7] =
    ["svc", "cluster", "local", "localhost", "localdomain", "pod", "headless"];

/// What the paths of PD's, Prometheus's and the operating system's interfaces begin with. In them, words are looked
/// at one by one.
const ROOTS: [&str; 14] = [
    "pd",
    "api",
    "metrics",
    "status",
    "config",
    "debug",
    "health",
    "healthz",
    "region",
    "dashboard",
    "resource-manager",
    "proc",
    "sys",
    "dev",
];

/// How the names of files end, which have dots and are no hosts.
const ENDS: [&str; 21] = [
    "log", "txt", "rs", "go", "cc", "cpp", "h", "c", "toml", "json", "sst", "yml", "yaml",
    "capture", "gz", "html", "sh", "pem", "crt", "key", "service",
];

/// The text with names of hosts and paths replaced as `named` says, and everything else word by word.
pub fn rewrite_names(
    text: &str,
    named: Named,
    words: &mut dyn Words,
    replace: Replace<'_>,
) -> String {
    let mut written = String::with_capacity(text.len());
    // The text up to `written_to` is written; between that and `at` nothing is replaced as a whole.
    let (mut written_to, mut at) = (0, 0);
    while let Some(found) = NAME.captures_at(text, at) {
        let whole = found.get(0).expect("the whole match is there");
        let (before, after) = (&text[..whole.start()], &text[whole.end()..]);
        let is_path = found.name("path").is_some();
        let replaced = if is_path {
            path(whole.as_str(), before, named, words)
        } else if found.name("dotted").or(found.name("unit")).is_some() {
            host(whole.as_str(), after, named, words)
        } else {
            None
        };
        at = if is_path && replaced.is_none() { whole.start() + 1 } else { whole.end() };
        if let Some(replaced) = replaced {
            tokens(text, written_to..whole.start(), &mut written, words, replace);
            written.push_str(&replaced);
            written_to = whole.end();
        }
    }
    tokens(text, written_to..text.len(), &mut written, words, replace);
    written
}

/// Whether all words of a name are public.
fn is_public_name(name: &str) -> bool {
    name.split(['-', '.', '@', '+', '~', '%']).all(|word| word.is_empty() || is_public(word))
}

/// What stands in the place of an absolute path; `None` where it is none, or one of an interface.
fn path(whole: &str, before: &str, named: Named, words: &mut dyn Words) -> Option<String> {
    let joins = |c: char| c.is_alphanumeric() || "_-./])}@%*?".contains(c);
    if before.ends_with(joins) {
        return None;
    }
    if GRPC_METHOD.is_match(whole) {
        return Some(whole.to_owned());
    }
    let mut parts = whole[1..].split('/');
    if parts.clone().next().is_some_and(|first| ROOTS.contains(&first)) {
        return None;
    }
    if named == Named::WhereKnown {
        // What programs fix is replaced only where it names something elsewhere.
        return None;
    }
    let mut written = String::with_capacity(whole.len());
    let mut end = 0;
    for part in &mut parts {
        end += 1 + part.len();
        written.push('/');
        let replaced = match part {
            _ if part.bytes().all(|byte| byte == b'.') || is_pseudonym(part) => None,
            _ if is_public_name(part) => words.part(&whole[..end], Kind::Path),
            _ => words.unlisted(part, Kind::Path),
        };
        written.push_str(replaced.as_deref().unwrap_or(part));
    }
    Some(written)
}

/// What stands in the place of the name of a host; `None` where it is none, and its words are looked at one by one.
fn host(whole: &str, after: &str, named: Named, words: &mut dyn Words) -> Option<String> {
    let labels: Vec<&str> = whole.split('.').collect();
    let is_dotted = labels.len() > 1;
    let has_letter = whole.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'-'));
    let separators = whole.bytes().filter(|byte| matches!(byte, b'.' | b'-')).count();
    let is_address = separators > 2 && has_v4(whole);
    if !has_letter || is_address || is_dotted && is_quantity(whole) || after.starts_with('@') {
        return None;
    }
    let known: Vec<Option<String>> =
        labels.iter().map(|label| known_unit(label, named, words)).collect();
    if known.iter().any(Option::is_some) && (!is_dotted || named == Named::WhereKnown) {
        let labels = labels.iter().zip(&known);
        let labels: Vec<&str> =
            labels.map(|(label, known)| known.as_deref().unwrap_or(label)).collect();
        return Some(labels.join("."));
    }
    let has_port =
        after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_file = is_dotted && labels.last().is_some_and(|end| ENDS.contains(end)) && !has_port;
    let mut parts = labels.iter().flat_map(|label| label.split('-'));
    let mut all = |passes: fn(&str) -> bool| parts.all(|word| word.is_empty() || passes(word));
    let is_whole = match named {
        Named::WhereKnown => false,
        Named::WhereUnlisted => is_dotted && !is_file && !all(is_public),
        Named::InMessages => (is_dotted && !is_file || has_port) && !all(is_of_messages),
        Named::Everywhere => is_dotted && !is_file || !all(is_public),
    } || named != Named::WhereKnown && is_pod(whole)
        || is_dotted && is_known(&labels, &known, words);
    is_whole.then(|| labels_of(whole, &labels, words))
}

/// Whether a name with dots is of labels that are known as names, and of public ones.
fn is_known(labels: &[&str], known: &[Option<String>], words: &mut dyn Words) -> bool {
    let mut passes = |label: &str| {
        is_public_name(label)
            || is_pseudonym(label)
            || OF_CLUSTERS.contains(&label)
            || words.listed(label).is_some()
    };
    known.iter().any(Option::is_some)
        && labels.iter().zip(known).all(|(label, known)| known.is_some() || passes(label))
}

/// The pseudonym of a host's name without dots that is known. What follows an underscore is not part of it, as in
/// Kubernetes's `pod_namespace`.
fn known_unit(unit: &str, named: Named, words: &mut dyn Words) -> Option<String> {
    if !unit.contains('-') {
        return None;
    }
    if let Some(known) = words.listed(unit) {
        return Some(known);
    }
    let (pod, namespace) = unit.split_once('_')?;
    let known = words.listed(pod);
    if known.is_none() && (named == Named::WhereKnown || !is_pod(pod)) {
        return None;
    }
    let mut written = String::new();
    for (number, word) in namespace.split('-').enumerate() {
        written.push(if number == 0 { '_' } else { '-' });
        if is_of_messages(word) {
            written.push_str(words.listed(word).as_deref().unwrap_or(word));
        } else {
            written.push_str(&words.unlisted(word, Kind::Name)?);
        }
    }
    Some(known.or_else(|| words.unlisted(pod, Kind::Host))? + &written)
}

/// Whether a name is that of a component's pod, such as `basic-tikv-1`: any words may be in front.
fn is_pod(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let is_number = |part: &&&str| part.bytes().all(|byte| byte.is_ascii_digit());
    parts.last().filter(is_number).is_some()
        && parts.iter().any(|part| ["tikv", "tiflash", "tidb", "pd"].contains(part))
        && !parts.iter().all(|part| is_public(part))
}

/// The labels of a name, each replaced: the first one as a host, those of Kubernetes not at all.
fn labels_of(whole: &str, labels: &[&str], words: &mut dyn Words) -> String {
    let is_kubernetes = labels.contains(&"svc");
    let mut written = String::with_capacity(whole.len());
    let mut start = 0;
    for (number, label) in labels.iter().enumerate() {
        if number > 0 {
            written.push('.');
        }
        let replaced = if is_pseudonym(label) || OF_CLUSTERS.contains(label) {
            None
        } else if !is_public_name(label) {
            words.unlisted(label, if number == 0 { Kind::Host } else { Kind::Name })
        } else if number == 0 || is_kubernetes {
            words.listed(label)
        } else {
            words.part(&whole[start..], Kind::Name)
        };
        written.push_str(replaced.as_deref().unwrap_or(label));
        start += label.len() + 1;
    }
    written
}
