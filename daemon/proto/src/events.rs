//! The border of the engine: all that goes in and all that comes out.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::params::{AddressOptions, LvsSync, NodeParams, Verdict};
use crate::reasons::{Cause, FaultReason};
use crate::routing::{Route, Routed, Rule};
use crate::time::Instant;
use crate::types::{InterfaceAddress, InterfaceIndex, MacAddress, Priority, State};
use crate::wire::DropCause;

/// What the world tells the engine.
#[derive(Debug)]
pub enum Input<'a> {
    /// Run this instead of what runs. Only what differs changes.
    Configure(NodeParams),
    /// An interface exists and is like this. Repeating it changes nothing.
    Link(Link),
    /// The interface is gone, and its addresses with it.
    LinkRemoved(InterfaceIndex),
    /// The interface has this address. Repeating it changes nothing.
    AddressAdded {
        /// On which interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
        /// Whether it bears the mark of this daemon (IFA_PROTO), so that it can be no address of
        /// the host itself.
        ours: bool,
    },
    /// Somebody else took the address off the interface. What the daemon itself takes off is not
    /// reported.
    AddressRemoved {
        /// On which interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
    },
    /// There is a route or a rule with the mark of this daemon that it did not put there.
    RoutingAdded(Routed),
    /// A route or a rule of this daemon is gone, or a route leads elsewhere: somebody took it away,
    /// or the kernel itself, as it does when a device goes down. What the daemon itself takes away
    /// is not reported.
    RoutingRemoved(Routed),
    /// An IP packet of protocol 112 came in.
    Packet(Packet<'a>),
    /// A tracker of kind [`Probe`](crate::params::TrackerKind::Probe) has a result.
    Probe {
        /// The tracker's name.
        tracker: &'a str,
        /// How the thing is.
        result: Verdict,
        /// What it said, for people: one line.
        detail: Arc<str>,
    },
    /// The addresses that a name among the peers of a router stands for now: see
    /// [`NodeParams::peer_names`]. Repeating it changes nothing. Nobody who asks in vain says so: a
    /// name keeps its last addresses until it has others.
    Resolved {
        /// The name.
        name: &'a str,
        /// Its addresses, of both families.
        addresses: &'a [IpAddr],
    },
    /// Whether the kernel can be made to refuse packets to addresses: `None`, or why not. So it is
    /// until the contrary is said; it matters to routers that do not
    /// [accept](crate::params::RouterParams::accepts).
    DropFilter(Option<Arc<str>>),
    /// What belongs to a router beside its addresses keeps it from being master, for this reason; or, with
    /// `None`, no longer. So it is until the contrary is said. Repeating it changes nothing, and a router
    /// that does not exist is nobody's concern.
    Inhibited {
        /// The router's name.
        router: &'a str,
        /// Why, if so.
        why: Option<Arc<str>>,
    },
    /// The kernel may hold something else than was asked for: a request failed, or messages of it
    /// were lost. Everything is asked for again.
    Overrun,
    /// What the wall clock shows, since the beginning of 1970 (UTC). To be given before every
    /// [`Configure`](Self::Configure), and before everything else of a turn while
    /// [`Engine::wants_wall_clock`](crate::Engine::wants_wall_clock). Between two readings it goes on
    /// with the engine's time, and before the first it is that.
    WallClock(Duration),
    /// Time has passed. Early or repeated ticks do nothing.
    Tick,
    /// Hand everything over: masters resign with priority 0 and all addresses are released.
    Stop,
}

/// One interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: InterfaceIndex,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it is administratively up (IFF_UP).
    pub up: bool,
    /// Whether it has a carrier (IFF_LOWER_UP).
    pub carrier: bool,
    /// Its hardware address, or `None` when that is not an Ethernet one.
    pub mac: Option<MacAddress>,
    /// The interface that receives what comes in here, when this one is a port of a bridge, a bond or
    /// a team. A member of a VRF receives for itself.
    pub port_of: Option<InterfaceIndex>,
}

