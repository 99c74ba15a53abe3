//! Hosts and ports, as addresses and URLs spell them.

/// The host of `host:port`, or the whole text where it has no port.
pub(super) fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Host and port of a URL: what follows the scheme, without a slash at its end.
pub(super) fn without_scheme(url: &str) -> &str {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest);
    address.trim_end_matches('/')
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
    }
}
