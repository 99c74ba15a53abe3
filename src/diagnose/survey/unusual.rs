//! What stands out beside a node's own past and beside its peers: what rises and should not, work that stops, what
//! is not given back, progress that stands still, and quotas that are used up. What is so from first to last stands
//! in `lasting`.

use std::collections::BTreeMap;

use super::Survey;
use super::clock::{age_expression, clock, standing_still};
use super::falling::falling;
use super::growing::growing;
use super::quantity::{Quantity, Reading};
use super::quota::{Limit, limit_of, share_expression, used_up};
use super::sign::{Sign, has_word, sign_of};
use super::standing_out::{Floor, StandingOut, floor_of, is_slight, standing_out};
use super::waits::wait_expression;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::Track;
use crate::model::{Component, TimeRange, Timestamp};
use crate::nodes::Nodes;

/// A quantity that is unusual for a while.
#[derive(Clone, Debug)]
pub struct Unusual {
    /// What is unusual.
    pub quantity: Quantity,
    /// What it is a sign of.
    pub sign: Sign,
    /// What it does that is unusual.
    pub course: Course,
    /// The names of the scrape targets where it is.
    pub instances: Vec<String>,
    /// Whether these are some of their kind, most or all.
    pub scope: Scope,
    /// What the targets are.
    pub component: Component,
    /// How it departed at the first of them.
    pub standing: StandingOut,
    /// The median of the other targets' values meanwhile; `None` where there is no other target.
    pub elsewhere: Option<f64>,
    /// The expression of PromQL for its values at the first of the targets.
    pub expression: String,
}

impl Unusual {
    /// Whether it takes longer than before, and still not long.
    pub fn is_slight(&self) -> bool {
        self.sign == Sign::Slow && is_slight(&self.quantity, &self.standing)
    }
}

/// What a quantity does that is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    /// It rises far above what it was.
    Rises,
    /// It falls far below what it was.
    Falls,
    /// It is far above its peers, or past a limit, from first to last.
    High,
    /// It is past a limit again and again, from first to last.
    Again,
    /// It makes tasks wait too long from first to last; its values are seconds.
    Waits,
    /// It grows from first to last.
    Grows,
    /// It stands still; its values are ages in seconds.
    Stands,
    /// It uses up its limit; its values are shares of that.
    Full,
}

/// At how many targets of a kind something is unusual. For work that stops, targets that did none do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// At one, beside others that go on as before.
    One,
    /// At most.
    Most,
    /// At all, and there are several.
    All,
}

/// How many times the peers' value a node's must be to be its own trouble.
const BESIDE_PEERS: f64 = 3.0;
/// What part of their usual work peers must go on with, so that a node's that stops is its own trouble.
const GO_ON: f64 = 0.5;
/// Up to which share of its default limit a quota may be used whose limit was not recorded: a program lets it be
/// exceeded a little.
const OVER_DEFAULT: f64 = 1.05;
/// How many times as many calls as any member of PD was ever asked for are no matter of what clients do: they ask the
/// stores for more, too.
const FLOOD: f64 = 20.0;
/// How many calls a second more stand out; a flood are four times as many, where there were none before.
const MORE_CALLS: f64 = 100.0;
/// How far apart the onsets of the same trouble at several nodes may be, in steps.
const TOGETHER: i64 = 4;

/// A quantity at one target.
pub(super) struct AtTarget<'a> {
    pub instance: &'a str,
    pub quantity: &'a Quantity,
    pub track: Track,
    /// All quantities of the target.
    pub beside: &'a [Quantity],
}

impl<'a> AtTarget<'a> {
    fn new(survey: &Survey, (instance, quantity, beside): Place<'a>) -> Self {
        Self { instance, quantity, track: survey.track(quantity), beside }
    }
}

/// The name of a target, a quantity there, and all quantities of the target.
type Place<'a> = (&'a str, &'a Quantity, &'a [Quantity]);

/// What quantities of several targets have in common: metric, reading and label.
type Kind<'a> = (&'a str, Reading, &'a Option<(String, String)>);

/// Every quantity of the cluster's stores and members that is unusual, in no particular order.
pub fn unusual(survey: &Survey, nodes: &Nodes) -> Vec<Unusual> {
    let mut found = Vec::new();
    for component in [Component::Tikv, Component::Pd] {
        let mut alike: BTreeMap<Kind<'_>, Vec<Place<'_>>> = BTreeMap::new();
        for target in nodes.targets.iter().filter(|target| target.component == component) {
            let beside = survey.target(&target.labels).unwrap_or_default();
            for quantity in beside {
                let key = (quantity.metric.as_str(), quantity.reading, &quantity.label);
                alike.entry(key).or_default().push((target.name.as_str(), quantity, beside));
            }
        }
        for group in alike.values().filter(|group| !group.iter().all(|(_, one, _)| one.is_zero())) {
            let Some(sign) = group.first().and_then(|(_, one, _)| sign_of(one)) else { continue };
            // Tracks take several times what the survey does, so those of one kind at a time.
            let targets: Vec<AtTarget<'_>> =
                group.iter().map(|place| AtTarget::new(survey, *place)).collect();
            let group = Group { targets: &targets, component, sign, survey };
            found.extend(group.unusual());
        }
    }
    found
}

