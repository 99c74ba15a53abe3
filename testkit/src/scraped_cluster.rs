//! A PD of one member and stores that expose pages of metrics, on loopback: a cluster without a Prometheus.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::capture_server::{Answer, accept};

/// The answer of a target to its request with a number, counted from 0. Target 0 is PD, the others are the
/// stores with that id. Without an answer, the connection breaks.
pub type Pages = Arc<dyn Fn(usize, usize) -> Option<Answer> + Send + Sync>;

/// The cluster; it is gone when this is dropped.
pub struct ScrapedCluster {
    /// The URL of the PD member.
    pub pd: String,
    /// Host and port of the status server of each store, store 1 first.
    pub stores: Vec<String>,
    listed: Arc<Mutex<BTreeSet<usize>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl ScrapedCluster {
    /// Starts a cluster with that many stores, all of which PD lists.
    ///
    /// # Errors
    ///
    /// An I/O error where no port is free.
    pub async fn start(stores: usize, pages: Pages) -> Result<Self> {
        let mut addresses = Vec::new();
        let mut tasks = Vec::new();
        for store in 1..=stores {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.push(listener.local_addr()?.to_string());
            let page = numbered(pages.clone(), store);
            tasks.push(tokio::spawn(accept(listener, move |path, _| match path {
                "/metrics" => page(),
                _ => Some(not_found()),
            })));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let pd = format!("http://{}", listener.local_addr()?);
        let listed = Arc::new(Mutex::new((1..=stores).collect()));
        let (own, known, all, page) =
            (pd.clone(), Arc::clone(&listed), addresses.clone(), numbered(pages, 0));
        tasks.push(tokio::spawn(accept(listener, move |path, _| match path {
            "/metrics" => page(),
            _ => Some(pd_answer(path, &own, &lock(&known), &all)),
        })));
        Ok(Self { pd, stores: addresses, listed, tasks })
    }

    /// Changes which stores PD lists.
    pub fn list(&self, stores: impl IntoIterator<Item = usize>) {
        *lock(&self.listed) = stores.into_iter().collect();
    }
}

impl Drop for ScrapedCluster {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A page in Prometheus's text format.
pub fn page(text: impl Into<String>) -> Answer {
    (200, "text/plain; version=0.0.4", text.into().into_bytes())
}

fn numbered(
    pages: Pages,
    target: usize,
) -> impl Fn() -> Option<Answer> + Clone + Send + Sync + 'static {
    let next = Arc::new(AtomicUsize::new(0));
    move || pages(target, next.fetch_add(1, Ordering::Relaxed))
}

fn lock(listed: &Mutex<BTreeSet<usize>>) -> std::sync::MutexGuard<'_, BTreeSet<usize>> {
    listed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found() -> Answer {
    (404, "text/plain", b"404 page not found\n".to_vec())
}

fn pd_answer(path: &str, own: &str, listed: &BTreeSet<usize>, stores: &[String]) -> Answer {
    let body = match path.split('?').next() {
        Some("/pd/api/v1/members") => {
            let member = serde_json::json!({ "name": "pd0", "client_urls": [own] });
            serde_json::json!({
                "header": { "cluster_id": 7_711_772_636_774_947_891_u64 },
                "members": [member], "leader": member,
            })
        }
        Some("/pd/api/v1/stores") => {
            let store = |id: &usize| {
                serde_json::json!({
                    "store": {
                        "id": id, "address": format!("127.0.0.1:{}", 20_160 + id),
                        "status_address": stores[id - 1], "state_name": "Up", "node_state": 1,
                    },
                    "status": {},
                })
            };
            let stores: Vec<_> = listed.iter().map(store).collect();
            serde_json::json!({ "count": stores.len(), "stores": stores })
        }
        _ => return not_found(),
    };
    (200, "application/json", body.to_string().into_bytes())
}
