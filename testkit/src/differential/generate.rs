//! Random expressions, correct in their types.
//!
//! Each draws one to three metrics and takes all its selectors from them, so that the sides of an
//! operator often meet.

mod newer;

use fastrand::Rng;
use operator::model::{is_label_name, is_metric_name};
use operator::promql::{AggregateOp, Dialect, Signature, ValueType};

use super::words::{Metric, When, Words, instant, range};

const RANGES: [&str; 14] = [
    "15s", "30s", "1m", "1m", "90s", "2m", "5m", "10m", "37s", "1s", "14999ms", "15001ms",
    "59999ms", "1h",
];
const OFFSETS: [&str; 10] =
    ["15s", "1m", "-30s", "5m", "1ms", "-1ms", "7s", "2m", "-1m", "4m59s999ms"];
const SUBQUERY_RANGES: [&str; 6] = ["1m", "2m", "5m", "90s", "10m", "45s"];
const SUBQUERY_STEPS: [&str; 8] = ["", "15s", "30s", "1m", "7s", "10s", "44s", "14999ms"];
const NUMBERS: [&str; 20] = [
    "0", "1", "2", "3", "-1", "0.5", "1.5", "100", "1e3", "0.1", "NaN", "Inf", "-Inf", "1e308",
    "1e-320", "-0.0", "0x1f", "10", "7", "-2.5",
];
const RATIOS: [&str; 10] = ["0.5", "0.9", "0.99", "0", "1", "0.1", "0.25", "-0.1", "1.1", "NaN"];
const COUNTS: [&str; 9] = ["1", "2", "3", "5", "100", "0", "-1", "2.7", "1e20"];
const FACTORS: [&str; 6] = ["0.1", "0.5", "0.9", "0.3", "0.99", "1"];
const ARITHMETIC: [&str; 7] = ["+", "-", "*", "/", "%", "^", "atan2"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">", "<", ">=", "<="];
const SETS: [&str; 3] = ["and", "or", "unless"];
const TARGETS: [&str; 6] = ["dst", "job", "instance", "__name__", "le", "dst"];
const TEMPLATES: [&str; 12] =
    ["$1", "$0", "a$1b", "${1}", "", "x", "$2", "$$", "$name", "${name}-$1", "$1x", "é$1"];
const PATTERNS: [&str; 10] = [
    "(.*)",
    "(.+):(.*)",
    "(?P<name>.*)",
    "a(.*)",
    "",
    "(.)(.*)",
    "(a|x).*",
    ".*?(\\\\d+).*",
    "([^:]*):1",
    "(?i)A",
];

/// An expression and when it is evaluated.
#[derive(Clone, Debug)]
pub struct Question {
    /// The text of the expression.
    pub text: String,
    /// An instant, and a range.
    pub when: [When; 2],
}

/// Draws a question.
pub fn question(words: &Words, random: &mut Rng) -> Question {
    let metrics = if random.u32(..3) == 0 { &words.real } else { &words.made };
    let other = if random.u32(..20) == 0 { &words.real } else { metrics };
    let mut theme = vec![pick(metrics, random)];
    for _ in 0..random.usize(..3) {
        theme.push(pick(other, random));
    }
    let when = [When::At(instant(theme[0], random)), range(theme[0], random)];
    let depth = *pick(&[1, 2, 2, 3, 3, 4], random);
    let mut generator = Generator { words, random, theme, fixes: true, reaches: false };
    let text = match generator.random.u32(..12) {
        0 => generator.scalar(depth),
        _ => generator.vector(depth),
    };
    Question { text, when }
}

fn pick<'a, T>(items: &'a [T], random: &mut Rng) -> &'a T {
    &items[random.usize(..items.len())]
}

struct Generator<'a> {
    words: &'a Words,
    random: &'a mut Rng,
    theme: Vec<&'a Metric>,
    /// Whether the next range vector may have an `@`.
    fixes: bool,
    /// Whether the next range vector may reach beyond its window.
    reaches: bool,
}

impl<'a> Generator<'a> {
    fn one_in(&mut self, times: u32) -> bool {
        self.random.u32(..times) == 0
    }

    fn pick<'p>(&mut self, texts: &'p [&'p str]) -> &'p str {
        pick::<&str>(texts, self.random)
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return if self.one_in(30) { "vector(1)".to_owned() } else { self.selector() };
        }
        match self.random.u32(..100) {
            0..8 => self.selector(),
            8..44 => self.call(ValueType::Vector, depth),
            44..66 => self.aggregation(depth),
            66..80 => self.between_vectors(depth),
            80..88 => self.with_scalar(depth),
            88..92 => format!("-{}", self.operand(depth - 1)),
            92..95 => format!("({})", self.vector(depth - 1)),
            _ => self.histogram_quantile(depth),
        }
    }

