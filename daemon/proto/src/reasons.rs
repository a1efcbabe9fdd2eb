//! Reasons: the cause of a transition, and the reason of a fault. Their texts are the ones in log, status and
//! tests.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use crate::time::Human;
use crate::types::{InterfaceAddress, State};

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
    Faulted(FaultReason),
    /// The last fault_reason is gone.
    Recovered(FaultReason),
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
            Self::Faulted(fault_reason) => fault_reason.fmt(f),
            Self::Recovered(fault_reason) => write!(f, "over: {fault_reason}"),
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
pub enum FaultReason {
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
    DropFilterError(Arc<str>),
    /// What runs where the router is master does not run here, for this reason: [`Input::Inhibited`].
    Resource(Arc<str>),
    /// Another member of its sync group cannot serve.
    Member {
        /// The name of that member.
        member: Arc<str>,
        /// What keeps that one from serving.
        fault_reason: Arc<Self>,
    },
}

impl FaultReason {
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
            | Self::DropFilterError(_)
            | Self::Resource(_)
            | Self::Member { .. } => false,
        }
    }
}

impl fmt::Display for FaultReason {
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
            Self::DropFilterError(reason) => write!(
                f,
                "acceptMode is false, and packets to its addresses cannot be refused: {reason}"
            ),
            Self::Member {
                member,
                fault_reason,
            } => write!(f, "with {member}: {fault_reason}"),
        }
    }
}
