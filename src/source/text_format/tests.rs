//! Cases of the format's documentation and of Prometheus's parser, and properties.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// A sample that owns its texts: metric, labels, bits of the value, time.
type Owned = (String, Vec<(String, String)>, u64, Option<i64>);

fn read(page: &[u8]) -> Result<Vec<Owned>, TextFormatError> {
    let mut format = TextFormat::new(page)?;
    let mut samples = Vec::new();
    while let Some(sample) = format.next_sample()? {
        let labels = sample.labels.iter();
        samples.push((
            sample.metric.to_owned(),
            labels.map(|(name, value)| ((*name).to_owned(), value.clone().into_owned())).collect(),
            sample.value.to_bits(),
            sample.at.map(Timestamp::as_millis),
        ));
    }
    Ok(samples)
}

fn values(page: &str) -> Result<Vec<f64>, TextFormatError> {
    let samples = read(page.as_bytes())?;
    Ok(samples.into_iter().map(|sample| f64::from_bits(sample.2)).collect())
}

fn labels(page: &str) -> Vec<(String, String)> {
    read(page.as_bytes()).expect("the format").remove(0).1
}

/// The example of Prometheus's documentation ("Exposition formats").
const DOCUMENTED: &str = r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320
"#;

#[test]
fn the_documented_example_is_read() {
    let samples = read(DOCUMENTED.as_bytes()).expect("the format");
    assert_eq!(samples.len(), 9);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let post = vec![pair("method", "post"), pair("code", "200")];
    let first = ("http_requests_total".to_owned(), post, 1027_f64.to_bits());
    assert_eq!(samples[0], (first.0, first.1, first.2, Some(1_395_066_363_000)));
    let escaped =
        [pair("path", "C:\\DIR\\FILE.TXT"), pair("error", "Cannot find file:\n\"FILE.TXT\"")];
    assert_eq!(samples[2].1, escaped);
    assert_eq!(f64::from_bits(samples[4].2), f64::INFINITY);
}

#[test]
fn values_are_those_of_go() {
    let page = "a 1\na -0\na 1e-5\na .5\na 5.\na +Inf\na -inf\na Infinity\na nan\na NaN";
    let expected =
        [1.0, -0.0, 1e-5, 0.5, 5.0, f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY].iter();
    let nan = f64::from_bits(NORMAL_NAN_BITS);
    let expected: Vec<u64> = expected.chain(&[nan, nan]).map(|value| value.to_bits()).collect();
    let read: Vec<u64> = values(page).expect("the format").into_iter().map(f64::to_bits).collect();
    assert_eq!(read, expected);
    for text in ["", "x", "1x", "+nan", "-NaN", "1e999", "0x1p3", "1_000", "1,5", "1\r"] {
        assert!(values(&format!("a {text}\n")).is_err(), "{text:?}");
    }
}

#[test]
fn blanks_and_commas_may_stand_where_prometheus_lets_them() {
    let page = "\n \t\na\t{ x = \"1\" ,\ty=\"2\" , } \t3\t 4 \n#\n#c\n";
    let (metric, labels, value, at) = read(page.as_bytes()).expect("the format").remove(0);
    assert_eq!((metric.as_str(), f64::from_bits(value), at), ("a", 3.0, Some(4)));
    assert_eq!(labels.len(), 2);
    assert_eq!(values("a{}1\nb{x=\"1\" y=\"2\"}2"), Ok(vec![1.0, 2.0]));
}

#[test]
fn only_three_escapes_mean_something() {
    assert_eq!(labels(r#"a{x="\\n\n\"\t\é"} 1"#)[0].1, "\\n\n\"\\t\\é");
    assert_eq!(labels("a{x=\"two\nlines}\"} 1")[0].1, "two\nlines}");
}

#[test]
fn what_prometheus_refuses_is_refused_with_its_line() {
    let pages = [
        "1a 1",
        "a",
        "a{",
        "a{x} 1",
        "a{x=1} 1",
        "a{x=\"1} 1",
        "a{x=\"1\\",
        "a{x=\"1\\\n\"} 1",
        "a{,x=\"1\"} 1",
        "a{x=\"1\",,y=\"2\"} 1",
        "a{x:y=\"1\"} 1",
        "a{x=\"1\"}{y=\"1\"} 1",
        "a{\n} 1",
        "a 1 2 3",
        "a 1 -2",
        "a 1 # {trace_id=\"x\"} 1",
        "a 1 99999999999999999999",
        "<html>",
        "é 1",
        " a 1",
        "\ta 1",
    ];
    for page in pages {
        let error = read(format!("ok 1\n{page}\n").as_bytes()).expect_err(page);
        assert!(error.line >= 2, "{page:?}: {error}");
    }
    assert_eq!(read(b"ok 1\nok 2\nx\xff 1").expect_err("no UTF-8").line, 3);
    assert_eq!(read(b"ok 1\nok{x=\"\xff\"} 1\n").expect_err("no UTF-8").line, 2);
}

fn written(sample: &Owned, blank: &str) -> String {
    let (metric, labels, bits, at) = sample;
    let mut line = metric.clone();
    if !labels.is_empty() {
        let pair = |(name, value): &(String, String)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        };
        let pairs: Vec<String> = labels.iter().map(pair).collect();
        write!(line, "{{{}}}", pairs.join(",")).expect("a string grows");
    }
    let value = f64::from_bits(*bits);
    write!(line, "{blank}{value}").expect("a string grows");
    if let Some(at) = at {
        write!(line, "{blank}{at}").expect("a string grows");
    }
    line
}

fn any_sample() -> impl Strategy<Value = Owned> {
    let value = any::<f64>().prop_map(|value| match value.is_nan() {
        true => NORMAL_NAN_BITS,
        false => value.to_bits(),
    });
    let labels = proptest::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,5}", any::<String>()), 0..4);
    let at = proptest::option::of(0..i64::MAX);
    ("[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", labels, value, at)
}

proptest! {
    #[test]
    fn what_is_written_as_documented_reads_back(
        samples in proptest::collection::vec(any_sample(), 0..20),
        blank in "[ \t]{1,3}",
        between in "\n{1,2}(#[^\n]{0,9}\n)?",
    ) {
        let lines: Vec<String> = samples.iter().map(|one| written(one, &blank)).collect();
        prop_assert_eq!(read(lines.join(&between).as_bytes()), Ok(samples));
    }

    #[test]
    fn no_page_causes_a_panic(
        page in proptest::collection::vec(prop_oneof![
            Just("a"), Just("{"), Just("}"), Just("\""), Just("\\"), Just("="), Just(","), Just(" "),
            Just("\n"), Just("1"), Just("#"), Just("é"), Just("nan"), Just("+"),
        ], 0..30),
        bytes: Vec<u8>,
    ) {
        let _ = read(page.concat().as_bytes());
        let _ = read(&bytes);
    }
}
