//! Serves how a recording stands over HTTP: `/metrics` for Prometheus, `/healthz` for whoever
//! restarts what hangs.
//!
//! Nothing of the capture is served, and nothing can be changed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::fault_metrics::fault_exposition;
use crate::diagnose::Verdict;
use crate::record::{Clock, EXPOSITION_TYPE, Progress, exposition};

/// A connection is closed after this long, whatever it does.
const CONNECTION: Duration = Duration::from_secs(30);
/// A connection is closed where no complete request came for this long.
const IDLE: Duration = Duration::from_secs(5);
/// Where more connections than this are open, the oldest are closed: whoever asks is answered within
/// milliseconds, so those are idle.
const CONNECTIONS: usize = 64;
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// What is known of the recording.
#[derive(Default)]
struct Standing {
    /// The last sign of life, as time since boot: a commit, a slice of history, or the start. A
    /// step of the wall clock is no silence.
    alive: Duration,
    /// Whether nothing can be committed since the disk is full.
    disk_full: bool,
    metrics: String,
    /// The faults that last.
    faults: String,
}

/// The server's other end: what is published here is served until the process ends. Clones share one server.
#[derive(Clone)]
pub struct Exporter {
    standing: Arc<Mutex<Standing>>,
    clock: &'static dyn Clock,
}

impl Exporter {
    /// Listens on `address`. Without a sign of life for `patience` the recorder counts as hanging.
    ///
    /// # Errors
    ///
    /// Where the address cannot be listened on.
    pub async fn start(
        address: SocketAddr,
        patience: Duration,
        clock: &'static dyn Clock,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| anyhow!("cannot listen on {address}: {error}"))?;
        let first = Standing {
            alive: clock.since_boot(),
            disk_full: false,
            metrics: exposition(&Progress::default()),
            faults: String::new(),
        };
        let standing = Arc::new(Mutex::new(first));
        tokio::spawn(serve(listener, Arc::clone(&standing), patience, clock));
        Ok(Self { standing, clock })
    }

    /// After a commit, or after an attempt that failed since the disk is full: that is no sign of life.
    pub fn publish(&self, progress: &Progress) {
        let metrics = exposition(progress);
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if !progress.disk_full {
            standing.alive = self.clock.since_boot();
        }
        standing.disk_full = progress.disk_full;
        standing.metrics = metrics;
    }

    /// After a verdict: the faults that last are served as `operator_fault`, with onset and confidence.
    pub fn publish_verdict(&self, verdict: &Verdict) {
        let faults = fault_exposition(verdict);
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).faults = faults;
    }

    /// After something else that shows progress.
    pub fn alive(&self) {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).alive =
            self.clock.since_boot();
    }
}

async fn serve(
    listener: TcpListener,
    standing: Arc<Mutex<Standing>>,
    patience: Duration,
    clock: &'static dyn Clock,
) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.is_finished());
                while open.len() >= CONNECTIONS
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                let standing = Arc::clone(&standing);
                let connection = tokio::spawn(async move {
                    let connection =
                        timeout(CONNECTION, converse(stream, &standing, patience, clock));
                    if let Ok(Err(error)) = connection.await {
                        tracing::debug!(%error, "a connection to the exporter broke");
                    }
                });
                open.push_back(connection.abort_handle());
            }
            Err(error) => {
                // Out of file descriptors, most likely: others need the time to close theirs.
                tracing::warn!(%error, "the exporter cannot accept a connection");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    standing: &Mutex<Standing>,
    patience: Duration,
    clock: &'static dyn Clock,
) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let response = {
            let standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
            answer(request.method(), request.uri().path(), &standing, patience, clock.since_boot())
        };
        async { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(IDLE);
    server.serve_connection(TokioIo::new(stream), service).await
}

fn answer(
    method: &Method,
    path: &str,
    standing: &Standing,
    patience: Duration,
    now: Duration,
) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, PLAIN_TEXT, "only GET\n".into());
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => text(
            StatusCode::OK,
            EXPOSITION_TYPE,
            format!("{}{}", standing.metrics, standing.faults),
        ),
        "/healthz" => {
            let silent = now.saturating_sub(standing.alive);
            let silent_ms = silent.as_millis();
            let hangs = silent > patience;
            let status = if hangs { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            let full = if standing.disk_full { "the disk is full; " } else { "" };
            let (s, tenths) = (silent_ms / 1000, silent_ms % 1000 / 100);
            text(status, PLAIN_TEXT, format!("{full}last commit {s}.{tenths} s ago\n"))
        }
        _ => text(StatusCode::NOT_FOUND, PLAIN_TEXT, "/metrics or /healthz\n".into()),
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    /// A clock that stands still, this long after its machine was started.
    struct StoppedClock(Duration);

    impl Clock for StoppedClock {
        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn since_boot(&self) -> Duration {
            self.0
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    fn status(method: &Method, path: &str, silent_ms: u64) -> StatusCode {
        let alive = Duration::from_secs(1_000);
        let standing = Standing { alive, ..Standing::default() };
        let now = alive + Duration::from_millis(silent_ms);
        answer(method, path, &standing, MINUTE, now).status()
    }

    #[test]
    fn a_recorder_is_healthy_for_as_long_as_patience_lasts() {
        assert_eq!(status(&Method::GET, "/healthz", 60_000), StatusCode::OK);
        assert_eq!(status(&Method::GET, "/healthz", 60_001), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn a_full_disk_is_no_sign_of_life() {
        const NOW: Duration = Duration::from_secs(100);
        let standing = Arc::new(Mutex::new(Standing::default()));
        let exporter = Exporter { standing: Arc::clone(&standing), clock: &StoppedClock(NOW) };
        let alive = || standing.lock().expect("nothing panicked").alive;
        exporter.publish(&Progress { disk_full: true, ..Progress::default() });
        assert_eq!(alive(), Duration::ZERO);
        exporter.publish(&Progress::default());
        assert_eq!(alive(), NOW);
    }

    #[test]
    fn nothing_else_is_served_and_nothing_changed() {
        assert_eq!(status(&Method::GET, "/metrics", 0), StatusCode::OK);
        assert_eq!(status(&Method::GET, "/captures", 0), StatusCode::NOT_FOUND);
        assert_eq!(status(&Method::POST, "/metrics", 0), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn idle_connections_starve_nobody() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let standing = Standing::default();
        let served =
            serve(listener, Arc::new(Mutex::new(standing)), MINUTE, &StoppedClock(Duration::ZERO));
        let server = tokio::spawn(served);
        let mut idle = Vec::new();
        for _ in 0..3 * CONNECTIONS {
            idle.push(TcpStream::connect(address).await.expect("it listens"));
        }
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.expect("it reads");
        let mut answer = String::new();
        let answered = timeout(Duration::from_secs(2), stream.read_to_string(&mut answer)).await;
        assert!(answered.is_ok_and(|read| read.is_ok()), "{answer:?}");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        server.abort();
    }
}
