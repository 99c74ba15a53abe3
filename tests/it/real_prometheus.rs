//! A real Prometheus over a block cut from a real run (`data/tsdb`): every way of reading, its
//! limits, TLS and credentials.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use operator::capture::{CaptureReader, CaptureWriter};
use operator::model::{Gap, GapReason, TimeRange, Timestamp, is_stale};
use operator::record::{Copier, Ending, Stop, copy_history};
use operator::source::{
    Auth, HttpOptions, PrometheusClient, ReadMode, Secret, Selector, SourceError,
};
use rcgen::{CertificateParams, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use testkit::prometheus::remote_read::{self, Everything};
use testkit::prometheus::server::{Prometheus, block_window};

const SAMPLES: usize = 13_765;

fn block() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tsdb")
}

struct Scene {
    scratch: tempfile::TempDir,
    server: Prometheus,
    window: TimeRange,
}

impl Scene {
    async fn new(flags: &[&str]) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory can be made");
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let server = Prometheus::start_with(&block(), scratch.path(), &flags)
            .await
            .expect("Debian's package prometheus is installed: test.sh does it");
        let window = block_window(&block()).expect("the block has a window");
        Self { scratch, server, window }
    }

    async fn truth(&self) -> Everything {
        let truth = remote_read::read_everything(&self.server.url, self.window).await;
        truth.expect("the server answers")
    }

    /// Copies the whole window, and returns the capture.
    async fn copy(&self, mode: ReadMode) -> CaptureReader {
        let options = HttpOptions::default();
        let client = PrometheusClient::new(&self.server.url, &options).expect("the URL is valid");
        let selectors = vec![Selector::parse("{__name__=~\".+\"}").expect("reads")];
        let copier = Copier::new(client, mode, selectors);
        let path = self.scratch.path().join(format!("{mode}.capture"));
        let meta = serde_json::json!({"run": "test", "subject": "tikv", "created": 0});
        let meta = serde_json::from_value(meta).expect("a run's metadata");
        let writer = CaptureWriter::create(&path, meta).expect("the capture can be made");
        let (_stop, stopped) = tokio::sync::watch::channel(Stop::No);
        let copied = copy_history(
            &copier,
            writer,
            self.window,
            &|| Timestamp::from_millis(0),
            stopped,
            &mut |_| {},
        )
        .await;
        let (writer, ending) = copied.expect("the window can be copied");
        assert_eq!(ending, Ending::Sealed);
        writer.finish().expect("the capture can be sealed");
        CaptureReader::open(&path).expect("the capture opens")
    }
}

fn count(truth: &Everything) -> usize {
    truth.values().map(|samples| samples.len()).sum()
}

fn gaps(reader: &CaptureReader) -> Vec<Gap> {
    reader.gaps().expect("gaps read")
}

#[tokio::test]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn both_remote_reads_copy_every_sample_to_the_bit() {
    let scene = Scene::new(&[]).await;
    let truth = scene.truth().await;
    assert_eq!(count(&truth), SAMPLES);
    for mode in [ReadMode::RemoteReadChunks, ReadMode::RemoteReadSamples] {
        let compared = remote_read::compare(&truth, &scene.copy(mode).await).expect("samples read");
        assert_eq!((compared.missing, compared.extra, compared.differ), (0, 0, 0), "{mode}");
        assert_eq!(compared.samples, SAMPLES);
        assert!(compared.stale > 0, "a store crashed in this run");
    }
}

#[tokio::test]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn queries_copy_every_sample_and_staleness_is_inferred() {
    let scene = Scene::new(&[]).await;
    let truth = scene.truth().await;
    let compared =
        remote_read::compare(&truth, &scene.copy(ReadMode::Query).await).expect("samples read");
    assert_eq!((compared.missing, compared.extra, compared.differ), (0, 0, 0));
    assert!(compared.stale > 0);
}

#[tokio::test]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn sample_limits_shrink_the_window_and_nothing_is_lost() {
    let scene =
        Scene::new(&["--storage.remote.read-sample-limit=500", "--query.max-samples=3000"]).await;
    let client = PrometheusClient::new(&scene.server.url, &HttpOptions::default()).expect("valid");
    let everything = [Selector::parse("{__name__=~\".+\"}").expect("reads")];
    for mode in [ReadMode::RemoteReadSamples, ReadMode::Query] {
        let refused = client.read(mode, &everything, scene.window, &mut Nothing).await;
        assert!(refused.expect_err("the whole is too much").is_limit(), "{mode}");
        let copied = scene.copy(mode).await;
        assert_eq!(gaps(&copied), [], "{mode}");
        let held = copied.inventory().expect("the capture can be read").samples;
        assert_eq!(held as usize, SAMPLES, "{mode}");
    }
}

