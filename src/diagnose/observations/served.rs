//! What stores served clients in a stretch of time: requests by type, how long they took, and how many failed.
//!
//! A counter says nothing of instants. Its rise between two samples is spread evenly over the time between
//! them, and a stretch gets the part of it that lies inside. What two stretches served can so be compared,
//! although no store is scraped at their edges. Whether clients suffered is decided in `hypotheses`.

use std::collections::{BTreeMap, HashMap};

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::client_metrics::{
    FAILED, LATENCIES, REQUESTS, STATEMENT_LATENCIES, STATEMENTS, client, of_user,
};
use crate::diagnose::observations::outages::Outage;
use crate::diagnose::observations::presence::{Presence, presence};
use crate::diagnose::observations::series_table::Increment;
use crate::model::{Component, Labels, Series, TimeRange, Timestamp};

/// What was served of one type of request, or of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Served {
    /// How many requests.
    pub requests: f64,
    /// How many of them failed.
    pub failed: f64,
    /// How many took at most so many seconds, by the bits of the bound: positive floats ascend with them.
    buckets: BTreeMap<u64, f64>,
}

/// The fewest requests of which a share of a hundredth means anything.
const LEAST_OBSERVED: f64 = 200.0;

impl Served {
    /// The seconds in which 99 of 100 requests were served, as PromQL's `histogram_quantile` computes it: by
    /// linear interpolation within a bucket. `None` where fewer than 200 requests were observed.
    pub fn p99(&self) -> Option<f64> {
        let all = *self.buckets.get(&f64::INFINITY.to_bits())?;
        if all < LEAST_OBSERVED {
            return None;
        }
        let rank = 0.99 * all;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bits, count) in &self.buckets {
            let upper = f64::from_bits(*bits);
            if *count >= rank {
                let within = if *count > below { (rank - below) / (count - below) } else { 0.0 };
                return Some(if upper.is_finite() {
                    lower + (upper - lower) * within
                } else {
                    lower
                });
            }
            (lower, below) = (upper, *count);
        }
        None
    }

    /// What was served of several types together.
    pub fn total<'s>(types: impl IntoIterator<Item = &'s Self>) -> Self {
        let mut all = Self::default();
        types.into_iter().for_each(|one| all.add(one));
        all
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        for (bound, count) in &other.buckets {
            *self.buckets.entry(*bound).or_default() += count;
        }
    }
}

/// What a kind of server counts of what clients ask of it.
struct Counters {
    /// The counter of requests.
    requests: &'static str,
    /// The counter of failed requests; `None` where there is none.
    failed: Option<&'static str>,
    /// The histogram of their durations.
    latencies: &'static str,
    /// Whether a series counts what clients ask for.
    is_client: fn(&Labels) -> bool,
    /// The label that says the type of request; all are of one type where it is absent.
    kind: &'static str,
}

const OF_TIKV: Counters = Counters {
    requests: REQUESTS,
    failed: Some(FAILED),
    latencies: LATENCIES,
    is_client: client,
    kind: "type",
};

/// The types of the two metrics are not the same ones.
const OF_TIDB: Counters = Counters {
    requests: STATEMENTS,
    failed: None,
    latencies: STATEMENT_LATENCIES,
    is_client: of_user,
    kind: "",
};

/// A counter, and what it counts. Its rises are computed where they are compared: those of a day of all buckets
/// would take more memory than their samples.
struct Counted<'e> {
    kind: &'e str,
    what: What,
    series: &'e Series,
}

/// What a counter counts.
#[derive(Clone, Copy)]
enum What {
    Requests,
    Failures,
    /// Requests that took at most so many seconds, by the bits of the bound.
    Within(u64),
}

/// A time in which a store's requests, or a TiDB server's statements, are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncounted {
    /// The store, as an index of `evidence.nodes.stores`; the server, among the names of TiDB's targets.
    pub store: usize,
    /// From its last sample to its next one, or to the end of what is known.
    pub range: TimeRange,
}

/// The requests of clients to all stores of a window, or their statements to all TiDB servers.
pub struct ClientRequests<'e> {
    evidence: &'e Evidence,
    /// The names of the servers' targets.
    instances: Vec<&'e str>,
    /// By server, then by metric and labels: sums of floats depend on the order.
    counted: Vec<Counted<'e>>,
    /// Times in which requests of a server that may have served some are not known.
    pub uncounted: Vec<Uncounted>,
    /// What all scraped stores are known for: after the last of their first samples, up to the first of
    /// their last ones. `None` where no store shows what it serves.
    pub known: Option<TimeRange>,
    /// The longest distance of two scrapes, in milliseconds.
    pub interval_ms: i64,
}

