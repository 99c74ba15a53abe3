//! From the text of an expression to a typed tree, by Prometheus's grammar and in its error
//! messages.
//!
//! Knows nothing of samples: `eval` walks the tree.

pub(super) mod ast;
pub(super) mod check;
pub(super) mod duration;
pub(super) mod expression;
pub(super) mod functions;
pub(super) mod lexer;
pub(super) mod operators;
pub(super) mod parser;
pub(super) mod series_notation;
pub(super) mod v3_features;
