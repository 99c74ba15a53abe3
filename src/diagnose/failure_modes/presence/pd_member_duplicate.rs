//! Two members of PD have one URL: a member was added again without its old entry being removed, and counts
//! twice towards the majority.

use crate::diagnose::findings::finding::{FindingKind, Target, TargetKind};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::with_one_url;
use crate::model::TimeRange;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_member_duplicate",
    nature: Nature::Fault,
    depth: Depth::Presence,
    says: "two members of PD have one URL",
    said: Some("two members of PD had one URL"),
    subsumes: &[],
    // Nothing stops or slows down until members are lost.
    never_explains: &Depth::ALL,
    needs: &[Need::PdMembers],
    metrics: &[],
    surest: 0.85,
    advice: Advice {
        check: "pd-ctl member beside pd-ctl health: which id of the two is dead?",
        remedy: "pd-ctl member delete id ID, of the dead entry (a change)",
        risk: "the wrong id removes the live member",
        documentation: "https://docs.pingcap.com/tidb/stable/pd-control",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let at = observed.evidence.window.start;
    let told = observed.evidence.pd.leaderships.values().flatten();
    let read_at = told.map(|(at, _)| *at).min().unwrap_or(at);
    let claims = with_one_url(observed.evidence).into_iter().map(|(url, names)| {
        let mut target = Target::named(TargetKind::Pd, "pd");
        target.concerns = names;
        let mut claim = Claim::new(target.clone(), at, 10_000, 0.85);
        let reading = crossing(Crossing {
            kind: FindingKind::NoAnswer,
            target: target.clone(),
            range: TimeRange::new(at, observed.open().max(at)),
            uncertainty_ms: 10_000,
            lasts: true,
            text: format!("{} are listed with {url}", target.concerns.join(" and ")),
            read: ("PD /members client_urls", url),
            plot: Vec::new(),
        });
        claim.readings.push(reading.read_at(read_at));
        claim.unchecked("which of them is the old one", "pd-ctl member; pd-ctl member delete id ID")
    });
    claims.collect()
}
