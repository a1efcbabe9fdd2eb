//! Results of the run: a table, or JSON.

use serde_json::json;

use super::ALLOWANCE;
use super::report::Row;
use super::runner::print;

/// Width of the text columns; longer texts are wrapped.
const WIDTH: usize = 36;

pub(crate) fn print_table(rows: &[Row]) {
    let mut table =
        vec![["", "step", "expected", "observed", "outage", "bound", ""].map(str::to_owned)];
    for row in rows {
        let (expected, seen) = (wrap(&row.expected), wrap(&row.seen));
        for number in 0..expected.len().max(seen.len()) {
            let text = |lines: &[String]| lines.get(number).cloned().unwrap_or_default();
            let once = |cell: String| if number == 0 { cell } else { String::new() };
            table.push([
                once(row.experiment.to_string()),
                once(row.name.to_owned()),
                text(&expected),
                text(&seen),
                once(format!("{} ms", row.outage.as_millis())),
                once(format!("{} ms", row.bound.as_millis())),
                once(row.verdict().to_owned()),
            ]);
        }
    }
    let [n, s, e, f, o, b, _] = std::array::from_fn(|column: usize| {
        let cells = table
            .iter()
            .map(|line: &[String; 7]| line[column].chars().count());
        cells.max().unwrap_or_default()
    });
    print(format_args!(""));
    for [experiment, step, expected, seen, outage, bound, verdict] in &table {
        let line = format!(
            "{experiment:n$}  {step:s$}  {expected:e$}  {seen:f$}  {outage:>o$}  {bound:>b$}  {verdict}"
        );
        print(format_args!("{}", line.trim_end()));
    }
    print(format_args!(
        "\n\
         Outage: the longest time without an answer to the client, which sends a request every 10 ms.\n\
         Bound: the limit of the protocol (for httpd: of the check script). {} ms more are allowed for the request interval\n\
         and a busy machine, and the time for which the machine did not schedule the lab.\n\
         Holders: at the end of each step one host holds each address. Two hosts hold an address only where the table says\n\
         so: a returning master adds it before its first advertisement reaches the backup, a master that stops keeps it until the\n\
         backup advertises, and a frozen daemon cannot delete it.",
        ALLOWANCE.as_millis()
    ));
}

pub(crate) fn print_json(rows: &[Row]) {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "experiment": row.experiment,
                "step": row.name,
                "expected": row.expected,
                "seen": row.seen,
                "outageMs": row.outage.as_secs_f64() * 1e3,
                "boundMs": row.bound.as_secs_f64() * 1e3,
                "problems": row.problems,
            })
        })
        .collect();
    print(format_args!("{:#}", json!({ "steps": rows })));
}

/// Wraps a text between words; returns at least one line.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrap_breaks_long_text_between_words() {
        assert_eq!(wrap(""), [""]);
        assert_eq!(wrap("address on master"), ["address on master"]);
        assert_eq!(
            wrap("two holders until it wakes; then it listens first"),
            ["two holders until it wakes; then it", "listens first"]
        );
    }
}
