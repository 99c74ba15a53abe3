//! Something departs strongly and lasts, and no failure mode says why.

mod contradictions;
mod cores;
mod memory;
mod quantities;
mod regions;
mod states;
mod threads;

use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature};
use crate::diagnose::hypotheses::observed::{LEADERS, ObservedWindow, REGIONS};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "unexplained",
    nature: Nature::Fault,
    depth: Depth::Unexplained,
    says: "something departs far from what was normal, and no known failure mode says why",
    said: Some("something departed far from what was normal, and no known failure mode says why"),
    subsumes: &[],
    never_explains: &[],
    needs: &[],
    metrics: &[
        memory::RSS,
        memory::CACHE,
        memory::START,
        threads::THREADS,
        cores::CPU,
        cores::CORES,
        cores::CORES_OF_PD,
        LEADERS,
        REGIONS,
    ],
    surest: 0.75,
    advice: Advice {
        check: "operator explain of the first finding; the node's log at the onset",
        remedy: "none is known: compare with a healthy node before any change",
        risk: "a restart may remove what would explain it",
        documentation: "https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = quantities::claims(observed);
    let others = states::claims(observed).into_iter().chain(memory::claims(observed));
    let others = others.chain(threads::claims(observed)).chain(cores::claims(observed));
    let others = others.chain(contradictions::claims(observed)).chain(regions::claims(observed));
    for other in others {
        let open = observed.open();
        let same = found.iter_mut().find(|one| {
            one.target.name == other.target.name
                && one.onset <= other.end.unwrap_or(open)
                && other.onset <= one.end.unwrap_or(open)
        });
        match same {
            Some(one) => add_to(one, other),
            None => found.push(other),
        }
    }
    found
}

/// Adds what another claim says of the same target and time.
fn add_to(claim: &mut Claim, other: Claim) {
    claim.onset = claim.onset.min(other.onset);
    claim.onset_uncertainty_ms = claim.onset_uncertainty_ms.max(other.onset_uncertainty_ms);
    claim.end = claim.end.zip(other.end).map(|(one, other)| one.max(other));
    claim.confidence = claim.confidence.max(other.confidence);
    claim.readings.extend(other.readings);
}
