//! Settings of TiKV stores were changed.
//!
//! Never a fault, and nothing is explained by it: which setting does what nobody knows here, and a change may have
//! been read up to an hour after it was made. It stands beside what began after it.

use crate::diagnose::findings;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{ChangedSettings, ChangedValue};

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "setting_change",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "settings of TiKV were changed",
    said: None,
    subsumes: &[],
    never_explains: &Depth::ALL,
    needs: &[],
    metrics: &[],
    surest: 0.95,
    advice: Advice {
        check: "operator show RUN --settings: which stores have which value?",
        remedy: "if harm followed, set the old value again: SET CONFIG (a change)",
        risk: "most settings need a restart of the store",
        documentation: "https://docs.pingcap.com/tidb/stable/tikv-configuration-file",
        section: None,
    },
    judge,
};

/// Settings changed together that each have a reading of their own: another version brings dozens.
const MOST_READ: usize = 8;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    observed.changed_settings.iter().map(|changed| claim(observed, changed)).collect()
}

fn claim(observed: &ObservedWindow<'_>, changed: &ChangedSettings) -> Claim {
    let evidence = observed.evidence;
    let target = findings::settings_target(evidence, &changed.stores);
    let mut claim = Claim::new(target, changed.at, changed.uncertainty_ms, 0.95);
    claim.end = Some(changed.at);
    let told = changed.settings.iter().take(MOST_READ);
    let readings = told.clone().map(|one| findings::changed_setting(evidence, changed, one));
    claim.readings = readings.collect();
    claim.target.concerns = told.map(|one| one.name.clone()).collect();
    let more = changed.settings.len() - claim.readings.len();
    let also = |count: usize| match count {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    if more > 0 {
        claim.target.concerns.push(format!("{more} more"));
    }
    let ChangedValue { name, from, to } = &changed.settings[0];
    claim.detail = Some(format!("{name} {from} -> {to}{}", also(changed.settings.len() - 1)));
    claim
}
