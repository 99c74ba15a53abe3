//! Fuzzing of PromQL: meaningless and mutated expressions are parsed and evaluated. None may panic, run
//! without end or need unbounded memory, whatever its text and whatever its evaluation time.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use fastrand::Rng;
use operator::model::Timestamp;
use operator::promql::{
    Dialect, Engine, EngineOptions, EvalError, Expression, Limits, MemoryStorage,
};
use operator::rules;

use crate::differential::nasty;
use crate::limits::{Memory, Watchdog, thread_time};

/// Bounds of an evaluation: small, so that an expression that would exceed the real ones shows it
/// in milliseconds.
const LIMITS: Limits = Limits { samples: 200_000, steps: 11_000, work: 3_000_000 };
/// How much processor time one expression may take, in a build for tests.
const LONGEST: Duration = Duration::from_secs(20);
/// How much one expression may add to the memory of the process.
const MOST_BYTES: u64 = 256 << 20;

/// Words that expressions are made of, and some that they are not.
const WORDS: [&str; 92] = [
    "sum",
    "topk",
    "count_values",
    "quantile",
    "limit_ratio",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "and",
    "or",
    "unless",
    "atan2",
    "offset",
    "@",
    "start()",
    "end()",
    "rate",
    "histogram_quantile",
    "label_replace",
    "label_join",
    "absent",
    "scalar",
    "vector",
    "time()",
    "predict_linear",
    "quantile_over_time",
    "sort_by_label",
    "info",
    "fill",
    "fill_left",
    "anchored",
    "smoothed",
    "step()",
    "range()",
    "max_of",
    "\"a.b\"",
    "histogram_quantiles",
    "year",
    "day_of_week",
    "round",
    "clamp",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "==",
    "!=",
    "=~",
    "!~",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "nasty_level",
    "nasty_ties",
    "job",
    "le",
    "__name__",
    "\"a\"",
    "'.*'",
    "`b`",
    "\"(a|b)*\"",
    "1",
    "0x1f",
    "1e308",
    "NaN",
    "-Inf",
    "1m",
    "5m",
    "1ms",
    "292y",
    "99999999999999999999",
    "9223372036854775807",
    "# comment\n",
    "\n",
    "\u{0}",
    "é",
    "\\",
    "\"",
];

/// What deeply nested expressions are built of: the text before the innermost part, and the text after it.
const TOWERS: [(&str, &str, &str); 22] = [
    ("(", "1", ")"),
    ("(", "", ""),
    ("-", "nasty_level", ""),
    ("-+", "1", ""),
    ("-(", "nasty_level", ")"),
    ("sum(", "nasty_level", ")"),
    ("sum by (job) (", "nasty_level", ")"),
    ("abs(-", "nasty_level", ")"),
    ("max_over_time(", "nasty_level", "[1m:1s])"),
    ("", "nasty_level", "[1h:1ms]"),
    ("", "nasty_level", " offset 1m"),
    ("", "nasty_level", " @ 1"),
    ("", "1", "+1"),
    ("1^", "1", ""),
    ("", "nasty_level", " or nasty_ties"),
    ("", "nasty_level", " * on (job) group_left nasty_info"),
    ("label_replace(", "nasty_level", ", 'a', '$1$1', 'a', '(.*)')"),
    ("sum by (job, ", "job", ""),
    ("{", "job='a'", ""),
    ("{job='a',", "job='a'", "}"),
    ("[", "1", "]"),
    ("topk(", "1", ", nasty_level)"),
];

/// Deeply nested regular expressions of one matcher.
const PATTERNS: [(&str, &str, &str); 7] = [
    ("(", "a", ")"),
    ("(", "a", ")*"),
    ("(", "a{50}", "){50}"),
    ("(a|", "b", ")+"),
    ("[[:alpha:]", "a", "]"),
    ("\\\\Q", "a", "\\\\E"),
    ("(?i:", "é", ")"),
];

const HEIGHTS: [usize; 9] = [2, 3, 10, 100, 298, 300, 301, 5_000, 100_000];

/// How many expressions came to which end, and what the most expensive one needed.
#[derive(Debug, Default)]
pub struct Tally {
    /// Counts by how the expressions were made: not parsed; refused in evaluation; answered.
    pub expressions: BTreeMap<&'static str, [u32; 3]>,
    /// The most bytes that one of them added to the memory of the process.
    pub most_bytes: u64,
    /// The longest processor time that one of them needed.
    pub longest: Duration,
}

