//! The headings under which the help of several commands lists options.

/// What is read.
pub const INPUT: &str = "Input";
/// Which part of it, as of when, and how times are given.
pub const TIME: &str = "Time";
/// How expressions are evaluated.
pub const EVALUATION: &str = "Evaluation";
/// What is printed or written.
pub const OUTPUT: &str = "Output";