/// One kind of quantity at all targets of a component that have it.
pub(super) struct Group<'a> {
    pub targets: &'a [AtTarget<'a>],
    pub component: Component,
    pub sign: Sign,
    pub survey: &'a Survey,
}

impl Group<'_> {
    fn unusual(&self) -> Vec<Unusual> {
        let Some(first) = self.targets.first() else { return Vec::new() };
        let floor = floor_of(first.quantity, self.sign);
        let stands = |one: &AtTarget<'_>| {
            clock(one.quantity).and_then(|clock| standing_still(&one.track, clock))
        };
        match self.sign {
            Sign::Serving => {
                let mut found = self.falls();
                found.extend(self.floods());
                found
            }
            Sign::Kept => self.kept(floor),
            // A share of few observations is what chance makes of it.
            Sign::Slow if first.quantity.reading == Reading::SlowShare => self.beyond(),
            Sign::Quota => self.rises(Course::Full, |one| self.full(one)),
            Sign::Held => self.rises(Course::Grows, |one| growing(&one.track, floor.usual)),
            Sign::Progress => self.rises(Course::Stands, stands),
            Sign::Waiting | Sign::Failing | Sign::Slow => {
                let mut found = self.rises(Course::Rises, |one| standing_out(&one.track, floor));
                if clock(first.quantity).is_some() {
                    found.extend(self.rises(Course::Stands, stands));
                }
                if found.iter().all(Unusual::is_slight) {
                    found.extend(self.since_the_beginning(floor));
                }
                found
            }
        }
    }

    /// Where it rises: at one node far above its peers, or at most of them together.
    pub(super) fn rises<T: IntoIterator<Item = StandingOut>>(
        &self,
        course: Course,
        stretches: impl Fn(&AtTarget<'_>) -> T,
    ) -> Vec<Unusual> {
        let of_target = |one: &AtTarget<'_>| stretches(one).into_iter().collect();
        let standing: Vec<Vec<StandingOut>> = self.targets.iter().map(of_target).collect();
        let of = self.targets.len();
        self.each(course, &standing, |place, stretch| {
            let together = self.together(&standing, stretch);
            let levels = match course {
                // Their values are made of several, or of the time.
                Course::Full | Course::Stands => Vec::new(),
                _ => self.levels_elsewhere(&together, stretch),
            };
            let greatest = levels.iter().copied().fold(f64::MIN, f64::max);
            let alone = levels.is_empty() || stretch.typical >= BESIDE_PEERS * greatest.max(0.0);
            let scope = scope_of(together.len(), of);
            match scope {
                Scope::One => alone.then(|| (vec![place], scope, median(levels))),
                _ => (together.first() == Some(&place)).then_some((together, scope, None)),
            }
        })
    }

    /// Where a quota is used up.
    fn full(&self, one: &AtTarget<'_>) -> Option<StandingOut> {
        match limit_of(one.quantity, one.beside)? {
            // Where more is used, the limit is another one.
            Limit::Default(limit) => {
                used_up(&one.track, |_| Some(limit)).filter(|one| one.peak <= OVER_DEFAULT)
            }
            Limit::Recorded(limit) => {
                let limit = self.survey.track(limit);
                used_up(&one.track, |at| limit.last_by(at).map(|point| point.value))
            }
        }
    }

    /// Where it falls: at one node whose peers go on with their work, or at most of those that did any.
    fn falls(&self) -> Vec<Unusual> {
        let stretches = |one: &AtTarget<'_>| falling(&one.track);
        let standing: Vec<Vec<StandingOut>> = self.targets.iter().map(stretches).collect();
        self.each(Course::Falls, &standing, |place, stretch| {
            let together = self.together(&standing, stretch);
            let parts: Vec<f64> = (0..self.targets.len())
                .filter(|other| !together.contains(other))
                .filter_map(|other| part_done(&self.targets[other].track, stretch))
                .collect();
            let scope = match self.component {
                // One member leads and does all the work.
                Component::Pd => Scope::One,
                _ if parts.is_empty() => Scope::All,
                _ => scope_of(together.len(), together.len() + parts.len()),
            };
            let go_on = parts.is_empty() || parts.iter().any(|part| *part >= GO_ON);
            match scope {
                Scope::One => go_on.then(|| {
                    let levels = self.levels_elsewhere(&together, stretch);
                    (vec![place], scope, median(levels))
                }),
                _ => (together.first() == Some(&place)).then_some((together, scope, None)),
            }
        })
    }

    /// Where PD is asked for very much more than before, as no other member was either: whoever begins to lead takes
    /// over what the former leader was asked for. What stores are asked for is the clients' affair, but for the messages
    /// that they send each other.
    fn floods(&self) -> Vec<Unusual> {
        let is_message = |one: &AtTarget<'_>| has_word(&one.quantity.metric, &["message"]);
        if self.component != Component::Pd && !self.targets.iter().all(is_message) {
            return Vec::new();
        }
        let most_before = |at: Timestamp| {
            let tracks = self.targets.iter().map(|one| &one.track);
            let before = tracks.flat_map(|track| track.within(TimeRange::new(Timestamp::MIN, at)));
            before.map(|point| point.value).fold(0.0, f64::max)
        };
        self.rises(Course::Rises, |one| {
            let mut stretches = standing_out(&one.track, Floor::of(MORE_CALLS));
            stretches.retain(|stretch| {
                stretch.times >= FLOOD && stretch.typical >= FLOOD * most_before(stretch.onset)
            });
            stretches
        })
    }

    /// What is unusual of the stretches of each target, by `judge`: at which targets, how many of their kind
    /// that is, and the value elsewhere.
    pub(super) fn each(
        &self,
        course: Course,
        standing: &[Vec<StandingOut>],
        judge: impl Fn(usize, &StandingOut) -> Option<(Vec<usize>, Scope, Option<f64>)>,
    ) -> Vec<Unusual> {
        let all = standing.iter().enumerate();
        let all = all.flat_map(|(place, stretches)| stretches.iter().map(move |one| (place, one)));
        let found = all.filter_map(|(place, stretch)| {
            let (places, scope, elsewhere) = judge(place, stretch)?;
            let expression = self.expression(course, &self.targets[place], stretch);
            Some(Unusual {
                expression,
                quantity: self.targets[place].quantity.clone(),
                sign: self.sign,
                course,
                instances: places.iter().map(|at| self.targets[*at].instance.to_owned()).collect(),
                scope,
                component: self.component,
                standing: stretch.clone(),
                elsewhere,
            })
        });
        found.collect()
    }

    /// The expression of PromQL for what a course is of.
    fn expression(&self, course: Course, one: &AtTarget<'_>, stretch: &StandingOut) -> String {
        let (quantity, at) = (one.quantity, (one.instance, self.survey.step_ms()));
        match course {
            Course::Stands => age_expression(quantity, at, stretch.typical),
            Course::Waits => wait_expression(quantity, one.beside, at).unwrap_or_default(),
            Course::Full => share_expression(quantity, one.beside, at).unwrap_or_default(),
            _ => quantity.expression(at.0, at.1),
        }
    }

    /// The typical values of the targets besides some, during a stretch of theirs.
    pub(super) fn levels_elsewhere(&self, besides: &[usize], stretch: &StandingOut) -> Vec<f64> {
        let others = self.targets.iter().enumerate();
        let others = others.filter(|(other, _)| !besides.contains(other));
        let levels = others.filter_map(|(_, one)| match one.quantity.is_zero() {
            true => Some(0.0),
            false => typical_in(&one.track, range_of(stretch)),
        });
        levels.collect()
    }

    /// The targets where a stretch begins about when this one does, as indices.
    fn together(&self, standing: &[Vec<StandingOut>], with: &StandingOut) -> Vec<usize> {
        let apart = TOGETHER * self.survey.step_ms();
        let begins = |stretches: &[StandingOut]| {
            stretches.iter().any(|one| (one.onset - with.onset).abs() <= apart)
        };
        (0..standing.len()).filter(|place| begins(&standing[*place])).collect()
    }
}

