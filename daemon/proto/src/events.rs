//! Interface of the engine: inputs, outputs and reports.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::limiter::Matter;
use crate::operator::{CommandChange, CommandKey, StandingCommand};
use crate::params::{AddressOptions, LvsRole, LvsSync, NodeParams, Renames, Verdict};
use crate::reasons::{Cause, FaultReason, Loss, Unreceived};
use crate::routing::{Route, Routed, Rule};
use crate::time::Instant;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, MacAddress, Priority, State, Vrid};
use crate::wire::{DropCause, Packet};

/// Input of the engine: an event, or a request of the operator.
#[derive(Debug)]
pub enum Input<'a> {
    /// State that an earlier process of this host has left, for the routers of the next
    /// [`Configure`](Self::Configure) that are the same.
    Resume(Checkpoint),
    /// A new configuration. Only the differences to the running one are applied.
    Configure(NodeParams),
    /// Present state of an interface. Repeating it changes nothing.
    Link(Link),
    /// An interface was deleted, and its addresses with it.
    LinkRemoved(InterfaceIndex),
    /// An interface has this address. Repeating it changes nothing.
    AddressAdded {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
        /// Whether the address bears the mark of this daemon (IFA_PROTO), so that it cannot be an
        /// address of the host itself.
        ours: bool,
    },
    /// Another program or the kernel deleted an address. Deletions by the daemon itself are not
    /// reported. Of several deleted addresses those that the daemon had added come last: whether the
    /// interface still has a non-virtual address decides how they are restored.
    AddressRemoved {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
        /// Reason.
        loss: Loss,
    },
    /// A route or a rule with the mark of this daemon exists that this run did not add.
    RoutingAdded(Routed),
    /// A route or a rule of this daemon was deleted, or a route was changed: by another program, or
    /// by the kernel, which deletes routes when a device goes down or loses its last address.
    /// Deletions that the daemon itself requested are not reported; what the kernel deleted in
    /// addition is.
    RoutingRemoved {
        /// The route or rule.
        what: Routed,
        /// Reason.
        loss: Loss,
    },
    /// A received IP packet of protocol 112.
    Packet(Packet<'a>),
    /// Packets of protocol 112 that arrived at an interface for a [watched](crate::Engine::watched)
    /// VRID, in the order of their arrival, whether or not a socket received them. To be handed in
    /// before a [`Tick`](Self::Tick), after every [`Packet`](Self::Packet), for the routers that
    /// [`watched_and_due`](crate::Engine::watched_and_due) names; the others ignore them.
    Witnessed(&'a [Packet<'a>]),
    /// Another host claims a virtual address, by ARP or neighbour discovery.
    AddressConflict(AddressConflict),
    /// Whether packets of a family can be received on an interface: `None` if they can, else the reason
    /// why not. It applies until the next such input. Repeating it changes nothing.
    Listening {
        /// The interface.
        interface: InterfaceIndex,
        /// The family.
        family: Family,
        /// The reason, or `None`.
        error: Option<Arc<str>>,
    },
    /// A result for a tracker of kind [`Probe`](crate::params::TrackerKind::Probe).
    Probe {
        /// Name of the tracker.
        tracker: &'a str,
        /// State of the tracked object.
        result: Verdict,
        /// The result in words: one line.
        detail: Arc<str>,
    },
    /// Present addresses of a peer that is configured by name: see [`NodeParams::peer_names`].
    /// Repeating it changes nothing. A failed lookup is not reported: a name keeps its last
    /// addresses until a lookup finds others.
    Resolved {
        /// The host name.
        name: &'a str,
        /// Addresses of both families.
        addresses: &'a [IpAddr],
    },
    /// State of the drop filter in the kernel: `None` if it works, else the reason why it does not.
    /// It applies until the next such input, and only to routers that do not
    /// [accept](crate::params::RouterParams::accepts) packets to their addresses.
    DropFilter(Option<Arc<str>>),
    /// Outcome of a request to add a virtual address that the kernel rejected, for a reason that lasts, or
    /// now has, with `None`. An error applies until the next such input for the address, a
    /// [`Configure`](Self::Configure) or a change of the interface. Repeating it changes nothing.
    Rejected {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
        /// The kernel's error, or `None`.
        error: Option<Arc<str>>,
    },
    /// Outcome of sending advertisements of a router, if the kernel rejected any of them or of the last
    /// ones. An error applies until the next such input for the router and family, or a
    /// [`Configure`](Self::Configure).
    Unsent {
        /// The interface.
        interface: InterfaceIndex,
        /// The family.
        family: Family,
        /// VRID of the router.
        vrid: Vrid,
        /// Number of rejected messages.
        messages: u64,
        /// The kernel's error, if it rejected all messages, for a reason that lasts.
        error: Option<Arc<str>>,
    },
    /// Resources prevent a router from being master, for this reason; `None` ends that. It applies
    /// until the next such input for the router. Repeating it changes nothing, and an unknown router
    /// is ignored.
    Inhibited {
        /// Name of the router.
        router: &'a str,
        /// The reason, or `None`.
        why: Option<Arc<str>>,
    },
    /// A standing command of the operator, in place of a former one with the same key. One for a
    /// router that is not configured stands too, and applies when the router is. One whose time is over
    /// has no effect.
    Command(StandingCommand),
    /// The operator ends a standing command. Without such a command nothing happens.
    EndCommand {
        /// The command.
        key: CommandKey,
        /// User who ends it, in words.
        by: Arc<str>,
    },
    /// The operator has the addresses of a router announced now, or those of all routers. Only a
    /// master announces.
    Announce(Option<&'a str>),
    /// The kernel may be in a state other than requested: a request failed, or messages from the
    /// kernel were lost. The engine repeats all requests.
    Overrun,
    /// Reading of the wall clock, since the beginning of 1970 (UTC). Required before every
    /// [`Configure`](Self::Configure), and as the first input of a turn while
    /// [`Engine::wants_wall_clock`](crate::Engine::wants_wall_clock). Between two readings the
    /// engine's time is added to the last one; before the first reading the wall clock equals the
    /// engine's time.
    WallClock(Duration),
    /// Time has passed. A tick before a deadline, or a repeated one, does nothing.
    Tick,
    /// The process ends and leaves everything as it is for a successor. Routers that a successor cannot
    /// continue stop as by [`Stop`](Self::Stop). To be followed by
    /// [`Engine::checkpoint`](crate::Engine::checkpoint).
    Leave,
    /// Stop: masters resign with priority 0 and hand over, for as long as
    /// [`Engine::is_handing_over`](crate::Engine::is_handing_over). A further one releases all addresses at
    /// once.
    Stop,
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index.
    pub index: InterfaceIndex,
    /// Name.
    pub name: Arc<str>,
    /// Whether the interface is administratively up (IFF_UP).
    pub up: bool,
    /// Whether the interface has a carrier (IFF_LOWER_UP).
    pub carrier: bool,
    /// Hardware address, or `None` if it is not an Ethernet address.
    pub mac: Option<MacAddress>,
    /// The bridge, bond or team that this interface is a port of, which receives its packets.
    /// `None` for a member of a VRF, which receives its own packets.
    pub port_of: Option<InterfaceIndex>,
    /// Alternative names (ip-link(8), `altname`). A configuration names an interface by its name only.
    pub alternative_names: Arc<[Arc<str>]>,
}

