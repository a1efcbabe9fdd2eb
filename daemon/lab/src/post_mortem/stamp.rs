//! Times of a capture: nanoseconds since 1970, shown in UTC.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, UNIX_EPOCH};

/// Point in time on the clock of the capturing machine, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(pub(crate) u64);

impl Stamp {
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Stamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl Sub<Duration> for Stamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

/// Shows date and time in UTC, with milliseconds. With `#` only the time of the day.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest value is in the year 2554, which the format can show.
        let text = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(self.0));
        let text = text.to_string();
        let text = text.trim_end_matches('Z');
        match text.split_once('T') {
            Some((_, time)) if f.alternate() => f.pad(time),
            Some((date, time)) => write!(f, "{date} {time}"),
            None => f.pad(text),
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Formats a duration with the unit that a reader expects: whole milliseconds below ten seconds.
pub(crate) fn span(span: Duration) -> String {
    match span.as_secs_f64() {
        seconds if seconds < 0.01 => format!("{:.2} ms", seconds * 1e3),
        seconds if seconds < 10.0 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 600.0 => format!("{seconds:.1} s"),
        seconds if seconds < 36_000.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_shown_in_utc() {
        let stamp = Stamp(1_000_000_000_123_456_789);
        assert_eq!(stamp.to_string(), "2001-09-09 01:46:40.123");
        assert_eq!(format!("{stamp:#}"), "01:46:40.123");
        assert_eq!(Stamp(u64::MAX).to_string(), "2554-07-21 23:34:33.709");
    }

    #[test]
    fn durations_are_shown_in_a_fitting_unit() {
        let shown = [0.0012, 0.361, 3.613, 61.0, 4000.0, 90_000.0]
            .map(|seconds| span(Duration::from_secs_f64(seconds)));
        assert_eq!(
            shown,
            ["1.20 ms", "361 ms", "3613 ms", "61.0 s", "67 min", "25.0 h"]
        );
    }
}
