//! A line of a component's log that says something no metric says, as it stands in a capture.
//!
//! It is stored as an [`Event`] of the kind [`EventKind::LOG`]; here is the one place that knows which
//! field holds what.

use std::collections::BTreeMap;
use std::fmt;

use super::event::{Event, EventKind};
use super::time::Timestamp;

/// What a line says. The names are stable: they stand in captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// A process began.
    Started,
    /// A process serves requests from here on.
    Ready,
    /// A process received a signal and stops.
    StopSignal,
    /// A process ended by a panic, or by an error of its runtime such as an overflown stack.
    Panic,
    /// A process ended itself over an error that it names.
    FatalError,
    /// The kernel or the allocator ended a process for want of memory.
    OutOfMemory,
    /// The service manager says how a process ended.
    ProcessExit,
    /// A store cannot open its engine or its data directory.
    CannotOpen,
    /// A store's disk became full, almost full, or usable again.
    DiskUsage,
    /// RocksDB met an error in the background: corruption or a failing disk.
    BackgroundError,
    /// RocksDB delays or stops writes.
    WriteStall,
    /// One region's leadership: elections, steps down, transfers.
    Election,
    /// One region has had no leader for long.
    LeaderMissing,
    /// A connection between two stores broke or could not be made.
    Connection,
    /// A store does not reach PD.
    PdUnreachable,
    /// The system's clock went back.
    ClockJump,
    /// A step of PD's change of leader.
    LeaderStep,
    /// A PD member gave its leadership up, and why.
    LeadershipLost,
    /// Somebody or a priority moved PD's leadership.
    LeaderMove,
    /// Etcd inside PD is slow: its disk, its requests, its lease.
    EtcdSlow,
    /// Somebody called an API of PD that changes something.
    ApiCall,
    /// A configuration of PD changed.
    ConfigChange,
    /// A store was set offline, removed, or may not be removed.
    StoreState,
    /// Something keeps the safe point of garbage collection back.
    SafePoint,
    /// The configuration with which a process began.
    Configuration,
    /// The process says that it dropped lines of its own log.
    LinesDropped,
    /// An example of a message that is counted only.
    Example,
    /// What was read of one node's log, and what of it was left out.
    Coverage,
    /// A node was asked for its log and gave no line of it.
    Unread,
    /// Kubernetes evicted a pod.
    PodEvicted,
    /// Kubernetes says that a pod fails its probes, is started again and again, or finds no place.
    PodTrouble,
    /// Kubernetes says that a pod's machine is not ready or started anew.
    MachineTrouble,
    /// The kernel says that a disk fails, or that it made a file system read-only.
    DeviceError,
}

impl LogKind {
    /// Every kind, the most telling ones first: where room is short, those after them give way.
    pub const ALL: [Self; 33] = [
        Self::Coverage,
        Self::Unread,
        Self::Panic,
        Self::OutOfMemory,
        Self::ProcessExit,
        Self::FatalError,
        Self::CannotOpen,
        Self::BackgroundError,
        Self::PodEvicted,
        Self::DeviceError,
        Self::DiskUsage,
        Self::StopSignal,
        Self::MachineTrouble,
        Self::PodTrouble,
        Self::Started,
        Self::Ready,
        Self::LeadershipLost,
        Self::LeaderMove,
        Self::LeaderStep,
        Self::ClockJump,
        Self::LinesDropped,
        Self::ConfigChange,
        Self::StoreState,
        Self::SafePoint,
        Self::ApiCall,
        Self::WriteStall,
        Self::EtcdSlow,
        Self::PdUnreachable,
        Self::LeaderMissing,
        Self::Connection,
        Self::Election,
        Self::Configuration,
        Self::Example,
    ];

    /// The name that stands in captures and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::StopSignal => "stop_signal",
            Self::Panic => "panic",
            Self::FatalError => "fatal_error",
            Self::OutOfMemory => "out_of_memory",
            Self::ProcessExit => "process_exit",
            Self::CannotOpen => "cannot_open",
            Self::DiskUsage => "disk_usage",
            Self::BackgroundError => "background_error",
            Self::WriteStall => "write_stall",
            Self::Election => "election",
            Self::LeaderMissing => "leader_missing",
            Self::Connection => "connection",
            Self::PdUnreachable => "pd_unreachable",
            Self::ClockJump => "clock_jump",
            Self::LeaderStep => "leader_step",
            Self::LeadershipLost => "leadership_lost",
            Self::LeaderMove => "leader_move",
            Self::EtcdSlow => "etcd_slow",
            Self::ApiCall => "api_call",
            Self::ConfigChange => "config_change",
            Self::StoreState => "store_state",
            Self::SafePoint => "safe_point",
            Self::Configuration => "configuration",
            Self::LinesDropped => "lines_dropped",
            Self::Example => "example",
            Self::Coverage => "coverage",
            Self::Unread => "unread",
            Self::PodEvicted => "pod_evicted",
            Self::PodTrouble => "pod_trouble",
            Self::MachineTrouble => "machine_trouble",
            Self::DeviceError => "device_error",
        }
    }

    /// Reads what [`name`](Self::name) writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A line that was kept, with its values redacted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogEvent {
    /// When the line was written, by the clock of the node.
    pub at: Timestamp,
    /// What it says.
    pub kind: LogKind,
    /// The node, as whoever gave the log calls it.
    pub node: String,
    /// `tikv`, `pd` or `tidb`; that of a pod's name.
    pub component: String,
    /// `INFO`, `WARN` and so on; empty where the line has none.
    pub level: String,
    /// The source file that wrote it, such as `raft_client.rs`; empty where the line has none.
    pub file: String,
    /// Where it stands: the log's file name and the number of the line, such as `tikv.log:81`.
    pub place: String,
    /// The message, followed by the fields that were kept.
    pub text: String,
    /// Values of the line by name, such as `store_id` or `location`.
    pub values: BTreeMap<String, String>,
}

