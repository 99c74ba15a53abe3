//! Pairs things one to one by what speaks for each pair, and only where nothing else comes into question.

use std::collections::{BTreeMap, BTreeSet};

/// Pairs that were found between `left` things and `right` things.
#[derive(Debug)]
pub(super) struct Matching<R> {
    /// For each thing on the left, what it is paired with, and why.
    pub of_left: Vec<Option<(usize, R)>>,
    /// Whether each thing on the right is paired.
    taken: Vec<bool>,
}

impl<R: Copy> Matching<R> {
    /// No pairs yet.
    pub fn new(left: usize, right: usize) -> Self {
        Self { of_left: vec![None; left], taken: vec![false; right] }
    }

    /// Pairs what shares a key that nothing else has which is free, and that `fits`.
    pub fn by_key(
        &mut self,
        reason: R,
        left: impl Fn(usize) -> Vec<String>,
        right: impl Fn(usize) -> Vec<String>,
        fits: impl Fn(usize, usize) -> bool,
    ) {
        let mut sharing: BTreeMap<String, (BTreeSet<usize>, BTreeSet<usize>)> = BTreeMap::new();
        for index in self.free_left() {
            for key in left(index) {
                sharing.entry(key).or_default().0.insert(index);
            }
        }
        for index in self.free_right() {
            for key in right(index) {
                sharing.entry(key).or_default().1.insert(index);
            }
        }
        for (of_left, of_right) in sharing.into_values() {
            if let (Some(left), Some(right)) = (only(of_left), only(of_right))
                && self.of_left[left].is_none()
                && !self.taken[right]
                && fits(left, right)
            {
                self.pair(left, right, reason);
            }
        }
    }

    /// Pairs what is free on both sides and fits nothing else that is free. Each pair may leave
    /// only one choice for another, so this goes on until nothing changes.
    pub fn unique(&mut self, reason: R, fits: impl Fn(usize, usize) -> bool) {
        let fits: Vec<Vec<bool>> = (0..self.of_left.len())
            .map(|left| (0..self.taken.len()).map(|right| fits(left, right)).collect())
            .collect();
        loop {
            let pairs: Vec<(usize, usize)> = self
                .free_left()
                .filter_map(|left| {
                    let right = only(self.free_right().filter(|right| fits[left][*right]))?;
                    let back = only(self.free_left().filter(|other| fits[*other][right]))?;
                    (back == left).then_some((left, right))
                })
                .collect();
            if pairs.is_empty() {
                return;
            }
            for (left, right) in pairs {
                self.pair(left, right, reason);
            }
        }
    }

    /// Pairs what is free on both sides and is each other's best by `score`, by a clear margin over
    /// the next best on either side.
    pub fn best(
        &mut self,
        reason: R,
        least: f64,
        margin: f64,
        score: impl Fn(usize, usize) -> Option<f64>,
    ) {
        loop {
            let found = self.free_left().find_map(|left| {
                let (right, own) = top(
                    self.free_right().filter_map(|right| Some((right, score(left, right)?))),
                    margin,
                )?;
                let back = self.free_left().filter_map(|other| Some((other, score(other, right)?)));
                (own >= least && top(back, margin)?.0 == left).then_some((left, right))
            });
            let Some((left, right)) = found else { return };
            self.pair(left, right, reason);
        }
    }

    /// Pairs the only one left on either side.
    pub fn rest(&mut self, reason: R, fits: impl Fn(usize, usize) -> bool) {
        if let (Some(left), Some(right)) = (only(self.free_left()), only(self.free_right()))
            && fits(left, right)
        {
            self.pair(left, right, reason);
        }
    }

    fn pair(&mut self, left: usize, right: usize, reason: R) {
        self.of_left[left] = Some((right, reason));
        self.taken[right] = true;
    }

    /// What is not paired on the left.
    pub fn free_left(&self) -> impl Iterator<Item = usize> {
        (0..self.of_left.len()).filter(|left| self.of_left[*left].is_none())
    }

    /// What is not paired on the right.
    pub fn free_right(&self) -> impl Iterator<Item = usize> {
        (0..self.taken.len()).filter(|right| !self.taken[*right])
    }
}

/// The only item; `None` where there is none or another.
pub(super) fn only<T>(items: impl IntoIterator<Item = T>) -> Option<T> {
    let mut items = items.into_iter();
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

/// The item with the highest score, if it lies above the next by the margin.
fn top(items: impl Iterator<Item = (usize, f64)>, margin: f64) -> Option<(usize, f64)> {
    let mut scored: Vec<(usize, f64)> = items.collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let best = *scored.first()?;
    scored.get(1).is_none_or(|next| best.1 - next.1 >= margin).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_made_only_where_nothing_else_comes_into_question() {
        let mut matching = Matching::new(3, 3);
        let fits = [[true, false, false], [true, true, false], [false, false, true]];
        matching.unique("name", |left, right| fits[left][right]);
        let of_left: Vec<_> =
            matching.of_left.iter().map(|pair| pair.map(|(right, _)| right)).collect();
        assert_eq!(of_left, [None, None, Some(2)]);
        let mut either = Matching::new(2, 2);
        either.unique("name", |_, _| true);
        assert_eq!(either.of_left, [None, None]);
        either.unique("address", |left, right| left == 0 && right == 1);
        either.rest("last", |_, _| true);
        assert_eq!(either.of_left, [Some((1, "address")), Some((0, "last"))]);
    }

    #[test]
    fn the_best_is_taken_only_by_a_margin() {
        let mut matching = Matching::new(2, 2);
        let scores = [[0.9, 0.85], [0.2, 0.88]];
        matching.best("like", 0.8, 0.1, |left, right| Some(scores[left][right]));
        assert_eq!(matching.of_left, [None, None]);
        matching.best("like", 0.8, 0.01, |left, right| Some(scores[left][right]));
        assert_eq!(matching.of_left, [Some((0, "like")), Some((1, "like"))]);
    }
}
