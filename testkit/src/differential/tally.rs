//! Compares many expressions, and counts how the answers compare.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use fastrand::Rng;
use futures_util::StreamExt;

use super::{Cause, Difference, World, generate};
use crate::prometheus::api::Verdict;

/// Expressions that are under way at once.
const AT_ONCE: usize = 8;
/// Differences that are explained; the others are counted.
const EXPLAINED: usize = 200;

/// How the answers to many expressions compare.
#[derive(Default)]
pub struct Tally {
    /// Expressions, each evaluated at an instant and over a range.
    pub expressions: usize,
    /// Answers by how they compare.
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Answers of the server that hold a value.
    pub filled: usize,
    /// Differences in which the server contradicts itself, by how it does.
    pub unsteady: BTreeMap<String, usize>,
    /// Differences that rounding inside the expression explains, by what rounds there.
    pub amplified: BTreeMap<String, usize>,
    /// Differences in what the language leaves open, by where they arise.
    pub undecided: BTreeMap<String, usize>,
    /// The other differences, each reduced to a small expression.
    pub wrong: Vec<Difference>,
    /// Differences that nobody looked into, since there were too many.
    pub unexplained: usize,
}

/// Draws and compares `count` expressions.
pub async fn run(world: &World, count: usize, seed: u64) -> Result<Tally> {
    let mut random = Rng::with_seed(seed);
    let mut tally = Tally::default();
    let questions = (0..count).map(|_| {
        let question = generate::question(&world.words, &mut random);
        async move {
            let [instant, range] = question.when;
            let replies = [
                world.reply(&question.text, instant).await,
                world.reply(&question.text, range).await,
            ];
            (question, replies)
        }
    });
    let mut answered = std::pin::pin!(futures_util::stream::iter(questions).buffered(AT_ONCE));
    while let Some((question, replies)) = answered.next().await {
        tally.expressions += 1;
        for (when, reply) in question.when.into_iter().zip(replies) {
            let compared = world.judge(&question.text, when, reply?);
            *tally.verdicts.entry(compared.verdict).or_default() += 1;
            tally.filled += usize::from(compared.server.as_ref().is_ok_and(|all| !all.is_empty()));
            if !compared.differs() {
                continue;
            }
            if tally.wrong.len() >= EXPLAINED {
                tally.unexplained += 1;
                continue;
            }
            let difference = world.explain(&question.text, when, &compared).await?;
            match difference.cause {
                Cause::Server => *tally.unsteady.entry(difference.at).or_default() += 1,
                Cause::Rounding => *tally.amplified.entry(difference.at).or_default() += 1,
                Cause::Undecided => *tally.undecided.entry(difference.at).or_default() += 1,
                Cause::Ours => tally.wrong.push(difference),
            }
        }
    }
    Ok(tally)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers: usize = self.verdicts.values().sum();
        writeln!(f, "{} expressions, {answers} answers", self.expressions)?;
        writeln!(f, "  {:<28} {:>8}", "with a value", self.filled)?;
        for (verdict, count) in &self.verdicts {
            writeln!(f, "  {:<28} {count:>8}", format!("{verdict:?}"))?;
        }
        writeln!(f, "  the server contradicts itself")?;
        for (how, count) in &self.unsteady {
            writeln!(f, "    {how:<26} {count:>8}")?;
        }
        for (at, count) in &self.amplified {
            writeln!(f, "  {:<28} {count:>8}", format!("since {at} rounds"))?;
        }
        for (at, count) in &self.undecided {
            writeln!(f, "  {:<28} {count:>8}", format!("undecided in {at}"))?;
        }
        writeln!(f, "  {:<28} {:>8}", "looked into by nobody", self.unexplained)?;
        let mut places: BTreeMap<&str, Vec<&Difference>> = BTreeMap::new();
        for difference in &self.wrong {
            places.entry(&difference.at).or_default().push(difference);
        }
        for (at, mut differences) in places {
            writeln!(f, "  wrong in {at}: {}", differences.len())?;
            differences.sort_by_key(|difference| difference.text.len());
            for Difference { text, when, why, .. } in differences.into_iter().take(3) {
                writeln!(f, "    {when:?} {text}\n      {why}")?;
            }
        }
        Ok(())
    }
}
