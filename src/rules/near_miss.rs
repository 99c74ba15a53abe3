//! How near a rule came: of each comparison with a number in its expression, the value nearest to that number.
//!
//! Comparisons between two series, and those inside of functions and aggregations, have no one number to be
//! near to and are left out.

use std::collections::BTreeMap;

use crate::model::{Labels, Timestamp};
use crate::promql::{BinaryOp, Expr, ExprKind, Expression, Value, ValueType};

/// How much less the value may be than the nearest one, as a share of it, to count as about as near.
const ABOUT: f64 = 0.1;

/// A comparison of an expression with a number: `left > 10`.
#[derive(Debug)]
pub struct Threshold {
    /// What is compared.
    pub compared: Expression,
    /// The operator, as it stands with the number on the right.
    pub operator: BinaryOp,
    /// The number, as an expression without series.
    pub number: Expression,
}

/// The comparisons with a number on which the result of an expression depends, from left to right.
pub fn thresholds(expression: &Expression) -> Vec<Threshold> {
    let mut found = Vec::new();
    let mut waiting = vec![expression.root()];
    while let Some(node) = waiting.pop() {
        let ExprKind::Binary(binary) = &node.unwrapped().kind else { continue };
        match binary.op {
            BinaryOp::And | BinaryOp::Or => waiting.extend([&binary.right, &binary.left]),
            BinaryOp::Unless => waiting.push(&binary.left),
            op if op.is_comparison() && !binary.returns_bool => {
                let sides =
                    [(&binary.left, op, &binary.right), (&binary.right, flipped(op), &binary.left)];
                let with_number =
                    sides.into_iter().find(|(left, _, right)| is_number(right) && !is_number(left));
                if let Some((left, operator, right)) = with_number
                    && let (Some(compared), Some(number)) =
                        (part(expression, left), part(expression, right))
                {
                    found.push(Threshold { compared, operator, number });
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether a node is a number that needs no series and does not depend on the instant.
fn is_number(node: &Expr) -> bool {
    let is_call = matches!(node.unwrapped().kind, ExprKind::Call { .. });
    node.value_type() == ValueType::Scalar && !is_call && node.children().into_iter().all(is_number)
}

/// A node as an expression of its own.
fn part(expression: &Expression, node: &Expr) -> Option<Expression> {
    let node = node.unwrapped();
    Expression::parse(&expression.text()[node.span.start..node.span.end]).ok()
}

/// The operator with its sides exchanged.
fn flipped(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Ge => BinaryOp::Le,
        BinaryOp::Le => BinaryOp::Ge,
        other => other,
    }
}

/// The value of one series that came nearest, over all instants that were [added](Approach::add).
#[derive(Debug)]
pub struct Approach {
    operator: BinaryOp,
    number: f64,
    interval_ms: i64,
    nearest: Option<(f64, Timestamp, Labels)>,
    /// The first and the last instant at which the comparison has held without a pause, by series.
    holds: BTreeMap<Labels, (Timestamp, Timestamp)>,
    held_ms: Option<i64>,
}

/// The instant and value of one series that came nearest.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// The value.
    pub value: f64,
    /// The first instant at which some series had it.
    pub at: Timestamp,
    /// The labels of that series.
    pub labels: Labels,
    /// The longest time for which the comparison held without a pause; `None` where it never did.
    pub held_ms: Option<i64>,
}

impl Approach {
    /// Starts without values. Instants are `interval_ms` apart.
    pub fn new(operator: BinaryOp, number: f64, interval_ms: i64) -> Self {
        Self { operator, number, interval_ms, nearest: None, holds: BTreeMap::new(), held_ms: None }
    }

    /// Adds the values of a range query, whose instants come after those of the one before.
    pub fn add(&mut self, values: &Value) {
        let Value::Matrix(matrix) = values else { return };
        for series in matrix {
            for sample in &series.samples {
                let Some(distance) = self.distance(sample.value) else { continue };
                if self.holds_at(sample.value) {
                    self.note_hold(&series.labels, sample.at);
                }
                let known = self.nearest.as_ref();
                let known = known.and_then(|(value, ..)| self.distance(*value));
                if known.is_none_or(|known| distance < known) {
                    self.nearest = Some((sample.value, sample.at, series.labels.clone()));
                }
            }
        }
    }

    /// What came nearest; `None` where there was no value.
    pub fn nearest(self) -> Option<Nearest> {
        let (value, at, labels) = self.nearest?;
        Some(Nearest { value, at, labels, held_ms: self.held_ms })
    }

    fn note_hold(&mut self, labels: &Labels, at: Timestamp) {
        let since = match self.holds.get(labels) {
            Some((since, last)) if at - *last <= self.interval_ms => *since,
            _ => at,
        };
        self.holds.insert(labels.clone(), (since, at));
        self.held_ms = self.held_ms.max(Some(at - since));
    }

    fn holds_at(&self, value: f64) -> bool {
        match self.operator {
            BinaryOp::Gt => value > self.number,
            BinaryOp::Ge => value >= self.number,
            BinaryOp::Lt => value < self.number,
            BinaryOp::Le => value <= self.number,
            BinaryOp::Eq => value == self.number,
            _ => value != self.number,
        }
    }

    /// How far a value is from making the comparison true; below zero where it is beyond. `None` where there
    /// is no such distance.
    fn distance(&self, value: f64) -> Option<f64> {
        let distance = match self.operator {
            BinaryOp::Gt | BinaryOp::Ge => self.number - value,
            BinaryOp::Lt | BinaryOp::Le => value - self.number,
            BinaryOp::Eq => (value - self.number).abs(),
            _ => return None,
        };
        (!distance.is_nan()).then_some(distance)
    }
}

/// How long the series stayed about as near, around the instant at which it came nearest.
pub fn lasted_ms(values: &Value, nearest: &Nearest, operator: BinaryOp, interval_ms: i64) -> i64 {
    let Value::Matrix(matrix) = values else { return 0 };
    let Some(series) = matrix.iter().find(|series| series.labels == nearest.labels) else {
        return 0;
    };
    let slack = ABOUT * nearest.value.abs();
    let is_near = |value: f64| match operator {
        BinaryOp::Lt | BinaryOp::Le => value <= nearest.value + slack,
        BinaryOp::Gt | BinaryOp::Ge => value >= nearest.value - slack,
        _ => (value - nearest.value).abs() <= slack,
    };
    let mut stretch: Option<(Timestamp, Timestamp)> = None;
    for sample in series.samples.iter().filter(|sample| is_near(sample.value)) {
        stretch = match stretch {
            Some((since, last)) if sample.at - last <= interval_ms => Some((since, sample.at)),
            Some((_, last)) if last >= nearest.at => break,
            _ => Some((sample.at, sample.at)),
        };
    }
    stretch.map_or(0, |(since, last)| last - since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Sample, Series};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    /// A series called `name`, every 15 s.
    fn series(name: &str, values: &[f64]) -> Series {
        let samples = (0..).zip(values).map(|(step, &value)| Sample { at: at(step * 15), value });
        Series { labels: Labels::from_pairs(&[("job", name)]), samples: samples.collect() }
    }

    fn parts(text: &str) -> Vec<(String, &'static str, String)> {
        let expression = Expression::parse(text).expect("it is PromQL");
        let one = |found: &Threshold| {
            let (compared, number) =
                (found.compared.text().to_owned(), found.number.text().to_owned());
            (compared, found.operator.symbol(), number)
        };
        thresholds(&expression).iter().map(one).collect()
    }

    fn part(
        compared: &str,
        operator: &'static str,
        number: &str,
    ) -> (String, &'static str, String) {
        (compared.to_owned(), operator, number.to_owned())
    }

    #[test]
    fn comparisons_with_numbers_are_found_on_both_sides_and_below_set_operators() {
        assert_eq!(parts("rate(a[5m]) > 10"), [part("rate(a[5m])", ">", "10")]);
        assert_eq!(parts("2 * 1024 > (a)"), [part("a", "<", "2 * 1024")]);
        assert_eq!(
            parts("(a > 1 and on (x) b == 0) or c < -1"),
            [part("a", ">", "1"), part("b", "==", "0"), part("c", "<", "-1")]
        );
        assert_eq!(parts("a > 1 unless b > 2"), [part("a", ">", "1")]);
        assert_eq!(parts("a > b * 0.8"), []);
        assert_eq!(parts("sum(a > 1)"), []);
        assert_eq!(parts("a > time()"), []);
    }

    #[test]
    fn the_nearest_value_is_told_with_its_time_and_how_long_it_held() {
        let matrix = Value::Matrix(vec![
            series("x", &[1.0, 7.5, 7.98, 7.6, 2.0]),
            series("y", &[3.0, f64::NAN, 3.0, 3.0, 3.0]),
        ]);
        let mut approach = Approach::new(BinaryOp::Gt, 10.0, 15_000);
        approach.add(&matrix);
        let nearest = approach.nearest().expect("there are values");
        assert_eq!((nearest.value, nearest.at, nearest.held_ms), (7.98, at(30), None));
        assert_eq!(nearest.labels, Labels::from_pairs(&[("job", "x")]));
        assert_eq!(lasted_ms(&matrix, &nearest, BinaryOp::Gt, 15_000), 30_000);

        let mut approach = Approach::new(BinaryOp::Lt, 3.5, 15_000);
        approach.add(&matrix);
        let nearest = approach.nearest().expect("there are values");
        // The comparison held for `y` from the third instant to the last one.
        assert_eq!((nearest.value, nearest.at, nearest.held_ms), (1.0, at(0), Some(30_000)));
    }

    #[test]
    fn nothing_is_near_where_there_is_no_value_or_no_distance() {
        let nothing = Approach::new(BinaryOp::Gt, 1.0, 15_000);
        assert_eq!(nothing.nearest(), None);
        let mut unequal = Approach::new(BinaryOp::Ne, 1.0, 15_000);
        unequal.add(&Value::Matrix(vec![series("x", &[1.0])]));
        assert_eq!(unequal.nearest(), None);
    }
}
