//! Dates PD's answers by another clock.

use super::pd_history::{Listed, PdHistory};
use crate::model::Timestamp;

impl PdHistory {
    /// Dates every answer anew, and with it the heartbeats, which PD dates by a clock that is taken to be the
    /// recorder's. Starts of processes keep the date that the process says.
    pub fn redate(&mut self, date: impl Fn(Timestamp) -> Timestamp) {
        let date = &date;
        for member in self.members.values_mut() {
            member.asks.iter_mut().for_each(|ask| ask.at = date(ask.at));
            redate(&mut member.starts, date);
        }
        self.health.values_mut().for_each(|list| redate(list, date));
        redate(&mut self.leaders, date);
        self.leaderships.values_mut().for_each(|list| redate(list, date));
        for store in self.stores.values_mut() {
            store.first_seen = date(store.first_seen);
            for (seen, sent) in &mut store.heartbeats {
                let by = date(*seen) - *seen;
                *seen = date(*seen);
                *sent = sent.saturating_add_millis(by);
            }
            redate(&mut store.counts, date);
            store.states.iter_mut().for_each(|(at, _, _)| *at = date(*at));
            redate(&mut store.starts, date);
            redate(&mut store.slow, date);
            redate(&mut store.busy, date);
            redate(&mut store.free, date);
        }
        self.listings.iter_mut().for_each(|at| *at = date(*at));
        self.not_bootstrapped.iter_mut().for_each(|one| one.redate(date));
        redate(&mut self.schedulers, date);
        redate(&mut self.paused, date);
        self.config_changes.iter_mut().for_each(|change| change.at = date(change.at));
        self.operators.iter_mut().for_each(|one| one.redate(date));
        self.checks.values_mut().for_each(|list| redate(list, date));
        redate(&mut self.region_counts, date);
        self.flows.values_mut().flatten().for_each(|top| top.at = date(top.at));
        redate(&mut self.safe_points, date);
        self.resolved.iter_mut().for_each(|one| one.redate(date));
    }
}

impl<T> Listed<T> {
    fn redate(&mut self, date: &impl Fn(Timestamp) -> Timestamp) {
        (self.at, self.until) = (date(self.at), date(self.until));
    }
}

fn redate<T>(list: &mut [(Timestamp, T)], date: &impl Fn(Timestamp) -> Timestamp) {
    list.iter_mut().for_each(|(at, _)| *at = date(*at));
}
