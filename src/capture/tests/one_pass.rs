//! One pass over a capture that selects series and streams others by.

use std::collections::BTreeMap;

use super::*;
use crate::model::Series;

const ALL: Reads = Reads { select: Selection::All, scan: false };
const SCANNED: Reads = Reads { select: Selection::No, scan: true };
const COUNTED: Reads = Reads { select: Selection::FromFirstCount, scan: false };

/// Three ticks of two targets: the first two sealed, the last in the journal.
fn written(path: &std::path::Path) -> CaptureWriter {
    let mut writer = CaptureWriter::create(path, meta()).expect("creates");
    for number in 0..3 {
        if number == 2 {
            writer.finish().expect("seals");
            writer = CaptureWriter::resume(path).expect("resumes");
        }
        let mut tick = Tick::default();
        for instance in ["a:1", "b:1"] {
            let mut one = |metric: &str, value: f64| {
                let at = 1_000 * number + 1_000;
                push(&mut writer, &mut tick, &series(metric, instance), &[(at, value)]);
            };
            one("up", 1.0);
            one("idle_bucket", 0.0);
            one("late_bucket", if number == 0 { 0.0 } else { 7.0 });
            one("waits", number as f64);
        }
        writer.commit(tick).expect("commits");
    }
    writer
}

fn reads(set: &Labels) -> Reads {
    match set.metric() {
        "up" => ALL,
        "waits" => Reads { scan: true, ..ALL },
        metric if metric.ends_with("_bucket") => COUNTED,
        _ => SCANNED,
    }
}

#[test]
fn one_pass_selects_what_a_selection_does_and_streams_what_a_scan_does() {
    let scene = Scene::new();
    let path = scene.path("pass.capture");
    let writer = written(&path);
    let reader = CaptureReader::open(&path).expect("opens");
    for range in [TimeRange::ALL, TimeRange::new(at(1_500), at(2_500))] {
        let mut streamed: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
        let mut found = reader
            .select_and_scan(reads, range, |run| {
                streamed.entry(run.labels()).or_default().extend(run.samples());
            })
            .expect("reads");
        let mut selected = reader.select(&[], range).expect("reads");
        selected.retain(|one| one.labels.metric() != "idle_bucket");
        for one in &mut selected {
            if one.labels.metric() == "late_bucket" {
                one.samples.retain(|sample| sample.value != 0.0);
            }
        }
        assert_eq!(found, selected);
        found.retain(|one| one.labels.metric() == "waits");
        let streamed = streamed.into_iter().map(|(labels, samples)| Series { labels, samples });
        assert_eq!(streamed.collect::<Vec<_>>(), found);
    }
    drop(writer);
}