/// A received packet: what the IP header says of it, and what follows the header.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it arrived, which may be before it is handed in. A later time counts as the present.
    pub at: Instant,
    /// Where it came in.
    pub interface: InterfaceIndex,
    /// The sender.
    pub source: IpAddr,
    /// The receiver: the multicast group, or an address of this host.
    pub destination: IpAddr,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
    /// The VRRP message.
    pub payload: &'a [u8],
}

/// What the engine wants done. Outputs of one drain are meant to be carried out together:
/// advertisements first, then the kernel, then announcements. In the kernel what is released of
/// routing goes before any address, and what is held comes after all of them: a route may have a
/// virtual address as its source, or lead to a gateway that nothing else makes a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this message.
    Advertise(Advertisement),
    /// Make the kernel hold exactly this for one router.
    Kernel(Desired),
    /// Make the kernel have an interface with a virtual MAC address like this, before the addresses
    /// come and after they are gone.
    Device(DesiredDevice),
    /// Make the kernel hold exactly these routes and rules for one router.
    Routing(DesiredRouting),
    /// Make the kernel synchronise connections of IPVS like this.
    Lvs(DesiredLvs),
    /// Tell the neighbours where the addresses are now.
    Announce(Announcement),
    /// Something that people want to know.
    Report(Report),
}

/// A VRRP message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// On which interface.
    pub interface: InterfaceIndex,
    /// The address to send it from.
    pub source: IpAddr,
    /// The address to send it to: the group of its family, or a peer.
    pub destination: IpAddr,
    /// The TTL or hop limit to send it with.
    pub hop_limit: u8,
    /// The hardware address to send it from, when that is not the interface's own.
    pub mac: Option<MacAddress>,
    /// The message.
    pub message: Arc<[u8]>,
}

/// Where addresses are now: gratuitous ARP or, for IPv6, an unsolicited neighbour advertisement for
/// each of them. Whoever sends them one after another leaves out those that are no longer held when
/// their turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// On which interface.
    pub interface: InterfaceIndex,
    /// The hardware address to announce.
    pub mac: MacAddress,
    /// The addresses.
    pub addresses: Arc<[InterfaceAddress]>,
    /// How many times each of them is announced; at least 1.
    pub burst: u8,
    /// How many announcements leave in a second, or 0 for all at once.
    pub pace: u32,
}

/// What is due at [`Engine::poll_timeout`](crate::Engine::poll_timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A master's next advertisement.
    Advertisement,
    /// A master's next announcement of its addresses.
    Announcement,
    /// A backup's succession, unless the master is heard before.
    TakeOver,
    /// A tracker's other verdict, unless it is found to be as before.
    Verdict,
    /// The end of the grace for an interface or an address that is away.
    Grace,
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Advertisement => "advertisement",
            Self::Announcement => "announcement",
            Self::TakeOver => "take-over",
            Self::Verdict => "verdict",
            Self::Grace => "grace",
        })
    }
}

/// What the kernel should hold for one router on one interface, of one family. It is a wish, not a
/// command: whoever receives it compares it with what is there, so the same one may be given at any
/// time and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// On which interface.
    pub interface: InterfaceIndex,
    /// Addresses that must be there.
    pub hold: Arc<[InterfaceAddress]>,
    /// What is special about some of them.
    pub options: Arc<BTreeMap<IpAddr, AddressOptions>>,
    /// Addresses that must not be there.
    pub release: Arc<[InterfaceAddress]>,
    /// Whether packets to the addresses of `hold` are accepted. If not, none of them may be there
    /// for a moment without packets to it being refused, neighbour discovery excepted. What is
    /// released is refused no longer when it is gone.
    pub accept: bool,
    /// Whether `release` spares addresses that the daemon did not add: the owner's own, and those
    /// of an interface that has no others.
    pub spare_foreign: bool,
}

/// An interface with a virtual MAC address, as the kernel should have it: a macvlan. Like
/// [`Desired`] it is a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredDevice {
    /// Its name.
    pub name: Arc<str>,
    /// The interface that it is on top of. Without that it is not made, and may be there all the same
    /// when that has another name.
    pub parent: Option<InterfaceIndex>,
    /// Its hardware address.
    pub mac: MacAddress,
    /// Whether it is there and up. It is up on a master alone: what is sent to a virtual MAC address
    /// is not for the others, and whatever the kernel sent from it would mislead the switches.
    pub state: DeviceState,
}

