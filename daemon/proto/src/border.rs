//! The border of the engine: all that goes in and all that comes out.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::params::{AddressOptions, LvsSync, NodeParams, Verdict};
use crate::routing::{Route, Routed, Rule};
use crate::time::{Human, Instant};
use crate::types::{InterfaceAddress, InterfaceIndex, MacAddress, Priority};
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
    Refusal(Option<Arc<str>>),
    /// What belongs to a router beside its addresses keeps it from being master, for this reason; or, with
    /// `None`, no longer. So it is until the contrary is said. Repeating it changes nothing, and a router
    /// that does not exist is nobody's concern.
    Hindered {
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

/// The state of a virtual router (RFC 9568 section 6.4; its Active is called master here, as in
/// RFC 3768).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not running: before its start and after its stop.
    Init,
    /// Listening to a master.
    Backup,
    /// Holding the addresses.
    Master,
    /// Unable to serve.
    Fault,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "init",
            Self::Backup => "backup",
            Self::Master => "master",
            Self::Fault => "fault",
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
        obstacle: Obstacle,
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
        well: bool,
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

/// Why a router changed its state. Its text is the one in logs, status and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The router begins to listen.
    Started,
    /// Priority 255: nobody else may hold the addresses.
    Owner,
    /// The master fell silent, or nobody was ever heard.
    Silence {
        /// The master that was last heard.
        master: Option<IpAddr>,
        /// For how long there was no advertisement.
        lasted: Duration,
    },
    /// The master sent priority 0.
    Resigned {
        /// The former master.
        master: IpAddr,
    },
    /// The master's priority is below ours.
    Preempted {
        /// The former master.
        master: IpAddr,
        /// What it advertised.
        theirs: u8,
        /// Our effective priority.
        ours: u8,
        /// For how long it was left in peace by the configuration.
        waited: Duration,
    },
    /// Another master has a greater priority.
    HigherPriority {
        /// The other master.
        master: IpAddr,
        /// What it advertises.
        theirs: u8,
        /// Our effective priority.
        ours: u8,
    },
    /// Another master has the same priority and the greater address.
    HigherAddress {
        /// The other master.
        master: IpAddr,
        /// The priority of both.
        priority: u8,
    },
    /// The process or the machine stood still for longer than the others wait.
    Overslept {
        /// Since its last advertisement.
        lasted: Duration,
    },
    /// A condition for serving is not met.
    Unable(Obstacle),
    /// The last obstacle is gone.
    Recovered(Obstacle),
    /// The daemon stops.
    Stopped,
    /// The router is no longer configured.
    Removed,
    /// The router's identity (interface, VRID or version) changed: it starts anew.
    Redefined,
    /// Another member of its sync group changed its state: all move together.
    With {
        /// The name of that member.
        member: Arc<str>,
        /// Why that one did.
        cause: Arc<Self>,
    },
    /// It is in a sync group from now on, whose members were in different states.
    Joined {
        /// The group's name.
        group: Arc<str>,
        /// The state that all of them have from now on.
        state: State,
    },
}

impl Cause {
    /// The cause of the member of its sync group that it moved with, or the cause itself.
    pub fn root(&self) -> &Self {
        let mut root = self;
        while let Self::With { cause, .. } = root {
            root = cause;
        }
        root
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started, listening first"),
            Self::Owner => f.write_str("owner of the addresses (priority 255)"),
            Self::Silence {
                master: Some(master),
                lasted,
            } => {
                write!(f, "no advertisement from {master} for {}", Human(*lasted))
            }
            Self::Silence {
                master: None,
                lasted,
            } => {
                write!(f, "no advertisement from anybody for {}", Human(*lasted))
            }
            Self::Resigned { master } => write!(f, "{master} resigned (priority 0)"),
            Self::Preempted {
                master,
                theirs,
                ours,
                waited,
            } => {
                write!(
                    f,
                    "{master} advertises priority {theirs}, ours is {ours}: preempted"
                )?;
                match *waited {
                    Duration::ZERO => Ok(()),
                    waited => write!(f, " after {}", Human(waited)),
                }
            }
            Self::HigherPriority {
                master,
                theirs,
                ours,
            } => {
                write!(
                    f,
                    "{master} advertises priority {theirs}, ours is {ours}: yielded"
                )
            }
            Self::HigherAddress { master, priority } => {
                write!(
                    f,
                    "{master} has the same priority {priority} and the greater address"
                )
            }
            Self::Overslept { lasted } => {
                write!(
                    f,
                    "stood still for {}: others may be master",
                    Human(*lasted)
                )
            }
            Self::Unable(obstacle) => obstacle.fmt(f),
            Self::Recovered(obstacle) => write!(f, "over: {obstacle}"),
            Self::Stopped => f.write_str("the daemon stops"),
            Self::Removed => f.write_str("removed from the configuration"),
            Self::Redefined => f.write_str("interface, VRID or version changed"),
            Self::With { member, cause } => write!(f, "with {member}: {cause}"),
            Self::Joined { group, state } => {
                write!(f, "in sync group {group} from now on, which is {state}")
            }
        }
    }
}

