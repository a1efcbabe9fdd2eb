//! The matrix as a page, docs/interoperation.md. It says what the cells assert, and no more.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use vrrp_lab::harness::Outcome;

use crate::cell::{Cell, Deviation, Peer, cells};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interoperation.md");

const HEAD: &str = "\
# Interoperation

This daemon beside others, on two hosts of the lab, in every way in which they may meet. Written by
`UPDATE_MATRIX=1 cargo test -p vrrp-lab --test matrix` from the table that the tests of that program are made of: each cell is
a test (`daemon/lab/tests/matrix/`), and each holds what this page says of it.

The story of a cell, told with intervals of 200 ms in version 3 and of a second in version 2. One of the two leads: it has the greater
priority and the greater address. Whenever they have come to rest, one advertises and one holds the virtual addresses, the same one, and a third
host, which has known all the time where they were, reaches them there, at the Ethernet address that it should.

1. Both start, and who leads is master.
2. Who follows hears nothing for a while, becomes master too and advertises its lower priority. Who leads answers each of these
   advertisements at once (version 3, RFC 9568) or not at all (version 2, RFC 3768), and is alone as soon as the other hears again.
3. Who leads loses its power. The other takes over after three intervals and the skew.
4. It comes back, and is master again.
5. It stops in order, says so by priority 0, and the other takes over after the skew.
6. It starts once more, apart from the other and with the other's priority. When they hear each other again, the greater address wins.

Neither has a complaint about what it hears: not a packet that is dropped, another list of addresses, another interval or the other form of
checksum. tshark has none about any frame that our host sent, neighbour advertisements and ARP included.

Hosts of peers with a virtual MAC have `arp_ignore=1` and `arp_announce=2` on their card, as their operators should: else Linux tells everybody
the card's own Ethernet address. On our host nothing is set.

By unicast over IPv6 our side has `minTtl` 64: with the default of 255 it does not hear keepalived, which seems to leave the hop limit to its host.

";

const FOOT: &str = "
The peers are those of Debian 12. These have no setting for the checksum (`v3_checksum_as_v2`, `checksum-with-ipv4-pseudoheader`), so
`.ci/run` says there that the cells of the checksum of the message alone are not run; they were run with the releases of Debian 13,
as were all others but those by unicast, with the same outcome.
";

pub(crate) const NAME: &str = "docs/interoperation.md is what the cells say";

/// Compares the page with the cells, or writes it.
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
        "{} is not what the cells say: {remedy}",
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
    // The two leaders of a way to meet stand side by side.
    for pair in cells().chunks(2) {
        let cell = &pair[0];
        let mut columns = vec![
            format!("{} {}", cell.peer.name(), release(cell)),
            cell.dialect.name().to_owned(),
            cell.family.name().to_owned(),
            cell.cast.name().to_owned(),
            macs(cell).to_owned(),
        ];
        columns.extend(pair.iter().map(|cell| verdict(cell, &mut notes)));
        row(&mut page, &columns);
    }
    page.push_str("\nWhat is otherwise, which the cells assert as it is:\n\n");
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(page, "{}. {note}", number + 1);
    }
    page.push_str(FOOT);
    page
}

/// The release of the peer with which a cell was played.
fn release(cell: &Cell) -> &'static str {
    match (cell.peer, cell.missing_in_debian_12()) {
        (Peer::Keepalived, None) => "2.2.7",
        (Peer::Frr, None) => "8.4.4",
        (Peer::Keepalived, Some(_)) => "2.3.3 (Debian 13)",
        (Peer::Frr, Some(_)) => "10.3 (Debian 13)",
    }
}

fn macs(cell: &Cell) -> &'static str {
    match (cell.our_mac, cell.their_mac) {
        (false, false) => "neither",
        (true, false) => "ours",
        (false, true) => "the peer's",
        (true, true) => "both",
    }
}

/// What a cell says of itself.
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
            "{peer} answers an advertisement of lower priority also in version 2 (RFC 3768 6.4.3: it is discarded)."
        ),
        Deviation::IgnoresLowerPriority => format!(
            "{peer} does not answer an advertisement of lower priority (RFC 9568 6.4.3: it is answered at once; RFC 5798: it is discarded)."
        ),
        Deviation::AnnouncesOnce => format!(
            "{peer} does not announce its addresses again when another master, whom it has heard, yields. A client that was told of that one \
             finds nobody there until it asks anew or is asked, Linux after some eight seconds. With the virtual MAC on both sides there is nothing to be told."
        ),
        Deviation::BeginsWithTheOtherChecksum => "Ours begins with a checksum that covers the pseudo-header too, as most in the field do, and \
             speaks the other form once it has heard it (RFC 9568 5.2.8: the message alone). keepalived takes both; FRR drops the first few, \
             and is master for as long as it takes ours to hear it."
            .to_owned(),
    }
}

fn row(page: &mut String, columns: &[String]) {
    let _ = writeln!(page, "| {} |", columns.join(" | "));
}
