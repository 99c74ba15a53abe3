//! Serves how a recording stands over HTTP: `/metrics` for Prometheus, `/healthz` for whoever
//! restarts what hangs.
//!
//! Nothing of the capture is served, and nothing can be changed.

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
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::clock;
use crate::model::Timestamp;
use crate::record::{EXPOSITION_TYPE, Progress, exposition};

/// A connection is closed after this long, whatever it does.
const CONNECTION: Duration = Duration::from_secs(30);
/// More connections than this wait.
const CONNECTIONS: usize = 16;
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// What is known of the recording.
struct Standing {
    /// The last sign of life: a commit, a slice of history, or the start.
    alive: Timestamp,
    metrics: String,
}

/// The server's other end: what is told here is served until the process ends.
pub struct Exporter {
    standing: Arc<Mutex<Standing>>,
}

impl Exporter {
    /// Listens on `address`. Without a sign of life for `patience` the recorder counts as hanging.
    ///
    /// # Errors
    ///
    /// Where the address cannot be listened on.
    pub async fn start(address: SocketAddr, patience: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| anyhow!("cannot listen on {address}: {error}"))?;
        let first = Standing { alive: clock::now(), metrics: exposition(&Progress::default()) };
        let standing = Arc::new(Mutex::new(first));
        tokio::spawn(serve(listener, Arc::clone(&standing), patience));
        Ok(Self { standing })
    }

    /// After a commit.
    pub fn publish(&self, progress: &Progress) {
        let metrics = exposition(progress);
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        *standing = Standing { alive: progress.at, metrics };
    }

    /// After something else that shows progress.
    pub fn alive(&self, now: Timestamp) {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).alive = now;
    }
}

async fn serve(listener: TcpListener, standing: Arc<Mutex<Standing>>, patience: Duration) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let standing = Arc::clone(&standing);
                tokio::spawn(async move {
                    let connection = timeout(CONNECTION, converse(stream, &standing, patience));
                    if let Ok(Err(error)) = connection.await {
                        tracing::debug!(%error, "a connection to the exporter broke");
                    }
                    drop(slot);
                });
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
) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let response = {
            let standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
            answer(request.method(), request.uri().path(), &standing, patience, clock::now())
        };
        async { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
}

fn answer(
    method: &Method,
    path: &str,
    standing: &Standing,
    patience: Duration,
    now: Timestamp,
) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, PLAIN_TEXT, "only GET\n".into());
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => text(StatusCode::OK, EXPOSITION_TYPE, standing.metrics.clone()),
        "/healthz" => {
            let silent_ms = (now - standing.alive).max(0);
            let hangs = u128::from(silent_ms.unsigned_abs()) > patience.as_millis();
            let status = if hangs { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            text(
                status,
                PLAIN_TEXT,
                format!("last commit {}.{} s ago\n", silent_ms / 1000, silent_ms % 1000 / 100),
            )
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

    const MINUTE: Duration = Duration::from_secs(60);

    fn status(method: &Method, path: &str, silent_ms: i64) -> StatusCode {
        let alive = Timestamp::from_millis(1_000_000);
        let standing = Standing { alive, metrics: String::new() };
        answer(method, path, &standing, MINUTE, alive + silent_ms).status()
    }

    #[test]
    fn a_recorder_is_healthy_for_as_long_as_patience_lasts() {
        assert_eq!(status(&Method::GET, "/healthz", 60_000), StatusCode::OK);
        assert_eq!(status(&Method::GET, "/healthz", 60_001), StatusCode::SERVICE_UNAVAILABLE);
        // The clock was set back.
        assert_eq!(status(&Method::GET, "/healthz", -5_000), StatusCode::OK);
    }

    #[test]
    fn nothing_else_is_served_and_nothing_changed() {
        assert_eq!(status(&Method::GET, "/metrics", 0), StatusCode::OK);
        assert_eq!(status(&Method::GET, "/captures", 0), StatusCode::NOT_FOUND);
        assert_eq!(status(&Method::POST, "/metrics", 0), StatusCode::METHOD_NOT_ALLOWED);
    }
}
