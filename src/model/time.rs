//! Instants and ranges, and the spellings of them that people type.
//!
//! Nothing here reads a clock: whoever resolves a relative time passes `now`.

use std::fmt;
use std::ops::{Add, Sub};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat};
use serde::{Deserialize, Serialize};

use super::zone::Zone;

/// An instant: whole milliseconds since the Unix epoch, UTC.
///
/// Prometheus stamps samples with the same resolution, so nothing is lost between the two.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that can be written.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant that can be written.
    pub const MAX: Self = Self(i64::MAX);

    /// An instant from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The instant `millis` later, clamped to what can be written.
    #[must_use]
    pub const fn saturating_add_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Reads an instant as people type it: a date and a time of day as in RFC 3339, with or without seconds, in UTC
    /// where there is no zone; Unix seconds with an optional
    /// fraction, Unix milliseconds (13 digits), `now`, an offset from `now` such as `-2h30m`, or a time of
    /// day in UTC such as `03:10` or `03:10:30Z`, which means its last occurrence up to `now`.
    ///
    /// # Errors
    ///
    /// [`TimeParseError`] names the text and the accepted spellings.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::model::Timestamp;
    /// let now = Timestamp::from_millis(1_795_537_029_202);
    /// assert_eq!(Timestamp::parse("-2h", now)?.as_millis(), 1_795_529_829_202);
    /// assert_eq!(Timestamp::parse("1795537029.5", now)?.as_millis(), 1_795_537_029_500);
    /// assert_eq!(Timestamp::parse("2026-11-24T16:17:09.202Z", now)?, now);
    /// # Ok::<(), operator::model::TimeParseError>(())
    /// ```
    pub fn parse(text: &str, now: Self) -> Result<Self, TimeParseError> {
        let trimmed = text.trim();
        if trimmed == "now" {
            return Ok(now);
        }
        let unreadable = || TimeParseError::Instant(text.to_owned());
        if let Some(offset) = trimmed.strip_prefix('-') {
            let millis = parse_duration_ms(offset).map_err(|_| unreadable())?;
            return Ok(now.saturating_add_millis(-millis));
        }
        if let Some(of_day) = time_of_day_ms(trimmed) {
            let today = now.start_of_day() + of_day;
            return Ok(if today > now { today + -DAY_MS } else { today });
        }
        if trimmed.bytes().all(|byte| byte.is_ascii_digit()) && trimmed.len() == 13 {
            return trimmed.parse().map(Self).map_err(|_| unreadable());
        }
        if trimmed.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            // Two digits and a point are no second of 1970, but a time of day that is written otherwise.
            let is_of_day = trimmed.find('.').is_some_and(|point| point <= 2);
            return parse_unix_seconds(trimmed).filter(|_| !is_of_day).ok_or_else(unreadable);
        }
        if let Some(instant) = date_and_time(trimmed) {
            return Ok(instant);
        }
        // RFC 3339 ends with the year 9999; instants beyond it are printed with a sign and read so.
        let is_beyond = trimmed.starts_with('+');
        let instant = match DateTime::parse_from_rfc3339(trimmed) {
            Err(_) if is_beyond => trimmed.parse::<DateTime<chrono::FixedOffset>>(),
            instant => instant,
        };
        instant.map(|instant| Self(instant.timestamp_millis())).map_err(|_| unreadable())
    }

    /// Reads an instant as [`parse`](Self::parse) does, where a date and time or a time of day without a zone is
    /// one of `zone`.
    ///
    /// # Errors
    ///
    /// [`TimeParseError`], as `parse`.
    pub fn parse_in(text: &str, now: Self, zone: Zone) -> Result<Self, TimeParseError> {
        let (text, zone) = split_zone(text, zone);
        match has_no_zone(text.trim()) {
            true => Ok(Self::parse(text, now + zone.millis())? + -zone.millis()),
            false => Self::parse(text, now),
        }
    }

    /// Reads an instant of a run that covers `run`: as [`parse_in`](Self::parse_in) with the run's end as `now`,
    /// and an offset from its start such as `+5m`. A time of day means its last occurrence inside the run;
    /// where it has none, the one on the day on which the run ends.
    ///
    /// # Errors
    ///
    /// [`TimeParseError`], as `parse`.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::model::{TimeRange, Timestamp, Zone};
    /// let at = |text| Timestamp::parse(text, Timestamp::default());
    /// let run = TimeRange::new(at("2026-11-24T16:17:09Z")?, at("2026-11-24T17:00:00Z")?);
    /// let within = |text, zone| Timestamp::parse_within(text, run, zone);
    /// assert_eq!(within("+5m", Zone::UTC)?, at("2026-11-24T16:22:09Z")?);
    /// assert_eq!(within("16:30", Zone::UTC)?, at("2026-11-24T16:30:00Z")?);
    /// assert_eq!(within("-5m", Zone::UTC)?, at("2026-11-24T16:55:00Z")?);
    /// assert_eq!(within("00:30", Zone::east(8 * 3_600))?, at("2026-11-24T16:30:00Z")?);
    /// # Ok::<(), operator::model::TimeParseError>(())
    /// ```
    pub fn parse_within(text: &str, run: TimeRange, zone: Zone) -> Result<Self, TimeParseError> {
        let (text, zone) = split_zone(text, zone);
        let trimmed = text.trim();
        if let Some(offset) = trimmed.strip_prefix('+').and_then(duration_ms) {
            return Ok(run.start + offset);
        }
        if let Some(of_day) = time_of_day_ms(trimmed) {
            let east = if has_no_zone(trimmed) { zone.millis() } else { 0 };
            let on_last_day = (run.end + east).start_of_day() + of_day + -east;
            let day_before = on_last_day + -DAY_MS;
            let is_before_last_day = on_last_day > run.end && day_before >= run.start;
            return Ok(if is_before_last_day { day_before } else { on_last_day });
        }
        Self::parse_in(text, run.end, zone)
    }

    /// Midnight, UTC, of the day of this instant.
    fn start_of_day(self) -> Self {
        self.saturating_add_millis(-self.0.rem_euclid(DAY_MS))
    }
}

