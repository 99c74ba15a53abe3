//! `--tz`: the zone of times that somebody gives without one.

use std::str::FromStr;

use chrono::{Local, Offset, TimeZone};
use clap::Args;

use super::headings::TIME;
use crate::model::{Timestamp, Zone, ZoneError};

/// The zone of times that have none.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ZoneArgs {
    /// The zone of given times that have none: an offset from UTC such as +02:00, or `local`, which is this
    /// machine's. What is printed stays in UTC [default: UTC]
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, help_heading = TIME)]
    tz: Option<GivenZone>,
}

/// A zone as it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenZone {
    /// An offset from UTC.
    Offset(Zone),
    /// That of the machine.
    Local,
}

impl FromStr for GivenZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "local" {
            return Ok(Self::Local);
        }
        let by_offset =
            |error: ZoneError| format!("{error}, or `local` for the zone of this machine");
        text.parse().map(Self::Offset).map_err(by_offset)
    }
}

impl GivenZone {
    /// The offset that was in force at an instant.
    pub fn at(self, instant: Timestamp) -> Zone {
        match self {
            Self::Offset(zone) => zone,
            Self::Local => {
                let there = Local.timestamp_millis_opt(instant.as_millis()).single();
                there.map_or(Zone::UTC, |there| Zone::east(there.offset().fix().local_minus_utc()))
            }
        }
    }
}

impl ZoneArgs {
    /// The zone of times that have none, for a run that ends at `end`.
    pub fn at(self, end: Timestamp) -> Zone {
        self.tz.map_or(Zone::UTC, |zone| zone.at(end))
    }

    /// The flag for another command, with a space before it; empty where it was not given.
    pub fn as_text(self) -> String {
        match self.tz {
            Some(GivenZone::Offset(zone)) => format!(" --tz {zone}"),
            Some(GivenZone::Local) => " --tz local".to_owned(),
            None => String::new(),
        }
    }
}
