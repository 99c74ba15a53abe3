//! Modes that look alike, and what tells them apart: beside a cause, a verdict names those that it is not.
//!
//! What a mode needs to be claimed stands in its own file.

use crate::diagnose::failure_modes::presence::{
    pd_follower_crash, pd_follower_unreachable, pd_leader_crash, pd_leader_pause,
    pd_leader_transfer, pd_quorum_loss, planned_drain, scrape_loss, store_crash, store_partition,
    store_pause, store_pd_partition,
};
use crate::diagnose::failure_modes::resource::{cpu_starved, slow_disk, slow_network};
use crate::diagnose::failure_modes::workload::{hot_region_read, hot_region_write, traffic_surge};
use crate::diagnose::findings::finding::{Finding, FindingKind};
use crate::diagnose::hypotheses::mode::Mode;
use crate::diagnose::observations::Stage;

/// Two modes that look alike.
pub struct LookAlike {
    /// The one that was found.
    pub found: &'static Mode,
    /// The one that it is not.
    pub other: &'static Mode,
    /// What tells them apart.
    pub apart: Apart,
    /// What the other one would have shown, or cannot show, in a clause.
    pub instead: &'static str,
}

/// What tells two modes apart.
pub enum Apart {
    /// A finding among the evidence of the cause.
    Shown(fn(&Finding) -> bool),
    /// A stage of the store's work that takes as long as before.
    Unchanged(Stage),
}

const fn shown(
    found: &'static Mode,
    other: &'static Mode,
    by: fn(&Finding) -> bool,
    instead: &'static str,
) -> LookAlike {
    LookAlike { found, other, apart: Apart::Shown(by), instead }
}

const fn unchanged(found: &'static Mode, other: &'static Mode, stage: Stage) -> LookAlike {
    LookAlike { found, other, apart: Apart::Unchanged(stage), instead: "it would take longer" }
}

fn restarted(finding: &Finding) -> bool {
    finding.kind == FindingKind::Restarted
}

/// Scrapes that are refused at once, as by a host without the process.
fn scrapes_refused(finding: &Finding) -> bool {
    let took = finding.citations.iter().filter(|one| one.reference.starts_with("scrape_duration"));
    finding.kind == FindingKind::ScrapesFail
        && took.filter_map(|one| one.value.parse::<f64>().ok()).any(|seconds| seconds < 1.0)
}

fn stood_still(finding: &Finding) -> bool {
    finding.kind == FindingKind::CountersStoodStill
}

fn moved_on(finding: &Finding) -> bool {
    finding.kind == FindingKind::CountersMovedOn
}

fn unreachable_for_peers(finding: &Finding) -> bool {
    finding.kind == FindingKind::UnreachableForPeers
}

fn requests_refused(finding: &Finding) -> bool {
    finding.kind == FindingKind::NoAnswer && finding.citations.iter().any(|c| c.value == "refused")
}

fn requests_unanswered(finding: &Finding) -> bool {
    finding.kind == FindingKind::NoAnswer && finding.citations.iter().all(|c| c.value != "refused")
}

fn leader_elected(finding: &Finding) -> bool {
    finding.kind == FindingKind::PdLeaderChanged
}

fn load_rose(finding: &Finding) -> bool {
    finding.kind == FindingKind::LoadRose
}

fn load_concentrated(finding: &Finding) -> bool {
    finding.kind == FindingKind::LoadConcentrated
}

fn leaders_left(finding: &Finding) -> bool {
    finding.kind == FindingKind::LeadersLeft
}

/// Every pair of which something that was recorded tells one from the other. Of the pairs of one cause the
/// nearest stands first: the mode that shares most of what shows the cause. A pair may stand twice, with what
/// tells it apart better first.
pub const LOOK_ALIKES: [LookAlike; 29] = [
    shown(&store_crash::MODE, &store_pause::MODE, restarted, GOES_ON),
    shown(&store_crash::MODE, &store_pause::MODE, scrapes_refused, "no scrape would be refused"),
    shown(
        &store_crash::MODE,
        &store_partition::MODE,
        restarted,
        "the old process would have gone on running",
    ),
    shown(
        &store_crash::MODE,
        &store_partition::MODE,
        scrapes_refused,
        "no refusal would come back",
    ),
    shown(
        &store_pause::MODE,
        &store_crash::MODE,
        stood_still,
        "its counters would start from zero",
    ),
    shown(&store_pause::MODE, &store_partition::MODE, stood_still, "its counters would go on"),
    shown(&store_partition::MODE, &store_pause::MODE, moved_on, "its counters would stand still"),
    shown(
        &store_partition::MODE,
        &store_crash::MODE,
        moved_on,
        "its counters would start from zero",
    ),
    shown(&store_partition::MODE, &store_pd_partition::MODE, unreachable_for_peers, HEARD),
    unchanged(&slow_disk::MODE, &cpu_starved::MODE, Stage::Threads),
    unchanged(&slow_disk::MODE, &slow_network::MODE, Stage::Network),
    unchanged(&cpu_starved::MODE, &slow_disk::MODE, Stage::Device),
    unchanged(&cpu_starved::MODE, &slow_network::MODE, Stage::Network),
    unchanged(&slow_network::MODE, &cpu_starved::MODE, Stage::Threads),
    unchanged(&slow_network::MODE, &slow_disk::MODE, Stage::Device),
    shown(&pd_leader_crash::MODE, &pd_leader_pause::MODE, restarted, GOES_ON),
    shown(&pd_leader_crash::MODE, &pd_leader_pause::MODE, requests_refused, NOT_REFUSED),
    shown(&pd_leader_crash::MODE, &pd_leader_transfer::MODE, requests_refused, STILL_ANSWERS),
    shown(&pd_leader_crash::MODE, &pd_quorum_loss::MODE, leader_elected, "nobody would be elected"),
    shown(&pd_leader_pause::MODE, &pd_leader_crash::MODE, requests_unanswered, REFUSED_AT_ONCE),
    shown(&pd_leader_pause::MODE, &pd_leader_transfer::MODE, requests_unanswered, STILL_ANSWERS),
    shown(&pd_follower_crash::MODE, &pd_follower_unreachable::MODE, restarted, GOES_ON),
    shown(
        &pd_follower_unreachable::MODE,
        &pd_follower_crash::MODE,
        requests_unanswered,
        REFUSED_AT_ONCE,
    ),
    shown(&traffic_surge::MODE, &hot_region_write::MODE, load_rose, ONE_STORE),
    shown(&traffic_surge::MODE, &hot_region_read::MODE, load_rose, ONE_STORE),
    shown(&hot_region_write::MODE, &traffic_surge::MODE, load_concentrated, SPREADS),
    shown(&hot_region_read::MODE, &traffic_surge::MODE, load_concentrated, SPREADS),
    shown(&planned_drain::MODE, &store_crash::MODE, leaders_left, "leaders would leave afterwards"),
    shown(&scrape_loss::MODE, &store_crash::MODE, moved_on, "its counters would start from zero"),
];

const GOES_ON: &str = "the old process would go on";
const HEARD: &str = "its peers would reach it";
const NOT_REFUSED: &str = "requests would wait for an answer";
const STILL_ANSWERS: &str = "the member would go on answering";
const REFUSED_AT_ONCE: &str = "requests would be refused at once";
const ONE_STORE: &str = "one store would take most of what was added";
const SPREADS: &str = "the flow would spread as before";
