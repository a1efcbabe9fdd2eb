//! Cells of the interoperation matrix: each is a combination of vrrpd and another daemon, with the known
//! deviations of that daemon.

use std::fmt;
use std::time::Duration;

use vrrp_lab::daemons::PeerProgram;

use crate::common::tshark::{self, Checksum};

/// Daemon that vrrpd is tested with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Keepalived,
    Frr,
}

/// Protocol version, with the features that only one version has.
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

/// One of the two daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    Theirs,
}

/// Combination of daemons, protocol and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) peer: Peer,
    pub(crate) dialect: Dialect,
    pub(crate) family: Family,
    pub(crate) cast: Cast,
    /// Whether vrrpd uses the virtual MAC address.
    pub(crate) our_mac: bool,
    /// Whether the peer uses the virtual MAC address.
    pub(crate) their_mac: bool,
    /// Daemon with the higher priority and the greater address.
    pub(crate) leader: Who,
}

/// Deviation of one of the daemons from the RFC of its version. The cell asserts the deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deviation {
    /// Answers an advertisement of lower priority. RFC 3768 section 6.4.3 requires to discard it.
    AnswersLowerPriority,
    /// Does not answer an advertisement of lower priority. RFC 9568 section 6.4.3 requires an answer at
    /// once; RFC 5798 required to discard it.
    IgnoresLowerPriority,
    /// vrrpd covers the pseudo-header in its checksum, as most routers in use do, until it receives an
    /// advertisement without. RFC 9568 section 5.2.8 covers the message alone.
    BeginsWithTheOtherChecksum,
    /// Does not announce the addresses again after another master has yielded. No RFC requires it.
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

    /// Advertisement interval of the cell. Version 2 has whole seconds only.
    pub(crate) const fn interval(self) -> Duration {
        match self.version() {
            2 => Duration::from_secs(1),
            _ => Duration::from_millis(200),
        }
    }

    /// Skew_Time of a priority.
    pub(crate) fn skew(self, priority: u8) -> Duration {
        // The factor is a second in version 2 and the interval in version 3, which `interval` returns.
        self.interval() * (256 - u32::from(priority)) / 256
    }

    /// Master_Down_Interval of a priority.
    pub(crate) fn down_interval(self, priority: u8) -> Duration {
        self.interval() * 3 + self.skew(priority)
    }

    /// Name in the table.
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
    /// Properties that tshark should find in vrrpd's advertisements.
    pub(crate) fn expected(&self) -> tshark::Expected {
        tshark::Expected {
            version: self.dialect.version(),
            checksums: match self.dialect {
                Dialect::Two | Dialect::TwoWithPassword | Dialect::Three => {
                    &[Checksum::WithPseudoHeader]
                }
                Dialect::ThreeMessageOnly
                    if self.deviates(Deviation::BeginsWithTheOtherChecksum) =>
                {
                    &[Checksum::WithPseudoHeader, Checksum::MessageOnly]
                }
                Dialect::ThreeMessageOnly => &[Checksum::MessageOnly],
            },
        }
    }

    /// Whether `who` as master answers an advertisement of lower priority at once.
    pub(crate) fn answers_lower_priority(&self, who: Who) -> bool {
        let should = self.dialect.version() == 3;
        let otherwise = [
            Deviation::AnswersLowerPriority,
            Deviation::IgnoresLowerPriority,
        ];
        let deviates = otherwise.into_iter().any(|what| self.deviates(what));
        should != (who == Who::Theirs && deviates)
    }

    /// Keyword of the peer's configuration that this cell needs and not every release has.
    fn needed_keyword(&self) -> Option<&'static str> {
        match (self.dialect, self.peer) {
            (Dialect::ThreeMessageOnly, Peer::Keepalived) => Some("v3_checksum_as_v2"),
            (Dialect::ThreeMessageOnly, Peer::Frr) => Some("checksum-with-ipv4-pseudoheader"),
            (Dialect::Two | Dialect::TwoWithPassword | Dialect::Three, _) => None,
        }
    }

    /// What this peer lacks for the cell.
    pub(crate) fn lacking(&self, program: &PeerProgram) -> Option<String> {
        let unknown = self.needed_keyword().filter(|word| !program.knows(word))?;
        Some(format!("this {} has no {unknown}", self.peer.name()))
    }

    /// Whether this deviation applies to the cell.
    pub(crate) fn deviates(&self, what: Deviation) -> bool {
        self.deviations().contains(&what)
    }

    /// Deviations that apply to the cell.
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
                // With the virtual MAC address on both sides no neighbour entry becomes wrong.
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

/// Formats the name of the cell's test.
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

/// Returns all cells, in the order of the table.
pub(crate) fn cells() -> Vec<Cell> {
    use Cast::{Multicast, Unicast};
    use Dialect::{Three, ThreeMessageOnly, Two, TwoWithPassword};
    use Family::{V4, V6};
    use Peer::{Frr, Keepalived};
    /// Neither, one or both daemons use the virtual MAC address.
    const ALL: &[(bool, bool)] = &[(false, false), (false, true), (true, false), (true, true)];
    const NEITHER: &[(bool, bool)] = &[(false, false)];
    /// FRR always uses the virtual MAC address.
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
