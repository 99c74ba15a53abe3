//! Which values a setting may have: those that can name nothing.

/// The words that a setting may have as its value, ascending: what TiKV serializes its enumerations as, and those of
/// machines: architectures, kinds of disks and file systems, the kernel's choices.
const WORDS: &[&str] = &[
    "absolute-consistency",
    "aggressive",
    "all-io",
    "always",
    "amd64",
    "arm64",
    "btrfs",
    "bzip2",
    "conservative",
    "critical",
    "debug",
    "deflate",
    "disable",
    "error",
    "ext4",
    "fallback",
    "fatal",
    "gzip",
    "hdd",
    "high",
    "info",
    "log",
    "low",
    "lz4",
    "lz4hc",
    "madvise",
    "medium",
    "moderate",
    "never",
    "no",
    "none",
    "normal",
    "overlay",
    "panic",
    "raft-kv",
    "raft-kv2",
    "read-only",
    "snappy",
    "ssd",
    "tolerate-any-corruption",
    "tolerate-tail-corruption",
    "trace",
    "unset",
    "warn",
    "warning",
    "write-only",
    "xfs",
    "zlib",
    "zstd",
    "zstd-not-final",
];

/// Units of sizes and durations, as TiKV writes them behind a number.
const UNITS: [&str; 12] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "d", "h", "m", "s", "ms", "us"];

/// The most characters of a value: a list of compressions has seven words.
const LONGEST_VALUE: usize = 128;

/// Whether a value is one that a setting may have: a number, a size, a duration, a switch, a word of TiKV's own,
/// `unset`, or a list of those, separated by commas. No other text passes, so that a value can name nothing.
pub fn is_setting_value(value: &str) -> bool {
    value.len() <= LONGEST_VALUE && value.split(',').all(is_single)
}

fn is_single(value: &str) -> bool {
    matches!(value, "true" | "false") || WORDS.contains(&value) || is_quantity(value)
}

/// Whether a value is a number, or numbers each with a unit such as `1d2h`.
fn is_quantity(value: &str) -> bool {
    if value.parse::<f64>().is_ok_and(f64::is_finite) {
        return value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    }
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, next) = behind.split_at(letters);
        if number.is_empty() || !UNITS.contains(&unit) {
            return false;
        }
        rest = next;
    }
    !value.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_could_name_something_does_not_pass() {
        assert!(WORDS.is_sorted());
        let values = [
            "0",
            "-1",
            "0.45",
            "1e9",
            "true",
            "1GiB",
            "0KiB",
            "10s",
            "1d2h30m",
            "500ms",
            "zstd",
            "no,no,lz4,zstd",
            "unset",
        ];
        for value in values {
            assert!(is_setting_value(value), "{value}");
        }
        let refused = [
            "",
            "/data/tikv",
            "10.0.1.1:20180",
            "prod",
            "1X",
            "GiB",
            "10s ",
            "no,host-7",
            "inf",
            "NaN",
            "10.0.1.1",
            "s3://b",
            "1GiB-7",
        ];
        for value in refused {
            assert!(!is_setting_value(value), "{value}");
        }
    }
}
