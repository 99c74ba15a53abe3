//! The state of a store during an outage, read off the reachability matrix.
//!
//! The matrix itself is filled in `reachability`.

use crate::diagnose::observations::liveness::Liveness;
use crate::diagnose::observations::outages::{Outage, Reachability};

/// The state of a store during an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The process is gone or was replaced.
    Died,
    /// The process exists and executes nothing.
    Frozen,
    /// It runs; neither PD nor its peers receive anything from it.
    CutOff,
    /// It runs and its peers receive its messages; PD receives nothing from it.
    CutFromPd,
    /// It runs and PD hears it; messages to and from its peers are lost.
    CutFromPeers,
    /// Messages pass between it and its peers in one direction only.
    OneWay,
    /// Died, frozen or cut off: which of them is still unknown.
    Gone,
    /// Only Prometheus does not reach it.
    Unseen,
}

/// The state of the store by what each observer says of it.
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
        // No other observer hears it, and none shows whether it runs.
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

/// [`Presence::OneWay`] where one direction is known to work, otherwise `both`.
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
