//! Hosts and ports, as addresses and URLs spell them.

use std::net::{IpAddr, Ipv6Addr};

/// The host of `host:port`, or the whole text where it has no port. An IPv6 address keeps its brackets.
pub(super) fn host(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => host,
        _ => address,
    }
}

/// An address or a host in the one spelling by which it is compared: in lower case, an IPv6 address in brackets
/// and as short as it can be.
pub(super) fn canonical(address: &str) -> String {
    let address = address.to_ascii_lowercase();
    let host = host(&address);
    match host.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]{}", &address[host.len()..]),
        Err(_) => address,
    }
}

/// The port of `host:port`; `None` where there is none.
pub(super) fn port(address: &str) -> Option<u16> {
    let rest = address.strip_prefix(host(address))?;
    rest.strip_prefix(':')?.parse().ok()
}

/// Host and port of a URL: what follows the scheme, without a slash at its end.
pub(super) fn without_scheme(url: &str) -> &str {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest);
    address.trim_end_matches('/')
}

/// The first label of an address's DNS name, which is the pod's name in Kubernetes and the short name of a
/// host elsewhere. `None` for an IP address, which has none.
pub(super) fn short_name(address: &str) -> Option<&str> {
    let host = host(address);
    let is_ip = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let first = host.split('.').next().unwrap_or(host);
    (!is_ip && !first.is_empty() && first != "localhost").then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_addresses_are_read_out_of_urls() {
        assert_eq!(without_scheme("http://pd0:2379/"), "pd0:2379");
        assert_eq!(without_scheme("pd0:2379"), "pd0:2379");
        assert_eq!(host("10.77.0.20:20180"), "10.77.0.20");
        assert_eq!(host("tikv"), "tikv");
        assert_eq!(canonical("[FD00:0:0::0:1]:20180"), "[fd00::1]:20180");
        assert_eq!(canonical("fd00::1"), "[fd00::1]");
        assert_eq!(canonical("TIKV-0:20180"), "tikv-0:20180");
        assert_eq!((host("[fd00::1]:20180"), port("[fd00::1]:20180")), ("[fd00::1]", Some(20180)));
        assert_eq!((host("fd00::1"), port("fd00::1"), port("tikv")), ("fd00::1", None, None));
    }

    #[test]
    fn an_ip_address_has_no_short_name() {
        assert_eq!(short_name("basic-tikv-3.basic-tikv-peer.tidb.svc:20160"), Some("basic-tikv-3"));
        assert_eq!(short_name("basic-tikv-3"), Some("basic-tikv-3"));
        assert_eq!((short_name("10.0.1.5:20160"), short_name("[fd00::1]:20160")), (None, None));
    }
}
