//! What is unusual from the first sample to the last, beside peers or beside a limit.

use super::beyond::{beyond, limit_of};
use super::from_start::from_start;
use super::growing::growing;
use super::idle::{covered, idle};
use super::quantity::Reading;
use super::sign::{Sign, may_be_counter};
use super::standing_out::{Floor, StandingOut};
use super::unusual::{Course, Group, Scope, Unusual, scope_of};
use super::waits::{served, waits};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::Track;
use crate::model::Component;

/// How many peers a node must have to be told from them by its values alone.
const PEERS: usize = 2;

impl Group<'_> {
    /// What is so from the beginning of what waits, fails or takes long.
    pub(super) fn since_the_beginning(&self, floor: Floor) -> Vec<Unusual> {
        let is_level = self.targets.iter().any(|one| one.quantity.reading == Reading::Level);
        let mut found = self.high(floor);
        if found.is_empty() {
            found = self.beyond();
        }
        if found.is_empty() && is_level {
            found = self.waits();
        }
        if found.is_empty() && is_level && self.sign == Sign::Waiting {
            found = self.rises(Course::Grows, |one| growing(&one.track, floor.usual));
        }
        found
    }

    /// Where it is high from first to last: at one store, and at no other. One member of PD leads and does all
    /// the work. A store that lacks the quantity has counted nothing of it.
    pub(super) fn high(&self, floor: Floor) -> Vec<Unusual> {
        if self.component == Component::Pd || self.surveyed.len() <= PEERS {
            return Vec::new();
        }
        let greatest = |track: &Track| track.values().fold(0.0, f64::max);
        let of_targets = self.targets.iter().map(|one| greatest(&one.track));
        let mut by_value: Vec<(f64, usize)> = of_targets.zip(0..).collect();
        by_value.sort_by(|a, b| b.0.total_cmp(&a.0));
        let Some(&(_, place)) = by_value.first() else { return Vec::new() };
        let of_peers = by_value.get(1).map_or(0.0, |(value, _)| *value);
        let found = from_start(&self.targets[place].track, of_peers, floor.usual);
        let found = found.filter(|_| !self.stands_still(place));
        let lacking = self.surveyed.len().saturating_sub(self.targets.len());
        self.lasting(Course::High, place, found, |stretch| {
            let levels = self.levels_elsewhere(&[place], stretch).into_iter();
            median(levels.chain(std::iter::repeat_n(0.0, lacking)))
        })
    }

    /// Where it is past its limit from first to last.
    pub(super) fn beyond(&self) -> Vec<Unusual> {
        self.together_from_the_beginning(Course::High, |place| {
            let one = &self.targets[place];
            let found = beyond(&one.track, limit_of(one.quantity, self.sign, one.beside)?);
            found.filter(|_| !self.stands_still(place))
        })
    }

    /// Whether failures may have been counted before the first sample, and none since.
    fn stands_still(&self, place: usize) -> bool {
        let one = &self.targets[place];
        let values = || one.track.values();
        let is_same = values().next().is_some_and(|first| values().all(|value| value == first));
        self.sign != Sign::Amount && may_be_counter(one.quantity) && is_same
    }

    /// Where tasks wait too long from first to last, by how many are done.
    fn waits(&self) -> Vec<Unusual> {
        self.together_from_the_beginning(Course::Waits, |place| {
            let one = &self.targets[place];
            waits(&one.track, &self.survey.track(served(one.quantity, one.beside)?))
        })
    }

    /// Where nothing is done from first to last, at one store whose peers all work. Of kinds of requests any
    /// may be asked of some stores alone.
    pub(super) fn idle(&self) -> Vec<Unusual> {
        let of_kind = self.targets.iter().any(|one| one.quantity.label.is_some());
        if self.component == Component::Pd || of_kind || self.targets.len() < PEERS {
            return Vec::new();
        }
        let tracks: Vec<&Track> = self.targets.iter().map(|one| &one.track).collect();
        let known = covered(&tracks);
        let silent = |track: &Track| track.values().all(|value| value == 0.0);
        let own = (0..tracks.len()).find(|place| silent(tracks[*place]));
        let peers = || (0..tracks.len()).filter(|place| Some(*place) != own);
        let at_work: Vec<&Track> = peers().map(|place| tracks[place]).collect();
        let none = Track(Vec::new());
        match own {
            Some(place) => {
                let found = idle(tracks[place], &at_work, known);
                self.lasting(Course::Idle, place, found, |stretch| Some(stretch.baseline))
            }
            // One that lacks the quantity has never done any.
            None if self.surveyed.len() == self.targets.len() + 1 => {
                let has = |name: &str| self.targets.iter().any(|one| one.instance == name);
                let lacking = self.surveyed.iter().find(|(name, _)| !has(name));
                let found = idle(&none, &at_work, known);
                let named = |mut one: Unusual, instance: &str| {
                    one.expression = one.quantity.expression(instance, self.survey.step_ms());
                    one.instances = vec![instance.to_owned()];
                    one
                };
                let all = self.lasting(Course::Idle, 0, found, |stretch| Some(stretch.baseline));
                let all = all.into_iter().zip(lacking);
                all.map(|(one, (instance, _))| named(one, instance)).collect()
            }
            None => Vec::new(),
        }
    }

    /// What is so at one target, and the value elsewhere.
    fn lasting(
        &self,
        course: Course,
        place: usize,
        found: Option<StandingOut>,
        elsewhere: impl Fn(&StandingOut) -> Option<f64>,
    ) -> Vec<Unusual> {
        let mut standing = vec![Vec::new(); self.targets.len()];
        standing[place].extend(found);
        self.each(course, &standing, |place, stretch| {
            Some((vec![place], Scope::One, elsewhere(stretch)))
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
