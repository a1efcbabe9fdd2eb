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

use vrrp_lab::daemons::{PeerProgram, find_in_path};
use vrrp_lab::harness::MadeTest;

use crate::cell::{Cell, Peer};

/// Number of cells that run in parallel, because a cell spends most of its time waiting.
const SIDE_BY_SIDE: usize = 8;

fn main() -> ExitCode {
    let (keepalived, frr) = (PeerProgram::keepalived(), PeerProgram::frr());
    let mut missing = Vec::new();
    if keepalived.is_none() {
        missing.push("keepalived (apt-get install keepalived)");
    }
    if frr.is_none() {
        missing.push("FRR (apt-get install frr)");
    }
    if find_in_path("tshark").is_none() {
        missing.push("tshark (apt-get install tshark)");
    }
    let mut cells = cell::cells();
    // The slowest cells start first.
    cells.sort_by_key(|cell| Reverse(cell.dialect.interval()));
    let story = |cell: Cell| {
        let program = match cell.peer {
            Peer::Keepalived => &keepalived,
            Peer::Frr => &frr,
        };
        MadeTest {
            name: cell.to_string(),
            test: Box::new(move || story::tell(&cell)),
            lacking: program.as_ref().and_then(|program| cell.lacking(program)),
        }
    };
    let page = MadeTest::new(&(page::NAME, page::is_current), None);
    let tests = cells.into_iter().map(story).chain([page]).collect();
    common::main_of(tests, &missing, Some(SIDE_BY_SIDE))
}
