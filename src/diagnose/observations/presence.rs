//! What became of a store that somebody did not hear, read off the matrix of who hears whom.

use crate::diagnose::observations::liveness::Liveness;
use crate::diagnose::observations::outages::{Outage, Reachability};

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
    let hears = outage.outbound == Reachability::Heard && outage.inbound != Reachability::Silent;
    match (outage.pd, outage.prometheus) {
        (Reachability::Silent, Reachability::Silent) => silent_to_both(outage, hears),
        // Nobody else hears it, and nobody tells whether it runs.
        (Reachability::Silent, Reachability::Unknown) if !hears => Presence::Gone,
        (Reachability::Silent, _)
            if outage.inbound == Reachability::Silent
                && outage.outbound == Reachability::Silent =>
        {
            Presence::CutOff
        }
        (Reachability::Silent, _) if outage.peers_cut() => one_way_or(outage, Presence::CutOff),
        (Reachability::Silent, _) => Presence::CutFromPd,
        (Reachability::Heard, _) if outage.peers_cut() => {
            one_way_or(outage, Presence::CutFromPeers)
        }
        (Reachability::Heard, _) => Presence::Unseen,
        (Reachability::Unknown, Reachability::Silent) if outage.peers_cut() => {
            silent_to_both(outage, hears)
        }
        (Reachability::Unknown, Reachability::Silent)
            if matches!(outage.liveness, Liveness::StoodStill { .. }) =>
        {
            Presence::Frozen
        }
        (Reachability::Unknown, Reachability::Silent) => Presence::Unseen,
        (Reachability::Unknown, _) => one_way_or(outage, Presence::CutFromPeers),
    }
}

/// One way, where the other is known to work.
fn one_way_or(outage: &Outage, both: Presence) -> Presence {
    match (outage.inbound, outage.outbound) {
        (Reachability::Silent, Reachability::Heard)
        | (Reachability::Heard, Reachability::Silent) => Presence::OneWay,
        _ => both,
    }
}

fn silent_to_both(outage: &Outage, hears: bool) -> Presence {
    match outage.liveness {
        Liveness::StoodStill { .. } => Presence::Frozen,
        Liveness::MovedOn { .. } if hears => Presence::CutFromPd,
        Liveness::MovedOn { .. } => Presence::CutOff,
        Liveness::Unknown if hears => Presence::CutFromPd,
        // The host refuses at once what the process would have to answer.
        Liveness::Unknown if outage.refused() == Some(true) => Presence::Died,
        Liveness::Unknown => Presence::Gone,
    }
}
