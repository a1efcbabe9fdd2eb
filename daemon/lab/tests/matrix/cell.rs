//! The cells of the matrix: each is a way in which our daemon and another may meet, and what is
//! known of the other in it.

use std::fmt;
use std::time::Duration;

use vrrp_lab::daemons::{frr_program, keepalived_program};

use crate::common::has_word;
use crate::common::tshark::{self, Checksum};

/// The other daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Keepalived,
    Frr,
}

/// A version of the protocol, and what only one of them has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Version 2 without authentication.
    Two,
    /// Version 2 with a password.
    TwoWithPassword,
    /// Version 3. The peer's checksum covers the pseudo-header.
    Three,
    /// Version 3 over IPv4. The peer's checksum covers the message alone.
    ThreeMessageOnly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    Multicast,
    Unicast,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    Theirs,
}

/// One way to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) peer: Peer,
    pub(crate) dialect: Dialect,
    pub(crate) family: Family,
    pub(crate) cast: Cast,
    /// Whether our daemon has the virtual router's Ethernet address.
    pub(crate) our_mac: bool,
    /// Whether the other has it.
    pub(crate) their_mac: bool,
    /// Who has the greater priority and the greater address.
    pub(crate) leader: Who,
}

/// Where one of the two does otherwise than the RFC of its version says. The cell asserts that it
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deviation {
    /// RFC 3768 section 6.4.3 has it discarded.
    AnswersLowerPriority,
    /// RFC 9568 section 6.4.3 has it answered at once; RFC 5798 had it discarded.
    IgnoresLowerPriority,
    /// RFC 9568 section 5.2.8 has the message alone covered. Ours covers the pseudo-header too, as
    /// most in the field do, until it has heard one that does not.
    BeginsWithTheOtherChecksum,
    /// No RFC has who stays after there were two say once more where the addresses are.
    AnnouncesOnce,
}

impl Peer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::Frr => "FRR",
        }
    }
}

impl Dialect {
    pub(crate) const fn version(self) -> u8 {
        match self {
            Self::Two | Self::TwoWithPassword => 2,
            Self::Three | Self::ThreeMessageOnly => 3,
        }
    }

    /// Version 2 knows whole seconds only.
    pub(crate) const fn interval(self) -> Duration {
        match self.version() {
            2 => Duration::from_secs(1),
            _ => Duration::from_millis(200),
        }
    }

    /// Skew_Time of a priority.
    pub(crate) fn skew(self, priority: u8) -> Duration {
        // A second in version 2, the interval in version 3.
        self.interval() * (256 - u32::from(priority)) / 256
    }

    /// How long a backup of this priority waits.
    pub(crate) fn down_interval(self, priority: u8) -> Duration {
        self.interval() * 3 + self.skew(priority)
    }

    /// What tshark should see of us.
    pub(crate) fn expected(self) -> tshark::Expected {
        tshark::Expected {
            version: self.version(),
            checksums: match self {
                Self::Two | Self::TwoWithPassword | Self::Three => &[Checksum::WithPseudoHeader],
                // See `Deviation::BeginsWithTheOtherChecksum`.
                Self::ThreeMessageOnly => &[Checksum::MessageOnly, Checksum::WithPseudoHeader],
            },
        }
    }

    /// As the table calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Two => "2",
            Self::TwoWithPassword => "2, PASS",
            Self::Three => "3",
            Self::ThreeMessageOnly => "3, checksum of the message alone",
        }
    }
}

impl Family {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

impl Cast {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Multicast => "multicast",
            Self::Unicast => "unicast",
        }
    }
}

impl Who {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Ours => Self::Theirs,
            Self::Theirs => Self::Ours,
        }
    }
}

impl Cell {
    /// Whether `who`, being master, answers an advertisement of lower priority at once.
    pub(crate) fn answers_lower_priority(&self, who: Who) -> bool {
        let should = self.dialect.version() == 3;
        let otherwise = [
            Deviation::AnswersLowerPriority,
            Deviation::IgnoresLowerPriority,
        ];
        let deviates = otherwise.into_iter().any(|what| self.deviates(what));
        should != (who == Who::Theirs && deviates)
    }

