//! The result as text for a terminal.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::analysis::{Analysis, Finding, Reign, Router, VirtualRouter};
use super::file::FileFacts;
use super::stamp::{Stamp, span};
use super::words;

/// Width to which sentences are wrapped.
const WIDTH: usize = 118;

pub(crate) fn render(path: &Path, facts: &FileFacts, analysis: &Analysis) -> String {
    let mut out = format!("{}: {}\n", path.display(), summary(facts, analysis));
    if let Some(broken) = &facts.broken {
        let _ = writeln!(
            out,
            "The file is damaged: {broken}. What was read before is analysed."
        );
    }
    if analysis.virtual_routers.is_empty() {
        out.push_str("No advertisement of VRRP was found.\n");
    }
    for router in &analysis.virtual_routers {
        render_router(&mut out, router, analysis.begin);
    }
    render_findings(&mut out, "Other packets", &analysis.others, analysis.begin);
    out
}

/// One line about the file: format, times, and numbers.
pub(crate) fn summary(facts: &FileFacts, analysis: &Analysis) -> String {
    let Some((first, last)) = facts.times else {
        return format!("{}, without packets", facts.format);
    };
    let routers = analysis.virtual_routers.iter();
    let adverts: u64 = routers
        .flat_map(|router| &router.routers)
        .map(|router| router.adverts)
        .sum();
    let count = analysis.virtual_routers.len();
    format!(
        "{}, {first} to {last:#} UTC ({}), {} packets; {adverts} advertisements of {count} virtual router{}",
        facts.format,
        span(last.since(first)),
        facts.packets,
        if count == 1 { "" } else { "s" }
    )
}

fn render_router(out: &mut String, router: &VirtualRouter, begin: Stamp) {
    let _ = writeln!(
        out,
        "\n{}: {}\n\n  Routers",
        words::name(&router.key),
        words::list(&router.addresses, " ")
    );
    for one in &router.routers {
        sentence(out, "    ", &describe(one));
    }
    out.push_str("\n  What happened\n");
    for reign in &router.reigns {
        let text = words::beginning(reign);
        sentence(out, &stamp(Some(reign.first()), begin), &text);
    }
    let (wrong, notes): (Vec<_>, Vec<_>) = router
        .findings
        .iter()
        .cloned()
        .partition(|finding| finding.what.is_problem());
    if wrong.is_empty() {
        out.push_str("\n  Nothing was wrong.\n");
    }
    render_findings(out, "  What was wrong", &wrong, begin);
    render_findings(out, "  Good to know", &notes, begin);
    if !router.reigns.is_empty() {
        out.push_str("\n  Masters\n");
        render_table(out, &masters(router));
    }
}

fn render_findings(out: &mut String, title: &str, findings: &[Finding], begin: Stamp) {
    if findings.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for finding in findings {
        sentence(
            out,
            &stamp(finding.at, begin),
            &words::finding(&finding.what),
        );
    }
}

/// A router in one line.
pub(crate) fn describe(router: &Router) -> String {
    let intervals = router
        .intervals
        .iter()
        .map(|interval| span(interval.duration()));
    let gap = router.gap.map_or_else(String::new, |gap| {
        format!(", largest gap {}", span(gap.length))
    });
    let macs = words::list(&router.macs, " and ");
    format!(
        "{}{}, priority {}, version {}, interval {}, {}{}: {} advertisement{}{gap}",
        router.address,
        if macs.is_empty() {
            macs
        } else {
            format!(" ({macs})")
        },
        words::list(&router.priorities, " and "),
        words::list(&router.versions, " and "),
        words::list(intervals, " and "),
        words::list(&router.auths, " and "),
        if router.is_unicast { ", unicast" } else { "" },
        router.adverts,
        if router.adverts == 1 { "" } else { "s" }
    )
}

/// Table of the reigns; the first row has the names of the columns.
pub(crate) fn masters(router: &VirtualRouter) -> Vec<[String; 7]> {
    let header = [
        "from (UTC)",
        "to",
        "for",
        "master",
        "priority",
        "advertisements",
        "end",
    ];
    let row = |reign: &Reign| {
        [
            reign.first().to_string(),
            format!("{:#}", reign.to()),
            span(reign.to().since(reign.first())),
            reign.router.to_string(),
            reign.priority.to_string(),
            reign.adverts.len().to_string(),
            words::ending(reign),
        ]
    };
    std::iter::once(header.map(str::to_owned))
        .chain(router.reigns.iter().map(row))
        .collect()
}

fn render_table(out: &mut String, rows: &[[String; 7]]) {
    let widths: [usize; 7] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    });
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(out, "    {}", cells.join("  ").trim_end());
    }
}

/// Time of day and time since the beginning, as the margin of a sentence.
fn stamp(at: Option<Stamp>, begin: Stamp) -> String {
    match at {
        Some(at) => format!("    {at:#}  {}  ", relative(at.since(begin))),
        None => format!("    {:<12}  {:11}  ", "throughout", ""),
    }
}

/// Time since the beginning, with milliseconds.
pub(crate) fn relative(since: Duration) -> String {
    format!("{:>11}", format!("+{:.3} s", since.as_secs_f64()))
}

/// Writes a sentence behind a margin, and its further lines below its beginning.
fn sentence(out: &mut String, margin: &str, text: &str) {
    let indent = margin.chars().count();
    let mut line = margin.to_owned();
    let mut is_first = true;
    for word in text.split(' ') {
        if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(indent + if indent == 4 { 2 } else { 0 });
            line.push_str(word);
        } else {
            if !is_first {
                line.push(' ');
            }
            line.push_str(word);
        }
        is_first = false;
    }
    let _ = writeln!(out, "{line}");
}
