//! Invariants of the engine's outputs for any sequence of inputs, for the property test and the
//! fuzzer.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Engine;
use crate::events::{
    Advertisement, Announcement, Desired, DesiredRouting, Input, Output, Report, Solicitation,
};
use crate::reasons::Cause;
use crate::routing::{Routed, routed};
use crate::snapshot::RouterStatus;
use crate::time::Instant;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, State};
use crate::wire::{Advert, PRIORITY_RESIGN};

/// Maximum number of outputs of one call per router, with few receivers: a call does bounded work.
const MOST_OUTPUTS: usize = 64;

/// Follows the outputs of an engine from its start, and computes from them what the kernel holds.
#[derive(Debug, Default)]
pub struct Invariants {
    held: BTreeSet<(InterfaceIndex, InterfaceAddress)>,
    routing: BTreeSet<Routed>,
}

impl Invariants {
    /// Drains the engine and checks that only masters advertise, and that the computed kernel state
    /// equals the engine's own.
    ///
    /// # Errors
    ///
    /// The violated invariant.
    pub fn check(&mut self, engine: &mut Engine, now: Instant) -> Result<(), String> {
        let outputs: Vec<_> = core::iter::from_fn(|| engine.poll()).collect();
        let bound = MOST_OUTPUTS * (engine.states().count() + 1);
        if outputs.len() > bound {
            return Err(format!(
                "{} outputs of one call, at most {bound} expected",
                outputs.len()
            ));
        }
        let says: BTreeSet<_> = engine.held().collect();
        for output in &outputs {
            match output {
                Output::Advertise(Advertisement {
                    source,
                    destination,
                    message,
                    ..
                }) => {
                    if Family::of(*destination) != Family::of(*source) {
                        return Err(format!(
                            "advertisement from {source} to {destination}, of another family"
                        ));
                    }
                    let (priority, addresses) = read(message, *source).ok_or("a short message")?;
                    if addresses.is_empty() {
                        return Err("an advertisement without an address".to_owned());
                    }
                    let vrid = Advert::peek_vrid(message);
                    let instances = engine.snapshot(now).instances;
                    let mut with_vrid = instances
                        .iter()
                        .filter(|router| Some(router.virtual_router_id) == vrid);
                    let is_master = with_vrid.clone().any(|router| {
                        let has = |address| router.addresses.iter().any(|a| a.address == address);
                        router.state == State::Master && addresses.iter().all(|a| has(*a))
                    });
                    if priority != PRIORITY_RESIGN && !is_master {
                        let is_last_word = with_vrid
                            .any(|router| yielding(&outputs).any(|name| *name == *router.name));
                        if !is_last_word {
                            return Err(format!(
                                "a router that is not master advertises {addresses:?}"
                            ));
                        }
                    }
                }
                Output::Kernel(Desired {
                    interface,
                    hold,
                    release,
                    ..
                }) => {
                    // A release applies to the address with any prefix length.
                    for gone in release.iter() {
                        self.held
                            .retain(|(on, there)| on != interface || there.address != gone.address);
                    }
                    self.held
                        .extend(hold.iter().map(|address| (*interface, *address)));
                }
                Output::Routing(DesiredRouting {
                    router: _,
                    routes,
                    rules,
                    release,
                }) => {
                    for gone in release {
                        self.routing.remove(gone);
                    }
                    self.routing.extend(routed(routes, rules));
                }
                Output::Announce(Announcement {
                    interface,
                    addresses,
                    burst,
                    ..
                }) => {
                    if addresses.is_empty() || *burst == 0 {
                        return Err("an announcement without an address or a repetition".to_owned());
                    }
                    for address in addresses.iter() {
                        if !says.contains(&(*interface, *address)) {
                            return Err(format!("{address} is announced but not held"));
                        }
                    }
                }
                Output::Solicit(Solicitation { source, target, .. }) => {
                    if Family::of(*source) != Family::of(*target) {
                        return Err(format!(
                            "request from {source} for {target}, of another family"
                        ));
                    }
                    let has = |router: &RouterStatus| {
                        let mut addresses = router.addresses.iter();
                        let is_owner = router.priority.configured.is_owner();
                        !is_owner && addresses.any(|own| own.address == *source)
                    };
                    if engine.snapshot(now).instances.iter().any(has) {
                        return Err(format!("request from the virtual address {source}"));
                    }
                }
                Output::Report(_) | Output::Device(_) | Output::Lvs(_) => {}
            }
        }
        let states: BTreeMap<_, _> = engine.states().collect();
        for group in engine.snapshot(now).groups {
            let mut apart = group.members.iter().filter(|m| states[m] != group.state);
            if let Some(member) = apart.next() {
                let (name, state) = (group.name, group.state);
                return Err(format!(
                    "sync group {name} is {state}, but its member {member} is not"
                ));
            }
        }
        let routing: BTreeSet<_> = engine.held_routing().collect();
        let is_waiting = engine.interrupted().next().is_some();
        if !is_as_reported(&self.routing, &routing, is_waiting) {
            let held = &self.routing;
            return Err(format!(
                "the engine reports the routes and rules {routing:?}, its outputs add up to {held:?}"
            ));
        }
        if is_as_reported(&self.held, &says, is_waiting) {
            Ok(())
        } else {
            let held = &self.held;
            Err(format!(
                "the engine reports the addresses {says:?}, its outputs add up to {held:?}"
            ))
        }
    }

