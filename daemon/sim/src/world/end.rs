//! Invariants of the whole world: of each kernel after a turn, and of all stations in the final state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::params::{HmacMode, LvsSync};
use vrrp_proto::routing::Routed;
use vrrp_proto::{
    Cause, Family, Instant, InterfaceAddress, InterfaceIndex, Link, LvsRole, MacAddress, State,
    Transition, Version, Vrid,
};

use super::configured::{configurations, configured, dialect, entangled};
use super::neighbours::AGAIN;
use super::{Happening, World, station};
use crate::foreign;
use crate::host::Host;
use crate::invariants::{Invariant, Violation};
use crate::kernel::Added;
use crate::network::Station;
use crate::oracle::{Oracle, UNRESOLVED, Watched};
use crate::records::Datagram;
use crate::scenario::{
    Action, Config, Make, RouterConfig, SEGMENTS, Scenario, Step, interface_name, physical_mac,
    virtual_mac,
};

/// Time in addition to that of the protocol: delays, late wake-ups, and the second look after a
/// rejected request.
const SLACK: Duration = Duration::from_millis(1_050);

/// Station that shares a virtual router, with its properties for the invariants of the final state.
pub(super) struct Member {
    pub(super) station: Station,
    pub(super) is_master: bool,
    /// Whether the router is neither master nor backup.
    pub(super) is_idle: bool,
    /// Seconds that the wall clock is ahead.
    clock: i16,
    pub(super) priority: u8,
    pub(super) preempts: bool,
    /// Source addresses of its advertisements.
    sources: BTreeMap<Family, IpAddr>,
    /// Destinations of its advertisements.
    receivers: BTreeMap<Family, BTreeSet<IpAddr>>,
    /// Addresses under which it receives packets.
    addresses: BTreeSet<IpAddr>,
    /// Senders that it receives without interruption, and therefore with any clock.
    continuing: BTreeSet<IpAddr>,
    pub(super) config: RouterConfig,
}

impl Member {
    pub(super) fn new(
        now: Instant,
        host: &Host,
        oracle: &Oracle,
        (name, router): (&str, &Watched),
    ) -> Self {
        let config = &router.config;
        Self {
            continuing: router.continuing(host.clock.shows(now)).collect(),
            sources: host.sources(name),
            receivers: router.receivers.clone(),
            addresses: host.kernel.addresses().map(|(_, a, _)| a.address).collect(),
            is_idle: matches!(router.state(), State::Fault | State::Init),
            clock: host.ahead,
            station: host.id,
            is_master: router.state() == State::Master,
            priority: oracle.priority(config),
            preempts: config.preempt || config.priority == 255,
            config: config.clone(),
        }
    }

    /// Whether the protocol cannot order two members: they have the same address and the same priority.
    pub(super) fn is_twin(&self, other: &Self) -> bool {
        self.station != other.station
            && self.priority == other.priority
            && self
                .sources
                .iter()
                .any(|(family, source)| other.sources.get(family) == Some(source))
    }

    /// Whether the member cannot hold the addresses of one family because of a master of the other
    /// family. An instance of both families has one state for both.
    fn is_held_back(&self, family: Family, group: &[&Self]) -> bool {
        self.config.is_dual()
            && group.iter().any(|other| {
                other.is_master
                    && !other.config.speaks(family)
                    && (other.priority >= self.priority || !self.preempts)
            })
    }
}

/// Mutual reception of two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// Each accepts the other's advertisements, in all common families.
    Mutual,
    /// Neither accepts the other's advertisements.
    None,
    /// Only one accepts the other's advertisements, or only in one of the families.
    Lopsided,
}

impl Hearing {
    /// Result by the configurations, addresses and clocks; partitions of the networks are not
    /// considered.
    fn between(one: &Member, other: &Member) -> Option<Self> {
        let common = Family::ALL
            .into_iter()
            .filter(|family| one.config.speaks(*family) && other.config.speaks(*family));
        let ways: Vec<bool> = common
            .flat_map(|family| [one.hears(other, family), other.hears(one, family)])
            .collect();
        let count = ways.iter().filter(|hears| **hears).count();
        match count {
            _ if ways.is_empty() => None,
            0 => Some(Self::None),
            count if count == ways.len() => Some(Self::Mutual),
            _ => Some(Self::Lopsided),
        }
    }
}

