//! The operators of PromQL: aggregation operators and binary operators.

use crate::promql::syntax::ast::ValueType;

/// An aggregation operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateOp {
    /// `sum`: the sum of the values.
    Sum,
    /// `avg`: the mean of the values.
    Avg,
    /// `count`: the number of series.
    Count,
    /// `min`: the smallest value.
    Min,
    /// `max`: the largest value.
    Max,
    /// `group`: one for every group.
    Group,
    /// `stddev`: the population standard deviation.
    Stddev,
    /// `stdvar`: the population variance.
    Stdvar,
    /// `topk`: the series with the largest values.
    Topk,
    /// `bottomk`: the series with the smallest values.
    Bottomk,
    /// `count_values`: the number of series for each value.
    CountValues,
    /// `quantile`: a quantile of the values.
    Quantile,
    /// `limitk`: some number of series.
    Limitk,
    /// `limit_ratio`: some share of the series.
    LimitRatio,
}

impl AggregateOp {
    /// All aggregation operators with their names.
    pub const ALL: [(&'static str, Self); 14] = [
        ("sum", Self::Sum),
        ("avg", Self::Avg),
        ("count", Self::Count),
        ("min", Self::Min),
        ("max", Self::Max),
        ("group", Self::Group),
        ("stddev", Self::Stddev),
        ("stdvar", Self::Stdvar),
        ("topk", Self::Topk),
        ("bottomk", Self::Bottomk),
        ("count_values", Self::CountValues),
        ("quantile", Self::Quantile),
        ("limitk", Self::Limitk),
        ("limit_ratio", Self::LimitRatio),
    ];

    /// The name as it is written in an expression.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }

    /// The type of the parameter before the aggregated expression, where there is one.
    pub fn parameter(self) -> Option<ValueType> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`: the sum.
    Add,
    /// `-`: the difference.
    Sub,
    /// `*`: the product.
    Mul,
    /// `/`: the quotient.
    Div,
    /// `%`: the remainder, with the sign of the dividend.
    Mod,
    /// `^`: the power.
    Pow,
    /// `atan2`: the angle of a point in radians.
    Atan2,
    /// `==`: whether both are equal.
    Eq,
    /// `!=`: whether they differ.
    Ne,
    /// `>`: whether the left one is greater.
    Gt,
    /// `<`: whether the left one is less.
    Lt,
    /// `>=`: whether the left one is greater or equal.
    Ge,
    /// `<=`: whether the left one is less or equal.
    Le,
    /// `and`: the series of the left side that the right side has too.
    And,
    /// `or`: the series of the left side, and those that only the right side has.
    Or,
    /// `unless`: the series of the left side that the right side lacks.
    Unless,
}

impl BinaryOp {
    /// The operator as it is written in an expression.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Gt => ">",
            Self::Lt => "<",
            Self::Ge => ">=",
            Self::Le => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// How strongly the operator binds: from 1, the weakest, to 6.
    pub(in crate::promql) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Eq | Self::Ne | Self::Gt | Self::Lt | Self::Ge | Self::Le => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
        }
    }

    /// Whether it is a comparison, which filters or returns 0 and 1.
    pub fn is_comparison(self) -> bool {
        self.precedence() == 3
    }

    /// Whether it is a set operator: `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        self.precedence() <= 2
    }
}
