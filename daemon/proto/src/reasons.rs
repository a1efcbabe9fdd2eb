//! Reasons: the cause of a transition, the reason of a fault, the reason of a loss, and the event for which a
//! deadline was set. Log, status and tests show their texts.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::operator::CommandKind;
use crate::time::Human;
use crate::types::{InterfaceAddress, State};

/// Reason why an address, a route or a rule of a master disappeared, as far as it is known. Its text
/// is a predicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Another program deleted it.
    Deleted,
    /// The kernel deleted a secondary IPv4 address together with the primary one of its network,
    /// which another program deleted.
    WithPrimary(InterfaceAddress),
    /// The kernel deleted a route together with an address: the source of the route, or the last
    /// IPv4 address of its device.
    WithAddress(InterfaceAddress),
    /// The kernel deleted a route because its device went down or was deleted.
    WithDevice(Arc<str>),
    /// The kernel no longer shows it.
    Unknown,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("was ")?;
        match self {
            Self::Deleted => f.write_str("deleted by another program"),
            Self::WithPrimary(primary) => {
                write!(
                    f,
                    "deleted by the kernel with its primary address {primary}"
                )
            }
            Self::WithAddress(address) => {
                write!(f, "deleted by the kernel with the address {address}")
            }
            Self::WithDevice(name) => write!(f, "deleted by the kernel when {name} went down"),
            Self::Unknown => f.write_str("missing"),
        }
    }
}

/// Cause of a change of state. Its text appears in log, status and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The router starts as backup and listens.
    Started,
    /// Priority 255: this router owns the addresses, and no other router may hold them.
    Owner,
    /// No advertisement for the master-down interval.
    Silence {
        /// Sender of the last advertisement, or `None` if there was none since the start.
        master: Option<IpAddr>,
        /// Time since the last advertisement, or since the start.
        lasted: Duration,
    },
    /// The master sent priority 0.
    Resigned {
        /// The master that resigned.
        master: IpAddr,
    },
    /// The master's priority is below this router's.
    Preempted {
        /// The master that is preempted.
        master: IpAddr,
        /// Its advertised priority.
        theirs: u8,
        /// Effective priority of this router.
        ours: u8,
        /// Time that preemption was delayed by `preemptDelay`, or zero.
        waited: Duration,
    },
    /// Another master has a greater priority.
    HigherPriority {
        /// The other master.
        master: IpAddr,
        /// Its advertised priority.
        theirs: u8,
        /// Effective priority of this router.
        ours: u8,
    },
    /// Another master has the same priority and the greater address.
    HigherAddress {
        /// The other master.
        master: IpAddr,
        /// Priority of both routers.
        priority: u8,
    },
    /// Another master advertises, and no advertisement of this router leaves its host.
    Unsent {
        /// The other master.
        master: IpAddr,
        /// Its advertised priority.
        theirs: u8,
    },
    /// The process or the host was suspended for longer than the master-down interval of the
    /// backups.
    Overslept {
        /// Time since the last advertisement sent.
        lasted: Duration,
    },
    /// The daemon was restarted, and the router continues in the state that it had.
    Continued {
        /// Time in which no daemon ran.
        after: Duration,
    },
    /// A condition for running as backup or master is not met.
    Faulted(FaultReason),
    /// The last fault reason is resolved.
    Recovered(FaultReason),
    /// A standing command of the operator: the router leaves mastership to another host.
    Command {
        /// Kind of the command.
        kind: CommandKind,
        /// User who gave it, in words.
        by: Arc<str>,
        /// Reason in the operator's words.
        reason: Option<Arc<str>>,
    },
    /// The daemon stops.
    Stopped,
    /// The router was removed from the configuration.
    Removed,
    /// The router's identity (interface, VRID or version) changed: it restarts.
    Redefined,
    /// Another member of the router's sync group changed its state, and all members change
    /// together.
    With {
        /// Name of that member.
        member: Arc<str>,
        /// Cause of that member's transition.
        cause: Arc<Self>,
    },
    /// The router was added to a sync group, and its members were in different states.
    Joined {
        /// Name of the group.
        group: Arc<str>,
        /// Common state of the members after the change.
        state: State,
    },
    /// No transition: another master was seen beside this one and has gone.
    Contested {
        /// The other master, or the last of several.
        master: IpAddr,
        /// Its advertised priority.
        theirs: u8,
    },
}

