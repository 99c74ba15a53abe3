//! Entries of the lines of logs. Lines of a kind that a node writes in series are one entry.

use std::collections::BTreeMap;

use crate::model::{LogEvent, LogKind, Timestamp};
use crate::timeline::entry::{Entry, EntryKind, Evidence, clock_text};

/// How far lines of one series lie apart at most, in milliseconds.
const SERIES_MS: i64 = 60_000;

/// An entry with the lines that follow it.
struct Told {
    line: LogEvent,
    last: Timestamp,
    more: u64,
}

/// The entries of lines that are ascending by time.
pub(super) fn log_entries(lines: impl IntoIterator<Item = LogEvent>) -> Vec<Entry> {
    let mut told: Vec<Told> = Vec::new();
    let mut latest: BTreeMap<(String, LogKind), usize> = BTreeMap::new();
    for line in lines.into_iter().filter(|line| line.kind != LogKind::Example) {
        let key = (line.node.clone(), line.kind);
        let held = latest.get(&key).map(|held| &mut told[*held]);
        match held.filter(|held| comes_in_series(line.kind) && line.at - held.last <= SERIES_MS) {
            Some(held) => {
                held.last = line.at;
                held.more += 1;
            }
            None => {
                latest.insert(key, told.len());
                told.push(Told { last: line.at, line, more: 0 });
            }
        }
    }
    told.into_iter().map(entry).collect()
}

/// Whether one cause makes a node write many lines of a kind.
fn comes_in_series(kind: LogKind) -> bool {
    matches!(
        kind,
        LogKind::Election
            | LogKind::LeaderMissing
            | LogKind::Connection
            | LogKind::PdUnreachable
            | LogKind::EtcdSlow
            | LogKind::WriteStall
            | LogKind::DiskUsage
            | LogKind::PodTrouble
            | LogKind::MachineTrouble
            | LogKind::DeviceError
    )
}

fn entry(told: Told) -> Entry {
    let Told { line, last, more } = told;
    let (kind, value) = match line.kind {
        LogKind::Coverage | LogKind::Unread => (EntryKind::LogRead, coverage_text(&line)),
        LogKind::LinesDropped => {
            (EntryKind::LogLinesDropped, line.value("count").unwrap_or_default().to_owned())
        }
        kind => (EntryKind::LogLine, kind.name().to_owned()),
    };
    let text = match more {
        0 => line.text.clone(),
        more => {
            let until = clock_text(last.as_millis().div_euclid(1_000));
            format!("{}; {more} more until {until}", line.text)
        }
    };
    let evidence = Evidence { reference: line.reference(), at: line.at, value };
    Entry { at: line.at, source: "log".to_owned(), kind, subject: line.node, text, evidence }
}

/// What was read and left out, such as `lines=81 until=2026-11-24T16:17:09.202Z`.
fn coverage_text(line: &LogEvent) -> String {
    let values: Vec<String> =
        line.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    values.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_series_are_one_entry_and_others_are_told_one_by_one() {
        let line = |second: i64, kind| LogEvent {
            at: Timestamp::from_millis(second * 1_000),
            kind,
            node: "tikv-1".to_owned(),
            component: "tikv".to_owned(),
            level: "INFO".to_owned(),
            file: "a.rs".to_owned(),
            place: format!("tikv.log:{second}"),
            text: "text".to_owned(),
            values: BTreeMap::new(),
        };
        let lines = [
            line(1, LogKind::Election),
            line(2, LogKind::StopSignal),
            line(3, LogKind::StopSignal),
            line(50, LogKind::Election),
            line(90, LogKind::Example),
            line(200, LogKind::Election),
        ];
        let told = log_entries(lines);
        let texts: Vec<&str> = told.iter().map(|entry| &*entry.text).collect();
        assert_eq!(texts, ["text; 1 more until 00:00:50", "text", "text", "text"]);
        assert_eq!(told[0].evidence.reference, "log tikv-1 tikv.log:1");
    }
}
