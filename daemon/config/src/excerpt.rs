//! A line of a text with a marker below the place of a problem.

/// Maximum length of a displayed value, and half the width of a displayed line, in characters.
pub(crate) const SHOWN: usize = 40;

/// Returns line `number`, with `width` bytes from the byte `column` marked, counted from 1:
///
/// ```text
///   2 | "VI_1": { "interface": "eth1" "priority": 100 }
///     |                               ^
/// ```
///
/// `None` for a line that contains "pass", because it may contain a password.
pub fn excerpt(number: usize, line: &str, column: usize, width: usize) -> Option<String> {
    if line.to_lowercase().contains("pass") {
        return None;
    }
    let start = column.saturating_sub(1);
    let before = line.get(..start).unwrap_or(line).chars().count();
    let marked = line
        .get(start..start.saturating_add(width))
        .map_or(1, |marked| marked.chars().count().max(1));
    let skipped = before.saturating_sub(SHOWN);
    let shown: String = line.chars().skip(skipped).take(2 * SHOWN).collect();
    let indent = before - skipped;
    let marked = marked.min((2 * SHOWN).saturating_sub(indent)).max(1);
    let margin = number.to_string();
    Some(format!(
        "  {margin} | {}\n  {:width$} | {:indent$}{:^<marked$}",
        shown.replace('\t', " ").trim_end(),
        "",
        "",
        "",
        width = margin.len(),
    ))
}
