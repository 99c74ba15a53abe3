//! `operator doctor`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::cli::config::file::{ConfigFile, SourceArgs};
use crate::cli::config::further_jobs::further_jobs;
use crate::cli::config::membership::{self, Finding};
use crate::cli::config::plan::PROMETHEUS_INTERVAL;
use crate::cli::config::scraping;
use crate::cli::config::sources::{self, PdFound, PrometheusFound};
use crate::cli::config::subjects::{self, Asking};
use crate::cli::config::tiup;
use crate::cli::exit::{self, CliError};
use crate::cli::source_fix::{alertmanager_fix, pd_fix, source_fix};
use crate::cli::terminal::output::{self, Format};
use crate::cli::terminal::remarks;
use crate::cli::{Global, clock};
use crate::diagnose::median;
use crate::model::{
    EncodedLabels, Labels, Sample, TimeRange, Timestamp, Told, duration_text, escape, escape_path,
};
use crate::pd::{Member, members_view};
use crate::record::{Subject, TargetLabels};
use crate::report;
use crate::source::{
    Addresses, Alertmanager, HttpOptions, PrometheusClient, ReadMode, Selector, SeriesSink,
    SourceError,
};

/// Less free space than this is a warning; an hour of a cluster with 65,000 series needs about a tenth.
const FREE_BYTES_WANTED: u64 = 1 << 30;
/// A larger offset between clocks is a warning, since it hides the order of events.
const MAX_OFFSET_MS: i64 = 1_000;
/// The window in which `up` series are searched, in milliseconds.
const UP_WINDOW_MS: i64 = 300_000;

const EXAMPLES: &str = "\
Examples:
  operator doctor --pd http://pd0:2379
  operator doctor --prometheus http://prometheus:9090 --bearer-file token
  operator doctor --pd http://pd0:2379 --scrape
  operator doctor --tiup prod
  operator doctor --alertmanager http://alertmanager:9093 --pd http://pd0:2379

Every check says ok, warn or fail, and what to fix. Exits with 6 where one fails.";

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// A TOML file whose keys are the flags of `record`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A subject that is built in, or the path of a subject.toml [default: tikv]
    #[arg(long, value_name = "NAME|FILE")]
    subject: Option<OsString>,
    /// The base URL of the Alertmanager of `watch`, to check that it is one
    #[arg(long, value_name = "URL", env = "OPERATOR_ALERTMANAGER", hide_env_values = true)]
    alertmanager: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check and its result.
#[derive(Clone, Debug, Serialize)]
struct Check {
    what: String,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Ok, found: found.into(), fix: None }
    }

    fn warn(what: impl Into<String>, found: impl Into<String>, fix: &str) -> Self {
        Self { verdict: Verdict::Warn, fix: Some(fix.to_owned()), ..Self::ok(what, found) }
    }

    fn fail(what: impl Into<String>, found: impl Into<String>, fix: &str) -> Self {
        Self { verdict: Verdict::Fail, fix: Some(fix.to_owned()), ..Self::ok(what, found) }
    }
}

/// Checks everything that a recording needs.
///
/// # Errors
///
/// Where the arguments cannot be understood, or a check fails.
pub fn run(global: &Global, args: DoctorArgs) -> anyhow::Result<()> {
    let file = ConfigFile::read(args.config.as_deref())?;
    let subject =
        subjects::find(args.subject.or(file.subject.clone().map(OsString::from)).as_deref())?;
    let sources = tiup::complete(args.sources.or(file.sources()))?;
    let sources = subjects::complete(sources, &subject, Asking::Endpoints)?;
    let alertmanager = args.alertmanager.as_deref();
    let alertmanager =
        alertmanager.map(|url| Alertmanager::new(url, &HttpOptions::default())).transpose()?;
    let has_sources = !sources.pd.is_empty() || sources.prometheus.is_some();
    if !has_sources && alertmanager.is_none() {
        let text = "nothing to check: give --pd, --tiup, --prometheus or --alertmanager";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    let mut checks = vec![writable(&global.dir), free_space(&global.dir)];
    if has_sources {
        checks.extend(crate::cli::block_on(examine(&sources, &subject))?);
    }
    if let Some(alertmanager) = alertmanager {
        remarks::hide(alertmanager.redactor());
        checks.push(crate::cli::block_on(async { Ok(alertmanager_check(&alertmanager).await) })?);
    }
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    match global.format {
        Format::Json => output::json(&json!({ "schema": 1, "checks": checks }))?,
        Format::Text => output::write(text(&checks).as_bytes())?,
    }
    if failed == 0 { Ok(()) } else { Err(CliError::DoctorFailed(failed).into()) }
}

/// Whether an Alertmanager answers.
async fn alertmanager_check(alertmanager: &Alertmanager) -> Check {
    let what = format!("Alertmanager {}", alertmanager.public_base());
    match alertmanager.version().await {
        Ok(version) => Check::ok(what, version),
        Err(error) => Check::fail(what, error.to_string(), alertmanager_fix(&error)),
    }
}

/// Columns of the text, the same on every terminal.
const COLUMNS: usize = 80;

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let found = format!("{verdict}  {}: {}", escape(&check.what), escape(&check.found));
        text.push_str(&format!("{}\n", report::hanging(&found, COLUMNS, 6)));
        if let Some(fix) = &check.fix {
            let fix = format!("fix: {fix}");
            text.push_str(&format!("      {}\n", report::hanging(&fix, COLUMNS - 6, 11)));
        }
    }
    text
}

