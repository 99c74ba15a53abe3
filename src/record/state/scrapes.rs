//! Scraping while a recording runs, alone or in the place of a Prometheus that is away.

use tokio::sync::watch;

use super::RecordingState;
use crate::model::Source;
use crate::pd::Member;
use crate::record::copier::lock;
use crate::record::error::RecordError;
use crate::record::scraping::{Scrape, ScrapeRole, ScrapeTarget, Scraping};

impl RecordingState<'_> {
    /// Begins to scrape `members` and the stores that PD lists. Returns the targets as they are now, and
    /// whenever they change.
    pub fn expect_scrapes(
        &mut self,
        members: &[Member],
        role: ScrapeRole,
    ) -> watch::Receiver<Vec<ScrapeTarget>> {
        self.scraping.insert(Scraping::new(members, role)).targets()
    }

    /// Takes in a scrape.
    pub fn add_scrape(&mut self, scrape: &Scrape) -> Result<(), RecordError> {
        self.check_clocks();
        let Some(scraping) = &mut self.scraping else { return Ok(()) };
        scraping.count(scrape, &mut self.committer.self_metrics);
        if self.committer.is_short_of_space() {
            scraping.lose(scrape);
            return Ok(());
        }
        Ok(scraping.push(scrape, self.prometheus_offset_ms, &mut lock(self.open_tick))?)
    }

    /// Notes whether the scrapes of a commit were stored. Nothing else holds them.
    pub(super) fn note_commit(&mut self) {
        let now = self.now().prometheus.at;
        let Some(scraping) = self.scraping.as_mut().filter(|one| one.is_alone()) else { return };
        let is_full = self.committer.is_short_of_space();
        let gap = scraping.note_commit(self.committer.copy_is_lost(), is_full, now);
        self.committer.start_copy();
        lock(self.open_tick).tick.gaps.extend(gap);
    }

    /// Scrapes while Prometheus is away, where that is wanted. A disk that is full has no room for it.
    pub(super) fn stand_in_for_prometheus(&mut self) {
        let is_away = self.coverage.is_out(&Source::Prometheus);
        let is_away = is_away && !self.committer.is_short_of_space();
        let Some(scraping) = &mut self.scraping else { return };
        if let Some(text) = scraping.follow_prometheus(is_away) {
            tracing::warn!("{text}");
            self.add_event(self.clocks.read().at, &text);
        }
    }
}
