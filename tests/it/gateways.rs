//! Gateways before a real Prometheus, which do what Mimir, Cortex and Grafana's proxy for data sources are documented to
//! do: a path before the API's, a header or a token without which nothing passes, and requests that do not pass at all.

use std::path::{Path, PathBuf};

use operator::capture::CaptureReader;
use testkit::prometheus::remote_read::{self, Comparison, Everything};
use testkit::prometheus::server::{Prometheus, block_window};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::record_loop::program::{Program, operator};

/// What a gateway lets pass.
#[derive(Clone, Copy)]
struct Gateway {
    /// The path before that of Prometheus's API.
    prefix: &'static str,
    /// A line of the head, in lower case, without which nothing passes.
    key: &'static str,
    /// The answer without it.
    refusal: &'static str,
    /// The paths to which a POST passes; all where there are none.
    posts: &'static [&'static str],
}

/// Mimir's and Cortex's: a tenant in a header, and the API under `/prometheus`.
const MIMIR: Gateway = Gateway {
    prefix: "/prometheus",
    key: "x-scope-orgid: blue\r\n",
    refusal: "HTTP/1.1 401 x\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nno org id\n",
    posts: &[],
};

/// Grafana's: the token of a service account, and of POST requests those that its plug-in for Prometheus lists.
const GRAFANA: Gateway = Gateway {
    prefix: "/api/datasources/proxy/uid/prom",
    key: "authorization: bearer glsa_sesame\r\n",
    refusal: "HTTP/1.1 401 x\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"message\":\"Unauthorized\"}",
    posts: &["/api/v1/query", "/api/v1/series", "/api/v1/labels"],
};

const NOT_LISTED: &str = "HTTP/1.1 403 x\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"message\":\"not allow-listed\"}";
const NOT_FOUND: &str = "HTTP/1.1 404 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl Gateway {
    /// Starts the gateway before `upstream`. The URL behind which the API is.
    async fn start(self, upstream: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
        let upstream = upstream.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let upstream = upstream.clone();
                tokio::spawn(async move { self.pass(stream, &upstream).await.ok() });
            }
        });
        format!("{url}{}", self.prefix)
    }

    /// Passes one request on, or refuses it, and closes the connection.
    async fn pass(self, mut stream: TcpStream, upstream: &str) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        let (method, rest) = head.split_once(' ').unwrap_or_default();
        let Some(rest) = rest.strip_prefix(self.prefix) else {
            return stream.write_all(NOT_FOUND.as_bytes()).await;
        };
        if !lower.contains(self.key) {
            return stream.write_all(self.refusal.as_bytes()).await;
        }
        let is_listed = self.posts.is_empty() || self.posts.iter().any(|one| rest.starts_with(one));
        if method == "POST" && !is_listed {
            return stream.write_all(NOT_LISTED.as_bytes()).await;
        }
        let mut server = TcpStream::connect(upstream).await?;
        let (line, headers) = rest.split_once("\r\n").unwrap_or_default();
        let head = format!("{method} {line}\r\nConnection: close\r\n{headers}");
        server.write_all(&[head.as_bytes(), &body].concat()).await?;
        tokio::io::copy(&mut server, &mut stream).await.map(drop)
    }
}

fn block() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tsdb")
}

/// Records the whole block through a gateway, with a file of secrets. The way of reading, and how the capture compares
/// with what Prometheus itself returns.
async fn record(gateway: Gateway, flag: &str, secret: &str) -> (Vec<String>, Comparison) {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let server = Prometheus::start(&block(), scratch.path()).await;
    let server = server.expect("Debian's package prometheus is installed: test.sh does it");
    let window = block_window(&block()).expect("the block has a window");
    let truth: Everything =
        remote_read::read_everything(&server.url, window).await.expect("it answers");
    let url = gateway.start(&server.url).await;
    let file = scratch.path().join("secret");
    std::fs::write(&file, secret).expect("the directory is writable");
    let (file, folder) = (file.display().to_string(), scratch.path().display().to_string());
    let (from, to) = (window.start.to_string(), window.end.to_string());
    let fixed = ["--format", "json", "--dir", &folder, "record", "--run", "run"];
    let arguments = [&fixed[..], &["--prometheus", &url]].concat();
    let past =
        ["--from", &from, "--to", &to, "--no-default-match", "--match", "{__name__=~\".+\"}"];
    let run = |arguments: Vec<&str>| {
        let mut program = Program::start(operator().args(arguments));
        async move { program.wait().await }
    };
    let refused = run([&arguments[..], &past].concat()).await;
    assert_ne!(refused.code, Some(0), "nothing passes without the secret");
    assert!(refused.errors.contains("401"), "{}", refused.errors);
    let recorded = run([&arguments[..], &past, &[flag, &file]].concat()).await;
    assert_eq!(recorded.code, Some(0), "{}", recorded.errors);
    assert!(!recorded.errors.contains("sesame"), "{}", recorded.errors);
    let reader = CaptureReader::open(&scratch.path().join("run.capture")).expect("it opens");
    let compared = remote_read::compare(&truth, &reader).expect("samples read");
    (reader.meta().copied_by.clone(), compared)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn a_tenant_of_mimir_is_read_to_the_bit() {
    let (way, compared) = record(MIMIR, "--header-file", "X-Scope-OrgID: blue\n").await;
    assert_eq!(way, ["remote_read_chunks"]);
    assert_eq!((compared.missing, compared.extra, compared.differ), (0, 0, 0));
    assert!(compared.samples > 10_000 && compared.stale > 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn a_data_source_of_grafana_is_read_by_queries() {
    let (way, compared) = record(GRAFANA, "--bearer-file", "glsa_sesame\n").await;
    assert_eq!(way, ["query"], "remote read and export are POST requests, which do not pass");
    assert_eq!((compared.missing, compared.extra, compared.differ), (0, 0, 0));
    assert!(compared.samples > 10_000 && compared.stale > 0);
}
