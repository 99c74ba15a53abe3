//! What the settings of a store are by default in the release that it runs, where that is the same on every machine.
//!
//! `data/settings/defaults.py` takes the defaults out of TiKV's release branches. Many have none here: they are
//! computed from the machine, or from other settings, when a store starts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A release by its first two numbers: a patch release has the defaults of its branch.
type Release = (u32, u32);

/// What `master` is in the list: later than every release.
const MASTER: Release = (u32::MAX, 0);

struct DefaultValue {
    value: &'static str,
    /// The first and the last release of each stretch that has it.
    spans: Vec<(Release, Release)>,
}

struct Defaults {
    settings: BTreeMap<&'static str, Vec<DefaultValue>>,
    /// The first and the last release that is listed, `master` left out.
    known: (Release, Release),
}

static DEFAULTS: LazyLock<Defaults> = LazyLock::new(|| {
    let mut settings: BTreeMap<&str, Vec<DefaultValue>> = BTreeMap::new();
    let lines = include_str!("defaults.tsv").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().expect("a row has three cells");
        let (name, value, spans) = (cell(), cell(), cell());
        let spans = spans.split(' ').map(span).collect();
        settings.entry(name).or_default().push(DefaultValue { value, spans });
    }
    let all = settings.values().flatten().flat_map(|one| &one.spans);
    let ends = all.flat_map(|(first, last)| [*first, *last]).filter(|one| *one != MASTER);
    let known = (ends.clone().min().unwrap_or_default(), ends.max().unwrap_or_default());
    Defaults { settings, known }
});

/// `5.0-6.5`, or a single release.
fn span(text: &'static str) -> (Release, Release) {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let release = |text: &str| if text == "master" { Some(MASTER) } else { release(text) };
    release(first).zip(release(last)).expect("releases are numbers")
}

/// The release of a version such as `8.5.8` or `v7.1.0-alpha`.
fn release(version: &str) -> Option<Release> {
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether the defaults of the release of a version are known.
pub fn knows_defaults_of(version: &str) -> bool {
    let (first, last) = DEFAULTS.known;
    release(version).is_some_and(|release| (first..=last).contains(&release))
}

/// The value that a setting has by default in the release of a version, as TiKV shows it; `None` where that depends on
/// the machine, or is not known.
pub fn default_setting(version: &str, name: &str) -> Option<&'static str> {
    let release = release(version).filter(|_| knows_defaults_of(version))?;
    let is_in = |one: &&DefaultValue| one.spans.iter().any(|(a, b)| (*a..=*b).contains(&release));
    DEFAULTS.settings.get(name)?.iter().find(is_in).map(|one| one.value)
}

/// Whether two values of a setting are the same one, however they are written: `1GiB` and `1024MiB`.
pub fn is_same_value(a: &str, b: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok().or_else(|| bytes_of_size(text));
    a == b || number(a).zip(number(b)).is_some_and(|(a, b)| a == b)
}

/// Bytes of a size such as `12GiB`; `None` for anything else.
pub fn bytes_of_size(text: &str) -> Option<f64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let power = units.iter().position(|known| *known == unit)?;
    Some(number.parse::<f64>().ok()? * 1024_f64.powi(power as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{is_setting, is_setting_value};

    #[test]
    fn every_default_is_of_a_setting_that_is_kept_and_a_value_that_is() {
        assert!(DEFAULTS.settings.len() > 200);
        for (name, defaults) in &DEFAULTS.settings {
            assert!(is_setting(name), "{name}");
            assert!(defaults.iter().all(|one| is_setting_value(one.value)), "{name}");
        }
    }

    /// Read in `components/raftstore/src/store/config.rs` of the release branches.
    #[test]
    fn defaults_are_those_of_the_release() {
        let capacity = "raftstore.store-io-pool-size";
        let of = |version: &str| default_setting(version, capacity);
        assert_eq!(["5.2.4", "v6.5.12", "5.1.0"].map(of), [Some("2"), Some("0"), None],);
        let interval = |version: &str| default_setting(version, "raftstore.inspect-interval");
        assert_eq!(
            ["6.5.0", "7.5.1", "8.5.8", "v8.5.0-alpha"].map(interval),
            [Some("500ms"), Some("100ms"), Some("100ms"), Some("100ms")],
        );
        // Computed from the machine's memory.
        assert_eq!(default_setting("8.5.8", "storage.block-cache.capacity"), None);
    }

    #[test]
    fn of_releases_that_are_not_listed_nothing_is_known() {
        for version in ["", "4.0.16", "nightly", "8", "99.0.0"] {
            assert!(!knows_defaults_of(version), "{version}");
            assert_eq!(default_setting(version, "raftstore.store-pool-size"), None, "{version}");
        }
        assert!(knows_defaults_of("5.0.0") && knows_defaults_of("8.5.8"));
    }

    #[test]
    fn a_value_is_the_same_however_it_is_written() {
        assert!(is_same_value("1GiB", "1024MiB") && is_same_value("0.0", "0"));
        assert!(is_same_value("10s", "10s") && !is_same_value("10s", "10"));
        assert!(!is_same_value("1GiB", "1025MiB") && !is_same_value("true", "false"));
    }
}
