//! Detection thresholds: every number that decides whether something departed, with its unit and its
//! source. The reasons stand at the constants; the table lists those that a measurement can move, to
//! see how much room each has.

/// What counts as a departure. The numbers stand beside each use, with their reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepartureThreshold {
    /// What its lines are called, with what they are of: `name.ratio`, `name.floor`.
    pub name: &'static str,
    /// At least this many times the baseline.
    pub ratio: f64,
    /// And at least this much above it, in the track's unit: a ratio of two tiny numbers says
    /// nothing.
    pub floor: f64,
    /// For at least this many points in a row, one of which may fall back.
    pub hold: usize,
    /// Points that a baseline needs.
    pub baseline: usize,
}

/// How far a judgement as of an instant looks back unless somebody asks for more: long enough for
/// a baseline before a fault and for the half hour after which PD gives a silent store up, short
/// enough that what a live judgement costs does not grow with the length of the recording. What
/// has lasted longer than this is what the cluster is like, except where PD or Raft know better.
pub const HORIZON_MS: i64 = 3_600_000;

/// How long after a fault its traces may last: a restarted store replays its log and takes
/// leaders back, clients catch up, scores decay by a point every few seconds.
pub const AFTERMATH_MS: i64 = 120_000;

/// A device that takes at least four times its usual time for an fsync, and 3 ms more: healthy
/// ones take 0.1 to 5 ms and vary by a factor of two with load.
pub const DEVICE: DepartureThreshold =
    DepartureThreshold { name: "device", ratio: 4.0, floor: 0.003, hold: 3, baseline: 4 };

/// A wait for a thread is tens of microseconds on an idle machine and a millisecond or two on a
/// busy one. A quota (`cpu.max`, Kubernetes limits) takes a thread off the CPU for up to 100 ms.
pub const THREADS: DepartureThreshold =
    DepartureThreshold { name: "threads", ratio: 4.0, floor: 0.002, hold: 3, baseline: 4 };

/// A round trip to PD takes a millisecond or two inside one site; 10 ms more, over many requests,
/// is no queueing but distance or loss.
pub const ROUND_TRIP: DepartureThreshold =
    DepartureThreshold { name: "round-trip", ratio: 4.0, floor: 0.008, hold: 3, baseline: 4 };

/// etcd probes its peers every 30 s: two probes are a minute.
pub const ROUND_TRIP_SPARSE: DepartureThreshold =
    DepartureThreshold { name: "probe", ratio: 4.0, floor: 0.01, hold: 2, baseline: 3 };

/// A scrape is one request and some hundreds of kilobytes; it doubles easily.
pub const SCRAPE: DepartureThreshold =
    DepartureThreshold { name: "scrape", ratio: 3.0, floor: 0.3, hold: 3, baseline: 4 };

/// A scrape of PD takes tens of milliseconds.
pub const SCRAPE_PD: DepartureThreshold =
    DepartureThreshold { name: "scrape-pd", ratio: 3.0, floor: 0.08, hold: 3, baseline: 4 };

/// A goroutine that may run waits some ten microseconds for a thread, whatever PD has to do, and
/// up to the hundred milliseconds that a quota (`cpu.max`) takes the process off the CPU for.
pub const GO_THREADS: DepartureThreshold =
    DepartureThreshold { name: "go-threads", ratio: 8.0, floor: 0.0005, hold: 3, baseline: 4 };

/// A `/ping` of the recorder's takes a few milliseconds; every fifth second, so that four in a row
/// are a quarter of a minute.
pub const PING_SLOW: DepartureThreshold =
    DepartureThreshold { name: "ping", ratio: 4.0, floor: 0.015, hold: 4, baseline: 8 };

/// A third more, and six deviations, over three scrapes: what a load that is steady on the whole
/// does not do by itself, and what a single burst or the catching up after a stall does not last
/// for. Three points have a median that one of them does not move; they are sums over all stores, and
/// as steady as one store's are over four.
pub const RISE: DepartureThreshold =
    DepartureThreshold { name: "rise", ratio: 1.3, floor: 20.0, hold: 3, baseline: 3 };

/// A fifth of all requests, and half as many again of a store's own share, over three scrapes.
/// What moves with leaders is left out beside it.
pub const SHIFT: DepartureThreshold =
    DepartureThreshold { name: "shift", ratio: 1.5, floor: 0.2, hold: 3, baseline: 4 };

/// What stands out is so many times what the others did: two of them differ by less at the same time.
pub const ALONE: f64 = 2.5;

/// PD calls a store Disconnected 20 s after its last heartbeat. Another heartbeat's interval is
/// granted, since a busy machine delays one without anything being broken.
pub const SILENT_MS: i64 = 30_000;

/// A reconnection after a restart or an election costs a few reports; a link that stays broken
/// gives several a second, since every heartbeat and vote fails.
pub const REPORTS_AT_LEAST: f64 = 3.0;

/// Requests that failed one after another, over at least this long: one lost request is a hiccup
/// of the network or of the recorder.
pub const MEMBER_SILENT_MS: i64 = 8_000;

/// The longest time that a restart takes, a minute and a heartbeat; what stays away for longer had died.
/// TiUP's units start a process again after 15 s (`RestartSec`), Kubernetes after 10 s and, when it died
/// before, after 20 s and 40 s; TiKV replays its log for some more. It counts from the first sign that is
/// missing, which may be a heartbeat (every 10 s) that was due just before the death.
pub const SHORT_MS: i64 = 70_000;

/// A claim below this is an alternative and no cause: more speaks against it than for it.
pub const CONFIDENT: f64 = 0.5;

/// A number at which a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// What it is called in tables.
    pub name: &'static str,
    /// Where it is drawn.
    pub value: f64,
    /// Of that.
    pub unit: &'static str,
    /// Where it comes from.
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

/// All of them.
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

/// Thresholds as they are drawn, or with one of them moved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds(Option<(&'static str, f64)>);

impl Thresholds {
    /// With the line of this name at `factor` times its value.
    pub fn moved(name: &'static str, factor: f64) -> Self {
        Self(Some((name, factor)))
    }

    /// Where a line is.
    pub fn at(&self, name: &str, value: f64) -> f64 {
        self.0.filter(|(moved, _)| *moved == name).map_or(value, |(_, factor)| value * factor)
    }

    /// Both lines of a threshold.
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
    fn only_the_line_that_is_moved_moves() {
        let thresholds = Thresholds::moved("device.floor", 2.0);
        assert_eq!(
            thresholds.of(DEVICE),
            DepartureThreshold { floor: 2.0 * DEVICE.floor, ..DEVICE }
        );
        assert_eq!(thresholds.of(THREADS), THREADS);
        assert_eq!(Thresholds::default().of(DEVICE), DEVICE);
    }

    #[test]
    fn every_line_has_a_name_of_its_own() {
        let mut names: Vec<&str> = THRESHOLDS.iter().map(|line| line.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), THRESHOLDS.len());
    }
}
