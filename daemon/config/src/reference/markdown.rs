//! docs/configuration.md: the reference as a page of Markdown.

use std::fmt::Write as _;

use super::{INTRODUCTION, Key, Section, TOP, duration, reference};

/// `UPDATE_REFERENCE=1 cargo test -p vrrp-config` regenerates the file.
#[test]
fn committed_page_matches_types() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let current = page();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(file, &current).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        committed == current,
        "docs/configuration.md is stale: UPDATE_REFERENCE=1 cargo test -p vrrp-config"
    );
}

fn page() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Generated from the types of the daemon by `UPDATE_REFERENCE=1 cargo test -p vrrp-config`; do not edit. \
         `man 5 vrrpd.json` is the same reference. The names of the keys are the same in \
         [NixOS](options.md), and [keepalived's keywords](keepalived.md) are converted to them.\n",
    );
    for paragraph in INTRODUCTION {
        let _ = write!(page, "\n{paragraph}\n");
    }
    let _ = write!(page, "\n{}\n", duration());
    let sections = reference();
    page.push('\n');
    for section in &sections {
        let _ = writeln!(page, "- {}", link(&section.places[0]));
    }
    for section in &sections {
        describe(&mut page, section);
    }
    page
}

fn describe(page: &mut String, section: &Section) {
    let (title, others) = section.places.split_first().expect("a section has a place");
    let _ = write!(page, "\n## {}\n", heading(title));
    if !others.is_empty() {
        let others: Vec<_> = others.iter().map(|place| heading(place)).collect();
        let _ = write!(page, "\nAlso {}.\n", others.join(", "));
    }
    for paragraph in &section.description {
        let _ = write!(page, "\n{paragraph}\n");
    }
    page.push('\n');
    for key in &section.keys {
        describe_key(page, key);
    }
    page.push_str("\nExample:\n\n");
    for line in section.example.trim_start().lines() {
        let _ = writeln!(page, "    {line}");
    }
}

fn describe_key(page: &mut String, key: &Key) {
    let required = if key.required { ", required" } else { "" };
    let _ = write!(
        page,
        "- **`{}`** ({}{required}): {}",
        key.name, key.types, key.description
    );
    if let Some(section) = &key.section {
        let _ = write!(page, " See {}.", link(section));
    }
    page.push('\n');
    for (choice, meaning) in &key.choices {
        let _ = writeln!(page, "  - `{choice}`: {meaning}");
    }
}

fn heading(place: &str) -> String {
    if place == TOP {
        place.to_owned()
    } else {
        format!("`{place}`")
    }
}

/// Link to a section, by the name that GitHub gives to its heading.
fn link(place: &str) -> String {
    let anchor = place.to_lowercase().replace(' ', "-");
    let anchor = anchor.replace(['.', '*', '[', ']'], "");
    format!("[{}](#{anchor})", heading(place))
}
