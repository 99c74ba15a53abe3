//! What a recording knows of its scrapes: which targets there are, which fail, and what was lost while the
//! disk was full.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::scraper::{Scrape, ScrapeRole};
use super::target::{ScrapeTarget, TargetList};
use crate::model::{Gap, GapReason, LabelsError, PdAnswer, Source, TimeRange, Timestamp};
use crate::pd::Member;
use crate::record::copier::OpenTick;
use crate::record::self_metrics::SelfMetrics;

/// The scrapes of a recording.
#[derive(Debug)]
pub struct Scraping {
    role: ScrapeRole,
    /// Whether the targets are scraped at the moment.
    is_active: bool,
    list: TargetList,
    listed: watch::Sender<Vec<ScrapeTarget>>,
    /// The names of targets whose last scrape failed.
    failing: BTreeSet<String>,
    /// When the first scrape was made that is not committed yet.
    uncommitted_since: Option<Timestamp>,
    /// When the first scrape was made that could not be stored.
    lost_since: Option<Timestamp>,
}

impl Scraping {
    /// Scrapes of these members, and of the stores that PD will list.
    pub fn new(members: &[Member], role: ScrapeRole) -> Self {
        let mut list = TargetList::default();
        list.set_members(members);
        let is_active = role == ScrapeRole::Alone;
        let (listed, _) = watch::channel(if is_active { list.targets() } else { Vec::new() });
        let failing = BTreeSet::new();
        let (uncommitted_since, lost_since) = (None, None);
        Self { role, is_active, list, listed, failing, uncommitted_since, lost_since }
    }

    /// Whether nothing but these scrapes says anything of the targets, so that what they lack is a gap.
    pub fn is_alone(&self) -> bool {
        self.role == ScrapeRole::Alone
    }

    /// Whether it scrapes in the place of a Prometheus that is away.
    pub fn is_in_place(&self) -> bool {
        self.is_active && !self.is_alone()
    }

    /// Begins or ceases to scrape in the place of a Prometheus that `is_away`, or is not. Returns what is to be told
    /// where that is a change.
    pub fn follow_prometheus(&mut self, is_away: bool) -> Option<String> {
        if self.is_alone() || self.is_active == is_away {
            return None;
        }
        self.is_active = is_away;
        self.list_targets();
        let all = self.list.targets().len();
        Some(match is_away {
            true => format!("Prometheus is away: the recorder scrapes {all} targets in its place"),
            false => "Prometheus answers again: the recorder ceases to scrape".to_owned(),
        })
    }

    fn list_targets(&self) {
        let targets = match (&self.role, self.is_active) {
            (ScrapeRole::Alone, _) => self.list.targets(),
            (ScrapeRole::Fallback(_), false) => Vec::new(),
            (ScrapeRole::Fallback(theirs), true) => {
                self.list.targets().into_iter().map(|one| one.in_place_of(theirs)).collect()
            }
        };
        self.listed.send_replace(targets);
    }

    /// The targets as they are now, and whenever they change.
    pub fn targets(&self) -> watch::Receiver<Vec<ScrapeTarget>> {
        self.listed.subscribe()
    }

    /// The number of targets whose last scrape failed.
    pub fn failing(&self) -> usize {
        self.failing.len()
    }

    /// Takes in the members as known now.
    pub fn set_members(&mut self, members: &[Member]) {
        if self.list.set_members(members) {
            self.list_targets();
        }
    }

    /// Takes in PD's answers.
    pub fn follow(&mut self, answers: &[PdAnswer]) {
        let changes = answers.iter().filter(|answer| self.list.follow(answer)).count();
        if changes > 0 {
            self.list_targets();
        }
    }

    /// Counts how a scrape ended.
    pub fn count(&mut self, scrape: &Scrape, metrics: &mut SelfMetrics) {
        let target = &scrape.target;
        let result = match &scrape.outcome {
            Some((Ok(()), seconds)) => {
                if self.failing.remove(target) {
                    tracing::info!(%target, "the target answers again");
                }
                Some(("ok", *seconds))
            }
            Some((Err((reason, detail)), seconds)) => {
                if self.failing.insert(target.clone()) {
                    tracing::warn!(%target, error = %detail, "a scrape failed");
                }
                Some((reason.name(), *seconds))
            }
            None => {
                self.failing.remove(target);
                None
            }
        };
        if let Some((result, seconds)) = result {
            metrics.count_request(target, result, seconds);
        }
    }

    /// Adds the samples of a scrape to the open tick. What the scrape stamped is dated by Prometheus's clock, which
    /// is `offset_ms` ahead of steady time.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where the capture refuses a label set.
    pub fn push(
        &mut self,
        scrape: &Scrape,
        offset_ms: i64,
        open_tick: &mut OpenTick,
    ) -> Result<(), LabelsError> {
        let OpenTick { writer, tick, feed } = open_tick;
        let stamp = scrape.samples.at();
        for (labels, mut sample) in scrape.samples.iter() {
            if Some(sample.at) == stamp {
                sample.at = sample.at.saturating_add_millis(offset_ms);
            }
            tick.samples.push(writer.index(), labels, &[sample])?;
            if let Some(feed) = feed {
                feed.add_samples(labels, &[sample]);
            }
        }
        self.uncommitted_since = self.uncommitted_since.or(scrape.samples.at());
        Ok(())
    }

    /// Notes that a scrape cannot be stored.
    pub fn lose(&mut self, scrape: &Scrape) {
        if !self.is_alone() {
            return;
        }
        self.lost_since = self.lost_since.or(scrape.samples.at());
    }

    /// Notes at `now` that what has been pushed was committed, or lost. While the disk `is_full`, more may be
    /// lost; the gap for all of it comes when there is room again, and ends where what was committed begins.
    pub fn note_commit(&mut self, is_lost: bool, is_full: bool, now: Timestamp) -> Option<Gap> {
        let mut committed_since = self.uncommitted_since.take();
        if is_lost {
            self.lost_since = self.lost_since.or(committed_since.take());
        }
        let since = self.lost_since.take_if(|_| !is_full)?;
        let end = committed_since.unwrap_or(now);
        Some(Gap {
            range: TimeRange::new(since, end.max(since.saturating_add_millis(1))),
            source: Source::Recorder,
            reason: GapReason::RecorderDown,
            detail: crate::record::state::DISK_FULL.to_owned(),
            healed_at: None,
        })
    }
}

/// The gap of a time in which the process did not run, and nothing was scraped.
pub fn pause_gap(pause: TimeRange) -> Gap {
    let seconds = pause.millis() / 1_000;
    Gap {
        range: pause,
        source: Source::Recorder,
        reason: GapReason::RecorderDown,
        detail: format!("the recorder was stopped or suspended for {seconds} s"),
        healed_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn scrapes_that_a_full_disk_cost_are_one_gap_once_there_is_room() {
        let mut scraping = Scraping::new(&[], ScrapeRole::Alone);
        scraping.uncommitted_since = Some(at(10));
        assert_eq!(scraping.note_commit(false, false, at(15)), None);
        scraping.uncommitted_since = Some(at(20));
        assert_eq!(scraping.note_commit(true, true, at(25)), None);
        assert_eq!(scraping.note_commit(false, true, at(40)), None);
        scraping.uncommitted_since = Some(at(50));
        let gap = scraping.note_commit(false, false, at(60)).expect("there is room again");
        assert_eq!(gap.range, TimeRange::new(at(20), at(50)));
        assert_eq!(scraping.note_commit(false, false, at(75)), None);
    }
}
