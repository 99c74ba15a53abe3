//! The flags by which somebody says which part of a capture is judged, and as of when.

use clap::Args;

use crate::cli::config::headings::TIME;
use crate::cli::config::told::ToldArgs;
use crate::cli::config::zone::ZoneArgs;
use crate::cli::exit::CliError;
use crate::diagnose::Evidence;
use crate::model::{AsOf, TimeRange, Timestamp, Zone, shell_word};
use crate::session::{Session, View};

/// Which part of a capture is judged, and as of when.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = TIME)]
pub struct ViewArgs {
    /// Begin here instead of at the capture's start
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    from: Option<String>,
    /// End here instead of at the capture's end
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    to: Option<String>,
    /// Answer as of this instant, with nothing seen that was observed later. Looks back an hour, as
    /// `watch` does, unless --from says more
    #[arg(long, value_name = "T", allow_hyphen_values = true, conflicts_with = "to")]
    at: Option<String>,
    #[command(flatten)]
    zone: ZoneArgs,
    #[command(flatten)]
    told: ToldArgs,
}

impl ViewArgs {
    /// The view of a capture, which from now on is judged with what was told.
    ///
    /// # Errors
    ///
    /// [`CliError::Usage`] where a time is none, nothing was recorded then, or a node has no two names.
    pub fn of(&self, session: &mut Session) -> anyhow::Result<View> {
        session.tell(self.told.clone().told()?);
        let whole = session.window();
        let zone = self.zone.at(whole.end);
        let Some(at) = self.at.as_deref() else {
            let mut range = window(whole, self.from.as_deref(), self.to.as_deref(), zone)?;
            // What somebody did before and after all observations belongs to the whole.
            if self.from.is_none() {
                range.start = TimeRange::ALL.start;
            }
            if self.to.is_none() {
                range.end = TimeRange::ALL.end;
            }
            return Ok(View { range, as_of: AsOf::END });
        };
        let covers = format!("the capture covers {} to {}", whole.start, whole.end);
        // Of a run that is over, nothing is known now but what was known at its end.
        if at.trim() == "now" && !session.is_being_recorded() {
            let text =
                format!("nothing is recorded now: {covers}; without --at it is seen from its end");
            return Err(CliError::Usage(text).into());
        }
        let at = Timestamp::parse_within(at, whole, zone)?;
        let view = session.view_as_of(at);
        let view = match self.from.as_deref() {
            Some(from) => {
                let from = window(whole, Some(from), None, zone)?.start;
                View { range: view.as_of.within(TimeRange::new(from, Timestamp::MAX)), ..view }
            }
            None => view,
        };
        if at > whole.end {
            return Err(CliError::Usage(format!("{at} was not recorded: {covers}")).into());
        }
        if !view.range.overlaps(&whole) {
            return Err(CliError::Usage(format!("nothing was known at {at}: {covers}")).into());
        }
        Ok(view)
    }

    /// Whether the whole of a run is judged from its end.
    pub fn is_whole(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.at.is_none()
    }

    /// Whether what is judged is seen from the end of the run.
    pub fn is_from_the_end(&self) -> bool {
        self.to.is_none() && self.at.is_none()
    }

    /// The same flags for another command, each with a space before it; empty where none was given.
    pub fn as_text(&self) -> String {
        let ToldArgs { cluster, nodes } = &self.told;
        let times = [("--from", &self.from), ("--to", &self.to), ("--at", &self.at)];
        let given = times.into_iter().chain([("--cluster", cluster)]);
        let given = given.filter_map(|(flag, value)| Some((flag, value.as_ref()?)));
        let given = given.chain(nodes.iter().map(|node| ("--node", node)));
        let given = given.map(|(flag, value)| format!(" {flag} {}", shell_word(value)));
        given.collect::<String>() + &self.zone.as_text()
    }

    /// # Errors
    ///
    /// [`CliError::Usage`] where `--cluster` or `--node` was given and matches nothing of the run.
    pub fn unless_unmatched(&self, evidence: &Evidence) -> Result<(), CliError> {
        let unmatched = &evidence.nodes.unmatched_answers;
        if unmatched.is_empty() || (self.told.cluster.is_none() && self.told.nodes.is_empty()) {
            return Ok(());
        }
        Err(CliError::Usage(unmatched.join("; ")))
    }
}

/// A part of the capture; see [`Timestamp::parse_within`].
///
/// # Errors
///
/// [`CliError::Usage`] where a time is none, the part is empty, or nothing was recorded in it.
pub fn window(
    whole: TimeRange,
    from: Option<&str>,
    to: Option<&str>,
    zone: Zone,
) -> anyhow::Result<TimeRange> {
    let parse = |text: Option<&str>, otherwise| {
        text.map_or(Ok(otherwise), |text| Timestamp::parse_within(text, whole, zone))
    };
    let (start, end) = (parse(from, whole.start)?, parse(to, whole.end)?);
    let covers = format!("the capture covers {} to {}", whole.start, whole.end);
    if from.is_some() && to.is_some() && start >= end {
        let text = format!("--from {start} is not before --to {end}; {covers}");
        return Err(CliError::Usage(text).into());
    }
    if from.is_some() && start >= whole.end {
        return Err(CliError::Usage(format!("--from {start} is after the end: {covers}")).into());
    }
    if to.is_some() && end <= whole.start {
        return Err(CliError::Usage(format!("--to {end} is before the start: {covers}")).into());
    }
    let range = TimeRange::new(start, end);
    if (from.is_some() || to.is_some()) && !range.overlaps(&whole) {
        let text = format!("nothing was recorded between {start} and {end}: {covers}");
        return Err(CliError::Usage(text).into());
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: TimeRange = TimeRange {
        start: Timestamp::from_millis(1_000_000),
        end: Timestamp::from_millis(2_000_000),
    };

    #[test]
    fn offsets_count_back_from_the_end_of_the_capture() {
        let range = window(RUN, Some("-5m"), None, Zone::UTC).expect("the time is fine");
        assert_eq!(range, TimeRange::new(Timestamp::from_millis(1_700_000), RUN.end));
        assert!(window(RUN, None, Some("-1h"), Zone::UTC).is_err());
    }

    #[test]
    fn what_ends_before_it_begins_says_so() {
        let error =
            window(RUN, Some("-2m"), Some("-5m"), Zone::UTC).expect_err("it is empty").to_string();
        assert!(error.contains("is not before --to"), "{error}");
    }

    #[test]
    fn the_flags_can_be_given_to_another_command() {
        let view = ViewArgs { at: Some("03:11:30".to_owned()), ..ViewArgs::default() };
        assert_eq!(view.as_text(), " --at 03:11:30");
        let told = ToldArgs { cluster: Some("a b".to_owned()), nodes: vec!["x=y".to_owned()] };
        let view = ViewArgs { from: Some("-5m".to_owned()), told, ..ViewArgs::default() };
        assert_eq!(view.as_text(), " --from -5m --cluster 'a b' --node x=y");
        assert_eq!(ViewArgs::default().as_text(), "");
    }
}