impl<'e> ClientRequests<'e> {
    /// The requests of a window. What a dead or frozen store served is nothing; what another store served while
    /// it was not scraped is unknown, unless its counters go on afterwards.
    pub fn new(evidence: &'e Evidence, outages: &[Outage]) -> Self {
        let stores = evidence.nodes.stores.iter().enumerate();
        let scraped: Vec<(usize, &str)> =
            stores.filter_map(|(store, node)| Some((store, node.instance.as_deref()?))).collect();
        let mut all = Self::counted(evidence, &OF_TIKV, scraped);
        all.uncounted.retain(|one| !is_down(outages, one.store, one.range, evidence.as_of));
        all
    }

    /// The statements that clients ran on TiDB servers. What one ran while it was not scraped is unknown; nothing
    /// else tells whether it ran then.
    pub fn of_statements(evidence: &'e Evidence) -> Self {
        let servers = evidence.nodes.names_of(Component::Tidb).enumerate().collect();
        Self::counted(evidence, &OF_TIDB, servers)
    }

    /// What servers count, those of them alone that count any requests of clients.
    fn counted(
        evidence: &'e Evidence,
        counters: &Counters,
        mut scraped: Vec<(usize, &'e str)>,
    ) -> Self {
        let mut by_instance = counters.by_instance(evidence);
        let is_request = |(what, _): &(What, &Series)| matches!(what, What::Requests);
        scraped.retain(|(_, instance)| {
            by_instance.get(instance).is_some_and(|own| own.iter().any(is_request))
        });
        let names = scraped.iter().map(|(_, instance)| *instance);
        let interval_ms = evidence.series.longest_interval(names);
        let mut all = Self {
            evidence,
            instances: scraped.iter().map(|(_, instance)| *instance).collect(),
            counted: Vec::new(),
            uncounted: Vec::new(),
            known: known_range(evidence, &scraped, interval_ms),
            interval_ms,
        };
        for (store, instance) in scraped {
            let own = by_instance.remove(instance).unwrap_or_default();
            let unknown = all.uncounted_of(instance, &own);
            all.uncounted.extend(unknown.into_iter().map(|range| Uncounted { store, range }));
            all.counted.extend(own.into_iter().map(|(what, series)| {
                let kind = series.labels.get(counters.kind).unwrap_or_default();
                Counted { kind, what, series }
            }));
        }
        all
    }

    /// The times of more than three and a half scrapes without a sample of a store, over which its counters do
    /// not go on.
    fn uncounted_of(&self, instance: &str, own: &[(What, &Series)]) -> Vec<TimeRange> {
        let mut at = scraped_at(self.evidence, instance);
        let end = self.known.map_or(self.evidence.as_of, |known| known.end);
        let last = at.last().copied();
        at.extend(last.filter(|last| *last < end).map(|_| end));
        let longest = self.longest_wait();
        let gaps = at.windows(2).filter(|two| two[1] - two[0] > longest);
        let goes_on = |gap: TimeRange| {
            let mut across = own.iter().flat_map(|(_, one)| self.rises(one, gap));
            across.any(|rise| rise.since <= gap.start && rise.at >= gap.end && !rise.is_reset)
        };
        let gaps = gaps.map(|two| TimeRange::new(two[0], two[1]));
        gaps.filter(|gap| !goes_on(*gap)).collect()
    }

    /// The last instant up to `at` until which the requests of every server are counted that was scraped just
    /// before: what one served between its last scrape and its end, nobody knows.
    pub fn counted_by(&self, at: Timestamp) -> Timestamp {
        let last = |instance: &&str| {
            let scrapes = scraped_at(self.evidence, instance);
            scrapes.into_iter().take_while(|scrape| *scrape <= at).last()
        };
        let just_before = |last: &Timestamp| at - *last <= self.longest_wait();
        self.instances.iter().filter_map(last).filter(just_before).min().unwrap_or(at)
    }

    /// How long a server may have no sample and nothing is missing, in milliseconds: three and a half scrapes.
    fn longest_wait(&self) -> i64 {
        self.interval_ms.saturating_mul(3) + self.interval_ms / 2
    }

    /// How a counter rose in `range` and around its ends.
    fn rises(&self, series: &Series, range: TimeRange) -> impl Iterator<Item = Increment> {
        let mut rises = self.evidence.series.increments_within(series, range);
        rises.retain(|rise| rise.by > 0.0);
        for rise in rises.iter_mut().filter(|rise| rise.is_reset) {
            let instance = series.labels.get("instance").unwrap_or_default();
            rise.since = began(self.evidence, instance, rise);
        }
        rises.into_iter()
    }

    /// What was served in a stretch, by type.
    pub fn by_type(&self, range: TimeRange) -> BTreeMap<&'e str, Served> {
        let mut served: BTreeMap<&str, Served> = BTreeMap::new();
        for one in &self.counted {
            let by: f64 = self.rises(one.series, range).map(|rise| part(&rise, range)).sum();
            if by == 0.0 {
                continue;
            }
            let of_type = served.entry(one.kind).or_default();
            match one.what {
                What::Requests => of_type.requests += by,
                What::Failures => of_type.failed += by,
                What::Within(bound) => *of_type.buckets.entry(bound).or_default() += by,
            }
        }
        served
    }

