//! Values only: time, series, samples, gaps, PD answers and topology, events, run metadata; and how
//! text from outside is shown, and which names resemble one that does not exist.
//!
//! Nothing here opens a file, a socket or a clock, and nothing here uses another module.

mod as_of;
mod canonical_json;
mod component;
mod escape;
mod event;
mod gap;
mod labels;
mod log_event;
mod loss;
mod matcher;
mod pd_answer;
mod profile_event;
mod run;
mod series;
mod settings;
mod shell_word;
mod similar_names;
mod stretches;
mod time;
mod told;
mod topology;
mod zone;

pub use as_of::AsOf;
pub use canonical_json::canonical_json;
pub use component::Component;
pub use escape::{cut, escape, escape_json, escape_markdown, escape_path, is_escaped};
pub use event::{Event, EventKind};
pub use gap::{Gap, GapReason, Source, joined};
pub use labels::{
    EncodedLabels, Fingerprint, Labels, LabelsError, TargetKey, encode_labels, is_label_name,
    is_metric_name,
};
pub use log_event::{LogEvent, LogKind};
pub use loss::{
    Loss, Observed, Readable, Unreadable, joined_unreadable, known_stretch, unreadable_within,
};
pub use matcher::{Comparison, LabelMatcher, MatchOp, MatcherText};
pub use pd_answer::{PdAnswer, PdOutcome};
pub use profile_event::{ProfileEvent, ProfileKind, ProfileStack, StackGrowth, growth};
pub use run::{
    ClockOffset, Endpoints, Export, RunMeta, RunName, RunNameError, SCRAPED, SCRAPED_BY, ScrapedBy,
    Versions,
};
pub use series::{SETTLE_MS, STALE_NAN_BITS, Sample, Series, is_stale, stale_marker};
pub use settings::{
    KnownSettings, MACHINE, Occasion, SettingChange, SettingsEvent, SettingsRead, StoreSettings,
    bytes_of_size, default_setting, is_of_machine, is_same_value, is_setting, is_setting_value,
    knows_defaults_of, settings_listed,
};
pub use shell_word::shell_word;
pub use similar_names::{did_you_mean, similar_names};
pub use stretches::Stretches;
pub use time::{
    TimeParseError, TimeRange, Timestamp, duration_ms, duration_text, parse_duration_ms,
    uncertainty_text,
};
pub use told::{Told, ToldNode};
pub use topology::{
    Member, MemberId, MemberStatus, NodeState, PdOperator, RegionCounts, RegionId, Size, Store,
    StoreId, StoreLabel,
};
pub use zone::{Zone, ZoneError};
