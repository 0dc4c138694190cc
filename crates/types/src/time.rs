//! Instants, intervals and the clock: nothing but a [`Clock`] knows what time it is.

use std::fmt;
use std::str::FromStr;

use crate::Invalid;

/// A day in milliseconds.
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// An instant in UTC with millisecond precision, written as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The instant `millis` milliseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// Outside the years -9999 to 9999.
    pub fn from_millis(millis: i64) -> Result<Self, Invalid> {
        jiff::Timestamp::from_millisecond(millis)
            .map(Self)
            .map_err(|_| Invalid::new(&millis.to_string(), "milliseconds of an instant before the year 10000"))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The instant `duration` later, or the last one there is.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        self.0.saturating_add(duration).map_or(Self(jiff::Timestamp::MAX), Self)
    }

    /// The instant `duration` earlier, or the first one there is.
    #[must_use]
    pub fn minus(self, duration: std::time::Duration) -> Self {
        self.0.saturating_sub(duration).map_or(Self(jiff::Timestamp::MIN), Self)
    }

    /// Its day in UTC, in days since 1970-01-01.
    #[must_use]
    pub fn day(self) -> i64 {
        self.as_millis().div_euclid(DAY_MILLIS)
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        u64::try_from(self.as_millis() - earlier.as_millis())
            .map_or(std::time::Duration::ZERO, std::time::Duration::from_millis)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    /// An instant, or a date, which means 00:00 UTC of that day.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let instant = text.parse::<jiff::Timestamp>().or_else(|_| {
            let date = text.parse::<jiff::civil::Date>()?;
            date.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp())
        });
        let invalid = || Invalid::new(text, "a date (2026-11-22) or an instant (2026-11-22T09:30:00Z)");
        Self::from_millis(instant.map_err(|_| invalid())?.as_millisecond())
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimestampVisitor)
    }
}

/// The key under which the crate `toml` hands on a date.
const TOML_DATETIME: &str = "$__toml_private_datetime";

/// Accepts a string, and TOML's own dates, which arrive as a map of one private key.
struct TimestampVisitor;

impl<'de> serde::de::Visitor<'de> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date such as 2026-11-22, or an instant such as 2026-11-22T09:30:00Z")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Timestamp, A::Error> {
        match map.next_entry::<String, String>()? {
            Some((key, text)) if key == TOML_DATETIME => text.parse().map_err(serde::de::Error::custom),
            Some(_) | None => Err(serde::de::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }
}

/// When something holds: `from <= t < until`. An absent bound is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// First instant at which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// First instant at which it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Where an instant lies as seen from an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The interval has not begun.
    Before,
    /// The interval holds.
    Within,
    /// The interval has ended.
    After,
}

impl Interval {
    /// Where `instant` lies.
    #[must_use]
    pub fn phase(&self, instant: Timestamp) -> Phase {
        if self.from.is_some_and(|from| instant < from) {
            Phase::Before
        } else if self.until.is_some_and(|until| instant >= until) {
            Phase::After
        } else {
            Phase::Within
        }
    }

    /// True if an instant lies within both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let before = |from: Option<Timestamp>, until: Option<Timestamp>| match (from, until) {
            (Some(from), Some(until)) => from < until,
            (None, _) | (_, None) => true,
        };
        before(self.from, other.until) && before(other.from, self.until)
    }

    /// True if no instant lies within.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if from >= until)
    }
}

/// Tells the time. Programs have the system's; tests have their own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The earlier of two instants; nothing is never.
#[must_use]
pub fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_date_is_its_first_instant_in_utc() {
        assert_eq!(at("2026-11-22"), at("2026-11-22T00:00:00Z"));
        assert_eq!(at("2026-11-22").to_string(), "2026-11-22T00:00:00Z");
        assert!("22.11.2026".parse::<Timestamp>().is_err());
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let (first, last) = (at("2026-11-22"), at("2026-11-22T23:59:59.999Z"));
        assert_eq!((first.day(), last.day()), (20_779, 20_779));
        assert_eq!(at("2026-11-23").day(), 20_780);
        assert_eq!(at("1969-12-31T23:00:00Z").day(), -1);
    }

    #[test]
    fn toml_takes_dates_with_and_without_quotes() {
        let table: toml::Table = toml::from_str("from = 2026-01-01\nuntil = \"2027-01-01\"").unwrap();
        let interval: Interval = table.try_into().unwrap();
        assert_eq!(interval, Interval { from: Some(at("2026-01-01")), until: Some(at("2027-01-01")) });
        let interval: Interval = toml::from_str("from = 2026-01-01T10:00:00Z").unwrap();
        assert_eq!(interval.from, Some(at("2026-01-01T10:00:00Z")));
    }

    #[test]
    fn a_table_that_holds_a_date_is_no_date() {
        for text in ["from = { day = '2026-01-01' }", "from = {}"] {
            let error = toml::from_str::<Interval>(text).unwrap_err().to_string();
            assert!(error.contains("expected a date such as 2026-11-22"), "{error}");
        }
    }

    #[test]
    fn an_interval_holds_from_its_first_instant_to_before_its_last() {
        let interval = Interval { from: Some(at("2026-01-01")), until: Some(at("2027-01-01")) };
        assert_eq!(interval.phase(at("2025-12-31T23:59:59.999Z")), Phase::Before);
        assert_eq!(interval.phase(at("2026-01-01")), Phase::Within);
        assert_eq!(interval.phase(at("2026-12-31T23:59:59.999Z")), Phase::Within);
        assert_eq!(interval.phase(at("2027-01-01")), Phase::After);
        assert_eq!(Interval::default().phase(at("2027-01-01")), Phase::Within);
        assert!(Interval { from: interval.until, until: interval.from }.is_empty());
    }

    #[test]
    fn intervals_that_meet_do_not_overlap() {
        let until = Interval { from: None, until: Some(at("2026-01-01")) };
        let from = Interval { from: Some(at("2026-01-01")), until: None };
        assert!(!until.overlaps(&from) && !from.overlaps(&until));
        assert!(until.overlaps(&until) && until.overlaps(&Interval::default()));
    }
}