impl Member {
    /// Whether the member accepts the advertisements of another one in a family.
    fn hears(&self, other: &Self, family: Family) -> bool {
        if dialect(&self.config) != dialect(&other.config) {
            return false;
        }
        let knows = |one: &Self, is: &dyn Fn(&IpAddr) -> bool| {
            let receivers = one.receivers.get(&family);
            receivers.is_some_and(|receivers| receivers.iter().any(is))
        };
        let is_sender = |known: &IpAddr| other.sources.get(&family) == Some(known);
        let is_here = |known: &IpAddr| self.addresses.contains(known);
        let continues = || {
            let source = other.sources.get(&family);
            source.is_some_and(|source| self.continuing.contains(source))
        };
        let proves = match (&self.config.hmac, other.config.signs()) {
            (None, _) => true,
            (Some(own), Some(theirs)) => {
                let apart = self.clock.abs_diff(other.clock);
                let is_timely = own.window == 0 || apart <= own.window;
                own.accepts(theirs.active) && (is_timely || continues())
            }
            (Some(own), None) => own.mode != HmacMode::Enforce,
        };
        if !proves {
            return false;
        }
        match (&self.config.unicast, &other.config.unicast) {
            (None, None) => true,
            (Some(own), Some(theirs)) => {
                theirs.ttl >= own.min_ttl && knows(self, &is_sender) && knows(other, &is_here)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

impl World<'_> {
    /// Checks that the status of a router does not say `unsent` after an advertisement was sent.
    pub(super) fn check_heard(
        &self,
        id: Station,
        segment: u8,
        source: IpAddr,
        message: &[u8],
    ) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        // A snapshot takes long.
        let process = host.process.as_ref();
        let process = process.filter(|_| host.kernel.has_dropped_output());
        let status = process.map(|process| process.node.engine().snapshot(self.now));
        let (interface, family) = (interface_name(segment), Family::of(source));
        for router in status.iter().flat_map(|status| &status.instances) {
            let is_it = *router.interface == *interface
                && Some(router.virtual_router_id.get()) == message.get(1).copied();
            if is_it && router.unsent.iter().any(|unsent| unsent.family == family) {
                return Err(Invariant::Kernel.broken(format!(
                    "host {id}: {} sent an advertisement, and its status content that none leaves",
                    router.name
                )));
            }
        }
        Ok(())
    }

    /// Checks that a master holds at least one of its addresses while the kernel rejects them.
    pub(super) fn check_serving(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let kernel = &host.kernel;
        // An interface of a virtual MAC address may be missing while the kernel creates none.
        let is_clear = kernel.forbids() && kernel.is_willing() && !kernel.has_news();
        let Some(process) = host.process.as_ref().filter(|_| is_clear) else {
            return Ok(());
        };
        let interrupted = host.interrupted();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            let mut own = router.config.virtual_addresses().peekable();
            let oracle = &self.witnesses[usize::from(id)];
            // Another program may have an interface of the name.
            let is_homeless = |own: &InterfaceAddress| !oracle.has_home(&router.config, *own);
            let is_pending =
                |own: &InterfaceAddress| kernel.rejected_in_passing(*own) && !process.is_content();
            let is_excused = |own: &InterfaceAddress| {
                kernel.has_anywhere(*own) || is_homeless(own) || is_pending(own)
            };
            if router.state() != State::Master
                || interrupted.contains(name)
                || own.peek().is_none()
                || own.any(|own| is_excused(&own))
            {
                continue;
            }
            let how = format!("host {id}: {name} is master without any of its addresses");
            return Err(Invariant::Kernel.broken(how));
        }
        Ok(())
    }

    /// Checks that the kernel has exactly the configuration that the states require after a turn.
    pub(super) fn check_kernel(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let Some(process) = &host.process else {
            return Ok(());
        };
        // Rejected requests and unread notifications are handled in a later turn.
        if !process.is_content() || host.kernel.has_news() || !host.kernel.is_willing() {
            return Ok(());
        }
        self.check_drop_rules(id)?;
        self.check_routing(id)?;
        self.check_devices(id)?;
        self.check_synchronisation(id)?;
        let interrupted = host.interrupted();
        let mut wanted: BTreeSet<(InterfaceIndex, InterfaceAddress)> = BTreeSet::new();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            let config = &router.config;
            let Some(link) = host.kernel.link(config.segment) else {
                continue;
            };
            let is_master = router.state() == State::Master;
            let is_here = *link.name == *interface_name(config.segment);
            for address in config.virtual_addresses() {
                let home = match config.device(address.family()) {
                    None => link,
                    Some(device) => match host.kernel.macvlan(config.segment, &device) {
                        Some(device) => device,
                        None => continue,
                    },
                };
                let keeps = router.keeps(address.family());
                if is_master || keeps {
                    wanted.insert((home.index, address));
                }
                let has_to_hold = is_master || router.has_to_keep(address.family());
                // The host answers for the address with any prefix length.
                let mut forms = host
                    .kernel
                    .addresses()
                    .filter(|(on, held, _)| *on == home.index && held.address == address.address);
                let is_interrupted = interrupted.contains(name);
                let broken = match (has_to_hold, forms.next()) {
                    (true, _) if is_interrupted => None,
                    (true, _) if !host.kernel.has(home.index, address) => Some("is missing"),
                    (false, Some((.., ours))) if is_here && !keeps => {
                        // On an interface that is down the address does no harm.
                        let spared = config.priority == 255
                            || home.index == link.index
                                && !has_own(host, config.segment, address.family())
                            || !link.up
                            || !link.carrier;
                        (ours && host.spec.marks || !spared).then_some("is present")
                    }
                    (true | false, Some(_) | None) => None,
                };
                if let Some(what) = broken {
                    let state = router.state();
                    return Err(Invariant::Kernel.broken(format!(
                        "host {id}: {name} is {state}, but {address} {what}"
                    )));
                }
            }
        }
        if !host.spec.marks {
            return Ok(());
        }
        // An interface for a virtual MAC address that is renamed in a grace period keeps its addresses
        // until its end.
        let is_interrupted = |address: InterfaceAddress| {
            let mut routers = self.witnesses[usize::from(id)].routers();
            routers.any(|(name, router)| {
                let mut own = router.config.virtual_addresses();
                interrupted.contains(name) && own.any(|own| own == address)
            })
        };
        let mut held = host.kernel.addresses();
        if let Some((_, address, _)) = held.find(|(on, address, ours)| {
            *ours && !wanted.contains(&(*on, *address)) && !is_interrupted(*address)
        }) {
            return Err(Invariant::Kernel
                .broken(format!("host {id}: holds {address} without a master of it")));
        }
        match host.kernel.own_behind_ours() {
            Some(own) if interrupted.is_empty() => Err(Invariant::Kernel.broken(format!(
                "host {id}: its own address {own} is behind a virtual one of its network"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks the interfaces with virtual MAC addresses after a turn: each configured one exists and is
    /// up on a master. Once the device reaper is idle, the other configured ones are down, and no
    /// further ones exist.
    fn check_devices(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let is_cleared = host
            .process
            .as_ref()
            .is_none_or(|p| p.own.device_reaper.is_idle());
        let interrupted = host.interrupted();
        let mut wanted = BTreeSet::new();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            let config = &router.config;
            let is_master = router.state() == State::Master;
            for family in Family::ALL {
                let Some(device) = config.device(family) else {
                    continue;
                };
                wanted.insert(Arc::clone(&device));
                let is_left_alone = router.keeps(family) && !router.has_to_keep(family);
                if interrupted.contains(name) || is_left_alone {
                    continue;
                }
                let is_master = is_master || router.keeps(family);
                // The device reaper deletes the interface of a router that was stopped.
                if router.state() == State::Init && !is_master {
                    continue;
                }
                let link = host.kernel.link(config.segment);
                let is_here =
                    link.is_some_and(|link| *link.name == *interface_name(config.segment));
                let broken = match host.kernel.macvlan(config.segment, &device) {
                    None => is_here.then_some("is missing"),
                    Some(made) if made.mac != config.mac(family) => {
                        Some("has a different MAC address")
                    }
                    Some(made) if is_master && !made.up => Some("is down"),
                    Some(made) if is_master && host.kernel.is_blocked(made.index) => {
                        Some("is blocked")
                    }
                    Some(made) if !is_master && made.up && is_cleared => Some("is up"),
                    Some(_) => None,
                };
                if let Some(what) = broken {
                    return Err(Invariant::Kernel.broken(format!(
                        "host {id}: {name} is {}, but {device} {what}",
                        router.state()
                    )));
                }
            }
        }
        let mut left = own_devices(host).filter(|link| !wanted.contains(&link.name));
        match left.next() {
            Some(link) if is_cleared => Err(Invariant::Kernel.broken(format!(
                "host {id}: interface {} belongs to no configured router",
                link.name
            ))),
            _ => Ok(()),
        }
    }

    /// Checks that the kernel of a host sends from a virtual MAC address only while the router is master. The
    /// switches take the last sender of a frame for the master.
    pub(super) fn check_reports(&mut self, id: Station) -> Result<(), Violation> {
        let host = &mut self.hosts[usize::from(id)];
        let reports = host.kernel.take_reports();
        // What the kernel does without a daemon is not the daemon's doing.
        if host.process.is_none() {
            return Ok(());
        }
        for link in reports {
            let mut routers = self.witnesses[usize::from(id)].routers();
            let serves = routers.any(|(_, router)| {
                let is_its = |family| {
                    let device = router.config.device(family);
                    device.is_some_and(|device| device == link.name)
                };
                let holds = |family| router.state() == State::Master || router.keeps(family);
                Family::ALL
                    .into_iter()
                    .any(|family| is_its(family) && holds(family))
            });
            // Without its name an interface is not recognised as the daemon's.
            let mut ours = own_devices(&self.hosts[usize::from(id)]);
            let is_ours = ours.any(|own| own.index == link.index);
            if is_ours && !serves {
                return Err(Invariant::LastFrame.broken(format!(
                    "host {id}: sends from {} ({:?}) without a master there",
                    link.name, link.mac
                )));
            }
        }
        Ok(())
    }

    /// Checks the hardware address of an announcement: the virtual MAC address if the router has one,
    /// else that of the interface.
    pub(super) fn check_announced(
        &self,
        id: Station,
        segment: u8,
        address: IpAddr,
        mac: MacAddress,
    ) -> Result<(), Violation> {
        let mut routers = self.witnesses[usize::from(id)].routers();
        let holder = routers.find(|(_, router)| {
            let mut own = router.config.virtual_addresses();
            router.config.segment == segment && own.any(|own| own.address == address)
        });
        let Some((name, router)) = holder else {
            return Ok(());
        };
        let physical = physical_mac(segment, id);
        if router.keeps(Family::of(address)) {
            return Err(Invariant::HandOver.broken(format!(
                "host {id}: {name} hands over, and announces {address}"
            )));
        }
        let right = router.config.mac(Family::of(address)).unwrap_or(physical);
        if mac == right {
            return Ok(());
        }
        Err(Invariant::Announcement.broken(format!(
            "host {id}: {name} announces {address} at {mac} instead of {right}"
        )))
    }

    /// Checks at any moment, even when the kernel rejects requests: the daemon changes no interface of
    /// another program, and with `accept` off an address is added only after its drop rule.
    pub(super) fn check_came(&mut self, id: Station) -> Result<(), Violation> {
        if let Some(what) = self.hosts[usize::from(id)].kernel.take_trespass() {
            return Err(Invariant::Kernel.broken(format!(
                "host {id}: changed an interface of another program: {what}"
            )));
        }
        self.check_bystanders(id)?;
        let added = self.hosts[usize::from(id)].kernel.take_added();
        let interrupted = self.hosts[usize::from(id)].interrupted();
        for Added {
            address,
            refused,
            is_first,
        } in added
        {
            let mut routers = self.witnesses[usize::from(id)].routers();
            let holder = routers.find(|(_, router)| {
                let mut own = router.config.virtual_addresses();
                own.any(|own| own == address)
            });
            let Some((name, router)) = holder else {
                continue;
            };
            let config = &router.config;
            if !refused && !config.accepts() {
                return Err(Invariant::Kernel.broken(format!(
                    "host {id}: {name} has accept off, and {address} was added before its drop rule"
                )));
            }
            // The next own address would be a secondary one.
            if is_first && interrupted.contains(name) && config.priority < 255 {
                return Err(Invariant::Grace.broken(format!(
                    "host {id}: {name} waits for an address of the host, and {address} was added before it"
                )));
            }
        }
        Ok(())
    }

    /// Checks that the daemon deleted no address that it did not name, and left no setting changed.
    pub(super) fn check_bystanders(&mut self, id: Station) -> Result<(), Violation> {
        let kernel = &mut self.hosts[usize::from(id)].kernel;
        if let Some(address) = kernel.take_taken_along().first() {
            return Err(Invariant::Bystanders.broken(format!(
                "host {id}: {address} was deleted together with an address that the daemon deleted"
            )));
        }
        if kernel.is_promotion_left() {
            return Err(Invariant::Bystanders.broken(format!(
                "host {id}: the daemon has turned promote_secondaries on and left it"
            )));
        }
        Ok(())
    }

    /// Checks that after a turn exactly the addresses that a master does not accept have a drop rule.
    fn check_drop_rules(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let interrupted = host.interrupted();
        let mut wanted = BTreeSet::new();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            if router.config.accepts() {
                continue;
            }
            let is_master = router.state() == State::Master;
            for address in router.config.virtual_addresses() {
                let family = address.family();
                if !is_master && !router.keeps(family) {
                    continue;
                }
                wanted.insert(address.address);
                if !is_master && !router.has_to_keep(family) {
                    continue;
                }
                if !interrupted.contains(name) && !host.kernel.refuses(address.address) {
                    return Err(Invariant::Kernel.broken(format!(
                        "host {id}: {name} has accept off, and {address} has no drop rule"
                    )));
                }
            }
        }
        match host.kernel.refused().find(|ip| !wanted.contains(ip)) {
            Some(ip) => Err(Invariant::Kernel.broken(format!(
                "host {id}: drop rule for {ip} without a master that needs it"
            ))),
            None => Ok(()),
        }
    }

    /// Checks that after a turn the kernel has exactly the routes and rules of the masters with the
    /// daemon's mark.
    fn check_routing(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let Some(process) = &host.process else {
            return Ok(());
        };
        if !process.node.engine().has_routing() {
            // Without configured routes the daemon ignores routing notifications.
            return Ok(());
        }
        let interrupted = host.interrupted();
        let mut wanted: BTreeSet<Routed> = BTreeSet::new();
        let mut undecided: BTreeSet<Routed> = BTreeSet::new();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            let config = &router.config;
            let is_master = router.state() == State::Master;
            let holds = |family| is_master || router.keeps(family);
            let is_interrupted = interrupted.contains(name);
            for route in config.kernel_routes() {
                let family = route.place().destination.family();
                if !holds(family) {
                    continue;
                }
                // A router that hands over repairs nothing.
                let is_interrupted = is_interrupted || !is_master && !router.has_to_keep(family);
                let source = route.source();
                let gateway = route.next_hops()[0].gateway();
                let mut there = host.kernel.routes().iter();
                let is_it = there.any(|known| {
                    known.place == route.place()
                        && known.source == source
                        && known.legs.iter().all(|leg| leg.gateway == gateway)
                });
                if is_it {
                    wanted.insert(Routed::Route(route.place()));
                } else if is_interrupted {
                    // A route put there by hand stays until the interruption ends.
                    undecided.insert(Routed::Route(route.place()));
                } else {
                    return Err(Invariant::Routing.broken(format!(
                        "host {id}: {name} is master, but the route {route} is missing"
                    )));
                }
            }
            for rule in config.kernel_rules() {
                let family = rule.family();
                if is_master || router.has_to_keep(family) {
                    wanted.insert(Routed::Rule(rule));
                } else if router.keeps(family) {
                    undecided.insert(Routed::Rule(rule));
                }
            }
        }
        let held: BTreeSet<Routed> = host.kernel.routed().collect();
        let mut differing = wanted.symmetric_difference(&held);
        match differing.find(|what| !undecided.contains(what)) {
            None => Ok(()),
            Some(what) if held.contains(what) => Err(Invariant::Routing.broken(format!(
                "host {id}: holds the {what} without a master of it"
            ))),
            Some(what) => {
                Err(Invariant::Routing
                    .broken(format!("host {id}: the {what} of a master is missing")))
            }
        }
    }

    /// Checks that after a turn the only IPVS sync daemon is the one for the state of the followed
    /// router.
    fn check_synchronisation(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let oracle = &self.witnesses[usize::from(id)];
        let config = oracle.config();
        let sync = config.sync();
        let state = config.synchronised.as_ref().and_then(|name| {
            let (_, router) = oracle.routers().find(|(known, _)| *known == name)?;
            Some(match router.is_leaving() {
                true => State::Master,
                false => router.state(),
            })
        });
        let role = state.and_then(|state| match state {
            State::Master => Some(LvsRole::Master),
            State::Backup | State::Fault => Some(LvsRole::Backup),
            State::Init => None,
        });
        let segment = (0..SEGMENTS).find(|segment| {
            let names = |sync: &Arc<LvsSync>| *sync.interface == *interface_name(*segment);
            let is_named_so = |link: &Link| *link.name == *interface_name(*segment);
            sync.as_ref().is_some_and(names) && host.kernel.link(*segment).is_some_and(is_named_so)
        });
        let wanted = role.filter(|_| segment.is_some()).zip(sync);
        let there = host.kernel.threads();
        let is_so = match &wanted {
            None => there.iter().all(|it| host.orphans.contains(it)),
            Some((role, sync)) => matches!(there, [it] if it.role == *role && it.sync == **sync),
        };
        if is_so {
            return Ok(());
        }
        Err(Invariant::Kernel.broken(format!(
            "host {id}: IPVS sync daemons: expected {wanted:?}, found {there:?}"
        )))
    }

    /// Checks that no advertisement of a living master arrived during the silence because of which a router
    /// becomes master. Called before the oracle follows the turn, in which the host may have been `reloaded`.
    pub(super) fn check_silence(
        &self,
        id: Station,
        reloaded: Option<&Config>,
        transition: &Transition,
    ) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let oracle = &self.witnesses[usize::from(id)];
        let name = &*transition.router;
        let router = oracle.routers().find(|(known, _)| **known == *name);
        let (Cause::Silence { .. }, Some((_, router))) = (&transition.cause, router) else {
            return Ok(());
        };
        // Without a link a router judges by itself, and what arrived before says nothing of the present.
        let link = host.kernel.link(router.config.segment);
        let has_link = link.is_some_and(|link| link.up && link.carrier);
        if !router.config.trust_wire || router.config.hmac.is_some() || !has_link {
            return Ok(());
        }
        let index = host.kernel.on(router.config.segment);
        let now = host.clock.shows(self.now);
        // A reload may have removed the family of a living master.
        let new = reloaded.and_then(|config| config.routers.get(name));
        let speaks = |packet: &Datagram| new.is_none_or(|new| new.speaks(packet.family()));
        for arrival in host
            .arrivals
            .iter()
            .filter(|arrival| Some(arrival.interface) == index && speaks(&arrival.packet))
        {
            let Some((content, least)) = oracle.follows(router, arrival.at, &arrival.packet) else {
                continue;
            };
            // With a margin for the time at which the watch began.
            let is_living = now.since(arrival.at) < least * 9 / 10;
            let resigned = host.arrivals.iter().any(|later| {
                later.at >= arrival.at
                    && later.packet.source == arrival.packet.source
                    && later
                        .packet
                        .content
                        .is_some_and(|content| content.priority == 0)
            });
            if is_living && !resigned {
                return Err(Invariant::Silence.broken(format!(
                    "host {id}: {name} takes over from silence, but {content:?} from {} arrived at {:?}",
                    arrival.packet.source, arrival.at
                )));
            }
        }
        Ok(())
    }

    /// Checks the effect of a cleanup that has just ended. On a kernel without marks too, the daemon's
    /// addresses are gone, except those that the configuration no longer has and those without which the
    /// interface may have none.
    pub(super) fn check_cleaned(&mut self, id: Station) -> Result<(), Violation> {
        self.check_bystanders(id)?;
        self.check_clean(id)?;
        let host = &self.hosts[usize::from(id)];
        let routers = || host.config.routers.values();
        let left = host.kernel.addresses().find(|(on, held, ours)| {
            // The configuration names interfaces.
            let is_here = |segment: u8| {
                host.kernel.on(segment) == Some(*on)
                    && host
                        .kernel
                        .link(segment)
                        .is_some_and(|link| *link.name == *interface_name(segment))
            };
            let is_wanted = routers().any(|router| {
                let mut addresses = router.virtual_addresses();
                router.priority != 255
                    && router.behind.is_own()
                    && is_here(router.segment)
                    && has_own(host, router.segment, held.family())
                    && addresses.any(|address| address.address == held.address)
            });
            *ours && is_wanted
        });
        match left {
            Some((_, address, _)) => {
                Err(Invariant::Cleanup.broken(format!("host {id}: {address} left by the cleanup")))
            }
            None => Ok(()),
        }
    }

    /// Checks that a host without a daemon has no kernel configuration of it.
    pub(super) fn check_clean(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        if host.kernel.has_table() {
            return Err(
                Invariant::Cleanup.broken(format!("host {id}: drop rules left without a daemon"))
            );
        }
        if host.kernel.accepts_own_sources() {
            return Err(
                Invariant::Cleanup.broken(format!("host {id}: accept_local left without a daemon"))
            );
        }
        if let Some(what) = host.kernel.routed().next() {
            return Err(
                Invariant::Cleanup.broken(format!("host {id}: {what} left without a daemon"))
            );
        }
        if let Some(link) = own_devices(host).next() {
            return Err(Invariant::Cleanup.broken(format!(
                "host {id}: interface {} left without a daemon",
                link.name
            )));
        }
        let mut threads = host.kernel.threads().iter();
        if let Some(thread) = threads.find(|it| !host.orphans.contains(it)) {
            return Err(
                Invariant::Cleanup.broken(format!("host {id}: {thread:?} left without a daemon"))
            );
        }
        if !host.spec.marks {
            return Ok(());
        }
        match host.kernel.addresses().find(|(_, _, ours)| *ours) {
            Some((_, address, _)) => {
                Err(Invariant::Cleanup
                    .broken(format!("host {id}: {address} left without a daemon")))
            }
            None => Ok(()),
        }
    }

    /// Checks the invariants of the final state, if the world has had enough time to settle.
    pub(super) fn look(&mut self, key: (u8, u8)) -> Result<(), Violation> {
        let Some(bound) = self.bounds.get(&key).copied() else {
            return Ok(());
        };
        let due = self.stable_since + bound;
        if due > self.now {
            // Another event happened after the check was scheduled.
            self.arrange(due.since(self.now), Happening::Look(key));
            return Ok(());
        }
        self.is_looked_after = false;
        if !self.is_settled(key) {
            return Ok(());
        }
        if self.is_entangled(key) {
            return self.look_together(key);
        }
        self.coverage.ends += 1;
        for id in 0..station(self.hosts.len()) {
            let host = &self.hosts[usize::from(id)];
            if host.process.is_none() && host.powered && !host.suspended {
                self.check_clean(id)?;
            }
        }
        if self.is_unheard(key) {
            return Ok(());
        }
        let members = self.members(key);
        if let Some(idle) = members.iter().find(|member| member.is_idle) {
            return Err(Invariant::OneHolder.broken(format!(
                "host {}: could serve VRID {} on {} and is neither master nor backup",
                idle.station, key.1, key.0
            )));
        }
        let groups = self.groups(key, &members);
        for group in &groups {
            if is_of_one_mind(group) {
                self.check_group(key, group, groups.len() == 1)?;
            }
        }
        Ok(())
    }

    /// Whether a router has a link, and no own address since the link was lost.
    fn is_unheard(&self, (segment, vrid): (u8, u8)) -> bool {
        self.hosts
            .iter()
            .zip(&self.witnesses)
            .any(|(host, oracle)| {
                let mut routers = oracle.routers().map(|(_, router)| router);
                host.kernel.carries(segment)
                    && routers.any(|router| {
                        (router.config.segment, router.config.vrid) == (segment, vrid)
                            && router.is_unlinked
                    })
            })
    }

    /// Whether all usable stations of a virtual router, and of those that share a group with it, accept
    /// each other's advertisements, apart from partitions of the networks.
    pub(super) fn is_mutual(&self, key: (u8, u8)) -> bool {
        let entangled = self.entangled.iter().find(|keys| keys.contains(&key));
        let mut keys = entangled.into_iter().flatten().chain([&key]);
        keys.all(|key| {
            let members = self.members(*key);
            is_of_one_mind(&members.iter().collect::<Vec<_>>())
        })
    }

    /// Splits the members into groups that are connected by reception, in one direction at least and within a
    /// partition.
    fn groups<'m>(&self, (segment, _): (u8, u8), members: &'m [Member]) -> Vec<Vec<&'m Member>> {
        let mut groups: Vec<Vec<&Member>> = Vec::new();
        let side = |member: &Member| self.segment(segment).side_of(member.station);
        for member in members {
            let is_near = |other: &Member| {
                side(member) == side(other)
                    && !matches!(Hearing::between(member, other), None | Some(Hearing::None))
            };
            let mut group = vec![member];
            for near in groups.extract_if(.., |group| group.iter().any(|other| is_near(other))) {
                group.extend(near);
            }
            groups.push(group);
        }
        groups
    }

    /// Stations that can serve a virtual router.
    fn members(&self, (segment, vrid): (u8, u8)) -> Vec<Member> {
        let mut members = Vec::new();
        for (host, oracle) in self.hosts.iter().zip(&self.witnesses) {
            if !host.runs() || host.is_stopping() {
                continue;
            }
            for (name, router) in oracle.routers() {
                let config = &router.config;
                if (config.segment, config.vrid) != (segment, vrid) {
                    continue;
                }
                let is_kept = oracle.is_kept_by_tracker(config) || oracle.is_barred(name);
                if !is_usable(host, config) || is_kept {
                    continue;
                }
                members.push(Member::new(self.now, host, oracle, (name, router)));
            }
        }
        for (index, router) in self.foreign.iter().enumerate() {
            let config = router.config();
            if (config.segment, config.vrid) == (segment, vrid)
                && router.state != foreign::State::Initialize
            {
                members.push(Member {
                    sources: BTreeMap::from([(router.family(), router.source())]),
                    receivers: BTreeMap::from([(router.family(), router.receivers.clone())]),
                    addresses: BTreeSet::from([router.source()]),
                    is_idle: false,
                    clock: 0,
                    continuing: BTreeSet::new(),
                    station: station(self.hosts.len() + index),
                    is_master: router.state == foreign::State::Active,
                    priority: config.priority,
                    preempts: config.preempt || config.priority == 255,
                    config: config.clone(),
                });
            }
        }
        members
    }

    /// Whether the neighbours of a segment may be misled: by other virtual routers, by other dialects,
    /// by other makes (which send no final advertisement), or because a router does not correct a lower
    /// priority.
    pub(super) fn is_contested(&self, segment: u8) -> bool {
        let is_meek = |router: &RouterConfig| !router.announce.on_lower_priority;
        usize::from(self.stations()) > self.hosts.len()
            || configured(self.scenario).any(is_meek)
            || self
                .dialects
                .iter()
                .filter(|(on, _)| *on == segment)
                .count()
                > 1
    }

    fn check_group(
        &self,
        (segment, vrid): (u8, u8),
        group: &[&Member],
        is_alone: bool,
    ) -> Result<(), Violation> {
        let owners = group
            .iter()
            .filter(|member| member.config.priority == 255)
            .count();
        if owners > 1 && group.iter().any(|m| m.config.version == Version::V2) {
            // By RFC 3768 section 7.1 an owner ignores all advertisements, so two owners never detect
            // each other.
            return Ok(());
        }
        let masters: Vec<&&Member> = group.iter().filter(|member| member.is_master).collect();
        if masters
            .iter()
            .any(|one| masters.iter().any(|other| one.is_twin(other)))
        {
            return Ok(());
        }
        for family in Family::ALL {
            let Some(master) = check_family((segment, vrid), group, family)? else {
                continue;
            };
            let is_deaf = owners > 0 && master.config.version == Version::V2;
            let is_whole = self.segment(segment).side == 0;
            if is_alone && is_whole && !is_deaf && !self.is_contested(segment) {
                self.check_neighbours((segment, vrid), master)?;
            }
        }
        Ok(())
    }

    pub(super) fn check_neighbours(
        &self,
        (segment, vrid): (u8, u8),
        master: &Member,
    ) -> Result<(), Violation> {
        let all: Vec<&RouterConfig> = configured(self.scenario)
            .filter(|router| (router.segment, router.vrid) == (segment, vrid))
            .collect();
        let spoken = |router: &RouterConfig| router.spoken().collect::<Vec<_>>();
        if all
            .iter()
            .any(|router| spoken(router) != spoken(&master.config))
        {
            // A router with addresses of a family without advertisements does not detect another master
            // there.
            return Ok(());
        }
        // A master may reject the final advertisement of the one that yields: the sequence numbers of a host
        // whose clock was set back stay ahead of its time.
        let sets_clock = |step: &Step| matches!(step.action, Action::Clock { .. });
        if master.config.hmac.is_some() && self.scenario.steps.iter().any(sets_clock) {
            return Ok(());
        }
        for address in master.config.virtual_addresses() {
            // An address that some routers do not have is not announced by all masters.
            let has = |router: &&RouterConfig| router.virtual_addresses().any(|a| a == address);
            if !all.iter().all(has) {
                continue;
            }
            // The kernel of a frozen host still answers for the addresses that it had.
            let answers =
                |known: Station| self.hosts.get(usize::from(known)).is_none_or(Host::runs);
            if let Some(mac) = self.neighbours.get(&address.address)
                && let Some(known) = self.switches.get(&(segment, *mac))
                && *known != master.station
                && answers(*known)
                && !self.was_dropped_between(*known, master.station, (segment, vrid))
            {
                return Err(Invariant::Neighbours.broken(format!(
                    "{address} is at station {}, but the neighbours send to {known} ({mac})",
                    master.station
                )));
            }
        }
        Ok(())
    }
}

