//! The result of a query as text, as CSV, and as a plot of characters.
//!
//! Its JSON is made in `promql`, its Parquet in `query_parquet`.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::plot::{Curve, Marks, Scale, TextPlot, Unit};
use super::table::table_of_numbers;
use crate::model::{Labels, Sample, Series, TimeRange, escape};
use crate::promql::{Answer, Value, format_value};

/// The number of series that a plot shows; more lines would hide each other.
const PLOTTED: usize = 6;
/// Lines of the curve of a series.
const PLOT_ROWS: usize = 8;
/// The most labels of values beside it.
const PLOT_TICKS: usize = 5;

/// The result as a table: the elements of an instant vector with their values, or each series with the
/// number of its points and their first, least, greatest and last value. Labels are escaped.
pub fn query_text(answer: &Answer) -> String {
    let mut out = String::new();
    match &answer.value {
        Value::Scalar(sample) => push_line(&mut out, &format_value(sample.value)),
        Value::String { text, .. } => push_line(&mut out, &escape(text)),
        Value::Vector(vector) if vector.is_empty() => out.push_str("no series\n"),
        Value::Matrix(matrix) if matrix.is_empty() => out.push_str("no series\n"),
        Value::Vector(vector) => {
            let rows = vector
                .iter()
                .map(|element| vec![name(&element.labels), format_value(element.sample.value)]);
            out.push_str(&table_of_numbers(&rows.collect::<Vec<_>>()));
        }
        Value::Matrix(matrix) => {
            let mut rows = vec![
                ["series", "points", "first", "min", "max", "last"].map(str::to_owned).to_vec(),
            ];
            rows.extend(matrix.iter().map(summary));
            out.push_str(&table_of_numbers(&rows));
        }
    }
    out
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn name(labels: &Labels) -> String {
    escape(&labels.to_string())
}

fn summary(series: &Series) -> Vec<String> {
    let values = || series.samples.iter().map(|sample| sample.value);
    let end = |sample: Option<&Sample>| sample.map_or(String::new(), |s| format_value(s.value));
    vec![
        name(&series.labels),
        series.samples.len().to_string(),
        end(series.samples.first()),
        format_value(values().fold(f64::NAN, f64::min)),
        format_value(values().fold(f64::NAN, f64::max)),
        end(series.samples.last()),
    ]
}

/// The result as CSV (RFC 4180): a line for each sample with `time` (RFC 3339, UTC), `value` and a
/// column for each label that any series has, `__name__` first, the others ascending.
///
/// Names and values of labels, and a result that is text, are [escaped](escape), so that no cell
/// holds a line break; and where a spreadsheet would take one for a formula, a `'` stands before it
/// (OWASP, CSV injection). Text that is a number, such as `+Inf` under `le`, is no formula.
pub fn query_csv(answer: &Answer) -> String {
    let rows = rows(answer);
    let names: BTreeSet<&str> =
        rows.iter().flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by_key(|name| (*name != "__name__", *name));
    let mut out = String::from("time,value");
    for name in &names {
        out.push(',');
        out.push_str(&quoted(name));
    }
    out.push_str("\r\n");
    for (labels, samples) in &rows {
        for sample in *samples {
            write!(out, "{},{}", sample.at, format_value(sample.value))
                .expect("writing to a string succeeds");
            for name in &names {
                out.push(',');
                out.push_str(&quoted(labels.get(name).unwrap_or_default()));
            }
            out.push_str("\r\n");
        }
    }
    if let Value::String { at, text } = &answer.value {
        write!(out, "{at},{}\r\n", quoted(text)).expect("writing to a string succeeds");
    }
    out
}

/// Each series of a result with its samples; a scalar is a series without labels.
pub(super) fn rows(answer: &Answer) -> Vec<(&Labels, &[Sample])> {
    static NONE: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::default);
    match &answer.value {
        Value::Scalar(sample) => vec![(&NONE, std::slice::from_ref(sample))],
        Value::String { .. } => Vec::new(),
        Value::Vector(vector) => vector
            .iter()
            .map(|element| (&element.labels, std::slice::from_ref(&element.sample)))
            .collect(),
        Value::Matrix(matrix) => {
            matrix.iter().map(|series| (&series.labels, series.samples.as_slice())).collect()
        }
    }
}

