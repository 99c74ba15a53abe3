//! A cluster without a Prometheus, recorded by scraping it, and a real Prometheus beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use operator::capture::{CaptureReader, CaptureWriter, Tick, verify};
use operator::model::{Labels, SCRAPED, Sample, TimeRange, is_stale};
use testkit::capture_server::Answer;
use testkit::clock::wall_clock;
use testkit::prometheus::remote_read;
use testkit::prometheus::server::Prometheus;
use testkit::scraped_cluster::{Pages, ScrapedCluster, page};

use crate::record_loop::program::{Program, operator};

/// Records a cluster, and returns the capture.
async fn record(cluster: &ScrapedCluster, scratch: &Path, length: &str) -> CaptureReader {
    let directory = scratch.display().to_string();
    let fixed = ["--format", "json", "--dir", &directory, "record", "--run", "run"];
    let scrape = ["--pd", &cluster.pd, "--scrape", "--interval", "1s", "--for", length];
    let mut recorder = Program::start(operator().args([&fixed[..], &scrape].concat()));
    let ended = recorder.wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let path = scratch.join("run.capture");
    assert_eq!(verify(&path).expect("it opens").damage, []);
    CaptureReader::open(&path).expect("it opens")
}

/// Values by the text of their series, without the recorder's own: `stale` for a marker.
fn values(reader: &CaptureReader) -> BTreeMap<String, Vec<String>> {
    let held = reader.select(&[], TimeRange::ALL).expect("samples read");
    let theirs = held.into_iter().filter(|one| one.labels.get("job") != Some("operator"));
    theirs.map(|one| (one.labels.to_string(), shown(&one.samples))).collect()
}

fn shown(samples: &[Sample]) -> Vec<String> {
    let text = |sample: &Sample| match is_stale(sample.value) {
        true => "stale".to_owned(),
        false => sample.value.to_string(),
    };
    samples.iter().map(text).collect()
}

fn series(metric: &str, job: &str, instance: &str, extra: &[(&str, &str)]) -> String {
    let mut pairs = vec![("__name__", metric), ("job", job), ("instance", instance)];
    pairs.extend_from_slice(extra);
    Labels::from_pairs(&pairs).to_string()
}

