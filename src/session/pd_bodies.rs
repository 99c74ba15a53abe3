//! PD's answers as a replay reads them: in the order in which they were known, each body read once,
//! and none held for longer than it is looked at. A day of a large cluster is gigabytes of bodies.

use std::collections::HashMap;
use std::rc::Rc;

use crate::capture::{CaptureError, CaptureReader, PdOrder, PdVisit};
use crate::model::{AsOf, PdAnswer, TimeRange};
use crate::pd::{ParsedBody, PdDocument};
use crate::timeline::{Evaluation, PdSummary, map_split, ordered_pd};

/// Bytes of bodies that are read at once where there are several threads.
const BYTES_AT_ONCE: usize = 16 << 20;
/// The longest body of which what was read is kept, in case the member repeats it, and bytes of all
/// such bodies. What is longer changes with each answer.
const KEPT_BODY: usize = 256 << 10;
const KEPT: usize = 16 << 20;

/// Where PD's answers come from.
#[derive(Clone, Copy)]
pub enum PdSource<'a> {
    /// Out of memory.
    Held(&'a [PdAnswer]),
    /// Out of a capture, as they are needed.
    Stored {
        /// The capture that holds them.
        reader: &'a CaptureReader,
        /// Those sent in this range.
        range: TimeRange,
        /// Of them, those known at this instant.
        as_of: AsOf,
    },
}

impl PdSource<'_> {
    /// What there is to say of all answers, for the timeline.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read.
    pub fn summary(self, evaluation: Evaluation) -> Result<PdSummary, CaptureError> {
        let mut summary = PdSummary::default();
        self.for_each(evaluation, |answer, body| summary.observe(answer, body))?;
        Ok(summary)
    }

    /// Lets `take` at each answer and its body, in the order in which they were known.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read.
    pub fn for_each(
        self,
        evaluation: Evaluation,
        take: impl FnMut(&PdAnswer, &ParsedBody),
    ) -> Result<(), CaptureError> {
        let mut bodies = Bodies::new(evaluation.threads(), take);
        match self {
            Self::Held(answers) => {
                ordered_pd(answers, evaluation)
                    .into_iter()
                    .for_each(|one| bodies.push(one.clone()));
            }
            Self::Stored { reader, range, as_of } => {
                let shuffle_seed = match evaluation {
                    Evaluation::Sequential => None,
                    Evaluation::Shuffled { seed, .. } => Some(seed),
                };
                let visit = PdVisit { range, order: PdOrder::Observed, shuffle_seed };
                reader.visit_pd_answers(visit, |answer| {
                    if as_of.knows_answer(&answer) {
                        bodies.push(answer);
                    }
                    Ok(())
                })?;
            }
        }
        bodies.read_waiting();
        Ok(())
    }
}

/// Reads bodies, on one thread as they come, on several when enough of them wait.
struct Bodies<F> {
    take: F,
    threads: usize,
    waiting: Vec<PdAnswer>,
    waiting_bytes: usize,
    /// By whom was asked and for what: the hash of the last body, and what was read.
    kept: HashMap<String, HashMap<String, (u128, Rc<ParsedBody>)>>,
    kept_bytes: usize,
}

impl<F: FnMut(&PdAnswer, &ParsedBody)> Bodies<F> {
    fn new(threads: usize, take: F) -> Self {
        let (waiting, kept) = (Vec::new(), HashMap::new());
        Self { take, threads, waiting, waiting_bytes: 0, kept, kept_bytes: 0 }
    }

    fn push(&mut self, answer: PdAnswer) {
        if self.threads == 1 {
            let body = self.read_or_recall(&answer);
            return (self.take)(&answer, &body);
        }
        self.waiting_bytes += answer.success().map_or(0, <[u8]>::len);
        self.waiting.push(answer);
        if self.waiting_bytes >= BYTES_AT_ONCE {
            self.read_waiting();
        }
    }

    fn read_waiting(&mut self) {
        let bodies = map_split(&self.waiting, self.threads, PdDocument::of);
        self.waiting.iter().zip(&bodies).for_each(|(answer, body)| (self.take)(answer, body));
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// A member that says what it said before is not read again.
    fn read_or_recall(&mut self, answer: &PdAnswer) -> Rc<ParsedBody> {
        let Some(bytes) = answer.success().filter(|bytes| bytes.len() <= KEPT_BODY) else {
            return Rc::new(PdDocument::of(answer));
        };
        let hash = xxhash_rust::xxh3::xxh3_128(bytes);
        let of_member = self.kept.get(&answer.member);
        if let Some((before, body)) = of_member.and_then(|of_member| of_member.get(&answer.path))
            && *before == hash
        {
            return Rc::clone(body);
        }
        let body = Rc::new(PdDocument::of(answer));
        self.kept_bytes += bytes.len() + answer.path.len();
        if self.kept_bytes > KEPT {
            self.kept.clear();
            self.kept_bytes = 0;
        }
        let of_member = self.kept.entry(answer.member.clone()).or_default();
        of_member.insert(answer.path.clone(), (hash, Rc::clone(&body)));
        body
    }
}