/// A length of time for a person, rounded to the nearest: `850ms`, `12.4s`, `3m05s`, `2h10m`; a negative one is
/// none.
///
/// # Examples
///
/// ```
/// use operator::model::duration_text;
/// assert_eq!(duration_text(3_723_000), "1h02m");
/// ```
pub fn duration_text(millis: i64) -> String {
    let millis = millis.max(0);
    let tenths = millis.saturating_add(50) / 100;
    let seconds = millis.saturating_add(500) / 1_000;
    let minutes = seconds.saturating_add(30) / 60;
    match (tenths, seconds) {
        (..10, _) => format!("{millis}ms"),
        (10..600, _) => format!("{}.{}s", tenths / 10, tenths % 10),
        (_, ..3_600) => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", minutes / 60, minutes % 60),
    }
}

/// How far an instant may be off, for a person: never less than it is, in the form of [`duration_text`].
///
/// # Examples
///
/// ```
/// use operator::model::uncertainty_text;
/// assert_eq!(uncertainty_text(4_720), "4.8s");
/// ```
pub fn uncertainty_text(millis: i64) -> String {
    let unit = match millis {
        ..1_000 => 1,
        1_000..60_000 => 100,
        60_000..3_600_000 => 1_000,
        _ => 60_000,
    };
    duration_text(millis.saturating_add(unit - 1) / unit * unit)
}

/// The milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Milliseconds since midnight of a time of day such as `03:10`, `03:10:30Z` or `03:10:30.358`, UTC; `None`
/// where the text is none.
fn time_of_day_ms(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let parsed = NaiveTime::parse_from_str(text, "%H:%M")
        .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S%.f"));
    Some(parsed.ok()?.signed_duration_since(NaiveTime::MIN).num_milliseconds())
}

/// A time of day without the offset at its end, such as `03:10+08:00`, and that offset; any other text as it is, with
/// `zone`.
fn split_zone(text: &str, zone: Zone) -> (&str, Zone) {
    let split = text.trim().rfind(['+', '-']).map(|at| text.trim().split_at(at));
    let split = split.filter(|(time, _)| time_of_day_ms(time).is_some() && !time.ends_with('Z'));
    let split = split.and_then(|(time, offset)| Some((time, offset.parse().ok()?)));
    split.unwrap_or((text, zone))
}

/// Whether a text is a time of day, or a date and one, without a zone.
fn has_no_zone(text: &str) -> bool {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or(("", text));
    let is_date = NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok();
    !text.ends_with('Z') && (date.is_empty() || is_date) && time_of_day_ms(time).is_some()
}

/// A date and a time of day without seconds, or without a zone, which is UTC then as of every time of day: a
/// meaning that does not depend on the machine. `None` where the text is none.
fn date_and_time(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    if let Some(of_day) = time_of_day_ms(time) {
        let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
        return Some(Timestamp(midnight + of_day));
    }
    let text = format!("{date}T{time}");
    let instant = DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M%:z").ok()?;
    Some(Timestamp(instant.timestamp_millis()))
}

