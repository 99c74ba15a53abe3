//! The messages that are kept as whole lines, and which of their fields.
//!
//! Texts are those of TiKV and PD from 6.5 to 8.5, and of etcd and RocksDB inside them; where they differ
//! between versions, each wording has its row. A message is told by its text, since the number of the line
//! that writes it moves with every version.

use crate::model::LogKind;

use super::parse::Level;

/// A message that is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it says.
    pub kind: LogKind,
    text: Wording,
    /// The fields whose values are kept, redacted.
    pub fields: &'static [&'static str],
}

#[derive(Debug, PartialEq, Eq)]
enum Wording {
    /// The message is this.
    Is(&'static str),
    /// The message begins with this.
    Begins(&'static str),
    /// The message has this somewhere: a number or a name stands before it.
    Has(&'static str),
}

impl Wording {
    fn fits(&self, message: &str) -> bool {
        match self {
            Self::Is(text) => message == *text,
            Self::Begins(text) => message.starts_with(text),
            Self::Has(text) => message.contains(text),
        }
    }
}

const fn listed(kind: LogKind, text: Wording, fields: &'static [&'static str]) -> Listed {
    Listed { kind, text, fields }
}

/// What ends a process: every line of the level FATAL.
const FATAL: Listed =
    listed(LogKind::Panic, Wording::Begins(""), &["thread_name", "location", "recover", "err"]);

use LogKind as K;
use Wording::{Begins, Has, Is};

const CONNECTION: &[&str] = &["store_id", "addr", "receiver_err", "sink_error", "err"];
const ELECTION: &[&str] = &["region_id", "peer_id", "raft_id", "term", "from"];
const SLOW: &[&str] = &[
    "took",
    "cost",
    "expected-duration",
    "exceeded-duration",
    "timeout-duration",
    "actual-expire",
    "interval",
    "endpoint",
    "error",
    "err",
];
const STORE: &[&str] = &["store-id", "store-address", "store", "physically-destroyed"];
const MOVED: &[&str] = &["from", "to", "etcd-leader", "old-pd-leader", "priority"];
const CLOCK: &[&str] =
    &["before", "after", "jet-lag", "prev-physical", "now", "last", "next", "err"];

/// Every listed message.
static LISTED: [Listed; 67] = [
    // TiKV.
    listed(K::Started, Begins("Welcome to TiKV"), &[]),
    listed(K::Ready, Is("TiKV is ready to serve"), &["takes"]),
    listed(K::StopSignal, Begins("receive signal "), &[]),
    listed(K::Configuration, Is("using config"), &[]),
    listed(K::BackgroundError, Is("detected rocksdb background error"), &["reason", "sst", "err"]),
    listed(K::CannotOpen, Begins("failed to create kv engine"), &["path", "err"]),
    listed(K::CannotOpen, Begins("failed to create raft storage"), &["err"]),
    listed(K::CannotOpen, Begins("failed to create raft engine"), &["err"]),
    listed(K::CannotOpen, Begins("failed to create lock at "), &["err"]),
    listed(K::DiskUsage, Begins("disk usage "), &[]),
    listed(K::LeaderMissing, Begins("leader missing longer than "), ELECTION),
    listed(K::Election, Begins("became leader at term"), ELECTION),
    listed(K::Election, Is("starting a new election"), ELECTION),
    listed(K::Election, Has("stepped down to follower since quorum is not active"), ELECTION),
    listed(K::Election, Has("starts to transfer leadership to"), ELECTION),
    listed(K::Connection, Is("connection aborted"), CONNECTION),
    listed(K::Connection, Is("connection abort"), CONNECTION),
    listed(K::Connection, Is("wait connect timeout"), CONNECTION),
    listed(K::Connection, Is("resolve store address failed"), CONNECTION),
    listed(K::PdUnreachable, Is("store heartbeat failed"), &["err"]),
    listed(K::PdUnreachable, Is("failed to send heartbeat"), &["err"]),
    listed(K::PdUnreachable, Is("PD failed to respond"), &["endpoints", "err"]),
    listed(K::PdUnreachable, Begins("heartbeat sender and receiver are stale"), &[]),
    listed(K::ClockJump, Is("system time jumped back"), CLOCK),
    listed(K::LinesDropped, Has("logger dropped messages due to channel overflow"), &["count"]),
    // RocksDB.
    listed(K::WriteStall, Has("Stalling writes because"), &[]),
    listed(K::WriteStall, Has("Stopping writes because"), &[]),
    // PD.
    listed(K::Started, Begins("Welcome to Placement Driver"), &[]),
    listed(K::StopSignal, Is("got signal to exit"), &["signal"]),
    listed(K::StopSignal, Is("Got signal to exit"), &["signal"]),
    listed(K::LeaderStep, Is("start to watch pd leader"), &[]),
    listed(K::LeaderStep, Begins("pd leader has changed, try to re-campaign"), &[]),
    listed(K::LeaderStep, Begins("start to campaign PD leader"), &["campaign-leader-name"]),
    listed(K::LeaderStep, Begins("start to campaign pd leader"), &["campaign-pd-leader-name"]),
    listed(K::LeaderStep, Begins("campaign PD leader meets error"), &["campaign-leader-name"]),
    listed(K::LeaderStep, Is("PD leader is ready to serve"), &["leader-name"]),
    listed(K::LeaderStep, Is("PD cluster leader is ready to serve"), &["pd-leader-name"]),
    listed(K::LeadershipLost, Begins("no longer a leader because lease has expired"), &[]),
    listed(
        K::LeadershipLost,
        Begins("etcd leader changed, resigns pd leadership"),
        &["old-pd-leader-name"],
    ),
    listed(K::LeaderMove, Is("transfer etcd leader"), MOVED),
    listed(K::LeaderMove, Is("try to resign etcd leader to next pd-server"), MOVED),
    listed(K::LeaderMove, Begins("the pd leader has not changed, delete and campaign"), &[]),
    listed(K::LeaderMove, Begins("the pd leader is lost for a long time"), &["timeout"]),
    listed(K::ClockJump, Is("system time may be incorrect"), CLOCK),
    listed(K::ClockJump, Is("clock offset"), CLOCK),
    listed(K::EtcdSlow, Is("save timestamp failed"), SLOW),
    listed(K::EtcdSlow, Is("keep alive lease too slow"), SLOW),
    listed(K::EtcdSlow, Is("lease keep alive failed"), SLOW),
    listed(K::EtcdSlow, Is("lease timeout"), &["purpose"]),
    listed(K::EtcdSlow, Is("txn runs too slow"), SLOW),
    listed(K::EtcdSlow, Is("kv gets too slow"), SLOW),
    listed(K::EtcdSlow, Is("etcd endpoint is unhealthy"), SLOW),
    listed(K::ApiCall, Is("audit log"), &[]),
    listed(K::ApiCall, Is("Audit Log"), &[]),
    listed(K::ConfigChange, Has("config is updated"), &[]),
    listed(K::ConfigChange, Is("cluster version is updated"), &["new-version"]),
    listed(K::StoreState, Is("store has been offline"), STORE),
    listed(K::StoreState, Is("store has been Tombstone"), STORE),
    listed(K::StoreState, Begins("store may not turn into Tombstone"), STORE),
    listed(K::StoreState, Is("store does not have enough disk space"), STORE),
    listed(K::SafePoint, Is("update service GC safe point"), &["service-id", "safepoint"]),
    // etcd inside PD.
    listed(K::EtcdSlow, Is("slow fdatasync"), SLOW),
    listed(K::EtcdSlow, Is("apply request took too long"), SLOW),
    listed(K::EtcdSlow, Begins("leader failed to send out heartbeat on time"), SLOW),
    listed(K::EtcdSlow, Is("lost leader"), SLOW),
    listed(K::LeaderMove, Is("leadership transfer finished"), &[]),
    // TiDB.
    listed(K::SafePoint, Begins("txn safe point not advanced"), &["blockerDesc", "target"]),
];

/// What a line of a full disk says of any file, in the operating system's words.
pub const NO_SPACE: &str = "No space left on device";

/// The listed message that a line is.
pub fn find(level: Level, message: &str) -> Option<&'static Listed> {
    let found = LISTED.iter().find(|listed| listed.text.fits(message));
    match level {
        Level::Fatal => {
            Some(found.filter(|listed| listed.kind == LogKind::CannotOpen).unwrap_or(&FATAL))
        }
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_by_its_text_and_a_fatal_line_always() {
        let kind = |level, message| find(level, message).map(|listed| listed.kind);
        assert_eq!(kind(Level::Info, "receive signal 15, stopping server..."), Some(K::StopSignal));
        assert_eq!(kind(Level::Fatal, "index out of bounds"), Some(K::Panic));
        assert_eq!(kind(Level::Fatal, "failed to create kv engine: x"), Some(K::CannotOpen));
        assert_eq!(
            kind(Level::Warn, "[write] Stopping writes because we have 4"),
            Some(K::WriteStall)
        );
        assert_eq!(kind(Level::Warn, "handle raft message failed"), None);
    }
}
