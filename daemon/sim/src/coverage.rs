//! Coverage of a run: injected faults, transitions, and combinations of states and events.

use std::collections::BTreeMap;
use std::fmt;

use vrrp_proto::State;

/// Event that can happen to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "self-explanatory names")]
pub enum Event {
    LowerPriority,
    EqualPriorityLesserAddress,
    EqualPriorityGreaterAddress,
    HigherPriority,
    Resignation,
    Rejected,
    OtherCast,
    Stranger,
    TooFar,
    Unsigned,
    Malformed,
    Untimely,
    UnknownKey,
    Forged,
    Repeated,
    Proved,
    Copied,
    Resolved,
    EarlyTick,
    Deadline,
    Overslept,
    ReloadSame,
    ReloadChanged,
    Redefined,
    Removed,
    LinkUp,
    LinkDown,
    LinkRemoved,
    AddressAdded,
    AddressRemoved,
    Routing,
    DeviceUp,
    DeviceDown,
    DeviceLost,
    DeviceStrange,
    DeviceRefused,
    ProbeWell,
    ProbeIll,
    DropFilterError,
    CanRefuse,
    Overrun,
    Stop,
    Withheld,
}

/// All events, in the order of the report.
const EVENTS: [Event; 43] = [
    Event::LowerPriority,
    Event::EqualPriorityLesserAddress,
    Event::EqualPriorityGreaterAddress,
    Event::HigherPriority,
    Event::Resignation,
    Event::Rejected,
    Event::OtherCast,
    Event::Stranger,
    Event::TooFar,
    Event::Unsigned,
    Event::Malformed,
    Event::Untimely,
    Event::UnknownKey,
    Event::Forged,
    Event::Repeated,
    Event::Proved,
    Event::Copied,
    Event::Resolved,
    Event::EarlyTick,
    Event::Deadline,
    Event::Overslept,
    Event::ReloadSame,
    Event::ReloadChanged,
    Event::Redefined,
    Event::Removed,
    Event::LinkUp,
    Event::LinkDown,
    Event::LinkRemoved,
    Event::AddressAdded,
    Event::AddressRemoved,
    Event::Routing,
    Event::DeviceUp,
    Event::DeviceDown,
    Event::DeviceLost,
    Event::DeviceStrange,
    Event::DeviceRefused,
    Event::ProbeWell,
    Event::ProbeIll,
    Event::DropFilterError,
    Event::CanRefuse,
    Event::Overrun,
    Event::Stop,
    Event::Withheld,
];

/// Kind of router in the coverage table: by family, and once more for members of sync groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
    /// Both families; a packet was received over IPv4.
    Both,
    /// Both families; the packet was received over IPv6.
    BothOverIpv6,
    /// Member of a sync group, with any families.
    Member,
}

const KINDS: [Kind; 5] = [
    Kind::Ipv4,
    Kind::Ipv6,
    Kind::Both,
    Kind::BothOverIpv6,
    Kind::Member,
];

/// States of a running router.
const STATES: [State; 3] = [State::Backup, State::Master, State::Fault];

/// Counts of combinations, transitions and injected faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    met: BTreeMap<(Kind, State, Event), u64>,
    transitions: BTreeMap<(State, State, String), u64>,
    faults: BTreeMap<String, u64>,
    /// Number of times that the invariants of the final state were checked.
    pub ends: u64,
}

impl Coverage {
    pub(crate) fn meet(&mut self, kind: Kind, state: State, event: Event) {
        *self.met.entry((kind, state, event)).or_default() += 1;
    }

    pub(crate) fn transition(&mut self, from: State, to: State, cause: String) {
        *self.transitions.entry((from, to, cause)).or_default() += 1;
    }