/// Makes and evaluates `times` expressions.
///
/// # Errors
///
/// An error names the first expression that panics, needs too long or needs too much memory.
pub fn run(times: u32, seed: u64, memory: Memory) -> Result<Tally> {
    memory.limit()?;
    let mut random = Rng::with_seed(seed);
    let bench = Bench::new(seed);
    let texts = sources();
    let mut tally = Tally::default();
    let watchdog = Watchdog::new("expression", 3 * LONGEST);
    for number in 0..times {
        watchdog.begin(number);
        let (kind, text) = expression(&texts, &mut random);
        let case = || {
            let shown: String = text.chars().take(200).collect();
            format!("expression {number} of seed {seed}, {kind}, {} bytes: {shown}", text.len())
        };
        let dialect = [Dialect::V2, Dialect::V3][random.usize(..2)];
        let when = moment(&mut random);
        let before = memory.reset()?;
        let begun = thread_time();
        let tried = AssertUnwindSafe(|| bench.evaluate(dialect, &text, when));
        let Ok(ended) = catch_unwind(tried) else { bail!("{}: a panic", case()) };
        let (took, bytes) = (thread_time() - begun, memory.peak()?.saturating_sub(before));
        ensure!(took <= LONGEST, "{}: took {took:?}", case());
        ensure!(bytes <= MOST_BYTES, "{}: allocated {bytes} bytes", case());
        tally.expressions.entry(kind).or_default()[ended as usize] += 1;
        tally.longest = tally.longest.max(took);
        tally.most_bytes = tally.most_bytes.max(bytes);
    }
    Ok(tally)
}

/// How an expression ends.
#[derive(Clone, Copy)]
pub enum Ended {
    /// The parser refused it.
    Unread,
    /// Evaluation refused it.
    Refused,
    /// It was evaluated, at an instant and over a range.
    Answered,
}

/// The first step, the last one, and the distance between two, in milliseconds.
pub type Moment = (i64, i64, i64);

/// Series that are hard on an evaluator, and engines with bounds that end an expensive expression within
/// milliseconds.
pub struct Bench {
    storage: MemoryStorage,
    engines: [(Dialect, Engine); 2],
}

impl Bench {
    /// The series that belong to this seed.
    pub fn new(seed: u64) -> Self {
        let storage = MemoryStorage::new(nasty::series(0, seed).into_iter().map(Arc::new));
        let engines = [Dialect::V2, Dialect::V3].map(|dialect| {
            let options = EngineOptions {
                limits: LIMITS,
                threads: NonZeroUsize::MIN,
                ..EngineOptions::new(dialect)
            };
            (dialect, Engine::new(options))
        });
        Self { storage, engines }
    }

    /// Parses and evaluates any text, at an instant and over a range, in the dialect of Prometheus 2 or
    /// of Prometheus 3. Whatever it is, this returns.
    pub fn evaluate(&self, dialect: Dialect, text: &str, (start, end, step): Moment) -> Ended {
        let Ok(parsed) = Expression::parse(text) else { return Ended::Unread };
        let engine = self.engines.iter().find(|(of, _)| *of == dialect);
        let (_, engine) = engine.expect("there is an engine for each dialect");
        let at = Timestamp::from_millis;
        let answers = [
            engine.instant(&parsed, &self.storage, at(start)),
            engine.range(&parsed, &self.storage, (at(start), at(end)), step),
        ];
        let bad_range = |error: &EvalError| matches!(error, EvalError::BadRange(_));
        let refused = |answer: &Result<_, EvalError>| answer.as_ref().is_err_and(|e| !bad_range(e));
        if answers.iter().any(refused) { Ended::Refused } else { Ended::Answered }
    }
}

/// Mostly where the series are; else at the ends of time, or with steps that overflow.
fn moment(random: &mut Rng) -> Moment {
    let far = [i64::MIN, i64::MIN / 2, -1, 0, 300_000, 1 << 53, i64::MAX / 2, i64::MAX];
    let steps = [1, 1_000, 15_000, 60_000, i64::MAX / 2, i64::MAX, 0, -1];
    let mut one = |near: i64, far: &[i64]| {
        if random.u32(..4) == 0 { far[random.usize(..far.len())] } else { near }
    };
    let start = one(300_000, &far);
    (start, one(start.saturating_add(60_000), &far), one(15_000, &steps))
}