    /// The stretch of one scrape interval within `range` in which requests of a type were slowest, and the seconds in
    /// which 99 of 100 were served then. `None` where no such stretch has enough of them.
    pub fn slowest(&self, kind: &str, range: TimeRange) -> Option<(Timestamp, f64)> {
        let steps = Steps::within(range, self.interval_ms);
        let mut served = vec![Served::default(); steps.count];
        for one in self.counted.iter().filter(|one| one.kind == kind) {
            let What::Within(bound) = one.what else { continue };
            for rise in self.rises(one.series, range) {
                for place in steps.overlapping(TimeRange::new(rise.since, rise.at)) {
                    let by = part(&rise, steps.at(place));
                    *served[place].buckets.entry(bound).or_default() += by;
                }
            }
        }
        let timed = served.iter().enumerate();
        let timed = timed.filter_map(|(place, one)| Some((steps.at(place).start, one.p99()?)));
        timed.reduce(|slowest, one| if one.1 > slowest.1 { one } else { slowest })
    }

    /// The stretch of one scrape interval within `range` with the fewest requests, and how many a second those
    /// are. Stretches of which a store's requests are not known are left out.
    pub fn least(&self, range: TimeRange) -> Option<(Timestamp, f64)> {
        let steps = Steps::within(range, self.interval_ms);
        let mut requests: Vec<Option<f64>> = vec![Some(0.0); steps.count];
        for one in &self.uncounted {
            requests[steps.overlapping(one.range)].fill(None);
        }
        let counted = self.counted.iter().filter(|one| matches!(one.what, What::Requests));
        for rise in counted.flat_map(|one| self.rises(one.series, range)) {
            for place in steps.overlapping(TimeRange::new(rise.since, rise.at)) {
                if let Some(sum) = &mut requests[place] {
                    *sum += part(&rise, steps.at(place));
                }
            }
        }
        let mut found: Option<(Timestamp, f64)> = None;
        for (place, requests) in requests.into_iter().enumerate() {
            let Some(requests) = requests else { continue };
            let rate = requests * 1000.0 / self.interval_ms as f64;
            if found.is_none_or(|(_, least)| rate < least) {
                found = Some((steps.at(place).start, rate));
            }
        }
        found
    }
}

/// A stretch of time, divided into steps of one length.
struct Steps {
    start: Timestamp,
    step_ms: i64,
    count: usize,
}

impl Steps {
    /// The whole steps within `range`, which begin with it.
    fn within(range: TimeRange, step_ms: i64) -> Self {
        let count = usize::try_from(range.millis() / step_ms).unwrap_or(0);
        Self { start: range.start, step_ms, count }
    }

    fn at(&self, place: usize) -> TimeRange {
        let start = self.start.saturating_add_millis(place as i64 * self.step_ms);
        TimeRange::new(start, start.saturating_add_millis(self.step_ms))
    }

    /// The places of those that overlap `range`.
    fn overlapping(&self, range: TimeRange) -> std::ops::Range<usize> {
        let place = |millis: i64| usize::try_from(millis).unwrap_or(0).min(self.count);
        let first = place((range.start - self.start).div_euclid(self.step_ms));
        let last = place((range.end - self.start + self.step_ms - 1).div_euclid(self.step_ms));
        first..last.max(first)
    }
}

