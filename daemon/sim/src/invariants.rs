//! Invariants: properties that hold after each turn, and properties of the final state.

use std::fmt;

/// Property that the simulation checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A router becomes master at the moment and for the reason that the RFCs give, and at no other.
    Transition,
    /// Every transition has a cause, and the cause is the event that really happened.
    Cause,
    /// Only a master advertises, with the correct content. A new master advertises and announces its
    /// addresses at once.
    Speaker,
    /// After its final advertisement a router sends no frame from its virtual MAC address.
    LastFrame,
    /// A master announces its addresses when its settings say so and when another router may have
    /// misled the neighbours, and at no other time.
    Announcement,
    /// A router that was not scheduled for longer than the master-down interval of the other routers
    /// waits as a backup before it advertises.
    Overslept,
    /// A rejected packet changes neither a state nor a timer.
    Rejected,
    /// A reload does not change a router with an unchanged configuration.
    Reload,
    /// A restart of the daemon changes nothing: no state, no timer, no counter and nothing in the kernel, and
    /// no frame is sent and nothing notified because of it.
    Restart,
    /// A router asks for a wake-up no later than its next deadline.
    Deadline,
    /// Time passes: the number of events at one moment is finite.
    Progress,
    /// After a turn the kernel holds exactly the configuration that the states require, and no router is
    /// master without any of its addresses because the kernel rejects them.
    Kernel,
    /// After a turn a master has its routes and rules, also after a change of addresses.
    Routing,
    /// A request of the daemon deletes no address that it does not name, and leaves no setting changed.
    Bystanders,
    /// In the final state each partition of a network has one holder of the addresses.
    OneHolder,
    /// In the final state the holder has the highest priority, unless preemption is off.
    Precedence,
    /// In the final state the neighbours have the correct entry for each address.
    Neighbours,
    /// A settled cluster makes no transitions.
    Stability,
    /// Notification commands report the present state and every stop, in order and one command at a
    /// time.
    Notification,
    /// No silence of a master that could not reach a router is taken for its absence: a router without a
    /// socket is in fault, and a backup asks for its unicast peers when it begins to listen.
    UnicastSilence,
    /// A master reports that all other masters beside it have gone: once they have been absent for as
    /// long as a backup would wait, and at no other time.
    Contest,
    /// A claim of a virtual address by another host is counted, and reported once a minute, if this
    /// router is the only master.
    AddressConflict,
    /// A short absence of an interface or an address is no fault; a longer absence is a fault.
    Grace,
    /// After the end of a daemon and `vrrpd cleanup` its kernel configuration is removed.
    Cleanup,
    /// A master that leaves on purpose holds its addresses until another router advertises, or for the
    /// longest skew time and a margin, and sends nothing meanwhile.
    HandOver,
    /// The members of a sync group are in the same state after each turn.
    Together,
    /// A backup does not take over from silence while advertisements of a master that it follows
    /// arrive at its interface, whether or not its host drops them.
    Silence,
    /// The resources of a master are started in order, once, and stopped in reverse order. Without a
    /// master none of them runs after the bound.
    Resources,
}

/// Broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: Invariant,
    /// Description of the violation.
    pub how: String,
}

impl Invariant {
    /// Creates a violation of this invariant.
    pub(crate) fn broken(self, how: impl Into<String>) -> Violation {
        Violation {
            invariant: self,
            how: how.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.how)
    }
}
