//! Leaders are unevenly placed, and PD does not move them.

use std::collections::BTreeSet;

use crate::diagnose::findings::finding::{FindingKind, Target, number};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::model::{TimeRange, Timestamp};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "imbalance",
    nature: Nature::Fault,
    depth: Depth::Consequence,
    says: "leaders are unevenly placed, and PD does not move them",
    said: Some("leaders were unevenly placed, and PD did not move them"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdStores],
    metrics: &[],
    surest: 0.7,
    advice: Advice {
        check: "pd-ctl scheduler show; pd-ctl config show; pd-ctl store (weights)",
        remedy: "add the missing scheduler, or resume the paused one (a change)",
        risk: "moving regions takes disk and network from clients",
        documentation: "https://docs.pingcap.com/tidb/stable/pd-scheduling-best-practices",
        section: None,
    },
    judge,
};

/// How long a spread must last while the balancer is not at work, in milliseconds: PD balances within
/// minutes as soon as it can.
const LASTS_MS: i64 = 600_000;

/// How long a spread must last that grew while the balancer was not at work, in milliseconds: where it
/// is at work, `balance-leader` acts within seconds.
const GREW_MS: i64 = 60_000;
/// By how many regions the spread must have grown.
const GREW_BY: u64 = 10;

/// How late a change of PD's schedulers is noticed, in milliseconds: PD is asked once a minute.
const ASKED_MS: i64 = 60_000;

/// The scheduler that spreads leaders evenly.
const BALANCER: &str = "balance-leader-scheduler";
/// The prefix of schedulers that move all leaders to one store.
const GRANTS: &str = "grant-leader-scheduler";
/// The setting that limits how many leaders PD may move at once.
const LIMIT: &str = "schedule.leader-schedule-limit";

/// How many leaders PD may move at once, as configured at an instant; empty where that is unknown.
fn limit_at<'a>(observed: &'a ObservedWindow<'_>, at: Timestamp) -> &'a str {
    let pd = &observed.evidence.pd;
    let later = pd.config_changes.iter().find(|change| change.key == LIMIT && change.at > at);
    match later {
        Some(change) => &change.from,
        None => pd.config.get(LIMIT).map_or("", String::as_str),
    }
}

/// The least and the greatest number of regions that a store leads.
#[derive(Clone, Copy)]
struct Spread {
    least: u64,
    most: u64,
}

impl Spread {
    fn at(observed: &ObservedWindow<'_>, at: Timestamp) -> Option<Self> {
        let pd = &observed.evidence.pd;
        let stores = observed.evidence.nodes.stores.iter().enumerate();
        let serving = stores.filter(|(index, _)| !observed.leaving.contains(index));
        let counts: Vec<u64> = serving
            .filter_map(|(_, store)| pd.stores.get(&store.id?)?.counts_at(at))
            .map(|counts| counts.leaders)
            .collect();
        Some(Self { least: *counts.iter().min()?, most: *counts.iter().max()? })
    }

    fn width(self) -> u64 {
        self.most - self.least
    }

    /// Twice the least and ten more: what `balance-leader` would never leave.
    fn is_wide(self) -> bool {
        self.most >= 2 * self.least && self.width() >= 10
    }
}

/// A stretch of time, open where it lasts.
#[derive(Clone, Copy)]
struct Stretch {
    from: Timestamp,
    end: Option<Timestamp>,
}

/// Times in which leaders were not balanced: the balancer is not among PD's schedulers, is paused, may
/// make no operator, or another scheduler grants leaders to one store.
fn unbalanced(observed: &ObservedWindow<'_>) -> Vec<Stretch> {
    let pd = &observed.evidence.pd;
    let works = |at: Timestamp| {
        let held = |list: &[(Timestamp, BTreeSet<String>)]| {
            let by = list.partition_point(|(changed, _)| *changed <= at);
            list[..by].last().is_some_and(|(_, names)| names.contains(BALANCER))
        };
        let by = pd.schedulers.partition_point(|(changed, _)| *changed <= at);
        let granted = pd.schedulers[..by]
            .last()
            .is_some_and(|(_, names)| names.iter().any(|name| name.starts_with(GRANTS)));
        held(&pd.schedulers) && !held(&pd.paused) && !granted && limit_at(observed, at) != "0"
    };
    let Some((listed, _)) = pd.schedulers.first() else { return Vec::new() };
    let limits = pd.config_changes.iter().filter(|change| change.key == LIMIT);
    let changes = pd.schedulers.iter().chain(&pd.paused).map(|(at, _)| *at);
    let changes = changes.chain(limits.map(|change| change.at));
    let mut instants: Vec<Timestamp> = changes.filter(|at| at >= listed).collect();
    instants.sort_unstable();
    let mut found: Vec<Stretch> = Vec::new();
    for at in instants {
        let open = found.last_mut().filter(|stretch| stretch.end.is_none());
        match (open, works(at)) {
            (Some(stretch), true) => stretch.end = Some(at),
            (None, false) => found.push(Stretch { from: at, end: None }),
            _ => {}
        }
    }
    found
}

