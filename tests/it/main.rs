//! Tests across modules, in one binary: linking is what costs.

mod source_pd;
