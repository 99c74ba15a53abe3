//! Finds the sources of a recording: PD's members, and Prometheus at the given URL or at the one in PD's
//! configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

use crate::cli::clock;
use crate::cli::config::file::SourceArgs;
use crate::cli::config::further_jobs::further_jobs;
use crate::cli::exit::CliError;
use crate::cli::source_fix::{pd_fix, source_fix};
use crate::cli::terminal::remarks::{self, remark};
use crate::model::{ClockOffset, PdAnswer, Timestamp, escape};
use crate::pd::{
    CLUSTER, CONFIG, MEMBERS, Member, PdCadence, PdRequest, PdSchedule, VERSION, cluster_id,
    lists_members, metric_storage, version, without_userinfo,
};
use crate::record::pd_sampler::PdSampler;
use crate::record::{Cause, Connect, Connection, Copier, Stop, Subject};
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
    /// Why members did not answer, by their names.
    failures: BTreeMap<String, Cause>,
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
        PdSampler::new(self.sampling_client, found, schedule).knowing(self.failures)
    }

    /// Sends one request to one member.
    async fn ask(&self, member: &Member, path: &str) -> PdAnswer {
        self.client.ask(member, &PdRequest::get(path), clock::now()).await
    }

    /// Sends one request to every member, a few at a time. The answers are in the members' order.
    pub async fn ask_all(&self, path: &str) -> Vec<PdAnswer> {
        self.answers(path).collect().await
    }

    /// Asks every member for the list of members, a few at a time: the answers, or why there are none, also
    /// where another server answers. They are in the members' order.
    pub async fn reach_all(&self) -> Vec<Result<HttpAnswer, SourceError>> {
        let request = PdRequest::get(MEMBERS);
        let asked = stream::iter(&self.members).map(|member| self.reach(member, &request));
        asked.buffered(MEMBERS_AT_ONCE).collect().await
    }

    async fn reach(&self, member: &Member, request: &PdRequest) -> Result<HttpAnswer, SourceError> {
        let answer = self.client.exchange(member, request).await?.into_success(&member.url)?;
        if lists_members(&answer.body) {
            return Ok(answer);
        }
        let why = format!("this is not PD: {MEMBERS} is no list of members");
        Err(SourceError::Malformed { url: member.public_url(), why })
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
        Copier::new(self.client, self.mode, selectors.to_vec())
    }

    /// Determines how the server of a client can be read.
    async fn of(client: PrometheusClient) -> Result<Self, SourceError> {
        let mode = client.probe().await?;
        let version = client.version().await;
        let clock_offset = client.clock_offset(&clock::now).await.ok();
        let url = client.public_base().to_owned();
        Ok(Self { client, mode, url, version, clock_offset })
    }
}

/// A Prometheus server that does not answer.
pub struct SilentPrometheus {
    client: PrometheusClient,
    /// The URL of the server without secrets.
    pub url: String,
}

impl SilentPrometheus {
    /// A copier that copies as soon as the server answers: what these selectors find and, where `subject` is given,
    /// the jobs that it does not know.
    pub fn copier(self, selectors: &[Selector], subject: Option<&Subject>) -> Copier {
        let (client, url) = (self.client.clone(), self.url);
        let (selectors, subject) = (selectors.to_vec(), subject.cloned());
        let connect = Connect::new(move || {
            let (client, url) = (client.clone(), url.clone());
            let (mut selectors, subject) = (selectors.clone(), subject.clone());
            async move {
                let found = PrometheusFound::of(client).await?;
                if let Some(subject) = subject {
                    let further = further_jobs(&found, &subject, clock::now()).await;
                    selectors.extend(further.into_iter().map(|(_, selector)| selector));
                }
                remark(&format!("Prometheus {url} answers now, and is copied"));
                Ok(Connection { mode: found.mode, selectors, version: found.version })
            }
        });
        Copier::of_silent(self.client, connect)
    }
}

/// The sources that were found.
pub struct Found {
    /// PD; `None` where no URL of it is given.
    pub pd: Option<PdFound>,
    /// A Prometheus that answers.
    pub prometheus: Option<PrometheusFound>,
    /// A Prometheus that is named and does not answer; `None` where `prometheus` is there.
    pub silent: Option<SilentPrometheus>,
}

impl Found {
    /// The URL of Prometheus without secrets, whether or not it answers.
    pub fn prometheus_url(&self) -> Option<&str> {
        let found = self.prometheus.as_ref().map(|found| found.url.as_str());
        found.or(self.silent.as_ref().map(|silent| silent.url.as_str()))
    }
}

