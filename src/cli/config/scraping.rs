//! What `--scrape` needs of the other arguments, and the scraper that follows from them.

use std::time::Duration;

use crate::cli::clock;
use crate::cli::config::file::{ScrapeWhen, SourceArgs};
use crate::cli::config::membership::{self, Finding};
use crate::cli::config::plan::Plan;
use crate::cli::config::sources::{Found, PdFound};
use crate::cli::exit::CliError;
use crate::cli::terminal::remarks;
use crate::model::{Labels, Store, Timestamp};
use crate::nodes::Nodes;
use crate::pd::{PdDocument, STORES};
use crate::record::{self, ScrapeRole, Scraper, TargetLabels, TargetList};
use crate::report;
use crate::source::{ScrapeClient, StoreClient};

/// The shortest time between two scrapes of a target.
const SHORTEST: Duration = Duration::from_secs(1);

/// What a user who has no Prometheus can do.
pub const INSTEAD: &str =
    "give --prometheus, or --scrape to read the metrics of members and stores without a Prometheus";

/// What a user does whose Prometheus is not known, so that nothing can stand in for it.
pub const NO_PROMETHEUS: &str = "--scrape=fallback scrapes while the Prometheus is away, and none is known: give --prometheus, or --scrape alone";

/// What a plan asks for beside `--scrape`.
pub struct Beside {
    /// The time between two scrapes.
    pub interval: Duration,
    /// Whether the past is to be copied.
    pub past: bool,
    /// Whether series are selected.
    pub selection: bool,
}

/// Refuses arguments that contradict `--scrape`.
///
/// # Errors
///
/// [`CliError::Usage`], which says what to leave out or to give.
pub fn check(sources: &SourceArgs, beside: &Beside) -> Result<(), CliError> {
    let alone = sources.scrapes_alone();
    let text = if sources.pd.is_empty() {
        "--scrape needs --pd: PD says which members and stores there are"
    } else if alone && sources.prometheus.is_some() {
        "--scrape asks no Prometheus: leave it out, or --prometheus and PROMETHEUS_URL; --scrape=fallback scrapes while the Prometheus is away"
    } else if alone && beside.past {
        "--from copies the past out of Prometheus, which --scrape does not ask: leave one of them out"
    } else if alone && beside.selection {
        "--match selects series of a Prometheus, and --scrape records all: leave one of them out"
    } else if beside.interval < SHORTEST {
        "--interval is at least 1s with --scrape, since every target answers each time"
    } else {
        return Ok(());
    };
    Err(CliError::Usage(text.to_owned()))
}

/// The scraper of these sources; `None` where nothing is scraped. Where that is the fallback of a Prometheus, `theirs`
/// are the labels that it gives to targets.
///
/// # Errors
///
/// [`SourceError::Options`](crate::source::SourceError::Options) where a file of certificates cannot be read.
pub fn scraper(
    sources: &SourceArgs,
    interval: Duration,
    theirs: TargetLabels,
) -> anyhow::Result<Option<Scraper>> {
    let role = match sources.scrape {
        None => return Ok(None),
        Some(ScrapeWhen::Alone) => ScrapeRole::Alone,
        Some(ScrapeWhen::Fallback) => ScrapeRole::Fallback(theirs),
    };
    let client = ScrapeClient::new(&sources.pd_options())?;
    remarks::hide(client.redactor());
    Ok(Some(Scraper { client, interval, role }))
}

/// The labels that Prometheus gives to what PD lists, as far as it is known which of its targets of the minutes before
/// `until` that is. Empty where nothing is scraped in its place.
pub async fn target_labels(plan: &Plan, found: &Found, until: Timestamp) -> TargetLabels {
    let both = found.pd.as_ref().zip(found.prometheus.as_ref());
    let both = both.filter(|_| plan.sources.scrape == Some(ScrapeWhen::Fallback));
    let Some((pd, prometheus)) = both else { return TargetLabels::new() };
    let selected = (&plan.selectors[..], &plan.told);
    match membership::scraped_nodes(pd, prometheus, selected, until).await {
        Some(nodes) => labels_of(&nodes, pd).await,
        None => TargetLabels::new(),
    }
}

