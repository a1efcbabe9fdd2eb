//! Packets, messages and inputs of a host, and the record of a turn for the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::operator::{CommandKey, StandingCommand};
use vrrp_proto::{
    AddressConflict, Family, Instant, InterfaceIndex, Link, MacAddress, Output, Password, Version,
    Vrid,
};

use crate::network::Station;
use crate::scenario::Config;

/// Packet in a network.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) from: Station,
    pub(crate) sent_at: Instant,
    pub(crate) segment: u8,
    pub(crate) source: IpAddr,
    /// Multicast group, or address of the receiver.
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) payload: Arc<[u8]>,
    /// Content of the advertisement, or `None` for a packet that every router has to reject.
    pub(crate) content: Option<Content>,
    /// Whether the sender of a signed packet has the key and sent exactly this packet from this
    /// address.
    pub(crate) is_genuine: bool,
}

impl Datagram {
    pub(crate) const fn family(&self) -> Family {
        Family::of(self.source)
    }
}

/// Content of an advertisement, as its sender meant it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) version: Version,
    pub(crate) vrid: Vrid,
    pub(crate) priority: u8,
    pub(crate) interval: Duration,
    pub(crate) password: Option<Password>,
}

/// Message from the daemon's services to the node.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Configure(Config),
    Probe {
        tracker: String,
        up: bool,
    },
    Resolved {
        name: String,
        addresses: Vec<IpAddr>,
    },
    Command(StandingCommand),
    EndCommand(CommandKey),
    Announce(Option<Arc<str>>),
    Stop,
}

/// Input of the engine.
#[derive(Debug)]
pub(crate) enum Fed {
    Configure(Config),
    News(News),
    Packet {
        arrived: Instant,
        interface: InterfaceIndex,
        /// Address from which the router would answer, if it can have changed.
        own_source: Option<IpAddr>,
        /// Whether a router listens for the VRID on this interface.
        is_listened_for: bool,
        packet: Rc<Datagram>,
    },
    /// Packets that arrived at interfaces with silent backups.
    Witnessed(Vec<Arrival>),
    /// Claim of a virtual address, and the number of its packets that were counted.
    AddressConflict {
        conflict: AddressConflict,
        counted: u64,
    },
    Probe {
        tracker: String,
        up: bool,
    },
    /// Result of the name resolution of a peer.
    Resolved {
        name: String,
        addresses: Vec<IpAddr>,
    },
    /// Result of the installation of drop rules.
    DropRule {
        able: bool,
    },
    /// Result of the opening of a socket.
    Listening,
    /// Rejection of an address for a reason that lasts, or its end.
    Rejected,
    /// Outcome of sending advertisements: the interface, the family and the VRID of the router, and whether
    /// one was sent.
    Unsent {
        interface: InterfaceIndex,
        family: Family,
        vrid: u8,
        is_sent: bool,
    },
    /// Standing command of the operator.
    Command(StandingCommand),
    /// End of a standing command by the operator.
    EndCommand(CommandKey),
    /// Announcement by order of the operator.
    Announce(Option<String>),
    /// Reading of the wall clock.
    WallClock(Duration),
    Overrun,
    Tick,
    /// End of a process that leaves its state to the next one, or its beginning.
    Restart,
    Stop,
}

/// Packet that arrived at an interface, whether or not a socket received it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) interface: InterfaceIndex,
    /// Whether a router listens for the VRID on this interface.
    pub(crate) is_listened_for: bool,
    pub(crate) packet: Rc<Datagram>,
}

/// In a few words, for the trace.
impl fmt::Display for Fed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configure(_) => f.write_str("configuration"),
            Self::News(News::Link(link)) => {
                let state = match (link.up, link.carrier) {
                    (true, true) => "up",
                    (true, false) => "without carrier",
                    (false, _) => "down",
                };
                write!(f, "link {} {state}", link.name)
            }
            Self::News(news) => write!(f, "{news:?}"),
            Self::Packet { packet, .. } => match &packet.content {
                Some(content) => write!(f, "advertisement {} from {}", content.vrid, packet.source),
                None => write!(f, "packet from {}", packet.source),
            },
            Self::Witnessed(arrivals) => write!(f, "{} witnessed packets", arrivals.len()),
            Self::AddressConflict { .. }
            | Self::Probe { .. }
            | Self::Resolved { .. }
            | Self::DropRule { .. }
            | Self::Listening
            | Self::Rejected
            | Self::Unsent { .. }
            | Self::Command(_)
            | Self::EndCommand(_)
            | Self::Announce(_)
            | Self::WallClock(_)
            | Self::Overrun
            | Self::Tick
            | Self::Restart
            | Self::Stop => write!(f, "{self:?}"),
        }
    }
}

/// Notification of the kernel.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Link(Link),
    LinkRemoved(InterfaceIndex),
    AddressAdded,
    AddressRemoved,
    /// Change of routes or rules.
    Routing,
}

/// Input of the engine, and its outputs.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) fed: Fed,
    /// Whether the mirror of the kernel confirms every fault reason in the outputs.
    pub(crate) named_truly: bool,
    /// Whether the host has the source address of every advertisement, apart from final ones with
    /// priority 0.
    pub(crate) speaks_for_itself: bool,
    pub(crate) outputs: Vec<Output>,
    /// Deadline of the engine before the input.
    pub(crate) deadline_before: Option<Instant>,
    pub(crate) deadline_after: Option<Instant>,
    /// Routers in a grace period after the input.
    pub(crate) interrupted: BTreeSet<Arc<str>>,
    /// Status of each router, if any router has peers.
    pub(crate) shown: BTreeMap<Arc<str>, Shown>,
}

/// Properties of a router that its packets do not show when it has no destination.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Number of sent advertisements.
    pub(crate) adverts_sent: u64,
    /// Source addresses.
    pub(crate) sources: Vec<IpAddr>,
    /// Time from which the silence of its peers counts.
    pub(crate) silence_counts_at: Instant,
    /// Whether it runs without a link on its interface.
    pub(crate) is_unlinked: bool,
}

/// Packet that a host sends in a turn.
#[derive(Debug)]
pub(crate) enum Sent {
    Advert {
        segment: u8,
        source: IpAddr,
        /// Source MAC address, if it is not the interface's own.
        mac: Option<MacAddress>,
        destination: IpAddr,
        hop_limit: u8,
        payload: Arc<[u8]>,
    },
    Announcement {
        segment: u8,
        mac: MacAddress,
        address: IpAddr,
    },
    /// Request for the hardware address of a neighbour.
    Solicitation {
        segment: u8,
        source: IpAddr,
        target: IpAddr,
    },
}

/// Decodes the content of an advertisement with the constants of the RFCs, without code of the daemon.
pub(crate) fn read(message: &[u8]) -> Option<Content> {
    let &[version_type, vrid, priority, count, fourth, fifth, ..] = message else {
        return None;
    };
    let (version, interval) = match version_type >> 4 {
        2 => (Version::V2, Duration::from_secs(fifth.into())),
        3 => {
            let centiseconds = u64::from(fourth & 0x0f) << 8 | u64::from(fifth);
            (Version::V3, Duration::from_millis(centiseconds * 10))
        }
        _ => return None,
    };
    let password = match (version, fourth) {
        (Version::V2, 1) => {
            let data = message.get(8 + 4 * usize::from(count)..)?;
            let end = data
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(data.len());
            Password::new(data.get(..end)?)
        }
        (Version::V2 | Version::V3, _) => None,
    };
    Some(Content {
        version,
        vrid: Vrid::new(vrid)?,
        priority,
        interval,
        password,
    })
}