fn parse_unix_seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let mut millis = 0;
    for position in 0..3 {
        let digit = match fraction.as_bytes().get(position) {
            Some(byte) if byte.is_ascii_digit() => i64::from(byte - b'0'),
            Some(_) => return None,
            None => 0,
        };
        millis = millis * 10 + digit;
    }
    seconds.checked_mul(1000)?.checked_add(millis).map(Timestamp)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, whatever the zone of the machine.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(instant) => {
                formatter.write_str(&instant.to_rfc3339_opts(SecondsFormat::Millis, true))
            }
            None => write!(formatter, "{}ms", self.0),
        }
    }
}

impl Sub for Timestamp {
    type Output = i64;

    /// Milliseconds from `other` to `self`, clamped to `i64`.
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl Add<i64> for Timestamp {
    type Output = Self;

    fn add(self, millis: i64) -> Self {
        self.saturating_add_millis(millis)
    }
}

/// A half-open range of instants: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first instant inside.
    pub start: Timestamp,
    /// The first instant past it.
    pub end: Timestamp,
}

impl TimeRange {
    /// Every instant that can be told.
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// The range `[start, end)`; one that ends before it starts is empty.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether `instant` lies inside.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.start <= instant && instant < self.end
    }

    /// Whether the two share an instant.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end && !self.is_empty() && !other.is_empty()
    }

    /// The smallest range that contains both.
    pub fn hull(&self, other: &Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// What both contain; empty where they do not overlap.
    pub fn intersection(&self, other: &Self) -> Self {
        let start = self.start.max(other.start);
        Self { start, end: self.end.min(other.end).max(start) }
    }

    /// Whether no instant lies inside.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Length in milliseconds; zero when empty.
    pub fn millis(&self) -> i64 {
        (self.end - self.start).max(0)
    }
}

/// Why a time or a duration could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeParseError {
    /// Not an instant.
    #[error(
        "cannot read {0:?} as a time: use a date and time (2026-11-24T16:17:09Z, UTC where it has no zone), a time of day in UTC (16:17:09), unix seconds, `now`, or an offset with its sign, such as -2h"
    )]
    Instant(String),
    /// Not a duration.
    #[error(
        "cannot read {0:?} as a duration: use numbers with units y, w, d, h, m, s or ms, larger ones first, such as 90s or 1h30m"
    )]
    Duration(String),
    /// A number without a unit.
    #[error("the duration {0:?} has no unit: write {0}s for seconds, {0}m for minutes")]
    NoUnit(String),
}

/// Reads a duration in Prometheus's spelling (`90s`, `1h30m`, `250ms`) as milliseconds: units from
/// `y` (365 d) and `w` to `ms`, larger ones first, each once. `None` where the text is none, or
/// the sum exceeds `i64`.
pub fn duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let (mut rest, mut total, mut next) = (text, 0_i64, 0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let letters = &rest[digits..];
        let end = letters.find(|c: char| c.is_ascii_digit()).unwrap_or(letters.len());
        let unit = next + UNITS[next..].iter().position(|(unit, _)| *unit == &letters[..end])?;
        total = total.checked_add(count.checked_mul(UNITS[unit].1)?)?;
        next = unit + 1;
        rest = &letters[end..];
    }
    (next > 0).then_some(total)
}