/// What keeps a router from serving: the reasons of [`State::Fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no interface of that name.
    InterfaceMissing(Arc<str>),
    /// The interface is administratively down.
    InterfaceDown(Arc<str>),
    /// The interface has no carrier.
    NoCarrier(Arc<str>),
    /// The interface has no address of its own to send from.
    NoAddress(Arc<str>),
    /// The interface has no link-local IPv6 address to send from, or it is not known yet whether
    /// somebody else has that.
    NoLinkLocal(Arc<str>),
    /// The host does not have the address that it is to send from.
    NoSource(IpAddr),
    /// The interface has no address beside a virtual one that somebody else put there: most likely
    /// the host's own, configured as virtual by mistake. It is left alone.
    OnlyVirtual {
        /// The interface.
        interface: Arc<str>,
        /// Its only address, or the first of several.
        address: InterfaceAddress,
    },
    /// The interface has no Ethernet address to announce.
    NotEthernet(Arc<str>),
    /// The interface is a port of another one, which receives what comes in there: it would be deaf.
    Port {
        /// The interface.
        interface: Arc<str>,
        /// The other one.
        of: Arc<str>,
    },
    /// A tracker that the router follows without a weight is down.
    TrackerDown(Arc<str>),
    /// A tracker says a number that is too bad for the router.
    TrackerValue {
        /// The tracker.
        tracker: Arc<str>,
        /// What it says.
        value: i64,
        /// The weight with which the router follows it, if there is one.
        weight: Option<i16>,
    },
    /// Packets to its addresses are not to be accepted, and the kernel cannot be made to refuse
    /// them, for this reason.
    CannotRefuse(Arc<str>),
    /// What runs where the router is master does not run here, for this reason: [`Input::Hindered`].
    Resource(Arc<str>),
    /// Another member of its sync group cannot serve.
    Member {
        /// The name of that member.
        member: Arc<str>,
        /// What keeps that one from serving.
        obstacle: Arc<Self>,
    },
}

impl Obstacle {
    /// Whether reconfiguring the network of a host causes it for a moment: an interface that is
    /// created again or set down and up, a cable that flickers, an address that is replaced.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::InterfaceMissing(_)
            | Self::InterfaceDown(_)
            | Self::NoCarrier(_)
            | Self::NoAddress(_)
            | Self::NoLinkLocal(_)
            | Self::NoSource(_)
            | Self::OnlyVirtual { .. } => true,
            Self::NotEthernet(_)
            | Self::Port { .. }
            | Self::TrackerDown(_)
            | Self::TrackerValue { .. }
            | Self::CannotRefuse(_)
            | Self::Resource(_)
            | Self::Member { .. } => false,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceMissing(name) => write!(f, "interface {name} does not exist"),
            Self::InterfaceDown(name) => write!(f, "interface {name} is down"),
            Self::NoCarrier(name) => write!(f, "interface {name} has no carrier"),
            Self::NoAddress(name) => {
                write!(
                    f,
                    "interface {name} has no IPv4 address of its own to send from"
                )
            }
            Self::NoLinkLocal(name) => write!(
                f,
                "interface {name} has no link-local IPv6 address to send from, or it is still \
                 being checked for duplicates"
            ),
            Self::NoSource(address) => {
                write!(
                    f,
                    "this host does not have {address}, the address to send from"
                )
            }
            Self::OnlyVirtual { interface, address } => write!(
                f,
                "interface {interface} has no address beside {address}, which this daemon did not \
                 put there: a host needs one of its own, or priority 255 if it owns this one"
            ),
            Self::NotEthernet(name) => write!(f, "interface {name} is not an Ethernet interface"),
            Self::Port { interface, of } => write!(
                f,
                "interface {interface} is a port of {of}, which receives what comes in there: \
                 configure {of} instead"
            ),
            Self::TrackerDown(name) => write!(f, "tracker {name} is down"),
            Self::TrackerValue {
                tracker,
                value,
                weight: None,
            } => write!(
                f,
                "tracker {tracker} says {value}, and all but 0 is a fault"
            ),
            Self::TrackerValue {
                tracker,
                value,
                weight: Some(weight),
            } => write!(
                f,
                "tracker {tracker} says {value}, which with weight {weight} is below -253"
            ),
            Self::Resource(why) => f.write_str(why),
            Self::CannotRefuse(reason) => write!(
                f,
                "acceptMode is false, and packets to its addresses cannot be refused: {reason}"
            ),
            Self::Member { member, obstacle } => write!(f, "with {member}: {obstacle}"),
        }
    }
}