#[tokio::test]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn a_window_is_estimated_before_it_is_copied() {
    let scene = Scene::new(&[]).await;
    let copier = |selectors: &[&str]| {
        let options = HttpOptions::default();
        let client = PrometheusClient::new(&scene.server.url, &options).expect("valid");
        let selectors = selectors.iter().map(|one| Selector::parse(one).expect("reads"));
        Copier::new(client, ReadMode::Query, selectors.collect())
    };
    let all = ["{job=~\"tikv|pd\"}", "{job!~\"tikv|pd\",__name__=~\".+\"}"];
    let estimate = copier(&all).estimate(scene.window).await.expect("the server counts");
    let close = |found: u64, truth: usize| {
        let found = found as f64 / truth as f64;
        assert!((0.8..1.2).contains(&found), "{found} times the truth, {estimate:?}");
    };
    close(estimate.samples, SAMPLES);
    close(estimate.series, scene.truth().await.len());
    let nothing = copier(&["none"]).estimate(scene.window).await.expect("the server counts");
    assert_eq!((nothing.series, nothing.samples), (0, 0));
}

/// Refuses nothing and keeps nothing.
struct Nothing;

impl operator::source::SeriesSink for Nothing {
    fn series(
        &mut self,
        _: operator::model::EncodedLabels<'_>,
        _: &[operator::model::Sample],
    ) -> Result<(), SourceError> {
        Ok(())
    }

    fn native_histogram(&mut self, _: operator::model::EncodedLabels<'_>) {}

    fn unreadable(&mut self, _: &str, _: &str) {}

    fn incomplete(&mut self, _: &str) {}
}

/// A certificate authority, and what it signed for the server and for the recorder.
fn certificates(folder: &Path) {
    let key = || KeyPair::generate().expect("a key can be made");
    let mut authority = CertificateParams::new(Vec::new()).expect("no names are valid names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = key();
    let root = authority.self_signed(&authority_key).expect("it signs itself");
    let issuer = Issuer::new(authority, authority_key);
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).expect("the directory is writable");
    };
    write("ca.pem", root.pem());
    for name in ["server", "client"] {
        let own = key();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let signed = params.and_then(|params| params.signed_by(&own, &issuer)).expect("it signs");
        write(&format!("{name}.pem"), signed.pem());
        write(&format!("{name}.key"), own.serialize_pem());
    }
}

/// Prometheus with TLS, client certificates and a password: `ann`, `hunter2`.
const WEB_CONFIG: &str = "\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_ca_file: ca.pem
  client_auth_type: RequireAndVerifyClientCert
basic_auth_users:
  ann: $2a$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm
";

#[tokio::test]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn a_client_certificate_and_a_password_open_the_door_and_nothing_less_does() {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let at = |name: &str| folder.path().join(name);
    certificates(folder.path());
    std::fs::write(at("web.yml"), WEB_CONFIG).expect("the directory is writable");
    let scene = Scene::new(&[&format!("--web.config.file={}", at("web.yml").display())]).await;
    let url = scene.server.url.replace("http://", "https://");
    let right = HttpOptions {
        ca_file: Some(at("ca.pem")),
        cert_file: Some(at("client.pem")),
        key_file: Some(at("client.key")),
        auth: Auth::Basic { user: "ann".to_owned(), password: Secret::new("hunter2") },
        ..HttpOptions::default()
    };
    let probe = async |options: &HttpOptions| {
        let client = PrometheusClient::new(&url, options).expect("the options are valid");
        for _ in 0..100 {
            match client.probe().await {
                // Still loading its blocks.
                Err(SourceError::Status { status: 503, .. }) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                result => return result,
            }
        }
        panic!("the server does not become ready");
    };
    assert_eq!(probe(&right).await, Ok(ReadMode::RemoteReadChunks));
    let refused = async |options: HttpOptions| {
        let error = probe(&options).await.expect_err("access is refused");
        assert!(!error.to_string().contains("hunter"), "{error}");
        // Where a certificate is missing, the server may hang up before its alert is read.
        let hung_up = options.cert_file.is_none() && error.gap_reason() == GapReason::Connect;
        assert!(hung_up || error.gap_reason() == GapReason::Unauthorized, "{error}");
    };
    let password = Secret::new("hunter3");
    refused(HttpOptions {
        auth: Auth::Basic { user: "ann".to_owned(), password },
        ..right.clone()
    })
    .await;
    refused(HttpOptions { auth: Auth::None, ..right.clone() }).await;
    refused(HttpOptions { cert_file: None, key_file: None, ..right.clone() }).await;
    refused(HttpOptions { ca_file: None, ..right }).await;
}

