//! The `operator` program; everything is in the library's `cli` module.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

fn main() -> ExitCode {
    operator::cli::main()
}