    /// A vector that needs no parentheses as an operand.
    fn operand(&mut self, depth: u32) -> String {
        if depth == 0 { self.selector() } else { format!("({})", self.vector(depth)) }
    }

    fn scalar(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.pick(&NUMBERS).to_owned();
        }
        match self.random.u32(..10) {
            0..4 => self.pick(&NUMBERS).to_owned(),
            4..7 => self.call(ValueType::Scalar, depth),
            7 => format!("-{}", self.scalar(0).trim_start_matches('-')),
            8 => {
                let op = self.pick(&ARITHMETIC);
                format!("({} {op} {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            _ => {
                let op = self.pick(&COMPARISONS);
                format!("({} {op} bool {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
        }
    }

    fn call(&mut self, returns: ValueType, depth: u32) -> String {
        let functions = &self.words.functions;
        let function = loop {
            let drawn = *pick(functions, self.random);
            if drawn.returns == returns {
                break drawn;
            }
        };
        let args = self.arguments(function, depth);
        format!("{}({})", function.name, args.join(", "))
    }

    fn arguments(&mut self, function: &Signature, depth: u32) -> Vec<String> {
        match function.name {
            "label_replace" => {
                let (target, source) = (self.pick(&TARGETS), self.label());
                let (template, pattern) = (self.pick(&TEMPLATES), self.pick(&PATTERNS));
                let texts = [target, template, &source, pattern].map(|text| format!("\"{text}\""));
                return [&[self.vector(depth - 1)], &texts[..]].concat();
            }
            "label_join" => {
                let mut args = vec![self.vector(depth - 1)];
                args.push(format!("\"{}\"", self.pick(&TARGETS)));
                args.push(format!("\"{}\"", self.pick(&["", "-", "日"])));
                for _ in 0..self.random.usize(..4) {
                    args.push(format!("\"{}\"", self.label()));
                }
                return args;
            }
            "sort_by_label" | "sort_by_label_desc" => {
                let mut args = vec![self.vector(depth - 1)];
                for _ in 0..=self.random.usize(..2) {
                    args.push(format!("\"{}\"", self.label()));
                }
                return args;
            }
            "info" => return self.info_arguments(depth),
            "histogram_quantiles" => {
                let mut args = vec![self.vector(depth - 1), format!("\"{}\"", self.label())];
                for _ in 0..=self.random.usize(..3) {
                    args.push(self.parameter("histogram_quantile", depth - 1));
                }
                return args;
            }
            _ => {}
        }
        self.reaches = self.may_reach(function.name);
        let optional = function.most.min(function.args.len()) - function.required;
        let count = function.required + self.random.usize(..=optional);
        let kinds = &function.args[..count];
        let reaches = self.reaches;
        // To Prometheus 2, `@` in a call whose scalar may change with the step is an offset from the
        // first step, over samples that end with the first window.
        self.fixes = self.words.dialect == Dialect::V3 || !kinds.contains(&ValueType::Scalar);
        let arg = |kind: &ValueType| match kind {
            ValueType::Vector => self.vector(depth - 1),
            ValueType::Matrix => {
                self.reaches = reaches;
                self.matrix(depth - 1)
            }
            _ => self.parameter(function.name, depth - 1),
        };
        kinds.iter().map(arg).collect()
    }

    /// A scalar argument: mostly one that the function has a use for.
    fn parameter(&mut self, function: &str, depth: u32) -> String {
        if self.one_in(8) {
            return self.scalar(depth);
        }
        match function {
            "quantile_over_time" | "histogram_quantile" => self.pick(&RATIOS).to_owned(),
            "holt_winters" | "double_exponential_smoothing" => self.pick(&FACTORS).to_owned(),
            _ => self.pick(&NUMBERS).to_owned(),
        }
    }

    fn aggregation(&mut self, depth: u32) -> String {
        let op = *pick(&self.words.aggregations, self.random);
        let inner = self.vector(depth - 1);
        self.aggregated(op, &inner)
    }

    fn aggregated(&mut self, op: AggregateOp, inner: &str) -> String {
        // Where three labels, or five to seven, follow `by`, Prometheus 2 drops one of them at each
        // step of a range: it appends the value's label in the place after the parsed ones and
        // sorts that.
        let sound = op != AggregateOp::CountValues || self.words.dialect == Dialect::V3;
        let labels = if sound { self.labels() } else { written(&self.label()) };
        let odd = self.one_in(12);
        let parameter = match op {
            AggregateOp::CountValues => {
                format!("\"{}\", ", self.pick(&["value", "job", "instance", "a_1"]))
            }
            AggregateOp::Quantile | AggregateOp::LimitRatio if !odd => {
                format!("{}, ", self.pick(&RATIOS))
            }
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk if !odd => {
                format!("{}, ", self.pick(&COUNTS))
            }
            op if op.parameter().is_some() => format!("{}, ", self.scalar(1)),
            _ => String::new(),
        };
        let name = op.name();
        match self.random.u32(..4) {
            0 => format!("{name}({parameter}{inner})"),
            1 => format!("{name} by ({labels}) ({parameter}{inner})"),
            2 => format!("{name} without ({labels}) ({parameter}{inner})"),
            _ => format!("{name}({parameter}{inner}) by ({labels})"),
        }
    }

    fn with_scalar(&mut self, depth: u32) -> String {
        let (vector, scalar) = (self.operand(depth - 1), self.scalar(depth - 1));
        let scalar = if scalar.starts_with('-') { format!("({scalar})") } else { scalar };
        let op = match self.random.u32(..5) {
            0..3 => self.pick(&ARITHMETIC).to_owned(),
            3 => self.pick(&COMPARISONS).to_owned(),
            _ => format!("{} bool", self.pick(&COMPARISONS)),
        };
        if self.random.bool() {
            format!("{vector} {op} {scalar}")
        } else {
            format!("{scalar} {op} {vector}")
        }
    }

    fn between_vectors(&mut self, depth: u32) -> String {
        if self.one_in(3) {
            let (left, right) = (self.operand(depth - 1), self.operand(depth - 1));
            let (op, matching) = (self.pick(&SETS), self.matching());
            return format!("{left} {op} {matching}{right}");
        }
        let op = match self.random.u32(..6) {
            0..4 => self.pick(&ARITHMETIC).to_owned(),
            4 => self.pick(&COMPARISONS).to_owned(),
            _ => format!("{} bool", self.pick(&COMPARISONS)),
        };
        let left = self.operand(depth - 1);
        match self.random.u32(..6) {
            // The same series on both sides surely meet.
            0 => {
                let f = self.pick(&["abs", "sqrt", "-", "timestamp"]);
                format!("{left} {op} {f}({left})")
            }
            1 => {
                let (matching, fill) = (self.matching(), self.fill());
                format!("{left} {op} {matching}{fill}{}", self.operand(depth - 1))
            }
            2 => format!("{left} {op} {}{}", self.fill(), self.operand(depth - 1)),
            // One side is made unique by its aggregation, so that it may be the one of many.
            way => {
                let labels = self.labels();
                let inner = self.vector(depth - 1);
                let aggregate = self.pick(&["sum", "max", "avg", "count", "min"]);
                let one = format!("{aggregate} by ({labels}) ({inner})");
                let copied = match self.random.u32(..4) {
                    0 => "()".to_owned(),
                    1 => format!("({})", written(&self.label())),
                    2 => format!("({})", self.labels()),
                    _ => String::new(),
                };
                let fill = self.fill();
                match way {
                    3 => format!("{left} {op} on ({labels}) group_left {copied} {fill}{one}"),
                    4 => format!("{one} {op} on ({labels}) group_right {copied} {fill}{left}"),
                    _ => format!("sum by ({labels}) ({left}) {op} on ({labels}) {fill}{one}"),
                }
            }
        }
    }

    fn matching(&mut self) -> String {
        match self.random.u32(..4) {
            0 | 1 => String::new(),
            2 => format!("on ({}) ", self.labels()),
            _ => format!("ignoring ({}) ", self.labels()),
        }
    }

    fn histogram_quantile(&mut self, depth: u32) -> String {
        let words = self.words;
        let all = words.made.iter().chain(&words.real);
        let buckets: Vec<&Metric> = all.filter(|m| m.name.ends_with("_bucket")).collect();
        let theme = std::mem::replace(&mut self.theme, vec![*pick(&buckets, self.random)]);
        let selector = self.selector();
        let buckets = match self.random.u32(..4) {
            0 => selector,
            1 => format!("rate({})", self.matrix(0)),
            2 => {
                let labels = self.labels();
                format!("sum by (le, {labels}) (increase({}))", self.matrix(0))
            }
            _ => self.vector(depth - 1),
        };
        self.theme = theme;
        let fraction = words.functions.iter().any(|function| function.name == "histogram_fraction");
        if fraction && self.one_in(4) {
            let (lower, upper) = (self.scalar(0), self.scalar(0));
            return format!("histogram_fraction({lower}, {upper}, {buckets})");
        }
        format!("histogram_quantile({}, {buckets})", self.parameter("histogram_quantile", depth))
    }

    fn matrix(&mut self, depth: u32) -> String {
        let fixes = std::mem::replace(&mut self.fixes, true);
        if depth > 0 && self.one_in(3) {
            let inner = self.operand(depth - 1);
            let (range, step) = (self.pick(&SUBQUERY_RANGES), self.pick(&SUBQUERY_STEPS));
            let (range, step) = (self.computed(range), self.computed(step));
            return format!("{inner}[{range}:{step}]{}", self.modifiers(fixes));
        }
        let reach = self.reach();
        let (selector, range) = (self.bare_selector(), self.pick(&RANGES));
        let range = self.computed(range);
        format!("{selector}[{range}]{reach}{}", self.modifiers(fixes))
    }

    fn selector(&mut self) -> String {
        let smoothed = if self.is_newer_in(30) { " smoothed" } else { "" };
        format!("{}{smoothed}{}", self.bare_selector(), self.modifiers(true))
    }

    /// `offset` and `@`, mostly neither.
    fn modifiers(&mut self, fixes: bool) -> String {
        let mut text = String::new();
        if self.one_in(6) {
            let offset = self.pick(&OFFSETS);
            text.push_str(&format!(" offset {}", self.computed_offset(offset)));
        }
        if fixes && self.one_in(10) {
            let at = match self.random.u32(..4) {
                0 => "start()".to_owned(),
                1 => "end()".to_owned(),
                _ => {
                    let metric = self.theme[0];
                    let at = instant(metric, self.random);
                    format!("{}.{:03}", at / 1000, at % 1000)
                }
            };
            text.push_str(&format!(" @ {at}"));
        }
        text
    }

    fn bare_selector(&mut self) -> String {
        let metric = *pick(&self.theme, self.random);
        let mut matchers = Vec::new();
        while self.one_in(3) && matchers.len() < 3 {
            matchers.push(self.matcher(metric));
        }
        let name = &metric.name;
        let quoted = self.words.dialect == Dialect::V3 && self.one_in(20);
        match self.random.u32(..20) {
            0 => matchers.push(format!("__name__={}", quote(name))),
            1 => {
                let other = pick(&self.theme, self.random).name.clone();
                matchers.push(format!("__name__=~{}", quote(&format!("{name}|{other}"))));
            }
            2 if quoted => matchers.insert(0, quote(name)),
            _ if !is_metric_name(name) => matchers.insert(0, quote(name)),
            _ if matchers.is_empty() => return name.clone(),
            _ => return format!("{name}{{{}}}", matchers.join(", ")),
        }
        format!("{{{}}}", matchers.join(", "))
    }

    fn matcher(&mut self, metric: &Metric) -> String {
        let Some((label, values)) = self.random.choice(&metric.labels) else {
            return format!("absent{}\"\"", self.pick(&["=", "!="]));
        };
        let value = pick(values, self.random);
        let label = written(label);
        match self.random.u32(..8) {
            0..3 => format!("{label}={}", quote(value)),
            3 => format!("{label}!={}", quote(value)),
            4 => format!("{label}=~{}", quote(&regex::escape(value))),
            5 => format!("{label}!~{}", quote(&format!("{}|.", regex::escape(value)))),
            6 => {
                format!("{label}=~\"{}\"", self.pick(&[".*", ".+", "[a-m].*", "", ".", "(a|x).*"]))
            }
            _ => format!("{label}!~\"{}\"", self.pick(&["", "a|b", "x.*", "[^a]"])),
        }
    }

    fn label(&mut self) -> String {
        let metric = *pick(&self.theme, self.random);
        match self.random.u32(..12) {
            0 => "absent".to_owned(),
            1 => "__name__".to_owned(),
            _ if metric.labels.is_empty() => "job".to_owned(),
            _ => pick(&metric.labels, self.random).0.clone(),
        }
    }

    fn labels(&mut self) -> String {
        let labels = (0..self.random.usize(..4)).map(|_| written(&self.label()));
        labels.collect::<Vec<String>>().join(", ")
    }
}

/// A label's name as it is written where no string is expected.
fn written(label: &str) -> String {
    if is_label_name(label) { label.to_owned() } else { quote(label) }
}

fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '"' | '\\' => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
