//! Offsets from UTC, and the texts that name them.

use std::fmt;
use std::str::FromStr;

/// An offset from UTC in seconds, east of Greenwich positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone(i32);

/// A text that is no offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {0:?} as an offset from UTC: use UTC, +08:00 or -03:30")]
pub struct ZoneError(pub String);

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(0);

    /// The zone so many seconds east of Greenwich.
    pub const fn east(seconds: i32) -> Self {
        Self(seconds)
    }

    /// Milliseconds east of Greenwich.
    pub const fn millis(self) -> i64 {
        self.0 as i64 * 1_000
    }

    /// Reads `Z`, `+08:00` or `+0800` at the beginning of a text, and says how many bytes that takes.
    pub fn prefix(text: &[u8]) -> Option<(Self, usize)> {
        let (sign, rest) = match text.split_first()? {
            (b'Z', _) => return Some((Self::UTC, 1)),
            (b'+', rest) => (1, rest),
            (b'-', rest) => (-1, rest),
            _ => return None,
        };
        let two = |at: usize| match rest.get(at..at + 2) {
            Some([tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => {
                Some(i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
            }
            _ => None,
        };
        let colon = usize::from(rest.get(2) == Some(&b':'));
        let (hours, minutes) = (two(0)?, two(2 + colon)?);
        (hours <= 18 && minutes <= 59)
            .then_some((Zone(sign * (hours * 3_600 + minutes * 60)), 5 + colon))
    }
}

impl fmt::Display for Zone {
    /// As it is read: `+08:00`, or `UTC`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UTC {
            return formatter.write_str("UTC");
        }
        let (sign, minutes) = (if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs() / 60);
        write!(formatter, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    /// Reads what [`prefix`](Self::prefix) does, `UTC`, and whole hours such as `+8`.
    fn from_str(text: &str) -> Result<Self, ZoneError> {
        if matches!(text, "UTC" | "utc") {
            return Ok(Self::UTC);
        }
        let whole = match text.strip_prefix(['+', '-']) {
            Some(hours) if (1..=2).contains(&hours.len()) => {
                format!("{}{hours:0>2}:00", &text[..1])
            }
            _ => text.to_owned(),
        };
        match Self::prefix(whole.as_bytes()) {
            Some((zone, taken)) if taken == whole.len() => Ok(zone),
            _ => Err(ZoneError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_a_sign_and_at_least_its_hours() {
        for text in ["Asia/Shanghai", "+", "+99", "+x", "+123", "8:00", "+19:00", "+08:60", ""] {
            assert_eq!(text.parse::<Zone>(), Err(ZoneError(text.to_owned())));
        }
        assert_eq!("-0330".parse::<Zone>().map(Zone::millis), Ok(-12_600_000));
        assert_eq!("+8".parse::<Zone>().map(Zone::millis), Ok(28_800_000));
        for text in ["-03:30", "+05:45", "UTC"] {
            assert_eq!(text.parse::<Zone>().map(|zone| zone.to_string()), Ok(text.to_owned()));
        }
    }
}
