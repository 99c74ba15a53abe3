//! What became of a store that somebody did not hear, read off the matrix of who hears whom.

use crate::diagnose::observations::liveness::Life;
use crate::diagnose::observations::outages::{Outage, View};

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The process is gone or was replaced.
    Died,
    /// The process exists and executes nothing.
    Frozen,
    /// It runs, and neither PD nor its peers hear it.
    CutOff,
    /// It runs and its peers hear it; PD does not.
    CutFromPd,
    /// It runs and PD hears it; its peers do not, in both directions.
    CutFromPeers,
    /// One direction works.
    OneWay,
    /// Died, frozen or cut off: which of them cannot be seen yet.
    Gone,
    /// Only Prometheus does not hear it.
    Unseen,
}

/// Reads the matrix.
pub fn presence(outage: &Outage) -> Presence {
    if outage.restart.is_some() {
        return Presence::Died;
    }
    if outage.link.is_some() {
        return Presence::CutFromPeers;
    }
    let hears = outage.outbound == View::Heard && outage.inbound != View::Silent;
    match (outage.pd, outage.prometheus) {
        (View::Silent, View::Silent) => silent_to_both(outage, hears),
        // Nobody else hears it, and nobody tells whether it runs.
        (View::Silent, View::Unknown) if !hears => Presence::Gone,
        (View::Silent, _) if outage.inbound == View::Silent && outage.outbound == View::Silent => {
            Presence::CutOff
        }
        (View::Silent, _) if outage.peers_cut() => one_way_or(outage, Presence::CutOff),
        (View::Silent, _) => Presence::CutFromPd,
        (View::Heard, _) if outage.peers_cut() => one_way_or(outage, Presence::CutFromPeers),
        (View::Heard, _) => Presence::Unseen,
        (View::Unknown, View::Silent) if outage.peers_cut() => silent_to_both(outage, hears),
        (View::Unknown, View::Silent) if matches!(outage.life, Life::StoodStill { .. }) => {
            Presence::Frozen
        }
        (View::Unknown, View::Silent) => Presence::Unseen,
        (View::Unknown, _) => one_way_or(outage, Presence::CutFromPeers),
    }
}

/// One way, where the other is known to work.
fn one_way_or(outage: &Outage, both: Presence) -> Presence {
    match (outage.inbound, outage.outbound) {
        (View::Silent, View::Heard) | (View::Heard, View::Silent) => Presence::OneWay,
        _ => both,
    }
}

fn silent_to_both(outage: &Outage, hears: bool) -> Presence {
    match outage.life {
        Life::StoodStill { .. } => Presence::Frozen,
        Life::MovedOn { .. } if hears => Presence::CutFromPd,
        Life::MovedOn { .. } => Presence::CutOff,
        Life::Unknown if hears => Presence::CutFromPd,
        // The host refuses at once what the process would have to answer.
        Life::Unknown if outage.refused() == Some(true) => Presence::Died,
        Life::Unknown => Presence::Gone,
    }
}
