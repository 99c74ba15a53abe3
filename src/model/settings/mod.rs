//! The settings of stores: which are kept, what they are by default, how a reading stands in a capture, and what is
//! known of them at an instant.

mod allowed;
mod defaults;
mod event;
mod known;
mod values;

pub use allowed::{MACHINE, is_of_machine, is_setting, settings_listed};
pub use defaults::{bytes_of_size, default_setting, is_same_value, knows_defaults_of};
pub use event::{Occasion, SettingsEvent, SettingsRead};
pub use known::{KnownSettings, SettingChange, StoreSettings};
pub use values::is_setting_value;
