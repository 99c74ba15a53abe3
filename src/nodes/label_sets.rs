//! Finds the label sets of which a series has every label, as it has those of its target.
//!
//! Tens of thousands of targets may share an address in a file that somebody else made, so a series does not look at
//! each of them: it looks at the different sets of label names, and for its own values of these.

use std::collections::{BTreeMap, HashMap};

use crate::model::Labels;

/// Numbered label sets.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelSets {
    by_instance: HashMap<String, AtInstance>,
}

/// The label sets with one `instance`, or those without any.
#[derive(Clone, Debug, Default)]
struct AtInstance {
    shapes: Vec<Shape>,
    by_names: HashMap<Vec<String>, usize>,
    /// The places of the shapes, by one of their names: that which the fewest of those before had. A series looks only
    /// at those under its own names.
    by_rarest: BTreeMap<String, Vec<usize>>,
    /// How many shapes have a name.
    uses: HashMap<String, usize>,
}

/// The label sets that have the same names.
#[derive(Clone, Debug)]
struct Shape {
    names: Vec<String>,
    /// The number of the last set with these values.
    numbers: HashMap<Vec<u8>, usize>,
}

/// A label set that a series has all labels of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    /// How many labels it has.
    pub len: usize,
    /// Its number.
    pub number: usize,
}

impl LabelSets {
    /// Adds a set; of equal sets the last one is found.
    pub fn add(&mut self, number: usize, labels: &Labels) {
        let instance = labels.get("instance").unwrap_or_default();
        let own = self.by_instance.entry(instance.to_owned()).or_default();
        let names: Vec<String> = labels.iter().map(|(name, _)| name.to_owned()).collect();
        let values = values(&names, labels).unwrap_or_default();
        let place = match own.by_names.get(&names) {
            Some(place) => *place,
            None => own.add_shape(names),
        };
        own.shapes[place].numbers.insert(values, number);
    }

    /// The sets with this `instance`, or without any where it is empty, of which a series has every label; in no
    /// particular order.
    pub fn held_by(&self, series: &Labels, instance: &str) -> impl Iterator<Item = Held> {
        let own = self.by_instance.get(instance);
        own.into_iter().flat_map(|own| {
            let names = series.iter().map(|(name, _)| name).chain([NONE]);
            let places = names.filter_map(|name| own.by_rarest.get(name)).flatten();
            places.filter_map(|place| {
                let shape = &own.shapes[*place];
                let number = *shape.numbers.get(&values(&shape.names, series)?)?;
                Some(Held { len: shape.names.len(), number })
            })
        })
    }
}

/// What stands for the rarest name of a set without labels.
const NONE: &str = "";

impl AtInstance {
    fn add_shape(&mut self, names: Vec<String>) -> usize {
        let place = self.shapes.len();
        let uses = |name: &&String| self.uses.get(*name).copied().unwrap_or(0);
        let rarest = names.iter().min_by_key(uses).map_or(NONE, String::as_str).to_owned();
        self.by_rarest.entry(rarest).or_default().push(place);
        for name in &names {
            *self.uses.entry(name.clone()).or_default() += 1;
        }
        self.by_names.insert(names.clone(), place);
        self.shapes.push(Shape { names, numbers: HashMap::new() });
        place
    }
}

/// The values of these labels, each after its length; `None` where one is absent.
fn values(names: &[String], labels: &Labels) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    for name in names {
        let value = labels.get(name)?;
        found.extend(value.len().to_le_bytes());
        found.extend(value.as_bytes());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every set of these labels, of which each may also be absent.
    fn sets(names: &[&str]) -> Vec<Labels> {
        let mut found = vec![Labels::default()];
        for name in names {
            let more: Vec<Labels> = found
                .iter()
                .flat_map(|one| ["1", "2"].map(|value| one.with(&[(name, value)])))
                .collect();
            found.extend(more);
        }
        found
    }

    #[test]
    fn the_sets_of_which_a_series_has_every_label_are_found() {
        let all = sets(&["instance", "job", "zone"]);
        let mut index = LabelSets::default();
        all.iter().enumerate().for_each(|(number, labels)| index.add(number, labels));
        for series in sets(&["instance", "job", "le", "zone"]) {
            for instance in ["", "1", "2"] {
                let mut found: Vec<Held> = index.held_by(&series, instance).collect();
                found.sort_unstable_by_key(|held| held.number);
                let is_held = |one: &Labels| {
                    one.get("instance").unwrap_or_default() == instance
                        && one.iter().all(|(name, value)| series.get(name) == Some(value))
                };
                let wanted = all.iter().enumerate().filter(|(_, one)| is_held(one));
                let wanted = wanted.map(|(number, one)| Held { len: one.len(), number });
                assert_eq!(found, wanted.collect::<Vec<_>>(), "{series} at {instance:?}");
            }
        }
    }

    #[test]
    fn of_equal_sets_the_last_is_found() {
        let labels = Labels::from_pairs(&[("instance", "a")]);
        let mut index = LabelSets::default();
        (0..3).for_each(|number| index.add(number, &labels));
        assert_eq!(index.held_by(&labels, "a").collect::<Vec<_>>(), [Held { len: 1, number: 2 }]);
    }
}
