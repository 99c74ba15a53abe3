//! `watch --profiles`: when a fault of PD is told, its members are asked what their memory holds and what their
//! goroutines do; where memory grows, once more some minutes later.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::asking::{Asking, Threads};
use super::{block_on, clock, profiling};
use crate::diagnose::{Cause, FindingKind, TargetKind, Verdict};
use crate::model::{ProfileKind, escape};
use crate::record::NodeAnswer;
use crate::source::{ProfileClient, SourceError};
use crate::watch::{Audience, Judged};

/// The time between two heap profiles of a member whose memory grows.
const APART: Duration = Duration::from_secs(120);

/// Takes profiles of faults that are told.
#[derive(Clone)]
pub struct FaultProfiles {
    asking: Arc<Asking>,
    client: ProfileClient,
    /// The members of which profiles were taken in the current segment.
    taken: Arc<Mutex<BTreeSet<String>>>,
    threads: Threads,
}

impl FaultProfiles {
    /// Has taken none yet.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of the options.
    pub fn new(asking: Arc<Asking>) -> Result<Self, SourceError> {
        let client = ProfileClient::new(&asking.http)?;
        Ok(Self { asking, client, taken: Arc::default(), threads: Threads::default() })
    }

    /// An audience that also begins to take profiles of each fault of PD that it is told of.
    pub fn after(&self, audience: Audience) -> Audience {
        let profiles = self.clone();
        self.asking.after(audience, move |cause, judged| profiles.take(cause, judged))
    }

    /// Profiles may be taken again: for another segment.
    pub fn begin_segment(&self) {
        self.taken().clear();
    }

    /// Waits until none is taken any more: what is waited for when the watch stops is given up.
    pub fn finish(&self) {
        self.threads.join();
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, cause: &Cause, judged: &Judged<'_>) {
        let is_meant = |name: &str| match cause.target.kind {
            TargetKind::Pd => true,
            TargetKind::PdMember => cause.target.name == name,
            _ => false,
        };
        let members = judged.nodes.members.iter().filter(|member| is_meant(&member.name));
        let scheme = self.asking.scheme;
        let members = members
            .filter(|member| self.taken().insert(member.name.clone()))
            .map(|member| (member.name.clone(), format!("{scheme}://{}", member.address)));
        let members: Vec<(String, String)> = members.take(profiling::MOST_MEMBERS).collect();
        if members.is_empty() {
            return;
        }
        let grows = memory_rose(judged.verdict, cause);
        let profiles = self.clone();
        self.threads.spawn(move || {
            let taking = async {
                profiles.take_all(&members, &[ProfileKind::Heap, ProfileKind::Goroutines]).await;
                if grows {
                    tokio::time::sleep(APART).await;
                    profiles.take_all(&members, &[ProfileKind::Heap]).await;
                }
            };
            let taking = clock::unless_stopped(&profiles.asking.stop, taking);
            if let Err(error) = block_on(async { Ok(taking.await) }) {
                tracing::warn!(%error, "no profile of a fault is taken");
            }
        });
    }

    async fn take_all(&self, members: &[(String, String)], kinds: &[ProfileKind]) {
        for (name, url) in members {
            for what in kinds {
                let taken = profiling::take(&self.client, (name, url), *what).await;
                self.asking.tell(&escape(&profiling::text(&taken)));
                if let Ok(profile) = taken.outcome {
                    // Where the recording has ended, nobody gets it.
                    let _ = self.asking.found.send(NodeAnswer::Profile(profile));
                }
            }
        }
    }
}

/// Whether a cause is one of memory that grows.
fn memory_rose(verdict: &Verdict, cause: &Cause) -> bool {
    let rose = verdict.findings.iter().filter(|one| one.kind == FindingKind::MemoryRose);
    let mut rose = rose.map(|one| &one.id);
    rose.any(|id| cause.evidence.iter().any(|reason| reason.finding == *id))
}
