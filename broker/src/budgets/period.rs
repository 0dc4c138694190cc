//! The times that budgets are for: minutes, hours, days and months of UTC, each of which begins where the one before ends.

use std::fmt;
use std::ops::Range;

use comity_types::Timestamp;

/// A minute in milliseconds.
const MINUTE_MILLIS: i64 = 60 * 1000;
/// A day in milliseconds.
const DAY_MILLIS: i64 = 24 * 60 * MINUTE_MILLIS;

/// How long a budget lasts before it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From one full minute to the next.
    Minute,
    /// From one full hour to the next.
    Hour,
    /// From 00:00 UTC to 00:00 UTC.
    Day,
    /// From the first day of a month to that of the next.
    Month,
}

impl Period {
    /// All of them, shortest first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Month];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// That of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    /// The one that an instant lies in, in milliseconds since 1970.
    #[must_use]
    pub fn around(self, at: Timestamp) -> Range<i64> {
        let (millis, of) = (at.as_millis(), |length: i64| {
            let begins = at.as_millis().div_euclid(length) * length;
            begins..begins + length
        });
        match self {
            Self::Minute => of(MINUTE_MILLIS),
            Self::Hour => of(60 * MINUTE_MILLIS),
            Self::Day => of(DAY_MILLIS),
            Self::Month => {
                let month = month_of(millis.div_euclid(DAY_MILLIS));
                first_day(month) * DAY_MILLIS..first_day(month + 1) * DAY_MILLIS
            }
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Months from March of the year 0 to that of a day, which is counted from 1970 on. Years that begin with March have their odd
/// day at their end, so that months of 153 days in fives are all that there is to it.
fn month_of(day: i64) -> i64 {
    let since = day + 719_468;
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    (era * 400 + year) * 12 + (5 * of_year + 2) / 153
}

/// The first day of such a month.
fn first_day(month: i64) -> i64 {
    let (years, month) = (month.div_euclid(12), month.rem_euclid(12));
    let (era, year) = (years.div_euclid(400), years.rem_euclid(400));
    era * 146_097 + year * 365 + year / 4 - year / 100 + (153 * month + 2) / 5 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn around(period: Period, text: &str) -> (String, String) {
        let Range { start, end } = period.around(at(text));
        let text = |millis| Timestamp::from_millis(millis).unwrap().to_string();
        (text(start), text(end))
    }

    #[test]
    fn each_begins_where_the_one_before_ends_in_utc() {
        let moment = "2026-11-30T15:32:44.567Z";
        let spans = [
            ("2026-11-30T15:32:00Z", "2026-11-30T15:33:00Z"),
            ("2026-11-30T15:00:00Z", "2026-11-30T16:00:00Z"),
            ("2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ];
        for (period, (begins, ends)) in Period::ALL.into_iter().zip(spans) {
            assert_eq!(around(period, moment), (begins.to_owned(), ends.to_owned()), "{period}");
            assert_eq!(around(period, begins), (begins.to_owned(), ends.to_owned()), "{period}");
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        for year in 1999..2106 {
            for month in 1..=12 {
                let first = format!("{year:04}-{month:02}-01T00:00:00Z");
                let next =
                    if month == 12 { format!("{:04}-01", year + 1) } else { format!("{year:04}-{:02}", month + 1) };
                let next = format!("{next}-01T00:00:00Z");
                let last = at(&next).minus(std::time::Duration::from_millis(1)).to_string();
                for day in [&first, &format!("{year:04}-{month:02}-28T12:00:00Z"), &last] {
                    assert_eq!(around(Period::Month, day), (first.clone(), next.clone()), "{day}");
                }
            }
        }
    }
}
