//! Takes profiles of PD's members: what their memory holds, and what their goroutines do.
//!
//! Both cost a member little: its runtime samples what it allocates at any rate, and looks at its goroutines for some
//! milliseconds. Profiles of processors, which cost seconds of each, are not taken.

use std::time::Duration;

use super::pprof::Profile;
use crate::model::ProfileKind;
use crate::pd::profile_path;
use crate::source::{Http, HttpOptions, SourceError, public_url};

/// The size of the largest profile that is accepted, in bytes, gzipped as it comes.
const MAX_PROFILE_BYTES: u64 = 8 << 20;

/// A client for profiles, all taken with the same options.
#[derive(Clone, Debug)]
pub struct ProfileClient {
    http: Http,
}

impl ProfileClient {
    /// A client with these options. Their timeout and size limit do not apply.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of them.
    pub fn new(options: &HttpOptions) -> Result<Self, SourceError> {
        Ok(Self { http: Http::new(options)? })
    }

    /// Takes a profile of the member at `member`, such as `http://10.0.1.1:2379`, at most 8 MiB, within `timeout`: its
    /// stacks, the innermost function first, with bytes or numbers.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where no complete profile arrived within the bounds.
    pub async fn take(
        &self,
        member: &str,
        what: ProfileKind,
        timeout: Duration,
    ) -> Result<Vec<(Vec<String>, u64)>, SourceError> {
        let url = format!("{}{}", member.trim_end_matches('/'), profile_path(what));
        let answer = self.http.get_bounded(&url, &[], None, timeout, MAX_PROFILE_BYTES).await?;
        let body = answer.into_success(&url)?.body;
        let malformed = |why: String| SourceError::Malformed { url: public_url(&url), why };
        let profile = Profile::read(&body).map_err(|error| malformed(error.to_string()))?;
        let value = match what {
            ProfileKind::Heap => "inuse_space",
            ProfileKind::Goroutines => "goroutine",
        };
        let stacks = profile.of(value).ok_or_else(|| malformed(format!("it has no {value}")))?;
        Ok(stacks.into_iter().map(|(frames, value)| (frames.to_vec(), value)).collect())
    }
}
