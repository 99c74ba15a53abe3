//! Observations: what happened in a window, before anybody asks why. Outages, restarts, slow stages,
//! load that rose, and planned changes.
//!
//! An observation is a value that other code computes with; its description for a person is made in
//! `findings`.

pub(super) mod client_metrics;
pub(super) mod departures;
mod health;
pub(super) mod hosts;
mod hung_members;
pub(super) mod invariants;
mod just_now;
mod liveness;
mod load;
mod log_lines;
mod members;
mod moment;
mod nearest;
mod outages;
mod part_rises;
mod pd_dates;
pub(super) mod pd_history;
pub(super) mod pd_reading;
pub(super) mod pd_tracks;
mod plans;
mod presence;
mod reachability;
mod restarts;
mod rises;
pub(super) mod scrapes;
mod selected;
pub(super) mod series_table;
mod served;
mod settings;
mod shift;
mod silence;
mod stages;
mod states;
pub(super) mod tracks;

pub use client_metrics::{
    LATENCIES, METRICS as CLIENT_METRICS, REQUESTS, STATEMENT_LATENCIES, STATEMENTS, is_latency,
    requested_types,
};
pub use health::{HEALTH, late_checks};
pub use hosts::{HostSign, HostSignKind, METRICS as HOST_METRICS, answers, host_signs};
pub use hung_members::{HAS_LEADER, HungMember, LOG_WRITES, Shown, Sign, hung_members};
pub use just_now::{SilentNode, silent_just_now};
pub use liveness::Liveness;
pub use load::{Load, before_and_in, busier, measures_load, scans, total};
pub use log_lines::{Logged, logged};
pub use members::{
    LEADS_ETCD, LeaderChange, MemberOutage, leader_changes, member_outages, pd_ever_answered,
};
pub use moment::{
    LostStore, NeverEmpty, Unhealthy, is_moment, lost_stores, max_replicas, never_empty, unhealthy,
    with_one_url,
};
pub use nearest::{Nearest, heartbeats_missed, messages_undelivered, requests_failed};
pub use outages::{Outage, Reachability, outages, scraped_nodes, unscraped, was_never_up};
pub use plans::{Drain, Moved, SchedulerChange, drains, leaving, moved, scheduler_changes};
pub use presence::{Presence, presence};
pub use restarts::Restart;
pub use rises::{Hot, Rise, kind_of_load, rise_without_baseline, rises};
pub use selected::Selected;
pub use served::{ClientRequests, Served};
pub use settings::{
    ChangedSettings, ChangedValue, DifferingSetting, SetValue, changed_settings,
    differing_settings, set_values,
};
pub use shift::{Shift, share, shifts};
pub use silence::{FailedScrapes, Silence, dated_by_pd, listed_at};
pub use stages::{
    MEMBER_QUANTITIES, Quantity, STORE_QUANTITIES, Slow, Stage, has_one_of, has_only_reads,
    is_measured, slow, track, unchanged,
};
pub use states::{Lasting, StateKind, lasting_states};
