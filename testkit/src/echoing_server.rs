//! A fake Prometheus or PD that repeats in its errors what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// How many queries are answered: as many as a recorder asks before it begins.
const BEFORE_RECORDING: u32 = 8;
/// What its clock says first; it goes on by a second whenever it is asked.
const NOW: f64 = 1_795_537_020.0;
static SECONDS: AtomicU32 = AtomicU32::new(0);

/// How it answers requests for samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers, and has no samples.
    Serves,
    /// Answers with errors of all kinds, each of which repeats the request, once it has been found to
    /// be a Prometheus.
    Fails,
    /// Answers with such errors as PD does.
    Pd,
}

/// A server on loopback; it serves until the process ends.
pub struct EchoingServer {
    /// Its URL, without a slash at its end.
    pub url: String,
}

impl EchoingServer {
    /// Starts it on a free port of the loopback interface.
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let asked = Arc::new(AtomicU32::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let asked = Arc::clone(&asked);
                // A client that leaves ends the thread and nothing else.
                std::thread::spawn(move || serve(&stream, manner, &asked));
            }
        });
        Self { url }
    }
}

fn serve(stream: &TcpStream, manner: Manner, asked: &AtomicU32) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
        let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap_or(0))];
        reader.read_exact(&mut body)?;
        let request = format!("{head}{}", String::from_utf8_lossy(&body));
        let (status, answer) = match manner {
            Manner::Serves => {
                one_series(&request).unwrap_or_else(|| prometheus(&request, &AtomicU32::new(0)))
            }
            Manner::Fails => prometheus(&request, asked),
            Manner::Pd => pd(&request),
        };
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())?;
    }
}

/// The answer to a range selector: one series, with a sample a second before the instant that is asked for.
/// `None` for other requests.
fn one_series(request: &str) -> Option<(u16, String)> {
    let at: f64 = request.rsplit_once("&time=")?.1.trim().parse().ok()?;
    if !request.contains("ms%5D") || request.contains("count") {
        return None;
    }
    let metric = json!({ "__name__": "up", "job": "tikv", "instance": "served:20180" });
    let result = json!([{ "metric": metric, "values": [[at - 1.0, "1"]] }]);
    let data = json!({ "resultType": "matrix", "result": result });
    let body = json!({ "status": "success", "data": data, "warnings": [request] });
    Some((200, body.to_string()))
}

fn prometheus(request: &str, asked: &AtomicU32) -> (u16, String) {
    let path = request.lines().next().unwrap_or_default();
    let success = |data| (200, json!({ "status": "success", "data": data, "warnings": [request] }));
    let said = |(status, body): (u16, serde_json::Value)| (status, body.to_string());
    if path.contains("buildinfo") {
        return said(success(json!({ "version": format!("2.42 {request}") })));
    }
    if path.contains("/api/v1/query") && request.contains("time%28%29") {
        let now = NOW + f64::from(SECONDS.fetch_add(1, Ordering::Relaxed));
        return said(success(json!({ "resultType": "scalar", "result": [now, now.to_string()] })));
    }
    if path.contains("/api/v1/query") && asked.load(Ordering::Relaxed) < BEFORE_RECORDING {
        asked.fetch_add(1, Ordering::Relaxed);
        return said(success(json!({ "resultType": "matrix", "result": [] })));
    }
    let error = |text: &str| json!({ "status": "error", "errorType": text, "error": text });
    match asked.fetch_add(1, Ordering::Relaxed) % 7 {
        0 => (500, request.to_owned()),
        1 => (200, error(request).to_string()),
        2 => (401, request.to_ascii_uppercase()),
        3 => (500, percent(request)),
        4 => (403, STANDARD.encode(request)),
        5 => (200, format!("{{\"status\": {request:?}")),
        _ => (500, format!("{}{request}", "x".repeat(180))),
    }
}

fn pd(request: &str) -> (u16, String) {
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path.ends_with("/members") {
        // Nothing answers there, so that the given URL is the one that is asked.
        let member = json!({ "name": "pd0", "client_urls": ["http://127.0.0.1:9"] });
        return (200, json!({ "members": [member], "leader": member }).to_string());
    }
    (404, format!("no route for {request}"))
}

/// Every byte percent-encoded.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
