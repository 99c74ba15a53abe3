//! What the logs of nodes say that no metric says: how a process ended, what it could not do, why it gave its
//! leadership up. Lines of one kind that a node repeats within a minute are one observation.

use std::collections::BTreeMap;

use crate::diagnose::evidence::Evidence;
use crate::model::{LogEvent, LogKind, Timestamp};
use crate::nodes::NodeIndex;

/// How far lines of one kind lie apart at most that are one observation, in milliseconds.
const REPEATED_MS: i64 = 60_000;
/// Observations of one kind of one node; a node that repeats itself for hours says nothing new.
const MOST_OF_A_KIND: usize = 5;

/// A line of a node's log, with those that repeat it.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The first line.
    pub line: LogEvent,
    /// The node; `None` where no node is called so.
    pub node: Option<NodeIndex>,
    /// When the last line was written.
    pub last: Timestamp,
    /// How many lines there are, the first included.
    pub lines: u64,
}

impl Logged {
    /// Whether it says how or why the process ended.
    pub fn is_end(&self) -> bool {
        match self.line.kind {
            LogKind::Panic
            | LogKind::FatalError
            | LogKind::OutOfMemory
            | LogKind::ProcessExit
            | LogKind::CannotOpen
            | LogKind::BackgroundError
            | LogKind::PodEvicted
            | LogKind::DeviceError
            | LogKind::StopSignal => true,
            LogKind::DiskUsage => self.is_full_disk(),
            _ => false,
        }
    }

    /// Whether it says that no space is left, as TiKV does before it stops writing.
    pub fn is_full_disk(&self) -> bool {
        let is_state = self.line.kind == LogKind::DiskUsage
            && self.line.value("to").is_some_and(|to| to.contains("AlreadyFull"));
        is_state || self.line.value("cause") == Some("no_space")
    }
}

/// Everything that the logs say, ascending by the time of the first line, then by node and kind.
pub fn logged(evidence: &Evidence) -> Vec<Logged> {
    let mut found: Vec<Logged> = Vec::new();
    // The last observation of a node and kind, and how many there are.
    let mut latest: BTreeMap<(&str, LogKind), (usize, usize)> = BTreeMap::new();
    for line in evidence.logs.iter().filter(|line| tells(line)) {
        let key = (line.node.as_str(), line.kind);
        let (held, count) = latest.get(&key).copied().unzip();
        let repeats = held.filter(|held| line.at - found[*held].last <= REPEATED_MS);
        let count = count.unwrap_or(0);
        if let Some(held) = repeats.or(held.filter(|_| count >= MOST_OF_A_KIND)) {
            found[held].last = line.at;
            found[held].lines += 1;
            continue;
        }
        latest.insert(key, (found.len(), count + 1));
        let node = evidence.nodes.named(&line.node, &line.component);
        found.push(Logged { line: line.clone(), node, last: line.at, lines: 1 });
    }
    found
}

/// Whether a line says something that is news by itself, rather than describing what goes on.
fn tells(line: &LogEvent) -> bool {
    match line.kind {
        LogKind::DiskUsage => line.value("to").is_none_or(|to| to.contains("Full")),
        LogKind::ApiCall => line.value("method") != Some("GET"),
        LogKind::Coverage
        | LogKind::Unread
        | LogKind::Example
        | LogKind::Configuration
        | LogKind::Started
        | LogKind::Ready
        | LogKind::LeaderStep
        | LogKind::Election
        | LogKind::LinesDropped => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::evidence::Parts;
    use crate::model::TimeRange;

    fn line(second: i64, node: &str, kind: LogKind) -> LogEvent {
        LogEvent {
            at: Timestamp::from_millis(second * 1_000),
            kind,
            node: node.to_owned(),
            component: "tikv".to_owned(),
            level: "WARN".to_owned(),
            file: "a.rs".to_owned(),
            place: format!("tikv.log:{second}"),
            text: "text".to_owned(),
            values: BTreeMap::new(),
        }
    }

    fn observed(lines: &[LogEvent]) -> Vec<(i64, u64)> {
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let parts = Parts { logs: lines.to_vec(), ..Parts::default() };
        let evidence = Evidence::new(TimeRange::new(at(0), at(10_000)), at(9_000), parts);
        let found = logged(&evidence);
        found.iter().map(|logged| (logged.line.at.as_millis() / 1_000, logged.lines)).collect()
    }

    #[test]
    fn lines_that_repeat_within_a_minute_are_one_observation() {
        let lines = [5, 30, 80, 300].map(|second| line(second, "a", LogKind::Connection));
        assert_eq!(observed(&lines), [(5, 3), (300, 1)]);
        let nodes = ["a", "b"].map(|node| line(5, node, LogKind::Connection));
        assert_eq!(observed(&nodes), [(5, 1), (5, 1)]);
    }

    #[test]
    fn a_node_that_repeats_itself_for_hours_gives_few_observations() {
        let lines: Vec<LogEvent> = (0..50).map(|n| line(n * 100, "a", LogKind::EtcdSlow)).collect();
        let found = observed(&lines);
        assert_eq!(found.len(), MOST_OF_A_KIND);
        assert_eq!(found.iter().map(|(_, lines)| lines).sum::<u64>(), 50);
    }

    #[test]
    fn what_goes_on_and_what_was_written_later_is_no_observation() {
        let lines = [line(5, "a", LogKind::Election), line(9_500, "a", LogKind::Panic)];
        assert_eq!(observed(&lines), []);
    }
}
