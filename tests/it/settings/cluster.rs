//! A PD of one member, and stores of TiKV that serve their configuration, on loopback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a store answers to `/config`.
#[derive(Clone, Debug)]
pub enum Manner {
    /// With its configuration, in which these settings have other values, as JSON.
    Serves(Vec<(&'static str, &'static str)>),
    /// Never.
    Hangs,
    /// With more than anybody reads.
    Endless,
    /// With a page.
    Html,
    /// As a TiKV that has no such path.
    NotFound,
}

/// One store.
#[derive(Clone, Debug)]
struct FakeStore {
    address: String,
    /// Where PD lists it for clients; somewhere where nobody is, if not said.
    clients: Option<String>,
    manner: Manner,
    started: i64,
    asked: usize,
}

type Stores = Arc<Mutex<BTreeMap<u64, FakeStore>>>;

/// The cluster; it is gone when this is dropped.
pub struct Cluster {
    /// The URL of the PD member.
    pub pd: String,
    stores: Stores,
    tasks: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// A cluster of stores 1, 2 and so on, which answer so.
    pub async fn start(manners: Vec<Manner>) -> Self {
        let stores: Stores = Arc::default();
        let mut tasks = Vec::new();
        for (id, manner) in (1..).zip(manners) {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("a bound port").to_string();
            let store =
                FakeStore { address, clients: None, manner, started: 1_700_000_000, asked: 0 };
            stores.lock().expect("not poisoned").insert(id, store);
            tasks.push(tokio::spawn(accept(listener, Arc::clone(&stores), Some(id))));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let pd = format!("http://{}", listener.local_addr().expect("a bound port"));
        tasks.push(tokio::spawn(accept(listener, Arc::clone(&stores), None)));
        Self { pd, stores, tasks }
    }

    fn with<T>(&self, store: u64, change: impl FnOnce(&mut FakeStore) -> T) -> T {
        let mut stores = self.stores.lock().expect("not poisoned");
        change(stores.get_mut(&store).expect("there is such a store"))
    }

    /// Changes how a store answers.
    pub fn behave(&self, store: u64, manner: Manner) {
        self.with(store, |one| one.manner = manner);
    }

    /// Lists a store at this address for clients.
    pub fn serve_clients(&self, store: u64, address: &str) {
        self.with(store, |one| one.clients = Some(address.to_owned()));
    }

    /// Starts a store anew, as PD lists it.
    pub fn restart(&self, store: u64) {
        self.with(store, |one| one.started += 60);
    }

    /// How often a store was asked.
    pub fn asked(&self, store: u64) -> usize {
        self.with(store, |one| one.asked)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn accept(listener: TcpListener, stores: Stores, store: Option<u64>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&stores), store));
    }
}

async fn serve(mut stream: TcpStream, stores: Stores, store: Option<u64>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let Some(id) = store else {
        let own = stream.local_addr().ok()?.to_string();
        let body = pd_answer(&path, &own, &stores.lock().expect("not poisoned"));
        return answer(
            &mut stream,
            if body.is_some() { 200 } else { 404 },
            &body.unwrap_or_default(),
        )
        .await;
    };
    let manner = {
        let mut stores = stores.lock().expect("not poisoned");
        let store = stores.get_mut(&id)?;
        store.asked += 1;
        store.manner.clone()
    };
    match manner {
        Manner::Serves(changed) if path == "/config" => {
            answer(&mut stream, 200, &configuration(&changed)).await
        }
        Manner::Html => answer(&mut stream, 200, "<html>config</html>").await,
        Manner::Hangs => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            None
        }
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{").await.ok()?;
            loop {
                stream.write_all(&[b' '; 64 << 10]).await.ok()?;
            }
        }
        _ => answer(&mut stream, 404, "path not found").await,
    }
}

async fn answer(stream: &mut TcpStream, status: u16, body: &str) -> Option<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

fn pd_answer(path: &str, own: &str, stores: &BTreeMap<u64, FakeStore>) -> Option<String> {
    let document = match path.split('?').next()? {
        "/pd/api/v1/ping" => serde_json::json!({}),
        "/pd/api/v1/members" => {
            let url = format!("http://{own}");
            let member = serde_json::json!({ "name": "pd0", "client_urls": [url] });
            serde_json::json!({ "header": { "cluster_id": 7 }, "members": [member], "leader": member })
        }
        "/pd/api/v1/stores" => {
            let listed = stores.iter().map(|(id, store)| {
                let nowhere = format!("127.0.0.1:{}", 20_160 + id);
                serde_json::json!({
                    "store": {
                        "id": id, "address": store.clients.as_ref().unwrap_or(&nowhere),
                        "status_address": store.address, "state_name": "Up", "node_state": 1,
                        "start_timestamp": store.started,
                    },
                    "status": {},
                })
            });
            // TiFlash serves settings of another kind, and is not asked.
            let tiflash = serde_json::json!({
                "store": {
                    "id": 9_999, "address": "127.0.0.1:3930", "status_address": own, "state_name": "Up",
                    "node_state": 1, "labels": [{ "key": "engine", "value": "tiflash" }],
                },
                "status": {},
            });
            let all: Vec<_> = listed.chain([tiflash]).collect();
            serde_json::json!({ "count": all.len(), "stores": all })
        }
        _ => return None,
    };
    Some(document.to_string())
}

/// Every setting that any release of TiKV shows, with what its value is.
pub fn every_setting() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../../../data/settings/releases.tsv").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| {
        let mut cells = line.split('\t');
        (cells.next().expect("a name"), cells.next().expect("a kind"))
    })
}

/// A body as TiKV serves it: nested tables with every setting of every release. Whatever is a path, an address or
/// a name holds the word `planted`.
fn configuration(changed: &[(&str, &str)]) -> String {
    let mut document = serde_json::Value::Object(serde_json::Map::new());
    for (name, kind) in every_setting() {
        let value = match kind {
            "size" => "\"1GiB\"",
            "duration" => "\"1m30s\"",
            "switch" => "true",
            "number" => "2",
            _ if name.ends_with("compression-per-level") => "[\"no\",\"lz4\",\"zstd\"]",
            _ if operator::model::is_setting(name) => "\"low\"",
            _ => "\"/planted/tikv-planted\"",
        };
        let value = changed.iter().find(|(one, _)| *one == name).map_or(value, |(_, value)| value);
        let value = serde_json::from_str(value).expect("JSON");
        let table = name.split('.').fold(&mut document, |table, part| &mut table[part]);
        *table = value;
    }
    document["server"]["labels"] = serde_json::json!({ "zone": "planted", "host": "planted-7" });
    document["security"] = serde_json::json!({ "ca-path": "/planted/ca.pem" });
    document.to_string()
}
