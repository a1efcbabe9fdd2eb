//! The end of the story: a table for people, or JSON.

use serde_json::json;

use super::ALLOWANCE;
use super::story::{Row, say};

pub(crate) fn print(rows: &[Row]) {
    let mut table =
        vec![["", "step", "expected", "seen", "outage", "bound", ""].map(str::to_owned)];
    table.extend(rows.iter().map(|row| {
        [
            row.experiment.to_string(),
            row.name.to_owned(),
            row.expected.clone(),
            row.seen.clone(),
            format!("{} ms", row.outage.as_millis()),
            format!("{} ms", row.bound.as_millis()),
            verdict(row).to_owned(),
        ]
    }));
    let [n, s, e, f, o, b, _] = std::array::from_fn(|column: usize| {
        let cells = table
            .iter()
            .map(|line: &[String; 7]| line[column].chars().count());
        cells.max().unwrap_or_default()
    });
    say(format_args!(""));
    for [experiment, step, expected, seen, outage, bound, verdict] in &table {
        let line = format!(
            "{experiment:n$}  {step:s$}  {expected:e$}  {seen:f$}  {outage:>o$}  {bound:>b$}  {verdict}"
        );
        say(format_args!("{}", line.trim_end()));
    }
    say(format_args!(
        "\noutage: the longest time in which the client, asking every 10 ms, had no answer. bound: what the protocol allows; \
         {} ms more\nare granted for the asking and for a busy machine.",
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
    say(format_args!("{:#}", json!({ "steps": rows })));
}

const fn verdict(row: &Row) -> &'static str {
    if row.problems.is_empty() {
        "ok"
    } else {
        "FAILED"
    }
}
