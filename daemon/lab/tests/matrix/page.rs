//! Generator of docs/interoperation.md. The page contains only what the cells assert.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use vrrp_lab::harness::Outcome;

use crate::cell::{Cell, Deviation, Peer, cells};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interoperation.md");

const HEAD: &str = "\
# Interoperation

This page shows how `vrrpd` interoperates with other daemons, on two hosts of the lab, in every combination that both support.
`UPDATE_MATRIX=1 cargo test -p vrrp-lab --test matrix` writes the page from the table of the tests: each cell is
a test (`daemon/lab/tests/matrix/`) and asserts what this page says.

Each test runs the steps below, with intervals of 200 ms in version 3 and of one second in version 2. One host is the leader: it has the higher
priority and the greater address. The other host is the follower. In every stable phase exactly one host advertises, and the same host alone
holds the virtual addresses. A third host, the client, has neighbour entries for the addresses from the beginning; it reaches them on that host, at the
expected Ethernet address.

1. Both start, and the leader becomes master.
2. The follower is cut off from the leader's advertisements, becomes master too and advertises its lower priority. The leader answers each of these
   advertisements at once (version 3, RFC 9568) or not (version 2, RFC 3768), and is the only master as soon as the follower receives it again.
3. The leader loses its power. The follower takes over after three intervals and the skew time.
4. The leader comes back and becomes master again.
5. The leader stops in order and sends priority 0. The follower takes over after the skew time. vrrpd as the leader serves a client that asks every
   millisecond until then (measured in IPv4).
6. The leader starts once more, separated from the follower and with the follower's priority. When they receive each other again, the greater address wins.

Neither daemon reports a problem with the other's packets: no dropped packet, no other list of addresses, no other interval and no other form of
checksum. tshark reports none for any frame from the vrrpd host, neighbour advertisements and ARP included.

Hosts of peers with a virtual MAC have `arp_ignore=1` and `arp_announce=2` on their interface, as their operators should set: otherwise Linux
answers with the interface's own Ethernet address. On the vrrpd host nothing is set.

With unicast over IPv6 vrrpd has `minTtl` 64: with the default of 255 it drops keepalived's packets, which seem to carry the default hop limit of the host.

";

const FOOT: &str = "
`.ci/run` plays all cells with the peers of Debian's testing suite, which `.ci/peers` unpacks into a root of its own. `cargo test` alone takes
the peers that are installed, or those that the environment names (`LAB_PEERS=$(.ci/peers)`, `KEEPALIVED=PROGRAM`). A peer without a setting
for the checksum (`v3_checksum_as_v2` since keepalived 2.2.8, `checksum-with-ipv4-pseudoheader` in FRR, not in 8.4.4 of Debian 12) cannot play
the cells with the checksum of the message alone: these are ignored, and the end of `.ci/run` lists them.

All cells were played in November 2026 with keepalived 2.3.4 and 2.4.3 (with all changes until August 2026) and with FRR 10.7.1, and without
the checksum of the message alone with keepalived 2.2.7 and FRR 8.4.4: with the same result.
";

pub(crate) const NAME: &str = "docs/interoperation.md matches the cells";

/// Compares the page with the cells, or writes it if UPDATE_MATRIX is set.
pub(crate) fn is_current() -> Outcome {
    let page = render();
    if env::var_os("UPDATE_MATRIX").is_some() {
        fs::write(PAGE, page).map_err(|error| format!("writing {PAGE}: {error}"))?;
        return Ok(());
    }
    let kept = fs::read_to_string(PAGE).map_err(|error| format!("reading {PAGE}: {error}"))?;
    let remedy = "UPDATE_MATRIX=1 cargo test -p vrrp-lab --test matrix";
    assert!(
        kept == page,
        "{} does not match the cells; update it with: {remedy}",
        Path::new(PAGE).display()
    );
    Ok(())
}

fn render() -> String {
    let mut page = HEAD.to_owned();
    let mut notes: Vec<String> = Vec::new();
    let head = [
        "peer",
        "version",
        "family",
        "sent by",
        "virtual MAC",
        "ours leads",
        "the peer leads",
    ];
    row(&mut page, &head.map(str::to_owned));
    row(&mut page, &["---"; 7].map(str::to_owned));
    // The two cells that differ only in the leader share a row.
    for pair in cells().chunks(2) {
        let cell = &pair[0];
        let mut columns = vec![
            cell.peer.name().to_owned(),
            cell.dialect.name().to_owned(),
            cell.family.name().to_owned(),
            cell.cast.name().to_owned(),
            macs(cell).to_owned(),
        ];
        columns.extend(pair.iter().map(|cell| verdict(cell, &mut notes)));
        row(&mut page, &columns);
    }
    page.push_str("\nDeviations, which the cells assert:\n\n");
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(page, "{}. {note}", number + 1);
    }
    page.push_str(FOOT);
    page
}

fn macs(cell: &Cell) -> &'static str {
    match (cell.our_mac, cell.their_mac) {
        (false, false) => "neither",
        (true, false) => "ours",
        (false, true) => "the peer's",
        (true, true) => "both",
    }
}

/// Returns the text of a cell, and adds its deviations to `notes`.
fn verdict(cell: &Cell, notes: &mut Vec<String>) -> String {
    let numbers: Vec<String> = cell
        .deviations()
        .into_iter()
        .map(|deviation| {
            let note = note(cell.peer, deviation);
            let known = notes.iter().position(|known| *known == note);
            let number = known.unwrap_or_else(|| {
                notes.push(note);
                notes.len() - 1
            });
            (number + 1).to_string()
        })
        .collect();
    if numbers.is_empty() {
        "as expected".to_owned()
    } else {
        format!("as expected but for {}", numbers.join(" and "))
    }
}

fn note(peer: Peer, deviation: Deviation) -> String {
    let peer = peer.name();
    match deviation {
        Deviation::AnswersLowerPriority => format!(
            "{peer} answers an advertisement of lower priority in version 2, too (RFC 3768 6.4.3: discard it)."
        ),
        Deviation::IgnoresLowerPriority => format!(
            "{peer} does not answer an advertisement of lower priority (RFC 9568 6.4.3: answer it at once; RFC 5798: discard it)."
        ),
        Deviation::AnnouncesOnce => format!(
            "{peer} does not announce its addresses again when another master that it received yields. A client with a neighbour entry for that other \
             master gets no answer until the entry is updated, in Linux after about eight seconds. With the virtual MAC on both sides no entry changes."
        ),
        Deviation::BeginsWithTheOtherChecksum => "vrrpd begins with a checksum that covers the pseudo-header, as most routers in use do, and \
             changes to the other form when it receives one (RFC 9568 5.2.8: the message alone). keepalived accepts both; FRR drops the first \
             advertisements and is master until vrrpd receives one of FRR's."
            .to_owned(),
    }
}

fn row(page: &mut String, columns: &[String]) {
    let _ = writeln!(page, "| {} |", columns.join(" | "));
}
