//! What `doctor` and `record` say of servers that cannot be asked: each cause has its own words and its own
//! fix. Every server is made here and listens on loopback.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use serde_json::Value;
use testkit::clock::wall_clock;

/// The answer of a server that is neither PD nor Prometheus.
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A server that does the same with every connection; the port it listens on.
fn server(serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + 'static) -> u16 {
    listen(TcpListener::bind("127.0.0.1:0").expect("a port is free"), serve)
}

fn listen(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + 'static,
) -> u16 {
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // What the client closes early is no failure of the server.
            let _ = serve(stream);
        }
    });
    port
}

/// Reads the head of a request.
fn head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A server without TLS that answers whatever arrives with these bytes.
fn plain(answer: &'static [u8]) -> u16 {
    server(move |mut stream| {
        // A greeting of TLS has no end that a server without TLS would see, so one read has to do.
        let _ = stream.read(&mut [0; 4096])?;
        stream.write_all(answer)
    })
}

/// A server with TLS that answers every request with 404.
fn tls(config: ServerConfig) -> u16 {
    let config = Arc::new(config);
    server(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config));
        let connection = connection.expect("the configuration is valid");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let read = head(&mut stream);
        if read.is_ok() {
            stream.write_all(NOT_FOUND)?;
        }
        stream.conn.send_close_notify();
        stream.flush()
    })
}

/// A server as Go's are, on IPv6: over TLS it speaks HTTP/2, whose preface comes before the client's certificate is judged.
/// `None` where this machine has no IPv6.
fn tls_of_go(mut config: ServerConfig) -> Option<u16> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("[::1]:0").ok()?;
    Some(listen(listener, move |mut stream| {
        let connection = ServerConnection::new(Arc::clone(&config));
        let mut connection = connection.expect("the configuration is valid");
        while connection.complete_io(&mut stream).is_ok() {}
        // What is left unread at the end would reset the connection, and with it the alert.
        stream.shutdown(std::net::Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }))
}

/// An authority, whose certificate lies in `ca.pem` of a folder.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(folder: &Path) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it signs itself");
        fs::write(folder.join("ca.pem"), issuer.pem()).expect("the folder is writable");
        Self(issuer)
    }

    /// A certificate for `name`, valid up to `year`.
    fn issue(&self, name: &str, year: i32) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        self.issue_for(&[name], year)
    }

    fn issue_for(
        &self,
        names: &[&str],
        year: i32,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.0).expect("it signs");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is PKCS #8");
        (certificate.der().clone(), key)
    }

    fn server(&self, name: &str, year: i32) -> ServerConfig {
        let (certificate, key) = self.issue(name, year);
        builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the certificate has this key")
    }

    /// A server with a certificate whose version field says 1.
    fn server_of_version_1(&self) -> ServerConfig {
        let (certificate, key) = self.issue("127.0.0.1", 2200);
        let mut der = certificate.to_vec();
        let version = [0xa0, 3, 2, 1, 2];
        let at = der.windows(5).position(|window| window == version).expect("it has version 3");
        der[at + 4] = 0;
        let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a usable key");
        let certified = CertifiedKey::new(vec![der.into()], key);
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(certified));
        builder().with_no_client_auth().with_cert_resolver(resolver)
    }

    /// A server that requires a client certificate of this authority.
    fn strict_server(&self) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("it is an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        let (certificate, key) = self.issue_for(&["127.0.0.1", "::1"], 2200);
        builder()
            .with_client_cert_verifier(verifier.build().expect("it has a root"))
            .with_single_cert(vec![certificate], key)
            .expect("the certificate has this key")
    }
}

fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has these versions")
}

fn operator(folder: &Path, args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_operator"))
        .current_dir(folder)
        .args(args)
        .output()
        .expect("the program starts")
}