/// ARP packets with an address as the sender's, or neighbour advertisements for it (RFC 5227 section 1.1: a
/// conflicting ARP packet). Packets that this host sends may be among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressConflict {
    /// Interface at which they arrived.
    pub interface: InterfaceIndex,
    /// The address.
    pub address: IpAddr,
    /// Hardware address that they give for it.
    pub mac: MacAddress,
    /// Their number.
    pub packets: u64,
}

/// Output of the engine: work for the caller. All outputs of one drain are carried out together:
/// advertisements first, then the kernel's state, then announcements. In the kernel, routes and
/// rules to be released are deleted before any address is changed, and those to be held are added
/// after all addresses: a route may have a virtual address as its preferred source, or a gateway
/// that is reachable only through one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// An advertisement to send.
    Advertise(Advertisement),
    /// Addresses of one router that the kernel has to hold, and those that it must not hold.
    Kernel(Desired),
    /// An interface with a virtual MAC address. It is created and set up before addresses are added
    /// to it, and set down or deleted after they are deleted.
    Device(DesiredDevice),
    /// Routes and rules of one router that the kernel has to hold.
    Routing(DesiredRouting),
    /// State of the IPVS sync daemon in the kernel.
    Lvs(DesiredLvs),
    /// Addresses to announce to the neighbours.
    Announce(Announcement),
    /// A unicast peer to ask for, before it has to reach this host.
    Solicit(Solicitation),
    /// An event for the operator.
    Report(Report),
}

