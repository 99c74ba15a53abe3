//! One binary for all integration tests, since linking is what costs; a module per subject.

mod captures;
mod cli;
mod diagnosis;
mod layering;
mod source_pd;
mod source_prometheus;
