//! The settings of stores: which are kept, how a reading stands in a capture, and what is known of them at an
//! instant.

mod allowed;
mod event;
mod known;
mod values;

pub use allowed::{is_setting, settings_listed};
pub use event::{Occasion, SettingsEvent, SettingsRead};
pub use known::{KnownSettings, SettingChange, StoreSettings};
pub use values::is_setting_value;
