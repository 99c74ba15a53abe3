//! Any log of a node.

#![no_main]

use libfuzzer_sys::fuzz_target;
use operator::logs::{ExtractOptions, Extractor, NodeNames, log_series};
use operator::model::{TimeRange, Timestamp};

fuzz_target!(|bytes: &[u8]| {
    // A day, so that times that the input makes up often lie inside it.
    let start = Timestamp::from_millis(1_704_067_200_000);
    let options = ExtractOptions {
        node: "node".to_owned(),
        window: TimeRange::new(start, start + 86_400_000),
        zone: Some(Zone::UTC),
        names: NodeNames::default(),
    };
    let mut extractor = Extractor::new(options);
    // Compressed data may be broken, which is an error and never a panic.
    let _ = extractor.read("log", bytes);
    log_series(&extractor.finish());
});