/// A VRRP advertisement to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Outgoing interface.
    pub interface: InterfaceIndex,
    /// Source address.
    pub source: IpAddr,
    /// Destination address: the multicast group of the family, or a peer.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Source hardware address, if other than the interface's own.
    pub mac: Option<MacAddress>,
    /// VRRP message.
    pub message: Arc<[u8]>,
}

/// Addresses to announce: gratuitous ARP, or for IPv6 an unsolicited neighbour advertisement, for
/// each of them. A sender with a pace leaves out the addresses that are no longer held when their
/// turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The interface.
    pub interface: InterfaceIndex,
    /// Hardware address to announce.
    pub mac: MacAddress,
    /// The addresses.
    pub addresses: Arc<[InterfaceAddress]>,
    /// Number of repetitions per address, at least 1.
    pub burst: u8,
    /// Announcements per second, or 0 for all at once.
    pub pace: u32,
}

/// Request for the hardware address of a unicast peer: an ARP request, or a neighbour solicitation for
/// IPv6. The answer does not matter. The request makes the peer record the hardware address of this
/// host, so that its advertisements arrive at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Solicitation {
    /// Outgoing interface.
    pub interface: InterfaceIndex,
    /// Hardware address of the interface.
    pub mac: MacAddress,
    /// Address from which this host advertises. Never a virtual one.
    pub source: IpAddr,
    /// Address of the peer.
    pub target: IpAddr,
}

/// Addresses that the kernel should hold for one router on one interface, of one family. A desired
/// state, not a command: the caller compares it with the kernel's state, so it may be repeated at
/// any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The interface.
    pub interface: InterfaceIndex,
    /// Addresses that must exist.
    pub hold: Arc<[InterfaceAddress]>,
    /// Options of some of these addresses.
    pub options: Arc<BTreeMap<IpAddr, AddressOptions>>,
    /// Addresses that must not exist.
    pub release: Arc<[InterfaceAddress]>,
    /// Whether packets to the addresses in `hold` are accepted. If not, drop rules for all traffic
    /// to them except neighbour discovery are installed before the addresses are added. The drop
    /// rule of a released address is removed after the address is deleted.
    pub accept: bool,
    /// Whether to keep addresses in `release` that the daemon did not add: those of the owner, and
    /// the only address of an interface.
    pub spare_foreign: bool,
}

/// Desired state of an interface with a virtual MAC address, a macvlan. As [`Desired`], it is
/// compared with the kernel's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredDevice {
    /// Name.
    pub name: Arc<str>,
    /// Parent interface. `None` if no interface has the configured name: then the macvlan is not
    /// created, but one that exists may stay, as the parent may have been renamed.
    pub parent: Option<InterfaceIndex>,
    /// Hardware address.
    pub mac: MacAddress,
    /// Whether the interface exists and is up. It is up on a master only: a backup must not receive
    /// frames for the virtual MAC address, and any frame that the kernel sent from it would mislead
    /// the switches.
    pub state: DeviceState,
}

/// Desired state of an interface with a virtual MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// The interface does not exist.
    Absent,
    /// The interface exists and is down.
    Down,
    /// The interface is up.
    Up,
}