async fn examine(args: &SourceArgs, subject: &Subject) -> anyhow::Result<Vec<Check>> {
    let mut checks = Vec::new();
    let pd = sources::find_pd(args, clock::now()).await?;
    match &pd {
        Some(pd) => checks.extend(pd_checks(pd, &args.pd_options()).await),
        None => checks.push(Check::warn(
            "PD",
            "no URL is given",
            "give --pd, PD_ENDPOINT or --tiup, unless only the past out of Prometheus is wanted",
        )),
    }
    if args.scrape.is_some() {
        checks.extend(scrape_checks(args, pd.as_ref()).await?);
    }
    if args.scrapes_alone() {
        return Ok(checks);
    }
    match sources::find_prometheus(args, pd.as_ref()).await {
        Ok(Some(found)) => {
            let mut selectors = subject.selectors();
            let further = further_jobs(&found, subject, clock::now()).await;
            selectors.extend(further.into_iter().map(|(_, selector)| selector));
            checks.extend(prometheus_checks(&found, subject, &selectors).await);
            if let Some(pd) = &pd {
                checks.extend(node_checks(pd, &found, &selectors).await);
            }
        }
        Ok(None) => checks.push(Check::warn(
            "Prometheus",
            "no URL is given and PD knows none",
            scraping::INSTEAD,
        )),
        Err(error) => {
            let fix = error.downcast_ref::<SourceError>().and_then(source_fix);
            let otherwise = "check the URL, the network between, and the credentials";
            checks.push(Check::fail("Prometheus", exit::chain(&error), fix.unwrap_or(otherwise)));
        }
    }
    Ok(checks)
}

/// The check of a server that gives no list of members, since it is another one.
fn no_member(what: String, error: &SourceError, is_prometheus: bool) -> Check {
    if is_prometheus {
        let fix =
            "give this URL to --prometheus, and a client URL of PD, usually port 2379, to --pd";
        return Check::fail(what, "this is a Prometheus and not PD", fix);
    }
    let found = match error {
        SourceError::Malformed { why, .. } => why,
        _ => "this is not PD",
    };
    Check::fail(what, found, pd_fix(error).unwrap_or("see the server's log"))
}

/// The check of a member that gives no list of members.
fn silent_member(what: String, error: &SourceError) -> Check {
    if let SourceError::Status { status, .. } = error {
        let fix = "a 503 means no leader or no quorum: see the member's log";
        return Check::fail(what, format!("answers with status {status}"), fix);
    }
    Check::fail(what, error.to_string(), source_fix(error).unwrap_or("see the member's log"))
}

/// Whether a Prometheus answers at the URL that was given as PD's.
async fn is_prometheus(member: &Member, options: &HttpOptions) -> bool {
    match PrometheusClient::new(&member.url, options) {
        Ok(client) => client.version().await.is_some(),
        Err(_) => false,
    }
}