/// Store 1 loses a series at every other scrape, store 2 answers twice, and nothing else ever answers.
fn failing(target: usize, request: usize) -> Option<Answer> {
    let leaders = format!("tikv_raftstore_region_count{{type=\"leader\"}} {request}\n");
    match (target, request) {
        (1, odd) if odd % 2 == 1 => Some(page(leaders)),
        (1, _) | (2, 0..2) => {
            Some(page(format!("{leaders}tikv_raftstore_region_count{{type=\"region\"}} 7\n")))
        }
        (0, _) => Some((503, "text/plain", Vec::new())),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_a_prometheus_is_recorded_as_one_would_have_scraped_it() {
    let cluster = ScrapedCluster::start(3, Arc::new(failing)).await.expect("ports are free");
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let reader = record(&cluster, scratch.path(), "5s").await;
    assert_eq!(reader.meta().copied_by, ["scrape"]);
    let offsets: Vec<i64> = reader.meta().clock_offsets.iter().map(|one| one.offset_ms).collect();
    assert_eq!(offsets, [0], "samples are stamped by the recorder's clock");
    assert_eq!(reader.meta().selectors, [""; 0]);

    let values = values(&reader);
    let [first, second, third] = [0, 1, 2].map(|store| cluster.stores[store].as_str());
    let up = |instance: &str| values[&series("up", "tikv", instance, &[])].clone();
    assert!(up(first).len() >= 4 && up(first).iter().all(|value| value == "1"), "{:?}", up(first));
    assert!(up(second).starts_with(&["1", "1", "0"].map(str::to_owned)), "{:?}", up(second));
    assert!(up(third).len() >= 4 && up(third).iter().all(|value| value == "0"), "{:?}", up(third));
    let pd = cluster.pd.trim_start_matches("http://");
    assert_eq!(values[&series("up", "pd", pd, &[])][0], "0");

    let regions = |instance: &str, of: &str| {
        values[&series("tikv_raftstore_region_count", "tikv", instance, &[("type", of)])].clone()
    };
    assert_eq!(regions(first, "leader")[..4], ["0", "1", "2", "3"]);
    assert_eq!(regions(first, "region")[..4], ["7", "stale", "7", "stale"]);
    assert_eq!(regions(second, "leader"), ["0", "1", "stale"]);
    let scraped = &values[&series("scrape_samples_scraped", "tikv", first, &[])];
    assert_eq!(scraped[..4], ["2", "1", "2", "1"]);
    assert_eq!(values[&series("scrape_series_added", "tikv", first, &[])][..3], ["2", "0", "1"]);

    let held = reader.select(&[], TimeRange::ALL).expect("samples read");
    let of_first =
        held.iter().find(|one| one.labels.to_string() == series("up", "tikv", first, &[]));
    let samples = &of_first.expect("it was scraped").samples;
    for pair in samples.windows(2) {
        let step = pair[1].at - pair[0].at;
        assert!((700..1_300).contains(&step), "{step} ms from one scrape to the next");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_of_it_has_one_scrape_of_each_target() {
    let cluster = ScrapedCluster::start(2, Arc::new(failing)).await.expect("ports are free");
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = scratch.path().display().to_string();
    let arguments = ["--format", "json", "--dir", &directory, "record", "--run", "run", "--once"];
    let sources = ["--pd", &cluster.pd, "--scrape"];
    let mut recorder = Program::start(operator().args([&arguments[..], &sources].concat()));
    let ended = recorder.wait().await;
    assert!(matches!(ended.code, Some(0 | 10 | 11)), "{}", ended.errors);
    let reader = CaptureReader::open(&scratch.path().join("run.capture")).expect("it opens");
    let values = values(&reader);
    for store in &cluster.stores {
        assert_eq!(values[&series("up", "tikv", store, &[])], ["1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn targets_come_and_go_with_the_stores_that_pd_lists() {
    let pages: Pages =
        Arc::new(|_, _| Some(page("tikv_raftstore_region_count{type=\"leader\"} 5\n")));
    let cluster = ScrapedCluster::start(2, pages).await.expect("ports are free");
    cluster.list([1]);
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let recording = record(&cluster, scratch.path(), "32s");
    let changing = async {
        tokio::time::sleep(std::time::Duration::from_secs(8)).await;
        cluster.list([2]);
    };
    let (reader, ()) = tokio::join!(recording, changing);
    let held = reader.select(&[], TimeRange::ALL).expect("samples read");
    let of = |metric: &str, store: usize, extra: &[(&str, &str)]| {
        let wanted = series(metric, "tikv", &cluster.stores[store], extra);
        let found = held.iter().find(|one| one.labels.to_string() == wanted);
        found.unwrap_or_else(|| panic!("{wanted} was not recorded")).samples.clone()
    };
    let leaders = [("type", "leader")];
    for (metric, extra) in [("up", &[][..]), ("tikv_raftstore_region_count", &leaders)] {
        let (gone, new) = (of(metric, 0, extra), of(metric, 1, extra));
        assert!(is_stale(gone.last().expect("it was scraped").value), "{metric} of store 1");
        assert!(gone.len() > 8 && new.len() > 8, "{} and {}", gone.len(), new.len());
        assert!(new[0].at >= gone[gone.len() - 2].at, "{metric} of store 2 comes with the list");
        assert!(!new.iter().any(|sample| is_stale(sample.value)), "{metric} of store 2");
    }
}

/// Pages with everything that the format allows, one that fails, and two that are malformed.
fn nasty(request: usize, stamped_ms: i64) -> Option<Answer> {
    let good = format!(
        r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{{method="post",code="200",}} 1027
http_requests_total{{ method = "post" , code="400" }}    3
msdos_file_access_time_seconds{{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""}} 1.458255915e9
# any comment
metric_without_labels 12.47
something_weird{{problem="division by zero"}} +Inf
a_nan NaN
stamped 5 {stamped_ms}
odd_escape{{x="\t\é"}} 1
two_lines{{x="a
b"}} 2
conflict{{job="x",instance="y"}} 3
conflict{{job="x",exported_job="z"}} 4
empty{{x="",y="1"}} 5
empty{{job=""}} 6
twice 1
twice 2
tabs{{}}	7	
small 1e-300
"#
    );
    match request {
        0 => Some(page(format!("{good}only_first 1\n"))),
        1 => Some(page("http_requests_total{method=\"post\",code=\"200\",} 1028")),
        2 => Some((500, "text/plain", good.into_bytes())),
        5 => Some(page(format!("{good}broken{{x=\"1\" 2\n"))),
        6 => Some(page(format!("{good}dup{{x=\"1\",x=\"2\"}} 2\n"))),
        _ => Some(page(good)),
    }
}

/// How many scrapes are compared sample by sample: those before the malformed pages.
const COMPARED: usize = 5;
/// How many scrapes are made, of which `up` is compared.
const MADE: usize = 8;

/// Values by series, of the first scrapes of a target, and `up` of further ones. The time that a scrape took is
/// left out, and the number of new series, for which a Prometheus compares the text of a page.
fn first_scrapes(all: Vec<(Labels, Vec<Sample>)>) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let up = all.iter().find(|(labels, _)| labels.metric() == "up");
    let (_, up) = up.expect("the target was scraped");
    assert!(up.len() >= MADE, "{} scrapes", up.len());
    let end = up[COMPARED].at;
    let left_out = ["scrape_duration_seconds", "scrape_series_added"];
    let kept = all.iter().filter(|(labels, _)| !left_out.contains(&labels.metric()));
    let series = kept.map(|(labels, samples)| {
        let first: Vec<Sample> = samples.iter().filter(|one| one.at < end).copied().collect();
        let times =
            if labels.metric() == "stamped" { format!(" at {first:?}") } else { String::new() };
        (format!("{labels}{times}"), shown(&first))
    });
    (series.collect(), shown(&up[..MADE]))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn every_sample_is_the_one_that_a_real_prometheus_scrapes() {
    let stamped_ms = (wall_clock() + -5_000).as_millis();
    let pages: Pages = Arc::new(move |target, request| match target {
        0 => None,
        _ => nasty(request, stamped_ms),
    });
    // Each of the two gets the same pages in the same order, from a store of its own.
    let cluster = ScrapedCluster::start(2, pages).await.expect("ports are free");
    cluster.list([1]);
    let instance = &cluster.stores[0];
    let config = format!(
        "scrape_configs:\n- job_name: tikv\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{}']\n    labels: {{instance: '{instance}'}}\n",
        cluster.stores[1]
    );
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let started = wall_clock();
    let server = Prometheus::scraping(&config, scratch.path()).await.expect("it is installed");
    let reader = record(&cluster, scratch.path(), "16s").await;
    let window = TimeRange::new(started + -10_000, wall_clock());
    let theirs = remote_read::read_everything(&server.url, window).await.expect("it answers");
    let theirs = theirs.into_iter().map(|(labels, samples)| {
        let samples = samples.into_iter().map(|(at, bits)| Sample {
            at: operator::model::Timestamp::from_millis(at),
            value: f64::from_bits(bits),
        });
        (Labels::new(labels).expect("a label set"), samples.collect())
    });
    let ours = reader.select(&[], TimeRange::ALL).expect("samples read").into_iter();
    let ours = ours.filter(|one| one.labels.get("job") == Some("tikv"));
    let ours = first_scrapes(ours.map(|one| (one.labels, one.samples)).collect());
    assert_eq!(ours.1, ["1", "1", "0", "1", "1", "0", "0", "1"]);
    assert_eq!(ours, first_scrapes(theirs.collect()));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_the_recorder_scraped_is_told_without_a_prometheus() {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let path = scratch.path().join("scraped.capture");
    for run in ["chaos-02", "chaos-07", "chaos-10"] {
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/{run}.capture"));
        std::fs::copy(bundled, &path).expect("the directory is writable");
        let mut writer = CaptureWriter::resume(&path).expect("it opens");
        let mut meta = writer.meta().clone();
        meta.copied_by = vec![SCRAPED.to_owned()];
        (meta.versions.prometheus, meta.endpoints.prometheus) = (None, None);
        writer.set_meta(meta);
        writer.commit(Tick::default()).expect("it is writable");
        writer.finish().expect("it is sealed");
        let output = operator().arg("replay").arg(&path).output().expect("the program starts");
        let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
        // Lines are wrapped.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("metrics scraped by the recorder ("), "{run}: {text}");
        assert!(!text.to_lowercase().contains("prometheus"), "{run}: {text}");
    }
}
