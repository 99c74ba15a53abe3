//! The tests that cross a boundary: a file, a socket, a process.

mod source_prometheus;
