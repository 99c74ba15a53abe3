//! What Go's library and compiler do, to the bit, where an answer of Prometheus depends on it:
//! printed floats, transcendental functions, the order in which a sort leaves equal elements,
//! regular expressions.

pub(super) mod number;
pub(super) mod pdqsort;
pub(super) mod re2;
pub(super) mod regexp;
pub(super) mod transcendental;
