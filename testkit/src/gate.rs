//! A proxy between a recorder and its source, which can be shut to play an outage.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::capture_server::accept;

/// How a gate treats connections, also those that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// They are passed on to the source.
    Open,
    /// They are closed at once.
    Shut,
    /// New ones are accepted and never answered; the others are closed.
    Silent,
}

/// A gate before a source, which lasts until it is dropped.
pub struct Gate {
    /// The URL that leads through it.
    pub url: String,
    door: watch::Sender<Door>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Starts an open gate before the server at `url`.
    pub async fn before(url: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = format!("http://{}", listener.local_addr()?);
        let upstream: Arc<str> = url.trim_start_matches("http://").into();
        let (door, state) = watch::channel(Door::Open);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, upstream.clone(), state.clone()));
            }
        });
        Ok(Self { url: own, door, task })
    }

    /// Opens or shuts it, for open connections too.
    pub fn set(&self, door: Door) {
        self.door.send_replace(door);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A PD of one member that is reached through a gate alone, until dropped. It knows its members and
/// nothing else.
pub struct GatedPd {
    /// The gate that leads to it.
    pub gate: Gate,
    task: JoinHandle<()>,
}

impl GatedPd {
    /// Starts a PD behind an open gate.
    pub async fn start() -> std::io::Result<Self> {
        Self::listing(0).await
    }

    /// As [`start`](Self::start), of a PD that lists so many members beside itself, which refuse connections.
    pub async fn listing(others: usize) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let gate = Gate::before(&format!("http://{}", listener.local_addr()?)).await?;
        let member = serde_json::json!({ "name": "pd0", "client_urls": [gate.url] });
        let other = |number| {
            let url = format!("http://127.0.{}.{}:1", 1 + number / 250, 1 + number % 250);
            serde_json::json!({ "name": format!("other{number}"), "client_urls": [url] })
        };
        let others = (0..others).map(other);
        let all: Vec<_> = std::iter::once(member.clone()).chain(others).collect();
        let members = serde_json::json!({
            "header": { "cluster_id": 7 }, "members": all, "leader": member,
        });
        let members = members.to_string().into_bytes();
        let task = tokio::spawn(accept(listener, move |path, _| {
            let body = if path.ends_with("/members") { members.clone() } else { b"{}".to_vec() };
            Some((200, "application/json", body))
        }));
        Ok(Self { gate, task })
    }
}

impl Drop for GatedPd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut stream: TcpStream, upstream: Arc<str>, mut door: watch::Receiver<Door>) {
    let state = *door.borrow_and_update();
    let through = async {
        match state {
            Door::Open => {
                let Ok(mut server) = TcpStream::connect(&*upstream).await else { return };
                // Either side may hang up; that ends the connection and nothing else.
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            }
            Door::Shut => {}
            Door::Silent => std::future::pending().await,
        }
    };
    tokio::select! {
        () = through => {}
        _ = door.changed() => {}
    }
}
