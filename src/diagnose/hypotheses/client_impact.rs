//! What clients had of the first cause of a verdict: what was served before, during and after it.
//!
//! How much was served in a stretch of time is computed in `observations`.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::blind_spots::some_of;
use crate::diagnose::clients::{
    self, Clients, Impact, Part, ServedRates, Slowest, Stretch, TypeRates,
};
use crate::diagnose::findings::finding::{number, seconds};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{ClientRequests, Served};
use crate::diagnose::verdict::Cause;
use crate::model::{Component, Observed, TimeRange, Timestamp};

/// How much of the requests before is left, at most, where clients suffer: four fifths, since a minute of a
/// steady load differs from the next by some hundredths and of a real one by a tenth or two.
const FEWER: f64 = 0.8;
/// How much of the least before is left in the worst scrape interval where clients suffer for a moment: three fifths. The
/// least is compared with the least, so that a load that goes up and down is no fall.
const DIP: f64 = 0.6;
/// How many times longer 99 of 100 requests take where clients suffer. TiKV's buckets double, so less than
/// that may be the interpolation's.
const SLOWER: f64 = 2.0;
/// How many seconds longer they take at least: below some milliseconds nobody notices.
const SLOWER_SECONDS: f64 = 0.005;
/// How many more requests a second fail, at least.
const FAILING: f64 = 0.1;
/// How an answer without numbers begins.
const CANNOT_TELL: &str = "cannot tell: ";
/// Below so many requests a second there are no clients to speak of.
const IDLE: f64 = 1.0;
/// How much before and after a cause is compared with it, in milliseconds: the last two minutes, as for every
/// comparison of loads. Longer ago, clients may have done something else, such as loading a data set.
const BESIDE_MS: i64 = 120_000;

/// How the numbers are computed.
const COMPUTED: [&str; 3] = [
    "requests_per_second: how much tikv_grpc_msg_duration_seconds_count rose, summed over stores and all types \
     that begin with kv_, raw_ or coprocessor, by the seconds of the stretch; a rise between two samples is \
     spread evenly between them; after a restart a counter begins at 0 at the last failed scrape, and what a \
     store served between its last sample and its end is not counted",
    "failed_per_second: the same of tikv_grpc_msg_fail_total, which appears with a store's first failure; \
     what a store that is gone did not answer is not counted",
    "p99_ms: histogram_quantile(0.99) of the same rise of tikv_grpc_msg_duration_seconds_bucket, by le",
];

/// What clients had of the first of these causes, or of the first change where there is no cause; what they
/// were served throughout where there is neither. `None` where nobody can know what clients are served: no TiKV
/// is part of what was recorded, and nothing is wrong.
pub fn client_impact(
    observed: &ObservedWindow<'_>,
    causes: &[Cause],
    changes: &[Cause],
) -> Option<Clients> {
    let served = ClientRequests::new(observed.evidence, &observed.outages);
    let about = causes.first().or(changes.first());
    let Some(known) = served.known else {
        return about.map(|cause| {
            let why = "no store's metrics show what clients asked for".to_owned();
            Clients { about: Some(cause.mode), ..cannot_tell(why) }
        });
    };
    let begun = observed.requests.iter().filter_map(|track| track.0.first());
    let begun = begun.map(|point| point.since).min().unwrap_or(known.start);
    let known = TimeRange::new(known.start.max(begun), known.end.max(begun));
    let Some(cause) = about else {
        let all = stretch(&served, Part::Throughout, known)?;
        let stretches = vec![all];
        let mut text = told(&stretches, "requests", Least::NotTold);
        if let Some(damage) = unreadable(observed, &stretches) {
            text = format!("{damage}; without them {text}");
        }
        return Some(Clients { text, stretches, ..computed() });
    };
    let stretches = stretches(&served, cause, known);
    // What a damaged part held is unknown, and neither a request that was not served nor one that was.
    if let Some(damage) = unreadable(observed, &stretches) {
        let numbers = told(&stretches, "requests", Least::NotTold);
        let clients = cannot_tell(format!("{damage}; without them {numbers}"));
        let computed = COMPUTED.to_vec();
        return Some(Clients { about: Some(cause.mode), stretches, computed, ..clients });
    }
    let mut clients = judged(&served, &stretches);
    clients.about = Some(cause.mode);
    clients.not_counted = not_counted(&served, &stretches, |store| {
        let store = observed.evidence.nodes.stores[store].name();
        format!("what {store} served while it was not scraped is unknown")
    });
    if !clients.not_counted.is_empty() && clients.impact == Some(Impact::Seen) {
        clients.impact = Some(unless_uncounted(&stretches));
    }
    if clients.impact == Some(Impact::CannotTell) && !clients.not_counted.is_empty() {
        let first = &clients.not_counted[0];
        clients.text = match clients.text.strip_prefix(CANNOT_TELL) {
            Some(why) => format!("{CANNOT_TELL}{first}, and {why}"),
            None => format!("{CANNOT_TELL}{first}; without it {}", clients.text),
        };
    }
    clients.stretches = stretches;
    add_statements(observed, cause, &mut clients);
    Some(clients)
}

