//! Which names resemble one that does not exist: suggestions of what may have been meant.

/// The most characters of a name that is compared, since the time grows with the product of both
/// lengths: a stranger's capture may have names of megabytes. TiKV's longest has 78.
const LONGEST: usize = 256;
/// Groups in which characters are counted.
const GROUPS: usize = 64;

/// The names among `known` that resemble `wanted`, the most similar first, equally similar ones in
/// ascending order; at most `most`.
///
/// Similarity is the normalized Damerau–Levenshtein similarity in characters, from 0 to 1. `least`
/// says how much of it a name needs. Names of more than 256 characters resemble nothing.
pub fn similar_names<'a>(
    wanted: &str,
    known: impl Iterator<Item = &'a str>,
    least: impl Fn(&str) -> f64,
    most: usize,
) -> Vec<&'a str> {
    let Some(counts) = CharCounts::of(wanted) else { return Vec::new() };
    let mut ranked: Vec<(f64, &str)> = known
        .filter_map(|known| {
            let least = least(known);
            // Most names differ so much in their characters alone that the comparison proper, which
            // takes some fifty times as long, need not be made.
            if counts.similarity_bound(&CharCounts::of(known)?) < least {
                return None;
            }
            let similarity = strsim::normalized_damerau_levenshtein(known, wanted);
            (similarity >= least).then_some((similarity, known))
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    ranked.into_iter().take(most).map(|(_, known)| known).collect()
}

/// The end of a message about a name that does not exist: `; did you mean up, upper?`, or nothing where nothing is near.
pub fn did_you_mean(near: &[&str]) -> String {
    match near.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", near.join(", ")),
    }
}

/// How many characters a name has, in all and by the remainder of the code point.
struct CharCounts {
    all: u16,
    by_group: [u16; GROUPS],
}

impl CharCounts {
    /// Counts; `None` for a name that is too long to be compared.
    fn of(name: &str) -> Option<Self> {
        let mut counts = Self { all: 0, by_group: [0; GROUPS] };
        for (number, character) in name.chars().enumerate() {
            if number == LONGEST {
                return None;
            }
            counts.all += 1;
            counts.by_group[character as usize % GROUPS] += 1;
        }
        Some(counts)
    }

    /// What the similarity of two names cannot exceed. An edit removes at most one character and adds
    /// at most one, so the distance is at least the number of characters that only one of them has.
    fn similarity_bound(&self, other: &Self) -> f64 {
        let (mut removed, mut added) = (0, 0);
        for (ours, theirs) in self.by_group.iter().zip(&other.by_group) {
            removed += ours.saturating_sub(*theirs);
            added += theirs.saturating_sub(*ours);
        }
        let longer = self.all.max(other.all).max(1);
        1.0 - f64::from(removed.max(added)) / f64::from(longer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similar<'a>(wanted: &str, known: &[&'a str]) -> Vec<&'a str> {
        similar_names(wanted, known.iter().copied(), |_| 0.6, 3)
    }

    #[test]
    fn the_most_similar_names_come_first_and_unlike_ones_not_at_all() {
        let known = ["thread", "regions", "threads_io", "threads", "thraeds", "threadz"];
        assert_eq!(similar("threads", &known), ["threads", "thraeds", "thread"]);
        assert_eq!(similar("", &known), [""; 0]);
        assert_eq!(similar("", &[""]), [""]);
    }

    #[test]
    fn names_of_megabytes_are_not_compared() {
        let (long, longest) = ("m".repeat(LONGEST), "m".repeat(10_000_000));
        assert_eq!(similar(&long, &[&longest, &long]), [long.as_str()]);
        assert_eq!(similar(&longest, &[&longest, &long]), [""; 0]);
    }

    #[test]
    fn counting_characters_rules_out_no_name_that_is_similar() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut name = || -> String {
                let length = random.usize(..12);
                (0..length)
                    .map(|_| ['a', 'b', 'c', '_', 'é', '\u{e4}'][random.usize(..6)])
                    .collect()
            };
            let (left, right) = (name(), name());
            let counts = |name| CharCounts::of(name).expect("it is short");
            let bound = counts(&left).similarity_bound(&counts(&right));
            let similarity = strsim::normalized_damerau_levenshtein(&left, &right);
            assert!(bound >= similarity, "{left:?} {right:?}: {bound} < {similarity}");
        }
    }
}
