//! Tests of the graph's contents.

use super::*;

const TABLE: &str = "---
source: table.rs
expression: table
---
version 3
  init   + start       -> backup; take-over in 3.609 s; (started, listening first)
  init   + tick due    -> init
  backup + start       -> backup
  backup + tick due    -> master; advertises; advertisement in 1.000 s; (no advertisement)
  master + start       -> master
  master + tick due    -> master; advertises; advertisement in 1.000 s
  fault  + start       -> fault
  fault  + tick due    -> fault
owner
  init   + start       -> master; advertises; advertisement in 1.000 s; (owner)
  backup + tick due    -> master; advertises; advertisement in 3.000 s; (no advertisement)
";

/// Returns the texts in the graph of `table`.
fn texts(table: &str) -> Vec<String> {
    let svg = draw(&parse(table).unwrap()).unwrap();
    svg.lines()
        .filter(|line| line.starts_with("<text"))
        .filter_map(|line| {
            let (_, text) = line.split_once('>')?;
            Some(text.strip_suffix("</text>")?.to_owned())
        })
        .collect()
}

#[test]
fn line_of_table_is_parsed() {
    let transitions = parse(TABLE).unwrap();
    assert_eq!(transitions.len(), 10);
    assert_eq!(
        transitions[3],
        Transition {
            flavour: "version 3".to_owned(),
            from: "backup".to_owned(),
            event: "tick due".to_owned(),
            to: "master".to_owned(),
            acts: vec![
                "advertises".to_owned(),
                "advertisement in 1.000 s".to_owned()
            ],
        }
    );
    assert_eq!(transitions[8].flavour, "owner");
    assert_eq!(
        parse("---\nx\n---\nversion 3\n  nonsense"),
        Err("not a transition: nonsense".to_owned())
    );
    assert_eq!(parse("nonsense"), Err("not a snapshot".to_owned()));
}

#[test]
fn missing_pair_of_state_and_event_is_found() {
    assert_eq!(missing(&parse(TABLE).unwrap()), []);
    let without = TABLE.replace("  master + start       -> master\n", "");
    assert_eq!(
        missing(&parse(&without).unwrap()),
        [("master".to_owned(), "start".to_owned())]
    );
}

#[test]
fn transitions_without_effect_are_not_drawn() {
    let texts = texts(TABLE);
    let count = |wanted: &str| texts.iter().filter(|text| *text == wanted).count();
    assert_eq!(count("start"), 1, "to backup");
    assert_eq!(count("start [owner]"), 1, "to master");
    assert_eq!(count("tick due"), 2, "of the backup and within the master");
    assert_eq!(count("tick due [owner]"), 0, "differs in timers only");
    assert_eq!(count("→ advertises"), 2, "on the way to master");
    assert_eq!(count("→ advertises, advertisement in 1.000 s"), 1);
}

#[test]
fn drawing_fails_for_unknown_state_or_full_card() {
    let draw = |table: &str| draw(&parse(table).unwrap());
    let strange = TABLE.replace(
        "  init   + start       -> backup",
        "  init   + start -> asleep",
    );
    assert_eq!(
        draw(&strange),
        Err("unknown state in init -> asleep".to_owned())
    );
    let mut long = TABLE.to_owned();
    for number in 0..30 {
        long.push_str(&format!(
            "  master + event {number} -> master; deed {number}\n"
        ));
    }
    assert_eq!(
        draw(&long),
        Err("too many lines for the card of master".to_owned())
    );
}

#[test]
fn drawing_is_reproducible_and_escapes_text() {
    let odd = TABLE.replace("tick due ", "tick < & due ");
    let draw = || draw(&parse(&odd).unwrap()).unwrap();
    assert_eq!(draw(), draw());
    assert!(draw().contains("tick &lt; &amp; due"));
}