/// When leaders were spread too widely, where that is a fault.
fn too_wide(observed: &ObservedWindow<'_>, away: Stretch) -> Option<Stretch> {
    let open = observed.open();
    let wide = |at: Timestamp| Spread::at(observed, at).is_some_and(Spread::is_wide);
    let long_ago = open.saturating_add_millis(-LASTS_MS);
    if away.end.is_none() && away.from <= long_ago && wide(long_ago) && wide(open) {
        return Some(Stretch { from: long_ago, end: None });
    }
    let from = away.from.saturating_add_millis(-ASKED_MS);
    let before =
        Spread::at(observed, from.saturating_add_millis(-1)).or(Spread::at(observed, away.from))?;
    let grown = |at: &Timestamp| {
        Spread::at(observed, *at)
            .is_some_and(|now| now.is_wide() && now.width() >= before.width() + GREW_BY)
    };
    let until = away.end.unwrap_or(open);
    let listings = observed.evidence.pd.listings.iter().copied();
    let within: Vec<Timestamp> = listings.filter(|at| *at >= from && *at <= until).collect();
    let stretch = within
        .chunk_by(|a, b| grown(a) == grown(b))
        .find(|run| grown(&run[0]) && run[run.len() - 1] - run[0] >= GREW_MS)?;
    // Leaders that left a drained or a missing store should not be moved back.
    let from = stretch[0];
    let drained = observed
        .drains
        .iter()
        .any(|drain| drain.at <= until && drain.end.is_none_or(|end| end >= from));
    (!drained && !observed.disturbed(from)).then_some(Stretch { from, end: away.end })
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let unbalanced = unbalanced(observed).into_iter();
    let found = unbalanced.filter_map(|stretch| too_wide(observed, stretch)).next();
    let found = found.map(|stretch| claim(observed, stretch)).or_else(|| leaving(observed));
    found.into_iter().collect()
}

/// How many times the leaders of another store, and how many more, make a store's too few while it loses them:
/// PD balances leaders by the size of their regions, which differs by less.
const FAR: u64 = 5;
const FAR_BY: u64 = 100;
/// How many leaders it must have lost within [`LASTS_MS`], as few as two a minute.
const LOST: u64 = 20;

/// The claim of a store that has far fewer leaders than another one with no more regions to lead, and lost leaders all
/// the while, or got none: nobody drains it, and the balancer does not stop it. A store that may lead nothing by a rule
/// has none.
fn leaving(observed: &ObservedWindow<'_>) -> Option<Claim> {
    let open = observed.open();
    let pd = &observed.evidence.pd;
    let from = open.saturating_add_millis(-LASTS_MS);
    let middle = open.saturating_add_millis(-LASTS_MS / 2);
    let stores = observed.evidence.nodes.stores.iter().enumerate();
    let serving: Vec<_> = stores
        .filter(|(index, _)| !observed.leaving.contains(index))
        .filter_map(|(index, store)| Some((index, pd.stores.get(&store.id?)?)))
        .filter(|(_, history)| !history.is_tiflash)
        .collect();
    let drained = |store: usize| observed.drains.iter().any(|drain| drain.store == store);
    let is_slow = |history: &StoreHistory| history.slow.iter().any(|(_, score)| *score > 1);
    let lacks = |store: usize, history: &StoreHistory| {
        let at = |instant: Timestamp| history.counts_at(instant);
        let (Some(first), Some(then), Some(now)) = (at(from), at(middle), at(open)) else {
            return false;
        };
        let others = serving.iter().filter(|(index, _)| *index != store);
        let most =
            others.filter_map(|(_, other)| other.counts_at(open)).max_by_key(|one| one.leaders);
        let loses = first.leaders > then.leaders
            && then.leaders > now.leaders
            && first.leaders >= now.leaders + LOST;
        let stays = now.leaders >= LOST && now.leaders.max(then.leaders) <= first.leaders;
        (loses || stays)
            && most.is_some_and(|most| {
                most.leaders >= (FAR * now.leaders).max(now.leaders + FAR_BY)
                    && 2 * now.regions >= most.regions
            })
    };
    let mut lacking = serving
        .iter()
        .filter(|(store, history)| lacks(*store, history) && !drained(*store) && !is_slow(history));
    let (store, _) = lacking.next().filter(|_| !observed.disturbed(from))?;
    let mut claim = claim(observed, Stretch { from, end: None });
    claim.target.concerns.push(observed.evidence.nodes.stores[*store].name());
    Some(claim)
}

fn claim(observed: &ObservedWindow<'_>, Stretch { from, end }: Stretch) -> Claim {
    let at = end.map_or(observed.open(), |end| end.saturating_add_millis(-1));
    let Spread { least, most } = Spread::at(observed, at).unwrap_or(Spread { least: 0, most: 0 });
    let mut claim = Claim::new(Target::cluster(), from, 60_000, 0.7);
    claim.end = end;
    let listings = &observed.evidence.pd.listings;
    let listed = listings.iter().rev().copied().find(|listed| *listed <= at);
    let reading = crossing(Crossing {
        kind: FindingKind::ScoresApart,
        target: Target::cluster(),
        range: TimeRange::new(from, end.unwrap_or(observed.open())),
        uncertainty_ms: 60_000,
        lasts: end.is_none(),
        text: format!(
            "stores lead from {} to {} regions",
            number(least as f64),
            number(most as f64)
        ),
        read: ("PD /stores leader_count", format!("{least} to {most}")),
        plot: Vec::new(),
    });
    claim.readings.push(reading.read_at(listed.unwrap_or(from)));
    claim
}