/// Adds what TiDB servers count: a client of theirs may wait where stores answer as before.
fn add_statements(observed: &ObservedWindow<'_>, cause: &Cause, clients: &mut Clients) {
    let served = ClientRequests::of_statements(observed.evidence);
    let Some(known) = served.known else { return };
    clients.statements = stretches(&served, cause, known);
    let rates = |part| of(part, &clients.statements).map(|one| one.all);
    let (Some(before), Some(during)) = (rates(Part::Before), rates(Part::During)) else { return };
    if before.requests_per_second < IDLE {
        return;
    }
    let statements = told(&clients.statements, "statements", Least::NotTold);
    let servers: Vec<&str> = observed.evidence.nodes.names_of(Component::Tidb).collect();
    let unknown = not_counted(&served, &clients.statements, |server| {
        format!("what TiDB {} ran while it was not scraped is unknown", servers[server])
    });
    // Fewer statements may only be those that are not counted.
    let suffered = match unknown.is_empty() {
        true => during.suffered(&before),
        false => during.slower(&before),
    };
    clients.not_counted.extend(unknown);
    if suffered && clients.impact != Some(Impact::Seen) {
        clients.impact = Some(Impact::Seen);
        clients.text = format!("{statements}; of stores, {}", clients.text);
    } else {
        clients.text = format!("{}; {statements}", clients.text);
    }
}

/// Of what samples before or during a cause cannot be read that may be a store's; `None` where there are none. A
/// target of which nothing is left may be one.
fn unreadable(observed: &ObservedWindow<'_>, stretches: &[Stretch]) -> Option<String> {
    let nodes = &observed.evidence.nodes;
    let compared = stretches.iter().filter(|one| one.part != Part::After);
    let ranges: Vec<TimeRange> =
        compared.map(|one| TimeRange::new(one.start_ms, one.end_ms)).collect();
    let is_store =
        |name: &str| nodes.stores.iter().any(|one| one.instance.as_deref() == Some(name));
    let may_be_store = |of: &Observed| match of {
        Observed::Pd => false,
        Observed::Anything => true,
        Observed::Target(key) => {
            let mut names = nodes.names_of_key(key).peekable();
            names.peek().is_none() || names.any(is_store)
        }
    };
    let parts = observed.evidence.unreadable.iter();
    let parts = parts.filter(|part| ranges.iter().any(|range| part.range.overlaps(range)));
    let of: BTreeSet<String> =
        parts.map(|part| &part.of).filter(|of| may_be_store(of)).map(ToString::to_string).collect();
    let of = Vec::from_iter(of);
    (!of.is_empty()).then(|| format!("samples of {} are damaged", some_of(&of)))
}