impl Cause {
    /// The original cause: that of the sync group member that this transition followed, or the
    /// cause itself.
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
                write!(f, "no advertisement from any router for {}", Human(*lasted))
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
            Self::Unsent { master, theirs } => write!(
                f,
                "{master} advertises priority {theirs}, and no advertisement of this router leaves \
                 this host: yielded"
            ),
            Self::Overslept { lasted } => {
                write!(
                    f,
                    "not scheduled for {} (suspended or stopped): another host may be master",
                    Human(*lasted)
                )
            }
            Self::Continued { after } => {
                write!(
                    f,
                    "continues after a restart of the daemon in {}",
                    Human(*after)
                )
            }
            Self::Faulted(fault_reason) => fault_reason.fmt(f),
            Self::Recovered(fault_reason) => write!(f, "recovered from: {fault_reason}"),
            Self::Command { kind, by, reason } => {
                write!(f, "{kind} by {by}")?;
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            Self::Stopped => f.write_str("the daemon stops"),
            Self::Removed => f.write_str("removed from the configuration"),
            Self::Redefined => f.write_str("interface, VRID or version changed"),
            Self::With { member, cause } => write!(f, "with {member}: {cause}"),
            Self::Joined { group, state } => {
                write!(f, "joined sync group {group}, which is {state}")
            }
            Self::Contested { master, theirs } => write!(
                f,
                "{master} (priority {theirs}) was master too and has gone"
            ),
        }
    }
}

/// Advertisements that arrive at an interface and are dropped by this host before its sockets. The
/// text names the likely causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreceived {
    /// Sender.
    pub source: IpAddr,
    /// Name of the interface.
    pub interface: Arc<str>,
}

impl fmt::Display for Unreceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, interface } = self;
        write!(
            f,
            "advertisements from {source} arrive on {interface} and are dropped by this host before \
             vrrpd: firewall, rp_filter or a missing multicast membership"
        )
    }
}

/// Reason of [`State::Fault`]: the condition that keeps a router from running as backup or master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultReason {
    /// No interface has this name.
    InterfaceMissing(Arc<str>),
    /// The name is an alternative name of an interface.
    AlternativeName {
        /// The configured name.
        configured: Arc<str>,
        /// Name of the interface.
        name: Arc<str>,
    },
    /// The interface is administratively down.
    InterfaceDown(Arc<str>),
    /// The interface has no carrier.
    NoCarrier(Arc<str>),
    /// The interface has no IPv4 address to send from, other than virtual ones.
    NoAddress(Arc<str>),
    /// The interface has no link-local IPv6 address to send from, or duplicate address detection
    /// has not finished for it yet.
    NoLinkLocal(Arc<str>),
    /// The host does not have the configured source address.
    NoSource(IpAddr),
    /// The only address of the interface is a virtual one that this daemon did not add: most likely
    /// the host's own address, configured as virtual by mistake. The daemon does not delete it.
    OnlyVirtual {
        /// The interface.
        interface: Arc<str>,
        /// The only address, or the first of several virtual ones.
        address: InterfaceAddress,
    },
    /// The interface has no Ethernet address that could be announced.
    NotEthernet(Arc<str>),
    /// The interface is a port of a bridge, bond or team, which receives its packets: the router
    /// would receive no advertisements.
    Port {
        /// The interface.
        interface: Arc<str>,
        /// The bridge, bond or team.
        of: Arc<str>,
    },
    /// The kernel provides no socket for advertisements, so that silence would not mean that there is
    /// no master.
    CannotReceive {
        /// The interface.
        interface: Arc<str>,
        /// The kernel's error.
        error: Arc<str>,
    },
    /// A tracker that the router tracks without a weight is down.
    TrackerDown(Arc<str>),
    /// A tracker reports a number that puts the router in fault.
    TrackerValue {
        /// The tracker.
        tracker: Arc<str>,
        /// The number.
        value: i64,
        /// Weight of the tracker for this router, if it has one.
        weight: Option<i16>,
    },
    /// `acceptMode` is false, and the drop filter cannot be installed, for this reason.
    DropFilterError(Arc<str>),
    /// The kernel adds none of the virtual addresses, for a reason that lasts.
    AddressesRejected {
        /// The first address.
        address: InterfaceAddress,
        /// The kernel's error for it.
        error: Arc<str>,
    },
    /// Resources inhibit the router, for this reason:
    /// [`Input::Inhibited`](crate::Input::Inhibited).
    Resource(Arc<str>),
    /// Another member of the sync group is in fault.
    Member {
        /// Name of that member.
        member: Arc<str>,
        /// Fault reason of that member.
        fault_reason: Arc<Self>,
    },
}

