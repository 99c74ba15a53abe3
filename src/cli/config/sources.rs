//! Finds the sources of a recording: PD's members, and Prometheus at the given URL or at the one in PD's
//! configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

use crate::cli::clock;
use crate::cli::config::file::SourceArgs;
use crate::cli::exit::CliError;
use crate::cli::source_fix::source_fix;
use crate::cli::terminal::remarks::{self, remark};
use crate::model::{ClockOffset, PdAnswer, Timestamp, escape};
use crate::pd::{
    CLUSTER, CONFIG, MEMBERS, Member, PdCadence, PdRequest, PdSchedule, VERSION, cluster_id,
    metric_storage, version,
};
use crate::record::pd_sampler::PdSampler;
use crate::record::{Copier, Stop};
use crate::source::{
    Addresses, Discovered, HttpAnswer, MEMBERS_AT_ONCE, PdClient, PrometheusClient, ReadMode,
    Selector, SourceError, public_url,
};

/// The longest wait for the first useful answer among all members.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// PD's members, and what they answered about the cluster.
pub struct PdFound {
    client: PdClient,
    /// A client without connections for the sampling thread: connections of `client` belong to the thread
    /// that found PD.
    sampling_client: PdClient,
    /// The members, whether or not they can be reached.
    pub members: Vec<Member>,
    /// The kind of addresses that the members have.
    pub addresses: Addresses,
    /// The id of the cluster; `None` where no member answered.
    pub cluster_id: Option<String>,
    /// The version of PD; `None` where no member answered.
    pub version: Option<String>,
    /// The URL of the metric storage in PD's configuration.
    pub metric_storage: Option<String>,
    started: Timestamp,
}

impl PdFound {
    /// The members' URLs without secrets, by their names.
    pub fn urls(&self) -> BTreeMap<String, String> {
        self.members.iter().map(|member| (member.name.clone(), member.public_url())).collect()
    }

    /// The sampler of these members.
    pub fn into_sampler(self) -> PdSampler {
        let schedule = PdSchedule::new(PdCadence::default(), self.started);
        let found = Discovered { members: self.members, addresses: self.addresses };
        PdSampler::new(self.sampling_client, found, schedule)
    }

    /// Sends one request to one member.
    async fn ask(&self, member: &Member, path: &str) -> PdAnswer {
        self.client.ask(member, &PdRequest::get(path), clock::now()).await
    }

    /// Sends one request to every member, a few at a time. The answers are in the members' order.
    pub async fn ask_all(&self, path: &str) -> Vec<PdAnswer> {
        self.answers(path).collect().await
    }

    /// Asks every member for the list of members, a few at a time: the answers, or why there are none. They
    /// are in the members' order.
    pub async fn reach_all(&self) -> Vec<Result<HttpAnswer, SourceError>> {
        let request = PdRequest::get(MEMBERS);
        let asked = stream::iter(&self.members).map(|member| self.reach(member, &request));
        asked.buffered(MEMBERS_AT_ONCE).collect().await
    }

    async fn reach(&self, member: &Member, request: &PdRequest) -> Result<HttpAnswer, SourceError> {
        let answer = self.client.exchange(member, request).await?;
        answer.into_success(&member.url)
    }

    fn answers<'a>(&'a self, path: &'a str) -> impl Stream<Item = PdAnswer> + 'a {
        let asked = stream::iter(&self.members).map(move |member| self.ask(member, path));
        asked.buffered(MEMBERS_AT_ONCE)
    }

    /// The first success among the members' answers in their order, read by `read`; `None` also
    /// where none has come within [`FIRST_ANSWER_TIMEOUT`].
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
        tokio::time::timeout(FIRST_ANSWER_TIMEOUT, first).await.ok().flatten()
    }
}

/// A Prometheus server, and how it is read.
pub struct PrometheusFound {
    /// The client of the server.
    pub client: PrometheusClient,
    /// The mode in which raw samples are read.
    pub mode: ReadMode,
    /// The URL of the server without secrets.
    pub url: String,
    /// The version of the server; `None` where it reports none.
    pub version: Option<String>,
    /// The server's clock minus ours; `None` where it was not measured.
    pub clock_offset: Option<ClockOffset>,
}

impl PrometheusFound {
    /// A copier of these series.
    pub fn copier(self, selectors: &[Selector]) -> Copier {
        Copier { client: self.client, mode: self.mode, selectors: selectors.to_vec() }
    }
}

/// The sources that were found: PD, and Prometheus.
pub type Found = (Option<PdFound>, Option<PrometheusFound>);

/// Finds the sources, unless the user stops the command first.
///
/// # Errors
///
/// As [`find_pd`] and [`find_prometheus`]; and [`CliError::NotBegun`] where the user stops.
pub async fn find(args: &SourceArgs, stop: &watch::Receiver<Stop>) -> anyhow::Result<Found> {
    let finding = async {
        let pd = find_pd(args, clock::now()).await?;
        if let Some(pd) = pd.as_ref().filter(|pd| pd.addresses == Addresses::Unlisted) {
            warn_of_silence(pd).await;
        }
        let prometheus = find_prometheus(args, pd.as_ref()).await?;
        Ok((pd, prometheus))
    };
    clock::unless_stopped(stop, finding).await.unwrap_or_else(|| Err(CliError::NotBegun.into()))
}

/// Says of each given URL of a PD that lists no members why it does not, and what to do about it: the recording
/// goes on and shows a cluster that is down.
async fn warn_of_silence(pd: &PdFound) {
    for (member, answer) in pd.members.iter().zip(pd.reach_all().await) {
        let Err(error) = answer else { continue };
        let fix = source_fix(&error).map(|fix| format!("; {fix}")).unwrap_or_default();
        remark(&format!(
            "warning: PD {}: {}{fix}",
            escape(&member.name),
            escape(&error.to_string())
        ));
    }
}

/// Discovers PD's members, and asks them for the cluster's id, their version, and the URL of the metric
/// storage. `None` where no URL of PD is given.
///
/// # Errors
///
/// An error where a URL is invalid or a file of certificates cannot be read. A PD that does not answer is
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
    let storage = async {
        let is_asked = args.prometheus.is_none() && !args.scrapes_alone();
        if is_asked { found.first(CONFIG, metric_storage).await } else { None }
    };
    // At once, since each may take as long as members that hang let it.
    let (id, number, storage) =
        tokio::join!(found.first(CLUSTER, cluster_id), found.first(VERSION, version), storage);
    (found.cluster_id, found.version, found.metric_storage) = (id, number, storage);
    Ok(Some(found))
}

/// Makes a client for Prometheus and determines how it can be read. `None` where neither the arguments nor
/// PD name its URL, and where it is not asked because of `--scrape`.
///
/// # Errors
///
/// An error where it cannot be reached or refuses access: at the start of a recording that is more often a
/// wrong URL than an outage.
pub async fn find_prometheus(
    args: &SourceArgs,
    pd: Option<&PdFound>,
) -> anyhow::Result<Option<PrometheusFound>> {
    if args.scrapes_alone() {
        return Ok(None);
    }
    let told = pd.and_then(|pd| pd.metric_storage.as_deref()).filter(|url| !url.is_empty());
    let Some(url) = args.prometheus.as_deref().or(told) else { return Ok(None) };
    if args.prometheus.is_none() && args.has_credentials() {
        // Credentials are sent to the URL that the user gives, not to one that a server names.
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
