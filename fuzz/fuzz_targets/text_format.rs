//! Any page of metrics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use operator::source::TextFormat;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut page) = TextFormat::new(bytes) else { return };
    while let Ok(Some(_)) = page.next_sample() {}
});
