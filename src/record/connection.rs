//! How a Prometheus server is read, and how that is found out of one that did not answer when the recording began.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::capture::CaptureWriter;
use crate::model::RunMeta;
use crate::source::{ReadMode, Selector, SourceError};

/// How a server is read, and which series of it are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The way in which the server lets raw samples be read.
    pub mode: ReadMode,
    /// The series to copy: those that any of the selectors finds.
    pub selectors: Vec<Selector>,
    /// The version of the server; `None` where it is not known.
    pub version: Option<String>,
}

impl Connection {
    /// Adds to the metadata of a capture what was not known when it was made; durable with the next commit.
    pub(super) fn note(&self, writer: &mut CaptureWriter) {
        let mut meta: RunMeta = writer.meta().clone();
        add(&mut meta.copied_by, self.mode.name().to_owned());
        self.selectors.iter().for_each(|one| add(&mut meta.selectors, one.to_string()));
        meta.versions.prometheus = self.version.clone().or(meta.versions.prometheus);
        writer.set_meta(meta);
    }
}

fn add(held: &mut Vec<String>, text: String) {
    if !held.contains(&text) {
        held.push(text);
    }
}

/// Asks a server how it is read.
#[derive(Clone)]
pub struct Connect(
    Arc<dyn Fn() -> BoxFuture<'static, Result<Connection, SourceError>> + Send + Sync>,
);

impl Connect {
    /// `ask` is called whenever a copy is due, until it succeeds.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Connection, SourceError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    pub(super) async fn ask(&self) -> Result<Connection, SourceError> {
        (self.0)().await
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connect")
    }
}
