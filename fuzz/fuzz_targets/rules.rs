//! Any text as a rule file and as a file of tests for rules.

#![no_main]

use libfuzzer_sys::fuzz_target;
use operator::rules::{RuleFile, RuleTests};

fuzz_target!(|text: &str| {
    let _ = RuleFile::parse("fuzz.yaml", text);
    let _ = RuleTests::parse("fuzz.yaml", text);
});