/// Meaningful expressions: those of the bundled rules, and some that use the rest of the
/// language.
fn sources() -> Vec<String> {
    let files = rules::bundled();
    let rules = files.iter().flat_map(|file| &file.groups).flat_map(|group| &group.rules);
    let mut texts: Vec<String> = rules.map(|rule| rule.expression.text().to_owned()).collect();
    texts.extend(
        [
            "max_over_time(rate(nasty_requests_total{job=~\"a|b\"}[2m] offset -1m)[5m:15s] @ end())",
            "nasty_level * on (job, instance) group_left (version) nasty_info",
            "histogram_quantile(0.9, sum by (le, job) (increase(nasty_seconds_bucket[5m])))",
            "label_replace(nasty_level, \"dst\", \"$1-x\", \"instance\", \"(.*):(.*)\")",
            "sort_desc(topk by (job) (2, nasty_ties)) or vector(time() % 7)",
            "quantile_over_time(scalar(nasty_up), nasty_level[10m]) ^ 2 >= bool -Inf",
            "count_values(\"value\", nasty_ties) unless ignoring (value) absent(nasty_none)",
        ]
        .map(str::to_owned),
    );
    texts
}

fn expression(texts: &[String], random: &mut Rng) -> (&'static str, String) {
    match random.u32(..20) {
        0..3 => ("bytes", bytes(random)),
        3..6 => ("words", words(random)),
        6..14 => ("altered", altered(texts, random)),
        14..16 => ("joined", joined(texts, random)),
        _ => ("tower", tower(random)),
    }
}

fn bytes(random: &mut Rng) -> String {
    let length = random.usize(..200);
    let printable = random.bool();
    let byte = |_| if printable { random.u8(32..127) } else { random.u8(..) };
    String::from_utf8_lossy(&(0..length).map(byte).collect::<Vec<_>>()).into_owned()
}

fn words(random: &mut Rng) -> String {
    let count = random.usize(1..40);
    let words: Vec<&str> = (0..count).map(|_| WORDS[random.usize(..WORDS.len())]).collect();
    words.join(if random.bool() { " " } else { "" })
}

/// A meaningful expression, changed in a few places.
fn altered(texts: &[String], random: &mut Rng) -> String {
    let mut text = texts[random.usize(..texts.len())].clone();
    for _ in 0..random.usize(1..5) {
        let (from, to) = (place(&text, random), place(&text, random));
        let (from, to) = (from.min(to), from.max(to));
        match random.u32(..5) {
            0 => text.replace_range(from..to, ""),
            1 => text.insert_str(from, WORDS[random.usize(..WORDS.len())]),
            2 => {
                let copied = text[from..to].to_owned();
                text.insert_str(to, &copied);
            }
            3 => {
                let other = &texts[random.usize(..texts.len())];
                text.insert_str(from, other);
            }
            // A number or a duration that is larger than anybody asks for.
            _ => {
                let huge = ["9e99", "100y", "1ms", "0", "-1", "NaN", "4294967296"];
                text = text.replacen(
                    |c: char| c.is_ascii_digit(),
                    huge[random.usize(..huge.len())],
                    random.usize(1..3),
                );
            }
        }
    }
    text
}

/// Meaningful expressions, one after the other or one inside the other.
fn joined(texts: &[String], random: &mut Rng) -> String {
    let mut text = texts[random.usize(..texts.len())].clone();
    for _ in 0..random.usize(1..60) {
        let other = &texts[random.usize(..texts.len())];
        text = match random.u32(..6) {
            0 => format!("({text}) or ({other})"),
            1 => format!("({text}) + on () group_left ({other})"),
            2 => format!("max_over_time(({text})[5m:1s])"),
            3 => format!("sum without (job) ({text})"),
            4 => format!("rate(({text})[1d:1ms] offset -1d)"),
            _ => format!("label_join({text}, \"job\", \"{other:.9}\", \"job\", \"job\")"),
        };
        if text.len() > 100_000 {
            break;
        }
    }
    text
}

fn tower(random: &mut Rng) -> String {
    let height = HEIGHTS[random.usize(..HEIGHTS.len())];
    let build = |(before, inmost, after): (&str, &str, &str)| {
        format!("{}{inmost}{}", before.repeat(height), after.repeat(height))
    };
    match random.u32(..6) {
        0 => {
            let pattern = build(PATTERNS[random.usize(..PATTERNS.len())]);
            format!("nasty_level{{job{}\"{pattern}\"}}", if random.bool() { "=~" } else { "!~" })
        }
        1 => {
            let repeated = ["9", "a", "\\\\n", "é", " ", "1m", "\u{0}", "#", "\""];
            let body = repeated[random.usize(..repeated.len())].repeat(height);
            if random.bool() { body } else { format!("nasty_level{{job=\"{body}\"}}") }
        }
        _ => build(TOWERS[random.usize(..TOWERS.len())]),
    }
}

/// A place between two characters.
fn place(text: &str, random: &mut Rng) -> usize {
    let mut place = random.usize(..=text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    place
}
