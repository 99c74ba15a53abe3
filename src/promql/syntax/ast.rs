//! The tree that an expression's text is parsed into.

use crate::model::{Comparison, MatcherText};
use crate::promql::dialect::Dialect;
use crate::promql::go_compat::regexp;
use crate::promql::syntax::duration::ComputedDurations;
use crate::promql::syntax::functions::Function;
use crate::promql::syntax::operators::{AggregateOp, BinaryOp};

/// A part of an expression's text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte, counted from 0.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// The type of the value of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number at each step.
    Scalar,
    /// One text, the same at each step.
    String,
    /// Series with at most one value at each step.
    Vector,
    /// Series with the samples of a window.
    Matrix,
}

impl ValueType {
    /// The name that users know from Prometheus's documentation.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

/// A node of the tree with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// The kind of the node.
    pub kind: ExprKind,
    /// The place of the node in the text.
    pub span: Span,
    /// Levels of nodes down to the deepest leaf; a leaf has 1.
    pub(in crate::promql) depth: usize,
    /// The durations of the node that are computed, where there are any.
    pub(in crate::promql) computed_durations: Option<Box<ComputedDurations>>,
}

/// The kinds of node.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number as written, or a duration in seconds.
    Number(f64),
    /// A string without its quotes.
    String(String),
    /// An instant vector selector.
    Selector(Selector),
    /// A range vector selector.
    Range {
        /// The series whose samples are taken.
        selector: Selector,
        /// The length of the window in milliseconds.
        range_ms: i64,
    },
    /// A subquery such as `expr[1h:1m]`.
    Subquery(Box<Subquery>),
    /// A call of a function.
    Call {
        /// The function that is called.
        function: Function,
        /// The arguments in the order in which they are written.
        args: Vec<Expr>,
    },
    /// An aggregation such as `sum by (job) (expr)`.
    Aggregate(Box<Aggregate>),
    /// A binary operation such as `left + right`.
    Binary(Box<Binary>),
    /// An operand with a minus sign before it.
    Negate(Box<Expr>),
    /// An expression in parentheses.
    Paren(Box<Expr>),
}

/// Whether a series without the label matches.
pub(in crate::promql) fn accepts_empty(matcher: &MatcherText) -> bool {
    let matches =
        || regexp::anchored(&matcher.value, Dialect::V3).is_ok_and(|regex| regex.is_match(""));
    match matcher.comparison {
        Comparison::Equal => matcher.value.is_empty(),
        Comparison::NotEqual => !matcher.value.is_empty(),
        Comparison::Regex => matches(),
        Comparison::NotRegex => !matches(),
    }
}

/// The instant of an `@` modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the Unix epoch.
    Millis(i64),
    /// `start()`: the query's first step.
    Start,
    /// `end()`: the query's last step.
    End,
}

/// Whether samples beyond a window's ends, or after an instant, count: Prometheus's extended range
/// selectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeExtension {
    /// No modifier: no sample beyond the ends counts.
    #[default]
    None,
    /// `anchored`: the newest sample before the window counts.
    Anchored,
    /// `smoothed`: the samples on both sides of each end count.
    Smoothed,
}

impl RangeExtension {
    /// The modifier as it is written; empty where there is none.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}

/// A selector of series with its modifiers.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// All matchers; that of the metric's name is the last one where it is written before the
    /// braces.
    pub matchers: Vec<MatcherText>,
    /// The `@` modifier.
    pub at: Option<At>,
    /// The `offset` in milliseconds; a negative one looks ahead.
    pub offset_ms: i64,
    /// Which samples beyond the window count.
    pub extension: RangeExtension,
    /// Whether the metric's name is written in quotes among the matchers.
    pub quotes_name: bool,
}

impl Selector {
    /// The metric's name, where an equality fixes it.
    pub fn metric(&self) -> Option<&str> {
        self.matchers
            .iter()
            .find(|c| c.name == "__name__" && c.comparison == Comparison::Equal)
            .map(|condition| condition.value.as_str())
    }
}

/// An expression evaluated at steps of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// The expression that is evaluated at each step of the subquery.
    pub expr: Expr,
    /// The length of the window in milliseconds.
    pub range_ms: i64,
    /// The step in milliseconds, where one is written.
    pub step_ms: Option<i64>,
    /// The `@` modifier.
    pub at: Option<At>,
    /// The `offset` in milliseconds.
    pub offset_ms: i64,
}