    /// The word of the peer's configuration that this cell needs and that Debian 12's does not have.
    pub(crate) fn missing_in_debian_12(&self) -> Option<&'static str> {
        match (self.dialect, self.peer) {
            (Dialect::ThreeMessageOnly, Peer::Keepalived) => Some("v3_checksum_as_v2"),
            (Dialect::ThreeMessageOnly, Peer::Frr) => Some("checksum-with-ipv4-pseudoheader"),
            (Dialect::Two | Dialect::TwoWithPassword | Dialect::Three, _) => None,
        }
    }

    /// Whether the peer that is installed can play this cell.
    pub(crate) fn can_be_played(&self) -> bool {
        let program = match self.peer {
            Peer::Keepalived => keepalived_program(),
            Peer::Frr => frr_program(),
        };
        self.missing_in_debian_12()
            .is_none_or(|word| program.is_some_and(|program| has_word(&program, word)))
    }

    /// Whether this is otherwise in this cell.
    pub(crate) fn deviates(&self, what: Deviation) -> bool {
        self.deviations().contains(&what)
    }

    /// What is otherwise in this cell.
    pub(crate) fn deviations(&self) -> Vec<Deviation> {
        let version = self.dialect.version();
        let mut all = Vec::new();
        match (self.leader, self.peer) {
            (Who::Theirs, Peer::Keepalived) if version == 2 => {
                all.push(Deviation::AnswersLowerPriority);
            }
            (Who::Theirs, Peer::Frr) => {
                if version == 3 {
                    all.push(Deviation::IgnoresLowerPriority);
                }
                // With the same Ethernet address on both, clients are never misled.
                if !self.our_mac {
                    all.push(Deviation::AnnouncesOnce);
                }
            }
            (Who::Ours, _) if self.dialect == Dialect::ThreeMessageOnly => {
                all.push(Deviation::BeginsWithTheOtherChecksum);
            }
            (Who::Ours | Who::Theirs, _) => {}
        }
        all
    }
}

/// The name of the cell's test.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let macs = match (self.our_mac, self.their_mac) {
            (false, false) => "no virtual MAC",
            (true, false) => "our virtual MAC",
            (false, true) => "its virtual MAC",
            (true, true) => "both virtual MACs",
        };
        let leader = match self.leader {
            Who::Ours => "ours",
            Who::Theirs => self.peer.name(),
        };
        write!(
            f,
            "{}: version {}, {}, {}, {macs}: {leader} leads",
            self.peer.name(),
            self.dialect.name(),
            self.family.name(),
            self.cast.name(),
        )
    }
}

/// Every cell, in the order of the table.
pub(crate) fn cells() -> Vec<Cell> {
    use Cast::{Multicast, Unicast};
    use Dialect::{Three, ThreeMessageOnly, Two, TwoWithPassword};
    use Family::{V4, V6};
    use Peer::{Frr, Keepalived};
    /// Neither has the virtual Ethernet address, one of them, both.
    const ALL: &[(bool, bool)] = &[(false, false), (false, true), (true, false), (true, true)];
    const NEITHER: &[(bool, bool)] = &[(false, false)];
    /// FRR has it always.
    const FRR: &[(bool, bool)] = &[(false, true), (true, true)];
    let ways = [
        (Keepalived, Two, V4, Multicast, ALL),
        (Keepalived, Two, V4, Unicast, NEITHER),
        (Keepalived, TwoWithPassword, V4, Multicast, NEITHER),
        (Keepalived, TwoWithPassword, V4, Unicast, NEITHER),
        (Keepalived, Three, V4, Multicast, ALL),
        (Keepalived, Three, V4, Unicast, NEITHER),
        (Keepalived, ThreeMessageOnly, V4, Multicast, NEITHER),
        (Keepalived, Three, V6, Multicast, ALL),
        (Keepalived, Three, V6, Unicast, NEITHER),
        (Frr, Two, V4, Multicast, FRR),
        (Frr, Three, V4, Multicast, FRR),
        (Frr, ThreeMessageOnly, V4, Multicast, FRR),
        (Frr, Three, V6, Multicast, FRR),
    ];
    let mut cells = Vec::new();
    for (peer, dialect, family, cast, macs) in ways {
        for (our_mac, their_mac) in macs {
            for leader in [Who::Ours, Who::Theirs] {
                cells.push(Cell {
                    peer,
                    dialect,
                    family,
                    cast,
                    our_mac: *our_mac,
                    their_mac: *their_mac,
                    leader,
                });
            }
        }
    }
    cells
}
