//! A node that is asked for lines of its log by gRPC, on loopback.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::capture_server::{put_varint, take_varint};

/// A line as the node's parser sees it: when, the number of its level, the rest.
pub type FoundLine = (i64, u8, &'static str);

/// A part of a machine: its kind, its name, and what is said of it by key.
pub type MachinePart = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// How a node answers.
#[derive(Clone, Copy, Debug)]
pub enum Answering {
    /// It sends those of these lines that lie in the time asked for, and a status of success.
    Lines(&'static [FoundLine]),
    /// It sends a status with a number and a text alone.
    Refuses(u8, &'static str),
    /// It sends these lines, and breaks the stream off.
    BreaksOff(&'static [FoundLine]),
    /// It sends these lines, and a status with a number and a text.
    Fails(&'static [FoundLine], u8, &'static str),
    /// It sends what is no message.
    Garbage,
    /// It never answers.
    Hangs,
    /// It sends these parts of its machine, of the kinds that are asked for, and finds no line.
    Machine(&'static [MachinePart]),
}

/// The path and the body of each request.
pub type Requests = Vec<(String, Vec<u8>)>;

/// The first and the last instant that a request asks for, in milliseconds.
pub fn asked_range((_, body): &(String, Vec<u8>)) -> (i64, i64) {
    let mut rest = body.get(5..).unwrap_or_default();
    let mut field = |key: u8| {
        rest = rest.strip_prefix(&[key]).unwrap_or_default();
        take_varint(&mut rest).unwrap_or_default() as i64
    };
    (field(1 << 3), field(2 << 3))
}

/// The node; it is gone when this is dropped.
pub struct LogServer {
    /// Its host and port.
    pub address: String,
    /// The body and the path of each request so far.
    requests: Arc<Mutex<Requests>>,
    task: JoinHandle<()>,
}

impl LogServer {
    /// Starts a node that answers each request so.
    ///
    /// # Errors
    ///
    /// An I/O error where no port is free.
    pub async fn start(answering: Answering) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                let service =
                    service_fn(move |request| answer(request, answering, Arc::clone(&seen)));
                tokio::spawn(async move {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    // A client that leaves ends the connection and nothing else.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, requests, task })
    }

    /// The path and the body of each request so far.
    pub fn requests(&self) -> Requests {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Frames = Vec<std::io::Result<Frame<Bytes>>>;
type Body = StreamBody<BoxStream<'static, std::io::Result<Frame<Bytes>>>>;

/// How long a stream lasts that breaks off, so that what came before arrives.
const BEFORE_BREAK: Duration = Duration::from_millis(300);

async fn answer(
    request: Request<Incoming>,
    answering: Answering,
    seen: Arc<Mutex<Requests>>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let request = (path, body);
    let (first, last) = asked_range(&request);
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let data = |bytes: Vec<u8>| Ok(Frame::data(Bytes::from(bytes)));
    let mut headers = HeaderMap::new();
    let frames: Frames = match answering {
        Answering::Lines(lines) => {
            let asked = lines.iter().filter(|(at, _, _)| (first..=last).contains(at));
            let asked: Vec<FoundLine> = asked.copied().collect();
            vec![data(message(&asked)), Ok(Frame::trailers(status(0, "")))]
        }
        Answering::Hangs => std::future::pending().await,
        Answering::Machine(parts) => {
            // Of the two types that are asked for one by one, the second one is that of the kernel.
            let is_of_kernel = first == 2;
            let asked = parts.iter().filter(|(kind, _, _)| (*kind == "system") == is_of_kernel);
            vec![data(framed(&machine(asked))), Ok(Frame::trailers(status(0, "")))]
        }
        Answering::Refuses(number, text) => {
            headers = status(number, text);
            Vec::new()
        }
        Answering::BreaksOff(lines) => {
            vec![data(message(lines)), Err(std::io::Error::other("broken off"))]
        }
        Answering::Fails(lines, number, text) => {
            vec![data(message(lines)), Ok(Frame::trailers(status(number, text)))]
        }
        Answering::Garbage => vec![data(vec![0, 0, 0, 0, 2, 0xff, 0xff])],
    };
    let frames = futures_util::stream::iter(frames).then(|frame| async {
        if frame.is_err() {
            tokio::time::sleep(BEFORE_BREAK).await;
        }
        frame
    });
    let mut response = Response::new(StreamBody::new(frames.boxed()));
    *response.headers_mut() = headers;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

fn status(number: u8, text: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", HeaderValue::from(u16::from(number)));
    headers.insert("grpc-message", HeaderValue::from_static(text));
    headers
}

/// A `SearchLogResponse` with gRPC's header.
fn message(lines: &[FoundLine]) -> Vec<u8> {
    let mut response = Vec::new();
    for (at, level, line) in lines {
        let mut one = vec![1 << 3];
        put_varint(&mut one, *at as u64);
        one.extend([2 << 3, *level, 3 << 3 | 2]);
        put_varint(&mut one, line.len() as u64);
        one.extend(line.bytes());
        response.push(1 << 3 | 2);
        put_varint(&mut response, one.len() as u64);
        response.extend(one);
    }
    framed(&response)
}

/// A `ServerInfoResponse`.
fn machine(parts: impl Iterator<Item = &'static MachinePart>) -> Vec<u8> {
    let mut response = Vec::new();
    for (kind, name, pairs) in parts {
        let mut item = Vec::new();
        put_text(&mut item, 1, kind.as_bytes());
        put_text(&mut item, 2, name.as_bytes());
        for (key, value) in *pairs {
            let mut pair = Vec::new();
            put_text(&mut pair, 1, key.as_bytes());
            put_text(&mut pair, 2, value.as_bytes());
            put_text(&mut item, 3, &pair);
        }
        put_text(&mut response, 1, &item);
    }
    response
}

fn put_text(out: &mut Vec<u8>, field: u8, text: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, text.len() as u64);
    out.extend(text);
}

/// A message with gRPC's header.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}
