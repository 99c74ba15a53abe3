//! What goes first where an export would be too large.
//!
//! PD's answers, gaps, events and what failure modes read stay in any case.

use crate::diagnose::reads;
use crate::model::Labels;

/// How much of the series is exported, from all to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// All series.
    Everything,
    /// No buckets of histograms that no failure mode reads.
    FewBuckets,
    /// Only series that a failure mode reads.
    EvidenceOnly,
}

impl Detail {
    /// Every step, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Everything, Self::FewBuckets, Self::EvidenceOnly];

    /// What is left out at this step, for a person; `None` where nothing is.
    pub fn left_out(self) -> Option<&'static str> {
        match self {
            Self::Everything => None,
            Self::FewBuckets => Some("buckets of histograms that no failure mode reads"),
            Self::EvidenceOnly => Some("series that no failure mode reads"),
        }
    }
}

/// Decides which series are exported.
pub struct Selection {
    detail: Detail,
}

impl Selection {
    /// The series of this detail.
    pub fn new(detail: Detail) -> Self {
        Self { detail }
    }

    /// Whether a series is exported.
    pub fn accepts(&self, labels: &Labels) -> bool {
        let metric = labels.metric();
        reads(labels)
            || match self.detail {
                Detail::Everything => true,
                Detail::FewBuckets => !metric.ends_with("_bucket"),
                Detail::EvidenceOnly => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failure_modes_read_stays() {
        let series = |metric: &str| Labels::from_pairs(&[("__name__", metric)]);
        let kept = |metric: &str| {
            Detail::ALL.map(|detail| Selection::new(detail).accepts(&series(metric)))
        };
        assert_eq!(kept("up"), [true, true, true]);
        assert_eq!(kept("a_seconds_bucket"), [true, false, false]);
        assert_eq!(kept("a_total"), [true, true, false]);
    }
}