/// Whether all members that share a family accept each other's advertisements.
fn is_of_one_mind(members: &[&Member]) -> bool {
    members.iter().enumerate().all(|(index, one)| {
        let mut rest = members[index + 1..].iter();
        rest.all(|other| {
            let hearing = Hearing::between(one, other);
            hearing.is_none_or(|hearing| hearing == Hearing::Mutual)
        })
    })
}

/// Checks the holder of the addresses of a family among members with mutual reception. Returns the
/// holder, or `None` if all members are held back.
fn check_family<'a>(
    (segment, vrid): (u8, u8),
    all: &[&'a Member],
    family: Family,
) -> Result<Option<&'a Member>, Violation> {
    let group: Vec<&Member> = all
        .iter()
        .copied()
        .filter(|member| member.config.speaks(family))
        .collect();
    let masters: Vec<&Member> = group.iter().copied().filter(|m| m.is_master).collect();
    let is_held_back = |member: &Member| member.is_held_back(family, all);
    let master = match masters[..] {
        [master] => master,
        [] if group.iter().all(|member| is_held_back(member)) => return Ok(None),
        _ => {
            let who: Vec<Station> = masters.iter().map(|master| master.station).collect();
            let all: Vec<Station> = group.iter().map(|member| member.station).collect();
            return Err(Invariant::OneHolder.broken(format!(
                "VRID {vrid} on {segment}, {family}: masters {who:?} among {all:?}"
            )));
        }
    };
    let is_better = |member: &&&Member| {
        member.preempts && member.priority > master.priority && !is_held_back(member)
    };
    match group.iter().find(is_better) {
        Some(better) => Err(Invariant::Precedence.broken(format!(
            "VRID {vrid} on {segment}, {family}: {} is master with priority {}, but {} has {}",
            master.station, master.priority, better.station, better.priority
        ))),
        None => Ok(Some(master)),
    }
}