/// What becomes of a recording where PD answers and Prometheus does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// PD is recorded, and Prometheus once it answers: when monitoring dies with a cluster, what PD says is all there
    /// is.
    GoesOn,
    /// There is none: what Prometheus holds was asked for.
    Ends,
}

/// Finds the sources, unless the user stops the command first.
///
/// # Errors
///
/// As [`find_pd`] and [`find_prometheus`], but for a Prometheus that is down while PD answers, where the recording
/// goes on without; and [`CliError::NotBegun`] where the user stops.
pub async fn find(
    args: &SourceArgs,
    without: Without,
    stop: &watch::Receiver<Stop>,
) -> anyhow::Result<Found> {
    let finding = async {
        let mut pd = find_pd(args, clock::now()).await?;
        if let Some(pd) = pd.as_mut().filter(|pd| pd.addresses == Addresses::Unlisted) {
            warn_of_silence(pd).await;
        }
        let Some(client) = prometheus_client(args, pd.as_ref())? else {
            return Ok(Found { pd, prometheus: None, silent: None });
        };
        let url = client.public_base().to_owned();
        let pd_answers = pd.as_ref().is_some_and(|pd| pd.addresses != Addresses::Unlisted);
        match PrometheusFound::of(client.clone()).await {
            Ok(found) => Ok(Found { pd, prometheus: Some(found), silent: None }),
            Err(error) if pd_answers && without == Without::GoesOn => {
                if !is_down(&error) {
                    return Err(anyhow::Error::new(error).context(UNREADABLE_BESIDE_PD));
                }
                warn_of_silent_prometheus(&error);
                Ok(Found { pd, prometheus: None, silent: Some(SilentPrometheus { client, url }) })
            }
            Err(error) => Err(anyhow::Error::new(error).context(UNREADABLE)),
        }
    };
    clock::unless_stopped(stop, finding).await.unwrap_or_else(|| Err(CliError::NotBegun.into()))
}

const UNREADABLE: &str = "Prometheus cannot be read";
const UNREADABLE_BESIDE_PD: &str = "Prometheus cannot be read; without --prometheus PD is recorded alone, with --scrape also what members and stores expose";

/// Whether a server may answer the same request later: it cannot be reached, or something in front of it says that it
/// cannot. A wrong URL and refused credentials do not mend themselves.
fn is_down(error: &SourceError) -> bool {
    match error {
        SourceError::Connect { .. } | SourceError::Timeout { .. } => true,
        SourceError::Blocked { obstacle, .. } => obstacle.is_about_reachability(),
        SourceError::Status { status, .. } => *status >= 500,
        _ => false,
    }
}

/// Says that a Prometheus does not answer, and what becomes of the recording.
fn warn_of_silent_prometheus(error: &SourceError) {
    let fix = source_fix(error).map(|fix| format!(": {fix}")).unwrap_or_default();
    remark(&format!(
        "warning: {}{fix}; until Prometheus answers, only PD is recorded; --scrape reads the metrics of members and \
         stores without a Prometheus",
        escape(&error.to_string())
    ));
}

/// Says of each given URL of a PD that lists no members why it does not, and what to do about it: the recording
/// goes on and shows a cluster that is down.
async fn warn_of_silence(pd: &mut PdFound) {
    let answers = pd.reach_all().await;
    for (member, answer) in pd.members.iter().zip(answers) {
        let Err(error) = answer else { continue };
        let cause = (error.gap_reason(), without_userinfo(&error.to_string()));
        pd.failures.insert(member.name.clone(), cause);
        let fix = pd_fix(&error).map(|fix| format!("; {fix}")).unwrap_or_default();
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
        failures: BTreeMap::new(),
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
/// An error where it cannot be reached or refuses access.
pub async fn find_prometheus(
    args: &SourceArgs,
    pd: Option<&PdFound>,
) -> anyhow::Result<Option<PrometheusFound>> {
    let Some(client) = prometheus_client(args, pd)? else { return Ok(None) };
    Ok(Some(PrometheusFound::of(client).await.context(UNREADABLE)?))
}

/// A client of the Prometheus that the arguments or PD name, unless `--scrape` asks none.
fn prometheus_client(
    args: &SourceArgs,
    pd: Option<&PdFound>,
) -> anyhow::Result<Option<PrometheusClient>> {
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
    Ok(Some(client))
}