/// Desired routes and rules of one router. As [`Desired`], they are compared with the kernel's
/// state. Routes and rules without the daemon's mark are not affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRouting {
    /// Name of the router, for error messages.
    pub router: Arc<str>,
    /// Routes that must exist.
    pub routes: Vec<Route>,
    /// Rules that must exist.
    pub rules: Vec<Rule>,
    /// Routes and rules that must not exist.
    pub release: Vec<Routed>,
}

/// Desired state of the IPVS sync daemon in the kernel. There is at most one per node. It may take
/// effect a moment later than the other outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredLvs {
    /// Configuration of the synchronisation.
    pub sync: Arc<LvsSync>,
    /// Index of the configured interface, if it exists. A sync daemon that was started on an
    /// earlier interface with the same name receives nothing and has to be restarted.
    pub on: Option<InterfaceIndex>,
    /// Role of the only sync daemon that should run. `None` if none of this daemon should run; sync
    /// daemons of other programs are not affected.
    pub role: Option<LvsRole>,
}

/// An event that the operator may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Change of state of a router.
    Transition(Transition),
    /// A router continues in the state that an earlier process has left. The transition from the state init
    /// names that state; other hosts saw none.
    Continued(Transition),
    /// Dropped packet. Reported once per sender, cause and minute.
    Dropped {
        /// Name of the router that the packet was for, if there is one.
        router: Option<Arc<str>>,
        /// Source address of the packet.
        source: IpAddr,
        /// Cause of the drop.
        cause: DropCause,
        /// The received and the expected value, where they say more than the cause.
        detail: Option<Arc<str>>,
    },
    /// Reports about further senders that were suppressed in the last minute or longer: see `limiter.rs`.
    Suppressed {
        /// Kind of the reports.
        matter: Matter,
        /// Number of them.
        suppressed: u64,
    },
    /// Routers that continue under another name with a new configuration, or from an earlier process.
    Renamed(Renames),
    /// End of a short absence of an interface or an address, which caused no fault.
    Interrupted {
        /// Name of the router.
        router: Arc<str>,
        /// Fault reason that was tolerated.
        fault_reason: FaultReason,
        /// Duration of the absence.
        lasted: Duration,
    },
    /// The interface of a router that does not track it has no link: the router neither sends nor
    /// receives advertisements, and serves.
    LinkLost {
        /// Name of the router.
        router: Arc<str>,
        /// Reason, which is no fault.
        fault_reason: FaultReason,
    },
    /// That interface has a link again.
    LinkRestored {
        /// Name of the router.
        router: Arc<str>,
    },
    /// A virtual address of a master disappeared and is added again.
    Repaired {
        /// Name of the router.
        router: Arc<str>,
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
        /// Reason of its absence.
        loss: Loss,
        /// Whether the kernel holds it. The engine has only requested that: the caller sets it after
        /// the request.
        done: bool,
    },
    /// Further repairs or removals of the same addresses, routes or rules, after the reported ones. The
    /// node makes this report.
    Repeated {
        /// Name of the router.
        router: Arc<str>,
        /// Their number since the last report.
        times: u64,
    },
    /// A virtual address existed that this node must not hold, and is deleted.
    Stray {
        /// Name of the router.
        router: Arc<str>,
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
        /// Whether the kernel has deleted it, as above.
        done: bool,
    },
    /// A route or rule of a master disappeared and is added again.
    RoutingRepaired {
        /// Name of the router.
        router: Arc<str>,
        /// The route or rule.
        what: Routed,
        /// Reason of its absence.
        loss: Loss,
        /// Whether the kernel holds it, as above.
        done: bool,
    },
    /// A route or rule with the daemon's mark existed that this node must not hold, and is deleted.
    RoutingStray {
        /// Name of the router.
        router: Arc<str>,
        /// The route or rule.
        what: Routed,
        /// Whether the kernel has deleted it, as above.
        done: bool,
    },
    /// The verdict of a tracker changed between up and down. A change of its number alone is not
    /// reported.
    Verdict {
        /// Name of the tracker.
        tracker: Arc<str>,
        /// Whether the tracker is up.
        up: bool,
        /// Last result in words.
        detail: Arc<str>,
    },
    /// Change of a router's effective priority.
    Priority {
        /// Name of the router.
        router: Arc<str>,
        /// Former priority.
        from: Priority,
        /// Present priority.
        to: Priority,
    },
    /// A standing command of the operator begins or ends.
    Command {
        /// The command.
        command: StandingCommand,
        /// Change.
        change: CommandChange,
    },
    /// Configuration mismatch with another router of the same virtual router. Its advertisements
    /// are still accepted. Reported when the mismatch changes, at most once per sender and minute.
    Mismatch {
        /// Name of the local router.
        router: Arc<str>,
        /// Address of the other router.
        source: IpAddr,
        /// The differences, in words.
        how: Arc<str>,
    },
    /// The clock of another router differs so much that its signed advertisements will soon be rejected:
    /// by half the window of the replay protection or more. Reported once per sender and minute.
    Clock {
        /// Name of the local router.
        router: Arc<str>,
        /// Address of the other router.
        source: IpAddr,
        /// Seconds by which its clock is ahead; negative if it is behind.
        ahead: i64,
        /// The window.
        window: Duration,
    },
    /// A take-over that was due is withheld: advertisements of a living master arrive at the
    /// interface, and this host drops them before its sockets. Reported once per sender and minute.
    Withheld {
        /// Name of the local router.
        router: Arc<str>,
        /// The advertisements.
        unreceived: Unreceived,
    },
    /// A router of lower precedence advertised while this node is master. Reported once per sender
    /// and minute.
    SecondMaster {
        /// Name of the local router.
        router: Arc<str>,
        /// Address of the other router.
        source: IpAddr,
        /// Priority that it advertised.
        priority: u8,
    },
    /// Another host claims a virtual address of a master. Reported once per address and minute.
    AddressConflict {
        /// Name of the router.
        router: Arc<str>,
        /// Interface at which the claim arrived.
        interface: Arc<str>,
        /// The address.
        address: IpAddr,
        /// Hardware address of the other host.
        mac: MacAddress,
        /// Number of packets with claims of the router's addresses since the last report, this one
        /// included.
        packets: u64,
    },
    /// A master has resigned on purpose, and keeps its addresses until a successor advertises.
    HandsOver {
        /// Name of the router.
        router: Arc<str>,
        /// Longest time.
        longest: Duration,
    },
    /// A hand-over has ended: the addresses are released. Not reported when a transition of the router ends
    /// the hand-over.
    HandedOver {
        /// Name of the router.
        router: Arc<str>,
        /// Reason.
        end: HandOverEnd,
        /// Duration of the hand-over.
        lasted: Duration,
    },
    /// All other masters beside this node have gone, and it remained master: they resigned, yielded
    /// or fell silent. Reported for every member of a sync group, with the cause of the member whose
    /// rival was the last. At most every 10 s for a router; a later end is reported then.
    Contested {
        /// Name of the local router.
        router: Arc<str>,
        /// Cause.
        cause: Cause,
        /// Effective priority of the local router.
        priority: Priority,
    },
}

/// Reason why a hand-over ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOverEnd {
    /// A successor advertised, the last one in an instance of both families.
    Successor(IpAddr),
    /// No successor advertised in time.
    NoSuccessor,
    /// This host cannot serve any more.
    Fault(FaultReason),
    /// A further request to stop.
    Stopped,
    /// A new configuration.
    Reloaded,
}

impl fmt::Display for HandOverEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Successor(source) => write!(f, "{source} advertises"),
            Self::NoSuccessor => f.write_str("no other router advertises"),
            Self::Fault(fault_reason) => fault_reason.fmt(f),
            Self::Stopped => f.write_str("stop requested again"),
            Self::Reloaded => f.write_str("configuration reloaded"),
        }
    }
}

/// Change of state of a router, with its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Name of the router.
    pub router: Arc<str>,
    /// Former state.
    pub from: State,
    /// Present state.
    pub to: State,
    /// Cause.
    pub cause: Cause,
    /// Effective priority at that moment.
    pub priority: Priority,
    /// Time of the transition.
    pub at: Instant,
}
