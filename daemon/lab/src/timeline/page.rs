//! Self-contained HTML pages: no script, no other file, readable in light and dark mode. They are well-formed XML.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Colours are those of a palette that people with red-green blindness can tell apart; the bars have texts, too.
const STYLE: &str = "
:root { color-scheme: light dark; --ground: #ffffff; --text: #1b1f24; --dim: #59636e; --line: #d1d9e0;
  --master: #1f6fc4; --backup: #c6d3e1; --on-backup: #1b1f24; --fault: #a04a00; --off: #eceff2; --good: #1a7f5a; --bad: #c4320a;
  --mark: #000000; --bound: #8250df; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --text: #e6edf3; --dim: #9198a1; --line: #3d444d;
  --master: #2f81d8; --backup: #3a4a5c; --on-backup: #e6edf3; --fault: #b35a0b; --off: #1c232b; --good: #23815f; --bad: #d1401a;
  --mark: #ffffff; --bound: #b994f7; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1140px; padding: 0 1rem; background: var(--ground);
  color: var(--text); }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h3 { font-size: 1rem; margin-bottom: .3rem; }
table { border-collapse: collapse; margin: .5rem 0; } th, td { text-align: left; vertical-align: top; padding: .2rem .9rem .2rem 0;
  border-bottom: 1px solid var(--line); } td.number, th.number { text-align: right; white-space: nowrap; }
.scroll { overflow-x: auto; } .time { font-variant-numeric: tabular-nums; white-space: nowrap; color: var(--dim); }
.verdict { font-weight: 600; } .ok { color: var(--good); } .failed { color: var(--bad); } .dim { color: var(--dim); }
li { margin: .2rem 0; }
svg.timeline { display: block; width: 100%; min-width: 700px; font: 12px system-ui, sans-serif; }
svg text { fill: var(--text); } svg text.axis, svg text.moment { fill: var(--dim); } svg text.bound { fill: var(--bound); }
svg line.grid, svg line.lane { stroke: var(--line); } svg line.moment { stroke: var(--dim); stroke-dasharray: 3 3; }
svg rect.master { fill: var(--master); } svg rect.backup { fill: var(--backup); } svg rect.fault { fill: var(--fault); }
svg rect.off { fill: var(--off); stroke: var(--line); } svg rect.good { fill: var(--good); } svg rect.bad { fill: var(--bad); }
svg text.bar { fill: #ffffff; } svg rect.backup + text, svg rect.off + text { fill: var(--on-backup); }
svg rect.bound { fill: var(--bound); opacity: .09; } svg path.bound { stroke: var(--bound); fill: none; stroke-width: 1.5; }
svg line.advert { stroke: var(--mark); stroke-width: 1.4; } svg path.final { fill: var(--bad); stroke: var(--ground); }
svg circle.announcement { fill: var(--ground); stroke: var(--mark); stroke-width: 1.4; }
svg path.claim { stroke: var(--bad); stroke-width: 2.2; fill: none; }
.legend span { white-space: nowrap; } .legend svg { height: 1em; width: 1.3em; vertical-align: -.1em; margin: 0 .25em 0 .9em; }
";

/// Explanation of the marks of the drawings.
const LEGEND: &[(&str, &str)] = &[
    (
        "<rect class=\"master\" x=\"0\" y=\"2\" width=\"26\" height=\"16\" rx=\"3\"/>",
        "master",
    ),
    (
        "<rect class=\"backup\" x=\"0\" y=\"2\" width=\"26\" height=\"16\" rx=\"3\"/>",
        "backup",
    ),
    (
        "<rect class=\"good\" x=\"0\" y=\"2\" width=\"26\" height=\"16\" rx=\"3\"/>",
        "address held, client served",
    ),
    (
        "<rect class=\"bad\" x=\"0\" y=\"2\" width=\"26\" height=\"16\" rx=\"3\"/>",
        "no answer, no master, or two",
    ),
    (
        "<line class=\"advert\" x1=\"13\" x2=\"13\" y1=\"3\" y2=\"17\"/>",
        "advertisement",
    ),
    (
        "<path class=\"final\" d=\"M13 16l5 -9h-10z\"/>",
        "priority 0",
    ),
    (
        "<circle class=\"announcement\" cx=\"13\" cy=\"10\" r=\"4\"/>",
        "announcement (gratuitous ARP, unsolicited NA)",
    ),
    (
        "<path class=\"claim\" d=\"M9 6l8 8m0 -8l-8 8\"/>",
        "claim by a host that is not master",
    ),
    (
        "<path class=\"bound\" d=\"M2 6v8m0 -4H24m0 -4v8\"/>",
        "time that the protocol grants",
    ),
];

/// Writes a page with a body of HTML elements.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(path: &Path, title: &str, body: &str) -> io::Result<()> {
    let title = escape(title);
    let mut file = File::create(path)?;
    write!(
        file,
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )?;
    file.flush()
}

/// The explanation of the marks, as a paragraph.
pub(crate) fn legend() -> String {
    let items = LEGEND.iter().map(|(shape, text)| {
        format!(
            "<span><svg class=\"timeline-mark\" viewBox=\"0 0 26 20\" aria-hidden=\"true\" xmlns=\"http://www.w3.org/2000/svg\">{shape}</svg>{text}</span>"
        )
    });
    let items: Vec<_> = items.collect();
    format!("<p class=\"legend dim\">{}</p>\n", items.join("\n"))
}

/// A table of texts. Columns whose header begins with `#` are aligned to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let class = |column: usize| {
        let is_number = header.get(column).is_some_and(|name| name.starts_with('#'));
        if is_number { " class=\"number\"" } else { "" }
    };
    let cells = |tag: &str, row: &mut dyn Iterator<Item = String>| {
        let cells: Vec<_> = row
            .enumerate()
            .map(|(column, cell)| format!("<{tag}{}>{}</{tag}>", class(column), escape(&cell)))
            .collect();
        format!("<tr>{}</tr>\n", cells.concat())
    };
    let head = cells(
        "th",
        &mut header
            .iter()
            .map(|name| name.trim_start_matches('#').to_owned()),
    );
    let rows: Vec<_> = rows
        .iter()
        .map(|row| cells("td", &mut row.iter().cloned()))
        .collect();
    format!(
        "<div class=\"scroll\"><table>\n{head}{}</table></div>\n",
        rows.concat()
    )
}

/// Replaces the characters that have a meaning in HTML, and control characters, which XML forbids.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            other if other.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&other) => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_well_formed_and_contains_its_body() {
        let path = std::env::temp_dir().join(format!("vrrp-page-{}.html", std::process::id()));
        let body = [
            legend(),
            table(
                &["name", "#count"],
                &[vec!["<a> & b\u{1b}".to_owned(), "1".to_owned()]],
            ),
        ];
        write(&path, "a < b", &body.concat()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let options = roxmltree::ParsingOptions {
            allow_dtd: true,
            ..roxmltree::ParsingOptions::default()
        };
        let document = roxmltree::Document::parse_with_options(&text, options).unwrap();
        let cells: Vec<_> = document
            .descendants()
            .filter(|node| node.tag_name().name() == "td")
            .map(|node| node.text().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(cells, ["<a> & b\u{fffd}", "1"]);
    }
}