async fn pd_checks(pd: &PdFound, options: &HttpOptions) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut leader = None;
    for (member, answer) in pd.members.iter().zip(pd.reach_all().await) {
        let what = format!("PD {} {}", member.name, member.public_url());
        checks.push(match answer {
            Ok(answer) => {
                leader = leader.or(members_view(&answer.body).and_then(|view| view.leader));
                Check::ok(what, format!("answers in {} ms", answer.elapsed.as_millis() + 1))
            }
            Err(
                error @ (SourceError::Status { status: 404, .. } | SourceError::Malformed { .. }),
            ) => no_member(what, &error, is_prometheus(member, options).await),
            Err(error) => silent_member(what, &error),
        });
    }
    if pd.addresses == Addresses::Seeds {
        checks.push(Check::warn(
            "PD addresses",
            "nothing answers where the members say they are, so only the given URLs are asked",
            "open the way to the members' client URLs, or give --pd once for each member",
        ));
    }
    let one_answers = checks.iter().any(|check| check.verdict == Verdict::Ok);
    checks.push(match leader {
        Some(leader) => Check::ok("PD leader", leader),
        None if !one_answers => {
            Check::fail("PD leader", "unknown, since no member answers", "mend what stands above")
        }
        None => Check::fail("PD leader", "none", "see that a majority of the members runs"),
    });
    checks.push(match &pd.version {
        Some(version) => Check::ok("PD version", version.clone()),
        None => Check::warn("PD version", "unknown", "see why no member answers /version"),
    });
    checks
}

async fn prometheus_checks(
    found: &PrometheusFound,
    subject: &Subject,
    selectors: &[Selector],
) -> Vec<Check> {
    let version = found.version.clone().unwrap_or_else(|| "of unknown version".to_owned());
    let mut checks = vec![Check::ok(format!("Prometheus {}", found.url), version)];
    checks.push(match found.mode {
        ReadMode::Export => Check::ok("export", "by /api/v1/export, as VictoriaMetrics has it"),
        ReadMode::Query => Check::warn(
            "remote read",
            "unavailable; queries are used and staleness is inferred",
            "allow /api/v1/read on the way to Prometheus",
        ),
        mode => Check::ok("remote read", mode.name()),
    });
    checks.push(match &found.clock_offset {
        Some(offset) => {
            let text = format!("{} ms, to within {} ms", offset.offset_ms, offset.uncertainty_ms);
            if offset.offset_ms.abs() > MAX_OFFSET_MS + offset.uncertainty_ms {
                Check::warn("Prometheus's clock", text, "let NTP set both clocks")
            } else {
                Check::ok("Prometheus's clock", text)
            }
        }
        None => Check::warn("Prometheus's clock", "unknown", "see why `time()` has no answer"),
    });
    let (targets, intervals) = targets(found, subject, selectors).await;
    checks.push(interval_check(found, &intervals).await);
    checks.extend(targets);
    checks
}

/// How often the targets are scraped; where they do not show it, how often Prometheus scrapes by default.
async fn interval_check(found: &PrometheusFound, intervals: &BTreeSet<i64>) -> Check {
    let what = "scrape interval";
    let (least, most) = match (intervals.first(), intervals.last()) {
        (Some(least), Some(most)) => (*least, *most),
        _ => match found.client.scrape_interval_ms().await {
            Some(millis) => (millis, millis),
            None => {
                let fix = "see whether the targets have been scraped twice";
                return Check::warn(what, "unknown", fix);
            }
        },
    };
    let text = match least == most {
        true => duration_text(least),
        false => format!("{} to {}", duration_text(least), duration_text(most)),
    };
    if most > 60_000 {
        let fix = "scrape every 15 s: what is shorter than an interval is not seen";
        return Check::warn(what, text, fix);
    }
    Check::ok(what, text)
}

/// Whether the targets are the nodes that PD lists.
async fn node_checks(pd: &PdFound, found: &PrometheusFound, selectors: &[Selector]) -> Vec<Check> {
    let Some(nodes) =
        membership::scraped_nodes(pd, found, (selectors, &Told::default()), clock::now()).await
    else {
        return Vec::new();
    };
    membership::findings(&nodes).into_iter().map(|finding| check_of("nodes", finding)).collect()
}

fn check_of(what: &str, finding: Finding) -> Check {
    match finding {
        Finding::Whole(text) => Check::ok(what, text),
        Finding::Partial(text, fix) => Check::warn(what, text, fix),
        Finding::Foreign(text, fix) => Check::fail(what, text, fix),
    }
}

/// Whether what PD lists can be scraped.
async fn scrape_checks(args: &SourceArgs, pd: Option<&PdFound>) -> anyhow::Result<Vec<Check>> {
    let scraper = scraping::scraper(args, PROMETHEUS_INTERVAL, TargetLabels::new())?;
    let (Some(pd), Some(scraper)) = (pd, scraper) else { return Ok(Vec::new()) };
    let findings = scraping::findings(pd, &scraper).await;
    Ok(findings.into_iter().map(|finding| check_of("scraping", finding)).collect())
}