/// An answer without numbers.
fn cannot_tell(why: String) -> Clients {
    Clients {
        impact: Some(Impact::CannotTell),
        about: None,
        text: format!("{CANNOT_TELL}{why}"),
        most_affected: None,
        stretches: Vec::new(),
        statements: Vec::new(),
        least: None,
        slowest: None,
        not_counted: Vec::new(),
        computed: Vec::new(),
    }
}

/// An answer with numbers, to be filled.
fn computed() -> Clients {
    Clients { impact: None, computed: COMPUTED.to_vec(), ..cannot_tell(String::new()) }
}

/// The stretches before, during and after a cause, as far as they are known.
fn stretches(served: &ClientRequests<'_>, cause: &Cause, known: TimeRange) -> Vec<Stretch> {
    let earliest = cause.onset_ms.saturating_add_millis(-cause.onset_uncertainty_ms);
    let end = cause.end_ms.unwrap_or(known.end).max(cause.onset_ms);
    let from = earliest.saturating_add_millis(-BESIDE_MS);
    let to = end.saturating_add_millis(BESIDE_MS);
    let parts = [
        (Part::Before, from, served.counted_by(earliest)),
        (Part::During, cause.onset_ms, end),
        (Part::After, end, to),
    ];
    let within = |(part, from, to): (Part, Timestamp, Timestamp)| {
        let range = TimeRange::new(from.max(known.start), to.min(known.end));
        stretch(served, part, range)
    };
    parts.into_iter().filter_map(within).collect()
}

/// What was served in a stretch; `None` where it is shorter than a scrape interval.
fn stretch(served: &ClientRequests<'_>, part: Part, range: TimeRange) -> Option<Stretch> {
    if range.start.saturating_add_millis(served.interval_ms) > range.end {
        return None;
    }
    let by_type: BTreeMap<&str, Served> = served.by_type(range);
    let rates = |one: &Served| ServedRates::over(one, range);
    let mut types: Vec<TypeRates> = by_type
        .iter()
        .map(|(kind, one)| TypeRates { kind: (*kind).to_owned(), rates: rates(one) })
        .collect();
    types.sort_by(|a, b| {
        let busiest = b.rates.requests_per_second.total_cmp(&a.rates.requests_per_second);
        busiest.then_with(|| a.kind.cmp(&b.kind))
    });
    let all = rates(&Served::total(by_type.values()));
    Some(Stretch { part, start_ms: range.start, end_ms: range.end, all, types })
}

impl ServedRates {
    /// Of a type that was not served at all.
    const NONE: Self = Self { requests_per_second: 0.0, failed_per_second: 0.0, p99_ms: None };

    fn over(served: &Served, range: TimeRange) -> Self {
        let seconds = range.millis() as f64 / 1000.0;
        Self {
            requests_per_second: in_hundredths(served.requests / seconds),
            failed_per_second: in_hundredths(served.failed / seconds),
            p99_ms: served.p99().map(|value| in_hundredths(value * 1000.0)),
        }
    }

    /// Whether clients suffered that were served like this, after `before`.
    fn suffered(&self, before: &Self) -> bool {
        self.fewer(before) || self.slower(before) || self.fails(before)
    }

    /// In what clients suffered, with the numbers that show it; `None` where they did not.
    fn how_suffered(&self, before: &Self) -> Option<String> {
        let shown = |ms: Option<f64>| ms.map_or("?".to_owned(), |ms| seconds(ms / 1000.0));
        let (was, is) = (before.requests_per_second, self.requests_per_second);
        if self.slower(before) {
            Some(format!("p99 {} -> {}", shown(before.p99_ms), shown(self.p99_ms)))
        } else if self.fewer(before) {
            Some(format!("{} -> {} a second", number(was), number(is)))
        } else {
            let failed = number(self.failed_per_second);
            self.fails(before).then(|| format!("{failed} failed a second"))
        }
    }

    fn fewer(&self, before: &Self) -> bool {
        self.requests_per_second < FEWER * before.requests_per_second
    }

    fn slower(&self, before: &Self) -> bool {
        let (Some(now), Some(usual)) = (self.p99_ms, before.p99_ms) else { return false };
        is_slower(now, usual)
    }

