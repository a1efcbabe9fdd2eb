//! Words of messages.

use std::time::SystemTime;

/// Number and noun: `1 instance`, `2 instances`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Parses the time of `--since`: a time span before now, or a time in UTC.
pub(crate) fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(span) = humantime::parse_duration(text) {
        return Ok(SystemTime::now()
            .checked_sub(span)
            .unwrap_or(SystemTime::UNIX_EPOCH));
    }
    humantime::parse_rfc3339_weak(text).map_err(|error| {
        format!("{error}; must be a time span (10min, 2h 30min) or a time in UTC (\"2026-11-30 07:45:00\")")
    })
}
