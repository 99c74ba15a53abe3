//! Finds the sources of a recording: PD's members, and Prometheus where PD says it is.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

use crate::cli::clock;
use crate::cli::config::file::SourceArgs;
use crate::cli::exit::CliError;
use crate::cli::terminal::remarks;
use crate::model::{ClockOffset, PdAnswer, Timestamp};
use crate::pd::{
    CLUSTER, CONFIG, Member, PdCadence, PdRequest, PdSchedule, VERSION, cluster_id, metric_storage,
    version,
};
use crate::record::pd_sampler::PdSampler;
use crate::record::{Copier, Stop};
use crate::source::{
    Addresses, Discovered, MEMBERS_AT_ONCE, PdClient, PrometheusClient, ReadMode, Selector,
    public_url,
};

/// How long the members together may take to tell one thing about the cluster.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// PD's members and what they said of the cluster.
pub struct PdFound {
    client: PdClient,
    /// A client without connections: those of `client` live on the thread that found PD, and
    /// sampling has a thread of its own.
    sampling_client: PdClient,
    /// The members, whether or not they can be reached.
    pub members: Vec<Member>,
    /// Whose URLs they are reached by.
    pub addresses: Addresses,
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// PD's version.
    pub version: Option<String>,
    /// Where PD says that its metrics live.
    pub metric_storage: Option<String>,
    started: Timestamp,
}

impl PdFound {
    /// The members' URLs by their names, as they may be stored.
    pub fn urls(&self) -> BTreeMap<String, String> {
        self.members.iter().map(|member| (member.name.clone(), member.public_url())).collect()
    }

    /// What asks them on their cadences.
    pub fn into_sampler(self) -> PdSampler {
        let schedule = PdSchedule::new(PdCadence::default(), self.started);
        let found = Discovered { members: self.members, addresses: self.addresses };
        PdSampler::new(self.sampling_client, found, schedule)
    }

    /// Asks one member one thing.
    async fn ask(&self, member: &Member, path: &str) -> PdAnswer {
        self.client.ask(member, &PdRequest::get(path), clock::now()).await
    }

    /// Asks every member one thing, a few at a time. The answers come in the members' order.
    pub async fn ask_all(&self, path: &str) -> Vec<PdAnswer> {
        self.answers(path).collect().await
    }

    fn answers<'a>(&'a self, path: &'a str) -> impl Stream<Item = PdAnswer> + 'a {
        let asked = stream::iter(&self.members).map(move |member| self.ask(member, path));
        asked.buffered(MEMBERS_AT_ONCE)
    }

    /// The first success among the members' answers in their order, read by `read`; `None` also
    /// where none has come within [`TOLD_WITHIN`].
    async fn first<T>(&self, path: &str, read: fn(&[u8]) -> Option<T>) -> Option<T> {
        let mut answers = std::pin::pin!(self.answers(path));
        let first = async {
            while let Some(answer) = answers.next().await {
                if let Some(found) = answer.success().and_then(read) {
                    return Some(found);
                }
            }
            None
        };
        tokio::time::timeout(TOLD_WITHIN, first).await.ok().flatten()
    }
}

/// Prometheus, and how it is to be read.
pub struct PrometheusFound {
    /// The client.
    pub client: PrometheusClient,
    /// How raw samples are fetched.
    pub mode: ReadMode,
    /// Its URL as it may be stored.
    pub url: String,
    /// Its version, where it tells one.
    pub version: Option<String>,
    /// How far its clock stands from ours.
    pub clock_offset: Option<ClockOffset>,
}

impl PrometheusFound {
    /// What copies these series out of it.
    pub fn copier(self, selectors: &[Selector]) -> Copier {
        Copier { client: self.client, mode: self.mode, selectors: selectors.to_vec() }
    }
}

/// What a recording finds: PD, and Prometheus.
pub type Found = (Option<PdFound>, Option<PrometheusFound>);

/// Finds the sources, unless somebody wants to stop first.
///
/// # Errors
///
/// As [`find_pd`] and [`find_prometheus`]; and [`CliError::NotBegun`] where somebody stops.
pub async fn find(args: &SourceArgs, stop: &watch::Receiver<Stop>) -> anyhow::Result<Found> {
    let finding = async {
        let pd = find_pd(args, clock::now()).await?;
        let prometheus = find_prometheus(args, pd.as_ref()).await?;
        Ok((pd, prometheus))
    };
    clock::unless_stopped(stop, finding).await.unwrap_or_else(|| Err(CliError::NotBegun.into()))
}

/// Discovers PD's members, and asks them for the cluster's id, their version, and where the
/// metrics live. `None` where no URL of PD is given.
///
/// # Errors
///
/// Where a URL is none, or a file of certificates cannot be read. A PD that does not answer is
/// no error: that is recorded.
pub async fn find_pd(args: &SourceArgs, now: Timestamp) -> anyhow::Result<Option<PdFound>> {
    if args.pd.is_empty() {
        return Ok(None);
    }
    let client = PdClient::new(&args.pd_options())?.hiding(&args.pd);
    remarks::hide(client.redactor());
    let Discovered { members, addresses } =
        client.discover(&args.pd).await.context("cannot find PD's members")?;
    let mut found = PdFound {
        client,
        sampling_client: PdClient::new(&args.pd_options())?.hiding(&args.pd),
        members,
        addresses,
        cluster_id: None,
        version: None,
        metric_storage: None,
        started: now,
    };
    found.cluster_id = found.first(CLUSTER, cluster_id).await;
    found.version = found.first(VERSION, version).await;
    if args.prometheus.is_none() {
        found.metric_storage = found.first(CONFIG, metric_storage).await;
    }
    Ok(Some(found))
}

/// Makes a client for Prometheus and finds out how it can be read. `None` where neither the
/// arguments nor PD tell where it is.
///
/// # Errors
///
/// Where it cannot be reached or refuses access: a recording that starts without its main source
/// is more often a wrong URL than an outage.
pub async fn find_prometheus(
    args: &SourceArgs,
    pd: Option<&PdFound>,
) -> anyhow::Result<Option<PrometheusFound>> {
    let told = pd.and_then(|pd| pd.metric_storage.as_deref()).filter(|url| !url.is_empty());
    let Some(url) = args.prometheus.as_deref().or(told) else { return Ok(None) };
    if args.prometheus.is_none() && args.has_credentials() {
        // Credentials go where the user sends them, not where a server points.
        let url = public_url(url);
        let text = format!(
            "PD says that Prometheus is at {url}: confirm it with --prometheus, since credentials are given"
        );
        return Err(CliError::Usage(text).into());
    }
    let client = PrometheusClient::new(url, &args.prometheus_options()?)?;
    remarks::hide(client.redactor());
    let mode = client.probe().await.context("Prometheus cannot be read")?;
    let version = client.version().await;
    let clock_offset = client.clock_offset(&clock::now).await.ok();
    let url = client.public_base().to_owned();
    Ok(Some(PrometheusFound { client, mode, url, version, clock_offset }))
}