    pub(crate) fn fault(&mut self, name: &str) {
        match self.faults.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.faults.insert(name.to_owned(), 1)),
        }
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.met {
            *self.met.entry(*what).or_default() += count;
        }
        for (transition, count) in &other.transitions {
            *self.transitions.entry(transition.clone()).or_default() += count;
        }
        for (fault, count) in &other.faults {
            *self.faults.entry(fault.clone()).or_default() += count;
        }
        self.ends += other.ends;
    }

    /// Returns the combinations of kind, state and event that have to occur and have not.
    pub fn missing(&self) -> Vec<(Kind, State, Event)> {
        KINDS
            .into_iter()
            .flat_map(|kind| STATES.map(|state| (kind, state)))
            .flat_map(|(kind, state)| EVENTS.map(|event| (kind, state, event)))
            .filter(|(kind, state, event)| has_to_meet(*kind, *state, *event))
            .filter(|what| !self.met.contains_key(what))
            .collect()
    }
}

/// Whether an event can happen in a state. A router in fault has no deadline, so it can neither reach
/// one nor miss it.
const fn can_meet(kind: Kind, state: State, event: Event) -> bool {
    let is_packet = matches!(
        event,
        Event::LowerPriority
            | Event::EqualPriorityLesserAddress
            | Event::EqualPriorityGreaterAddress
            | Event::HigherPriority
            | Event::Resignation
            | Event::Rejected
    ) || is_about_trust(event);
    (is_packet || !matches!(kind, Kind::BothOverIpv6))
        && !matches!(
            (state, event),
            (State::Fault, Event::Deadline | Event::Overslept)
                | (State::Master | State::Fault, Event::Withheld)
        )
}

/// Whether an event is a packet that is judged by its sender: by peers or by keys.
const fn is_about_trust(event: Event) -> bool {
    matches!(
        event,
        Event::OtherCast
            | Event::Stranger
            | Event::TooFar
            | Event::Unsigned
            | Event::Malformed
            | Event::Untimely
            | Event::UnknownKey
            | Event::Forged
            | Event::Repeated
            | Event::Proved
            | Event::Copied
    )
}

/// Whether a combination has to occur in a campaign. An event that does not depend on the family has to
/// occur for one family only.
const fn has_to_meet(kind: Kind, state: State, event: Event) -> bool {
    // Peers, keys and names work the same in all families and states.
    let is_unheard = is_about_trust(event) || matches!(event, Event::Resolved);
    let is_of_all = matches!(state, State::Fault)
        || matches!(
            event,
            Event::DropFilterError | Event::CanRefuse | Event::DeviceStrange | Event::DeviceRefused
        )
        || is_unheard;
    // The node repeats a rejected request for an interface, and does not know groups.
    let is_of_node = matches!(event, Event::DeviceRefused);
    can_meet(kind, state, event)
        && (!is_of_all || matches!(kind, Kind::Ipv4 | Kind::Member))
        && (!is_of_node || matches!(kind, Kind::Ipv4))
        && !(is_unheard && matches!(state, State::Fault))
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in KINDS {
            let title = format!("event, {kind:?}");
            writeln!(
                f,
                "{title:<30}{:>12}{:>12}{:>12}",
                "backup", "master", "fault"
            )?;
            for event in EVENTS {
                if !STATES.iter().any(|state| can_meet(kind, *state, event)) {
                    continue;
                }
                write!(f, "{:<30}", format!("{event:?}"))?;
                for state in STATES {
                    match self.met.get(&(kind, state, event)) {
                        Some(count) => write!(f, "{count:>12}")?,
                        None if has_to_meet(kind, state, event) => write!(f, "{:>12}", "NEVER")?,
                        None => write!(f, "{:>12}", "-")?,
                    }
                }
                writeln!(f)?;
            }
            writeln!(f)?;
        }
        writeln!(f, "transition")?;
        for ((from, to, cause), count) in &self.transitions {
            writeln!(f, "{:<54}{count:>12}", format!("{from} -> {to} ({cause})"))?;
        }
        writeln!(f, "\ninjected faults and events")?;
        for (fault, count) in &self.faults {
            writeln!(f, "{fault:<54}{count:>12}")?;
        }
        write!(f, "\n{:<54}{:>12}", "checks of the final state", self.ends)
    }
}
