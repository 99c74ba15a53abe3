//! The words that messages of programs are made of.
//!
//! `message_words.txt` has them in lower case: what TiKV, PD and etcd print and answer, the errors of Go's and
//! Rust's libraries for networks, TLS and HTTP, of gRPC, RocksDB, Prometheus, Kubernetes, systemd and the kernel,
//! the operating system's error texts, and what this program says itself. A word that is not there may be the name
//! of a host, a user or a database, and is replaced.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::vocabulary::is_public;

static WORDS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("message_words.txt").split_whitespace().collect());

/// Words with digits that are no numbered names.
const WITH_DIGITS: [&str; 16] = [
    "utf8", "http1", "http2", "x509", "sha1", "sha256", "ed25519", "i32", "i64", "u8", "u32",
    "u64", "f64", "ext4", "oauth2", "p256",
];

/// Whether a word passes in a message: one of the list, or several of them joined by `_` or by capital letters, as
/// in `region_id` and `DeadlineExceeded`.
pub fn is_of_messages(word: &str) -> bool {
    is_public(word) || word.split('_').all(|part| part.is_empty() || is_listed(part))
}

fn is_listed(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    WORDS.contains(&*lower)
        || WITH_DIGITS.contains(&&*lower)
        || is_public(part)
        || has_listed_humps(part)
}

/// Whether a word in camel case is made of listed words of at least two letters.
fn has_listed_humps(word: &str) -> bool {
    if !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return false;
    }
    let bytes = word.as_bytes();
    let mut start = 0;
    let mut humps = 0;
    for at in 1..=bytes.len() {
        let ends = at == bytes.len()
            || bytes[at].is_ascii_uppercase()
                && (bytes[at - 1].is_ascii_lowercase()
                    || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase));
        if ends {
            if at - start < 2 || !WORDS.contains(&*word[start..at].to_ascii_lowercase()) {
                return false;
            }
            humps += 1;
            start = at;
        }
    }
    humps > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_programs_pass_and_names_do_not() {
        for word in [
            "refused",
            "region_id",
            "ErrLeaderNil",
            "apiutil",
            "Errno",
            "DeadlineExceeded",
            "raft_id",
            "Other",
            "RPC",
            "BackOff",
            "ECONNREFUSED",
            "utf8",
            "thread_id",
            "lookup",
            "20160",
        ] {
            assert!(is_of_messages(word), "{word}");
        }
        for word in [
            "secrethost",
            "vaultbox",
            "mallory",
            "webproxy",
            "orders",
            "Errol",
            "gateway1",
            "db17x",
            "AliceLeader",
            "region_acme",
            "注",
        ] {
            assert!(!is_of_messages(word), "{word}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_in_lower_case() {
        let words: Vec<&str> = include_str!("message_words.txt").split_whitespace().collect();
        assert!(words.is_sorted());
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }
}