impl FaultReason {
    /// Whether reconfiguring a host's network can cause it for a moment: an interface that is
    /// recreated or set down and up, a carrier that flaps, an address that is replaced.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::InterfaceMissing(_)
            | Self::AlternativeName { .. }
            | Self::InterfaceDown(_)
            | Self::NoCarrier(_)
            | Self::NoAddress(_)
            | Self::NoLinkLocal(_)
            | Self::NoSource(_)
            | Self::OnlyVirtual { .. } => true,
            Self::NotEthernet(_)
            | Self::Port { .. }
            | Self::CannotReceive { .. }
            | Self::TrackerDown(_)
            | Self::TrackerValue { .. }
            | Self::DropFilterError(_)
            | Self::AddressesRejected { .. }
            | Self::Resource(_)
            | Self::Member { .. } => false,
        }
    }
}

impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceMissing(name) => write!(f, "interface {name} does not exist"),
            Self::AlternativeName { configured, name } => write!(
                f,
                "{configured} is an alternative name (altname) of the interface {name}: configure {name}"
            ),
            Self::InterfaceDown(name) => write!(f, "interface {name} is down"),
            Self::NoCarrier(name) => write!(f, "interface {name} has no carrier"),
            Self::NoAddress(name) => {
                write!(
                    f,
                    "interface {name} has no non-virtual IPv4 address to send from"
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
                "interface {interface} has no address but {address}, which this daemon did not \
                 add: give the host an address of its own, or set priority 255 if it owns this \
                 address"
            ),
            Self::NotEthernet(name) => write!(f, "interface {name} is not an Ethernet interface"),
            Self::Port { interface, of } => write!(
                f,
                "interface {interface} is a port of {of}, which receives its packets: configure \
                 {of} instead"
            ),
            Self::CannotReceive { interface, error } => {
                write!(
                    f,
                    "advertisements on interface {interface} cannot be received: {error}"
                )
            }
            Self::TrackerDown(name) => write!(f, "tracker {name} is down"),
            Self::TrackerValue {
                tracker,
                value,
                weight: None,
            } => write!(
                f,
                "tracker {tracker} reports {value}: without a weight every value but 0 is a fault"
            ),
            Self::TrackerValue {
                tracker,
                value,
                weight: Some(weight),
            } => write!(
                f,
                "tracker {tracker} reports {value}: multiplied by weight {weight} this is below \
                 -253"
            ),
            Self::AddressesRejected { address, error } => write!(
                f,
                "the kernel adds none of the virtual addresses: {address}: {error}; the next attempt \
                 follows a reload or a change of the interface"
            ),
            Self::Resource(why) => f.write_str(why),
            Self::DropFilterError(reason) => write!(
                f,
                "acceptMode is false, but packets to the virtual addresses cannot be dropped: \
                 {reason}"
            ),
            Self::Member {
                member,
                fault_reason,
            } => write!(f, "with {member}: {fault_reason}"),
        }
    }
}

/// Event that is due at [`Engine::poll_timeout`](crate::Engine::poll_timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Due {
    /// Next advertisement of a master.
    Advertisement,
    /// Next announcement of a master's addresses.
    Announcement,
    /// Take-over of a backup, unless an advertisement of the master arrives before.
    TakeOver,
    /// Begin of the watch of the wire, because a master is silent: see
    /// [`Engine::watched`](crate::Engine::watched).
    Watch,
    /// Change of a tracker's verdict, unless a result confirms the present one before.
    Verdict,
    /// End of the grace period for a missing interface or address.
    Grace,
    /// End of a contest: the other master has gone.
    Contest,
    /// End of a hand-over without a successor.
    HandOver,
    /// End of a standing command of the operator.
    Command,
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Advertisement => "advertisement",
            Self::Announcement => "announcement",
            Self::TakeOver => "take-over",
            Self::Watch => "watch",
            Self::Verdict => "verdict",
            Self::Grace => "grace",
            Self::Contest => "contest",
            Self::HandOver => "hand-over",
            Self::Command => "command",
        })
    }
}
