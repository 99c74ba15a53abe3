//! The numbers at which diagnosis draws a line, in one table: each with its unit and where it comes
//! from; the reasons stand at the constants. One of them can be moved, to see how much room it has.

use crate::diagnose::hypotheses::judge::CONFIDENT;
use crate::diagnose::observations::departures::Threshold;
use crate::diagnose::observations::planned_stops::SHORT_MS;
use crate::diagnose::observations::{
    ALONE, DEVICE, GO_THREADS, MEMBER_SILENT_MS, PING_SLOW, REPORTS_AT_LEAST, RISE, ROUND_TRIP,
    ROUND_TRIP_SPARSE, SCRAPE, SCRAPE_PD, SHIFT, SILENT_MS, THREADS,
};

/// A number at which a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// What it is called in tables.
    pub name: &'static str,
    /// Where it is drawn.
    pub value: f64,
    /// Of that.
    pub unit: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

const fn line(name: &'static str, value: f64, unit: &'static str, source: &'static str) -> Line {
    Line { name, value, unit, source }
}

/// All of them.
pub const LINES: [Line; 26] = [
    line("device.ratio", DEVICE.ratio, "times", "healthy fsyncs vary by two with load"),
    line("device.floor", DEVICE.floor, "s", "healthy fsyncs take 0.1 to 5 ms"),
    line(
        "threads.ratio",
        THREADS.ratio,
        "times",
        "waits grow with utilisation before they grow by lack",
    ),
    line("threads.floor", THREADS.floor, "s", "cpu.max takes threads off the CPU for up to 100 ms"),
    line("round-trip.ratio", ROUND_TRIP.ratio, "times", "PD answers from memory"),
    line("round-trip.floor", ROUND_TRIP.floor, "s", "one site is a millisecond or two wide"),
    line("scrape.ratio", SCRAPE.ratio, "times", "one request of some hundred kilobytes"),
    line("scrape.floor", SCRAPE.floor, "s", "likewise"),
    line("probe.ratio", ROUND_TRIP_SPARSE.ratio, "times", "etcd probes its peers every 30 s"),
    line("probe.floor", ROUND_TRIP_SPARSE.floor, "s", "likewise"),
    line("go-threads.ratio", GO_THREADS.ratio, "times", "goroutines wait some ten microseconds"),
    line("go-threads.floor", GO_THREADS.floor, "s", "likewise"),
    line("ping.ratio", PING_SLOW.ratio, "times", "a ping takes a few milliseconds"),
    line("ping.floor", PING_SLOW.floor, "s", "likewise"),
    line("scrape-pd.ratio", SCRAPE_PD.ratio, "times", "tens of milliseconds"),
    line("scrape-pd.floor", SCRAPE_PD.floor, "s", "likewise"),
    line("rise.ratio", RISE.ratio, "times", "a steady load does not last a third above itself"),
    line("rise.floor", RISE.floor, "requests/s", "fewer are no load"),
    line("shift.ratio", SHIFT.ratio, "times", "half as many again of a store's share"),
    line("shift.floor", SHIFT.floor, "of all requests", "a fifth of all"),
    line("alone", ALONE, "times the others", "what all share slows all alike"),
    line(
        "silent-to-pd",
        SILENT_MS as f64,
        "ms",
        "PD: Disconnected after 20 s, and a heartbeat of 10 s",
    ),
    line("undeliverable", REPORTS_AT_LEAST, "messages", "a reconnection costs a few"),
    line("member-silent", MEMBER_SILENT_MS as f64, "ms", "one lost request is a hiccup"),
    line(
        "restart-takes",
        SHORT_MS as f64,
        "ms",
        "RestartSec, CrashLoopBackOff and the replay of a log",
    ),
    line("confident", CONFIDENT, "confidence", "more speaks for it than against it"),
];

/// Lines as they are drawn, or with one of them moved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lines(Option<(&'static str, f64)>);

impl Lines {
    /// With the line of this name at `factor` times its value.
    pub fn moved(name: &'static str, factor: f64) -> Self {
        Self(Some((name, factor)))
    }

    /// Where a line is.
    pub fn at(&self, name: &str, value: f64) -> f64 {
        self.0.filter(|(moved, _)| *moved == name).map_or(value, |(_, factor)| value * factor)
    }

    /// Both lines of a threshold.
    pub fn of(&self, threshold: Threshold) -> Threshold {
        let name = |part: &str| format!("{}.{part}", threshold.name);
        Threshold {
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
        let lines = Lines::moved("device.floor", 2.0);
        assert_eq!(lines.of(DEVICE), Threshold { floor: 2.0 * DEVICE.floor, ..DEVICE });
        assert_eq!(lines.of(THREADS), THREADS);
        assert_eq!(Lines::default().of(DEVICE), DEVICE);
    }

    #[test]
    fn every_line_has_a_name_of_its_own() {
        let mut names: Vec<&str> = LINES.iter().map(|line| line.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), LINES.len());
    }
}
