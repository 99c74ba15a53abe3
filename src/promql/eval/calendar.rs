//! Dates of the Gregorian calendar in UTC, for every 64-bit number of seconds, as Go's `time` has
//! them. No time zones and no leap seconds.

/// A date with the time of day, in UTC.
pub struct Date {
    /// The year; negative before the year 0.
    pub year: i64,
    /// The month of the year, from 1 to 12.
    pub month: usize,
    /// The day of the month, from 1 to 31.
    pub day: u64,
    /// The day of the year, from 1 to 366.
    pub day_of_year: u64,
    /// The number of days of the month, from 28 to 31.
    pub days_in_month: u64,
    /// The day of the week, from 0 for Sunday to 6.
    pub weekday: u64,
    /// The hour of the day, from 0 to 23.
    pub hour: u64,
    /// The minute of the hour, from 0 to 59.
    pub minute: u64,
}

/// A year that is the first of a cycle of 400 and lies before all 64-bit times.
const FIRST_YEAR: i64 = -292_277_022_399;
/// Seconds from the first year, whose first day was a Monday, to 1970; modulo 2^64.
const TO_UNIX: u64 = 9_223_371_966_579_724_800 + 62_135_596_800;
/// Beyond the largest 64-bit number.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
const DAY_S: u64 = 86_400;
const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Date {
    /// The date of a number of seconds since the Unix epoch. A number that no 64-bit integer holds
    /// counts as the smallest one, as Go converts it on amd64.
    pub fn of(seconds: f64) -> Self {
        let fits = (-TWO_TO_63..TWO_TO_63).contains(&seconds);
        let unix = if fits { seconds as i64 } else { i64::MIN };
        let absolute = (unix as u64).wrapping_add(TO_UNIX);
        let (mut days, of_day) = (absolute / DAY_S, absolute % DAY_S);
        let weekday = (days + 1) % 7;
        let mut year = 0;
        // Cycles of 400, 100, 4 and 1 years. The last of four hundred-year cycles is a day longer,
        // and so is the last of four years.
        for (cycle, length) in [(400, 146_097), (100, 36_524), (4, 1_461), (1, 365)] {
            let mut count = days / length;
            if matches!(cycle, 1 | 100) {
                count -= count >> 2;
            }
            year += cycle * count;
            days -= count * length;
        }
        let year = (year as i64).wrapping_add(FIRST_YEAR);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let day_of_year = days + 1;
        let (mut month, mut days_in_month) = (0, MONTHS[0]);
        while days >= days_in_month {
            days -= days_in_month;
            month += 1;
            days_in_month = MONTHS[month] + u64::from(is_leap && month == 1);
        }
        Self {
            year,
            month: month + 1,
            day: days + 1,
            day_of_year,
            days_in_month,
            weekday,
            hour: of_day / 3_600,
            minute: of_day % 3_600 / 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_in_utc() {
        // 2024-02-29T23:59:59Z, a Thursday.
        let date = Date::of(1_709_251_199.0);
        assert_eq!((date.year, date.month, date.day, date.hour), (2024, 2, 29, 23));
        assert_eq!((date.weekday, date.day_of_year, date.days_in_month), (4, 60, 29));
        let before_the_epoch = Date::of(-1.0);
        assert_eq!((before_the_epoch.day_of_year, before_the_epoch.year), (365, 1969));
        let leap_day = Date::of(951_782_400.0 + 86_399.0); // 2000-02-29
        assert_eq!((leap_day.day, leap_day.days_in_month), (29, 29));
    }

    #[test]
    fn a_number_beyond_all_times_is_the_first_time() {
        // What Prometheus answers on amd64.
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            let date = Date::of(odd);
            assert_eq!((date.day, date.month, date.weekday), (4, 12, 0));
            assert_eq!((date.day_of_year, date.minute), (339, 30));
        }
    }
}
