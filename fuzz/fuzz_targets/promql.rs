//! Any text as PromQL, parsed and evaluated in both dialects.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use operator::promql::Dialect;
use testkit::fuzz::Bench;

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::new(1));

fuzz_target!(|text: &str| {
    for dialect in [Dialect::V2, Dialect::V3] {
        BENCH.evaluate(dialect, text, (300_000, 360_000, 15_000));
    }
});
