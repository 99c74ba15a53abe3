//! A reading of a store's settings, as it stands in a capture.
//!
//! It is stored as an [`Event`] of the kind [`EventKind::SETTINGS`]; here is the one place that knows which field
//! holds what: `store`, `content`, `occasion`, `reason`, `since_ms`, and for each table of TiKV's configuration,
//! such as `raftstore`, a field with `name=value` of its settings, separated by blanks. Settings outside any
//! table stand under [`ROOT`].

use std::collections::BTreeMap;

use super::allowed::is_setting;
use super::values::is_setting_value;
use crate::model::event::{Event, EventKind};
use crate::model::gap::GapReason;
use crate::model::time::Timestamp;
use crate::model::topology::StoreId;

/// The field of settings outside any table.
const ROOT: &str = "tikv";
/// The fields of an event that are no tables.
const OWN_FIELDS: [&str; 5] = ["store", "content", "occasion", "reason", "since_ms"];
/// Settings that the text of an event names.
const MOST_NAMED: usize = 4;

/// Why a store was asked for its settings. The names are stable: they stand in captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// The recorder began, or PD lists the store for the first time.
    Start,
    /// An hour had passed.
    Hourly,
    /// PD says that the store's process started anew.
    Restart,
    /// Nobody asked: a part of a recording begins with what was known before.
    Carried,
}

impl Occasion {
    const ALL: [Self; 4] = [Self::Start, Self::Hourly, Self::Restart, Self::Carried];

    /// The name that stands in captures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Hourly => "hourly",
            Self::Restart => "restart",
            Self::Carried => "carried",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == text)
    }
}

/// What a reading brought. Values are texts as TiKV serializes them, by the whole name of the setting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingsRead {
    /// Every setting that is kept: the first reading.
    Whole(BTreeMap<String, String>),
    /// Only those that are other than at the reading before, none where the store merely answers again. A setting
    /// that is gone has the value `""`.
    Changed(BTreeMap<String, String>),
    /// Nothing: the store did not answer, or not with its settings.
    Failed(GapReason),
}

/// One reading of the settings of a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingsEvent {
    /// When it was read, by the recorder's clock.
    pub at: Timestamp,
    /// Whose settings these are.
    pub store: StoreId,
    /// Why it was asked.
    pub occasion: Occasion,
    /// When its settings were last read before, between which and `at` anything changed; `None` where they were
    /// not, or nobody knows.
    pub since: Option<Timestamp>,
    /// What came.
    pub read: SettingsRead,
}

