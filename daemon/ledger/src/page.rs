//! Generator of docs/conformance.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{Ledger, Level, Place, Row, Standing};

/// RFCs in the order of the page, each with its title and an explanation.
const RFCS: [(u16, &str, &str); 3] = [
    (
        9568,
        "VRRP version 3",
        "With its verified errata 7947, 7949, 8298, 8299, 8300 and 8301.",
    ),
    (
        5798,
        "the former version 3",
        "Only the differences from RFC 9568, which obsoletes it.",
    ),
    (3768, "VRRP version 2", "The version of the course."),
];

const INTRODUCTION: &str = "\
# Conformance to the RFCs

This page lists the requirements of the RFCs, and the code that implements and the test that verifies each of them.
`UPDATE_LEDGER=1 cargo test -p vrrp-ledger` generates it from `daemon/ledger/requirements.txt` and from the comments in the code that begin
with `RFC`; `cargo test` compares it. A requirement counts as implemented when both code and a test cite it.

The requirements are in the project's words. Requirements that the RFCs state without a keyword, such as the steps of the state machine, count
as MUST. RFC 9568 calls the master Active and its timer Active_Down_Timer. Code is named by file and function, a test by its function.

- **implemented**: by the named code, and verified by the named test.
- **deviates**: the code deliberately differs; the reason is given.
- **kernel**: Linux meets the requirement without the daemon.
- **operator**: left to the configuration and the network.
- **not built**: about a feature that does not exist yet.
- **does not apply**: about a feature that is not planned.
";

/// Kinds of standing, in the order of the columns.
const COLUMNS: [&str; 6] = [
    "implemented",
    "deviates",
    "kernel",
    "operator",
    "not built",
    "does not apply",
];

/// Renders the page as Markdown.
pub fn page(ledger: &Ledger) -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str(&summary(ledger));
    for (rfc, name, remark) in RFCS {
        page.push_str(&format!("\n## RFC {rfc}, {name}\n\n{remark}\n"));
        for title in ledger.titles.iter().filter(|title| title.rfc == rfc) {
            page.push_str(&format!("\n### {} {}\n\n", title.section, title.text));
            page.push_str("| | requirement | code | test |\n| --- | --- | --- | --- |\n");
            let rows = ledger.rows.iter().filter(|row| {
                let citation = &row.requirement.citation;
                citation.rfc == rfc && citation.section == title.section
            });
            rows.for_each(|row| page.push_str(&line(row)));
        }
    }
    page
}

/// Renders the table of the number of requirements by RFC, level and standing.
fn summary(ledger: &Ledger) -> String {
    let mut counts: BTreeMap<(u16, &str, &str), usize> = BTreeMap::new();
    for row in &ledger.rows {
        let citation = &row.requirement.citation;
        let key = (
            citation.rfc,
            strength(citation.level),
            column(&row.standing),
        );
        *counts.entry(key).or_default() += 1;
    }
    let mut summary = format!(
        "\n| | {} | all |\n| --- |{}\n",
        COLUMNS.join(" | "),
        " ---: |".repeat(COLUMNS.len() + 1)
    );
    let cell = |rfc: Option<u16>, level: Option<&str>, column: Option<&str>| -> usize {
        counts
            .iter()
            .filter(|((r, l, c), _)| {
                rfc.is_none_or(|rfc| rfc == *r)
                    && level.is_none_or(|level| level == *l)
                    && column.is_none_or(|column| column == *c)
            })
            .map(|(_, count)| count)
            .sum()
    };
    let mut write_row = |name: &str, rfc, level| {
        let cells: Vec<String> = COLUMNS
            .into_iter()
            .map(Some)
            .chain([None])
            .map(|column| match cell(rfc, level, column) {
                0 => String::new(),
                count => count.to_string(),
            })
            .collect();
        summary.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    };
    for (rfc, ..) in RFCS {
        for level in ["MUST", "SHOULD", "MAY"] {
            if cell(Some(rfc), Some(level), None) > 0 {
                write_row(&format!("RFC {rfc} {level}"), Some(rfc), Some(level));
            }
        }
    }
    write_row("all", None, None);
    summary
}

/// Level in the summary, which counts MUST and MUST NOT together.
const fn strength(level: Level) -> &'static str {
    match level {
        Level::Must | Level::MustNot => "MUST",
        Level::Should | Level::ShouldNot => "SHOULD",
        Level::May => "MAY",
    }
}

fn column(standing: &Standing) -> &'static str {
    standing.reason().map_or(COLUMNS[0], |(name, _)| name)
}

fn line(row: &Row) -> String {
    let citation = &row.requirement.citation;
    let mut words = citation.words.clone();
    if let Some(erratum) = citation.erratum {
        let _ = write!(words, " (erratum {erratum})");
    }
    if let Some(note) = &row.requirement.note {
        let _ = write!(words, "<br>*{note}*");
    }
    if let Standing::SameAs(other) = &row.requirement.standing {
        let _ = write!(words, "<br>as RFC {} {}", other.rfc, other.section);
    }
    let mut code = Vec::new();
    if let Some((name, reason)) = row.standing.reason() {
        code.push(format!("**{name}**: {reason}"));
    }
    code.extend(row.code.iter().map(|place| {
        let name = format!("{}: {}", file_name(&place.file), place.item);
        link(&name, place)
    }));
    let tests: Vec<_> = row
        .tests
        .iter()
        .map(|place| link(&place.item, place))
        .collect();
    format!(
        "| {} | {words} | {} | {} |\n",
        citation.level,
        code.join("<br>"),
        tests.join("<br>")
    )
}

fn link(name: &str, place: &Place) -> String {
    format!("[{name}](../{})", place.file)
}

/// Name of a file; for `mod.rs` with its directory.
fn file_name(path: &str) -> &str {
    let directory = path.strip_suffix("/mod.rs").unwrap_or(path);
    let start = directory.rfind('/').map_or(0, |at| at + 1);
    &path[start..]
}

#[cfg(test)]
mod tests;
