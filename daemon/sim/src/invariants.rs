//! What may never happen, and what has to happen in the end.

use std::fmt;

/// A law of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Whom the RFCs make master becomes it, at that moment and not before, and for that reason.
    Transition,
    /// Every transition has a cause, which is what really happened.
    Cause,
    /// Only a master speaks; it says what it is; a new one says it and announces its addresses.
    Speaker,
    /// A master announces its addresses when its settings say so and after somebody else may have
    /// misled the neighbours, and not at other times.
    Announcement,
    /// Whoever stood still for longer than others wait does not speak before it has listened.
    Overslept,
    /// What must not be believed changes nothing.
    Rejected,
    /// A reload changes nothing of what it does not concern.
    Reload,
    /// A router wants to be woken when its time comes.
    Deadline,
    /// Time passes: no moment holds events without end.
    Progress,
    /// What the kernel holds is what the states say, as soon as a turn is over.
    Kernel,
    /// In the end one holds the addresses, in each part of a network.
    OneHolder,
    /// In the end it is the one of the highest precedence, unless preemption is off.
    Precedence,
    /// In the end the neighbours know where the addresses are.
    Neighbours,
    /// Where nothing happens nobody moves.
    Stability,
    /// Who is told of transitions is told of the present state when the turn comes, of every stop,
    /// in order and one at a time.
    Notification,
    /// A short absence of an interface or an address is no fault, and a longer one is.
    Grace,
    /// What a dead daemon left is taken away.
    Cleanup,
    /// The members of a sync group are in one state as soon as a turn is over.
    Together,
    /// What follows a master comes in order and leaves in reverse, once, and runs nowhere else after
    /// the bound.
    Resources,
}

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// How.
    pub how: String,
}

impl Invariant {
    /// This law is broken.
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
