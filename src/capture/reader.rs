//! stub
use crate::model::*;
use super::CaptureError;
use std::path::Path;
/// How a matcher compares.
#[derive(Clone, Debug)]
pub enum MatchOp { /// `=`
 Equal, /// `!=`
 NotEqual, /// `=~`, anchored
 Regex(regex::Regex), /// `!~`, anchored
 NotRegex(regex::Regex) }
/// One condition on a label; an absent label has the empty value.
#[derive(Clone, Debug)]
pub struct LabelMatcher { /// label
 pub name: String, /// comparison
 pub op: MatchOp, /// operand
 pub value: String }
/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage { /// which row or block
 pub part: String, /// what does not hold
 pub why: String, /// time it covered, where known
 pub range: Option<TimeRange> }
/// Reads a capture. Damaged parts are left out and named by `damage`.
pub struct CaptureReader {}
impl CaptureReader {
    /// Opens read-only (older formats: migrates a temporary copy).
    pub fn open(_path: &Path) -> Result<Self, CaptureError> { todo!() }
    /// run metadata
    pub fn meta(&self) -> &RunMeta { todo!() }
    /// smallest range holding every sample and PD answer
    pub fn window(&self) -> TimeRange { todo!() }
    /// all gaps, sorted
    pub fn gaps(&self) -> Result<Vec<Gap>, CaptureError> { todo!() }
    /// all events, sorted
    pub fn events(&self) -> Result<Vec<Event>, CaptureError> { todo!() }
    /// PD answers sent in range, ordered by (sent, member, path)
    pub fn pd_answers(&self, _range: TimeRange) -> Result<Vec<PdAnswer>, CaptureError> { todo!() }
    /// series that match all matchers with their samples in range, ascending by labels; series without a sample in range are left out
    pub fn select(&self, _matchers: &[LabelMatcher], _range: TimeRange) -> Result<Vec<Series>, CaptureError> { todo!() }
    /// what was found damaged so far
    pub fn damage(&self) -> Vec<Damage> { todo!() }
    /// hex SHA-256 of the recorded content, independent of the order of writing
    pub fn digest(&self) -> Result<String, CaptureError> { todo!() }
}