/// `by` or `without` and its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Keep only these labels; none where no clause is written.
    By(Vec<String>),
    /// Keep all labels but these and the metric's name.
    Without(Vec<String>),
}

/// An aggregation of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The aggregation operator.
    pub op: AggregateOp,
    /// The instant vector that is aggregated.
    pub expr: Expr,
    /// The operator's parameter, such as the number of `topk`.
    pub param: Option<Expr>,
    /// How series are grouped.
    pub grouping: Grouping,
}

/// Which side of a vector match may have several series that match one series of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// A series matches at most one series of the other side.
    OneToOne,
    /// `group_left`: several series on the left; the labels are copied from the right.
    ManyToOne(Vec<String>),
    /// `group_right`: several series on the right; the labels are copied from the left.
    OneToMany(Vec<String>),
    /// Set operators, which match any number of series.
    ManyToMany,
}

impl Cardinality {
    /// The labels that are copied from the side that has one series.
    pub fn included(&self) -> &[String] {
        match self {
            Self::ManyToOne(labels) | Self::OneToMany(labels) => labels,
            Self::OneToOne | Self::ManyToMany => &[],
        }
    }
}

/// Which series of two instant vectors match.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// `on` where true, `ignoring` where false.
    pub on: bool,
    /// The labels of the clause.
    pub labels: Vec<String>,
    /// Which side may have several series that match one series of the other side.
    pub cardinality: Cardinality,
    /// `fill_left`: the value of a series that is missing on the left.
    pub fill_left: Option<f64>,
    /// `fill_right`: the value of a series that is missing on the right.
    pub fill_right: Option<f64>,
}

/// A binary operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator between both sides.
    pub op: BinaryOp,
    /// The operand on the left.
    pub left: Expr,
    /// The operand on the right.
    pub right: Expr,
    /// How series match; has a meaning between two instant vectors only.
    pub matching: Matching,
    /// Whether a comparison returns 0 and 1 instead of filtering.
    pub returns_bool: bool,
}

impl Expr {
    /// The type of the value of the node.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Selector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::Range { .. } | ExprKind::Subquery(_) => ValueType::Matrix,
            ExprKind::Call { function, .. } => function.signature().returns,
            ExprKind::Negate(inner) | ExprKind::Paren(inner) => inner.value_type(),
            ExprKind::Binary(binary) => {
                let scalar = |expr: &Expr| expr.value_type() == ValueType::Scalar;
                if scalar(&binary.left) && scalar(&binary.right) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
        }
    }

    /// The node without parentheses around it.
    pub fn unwrapped(&self) -> &Self {
        let mut node = self;
        while let ExprKind::Paren(inner) = &node.kind {
            node = inner;
        }
        node
    }

    /// The node's children, from left to right, to be changed.
    pub(in crate::promql) fn children_mut(&mut self) -> Vec<&mut Self> {
        match &mut self.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Selector(_)
            | ExprKind::Range { .. } => Vec::new(),
            ExprKind::Subquery(subquery) => vec![&mut subquery.expr],
            ExprKind::Call { args, .. } => args.iter_mut().collect(),
            ExprKind::Aggregate(aggregate) => {
                aggregate.param.iter_mut().chain([&mut aggregate.expr]).collect()
            }
            ExprKind::Binary(binary) => vec![&mut binary.left, &mut binary.right],
            ExprKind::Negate(inner) | ExprKind::Paren(inner) => vec![inner],
        }
    }

    /// The node's children, from left to right.
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Selector(_)
            | ExprKind::Range { .. } => Vec::new(),
            ExprKind::Subquery(subquery) => vec![&subquery.expr],
            ExprKind::Call { args, .. } => args.iter().collect(),
            ExprKind::Aggregate(aggregate) => {
                aggregate.param.iter().chain([&aggregate.expr]).collect()
            }
            ExprKind::Binary(binary) => vec![&binary.left, &binary.right],
            ExprKind::Negate(inner) | ExprKind::Paren(inner) => vec![inner],
        }
    }
}