    fn fails(&self, before: &Self) -> bool {
        self.failed_per_second >= before.failed_per_second + FAILING
    }
}

/// Whether 99 of 100 requests take far longer than usual, both in milliseconds.
fn is_slower(now: f64, usual: f64) -> bool {
    now >= SLOWER * usual && now >= usual + SLOWER_SECONDS * 1000.0
}

fn of(part: Part, stretches: &[Stretch]) -> Option<&Stretch> {
    stretches.iter().find(|one| one.part == part)
}

/// Compares the stretches of a cause.
fn judged(served: &ClientRequests<'_>, stretches: &[Stretch]) -> Clients {
    let Some(before) = of(Part::Before, stretches) else {
        return cannot_tell("too little was recorded before it".to_owned());
    };
    let Some(during) = of(Part::During, stretches) else {
        return cannot_tell("no scrape interval since its onset is complete".to_owned());
    };
    if before.all.requests_per_second < IDLE {
        return cannot_tell("clients asked for next to nothing before it".to_owned());
    }
    let range = |one: &Stretch| TimeRange::new(one.start_ms, one.end_ms);
    let least = served.least(range(during));
    let usual = served.least(range(before)).map_or(0.0, |(_, rate)| rate);
    let dips = least.is_some_and(|(_, rate)| rate < DIP * usual);
    let affected = most_affected(before, during);
    let seen = dips || during.all.suffered(&before.all) || affected.is_some();
    let lowest = match least {
        Some((_, rate)) if dips => Least::Dip(rate),
        Some((_, rate)) if seen => Least::Beside(rate),
        _ => Least::NotTold,
    };
    let mut numbers = told(stretches, "requests", lowest);
    // One slow interval alone may be chance: quiet runs have them too. So it is told, and proves nothing.
    let slowest = slowest(served, before, range(during));
    if let Some(one) = slowest.as_ref().filter(|_| affected.is_none()) {
        let [was, is] = [one.before_p99_ms, one.p99_ms].map(|ms| seconds(ms / 1000.0));
        numbers.push_str(&format!("; {} at its slowest: p99 {is} ({was} before)", one.kind));
    }
    // Without latencies, as many requests as before say only that none was refused.
    let timed = before.all.p99_ms.is_some() && during.all.p99_ms.is_some();
    let (impact, text) = match (&affected, seen) {
        (Some((kind, how)), _) => (Impact::Seen, format!("{numbers}; {kind} suffers ({how})")),
        (None, true) => (Impact::Seen, numbers),
        (None, false) if timed => {
            (Impact::NoneSeen, format!("no impact seen on average: {numbers}"))
        }
        (None, false) => (Impact::CannotTell, format!("{numbers}: cannot tell if they were slow")),
    };
    Clients {
        impact: Some(impact),
        text,
        most_affected: affected.map(|(kind, _)| kind.to_owned()),
        least: least.map(|(at_ms, rate)| clients::Least {
            at_ms,
            requests_per_second: in_hundredths(rate),
        }),
        slowest,
        ..computed()
    }
}

/// The types of request that made up a tenth of all requests, the busiest first: of fewer, chance decides.
fn busy(before: &Stretch) -> impl Iterator<Item = &TypeRates> {
    let least = (0.1 * before.all.requests_per_second).max(IDLE);
    before.types.iter().filter(move |one| one.rates.requests_per_second >= least)
}

/// The busiest type of request that suffered, by what was asked before, and how.
fn most_affected<'s>(before: &'s Stretch, during: &Stretch) -> Option<(&'s str, String)> {
    busy(before).find_map(|one| {
        let now = during.types.iter().find(|other| other.kind == one.kind);
        let now = now.map_or(ServedRates::NONE, |now| now.rates);
        Some((one.kind.as_str(), now.how_suffered(&one.rates)?))
    })
}

