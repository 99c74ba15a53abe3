//! What a replay works on, held in memory. Loading it out of a capture is `session`'s.

use crate::model::{Event, Gap, Loss, PdAnswer, RunMeta, Series, TimeRange, Unreadable};

/// The observations of one run, or of a part of it, in any order.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What is known of the run.
    pub meta: RunMeta,
    /// The part of the run that is looked at.
    pub window: TimeRange,
    /// Answers of PD, sent inside the window.
    pub pd: Vec<PdAnswer>,
    /// Marks inside the window, and what was read of the settings of stores up to its end.
    pub events: Vec<Event>,
    /// Gaps that touch the window.
    pub gaps: Vec<Gap>,
    /// Series with their samples inside the window.
    pub series: Vec<Series>,
    /// What was recorded of all that, and of what diagnosis reads, and cannot be read any more.
    pub unreadable: Vec<Unreadable>,
    /// What damage has cost the run as a whole; `None` where it cost nothing.
    pub loss: Option<Loss>,
}