/// A cell of CSV with this text, quoted where necessary.
fn quoted(text: &str) -> String {
    let guard = if begins_formula(text) { "'" } else { "" };
    let cell = format!("{guard}{}", escape(text));
    if cell.contains(['"', ',']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

/// Whether a spreadsheet may take a cell for a formula: by its first character, also in the wide
/// forms that some locales know. Tabs and line breaks before it are escaped.
fn begins_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) && text.parse::<f64>().is_err()
}

/// Plots the first series of a range result, each under its labels, `width` columns wide. All have the same
/// axes: the whole `range`, and the values of all that are plotted.
pub fn query_plot(answer: &Answer, range: TimeRange, width: usize) -> String {
    let Value::Matrix(matrix) = &answer.value else { return String::new() };
    let plotted = &matrix[..matrix.len().min(PLOTTED)];
    let curves: Vec<Curve> =
        plotted.iter().map(|series| Curve::new(&series.samples, &[])).collect();
    let scale = Scale::around(&curves, Unit::Plain, PLOT_TICKS);
    let mut out = String::new();
    for (series, curve) in plotted.iter().zip(&curves) {
        push_line(&mut out, &name(&series.labels));
        let Some(scale) = scale else {
            out.push_str("  no finite number\n");
            continue;
        };
        let marks = Marks::default();
        let plot = TextPlot { window: range, scale, marks, width, rows: PLOT_ROWS };
        plot.lines(curve).iter().for_each(|line| push_line(&mut out, line));
    }
    if matrix.is_empty() {
        out.push_str("no series\n");
    } else {
        push_line(&mut out, &format!("{} to {} UTC", range.start, range.end));
    }
    if matrix.len() > PLOTTED {
        push_line(&mut out, &format!("not plotted: {} more series", matrix.len() - PLOTTED));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::promql::VectorSample;

    fn answer() -> Answer {
        let sample = |value| Sample { at: Timestamp::from_millis(1_000), value };
        let element = |pairs: &[(&str, &str)], value| VectorSample {
            labels: Labels::from_pairs(pairs),
            sample: sample(value),
        };
        Answer::new(Value::Vector(vec![
            element(&[("__name__", "up"), ("job", "a,b")], 1.0),
            element(&[("zone", "\u{1b}x")], f64::NAN),
        ]))
    }

    #[test]
    fn csv_has_a_column_for_each_label() {
        assert_eq!(
            query_csv(&answer()),
            "time,value,__name__,job,zone\r\n1970-01-01T00:00:01.000Z,1,up,\"a,b\",\r\n1970-01-01T00:00:01.000Z,NaN,,,\\u{1b}x\r\n"
        );
    }

    #[test]
    fn no_cell_of_csv_is_a_formula_or_two_lines() {
        for (text, cell) in [
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("@SUM(1)", "'@SUM(1)"),
            ("-2+3", "'-2+3"),
            ("＝1", "'＝1"),
            ("\t=1", "\\t=1"),
            ("\r\n=1", "\\r\\n=1"),
            ("+Inf", "+Inf"),
            ("-1.5", "-1.5"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(quoted(text), cell);
        }
    }

    #[test]
    fn text_escapes_what_would_move_the_cursor() {
        let text = query_text(&answer());
        assert!(text.contains("up{job=\"a,b\"}") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_plot_names_its_series() {
        let samples = (0..40).map(|i| Sample {
            at: Timestamp::from_millis(i * 1000),
            value: (i as f64 / 6.0).sin(),
        });
        let labels = Labels::from_pairs(&[("__name__", "wave")]);
        let matrix = vec![Series { labels, samples: samples.collect() }];
        let at = Timestamp::from_millis;
        let range = TimeRange::new(at(0), at(40_000));
        let plot = query_plot(&Answer::new(Value::Matrix(matrix)), range, 80);
        assert!(plot.starts_with("wave\n") && plot.lines().count() > 8, "{plot}");
    }
}
