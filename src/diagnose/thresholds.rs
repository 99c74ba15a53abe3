//! Detection thresholds: the numbers that decide whether something departed from normal.
//!
//! Each constant states its unit and its source. The table lists those that a measurement can move, to
//! see how much room each has. Numbers that only one failure mode uses stand in that mode's file.

/// How far, and for how long, a quantity must lie above its baseline to count as a departure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepartureThreshold {
    /// The prefix under which the table lists its two numbers: `name.ratio` and `name.floor`.
    pub name: &'static str,
    /// The least value of a departing point, in multiples of the baseline.
    pub ratio: f64,
    /// The least distance of a departing point above the baseline, in the track's unit: a ratio of two
    /// tiny numbers says nothing.
    pub floor: f64,
    /// The least number of departing points in a row; a single one in between may fall back.
    pub hold: usize,
    /// The least number of points before, from which the baseline is taken.
    pub baseline: usize,
}

/// How far a judgement as of an instant looks back by default, in milliseconds: long enough for a
/// baseline before a fault and for the half hour after which PD gives up a silent store, short enough
/// that the cost of a live judgement does not grow with the length of the recording. A state that has
/// lasted longer than this counts as normal, except where PD or Raft report otherwise.
pub const HORIZON_MS: i64 = 3_600_000;

/// How long after a fault its traces may last, in milliseconds: a restarted store replays its log and
/// takes leaders back, clients catch up, scores decay by a point every few seconds.
pub const AFTERMATH_MS: i64 = 120_000;

/// An fsync that takes at least four times its usual time, and 3 ms more: on a healthy device it takes
/// 0.1 to 5 ms and varies by a factor of two with load. In seconds.
pub const DEVICE: DepartureThreshold =
    DepartureThreshold { name: "device", ratio: 4.0, floor: 0.003, hold: 3, baseline: 4 };

/// A wait for a thread takes tens of microseconds on an idle machine and a millisecond or two on a
/// busy one. A quota (`cpu.max`, Kubernetes limits) takes a thread off the CPU for up to 100 ms. In
/// seconds.
pub const THREADS: DepartureThreshold =
    DepartureThreshold { name: "threads", ratio: 4.0, floor: 0.002, hold: 3, baseline: 4 };

/// A round trip to PD takes a millisecond or two inside one site; 8 ms more, over many requests, is
/// no queueing but distance or loss. In seconds.
pub const ROUND_TRIP: DepartureThreshold =
    DepartureThreshold { name: "round-trip", ratio: 4.0, floor: 0.008, hold: 3, baseline: 4 };

/// A round trip between PD members, in seconds. etcd probes its peers every 30 s, so two probes cover a
/// minute.
pub const ROUND_TRIP_SPARSE: DepartureThreshold =
    DepartureThreshold { name: "probe", ratio: 4.0, floor: 0.01, hold: 2, baseline: 3 };

/// A scrape of TiKV, in seconds: one request for some hundreds of kilobytes, which may take twice as
/// long without a fault.
pub const SCRAPE: DepartureThreshold =
    DepartureThreshold { name: "scrape", ratio: 3.0, floor: 0.3, hold: 3, baseline: 4 };

/// A scrape of PD takes tens of milliseconds; the threshold is in seconds.
pub const SCRAPE_PD: DepartureThreshold =
    DepartureThreshold { name: "scrape-pd", ratio: 3.0, floor: 0.08, hold: 3, baseline: 4 };

/// A runnable goroutine of PD waits some ten microseconds for a thread, whatever the load. A quota
/// (`cpu.max`) takes the process off the CPU for up to a hundred milliseconds. In seconds.
pub const GO_THREADS: DepartureThreshold =
    DepartureThreshold { name: "go-threads", ratio: 8.0, floor: 0.0005, hold: 3, baseline: 4 };

/// A `/ping` of a PD member by the recorder takes a few milliseconds. One is sent every five seconds,
/// so four in a row cover a quarter of a minute. In seconds.
pub const PING_SLOW: DepartureThreshold =
    DepartureThreshold { name: "ping", ratio: 4.0, floor: 0.015, hold: 4, baseline: 8 };

/// Requests a second over all stores that rise by a third, and by six deviations, over three scrapes.
/// A steady load does not rise so far by itself, and a single burst, or the catching up after a stall,
/// does not last so long. A baseline of three points is enough: one outlier does not move their median,
/// and as sums over all stores they are as steady as four points of a single store.
pub const RISE: DepartureThreshold =
    DepartureThreshold { name: "rise", ratio: 1.3, floor: 20.0, hold: 3, baseline: 3 };

/// A store's share of all requests that rises by half and by a fifth of all requests, over three
/// scrapes. Load that moved together with leaders is no departure.
pub const SHIFT: DepartureThreshold =
    DepartureThreshold { name: "shift", ratio: 1.5, floor: 0.2, hold: 3, baseline: 4 };

/// How many times more than the other nodes one must depart, so that it alone is slow: two healthy
/// nodes differ by less at the same time.
pub const ALONE: f64 = 2.5;

/// How long PD must miss a store's heartbeats, in milliseconds. PD calls a store Disconnected 20 s
/// after its last heartbeat. Another interval of 10 s is granted, since a busy machine delays a
/// heartbeat without being broken.
pub const SILENT_MS: i64 = 30_000;

/// The least number of undeliverable raft messages that counts as a broken link. A link that stays
/// broken gives several a second, since every heartbeat and vote fails; a single one or two are left by
/// a reconnection.
pub const REPORTS_AT_LEAST: f64 = 3.0;

/// How long requests to a PD member must fail one after another, in milliseconds: one lost request is
/// a hiccup of the network or of the recorder.
pub const MEMBER_SILENT_MS: i64 = 8_000;