    /// Ticks twice and checks that the first tick does all due work, and the second does nothing.
    ///
    /// # Errors
    ///
    /// The violated invariant.
    pub fn check_tick(&mut self, engine: &mut Engine, now: Instant) -> Result<(), String> {
        engine.handle(now, Input::Tick);
        self.check(engine, now)?;
        if let Some((due, why)) = engine.poll_timeout()
            && due <= now
        {
            return Err(format!(
                "after a tick {why} is still due: the caller would loop"
            ));
        }
        engine.handle(now, Input::Tick);
        match engine.poll() {
            None => Ok(()),
            Some(output) => Err(format!("a repeated tick has an output: {output:?}")),
        }
    }
}

/// Priority and virtual addresses of a message, read without the parser. The sender's link-local
/// address at the start of an IPv6 list is left out.
fn read(message: &[u8], source: IpAddr) -> Option<(u8, Vec<IpAddr>)> {
    let [_, _, priority, count, _, _, _, _, rest @ ..] = message else {
        return None;
    };
    let count = usize::from(*count);
    let mut addresses: Vec<IpAddr> = match source {
        IpAddr::V4(_) => {
            let addresses = rest.as_chunks::<4>().0.get(..count)?;
            let addresses = addresses.iter().map(|octets| Ipv4Addr::from(*octets));
            addresses.map(IpAddr::from).collect()
        }
        IpAddr::V6(_) => {
            let addresses = rest.as_chunks::<16>().0.get(..count)?;
            let addresses = addresses.iter().map(|octets| Ipv6Addr::from(*octets));
            addresses.map(IpAddr::from).collect()
        }
    };
    if source.is_ipv6() && addresses.len() > 1 && addresses.first() == Some(&source) {
        addresses.remove(0);
    }
    Some((*priority, addresses))
}

/// Whether the outputs add up to what the engine reports. A router in its grace requests new
/// addresses and routes at the end of the grace.
fn is_as_reported<T: Ord>(held: &BTreeSet<T>, reported: &BTreeSet<T>, is_waiting: bool) -> bool {
    if is_waiting {
        held.is_subset(reported)
    } else {
        held == reported
    }
}

/// Names of the routers that yield to another master. Only these may send a final advertisement.
fn yielding(outputs: &[Output]) -> impl Iterator<Item = &str> {
    outputs.iter().filter_map(|output| {
        let Output::Report(Report::Transition(transition)) = output else {
            return None;
        };
        let to_another = matches!(
            transition.cause.root(),
            Cause::HigherPriority { .. } | Cause::HigherAddress { .. }
        );
        to_another.then_some(&*transition.router)
    })
}
