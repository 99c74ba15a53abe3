//! What is kept of a store's machine: numbers, sizes and words that compare machines, none that names one.
//!
//! The keys are those that TiKV answers with (`src/server/service/diagnostics/sys.rs` of tikv/tikv).

use std::collections::BTreeMap;

use crate::model::{MACHINE, is_setting, is_setting_value};
use crate::source::ServerInfoItem;

/// The facts of the list in what a store says of its machine, by their whole names such as `machine.memory`.
pub fn machine_in(items: &[ServerInfoItem]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for item in items {
        match (item.kind.as_str(), item.name.as_str()) {
            ("cpu", "cpu") => {
                take(&mut found, item, "cpu-logical-cores", "cores", ToOwned::to_owned);
                take(&mut found, item, "cpu-physical-cores", "physical-cores", ToOwned::to_owned);
                take(&mut found, item, "cpu-arch", "arch", ToOwned::to_owned);
            }
            ("memory", "memory") => take(&mut found, item, "capacity", "memory", mebibytes),
            ("system", "kernel") => {
                let key = "transparent_hugepage_enabled";
                take(&mut found, item, key, "transparent-hugepage", chosen);
            }
            ("system", "sysctl") => {
                for (key, value) in &item.pairs {
                    found.insert(format!("{MACHINE}sysctl.{key}"), value.clone());
                }
            }
            _ => {}
        }
    }
    let disks = items.iter().filter(|item| item.kind == "disk");
    // Which disk holds the data is not said: the largest one is the one to compare.
    if let Some(disk) = disks.max_by_key(|disk| total(disk)) {
        take(&mut found, disk, "total", "largest-disk.total", mebibytes);
        take(&mut found, disk, "fstype", "largest-disk.fstype", ToOwned::to_owned);
        take(&mut found, disk, "type", "largest-disk.type", str::to_ascii_lowercase);
    }
    found.retain(|name, value| is_setting(name) && is_setting_value(value));
    found
}

fn take(
    found: &mut BTreeMap<String, String>,
    item: &ServerInfoItem,
    key: &str,
    name: &str,
    read: impl Fn(&str) -> String,
) {
    if let Some((_, value)) = item.pairs.iter().find(|(known, _)| known == key) {
        found.insert(format!("{MACHINE}{name}"), read(value));
    }
}

fn total(disk: &ServerInfoItem) -> u64 {
    let total = disk.pairs.iter().find(|(key, _)| key == "total");
    total.and_then(|(_, value)| value.parse().ok()).unwrap_or_default()
}

/// Bytes as TiKV writes sizes.
fn mebibytes(bytes: &str) -> String {
    bytes.parse::<u64>().map_or_else(|_| String::new(), |bytes| format!("{}MiB", bytes >> 20))
}

/// The word in brackets of `always [madvise] never`.
fn chosen(words: &str) -> String {
    let chosen = words.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    chosen.map_or(words, |(word, _)| word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &str, name: &str, pairs: &[(&str, &str)]) -> ServerInfoItem {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ServerInfoItem { kind: kind.to_owned(), name: name.to_owned(), pairs: pairs.collect() }
    }

    #[test]
    fn numbers_sizes_and_words_of_the_list_are_taken_and_no_name() {
        let disk = |name: &str, total: &str, path: &str| {
            item(
                "disk",
                name,
                &[("type", "SSD"), ("fstype", "ext4"), ("path", path), ("total", total)],
            )
        };
        let cpu = [
            ("cpu-logical-cores", "3.5"),
            ("cpu-physical-cores", "8"),
            ("cpu-frequency", "2400MHz"),
            ("cpu-vendor-id", "host-7"),
            ("cpu-arch", "amd64"),
        ];
        let sysctl = [
            ("kernel.hostname", "prod-tikv-7"),
            ("vm.swappiness", "60"),
            ("net.core.somaxconn", "32768"),
            ("net.ipv4.tcp_syncookies", "prod"),
            ("fs.file-max", "9223372036854775807"),
        ];
        let items = [
            item("cpu", "cpu", &cpu),
            item("memory", "memory", &[("capacity", "67425009664")]),
            disk("sda1", "107374182400", "/"),
            disk("nvme0n1", "2000398934016", "/data/planted"),
            item("net", "eth0", &[("mac", "aa:bb"), ("ip", "10.0.0.1")]),
            item("system", "sysctl", &sysctl),
            item("system", "kernel", &[("transparent_hugepage_enabled", "always [madvise] never")]),
        ];
        let found = machine_in(&items);
        let found: Vec<String> =
            found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "machine.arch=amd64",
            "machine.cores=3.5",
            "machine.largest-disk.fstype=ext4",
            "machine.largest-disk.total=1907729MiB",
            "machine.largest-disk.type=ssd",
            "machine.memory=64301MiB",
            "machine.physical-cores=8",
            "machine.sysctl.fs.file-max=9223372036854775807",
            "machine.sysctl.net.core.somaxconn=32768",
            "machine.sysctl.vm.swappiness=60",
            "machine.transparent-hugepage=madvise",
        ];
        assert_eq!(found, expected);
    }
}