/// The busy type of request whose slowest scrape interval in `during` is the furthest above its slowest one before;
/// `None` where none is far above.
fn slowest(served: &ClientRequests<'_>, before: &Stretch, during: TimeRange) -> Option<Slowest> {
    let earlier = TimeRange::new(before.start_ms, before.end_ms);
    let ms = |value: f64| in_hundredths(value * 1000.0);
    let of = |one: &TypeRates| {
        let (_, was) = served.slowest(&one.kind, earlier)?;
        let (at_ms, is) = served.slowest(&one.kind, during)?;
        let kind = one.kind.clone();
        let far = is_slower(is * 1000.0, was * 1000.0);
        far.then(|| Slowest { at_ms, kind, p99_ms: ms(is), before_p99_ms: ms(was) })
    };
    let factor = |one: &Slowest| one.p99_ms / one.before_p99_ms;
    let all = busy(before).filter_map(of);
    all.reduce(|most, one| if factor(&one) > factor(&most) { one } else { most })
}

/// How the least rate of the stretch during a cause is told.
#[derive(Clone, Copy)]
enum Least {
    NotTold,
    /// Behind the mean.
    Beside(f64),
    /// Before the mean, which says nothing of a dip.
    Dip(f64),
}

/// The numbers of stretches in words, which begin with how much of `what` was served.
fn told(stretches: &[Stretch], what: &str, least: Least) -> String {
    let rate = |(place, one): (usize, &Stretch)| {
        let unit = if place == 0 { format!(" {what} a second") } else { String::new() };
        let (mean, part) = (number(one.all.requests_per_second), one.part.name());
        match least {
            Least::Dip(least) if one.part == Part::During => {
                format!("as few as {}{unit} {part} ({mean} on average)", number(least))
            }
            Least::Beside(least) if one.part == Part::During => {
                format!("{mean}{unit} {part} (least {})", number(least))
            }
            _ => format!("{mean}{unit} {part}"),
        }
    };
    let rates: Vec<String> = stretches.iter().enumerate().map(rate).collect();
    let mut text = rates.join(", ");
    let each = |shown: &dyn Fn(&ServedRates) -> String| {
        stretches.iter().map(|one| shown(&one.all)).collect::<Vec<_>>().join(" -> ")
    };
    let p99 = |one: &ServedRates| one.p99_ms.map_or("?".to_owned(), |ms| seconds(ms / 1000.0));
    match stretches.iter().any(|one| one.all.p99_ms.is_some()) {
        true => text.push_str(&format!("; p99 {}", each(&p99))),
        false => text.push_str("; p99 unknown"),
    }
    match stretches.iter().all(|one| one.all.failed_per_second == 0.0) {
        true if what == "statements" => {}
        true => text.push_str("; no store counted a failure"),
        false => {
            let failed = each(&|one| number(one.failed_per_second));
            text.push_str(&format!("; {failed} failed a second"));
        }
    }
    text
}

/// What is `told` of servers of which it is not known what they served before or during the cause.
fn not_counted(
    served: &ClientRequests<'_>,
    stretches: &[Stretch],
    told: impl Fn(usize) -> String,
) -> Vec<String> {
    let compared = stretches.iter().filter(|one| one.part != Part::After);
    let ranges: Vec<TimeRange> =
        compared.map(|one| TimeRange::new(one.start_ms, one.end_ms)).collect();
    let concerned =
        served.uncounted.iter().filter(|one| ranges.iter().any(|range| range.overlaps(&one.range)));
    concerned.map(|one| told(one.store)).collect()
}

/// What remains of an impact where some requests during the cause are not counted: that fewer were served may
/// only be what was not counted.
fn unless_uncounted(stretches: &[Stretch]) -> Impact {
    let rates = |part| of(part, stretches).map(|one| &one.all);
    let (Some(before), Some(during)) = (rates(Part::Before), rates(Part::During)) else {
        return Impact::CannotTell;
    };
    match during.slower(before) || during.fails(before) {
        true => Impact::Seen,
        false => Impact::CannotTell,
    }
}

/// Rates are printed with two digits after the point.
fn in_hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
