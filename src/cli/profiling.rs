//! Takes profiles of PD's members and puts them into a capture: what `attach --profiles` does.

use std::path::Path;
use std::time::Duration;

use crate::capture;
use crate::cli::log_search;
use crate::cli::{block_on, clock};
use crate::model::{ProfileEvent, ProfileKind, escape};
use crate::session::Session;
use crate::source::{HttpOptions, ProfileClient, SourceError};

/// How long a member may take for one profile.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Members that are asked; PD has five at most.
pub const MOST_MEMBERS: usize = 9;

/// What became of asking one member for one profile.
pub struct Taken {
    /// The member.
    pub node: String,
    /// What was asked for.
    pub what: ProfileKind,
    /// The profile, or why there is none.
    pub outcome: Result<ProfileEvent, String>,
}

/// Takes of every member that the capture at `path` lists the heap, what its goroutines do, and after `apart` the heap
/// again, one member after the other, and writes what came into the capture. Returns what became of each, and
/// whether a signal ended the asking before its end.
///
/// # Errors
///
/// Where the capture cannot be read or written, or no client can be made of the options.
pub fn attach(
    path: &Path,
    http: &HttpOptions,
    apart: Duration,
    tell: impl Fn(&str),
) -> anyhow::Result<(Vec<Taken>, bool)> {
    let session = Session::open(path)?;
    let nodes = session.evidence()?.nodes;
    let scheme = log_search::scheme(session.reader().meta().endpoints.pd.values());
    drop(session);
    let members: Vec<(String, String)> = nodes
        .members
        .iter()
        .take(MOST_MEMBERS)
        .map(|member| (member.name.clone(), format!("{scheme}://{}", member.address)))
        .collect();
    let client = ProfileClient::new(http)?;
    let rounds: [&[ProfileKind]; 2] =
        [&[ProfileKind::Heap, ProfileKind::Goroutines], &[ProfileKind::Heap]];
    let mut taken = Vec::new();
    let taking = async {
        for (round, kinds) in rounds.into_iter().enumerate() {
            if round > 0 && !members.is_empty() {
                tell(&format!("the second heap profiles follow in {} s", apart.as_secs()));
                tokio::time::sleep(apart).await;
            }
            for (name, url) in &members {
                for what in kinds {
                    tell(&format!("taking a profile of {}: {}", escape(name), what.name()));
                    taken.push(take(&client, (name, url), *what).await);
                }
            }
        }
    };
    let done = block_on(async {
        let stop = clock::stop_on_signals()?;
        Ok(clock::unless_stopped(&stop, taking).await)
    })?;
    for event in taken.iter().filter_map(|one| one.outcome.as_ref().ok()) {
        capture::add_event(path, event.to_event())?;
    }
    Ok((taken, done.is_none()))
}

/// Takes a profile of a member by name and URL.
pub async fn take(client: &ProfileClient, (name, url): (&str, &str), what: ProfileKind) -> Taken {
    let stacks: Result<_, SourceError> = client.take(url, what, TIMEOUT).await;
    let outcome = match stacks {
        Ok(stacks) => Ok(ProfileEvent::new((clock::now(), what), (name, "pd"), stacks)),
        Err(error) => Err(error.to_string()),
    };
    Taken { node: name.to_owned(), what, outcome }
}

/// What was taken, as JSON.
pub fn json(taken: &Taken) -> serde_json::Value {
    let (profile, failure) = match &taken.outcome {
        Ok(profile) => (Some(profile), None),
        Err(why) => (None, Some(why)),
    };
    serde_json::json!({
        "node": taken.node,
        "what": taken.what.name(),
        "at": profile.map(|profile| profile.at),
        "total": profile.map(|profile| profile.total),
        "failure": failure,
    })
}

/// What was taken, in a line.
pub fn text(taken: &Taken) -> String {
    let what = taken.what.name();
    let told = match &taken.outcome {
        Ok(profile) => {
            format!("{}: profile of {what}, {} stacks", taken.node, profile.stacks.len())
        }
        Err(why) => format!("{}: no profile of {what}: {why}", taken.node),
    };
    escape(&told)
}
