//! Reads the times of log lines.

use chrono::NaiveDate;

use crate::model::{Timestamp, Zone};

/// A time that was read at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTime {
    /// The milliseconds since the Unix epoch that the clock on the wall would have shown in UTC.
    wall_ms: i64,
    zone: Option<Zone>,
    /// How many bytes of the text it takes.
    pub len: usize,
}

impl ReadTime {
    /// The instant, where the time has an offset or `assumed` gives one.
    pub fn instant(self, assumed: Option<Zone>) -> Option<Timestamp> {
        let zone = self.zone.or(assumed)?;
        Some(Timestamp::from_millis(self.wall_ms - zone.millis()))
    }
}

/// Reads `2024/01/02 03:04:05.678 +08:00`, `2024-01-02T03:04:05.678901Z` and what lies between: either
/// separator of dates, a blank, a hyphen or a `T` before the hour, any number of decimals or none, and
/// an offset or none. `None` where the text does not begin with a time.
pub fn read_time(text: &[u8]) -> Option<ReadTime> {
    let number = |at: usize, digits: usize| {
        let digits = text.get(at..at + digits)?;
        digits.iter().try_fold(0_u32, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'))
        })
    };
    let is = |at: usize, allowed: &[u8]| text.get(at).is_some_and(|byte| allowed.contains(byte));
    let marks = is(4, b"/-") && is(7, b"/-") && is(10, b" T-") && is(13, b":") && is(16, b":");
    if !marks {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(number(0, 4)? as i32, number(5, 2)?, number(8, 2)?)?;
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let day_ms = date.signed_duration_since(NaiveDate::default()).num_milliseconds();
    let in_day = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut len = 19;
    let mut millis = 0;
    if is(len, b".,") {
        let decimals = text[len + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digit = |at: usize| if at < decimals { number(len + 1 + at, 1) } else { Some(0) };
        millis = i64::from(digit(0)? * 100 + digit(1)? * 10 + digit(2)?);
        len += 1 + decimals;
    }
    let blank = usize::from(is(len, b" ") && is(len + 1, b"+-Z"));
    let zone = text.get(len + blank..).and_then(Zone::prefix);
    if let Some((_, taken)) = zone {
        len += blank + taken;
    }
    let wall_ms = day_ms + in_day * 1_000 + millis;
    Some(ReadTime { wall_ms, zone: zone.map(|(zone, _)| zone), len })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str, assumed: Option<Zone>) -> Option<String> {
        read_time(text.as_bytes())?.instant(assumed).map(|at| at.to_string())
    }

    #[test]
    fn every_spelling_of_a_time_gives_the_same_instant() {
        let expected = Some("2024-01-01T19:04:05.678Z".to_owned());
        for text in [
            "2024/01/02 03:04:05.678 +08:00] rest",
            "2024-01-02T03:04:05.678901234+08:00 stdout",
            "2024-01-02T03:04:05.678+0800",
            "2024-01-01T19:04:05.678Z rest",
            "2024-01-01 19:04:05.678 Z",
        ] {
            assert_eq!(instant(text, None), expected, "{text}");
        }
        let east = "+08:00".parse().ok();
        assert_eq!(instant("2024/01/02-03:04:05.678901 7f23", east), expected);
    }

    #[test]
    fn a_time_without_an_offset_has_no_instant_by_itself() {
        assert_eq!(instant("2024/01/02 03:04:05.678]", None), None);
        assert_eq!(read_time(b"2024/01/02 03:04:05.678]").map(|time| time.len), Some(23));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "2024/13/02 03:04:05", "2024/01/02 24:04:05", "2024/01/02", "[2024/01/02"]
        {
            assert_eq!(read_time(text.as_bytes()), None, "{text}");
        }
    }
}
