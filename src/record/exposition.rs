//! The state of a recording in Prometheus's text format 0.0.4, for scraping the recorder itself.
//!
//! Serving it over HTTP is in `watch`.

use std::fmt::Write;

use super::Progress;

/// The value of the header `Content-Type` for the text of [`exposition`].
pub const EXPOSITION_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metric families in the order in which they are written: name, type and help.
const FAMILIES: [(&str, &str, &str); 12] = [
    ("operator_source_requests_total", "counter", "Requests to a source, by how they ended."),
    ("operator_source_request_seconds", "summary", "Time that requests to a source took."),
    ("operator_commit_seconds", "summary", "Time that commits to the capture took."),
    ("operator_samples_total", "counter", "Samples recorded since the start."),
    ("operator_pd_answers_total", "counter", "PD answers recorded since the start."),
    ("operator_gaps_total", "counter", "Gaps recorded since the start."),
    ("operator_capture_bytes", "gauge", "Size of the capture."),
    ("operator_capture_series", "gauge", "Series in the capture."),
    ("operator_failing_sources", "gauge", "Sources that do not answer at the moment."),
    ("operator_disk_full", "gauge", "Whether nothing can be committed for lack of space."),
    ("operator_last_commit_timestamp_seconds", "gauge", "When the last commit ended."),
    (
        "operator_copied_through_timestamp_seconds",
        "gauge",
        "Up to where Prometheus has been copied.",
    ),
];

/// Every metric of a recording as text. The labels `job` and `instance` are left out, since the
/// scraping Prometheus adds its own.
pub fn exposition(progress: &Progress) -> String {
    let mut lines: Vec<(String, String, f64)> = Vec::new();
    for (labels, value) in &progress.own {
        let mut text = String::new();
        for (name, value) in labels.iter() {
            if !matches!(name, "__name__" | "job" | "instance") {
                let separator = if text.is_empty() { '{' } else { ',' };
                let _ = write!(text, "{separator}{name}=\"{}\"", escaped_label_value(value));
            }
        }
        if !text.is_empty() {
            text.push('}');
        }
        lines.push((labels.metric().to_owned(), text, *value));
    }
    let mut plain = |name: &str, value: f64| lines.push((name.to_owned(), String::new(), value));
    plain("operator_pd_answers_total", progress.pd_answers as f64);
    plain("operator_gaps_total", progress.gaps as f64);
    plain("operator_capture_series", progress.series as f64);
    plain("operator_failing_sources", progress.failing as f64);
    plain("operator_disk_full", f64::from(u8::from(progress.disk_full)));
    plain("operator_last_commit_timestamp_seconds", progress.at.as_millis() as f64 / 1000.0);
    if let Some(through) = progress.copied_through {
        plain("operator_copied_through_timestamp_seconds", through.as_millis() as f64 / 1000.0);
    }
    let mut text = String::new();
    for (family, kind, help) in FAMILIES {
        let _ = writeln!(text, "# HELP {family} {help}\n# TYPE {family} {kind}");
        let of_family = |name: &str| match kind {
            "summary" => {
                name.strip_prefix(family).is_some_and(|end| matches!(end, "_sum" | "_count"))
            }
            _ => name == family,
        };
        for (name, labels, value) in lines.iter().filter(|(name, _, _)| of_family(name)) {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}

/// The value of a label as it stands between quotes in the text format.
pub fn escaped_label_value(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::record::SelfMetrics;

    fn progress() -> Progress {
        let mut own = SelfMetrics::default();
        own.count_request("pd/\"pd0\"", "ok", 0.5);
        own.count_commit(0.25, 10, 4096);
        Progress {
            at: Timestamp::from_millis(1_500),
            gaps: 2,
            own: own.series(),
            ..Progress::default()
        }
    }

    #[test]
    fn every_own_series_is_written_under_its_family() {
        let text = exposition(&progress());
        for (labels, _) in progress().own {
            assert!(text.contains(&format!("\n{}", labels.metric())), "{labels} is not written");
        }
        let summary = "# TYPE operator_commit_seconds summary\n\
            operator_commit_seconds_sum 0.25\noperator_commit_seconds_count 1\n";
        assert!(text.contains(summary), "{text}");
    }

    #[test]
    fn values_are_escaped_and_the_target_is_left_out() {
        let text = exposition(&progress());
        let line = r#"operator_source_requests_total{result="ok",source="pd/\"pd0\""} 1"#;
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("job=") && !text.contains("instance="), "{text}");
    }

    #[test]
    fn what_is_not_known_is_not_written() {
        let text = exposition(&progress());
        assert!(text.contains("operator_last_commit_timestamp_seconds 1.5\n"), "{text}");
        assert!(!text.contains("\noperator_copied_through_timestamp_seconds "), "{text}");
    }
}