/// Whether the interface of a router is usable and has the source addresses.
pub(super) fn is_usable(host: &Host, config: &RouterConfig) -> bool {
    let is_up = host.kernel.link(config.segment).is_some_and(|link| {
        link.up && link.carrier && *link.name == *interface_name(config.segment)
    });
    let mut spoken = config.spoken();
    is_up && spoken.all(|family| can_speak(host, config, family))
}

/// Whether a host has a source address for a router in a family.
fn can_speak(host: &Host, config: &RouterConfig, family: Family) -> bool {
    if let Some(source) = config.source_of(host.id, &host.stations, family) {
        let mut held = host.kernel.addresses();
        return held.any(|(_, held, ours)| !ours && held.address == source);
    }
    has(host, config.segment, |address| match family {
        Family::V4 => address.family() == family,
        Family::V6 => address.is_link_local(),
    })
}

/// Whether a host has an address of a family on a segment, other than virtual ones.
fn has_own(host: &Host, segment: u8, family: Family) -> bool {
    has(host, segment, |address| address.family() == family)
}

/// Whether a host has an address of a kind on a segment, other than virtual ones.
fn has(host: &Host, segment: u8, kind: impl Fn(InterfaceAddress) -> bool) -> bool {
    let Some(index) = host.kernel.on(segment) else {
        return false;
    };
    let here = || {
        host.config
            .routers
            .values()
            .filter(|router| router.segment == segment)
    };
    let owned: BTreeSet<IpAddr> = here()
        .filter(|router| router.priority == 255)
        .flat_map(RouterConfig::virtual_addresses)
        .map(|address| address.address)
        .collect();
    let virtual_addresses: BTreeSet<IpAddr> = here()
        .filter(|router| router.priority != 255 && router.behind.is_own())
        .flat_map(RouterConfig::virtual_addresses)
        .map(|address| address.address)
        .collect();
    host.kernel.addresses().any(|(on, held, ours)| {
        let address = held.address;
        let own = !ours && !virtual_addresses.contains(&address) || owned.contains(&address);
        on == index && own && kind(held)
    })
}

