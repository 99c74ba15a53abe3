//! Whether a server that answers is PD: another one that answers everything, such as a proxy or a web server, would
//! otherwise count as a cluster of which nothing is wrong.

use crate::model::PdAnswer;
use crate::pd::members::members_view;
use crate::pd::{Endpoint, PdDocument};

/// Whether `body` is what a member of PD says at `/pd/api/v1/members`: a list with somebody in it.
pub fn lists_members(body: &[u8]) -> bool {
    members_view(body).is_some_and(|view| !view.members.is_empty())
}

/// Whether PD gave these answers of one server: what it says of its members, of itself or of its version shows that.
/// `None` where none of it was asked for, or nothing was answered with a success.
pub fn is_pd<'a>(answers: impl IntoIterator<Item = &'a PdAnswer>) -> Option<bool> {
    answers.into_iter().filter_map(shows_pd).reduce(|a, b| a || b)
}

fn shows_pd(answer: &PdAnswer) -> Option<bool> {
    let body = answer.success()?;
    match Endpoint::of(&answer.path) {
        Endpoint::Members => Some(lists_members(body)),
        Endpoint::Status | Endpoint::Version => Some(match PdDocument::parse(&answer.path, body) {
            Ok(Some(PdDocument::Status(status))) => !status.version.is_empty(),
            Ok(Some(PdDocument::Version(version))) => !version.is_empty(),
            _ => false,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PdOutcome, Timestamp};
    use crate::pd::{MEMBERS, PING, STATUS, VERSION};

    fn answer(path: &str, status: u16, body: &str) -> PdAnswer {
        PdAnswer {
            sent: Timestamp::default(),
            member: "pd0".to_owned(),
            url: "http://pd0:2379".to_owned(),
            path: path.to_owned(),
            elapsed_us: 1,
            outcome: PdOutcome::Answered { status, body: body.as_bytes().into() },
        }
    }

    #[test]
    fn a_server_that_answers_everything_is_not_pd() {
        for body in ["", "{}", "[]", "null", "<html></html>", r#"{"members": []}"#] {
            let answers = [PING, MEMBERS, STATUS, VERSION].map(|path| answer(path, 200, body));
            assert_eq!(is_pd(&answers), Some(false), "{body}");
        }
    }

    #[test]
    fn one_answer_of_pd_is_enough_and_errors_decide_nothing() {
        let version = answer(VERSION, 200, r#"{"version": "v8.5.0"}"#);
        let broken = answer(MEMBERS, 200, "");
        assert_eq!(is_pd([&broken, &version]), Some(true));
        let members = r#"{"members": [{"name": "pd0", "client_urls": ["http://pd0:2379"]}]}"#;
        assert_eq!(is_pd([&answer(MEMBERS, 200, members)]), Some(true));
        assert_eq!(is_pd([&answer(PING, 200, ""), &answer(MEMBERS, 503, "no leader")]), None);
    }
}
