//! Targets that change within a run: pods that get other addresses, labels that change.

use operator::model::{PdOutcome, Sample, Series, Timestamp, is_stale, stale_marker};

use super::naming::{Named, bare, dns, ip, pod, pod_dns, rename, service_monitor};
use crate::run::Run;

/// When the process behind each target started anew, by its job and instance, for the stores.
fn restarts(run: &Run) -> Vec<(String, Timestamp)> {
    let starts = run.series.iter().filter(|one| {
        one.labels.metric() == "process_start_time_seconds"
            && one.labels.get("job").is_some_and(|job| job.contains("tikv"))
    });
    starts
        .filter_map(|one| {
            let live: Vec<&Sample> =
                one.samples.iter().filter(|sample| !is_stale(sample.value)).collect();
            let changed = live.windows(2).find(|pair| pair[1].value > pair[0].value + 1.0)?;
            let start = Timestamp::from_millis((changed[1].value * 1000.0) as i64);
            Some((one.labels.get("instance")?.to_owned(), start))
        })
        .collect()
}

/// Splits the series of a target at an instant: what comes later has these labels.
fn split(run: &mut Run, instance: &str, at: Timestamp, labels: &[(&str, &str)]) {
    let mut later = Vec::new();
    for series in &mut run.series {
        if series.labels.get("instance") != Some(instance) {
            continue;
        }
        let from = series.samples.partition_point(|sample| sample.at < at);
        let samples = series.samples.split_off(from);
        if samples.is_empty() {
            continue;
        }
        // Prometheus marks the series of a target that it scrapes no longer.
        if series.samples.last().is_some_and(|last| !is_stale(last.value)) {
            series.samples.push(Sample { at: samples[0].at, value: stale_marker() });
        }
        later.push(Series { labels: series.labels.with(labels), samples });
    }
    run.series.extend(later);
    run.series.retain(|series| !series.samples.is_empty());
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// A `ServiceMonitor`, and pods that come back with another IP.
pub(super) fn pods_move(run: &mut Run) {
    service_monitor(run);
    for (instance, at) in restarts(run) {
        split(run, &instance, at, &[("instance", "10.244.9.99:20180")]);
    }
}

/// The same, where no label names a pod.
pub(super) fn pods_move_bare(run: &mut Run) {
    rename(run, |node| {
        let member = if node.component == "pd" { pod(node) } else { String::new() };
        Named { member, ..Named::new(node, pod_dns(node), bare(node)) }
    });
    for (instance, at) in restarts(run) {
        split(run, &instance, at, &[("instance", "10.244.9.99:20180")]);
    }
}

/// A store comes back at another address, which PD lists from then on.
pub(super) fn address_moves(run: &mut Run) {
    rename(run, |node| {
        let host = format!("10.0.1.{}", ip(node));
        let instance = format!("{host}:{}", node.port());
        Named::new(node, host, vec![("job", node.component.to_owned()), ("instance", instance)])
    });
    for (instance, at) in restarts(run) {
        let host = instance.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
        split(run, &instance, at, &[("instance", "10.0.9.99:20180")]);
        for answer in run.pd.iter_mut().filter(|answer| answer.sent >= at) {
            if let PdOutcome::Answered { body, .. } = &mut answer.outcome {
                let text = String::from_utf8_lossy(body).replace(&format!("{host}:"), "10.0.9.99:");
                *body = text.into_bytes().into();
            }
        }
    }
}

/// A label of every store's target changes in the middle of the run, as that of a pod's revision does.
pub(super) fn relabelled_within(run: &mut Run) {
    dns(run);
    let middle = run.at(run.window.millis() / 2000);
    let stores = run
        .series
        .iter()
        .filter(|one| one.labels.metric() == "up" && one.labels.get("job") == Some("tikv"));
    let stores: Vec<String> =
        stores.filter_map(|one| Some(one.labels.get("instance")?.to_owned())).collect();
    for instance in stores {
        split(run, &instance, middle, &[("revision", "b")]);
    }
}