/// The successful scrapes of a target.
fn scraped_at(evidence: &Evidence, instance: &str) -> Vec<Timestamp> {
    let scrapes = evidence.series.scrapes().get(instance).map_or(&[][..], Vec::as_slice);
    scrapes.iter().filter(|scrape| scrape.up).map(|scrape| scrape.at).collect()
}

fn known_range(
    evidence: &Evidence,
    scraped: &[(usize, &str)],
    interval_ms: i64,
) -> Option<TimeRange> {
    let ends = scraped.iter().filter_map(|(_, instance)| {
        let at = scraped_at(evidence, instance);
        Some((*at.first()?, *at.last()?))
    });
    let ends: Vec<(Timestamp, Timestamp)> = ends.collect();
    let newest = ends.iter().map(|(_, last)| *last).max()?;
    let oldest = ends.iter().map(|(first, _)| *first).min()?;
    // A store that joined later, or is gone by now, does not limit what is known of the others.
    let (early, late) = (oldest + 2 * interval_ms, newest + -2 * interval_ms);
    let from = ends.iter().map(|(first, _)| *first).filter(|first| *first <= early).max()?;
    let to = ends.iter().map(|(_, last)| *last).filter(|last| *last >= late).min()?;
    (from < to).then(|| TimeRange::new(from, to))
}

/// Whether a store was known to serve nothing in a part of `range`.
fn is_down(outages: &[Outage], store: usize, range: TimeRange, as_of: Timestamp) -> bool {
    outages.iter().any(|outage| {
        let dead = matches!(presence(outage), Presence::Died | Presence::Frozen | Presence::Gone);
        outage.store == store && dead && outage.range(as_of).overlaps(&range)
    })
}

impl Counters {
    /// The counters that are about clients, by the name of their target; those of one by metric and labels.
    fn by_instance<'e>(&self, evidence: &'e Evidence) -> HashMap<&'e str, Vec<(What, &'e Series)>> {
        let mut found: HashMap<&str, Vec<(What, &Series)>> = HashMap::new();
        let metrics = [Some(self.requests), self.failed, Some(self.latencies)];
        for metric in metrics.into_iter().flatten() {
            let all = evidence.series.metric(metric).iter();
            for one in all.filter(|one| (self.is_client)(&one.labels)) {
                let Some(instance) = one.labels.get("instance") else { continue };
                let Some(what) = self.what(metric, &one.labels) else { continue };
                found.entry(instance).or_default().push((what, one));
            }
        }
        found
    }

    fn what(&self, metric: &str, labels: &Labels) -> Option<What> {
        match metric {
            _ if metric == self.requests => Some(What::Requests),
            _ if metric == self.latencies => {
                Some(What::Within(labels.get("le")?.parse::<f64>().ok()?.to_bits()))
            }
            _ => Some(What::Failures),
        }
    }
}

/// When a process that counts anew may have begun at the earliest: after the last scrape that failed.
fn began(evidence: &Evidence, instance: &str, rise: &Increment) -> Timestamp {
    let scrapes = evidence.series.scrapes().get(instance).map_or(&[][..], Vec::as_slice);
    let before = &scrapes[..scrapes.partition_point(|one| one.at < rise.at)];
    let mut between = before.iter().rev().take_while(|one| one.at > rise.since);
    between.find(|one| !one.up).map_or(rise.since, |one| one.at)
}