/// The longest time that a restart takes, in milliseconds: a minute and a heartbeat. A process that
/// stays away for longer had died.
/// TiUP's units start a process again after 15 s (`RestartSec`), Kubernetes after 10 s and, when it died
/// before, after 20 s and 40 s; TiKV replays its log for some more. It counts from the first sign that is
/// missing, which may be a heartbeat (every 10 s) that was due just before the death.
pub const SHORT_MS: i64 = 70_000;

/// The least confidence of a cause, from 0 to 1. Against a claim below it more speaks than for it, so
/// it is listed as an alternative.
pub const CONFIDENT: f64 = 0.5;

/// A detection threshold, as the table lists it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Its name in the table: unique, and stable between versions.
    pub name: &'static str,
    /// Its value, in `unit`.
    pub value: f64,
    /// The unit of its value, such as `s`, `ms` or `times`.
    pub unit: &'static str,
    /// The observation or the setting that it is derived from.
    pub source: &'static str,
}

const fn threshold(
    name: &'static str,
    value: f64,
    unit: &'static str,
    source: &'static str,
) -> Threshold {
    Threshold { name, value, unit, source }
}

/// The thresholds that a measurement can move.
pub const THRESHOLDS: [Threshold; 26] = [
    threshold("device.ratio", DEVICE.ratio, "times", "healthy fsyncs vary by two with load"),
    threshold("device.floor", DEVICE.floor, "s", "healthy fsyncs take 0.1 to 5 ms"),
    threshold(
        "threads.ratio",
        THREADS.ratio,
        "times",
        "waits grow with utilisation before they grow by lack",
    ),
    threshold(
        "threads.floor",
        THREADS.floor,
        "s",
        "cpu.max takes threads off the CPU for up to 100 ms",
    ),
    threshold("round-trip.ratio", ROUND_TRIP.ratio, "times", "PD answers from memory"),
    threshold("round-trip.floor", ROUND_TRIP.floor, "s", "one site is a millisecond or two wide"),
    threshold("scrape.ratio", SCRAPE.ratio, "times", "one request of some hundred kilobytes"),
    threshold("scrape.floor", SCRAPE.floor, "s", "likewise"),
    threshold("probe.ratio", ROUND_TRIP_SPARSE.ratio, "times", "etcd probes its peers every 30 s"),
    threshold("probe.floor", ROUND_TRIP_SPARSE.floor, "s", "likewise"),
    threshold(
        "go-threads.ratio",
        GO_THREADS.ratio,
        "times",
        "goroutines wait some ten microseconds",
    ),
    threshold("go-threads.floor", GO_THREADS.floor, "s", "likewise"),
    threshold("ping.ratio", PING_SLOW.ratio, "times", "a ping takes a few milliseconds"),
    threshold("ping.floor", PING_SLOW.floor, "s", "likewise"),
    threshold("scrape-pd.ratio", SCRAPE_PD.ratio, "times", "tens of milliseconds"),
    threshold("scrape-pd.floor", SCRAPE_PD.floor, "s", "likewise"),
    threshold(
        "rise.ratio",
        RISE.ratio,
        "times",
        "a steady load does not last a third above itself",
    ),
    threshold("rise.floor", RISE.floor, "requests/s", "fewer are no load"),
    threshold("shift.ratio", SHIFT.ratio, "times", "half as many again of a store's share"),
    threshold("shift.floor", SHIFT.floor, "of all requests", "a fifth of all"),
    threshold("alone", ALONE, "times the others", "what all share slows all alike"),
    threshold(
        "silent-to-pd",
        SILENT_MS as f64,
        "ms",
        "PD: Disconnected after 20 s, and a heartbeat of 10 s",
    ),
    threshold("undeliverable", REPORTS_AT_LEAST, "messages", "a reconnection costs a few"),
    threshold("member-silent", MEMBER_SILENT_MS as f64, "ms", "one lost request is a hiccup"),
    threshold(
        "restart-takes",
        SHORT_MS as f64,
        "ms",
        "RestartSec, CrashLoopBackOff and the replay of a log",
    ),
    threshold("confident", CONFIDENT, "confidence", "more speaks for it than against it"),
];

/// The thresholds in use: those of the table, or the same with one of them moved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds(Option<(&'static str, f64)>);

impl Thresholds {
    /// The table with the threshold of this name at `factor` times its value.
    pub fn moved(name: &'static str, factor: f64) -> Self {
        Self(Some((name, factor)))
    }

    /// The value in use of the threshold `name`, whose own value is `value`.
    pub fn at(&self, name: &str, value: f64) -> f64 {
        self.0.filter(|(moved, _)| *moved == name).map_or(value, |(_, factor)| value * factor)
    }

    /// A departure threshold with the ratio and the floor in use.
    pub fn of(&self, threshold: DepartureThreshold) -> DepartureThreshold {
        let name = |part: &str| format!("{}.{part}", threshold.name);
        DepartureThreshold {
            ratio: self.at(&name("ratio"), threshold.ratio),
            floor: self.at(&name("floor"), threshold.floor),
            ..threshold
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_threshold_that_is_moved_moves() {
        let thresholds = Thresholds::moved("device.floor", 2.0);
        assert_eq!(
            thresholds.of(DEVICE),
            DepartureThreshold { floor: 2.0 * DEVICE.floor, ..DEVICE }
        );
        assert_eq!(thresholds.of(THREADS), THREADS);
        assert_eq!(Thresholds::default().of(DEVICE), DEVICE);
    }

    #[test]
    fn every_threshold_has_a_name_of_its_own() {
        let mut names: Vec<&str> = THRESHOLDS.iter().map(|threshold| threshold.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), THRESHOLDS.len());
    }
}