impl SettingsEvent {
    /// The event that is stored.
    pub fn to_event(&self) -> Event {
        let (content, values, reason) = match &self.read {
            SettingsRead::Whole(values) => ("whole", Some(values), None),
            SettingsRead::Changed(values) => ("changed", Some(values), None),
            SettingsRead::Failed(reason) => ("failed", None, Some(*reason)),
        };
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for (setting, value) in values.into_iter().flatten() {
            let (table, name) = setting.rsplit_once('.').unwrap_or((ROOT, setting));
            let field = fields.entry(table.to_owned()).or_default();
            if !field.is_empty() {
                field.push(' ');
            }
            field.push_str(&format!("{name}={value}"));
        }
        let own = [
            Some(self.store.to_string()),
            Some(content.to_owned()),
            Some(self.occasion.name().to_owned()),
            reason.map(|reason| reason.name().to_owned()),
            self.since.map(|since| since.as_millis().to_string()),
        ];
        let own = OWN_FIELDS.into_iter().zip(own);
        fields.extend(own.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        let kind = EventKind(EventKind::SETTINGS.to_owned());
        Event { at: self.at, kind, text: self.text(), fields }
    }

    /// Reads a stored event; `None` where it is no reading of settings. Whatever is no setting of the list, or has
    /// a value that could name something, is left out.
    pub fn of_event(event: &Event) -> Option<Self> {
        if event.kind.0 != EventKind::SETTINGS {
            return None;
        }
        let own = |name: &str| event.fields.get(name).map(String::as_str);
        let content = own("content")?;
        let values = || -> BTreeMap<String, String> {
            let tables =
                event.fields.iter().filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str()));
            tables.flat_map(|(table, field)| settings_of(table, field)).collect()
        };
        let read = match content {
            "whole" => SettingsRead::Whole(values()),
            "changed" => SettingsRead::Changed(values()),
            "failed" => SettingsRead::Failed(GapReason::parse(own("reason")?)?),
            _ => return None,
        };
        let since = own("since_ms").and_then(|text| text.parse().ok());
        Some(Self {
            at: event.at,
            store: StoreId(own("store")?.parse().ok()?),
            occasion: Occasion::parse(own("occasion")?)?,
            since: since.map(Timestamp::from_millis),
            read,
        })
    }

    /// What came, for a person.
    fn text(&self) -> String {
        let store = self.store;
        match &self.read {
            SettingsRead::Whole(values) => {
                format!("settings of store {store}: {} read", values.len())
            }
            SettingsRead::Changed(values) if values.is_empty() => {
                format!("settings of store {store}: read again, as before")
            }
            SettingsRead::Changed(values) => {
                let named = values.iter().take(MOST_NAMED).map(|(name, value)| match &**value {
                    "" => format!("{name} is gone"),
                    value => format!("{name} = {value}"),
                });
                let named: Vec<String> = named.collect();
                let more = match values.len().saturating_sub(MOST_NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("settings of store {store} changed: {}{more}", named.join(", "))
            }
            SettingsRead::Failed(reason) => {
                format!("settings of store {store}: not read ({reason})")
            }
        }
    }
}

/// The settings in the field of a table.
fn settings_of(table: &str, field: &str) -> Vec<(String, String)> {
    let settings = field.split(' ').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let setting = if table == ROOT { name.to_owned() } else { format!("{table}.{name}") };
        let passes = is_setting(&setting) && (value.is_empty() || is_setting_value(value));
        passes.then(|| (setting, value.to_owned()))
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(read: SettingsRead) -> SettingsEvent {
        SettingsEvent {
            at: Timestamp::from_millis(5_000),
            store: StoreId(u64::MAX),
            occasion: Occasion::Hourly,
            since: Some(Timestamp::from_millis(1_000)),
            read,
        }
    }

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_reading_is_read_as_it_was_stored() {
        let held = values(&[
            ("abort-on-panic", "false"),
            ("raftstore.apply-pool-size", "2"),
            ("raftstore.store-pool-size", "2"),
            ("rocksdb.defaultcf.compression-per-level", "no,no,lz4"),
        ]);
        let gone = values(&[("raftstore.store-pool-size", "")]);
        for read in [
            SettingsRead::Whole(held),
            SettingsRead::Changed(gone),
            SettingsRead::Changed(BTreeMap::new()),
            SettingsRead::Failed(GapReason::Timeout),
        ] {
            let event = event(read);
            assert_eq!(SettingsEvent::of_event(&event.to_event()).as_ref(), Some(&event));
        }
        let note = Event {
            kind: EventKind(EventKind::NOTE.to_owned()),
            ..event(SettingsRead::Failed(GapReason::Other)).to_event()
        };
        assert_eq!(SettingsEvent::of_event(&note), None);
    }

    #[test]
    fn what_is_no_setting_of_the_list_or_could_name_something_is_left_out() {
        let kept = values(&[("raftstore.store-pool-size", "2")]);
        let mut stored = event(SettingsRead::Whole(kept.clone())).to_event();
        let add = |stored: &mut Event, table: &str, text: &str| {
            let field = stored.fields.entry(table.to_owned()).or_default();
            field.push_str(text);
        };
        add(&mut stored, "raftstore", " raftdb-path=/data/raft apply-pool-size=host-7 x");
        add(&mut stored, "storage", "data-dir=/data/tikv");
        let read = SettingsEvent::of_event(&stored).map(|event| event.read);
        assert_eq!(read, Some(SettingsRead::Whole(kept)));
    }
}