pub(super) fn scope_of(together: usize, of: usize) -> Scope {
    match together {
        0 | 1 => Scope::One,
        all if all == of => Scope::All,
        most if most * 3 >= of * 2 => Scope::Most,
        _ => Scope::One,
    }
}

/// What part of its work before a target goes on with during a stretch of another one; `None` where it did none
/// worth mentioning, a tenth of what the other one did.
fn part_done(track: &Track, stretch: &StandingOut) -> Option<f64> {
    let before = median(
        track.within(TimeRange::new(Timestamp::MIN, stretch.onset)).iter().map(|p| p.value),
    )?;
    let during = typical_in(track, range_of(stretch))?;
    (before >= stretch.baseline / 10.0 && before > 0.0).then(|| during / before)
}

fn range_of(stretch: &StandingOut) -> TimeRange {
    TimeRange::new(stretch.onset, stretch.end.unwrap_or(Timestamp::MAX))
}

fn typical_in(track: &Track, range: TimeRange) -> Option<f64> {
    let after = TimeRange::new(range.start.saturating_add_millis(1), range.end);
    median(track.within(after).iter().map(|point| point.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is unusual of one metric whose values at each target these are, at a step of 30 s.
    fn unusual_of(
        (metric, reading): (&str, Reading),
        component: Component,
        values: &[Vec<f64>],
    ) -> Vec<(Course, Vec<String>)> {
        let quantity = |values: &Vec<f64>| Quantity {
            metric: metric.to_owned(),
            reading,
            label: None,
            bound: String::new(),
            values: values.clone(),
        };
        let quantities: Vec<Quantity> = values.iter().map(quantity).collect();
        let names: Vec<String> = (0..values.len()).map(|place| format!("node {place}")).collect();
        let target = |(quantity, name): (&'_ Quantity, &'_ String)| {
            (name.clone(), quantity.clone(), Track::every(30_000, quantity.values.clone()))
        };
        let known: Vec<(String, Quantity, Track)> =
            quantities.iter().zip(&names).map(target).collect();
        let targets: Vec<AtTarget<'_>> = known
            .iter()
            .map(|(instance, quantity, track)| AtTarget {
                instance,
                quantity,
                track: track.clone(),
                beside: &[],
            })
            .collect();
        let sign = sign_of(&quantities[0]).expect("it is a sign");
        let survey = Survey::default();
        let group = Group { targets: &targets, component, sign, survey: &survey };
        group.unusual().into_iter().map(|one| (one.course, one.instances)).collect()
    }

    fn course(parts: &[(f64, usize)]) -> Vec<f64> {
        parts.iter().flat_map(|(value, steps)| vec![*value; *steps]).collect()
    }

    #[test]
    fn pd_is_flooded_where_no_member_was_asked_for_nearly_as_much() {
        let calls = ("grpc_server_handled_total", Reading::Rate);
        let flooded = |before: f64, elsewhere: f64, after: f64| {
            let own = course(&[(before, 16), (after, 32)]);
            unusual_of(calls, Component::Pd, &[own, course(&[(elsewhere, 16), (0.0, 32)])])
        };
        let floods = |found: Vec<(Course, Vec<String>)>| {
            found.iter().any(|(course, at)| *course == Course::Rises && at == &["node 0"])
        };
        assert!(floods(flooded(30.0, 5.0, 2_000.0)));
        assert!(floods(flooded(0.0, 0.0, 420.0)));
        assert!(!floods(flooded(0.0, 0.0, 350.0)), "less than 400 a second");
        assert!(!floods(flooded(30.0, 5.0, 500.0)), "less than 20 times");
        assert!(!floods(flooded(0.0, 1_000.0, 2_000.0)), "it takes over from another member");
        let own = course(&[(30.0, 16), (2_000.0, 32)]);
        let of_stores = unusual_of(calls, Component::Tikv, &[own, vec![30.0; 48]]);
        assert_eq!(of_stores, [], "clients may ask a store for anything");
    }

    #[test]
    fn messages_flood_stores_and_what_clients_ask_does_not() {
        let flooded = |metric| {
            let own = course(&[(20.0, 16), (2_000.0, 32)]);
            unusual_of((metric, Reading::Rate), Component::Tikv, &[own, vec![20.0; 48]])
        };
        let of_messages = flooded("tikv_raftstore_raft_sent_message_total");
        assert_eq!(of_messages, [(Course::Rises, vec!["node 0".to_owned()])]);
        assert_eq!(flooded("tikv_storage_command_total"), []);
    }

    #[test]
    fn what_stores_keep_and_only_grows_stands_out_but_for_what_clients_write() {
        let grown = |metric| {
            let own: Vec<f64> = (0..40).map(|step| 100.0 + 50.0 * f64::from(step)).collect();
            unusual_of((metric, Reading::Level), Component::Tikv, &[own.clone(), own])
        };
        let at_both = vec!["node 0".to_owned(), "node 1".to_owned()];
        assert_eq!(grown("tikv_engine_num_files"), [(Course::Grows, at_both)]);
        assert_eq!(grown("tikv_engine_estimate_num_keys"), []);
    }

    #[test]
    fn a_store_that_keeps_twenty_times_as_much_as_any_other_stands_out() {
        let kept = |own: f64, other: f64| {
            let files = ("raft_engine_log_file_count", Reading::Level);
            let values = [vec![own; 20], vec![other; 20], vec![1.0; 20]];
            unusual_of(files, Component::Tikv, &values)
        };
        assert_eq!(kept(4_000.0, 78.0), [(Course::High, vec!["node 0".to_owned()])]);
        assert_eq!(kept(1_500.0, 78.0), [], "less than twenty times");
        assert_eq!(kept(190.0, 2.0), [], "few");
    }
}
