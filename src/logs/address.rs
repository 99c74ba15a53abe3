//! Tells addresses in the words of a line, and gives a node's address the node's name.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The names of the cluster's nodes by their addresses.
#[derive(Clone, Debug, Default)]
pub struct NodeNames {
    by_address: BTreeMap<String, String>,
    /// By host alone; `None` where several nodes run on one.
    by_host: BTreeMap<String, Option<String>>,
}

impl NodeNames {
    /// Names by address, that is a host with or without a port.
    pub fn new<'a>(nodes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut names = Self::default();
        for (address, name) in nodes {
            names.by_address.insert(address.to_owned(), name.to_owned());
            let host = names.by_host.entry(host_of(address).to_owned());
            host.and_modify(|held| {
                if held.as_deref() != Some(name) {
                    *held = None;
                }
            })
            .or_insert_with(|| Some(name.to_owned()));
        }
        names
    }

    /// The name of the node at an address.
    pub fn of(&self, address: &str) -> Option<&str> {
        let exact = self.by_address.get(address).map(String::as_str);
        exact.or_else(|| self.by_host.get(host_of(address))?.as_deref())
    }
}

/// An address without its port.
fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if is_port(port) && !host.ends_with(':') => host,
        _ => address,
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port >= MIN_PORT)
}

/// The lowest port that a server of a cluster listens at; a smaller number behind a colon is rather the
/// number of a line or a code.
const MIN_PORT: u16 = 1024;

/// Endings of files, which are no names of hosts.
const FILE_ENDINGS: [&str; 10] =
    ["rs", "go", "cc", "h", "sst", "log", "toml", "json", "info", "rewrite"];

/// Whether a word is an address: of IPv4 or IPv6, or the name of a host with a port or several labels.
pub fn is_address(word: &str) -> bool {
    let host = host_of(word);
    if host.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    if word.matches(':').count() > 1 {
        let v6 = word.split('%').next().unwrap_or(word);
        return v6.parse::<Ipv6Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok();
    }
    let labels: Vec<&str> = host.split('.').collect();
    let is_name = labels.iter().all(|label| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(allowed)
    });
    let last = labels.last().copied().unwrap_or_default();
    let is_file = FILE_ENDINGS.contains(&last);
    // A version and a number with decimals end in digits, as no name of a domain does.
    let is_domain = labels.len() >= 3 && last.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_name && !is_file && (is_domain || host.len() < word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_files_versions_and_numbers() {
        for word in [
            "10.0.1.4",
            "10.0.1.4:20160",
            "::1",
            "fe80::1:20160",
            "pd0:2379",
            "a-tikv-0.peer.svc:20160",
        ] {
            assert!(is_address(word), "{word}");
        }
        for word in
            ["raft.rs:1571", "v8.5.4", "1.5", "std::io::Error", "code:14", "000123.sst", "os"]
        {
            assert!(!is_address(word), "{word}");
        }
    }

    #[test]
    fn a_host_names_its_node_unless_two_share_it() {
        let names = NodeNames::new([
            ("10.0.0.1:20160", "store 1"),
            ("10.0.0.1:20180", "store 1"),
            ("10.0.0.2:20160", "store 4"),
            ("10.0.0.2:20161", "store 5"),
        ]);
        assert_eq!(names.of("10.0.0.1:41234"), Some("store 1"));
        assert_eq!(names.of("10.0.0.2:20161"), Some("store 5"));
        assert_eq!(names.of("10.0.0.2:41234"), None);
    }
}
