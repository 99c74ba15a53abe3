//! What stands out beside a node's own past and beside its peers.

use std::collections::BTreeMap;

use super::Survey;
use super::quantity::{Quantity, Reading};
use super::sign::{Sign, sign_of};
use super::standing_out::{StandingOut, floor_of, standing_out};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::Track;
use crate::model::{Component, TimeRange, Timestamp};
use crate::nodes::Nodes;

/// A quantity that is unusual for a while.
#[derive(Clone, Debug)]
pub struct Unusual {
    /// What is unusual.
    pub quantity: Quantity,
    /// What it is a sign of.
    pub sign: Sign,
    /// The names of the scrape targets where it is: of one, or of most of its kind.
    pub instances: Vec<String>,
    /// What the targets are.
    pub component: Component,
    /// How it departed at the first of them.
    pub standing: StandingOut,
    /// The median of the other targets' values meanwhile; `None` where there is no other target.
    pub elsewhere: Option<f64>,
}

/// How many times the peers' value a node's must be to be its own trouble.
const BESIDE_PEERS: f64 = 3.0;
/// How far apart the onsets of the same trouble at several nodes may be, in steps.
const TOGETHER: i64 = 4;

/// A quantity at one target.
struct AtTarget<'a> {
    instance: &'a str,
    quantity: &'a Quantity,
    track: Track,
}

/// What quantities of several targets have in common: metric, reading and label.
type Kind<'a> = (&'a str, Reading, &'a Option<(String, String)>);

/// Every quantity of the cluster's stores and members that is unusual, in no particular order.
pub fn unusual(survey: &Survey, nodes: &Nodes) -> Vec<Unusual> {
    let mut found = Vec::new();
    for component in [Component::Tikv, Component::Pd] {
        let mut alike: BTreeMap<Kind<'_>, Vec<AtTarget<'_>>> = BTreeMap::new();
        for target in nodes.targets.iter().filter(|target| target.component == component) {
            for quantity in survey.target(&target.labels).into_iter().flatten() {
                let key = (quantity.metric.as_str(), quantity.reading, &quantity.label);
                let (instance, track) = (target.name.as_str(), survey.track(quantity));
                alike.entry(key).or_default().push(AtTarget { instance, quantity, track });
            }
        }
        for group in alike.values() {
            found.extend(unusual_of(group, component, survey));
        }
    }
    found
}

fn unusual_of(group: &[AtTarget<'_>], component: Component, survey: &Survey) -> Vec<Unusual> {
    let Some(first) = group.first() else { return Vec::new() };
    let Some(sign) = sign_of(first.quantity) else { return Vec::new() };
    let floor = floor_of(first.quantity, sign);
    let standing: Vec<Vec<StandingOut>> =
        group.iter().map(|one| standing_out(&one.track, floor)).collect();
    let mut found = Vec::new();
    for (place, stretches) in standing.iter().enumerate() {
        for stretch in stretches {
            let range = TimeRange::new(stretch.onset, stretch.end.unwrap_or(Timestamp::MAX));
            let others = group.iter().enumerate().filter(|(other, _)| *other != place);
            let levels: Vec<f64> =
                others.filter_map(|(_, one)| typical_in(&one.track, range)).collect();
            let greatest = levels.iter().copied().fold(f64::MIN, f64::max);
            let together: Vec<usize> = (0..group.len())
                .filter(|other| is_together(&standing[*other], stretch, survey))
                .collect();
            let alone = levels.is_empty() || stretch.typical >= BESIDE_PEERS * greatest.max(0.0);
            let everywhere = group.len() >= 2 && together.len() * 3 >= group.len() * 2;
            if !alone && !everywhere || everywhere && together.first() != Some(&place) {
                continue;
            }
            let instances = if everywhere { together } else { vec![place] };
            found.push(Unusual {
                quantity: group[place].quantity.clone(),
                sign,
                instances: instances.iter().map(|one| group[*one].instance.to_owned()).collect(),
                component,
                standing: stretch.clone(),
                elsewhere: if everywhere { None } else { median(levels) },
            });
        }
    }
    found
}

fn typical_in(track: &Track, range: TimeRange) -> Option<f64> {
    let after = TimeRange::new(range.start.saturating_add_millis(1), range.end);
    median(track.within(after).iter().map(|point| point.value))
}

fn is_together(stretches: &[StandingOut], with: &StandingOut, survey: &Survey) -> bool {
    let apart = TOGETHER * survey.step_ms();
    stretches.iter().any(|one| (one.onset - with.onset).abs() <= apart)
}
