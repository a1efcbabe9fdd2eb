//! Words of messages.

/// Number and noun: `1 instance`, `2 instances`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
