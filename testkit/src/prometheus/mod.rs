//! A real Prometheus: the process, its HTTP API for queries, and what it returns over remote read.

pub mod api;
pub mod remote_read;
pub mod server;
