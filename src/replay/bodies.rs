//! PD's bodies as documents. A member that says what it said before is not read again, and of what
//! was read only the last answer of each kind is held: a day's documents would take hundreds of
//! megabytes.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::model::{PdAnswer, PdDocument, PdDocumentError};

use super::order::map_split;

/// A body as read: nothing where there was none or where its path is not known.
pub(super) type Body = Result<Option<PdDocument>, PdDocumentError>;

/// What was asked of whom.
type Asked<'a> = (&'a str, &'a str);

fn read(answer: &PdAnswer) -> Body {
    match answer.success() {
        Some(body) => PdDocument::parse(&answer.path, body),
        None => Ok(None),
    }
}

/// Lets `take` at each answer and its document, in their order.
pub(super) fn for_each_body(
    answers: &[&PdAnswer],
    threads: usize,
    mut take: impl FnMut(&PdAnswer, &Body),
) {
    if threads > 1 {
        let bodies = map_split(answers, threads, |answer| read(answer));
        answers.iter().zip(&bodies).for_each(|(answer, body)| take(answer, body));
        return;
    }
    let mut held: BTreeMap<Asked<'_>, (&[u8], Rc<Body>)> = BTreeMap::new();
    for answer in answers {
        let Some(bytes) = answer.success() else {
            take(answer, &Ok(None));
            continue;
        };
        let key = (answer.member.as_str(), answer.path.as_str());
        let body = match held.get(&key) {
            Some((before, body)) if *before == bytes => Rc::clone(body),
            _ => Rc::new(read(answer)),
        };
        take(answer, &body);
        held.insert(key, (bytes, body));
    }
}