/// Reads a duration that a person wrote: as [`duration_ms`], or `0`. As in Prometheus, any other number needs a unit:
/// whoever writes `10` may mean seconds or minutes.
///
/// # Errors
///
/// [`TimeParseError::NoUnit`] for a bare number, [`TimeParseError::Duration`] for any other text.
pub fn parse_duration_ms(text: &str) -> Result<i64, TimeParseError> {
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(0);
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TimeParseError::NoUnit(trimmed.to_owned()));
    }
    duration_ms(trimmed).ok_or_else(|| TimeParseError::Duration(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_beyond_the_year_9999_are_read_as_they_are_printed() {
        for millis in [253_402_300_800_000, 1_795_537_000_000_123] {
            let instant = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse(&instant.to_string(), Timestamp::default()), Ok(instant));
        }
        assert!(Timestamp::parse("+123", Timestamp::default()).is_err());
    }

    #[test]
    fn durations_want_descending_units() {
        assert_eq!(duration_ms("1h30m"), Some(5_400_000));
        assert_eq!(duration_ms("1d2ms"), Some(86_400_002));
        for text in ["", "30m1h", "1h1h", "5", "h", "1x", "99999999999999y"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn durations_add_their_units() {
        assert_eq!(parse_duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(parse_duration_ms("250ms"), Ok(250));
        assert_eq!(parse_duration_ms("0"), Ok(0));
    }

    #[test]
    fn durations_without_number_or_unit_are_refused() {
        for text in ["", "h", "5x", "1h30", "9223372036854775807w"] {
            assert_eq!(parse_duration_ms(text), Err(TimeParseError::Duration(text.to_owned())));
        }
        let bare = parse_duration_ms("90").expect_err("it has no unit").to_string();
        assert!(bare.contains("write 90s for seconds, 90m for minutes"), "{bare}");
        assert!(Timestamp::parse("-90", Timestamp::default()).is_err());
    }

    #[test]
    fn a_time_of_day_is_the_last_one_before_now() {
        let at = |text: &str| Timestamp::parse(text, Timestamp::default()).expect("it is RFC 3339");
        let now = at("2026-11-24T16:17:09.500Z");
        for (text, meant) in [
            ("03:10", "2026-11-24T03:10:00Z"),
            ("16:17:09.500", "2026-11-24T16:17:09.500Z"),
            ("16:18Z", "2026-11-23T16:18:00Z"),
        ] {
            assert_eq!(Timestamp::parse(text, now), Ok(at(meant)), "{text}");
        }
        for text in ["24:00", "3:1:2:3", "03:10+01", "+5m"] {
            assert!(Timestamp::parse(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_lies_inside_the_run_where_it_can() {
        let at = |text: &str| Timestamp::parse(text, Timestamp::default()).expect("it is RFC 3339");
        let night = TimeRange::new(at("2026-11-23T22:00:00Z"), at("2026-11-24T02:00:00Z"));
        let of = |text| Timestamp::parse_within(text, night, Zone::UTC).expect("it is a time");
        assert_eq!(of("23:00"), at("2026-11-23T23:00:00Z"));
        assert_eq!(of("01:00Z"), at("2026-11-24T01:00:00Z"));
        assert_eq!(of("02:30"), at("2026-11-24T02:30:00Z"));
        assert_eq!(of("+90s"), at("2026-11-23T22:01:30Z"));
        assert_eq!(of("-90s"), at("2026-11-24T01:58:30Z"));
    }

    #[test]
    fn a_time_without_a_zone_is_one_of_the_given_zone() {
        let at = |text: &str| Timestamp::parse(text, Timestamp::default()).expect("it is RFC 3339");
        let night = TimeRange::new(at("2026-11-23T22:00:00Z"), at("2026-11-24T02:00:00Z"));
        for (zone, text, meant) in [
            ("+08:00", "06:30", "2026-11-23T22:30:00Z"),
            ("+08:00", "2026-11-24 06:30", "2026-11-23T22:30:00Z"),
            ("-03:30", "20:30:15", "2026-11-24T00:00:15Z"),
            ("-03:30", "2026-11-24T01:00:00+01:00", "2026-11-24T00:00:00Z"),
            ("-03:30", "01:00Z", "2026-11-24T01:00:00Z"),
            ("-03:30", "06:30+08:00", "2026-11-23T22:30:00Z"),
            ("+08:00", "21:00:15-03:30", "2026-11-24T00:30:15Z"),
            ("-03:30", "-1h", "2026-11-24T01:00:00Z"),
            ("-03:30", "+1h", "2026-11-23T23:00:00Z"),
        ] {
            let zone = zone.parse().expect("it is an offset");
            assert_eq!(Timestamp::parse_within(text, night, zone), Ok(at(meant)), "{text}");
            if !text.starts_with('+') {
                assert_eq!(Timestamp::parse_in(text, night.end, zone), Ok(at(meant)), "{text}");
            }
        }
    }

    #[test]
    fn a_date_without_seconds_or_without_a_zone_is_read() {
        let at = |text| Timestamp::parse(text, Timestamp::default()).expect("it is a time");
        for (text, expected) in [
            ("2026-11-24 16:32", "2026-11-24T16:32:00Z"),
            ("2026-11-24T16:32", "2026-11-24T16:32:00Z"),
            ("2026-11-24T16:32Z", "2026-11-24T16:32:00Z"),
            ("2026-11-24T16:17:09", "2026-11-24T16:17:09Z"),
            ("2026-11-24 16:17:09.5", "2026-11-24T16:17:09.500Z"),
            ("2026-11-24T16:32+02:00", "2026-11-24T14:32:00Z"),
        ] {
            assert_eq!(at(text), at(expected), "{text}");
        }
        for text in
            ["2026-11-24", "2026-11-24T", "2026-13-24 16:32", "2026-11-24 24:32", "24 16:32"]
        {
            assert!(Timestamp::parse(text, Timestamp::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_are_half_open() {
        let at = Timestamp::from_millis;
        let range = TimeRange::new(at(10), at(20));
        assert!(range.contains(at(10)) && !range.contains(at(20)));
        assert!(!range.overlaps(&TimeRange::new(at(20), at(30))));
        assert!(range.overlaps(&TimeRange::new(at(19), at(30))));
    }
}
