//! Scraping in the place of a Prometheus that is away.

use super::RecordingState;
use crate::model::Source;

impl RecordingState<'_> {
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