/// What `doctor` finds at a URL given as PD's, and its fix.
fn doctor(folder: &Path, url: &str, options: &[&str]) -> (String, String) {
    let args = [&["doctor", "--format", "json", "--pd", url], options].concat();
    let output = operator(folder, &args);
    assert_eq!(output.status.code(), Some(6), "{url}: {output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    let checks = report["checks"].as_array().expect("there are checks");
    let failed = checks.iter().find(|check| check["verdict"] == "fail").expect("one fails");
    let text = |field: &str| failed[field].as_str().expect("it is told").to_owned();
    (text("found"), text("fix"))
}

/// Asserts what `doctor` finds and that its fix names what to change.
fn assert_told(folder: &Path, url: &str, options: &[&str], found: &str, fix: &str) {
    let told = doctor(folder, url, options);
    assert!(told.0.contains(found), "{url}: {told:?}");
    assert!(told.1.contains(fix), "{url}: {told:?}");
    for inner in ["client error", "Other(", "os error", "hyper", "rustls"] {
        assert!(!told.0.contains(inner), "{url}: {told:?}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_by_its_cause() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    let authority = Authority::new(folder);
    let https = |config| format!("https://127.0.0.1:{}", tls(config));
    let trusting: &[&str] = &["--ca-file", "ca.pem"];
    let told =
        |config, options, found, fix| assert_told(folder, &https(config), options, found, fix);
    let good = || authority.server("127.0.0.1", 2200);
    told(good(), &[], "no trusted authority signed", "--ca-file");
    told(authority.server("127.0.0.1", 2001), trusting, "has expired", "renew");
    told(authority.server("pd.test", 2200), trusting, "another host name", "subjectAltName");
    told(authority.server_of_version_1(), trusting, "X.509 version 1", "X.509 version 3");
    told(authority.strict_server(), trusting, "client certificate", "--cert-file");
    told(good(), trusting, "not PD", "2379");
    let Some(port) = tls_of_go(authority.strict_server()) else { return };
    let url = format!("https://[::1]:{port}");
    assert_told(folder, &url, trusting, "requires a client certificate", "--cert-file");
}

#[test]
fn http_and_tls_are_told_from_each_other() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    let authority = Authority::new(folder);
    let http = |port| format!("http://127.0.0.1:{port}");
    let told = |url: String, found, fix| assert_told(folder, &url, &[], found, fix);
    told(http(tls(authority.server("127.0.0.1", 2200))), "may expect TLS", "https://");
    let go = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    told(http(plain(go)), "expects TLS", "https://");
    told(http(plain(b"")), "closed the connection", "https://");
    let plain = format!("https://127.0.0.1:{}", plain(NOT_FOUND));
    told(plain, "does not speak TLS", "http://");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_cannot_be_connected_to_is_told_by_its_cause() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    assert_told(folder, "http://pd.invalid:2379", &[], "does not resolve", "DNS");
    assert_told(folder, "http://127.0.0.1:9", &[], "nothing listens", "start the server");
    let silent = server(|mut stream| {
        // It reads until the client gives up, and never answers.
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let silent = format!("http://127.0.0.1:{silent}");
    assert_told(folder, &silent, &[], "did not answer within", "firewall");
}

#[test]
fn a_prometheus_given_as_pd_is_recognized() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let port = server(|mut stream| {
        if !head(&mut stream)?.contains("/api/v1/status/buildinfo") {
            return stream.write_all(NOT_FOUND);
        }
        let body = r#"{"status":"success","data":{"version":"2.42.0"}}"#;
        write!(
            stream,
            "HTTP/1.1 200 x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    });
    let url = format!("http://127.0.0.1:{port}");
    assert_told(folder.path(), &url, &[], "this is a Prometheus", "--prometheus");
}

#[test]
fn a_server_that_answers_everything_is_not_taken_for_pd() {
    const EMPTY: &[u8] = b"HTTP/1.1 200 x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let folder = tempfile::tempdir().expect("a temporary directory");
    let url = format!("http://127.0.0.1:{}", plain(EMPTY));
    let found = "this is not PD: /pd/api/v1/members is no list of members";
    assert_told(folder.path(), &url, &[], found, "2379");
    let output = operator(folder.path(), &["record", "--once", "--run", "foreign", "--pd", &url]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{errors}");
    assert!(errors.contains(found), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(" UTC  PD answered none of "), "{said}");
}

#[test]
fn a_recording_says_why_prometheus_cannot_be_read_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let url = format!("https://127.0.0.1:{}", plain(NOT_FOUND));
    let output = operator(folder.path(), &["record", "--prometheus", &url, "--from", "-1h"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{errors}");
    assert!(errors.contains("the server does not speak TLS on this port\n"), "{errors}");
    assert!(errors.contains("hint: use http://"), "{errors}");
}

/// A Prometheus without series, which is too busy for requests with this word in them.
fn empty_prometheus(refused: Option<&'static str>) -> u16 {
    server(move |mut stream| {
        // Queries are posted; one read holds the head and the short body.
        let mut request = [0; 4096];
        let length = stream.read(&mut request)?;
        let request = String::from_utf8_lossy(&request[..length]);
        if request.contains("/api/v1/read") {
            return stream.write_all(NOT_FOUND);
        }
        let now = wall_clock().as_millis() / 1_000;
        let time = format!(
            r#"{{"status":"success","data":{{"resultType":"scalar","result":[{now},"{now}"]}}}}"#
        );
        let body = if request.contains("time%28%29") || request.contains("scalar") {
            time.as_str()
        } else if refused.is_some_and(|word| request.contains(word)) {
            let head = "HTTP/1.1 503 x\r\ncontent-length: 4\r\nconnection: close";
            return write!(stream, "{head}\r\n\r\nbusy");
        } else if request.contains("%5B") {
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#
        } else {
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#
        };
        write!(
            stream,
            "HTTP/1.1 200 x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    })
}

#[test]
fn a_recording_with_nothing_in_it_has_an_exit_code_and_names_its_selectors() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let url = format!("http://127.0.0.1:{}", empty_prometheus(None));
    for (run, span) in [("void", ["--from", "-1m"]), ("live", ["--for", "2s"])] {
        let args = ["record", "--run", run, "--prometheus", &url, "--no-default-match"];
        let args = [&args[..], &["--match", "{job=\"nobody\"}"], &span].concat();
        let output = operator(folder.path(), &args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(13), "{run}: {errors}");
        assert!(errors.contains("nothing was recorded") && errors.contains("nobody"), "{errors}");
    }
    let runs = operator(folder.path(), &["runs"]);
    let runs = String::from_utf8_lossy(&runs.stdout).into_owned();
    assert!(runs.contains("void") && !runs.contains("1970"), "{runs}");
}

#[test]
fn a_recording_of_gaps_alone_holds_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let url = format!("http://127.0.0.1:{}", empty_prometheus(Some("nobody")));
    let args = ["record", "--run", "a", "--prometheus", &url, "--for", "2s", "--no-default-match"];
    let output = operator(folder.path(), &[&args[..], &["--match", "{job=\"nobody\"}"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(13), "{errors}");
    assert!(errors.contains("Prometheus gave no sample (status: "), "{errors}");
    let shown = operator(folder.path(), &["show", "a"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("1 gap\n"), "{shown}");
}

#[test]
fn the_name_of_a_run_is_told_also_where_a_part_of_a_url_is_the_same_word() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let url = format!("http://127.0.0.1:{}/T0KENaB/S3CRETxy", empty_prometheus(None));
    let args = ["record", "--run", "T0KENaB", "--prometheus", &url, "--for", "1s"];
    let output = operator(folder.path(), &args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(13), "{errors}");
    assert!(errors.contains("captures/T0KENaB.capture"), "{errors}");
    assert!(!errors.contains("S3CRETxy"), "{errors}");
}