async fn labels_of(nodes: &Nodes, pd: &PdFound) -> TargetLabels {
    let labels = |name: Option<&String>| -> Option<Labels> {
        let target = nodes.targets.iter().find(|target| Some(&target.name) == name)?;
        Some(target.labels.clone())
    };
    let members = pd.members.iter().filter_map(|member| {
        let node = nodes.members.iter().find(|node| node.name == member.name)?;
        Some((record::member_target(member)?.to_string(), labels(node.instance.as_ref())?))
    });
    let answers = pd.ask_all(STORES).await;
    let listed = answers.iter().filter_map(|answer| match PdDocument::of(answer) {
        Ok(Some(PdDocument::Stores(stores))) => Some((&answer.url, stores)),
        _ => None,
    });
    let stores = listed.flat_map(|(url, stores)| {
        let of_store = |store: Store| {
            let node = &nodes.stores[nodes.store(store.id)?];
            let target = record::store_target(&store, url)?;
            Some((target.to_string(), labels(node.instance.as_ref())?))
        };
        stores.into_values().filter_map(of_store).collect::<Vec<_>>()
    });
    members.chain(stores).collect()
}

/// The client that reads the settings of the stores that PD lists.
///
/// # Errors
///
/// [`SourceError::Options`](crate::source::SourceError::Options) where a file of certificates cannot be read.
pub fn settings(sources: &SourceArgs) -> anyhow::Result<StoreClient> {
    let client = StoreClient::new(&sources.pd_options())?;
    remarks::hide(client.redactor());
    Ok(client)
}

/// Scrapes every member and store that PD lists once, and says how that went, the worst first.
pub async fn findings(pd: &PdFound, scraper: &Scraper) -> Vec<Finding> {
    let mut list = TargetList::default();
    list.set_members(&pd.members);
    let answers = pd.ask_all(STORES).await;
    let lists_stores = answers.iter().any(|answer| list.follow(answer));
    let targets = list.targets();
    let all = targets.len();
    let scrapes = record::scrape_now(scraper, &clock::SystemClock, targets).await;
    let mut failures = Vec::new();
    let (mut samples, mut slowest) = (0, 0.0_f64);
    for scrape in &scrapes {
        match &scrape.outcome {
            Some((Err((_, why)), _)) => failures.push(why.clone()),
            Some((Ok(()), seconds)) => {
                samples += scrape.samples.count() as u64;
                slowest = slowest.max(*seconds);
            }
            None => {}
        }
    }
    let mut findings = Vec::new();
    if !lists_stores {
        let fix = "see why PD does not list the stores";
        findings.push(Finding::Foreign("PD lists no store".to_owned(), fix));
    }
    let fix = "open the way to the status addresses that PD lists (port 20180 of a store), or use a Prometheus that reaches them";
    let unreached = failures.len();
    for why in failures {
        findings.push(match unreached == all {
            true => Finding::Foreign(why, fix),
            false => Finding::Partial(why, fix),
        });
    }
    if unreached < all {
        findings.push(Finding::Whole(format!(
            "{} of {all} targets answer, with {} samples, the slowest in {} ms",
            all - unreached,
            report::count(samples),
            (slowest * 1_000.0).ceil()
        )));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> SourceArgs {
        let (pd, scrape) = (vec!["http://pd0:2379".to_owned()], Some(ScrapeWhen::Alone));
        SourceArgs { pd, scrape, ..SourceArgs::default() }
    }

    const LIVE: Beside = Beside { interval: SHORTEST, past: false, selection: false };

    #[test]
    fn each_contradiction_is_named() {
        assert!(check(&sources(), &LIVE).is_ok());
        let of_pd = SourceArgs { pd: vec![], ..sources() };
        let of_both = SourceArgs { prometheus: Some("http://p:9090".to_owned()), ..sources() };
        let fallback = SourceArgs { scrape: Some(ScrapeWhen::Fallback), ..of_both.clone() };
        let past = Beside { past: true, selection: true, ..LIVE };
        assert!(check(&fallback, &past).is_ok(), "what is scraped stands beside a Prometheus");
        let refused = [
            ("--pd", check(&of_pd, &LIVE)),
            ("PROMETHEUS_URL", check(&of_both, &LIVE)),
            ("--from", check(&sources(), &Beside { past: true, ..LIVE })),
            ("--match", check(&sources(), &Beside { selection: true, ..LIVE })),
            (
                "--interval",
                check(&sources(), &Beside { interval: Duration::from_millis(999), ..LIVE }),
            ),
        ];
        for (named, result) in refused {
            let text = result.expect_err(named).to_string();
            assert!(text.contains(named), "{text}");
        }
    }
}