/// Passes connections on to `upstream` where they bring the token and the tenant's header.
async fn gateway(upstream: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
    let upstream: Arc<str> = upstream.trim_start_matches("http://").into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let upstream = upstream.clone();
            tokio::spawn(async move { pass(stream, &upstream).await.ok() });
        }
    });
    url
}

async fn pass(mut stream: TcpStream, upstream: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let allowed =
        text.contains("authorization: bearer sesame\r\n") && text.contains("x-tenant: blue\r\n");
    if !allowed {
        return stream
            .write_all(b"HTTP/1.1 401 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    }
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(&head).await?;
    copy_bidirectional(&mut stream, &mut server).await.map(drop)
}

#[tokio::test]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn a_bearer_token_and_a_header_pass_a_gateway() {
    let scene = Scene::new(&[]).await;
    let url = gateway(scene.server.url.clone()).await;
    let right = HttpOptions {
        auth: Auth::Bearer(Secret::new("sesame")),
        headers: vec![("X-Tenant".to_owned(), Secret::new("blue"))],
        ..HttpOptions::default()
    };
    let client = PrometheusClient::new(&url, &right).expect("the options are valid");
    assert_eq!(client.probe().await, Ok(ReadMode::RemoteReadChunks));
    let wrong = HttpOptions { auth: Auth::Bearer(Secret::new("open")), ..right };
    let client = PrometheusClient::new(&url, &wrong).expect("the options are valid");
    let error = client.probe().await.expect_err("the gateway refuses");
    assert_eq!(error.gap_reason(), GapReason::Unauthorized);
}

#[test]
#[ignore = "needs Prometheus: ./test.sh runs it"]
fn the_program_records_the_window_of_a_real_server() {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be made");
    let (scene, truth) = runtime.block_on(async {
        let scene = Scene::new(&[]).await;
        let truth = scene.truth().await;
        (scene, truth)
    });
    let (from, to) = (scene.window.start.to_string(), scene.window.end.to_string());
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_operator"))
        .current_dir(scene.scratch.path())
        .args(["record", "--run", "real", "--prometheus", &scene.server.url])
        .args(["--from", &from, "--to", &to, "--no-default-match", "--match", "{__name__=~\".+\"}"])
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let (estimate, first) = said.split_once(" of history").expect("an estimate comes first");
    assert!(estimate.contains(" samples of 3") && first.contains(" samples of "), "{said}");
    let opened = |run: &str| {
        let path = scene.scratch.path().join(format!("captures/{run}.capture"));
        CaptureReader::open(&path).expect("the capture opens")
    };
    let reader = opened("real");
    let compared = remote_read::compare(&truth, &reader).expect("samples read");
    assert_eq!((compared.missing, compared.extra, compared.differ), (0, 0, 0));
    assert_eq!(reader.recorded(), reader.window(), "nothing lies before the block");
    assert_eq!(
        reader.meta().versions.prometheus.as_deref().map(|v| v.starts_with('2')),
        Some(true)
    );
    let stale = reader.select(&[], TimeRange::ALL).expect("samples read");
    assert!(stale.iter().flat_map(|series| &series.samples).any(|sample| is_stale(sample.value)));
}

#[test]
#[ignore = "needs Prometheus: ./test.sh runs it"]
fn the_past_is_recorded_with_what_rules_look_back_at() {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be made");
    let scene = runtime.block_on(Scene::new(&[]));
    let middle = scene.window.start.saturating_add_millis(scene.window.millis() / 2);
    let record = |from: Timestamp| {
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_operator"))
            .current_dir(scene.scratch.path())
            .args(["record", "--run", "late", "--prometheus", &scene.server.url])
            .args(["--from", &from.to_string(), "--to", &scene.window.end.to_string()])
            .output()
            .expect("the program starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_recorded, said) = record(middle);
    assert!(is_recorded, "{said}");
    let path = scene.scratch.path().join("captures/late.capture");
    let reader = CaptureReader::open(&path).expect("the capture opens");
    assert_eq!(reader.window().start, middle);
    let before = middle - reader.recorded().start;
    let all = middle - scene.window.start;
    let wanted = operator::rules::run_in_ms().min(all);
    assert!((wanted - 15_000..=wanted).contains(&before), "{before} ms of {wanted} ms");
    drop(reader);
    // The same again goes on, and nothing is added before it.
    assert!(record(middle).0);
    let (is_recorded, said) = record(middle.saturating_add_millis(-1));
    assert!(!is_recorded && said.contains("cannot be extended backwards"), "{said}");
}