/// How an interface with a virtual MAC address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// It does not exist.
    Absent,
    /// It exists and is down.
    Down,
    /// It is up.
    Up,
}

/// What routing the kernel should hold for one router: a wish as [`Desired`] is one. Nothing that
/// does not bear the daemon's mark is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRouting {
    /// The router's name, for complaints.
    pub router: Arc<str>,
    /// Routes that must be there.
    pub routes: Vec<Route>,
    /// Rules that must be there.
    pub rules: Vec<Rule>,
    /// What must not be there.
    pub release: Vec<Routed>,
}

/// The sync thread of IPVS as the kernel should have it: a wish as [`Desired`] is one, and the only one
/// of a node. It may be fulfilled a moment later than the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredLvs {
    /// How connections are synchronised.
    pub sync: Arc<LvsSync>,
    /// The interface, when there is one of that name. A thread that was started on another one of the
    /// same name hears nothing.
    pub on: Option<InterfaceIndex>,
    /// What the thread is: the only one then, on that interface. `None` when there is to be none;
    /// others may run their own.
    pub role: Option<LvsRole>,
}

/// What the sync thread of IPVS does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LvsRole {
    /// It tells others of the connections here.
    Master,
    /// It hears of the connections of others.
    Backup,
}

impl fmt::Display for LvsRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// Something that people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A router changed its state.
    Transition(Transition),
    /// A packet was dropped. Given once per sender and cause and minute.
    Dropped {
        /// The router it was for, when there is one.
        router: Option<Arc<str>>,
        /// Who sent it.
        source: IpAddr,
        /// Why it was dropped.
        cause: DropCause,
    },
    /// An interface or an address was away for a moment, which was no reason for a fault.
    Interrupted {
        /// The router that went on.
        router: Arc<str>,
        /// What kept it from serving.
        fault_reason: FaultReason,
        /// For how long.
        lasted: Duration,
    },
    /// A virtual address that somebody had taken away was put back.
    Repaired {
        /// Whose address.
        router: Arc<str>,
        /// The address.
        address: InterfaceAddress,
    },
    /// A virtual address was there that this node must not hold, and is taken off.
    Stray {
        /// Whose address.
        router: Arc<str>,
        /// The address.
        address: InterfaceAddress,
    },
    /// A route or a rule of a master that was gone is put back.
    RoutingRepaired {
        /// Whose it is.
        router: Arc<str>,
        /// What was gone.
        what: Routed,
    },
    /// A route or a rule with the daemon's mark was there that this node must not hold, and is taken
    /// away.
    RoutingStray {
        /// Whose it is.
        router: Arc<str>,
        /// What was there.
        what: Routed,
    },
    /// A tracker's verdict changed, and not only the number that it says.
    Verdict {
        /// The tracker's name.
        tracker: Arc<str>,
        /// Whether the thing is well.
        up: bool,
        /// What it said last.
        detail: Arc<str>,
    },
    /// A router's effective priority changed.
    Priority {
        /// The router's name.
        router: Arc<str>,
        /// Before.
        from: Priority,
        /// Since.
        to: Priority,
    },
    /// Another router of the same virtual router is configured otherwise. It is obeyed all the same.
    /// Given when that changes, at most once per sender and minute.
    Drift {
        /// The router's name.
        router: Arc<str>,
        /// The other one.
        source: IpAddr,
        /// In what it differs, in words.
        how: Arc<str>,
    },
    /// While this node is master somebody of lower precedence advertised too. Given once per
    /// sender and minute.
    SecondMaster {
        /// The router's name.
        router: Arc<str>,
        /// The other one.
        source: IpAddr,
        /// What it advertised.
        priority: u8,
    },
}

/// A change of state with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The router's name.
    pub router: Arc<str>,
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// The effective priority at that moment.
    pub priority: Priority,
    /// When.
    pub at: Instant,
}
