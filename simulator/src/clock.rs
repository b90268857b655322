//! The simulator's clock, which may run ahead of or behind the machine's.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) offset: TimeDelta,
}

impl Clock {
    pub(crate) fn now(self) -> DateTime<Utc> {
        let now = Utc::now();
        now.checked_add_signed(self.offset).unwrap_or(now)
    }
}

/// `start` plus `seconds`, kept between 1970 and 9999, which is what RFC 3339 and JWT can say.
pub(crate) fn after(start: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    let last = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let limit = if seconds < 0 { DateTime::UNIX_EPOCH } else { last };
    TimeDelta::try_seconds(seconds)
        .and_then(|span| start.checked_add_signed(span))
        .unwrap_or(limit)
        .clamp(DateTime::UNIX_EPOCH, last)
}

/// RFC 9110 §5.6.7.
pub(crate) fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// RFC 3339 with milliseconds and `Z`.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_lifetime_gives_a_time_that_can_be_written() {
        let start = DateTime::UNIX_EPOCH;
        assert_eq!(rfc3339(after(start, 8)), "1970-01-01T00:00:08.000Z");
        assert_eq!(rfc3339(after(start, i64::MAX)), "9999-12-31T23:59:59.000Z");
        assert_eq!(rfc3339(after(start, i64::MIN)), "1970-01-01T00:00:00.000Z");
        assert_eq!(http_date(after(start, 784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
