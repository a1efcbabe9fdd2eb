//! Interoperation of vrrpd with other daemons in every supported combination: the same steps for each cell
//! of a table, which is docs/interoperation.md.

mod cell;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod configuration;
mod fixture;
mod frames;
mod page;
mod story;

use std::cmp::Reverse;
use std::process::ExitCode;

use vrrp_lab::daemons::{find_in_path, frr_program, keepalived_program};
use vrrp_lab::harness::MadeTest;

use crate::cell::Cell;

/// Number of cells that run in parallel, because a cell spends most of its time waiting.
const SIDE_BY_SIDE: usize = 8;

fn main() -> ExitCode {
    let mut missing = Vec::new();
    if keepalived_program().is_none() {
        missing.push("keepalived (apt-get install keepalived)");
    }
    if frr_program().is_none() {
        missing.push("FRR (apt-get install frr)");
    }
    if find_in_path("tshark").is_none() {
        missing.push("tshark (apt-get install tshark)");
    }
    let (mut played, not_played): (Vec<_>, Vec<_>) =
        cell::cells().into_iter().partition(Cell::can_be_played);
    // The slowest cells start first.
    played.sort_by_key(|cell| Reverse(cell.dialect.interval()));
    if missing.is_empty() {
        for cell in &not_played {
            let word = cell.missing_in_debian_12().unwrap_or_default();
            common::say(&format!("{cell}: NOT RUN: the peer has no {word}"));
        }
    }
    let story =
        |cell: Cell| -> MadeTest { (cell.to_string(), Box::new(move || story::tell(&cell))) };
    let page: MadeTest = (page::NAME.to_owned(), Box::new(page::is_current));
    let tests = played.into_iter().map(story).chain([page]).collect();
    common::main_of(tests, &missing, SIDE_BY_SIDE)
}
