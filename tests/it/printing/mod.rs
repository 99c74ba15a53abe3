//! Everything that is printed: what of it may not show, and where it cannot be printed.

mod closed;
mod escapes;
mod secrets;
mod width;

use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_operator"))
}
