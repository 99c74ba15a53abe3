//! The tree that an expression's text is parsed into.

use std::fmt;

use crate::model::is_label_name;
use crate::promql::dialect::Dialect;
use crate::promql::go_compat::regexp;
use crate::promql::syntax::duration::ComputedDurations;
use crate::promql::syntax::functions::Function;
use crate::promql::syntax::operators::{AggregateOp, BinaryOp};

/// A part of an expression's text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it starts.
    pub start: usize,
    /// Where it ends, exclusive.
    pub end: usize,
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number at each step.
    Scalar,
    /// A string.
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

/// A node with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What the node is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
    /// Levels of nodes down to the deepest leaf; a leaf has 1.
    pub(in crate::promql) depth: usize,
    /// Its durations that are computed and not just written.
    pub(in crate::promql) computed_durations: Option<Box<ComputedDurations>>,
}

/// The kinds of node.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number.
    Number(f64),
    /// A string.
    String(String),
    /// An instant vector selector.
    Selector(Selector),
    /// A range vector selector.
    Range {
        /// Which series.
        selector: Selector,
        /// The window's length.
        range_ms: i64,
    },
    /// A subquery.
    Subquery(Box<Subquery>),
    /// A function call.
    Call {
        /// Which function.
        function: Function,
        /// Its arguments, as written.
        args: Vec<Expr>,
    },
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// A binary operation.
    Binary(Box<Binary>),
    /// A negation.
    Negate(Box<Expr>),
    /// Parentheses.
    Paren(Box<Expr>),
}

/// How a matcher compares, before its regular expression is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// A condition on a label as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParsedMatcher {
    /// The label.
    pub name: String,
    /// The comparison.
    pub comparison: Comparison,
    /// A value or a regular expression.
    pub value: String,
}

impl ParsedMatcher {
    /// Whether a series without the label meets it.
    pub(in crate::promql) fn accepts_empty(&self) -> bool {
        let matches =
            || regexp::anchored(&self.value, Dialect::V3).is_ok_and(|regex| regex.is_match(""));
        match self.comparison {
            Comparison::Equal => self.value.is_empty(),
            Comparison::NotEqual => !self.value.is_empty(),
            Comparison::Regex => matches(),
            Comparison::NotRegex => !matches(),
        }
    }
}

impl fmt::Display for ParsedMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = match self.comparison {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Regex => "=~",
            Comparison::NotRegex => "!~",
        };
        if is_label_name(&self.name) {
            write!(f, "{}{comparison}{:?}", self.name, self.value)
        } else {
            write!(f, "{:?}{comparison}{:?}", self.name, self.value)
        }
    }
}

/// The instant that `@` fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the Unix epoch.
    Millis(i64),
    /// `start()`: the query's first step.
    Start,
    /// `end()`: the query's last step.
    End,
}

/// Whether samples beyond a window's ends, or after an instant, have a say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeExtension {
    /// None has.
    #[default]
    None,
    /// `anchored`: the newest one before the window has.
    Anchored,
    /// `smoothed`: those on either side of an end have.
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

/// Which series, and as of when.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// All conditions; that of the metric's name stands last where it was written as a name.
    pub matchers: Vec<ParsedMatcher>,
    /// The `@` modifier.
    pub at: Option<At>,
    /// How far back; negative looks ahead.
    pub offset_ms: i64,
    /// Which samples beyond its own count.
    pub extension: RangeExtension,
    /// Whether the metric's name stands in quotes among the conditions.
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
    /// What is evaluated.
    pub expr: Expr,
    /// The window's length.
    pub range_ms: i64,
    /// The step, where one is written.
    pub step_ms: Option<i64>,
    /// The `@` modifier.
    pub at: Option<At>,
    /// How far back.
    pub offset_ms: i64,
}

/// `by` or `without` and its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Keep only these labels. Without a clause: none.
    By(Vec<String>),
    /// Keep all labels but these and the metric's name.
    Without(Vec<String>),
}

/// An aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The operator's parameter.
    pub param: Option<Expr>,
    /// How series are grouped.
    pub grouping: Grouping,
}

/// Which side of a vector match may have several series for one of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One series meets at most one.
    OneToOne,
    /// `group_left`: many on the left; the labels are copied from the right.
    ManyToOne(Vec<String>),
    /// `group_right`: many on the right; the labels are copied from the left.
    OneToMany(Vec<String>),
    /// Set operators.
    ManyToMany,
}

impl Cardinality {
    /// The labels that are copied from the side of one.
    pub fn included(&self) -> &[String] {
        match self {
            Self::ManyToOne(labels) | Self::OneToMany(labels) => labels,
            Self::OneToOne | Self::ManyToMany => &[],
        }
    }
}

/// How series of two vectors find each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// `on` where true, `ignoring` where false.
    pub on: bool,
    /// The labels of the clause.
    pub labels: Vec<String>,
    /// Which side may have many.
    pub cardinality: Cardinality,
    /// `fill_left`: the value that stands for a missing series on the left.
    pub fill_left: Option<f64>,
    /// `fill_right`: the value that stands for a missing series on the right.
    pub fill_right: Option<f64>,
}

/// A binary operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Its left side.
    pub left: Expr,
    /// Its right side.
    pub right: Expr,
    /// How series match; of use between two vectors only.
    pub matching: Matching,
    /// Whether a comparison returns 0 and 1 instead of filtering.
    pub returns_bool: bool,
}

impl Expr {
    /// What the node evaluates to.
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

    /// The same, to be changed.
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
