//! What is unusual from the first sample to the last, beside peers or beside a limit.

use super::beyond::{again, ahead, beyond, limit_of};
use super::clock::{Clock, clock};
use super::from_start::{BESIDE, from_start};
use super::growing::growing;
use super::quantity::Reading;
use super::sign::{Sign, has_word, may_be_counter};
use super::standing_out::{Floor, StandingOut};
use super::unusual::{AtTarget, Course, Group, Scope, Unusual, scope_of};
use super::waits::{served, waits};
use super::words::WRITTEN;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::Track;
use crate::model::Component;

/// How many peers a node must have to be told from them by its values alone.
const PEERS: usize = 2;

/// From how many things on that one store keeps they count, and how many times as many as any other keeps. Of the
/// counts that reach a hundred in the bundled runs (entries of logs, estimated keys), the store with most has at most
/// three times as many as the next.
pub(super) const KEPT: f64 = 200.0;
const KEPT_BESIDE: f64 = 20.0;
/// How many observations a second must be slow for that to count where it comes and goes: as many failures stand out.
const OFTEN_SLOW: f64 = 0.5;
/// How many more of them there must be at last, where they only grow.
const GROWN: f64 = 1_000.0;

impl Group<'_> {
    /// What is so from the beginning of what waits, fails or takes long.
    pub(super) fn since_the_beginning(&self, floor: Floor) -> Vec<Unusual> {
        let is_level = self.targets.iter().any(|one| one.quantity.reading == Reading::Level);
        let mut found = self.high(floor);
        if found.is_empty() {
            found = self.beyond();
        }
        if found.is_empty() {
            found = match is_level {
                true => self.waits(),
                false => self.again(),
            };
        }
        if found.is_empty() && is_level && self.sign == Sign::Waiting {
            found = self.rises(Course::Grows, |one| growing(&one.track, floor.usual));
        }
        found
    }

    /// Where it is high from first to last: at one store, and at no other. One member of PD leads and does all
    /// the work.
    pub(super) fn high(&self, floor: Floor) -> Vec<Unusual> {
        self.far_above(floor, BESIDE)
    }

    /// Where it is at least so many times the greatest value of any peer.
    fn far_above(&self, floor: Floor, beside: f64) -> Vec<Unusual> {
        if self.component == Component::Pd || self.targets.len() <= PEERS {
            return Vec::new();
        }
        let greatest = |track: &Track| track.values().fold(0.0, f64::max);
        let of_targets = self.targets.iter().map(|one| greatest(&one.track));
        let mut by_value: Vec<(f64, usize)> = of_targets.zip(0..).collect();
        by_value.sort_by(|a, b| b.0.total_cmp(&a.0));
        let Some(&(_, place)) = by_value.first() else { return Vec::new() };
        let of_peers = by_value.get(1).map_or(0.0, |(value, _)| *value);
        let found = from_start(&self.targets[place].track, of_peers, floor.usual, beside);
        let found = found.filter(|_| self.sign == Sign::Kept || !self.stands_still(place));
        let mut standing = vec![Vec::new(); self.targets.len()];
        standing[place].extend(found);
        self.each(Course::High, &standing, |place, stretch| {
            let levels = self.levels_elsewhere(&[place], stretch);
            Some((vec![place], Scope::One, median(levels)))
        })
    }

    /// Where one store keeps far more of something than any other, or what stores keep only grows. Keys and entries do
    /// where clients write.
    pub(super) fn kept(&self, floor: Floor) -> Vec<Unusual> {
        let found = self.far_above(floor, KEPT_BESIDE);
        let is_of_clients = |one: &AtTarget<'_>| has_word(&one.quantity.metric, WRITTEN);
        if !found.is_empty() || self.targets.iter().any(is_of_clients) {
            return found;
        }
        self.rises(Course::Grows, |one| growing(&one.track, GROWN.max(floor.usual)))
    }

    /// Where it is past its limit from first to last.
    pub(super) fn beyond(&self) -> Vec<Unusual> {
        self.together_from_the_beginning(Course::High, |place| {
            let one = &self.targets[place];
            let limit = limit_of(one.quantity, self.sign, one.beside)?;
            let found = beyond(&one.track, limit).or_else(|| {
                let is_age = clock(one.quantity) == Some(Clock::Age);
                is_age.then(|| ahead(&one.track, limit)).flatten()
            });
            found.filter(|_| !self.stands_still(place))
        })
    }

    /// Where a mean is past its limit, or many observations are slow, again and again.
    fn again(&self) -> Vec<Unusual> {
        self.together_from_the_beginning(Course::Again, |place| {
            let one = &self.targets[place];
            let limit = match one.quantity.reading {
                Reading::Slow => OFTEN_SLOW,
                Reading::Mean => limit_of(one.quantity, self.sign, one.beside)?,
                _ => return None,
            };
            again(&one.track, limit)
        })
    }

    /// Whether failures may have been counted before the first sample, and none since.
    fn stands_still(&self, place: usize) -> bool {
        let one = &self.targets[place];
        let values = || one.track.values();
        let is_same = values().next().is_some_and(|first| values().all(|value| value == first));
        may_be_counter(one.quantity) && is_same
    }

    /// Where tasks wait too long from first to last, by how many are done.
    fn waits(&self) -> Vec<Unusual> {
        self.together_from_the_beginning(Course::Waits, |place| {
            let one = &self.targets[place];
            waits(&one.track, &self.survey.track(served(one.quantity, one.beside)?))
        })
    }

    /// What is so at any targets, as one.
    fn together_from_the_beginning(
        &self,
        course: Course,
        find: impl Fn(usize) -> Option<StandingOut>,
    ) -> Vec<Unusual> {
        let standing: Vec<Vec<StandingOut>> =
            (0..self.targets.len()).map(|place| find(place).into_iter().collect()).collect();
        let places: Vec<usize> =
            (0..standing.len()).filter(|place| !standing[*place].is_empty()).collect();
        let scope = match scope_of(places.len(), self.targets.len()) {
            Scope::One if places.len() > 1 => Scope::Most,
            scope => scope,
        };
        self.each(course, &standing, |place, stretch| {
            let elsewhere = match course {
                Course::High if scope == Scope::One => {
                    median(self.levels_elsewhere(&places, stretch))
                }
                _ => None,
            };
            (places.first() == Some(&place)).then(|| (places.clone(), scope, elsewhere))
        })
    }
}