/// The part of a rise that falls into `range`.
fn part(rise: &Increment, range: TimeRange) -> f64 {
    let (since, at) = (rise.since.max(range.start), rise.at.min(range.end));
    let inside = at - since;
    if inside <= 0 { 0.0 } else { rise.by * inside as f64 / (rise.at - rise.since) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Parts;
    use crate::diagnose::observations::series_table::tests::series;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn range(from: i64, to: i64) -> TimeRange {
        TimeRange::new(at(from), at(to))
    }

    fn labels<'a>(metric: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = [("__name__", metric), ("job", "tikv"), ("instance", "a:20180")];
        own.into_iter().chain(more.iter().copied()).collect()
    }

    fn evidence(series: Vec<Series>) -> Evidence {
        Evidence::new(range(0, 200), at(200), Parts { series, ..Parts::default() })
    }

    fn all(known: &ClientRequests<'_>, range: TimeRange) -> Served {
        Served::total(known.by_type(range).values())
    }

    fn up(samples: &[(i64, f64)]) -> Series {
        series(&labels("up", &[]), samples)
    }

    #[test]
    fn a_stretch_gets_its_part_of_what_was_counted_between_two_samples() {
        let gets = series(
            &labels(REQUESTS, &[("type", "raw_get")]),
            &[(10, 0.0), (20, 100.0), (30, 300.0)],
        );
        let messages = series(&labels(REQUESTS, &[("type", "raft")]), &[(10, 0.0), (30, 9_000.0)]);
        let evidence = evidence(vec![up(&[(10, 1.0), (20, 1.0), (30, 1.0)]), gets, messages]);
        let known = ClientRequests::new(&evidence, &[]);
        assert_eq!(known.known, Some(range(10, 30)));
        assert_eq!(all(&known, range(15, 25)).requests, 150.0);
        assert_eq!(known.least(range(10, 30)), Some((at(10), 10.0)));
    }

    #[test]
    fn a_restarted_store_has_counted_since_the_last_failed_scrape() {
        let gets = series(
            &labels(REQUESTS, &[("type", "kv_get")]),
            &[(10, 500.0), (20, 600.0), (100, 50.0), (110, 60.0)],
        );
        let scrapes = [(10, 1.0), (20, 1.0), (30, 0.0), (90, 0.0), (100, 1.0), (110, 1.0)];
        let evidence = evidence(vec![up(&scrapes), gets]);
        let known = ClientRequests::new(&evidence, &[]);
        assert_eq!(all(&known, range(20, 90)).requests, 0.0);
        assert_eq!(all(&known, range(90, 100)).requests, 50.0);
        let unknown = Uncounted { store: 0, range: range(20, 100) };
        assert_eq!(known.uncounted, [unknown]);
    }

    #[test]
    fn a_quantile_is_interpolated_within_its_bucket() {
        let bucket = |le: &str, count: f64| {
            let own = [("type", "raw_get"), ("le", le)];
            series(&labels(LATENCIES, &own), &[(10, 0.0), (20, count)])
        };
        let count = series(&labels(REQUESTS, &[("type", "raw_get")]), &[(10, 0.0), (20, 1_000.0)]);
        let buckets = vec![bucket("0.1", 980.0), bucket("0.2", 1_000.0), bucket("+Inf", 1_000.0)];
        let rest = [up(&[(10, 1.0), (20, 1.0)]), count];
        let evidence = evidence(buckets.into_iter().chain(rest).collect());
        let known = ClientRequests::new(&evidence, &[]);
        let p99 = all(&known, range(10, 20)).p99().unwrap();
        assert!((p99 - 0.15).abs() < 1e-9, "{p99}");
        assert_eq!(all(&known, range(10, 11)).p99(), None, "a hundred requests are too few");
        assert_eq!(known.slowest("raw_get", range(10, 20)).map(|(start, _)| start), Some(at(10)));
        assert_eq!(known.slowest("raw_put", range(10, 20)), None);
    }

    /// A day of scrapes every 15 s, of which each adds as many requests as its number's last digit.
    fn a_day(stores: usize) -> Vec<Series> {
        let scrapes = || (0..5_760).map(|step: i64| step * 15);
        let mut counted = 0.0;
        let counts: Vec<(i64, f64)> = scrapes()
            .map(|second| {
                counted += (second / 15 % 10) as f64;
                (second, counted)
            })
            .collect();
        let up: Vec<(i64, f64)> = scrapes().map(|second| (second, 1.0)).collect();
        let of_store = |store: usize| {
            let instance = format!("{store}:20180");
            let own = [("job", "tikv"), ("instance", instance.as_str())];
            let named = |name, more: &[(&str, &str)], samples: &[(i64, f64)]| {
                let pairs = [&[("__name__", name)], &own[..], more].concat();
                series(&pairs, samples)
            };
            [named("up", &[], &up), named(REQUESTS, &[("type", "raw_get")], &counts)]
        };
        (0..stores).flat_map(of_store).collect()
    }

    #[test]
    fn the_least_of_a_day_is_found_without_comparing_each_rise_with_each_step() {
        let day = range(0, 86_400);
        let parts = Parts { series: a_day(40), ..Parts::default() };
        let evidence = Evidence::new(day, day.end, parts);
        let known = ClientRequests::new(&evidence, &[]);
        // Each rise is looked at once: 230,400 of them. With each step it would be 1.3 thousand million, for
        // which nobody waits.
        assert_eq!(known.least(range(15, 86_385)), Some((at(135), 0.0)));
    }
}