/// The fields of an event that are not among [`LogEvent::values`].
const OWN_FIELDS: [&str; 6] = ["kind", "node", "component", "level", "file", "place"];

/// The value by which a record of a log says up to when the node was asked.
const ASKED_UNTIL: &str = "asked_until";

impl LogEvent {
    /// A value of the line by name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Of the record of a log that a node was asked for while a recording went on: up to when. Later lines may be
    /// asked for afterwards. `None` where all that was wanted was read at once.
    pub fn asked_until(&self) -> Option<Timestamp> {
        let until = self.value(ASKED_UNTIL).filter(|_| self.kind == LogKind::Coverage)?;
        Timestamp::parse(until, self.at).ok()
    }

    /// Says up to when a node was asked.
    pub fn set_asked_until(&mut self, until: Timestamp) {
        self.values.insert(ASKED_UNTIL.to_owned(), until.to_string());
    }

    /// The event that is stored. A value that has the name of a field of its own is left out.
    pub fn to_event(&self) -> Event {
        let mut fields = self.values.clone();
        let own =
            [self.kind.name(), &self.node, &self.component, &self.level, &self.file, &self.place];
        for (name, value) in OWN_FIELDS.into_iter().zip(own) {
            fields.insert(name.to_owned(), value.to_owned());
        }
        let kind = EventKind(EventKind::LOG.to_owned());
        Event { at: self.at, kind, text: self.text.clone(), fields }
    }

    /// Reads a stored event; `None` where it is no line of a log, or of a kind that this build does
    /// not know.
    pub fn of_event(event: &Event) -> Option<Self> {
        if event.kind.0 != EventKind::LOG {
            return None;
        }
        let mut values = event.fields.clone();
        let mut own = OWN_FIELDS.map(|name| values.remove(name).unwrap_or_default()).into_iter();
        let mut next = || own.next().unwrap_or_default();
        Some(Self {
            at: event.at,
            kind: LogKind::parse(&next())?,
            node: next(),
            component: next(),
            level: next(),
            file: next(),
            place: next(),
            text: event.text.clone(),
            values,
        })
    }

    /// Where the line is to be found, for a citation: `log tikv-1 tikv.log:81`.
    pub fn reference(&self) -> String {
        format!("log {} {}", self.node, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_stored() {
        let values = [("store_id".to_owned(), "4".to_owned())];
        let line = LogEvent {
            at: Timestamp::from_millis(1_000),
            kind: LogKind::Connection,
            node: "tikv-1".to_owned(),
            component: "tikv".to_owned(),
            level: "WARN".to_owned(),
            file: "raft_client.rs".to_owned(),
            place: "tikv.log:81".to_owned(),
            text: "connection abort".to_owned(),
            values: BTreeMap::from(values),
        };
        assert_eq!(LogEvent::of_event(&line.to_event()).as_ref(), Some(&line));
        let note = Event { kind: EventKind(EventKind::NOTE.to_owned()), ..line.to_event() };
        assert_eq!(LogEvent::of_event(&note), None);
    }

    #[test]
    fn only_the_record_of_a_log_says_up_to_when_its_node_was_asked() {
        let mut line = LogEvent {
            at: Timestamp::from_millis(1_000),
            kind: LogKind::Coverage,
            node: "store 4".to_owned(),
            component: "tikv".to_owned(),
            level: String::new(),
            file: String::new(),
            place: "search_log".to_owned(),
            text: "log read from here".to_owned(),
            values: BTreeMap::new(),
        };
        assert_eq!(line.asked_until(), None);
        line.set_asked_until(Timestamp::from_millis(61_234));
        let stored = LogEvent::of_event(&line.to_event()).expect("it is one");
        assert_eq!(stored.asked_until(), Some(Timestamp::from_millis(61_234)));
        let other = LogEvent { kind: LogKind::Panic, ..line };
        assert_eq!(other.asked_until(), None);
    }

    #[test]
    fn every_kind_has_a_name_that_reads_back() {
        for kind in LogKind::ALL {
            assert_eq!(LogKind::parse(kind.name()), Some(kind));
        }
    }
}
