//! The settings of stores in a running recording.

use tokio::sync::watch;

use super::RecordingState;
use crate::capture::CaptureReader;
use crate::model::{KnownSettings, SettingsEvent};
use crate::record::copier::lock;
use crate::record::error::RecordError;
use crate::record::settings::{ListedStore, RecordedSettings, SettingsReading};

impl RecordingState<'_> {
    /// Begins to read the settings of the stores that PD lists. Returns the stores as they are now, and whenever
    /// they change.
    ///
    /// # Errors
    ///
    /// [`RecordError::Capture`] where the capture cannot be read for what it holds already.
    pub fn expect_settings(&mut self) -> Result<watch::Receiver<Vec<ListedStore>>, RecordError> {
        let path = lock(self.open_tick).writer.path().to_owned();
        let events = CaptureReader::open(&path)?.events()?;
        let held: Vec<SettingsEvent> = events.iter().filter_map(SettingsEvent::of_event).collect();
        Ok(self.settings.insert(RecordedSettings::new(KnownSettings::of(&held))).stores())
    }

    /// Takes in what was read of a store's settings.
    pub fn add_settings(&mut self, reading: &SettingsReading) {
        self.check_clocks();
        let Some(settings) = &mut self.settings else { return };
        let result = reading.read.as_ref().map_or_else(|(reason, _)| reason.name(), |_| "ok");
        self.committer.self_metrics.count_request("settings", result, reading.seconds);
        if let Some((result, seconds)) = reading.machine {
            self.committer.self_metrics.count_request("server_info", result, seconds);
        }
        if let Err((_, error)) = &reading.read {
            tracing::info!(store = %reading.store, %error, "the settings of a store were not read");
        }
        let event = settings.observe(reading);
        lock(self.open_tick).tick.events.extend(event);
    }
}