/// Whether the subject's jobs have targets, and which nodes they are; and the intervals at which those are
/// scraped, in milliseconds.
async fn targets(
    found: &PrometheusFound,
    subject: &Subject,
    selectors: &[Selector],
) -> (Vec<Check>, BTreeSet<i64>) {
    let now = clock::now();
    let range = TimeRange::new(now + -UP_WINDOW_MS, now);
    let selectors: Vec<Selector> =
        selectors.iter().map(|selector| selector.with_metrics(&["up".to_owned()])).collect();
    let mut parts = Parts {
        subject,
        nodes: BTreeMap::new(),
        scrapes: BTreeMap::new(),
        missing: BTreeSet::new(),
    };
    let check = match found.client.read(found.mode, &selectors, range, &mut parts).await {
        Ok(_) if parts.nodes.is_empty() => Check::warn(
            "targets",
            format!("none of the jobs of {}", subject.name()),
            "see Prometheus's targets, name another --subject, or select others with --match",
        ),
        Ok(_) => Check::ok("targets", parts.to_string()),
        Err(error) => Check::fail("targets", error.to_string(), "see Prometheus's log"),
    };
    let mut checks = vec![check];
    if !parts.missing.is_empty() {
        let missing: Vec<&str> = parts.missing.iter().map(String::as_str).collect();
        checks.push(Check::warn(
            "completeness",
            missing.join("; "),
            "see why the stores behind this server do not answer: what they hold is not recorded",
        ));
    }
    (checks, parts.intervals())
}

/// The nodes of each part of a subject.
struct Parts<'a> {
    subject: &'a Subject,
    nodes: BTreeMap<String, BTreeSet<String>>,
    /// When each target was scraped.
    scrapes: BTreeMap<Labels, Vec<Timestamp>>,
    /// Why the server does not answer completely.
    missing: BTreeSet<String>,
}

impl Parts<'_> {
    /// The typical interval of each target that was scraped more than once, to half a second.
    fn intervals(&self) -> BTreeSet<i64> {
        let typical = self.scrapes.values().filter_map(|scrapes| {
            let steps = scrapes.windows(2).map(|pair| (pair[1] - pair[0]) as f64);
            Some((median(steps)? / 500.0).round() as i64 * 500)
        });
        typical.collect()
    }
}

impl fmt::Display for Parts<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (part, nodes) in &self.nodes {
            let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
            write!(formatter, "{separator}{part} ({})", nodes.join(", "))?;
            separator = "; ";
        }
        Ok(())
    }
}

impl SeriesSink for Parts<'_> {
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError> {
        // Series that cannot be decoded are left out, as in a recording.
        let Ok(labels) = labels.decode() else { return Ok(()) };
        let scrapes = self.scrapes.entry(labels.clone()).or_default();
        scrapes.extend(samples.iter().map(|sample| sample.at));
        let target = labels.target();
        let part = self.subject.part(&target.job).unwrap_or(&target.job).to_owned();
        let node = self.subject.node(&labels).unwrap_or(target.instance);
        self.nodes.entry(part).or_default().insert(node);
        Ok(())
    }

    fn native_histogram(&mut self, _: EncodedLabels<'_>) {}

    fn unreadable(&mut self, _: &str, _: &str) {}

    fn incomplete(&mut self, why: &str) {
        self.missing.insert(why.to_owned());
    }
}

/// The directory itself, or its nearest ancestor that exists.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("."))
}

fn writable(dir: &Path) -> Check {
    let what = format!("directory {}", escape_path(dir));
    match tempfile::tempfile_in(existing(dir)) {
        Ok(_) => Check::ok(what, "can be written"),
        Err(error) => Check::fail(
            what,
            format!("cannot be written: {error}"),
            "name another directory with --dir, or change its permissions",
        ),
    }
}

fn free_space(dir: &Path) -> Check {
    match rustix::fs::statvfs(existing(dir)) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free < FREE_BYTES_WANTED {
                Check::warn(
                    "free space",
                    report::size(free),
                    "free some space or use another --dir",
                )
            } else {
                Check::ok("free space", report::size(free))
            }
        }
        Err(error) => Check::warn("free space", format!("unknown: {error}"), "see the mount"),
    }
}