/// Interfaces that the daemon created and can recognise, by name and hardware address.
fn own_devices(host: &Host) -> impl Iterator<Item = &Link> {
    host.kernel.devices().filter(|link| {
        let vrid = link.mac.and_then(|mac| Vrid::new(mac.0[5]));
        let (Some(vrid), Some(segment)) = (vrid, host.kernel.segment(link.index)) else {
            return false;
        };
        let names = virtual_mac(segment, vrid, true).devices;
        Family::ALL.into_iter().zip(names).any(|(family, name)| {
            link.name == name && link.mac == Some(MacAddress::of_virtual_router(family, vrid))
        })
    })
}

/// Longest time in which each virtual router settles. A backup waits for three intervals, the skew (at
/// most one interval), its delays, and the hold time and delays of its trackers. Then the first
/// advertisement of the new master arrives at once. Clocks may be slow.
pub(super) fn bounds(scenario: &Scenario) -> BTreeMap<(u8, u8), Duration> {
    let mut bounds = BTreeMap::new();
    let mut dialects: BTreeMap<(u8, u8), BTreeSet<String>> = BTreeMap::new();
    let mut families: BTreeMap<(u8, u8), BTreeSet<Vec<Family>>> = BTreeMap::new();
    let patience = patience(scenario);
    for router in configured(scenario) {
        let key = (router.segment, router.vrid);
        let spoken = router.spoken().collect();
        families.entry(key).or_default().insert(spoken);
        let delays = router.preempt_delay() + router.startup_delay() + patience + reach(router);
        // A router that took over several times may have to wait for the next time.
        let hold_down = (router.interval() * 3).max(Duration::from_secs(1));
        let bound = (router.interval() * 4 + delays + hold_down) * 106 / 100 + SLACK;
        let known: &mut Duration = bounds.entry(key).or_default();
        *known = bound.max(*known);
        let cast = match router.unicast {
            None => "all",
            Some(_) => "peers",
        };
        let dialect = format!("{} {cast}", dialect(router));
        dialects.entry(key).or_default().insert(dialect);
    }
    // An instance of both families yields to a rival of one family only after a wait. A router that
    // waits for the instance in the other family starts its own wait then.
    for (key, families) in families {
        if families.len() > 1
            && let Some(bound) = bounds.get_mut(&key)
        {
            *bound *= 3;
        }
    }
    // Groups wait in all of their members, and two groups that meet may wait twice.
    for keys in entangled(scenario) {
        let all = keys.iter().filter_map(|key| bounds.get(key));
        let longest = all.max().copied().unwrap_or_default() * 3;
        bounds.extend(keys.iter().map(|key| (*key, longest)));
    }
    // keepalived restarts its timer at every rejected packet, so it never settles among routers that it
    // rejects, for example because they are missing in its list of peers.
    for router in scenario
        .foreign
        .iter()
        .filter(|router| router.make == Make::Keepalived)
    {
        let key = (router.config.segment, router.config.vrid);
        if dialects
            .get(&key)
            .is_some_and(|dialects| dialects.len() > 1)
            || router.config.unicast.is_some()
        {
            bounds.remove(&key);
        }
    }
    for keys in entangled(scenario) {
        if keys.iter().any(|key| !bounds.contains_key(key)) {
            bounds.retain(|key, _| !keys.contains(key));
        }
    }
    bounds
}

/// Longest time until a unicast peer can reach a router: until its kernel asks again, or until a name is
/// resolved or waited for no longer.
fn reach(router: &RouterConfig) -> Duration {
    let unicast = router.unicast.as_ref();
    match unicast.map(|unicast| unicast.peers.iter().any(|peer| peer.named)) {
        None => Duration::ZERO,
        Some(false) => AGAIN,
        Some(true) => AGAIN + UNRESOLVED,
    }
}

/// Longest time that any tracker needs for a verdict on an unchanged object.
fn patience(scenario: &Scenario) -> Duration {
    let patience = configurations(scenario).flat_map(|config| config.patience.values());
    let longest = patience.map(|p| p.hold().max(p.delay(true)).max(p.delay(false)));
    longest.max().unwrap_or_default()
}
