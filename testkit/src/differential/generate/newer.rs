//! What only Prometheus 3 understands.

use operator::promql::Dialect;

use super::{Generator, NUMBERS, quote};

const COMPUTED: [&str; 12] = [
    "step()",
    "range()",
    "1m+30s",
    "2m-15s",
    "15*2",
    "5m/3",
    "(1m)",
    "-1m+2m",
    "max_of(step(),30s)",
    "min_of(range(),2m)",
    "2^6",
    "100.0005%1m",
];
// All of whole milliseconds in the end: what is written below that, Prometheus 3 adds to the distance
// from `@` before it cuts towards zero, so that the instant of evaluation decides what it reads.
const COMPUTED_OFFSETS: [&str; 8] =
    ["(1m/3)", "-(15s*2)", "step()", "-step()", "min_of(step(),1m)", "-range()", "0s", "(1.0015)"];
const INFO_NAMES: [&str; 6] = [
    "__name__=\"nasty_info\"",
    "__name__=~\"nasty_(info|up)\"",
    "__name__!=\"nasty_level\"",
    "__name__=\"nasty_ties\"",
    "__name__=~\"nasty.+\",version=~\".+\"",
    "__name__=\"absent\"",
];

impl Generator<'_> {
    /// Once in so many times, where the server is new enough.
    pub(super) fn is_newer_in(&mut self, times: u32) -> bool {
        self.words.dialect == Dialect::V3 && self.one_in(times)
    }

    /// A duration that is computed, or the one given.
    pub(super) fn computed(&mut self, written: &str) -> String {
        let computed = !written.is_empty() && self.is_newer_in(15);
        if computed { self.pick(&COMPUTED).to_owned() } else { written.to_owned() }
    }

    /// An offset that is computed, or the one given.
    pub(super) fn computed_offset(&mut self, written: &str) -> String {
        if self.is_newer_in(5) {
            self.pick(&COMPUTED_OFFSETS).to_owned()
        } else {
            written.to_owned()
        }
    }

    /// Values for series that the other side lacks.
    pub(super) fn fill(&mut self) -> String {
        if !self.is_newer_in(4) {
            return String::new();
        }
        let (a, b) = (self.pick(&NUMBERS).to_owned(), self.pick(&NUMBERS).to_owned());
        match self.random.u32(..5) {
            0 => format!("fill ({a}) "),
            1 => format!("fill_left ({a}) "),
            2 => format!("fill_right({a}) "),
            3 => format!("fill_left({a}) fill_right({b}) "),
            _ => format!("fill_right({a}) fill_left({b}) "),
        }
    }

    /// Whether a range vector of a function may reach beyond its window; others rarely, since they
    /// refuse it.
    pub(super) fn may_reach(&mut self, function: &str) -> bool {
        match function {
            "rate" | "increase" | "delta" | "changes" | "resets" => self.is_newer_in(3),
            _ => self.is_newer_in(80),
        }
    }

    /// The next range vector's reach.
    pub(super) fn reach(&mut self) -> &'static str {
        if !std::mem::take(&mut self.reaches) {
            return "";
        }
        if self.random.bool() { " anchored" } else { " smoothed" }
    }

    /// Arguments of `info`: series, and mostly which metrics hold what is added.
    pub(super) fn info_arguments(&mut self, depth: u32) -> Vec<String> {
        let series = self.vector(depth - 1);
        if self.one_in(8) {
            return vec![series];
        }
        let mut conditions = vec![self.pick(&INFO_NAMES).to_owned()];
        if self.one_in(3) {
            let pattern = self.pick(&[".*", ".+", "2", ""]);
            conditions.push(format!("version=~{}", quote(pattern)));
        }
        vec![series, format!("{{{}}}", conditions.join(","))]
    }
}
