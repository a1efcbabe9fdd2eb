//! The laws that look at the whole world: at a kernel after a turn, and at everybody when all had its
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::params::{HmacMode, LvsSync};
use vrrp_proto::routing::Routed;
use vrrp_proto::{
    Cause, Family, FaultReason, InterfaceAddress, InterfaceIndex, Link, LvsRole, MacAddress, State,
    Version, Vrid,
};

use super::group::entangled;
use super::{Happening, SEGMENTS, World, station};
use crate::foreign;
use crate::host::{Fed, Host, Record, Turn};
use crate::invariants::{Invariant, Violation};
use crate::network::Station;
use crate::oracle::{Oracle, Watched, transitions};
use crate::scenario::{
    Action, Config, Make, RouterConfig, Scenario, interface_name, physical_mac, virtual_mac,
};

/// Beyond what the protocol needs: delays, lateness, and the second look after a refusal.
const SLACK: Duration = Duration::from_millis(1_050);

/// One of those that share a virtual router, as the laws of the end see it.
pub(super) struct Member {
    pub(super) station: Station,
    pub(super) is_master: bool,
    /// Whether it does not even listen.
    pub(super) is_idle: bool,
    /// By how many seconds its wall clock is ahead.
    clock: i16,
    pub(super) priority: u8,
    pub(super) preempts: bool,
    /// The addresses that it speaks from.
    sources: BTreeMap<Family, IpAddr>,
    /// Those that it speaks to.
    receivers: BTreeMap<Family, BTreeSet<IpAddr>>,
    /// Those by which it is reached.
    addresses: BTreeSet<IpAddr>,
    pub(super) config: RouterConfig,
}

impl Member {
    pub(super) fn new(host: &Host, oracle: &Oracle, (name, router): (&str, &Watched)) -> Self {
        let config = &router.config;
        Self {
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

    /// Whether nothing tells it from another one: they have the same address and the same priority.
    pub(super) fn is_twin(&self, other: &Self) -> bool {
        self.station != other.station
            && self.priority == other.priority
            && self
                .sources
                .iter()
                .any(|(family, source)| other.sources.get(family) == Some(source))
    }

    /// Whether it has to leave the addresses of one family alone because of a master that speaks the
    /// other one: as an instance of both it moves with both.
    fn is_held_back(&self, family: Family, group: &[&Self]) -> bool {
        self.config.is_dual()
            && group.iter().any(|other| {
                other.is_master
                    && !other.config.speaks(family)
                    && (other.priority >= self.priority || !self.preempts)
            })
    }
}

/// Whether two hear each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// In all families that both speak.
    Mutual,
    /// In none of them.
    None,
    /// One hears the other, or in one of the families only.
    Lopsided,
}

impl Hearing {
    /// As far as networks let them.
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
    /// Whether it believes another one.
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
        let proves = match (&self.config.hmac, other.config.signs()) {
            (None, _) => true,
            (Some(own), Some(theirs)) => {
                let apart = self.clock.abs_diff(other.clock);
                own.accepts(theirs.active) && (own.window == 0 || apart <= own.window)
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
    /// After a turn the kernel holds what the states say.
    pub(super) fn check_kernel(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let Some(process) = &host.process else {
            return Ok(());
        };
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
                if is_master {
                    wanted.insert((home.index, address));
                }
                // Whoever answers for it does so with any prefix.
                let mut forms = host
                    .kernel
                    .addresses()
                    .filter(|(on, held, _)| *on == home.index && held.address == address.address);
                let is_interrupted = interrupted.contains(name);
                let broken = match (is_master, forms.next()) {
                    (true, _) if is_interrupted => None,
                    (true, _) if !host.kernel.has(home.index, address) => Some("is not there"),
                    (false, Some((.., ours))) if is_here => {
                        // On an interface that is down it does no harm.
                        let spared = config.priority == 255
                            || home.index == link.index
                                && !has_own(host, config.segment, address.family())
                            || !link.up
                            || !link.carrier;
                        (ours && host.spec.marks || !spared).then_some("is there")
                    }
                    (true | false, Some(_) | None) => None,
                };
                if let Some(what) = broken {
                    let state = router.state();
                    return Err(Invariant::Kernel
                        .broken(format!("host {id} {name} is {state}, and {address} {what}")));
                }
            }
        }
        if !host.spec.marks {
            return Ok(());
        }
        // An interface for a virtual MAC address that is renamed in a grace keeps its addresses until then.
        let is_interrupted = |address: InterfaceAddress| {
            let mut routers = self.witnesses[usize::from(id)].routers();
            routers.any(|(name, router)| {
                let mut own = router.config.virtual_addresses();
                interrupted.contains(name) && own.any(|own| own == address)
            })
        };
        match host.kernel.addresses().find(|(on, address, ours)| {
            *ours && !wanted.contains(&(*on, *address)) && !is_interrupted(*address)
        }) {
            Some((_, address, _)) => Err(Invariant::Kernel.broken(format!(
                "host {id} holds {address}, and nobody there is its master"
            ))),
            None => Ok(()),
        }
    }

    /// After a turn there are the interfaces with virtual MAC addresses that are configured, up on a
    /// master alone, and no others of ours as soon as the janitor has had its time.
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
                if interrupted.contains(name) {
                    continue;
                }
                let link = host.kernel.link(config.segment);
                let is_here =
                    link.is_some_and(|link| *link.name == *interface_name(config.segment));
                let broken = match host.kernel.macvlan(config.segment, &device) {
                    None => is_here.then_some("is not there"),
                    Some(made) if made.mac != config.mac(family) => Some("has another address"),
                    Some(made) if is_master && !made.up => Some("is down"),
                    Some(made) if !is_master && made.up && is_cleared => Some("is up"),
                    Some(_) => None,
                };
                if let Some(what) = broken {
                    return Err(Invariant::Kernel.broken(format!(
                        "host {id} {name} is {}, and {device} {what}",
                        router.state()
                    )));
                }
            }
        }
        let mut left = own_devices(host).filter(|link| !wanted.contains(&link.name));
        match left.next() {
            Some(link) if is_cleared => Err(Invariant::Kernel.broken(format!(
                "host {id} has {}, and nobody there is configured for it",
                link.name
            ))),
            _ => Ok(()),
        }
    }

    /// Where addresses are announced to be: with a virtual MAC address at that and nowhere else.
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
        let right = router.config.mac(Family::of(address)).unwrap_or(physical);
        if mac == right {
            return Ok(());
        }
        Err(Invariant::Announcement.broken(format!(
            "host {id} {name} announces {address} at {mac}, and it is at {right}"
        )))
    }

    /// At any moment, whatever the kernel refuses to do: nothing of others is touched, and an address
    /// that is not to be accepted does not come before packets to it are refused.
    pub(super) fn check_came(&mut self, id: Station) -> Result<(), Violation> {
        if let Some(what) = self.hosts[usize::from(id)].kernel.take_trespass() {
            return Err(Invariant::Kernel
                .broken(format!("host {id} did to what somebody else made: {what}")));
        }
        let came = self.hosts[usize::from(id)].kernel.take_came();
        for (_, address, _) in came.iter().filter(|(_, _, refused)| !refused) {
            let mut routers = self.witnesses[usize::from(id)].routers();
            let holder = routers.find(|(_, router)| {
                let mut own = router.config.virtual_addresses();
                !router.config.accepts() && own.any(|own| own == *address)
            });
            if let Some((name, _)) = holder {
                return Err(Invariant::Kernel.broken(format!(
                    "host {id} {name} does not accept, and {address} came and was not refused"
                )));
            }
        }
        Ok(())
    }

    /// After a turn packets to addresses that are not to be accepted are refused, and to no others.
    fn check_drop_rules(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let interrupted = host.interrupted();
        let mut wanted = BTreeSet::new();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            if router.state() != State::Master || router.config.accepts() {
                continue;
            }
            for address in router.config.virtual_addresses() {
                wanted.insert(address.address);
                if !interrupted.contains(name) && !host.kernel.refuses(address.address) {
                    return Err(Invariant::Kernel.broken(format!(
                        "host {id} {name} does not accept, and {address} is not refused"
                    )));
                }
            }
        }
        match host.kernel.refused().find(|ip| !wanted.contains(ip)) {
            Some(ip) => Err(Invariant::Kernel.broken(format!(
                "host {id} refuses packets to {ip}, and nobody there has a reason"
            ))),
            None => Ok(()),
        }
    }

    /// An absence of an interface or an address is no fault before the grace ends, and is one after.
    pub(super) fn check_grace(&mut self, id: Station, turn: &Turn) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let oracle = &self.witnesses[usize::from(id)];
        let is_of_network = |record: &&Record| matches!(record.fed, Fed::Tick | Fed::News(_));
        let records = turn.records.iter().filter(is_of_network);
        for transition in records.flat_map(transitions) {
            let Some(config) = oracle.config().routers.get(&*transition.router) else {
                continue;
            };
            let key = (id, transition.router.to_string());
            let lasted = self.away.get(&key).map(|since| self.now.since(*since));
            // Clocks may be fast.
            let is_early = lasted.unwrap_or_default() < grace(config) * 94 / 100;
            let is_own = matches!(
                transition.cause,
                Cause::Faulted(FaultReason::NoCarrier(_) | FaultReason::NoAddress(_))
            );
            let link = host.kernel.link(config.segment);
            let is_named = link.is_some_and(|link| *link.name == *interface_name(config.segment));
            let is_kept = oracle.is_kept_by_tracker(config) || !is_named;
            if is_own && is_early && transition.from == State::Master && !is_kept {
                let (name, cause) = (&transition.router, &transition.cause);
                return Err(
                    Invariant::Grace.broken(format!("{name}: {cause}, for {lasted:?} only"))
                );
            }
        }
        let interrupted = host.interrupted();
        for (name, router) in oracle.routers() {
            let key = (id, name.clone());
            let serves = matches!(router.state(), State::Backup | State::Master);
            if !serves || !interrupted.contains(name) {
                self.away.remove(&key);
                continue;
            }
            let since = *self.away.entry(key).or_insert(self.now);
            let lasted = self.now.since(since);
            if lasted > grace(&router.config) + SLACK {
                let state = router.state();
                return Err(Invariant::Grace.broken(format!(
                    "host {id} {name} is {state}, and its interface or address is away for {lasted:?}"
                )));
            }
        }
        Ok(())
    }

    /// After a turn the kernel holds the routes and rules of the masters and no others of ours.
    fn check_routing(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let Some(process) = &host.process else {
            return Ok(());
        };
        if !process.node.engine().has_routing() {
            // Then it does not listen for what others put there.
            return Ok(());
        }
        let interrupted = host.interrupted();
        let mut wanted: BTreeSet<Routed> = BTreeSet::new();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            if router.state() != State::Master {
                continue;
            }
            let config = &router.config;
            let is_interrupted = interrupted.contains(name);
            for route in config.kernel_routes() {
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
                } else if !is_interrupted {
                    return Err(Invariant::Kernel.broken(format!(
                        "host {id} {name} is master, and the route {route} is not there"
                    )));
                }
            }
            wanted.extend(config.kernel_rules().map(Routed::Rule));
        }
        let held: BTreeSet<Routed> = host.kernel.routed().collect();
        match wanted.symmetric_difference(&held).next() {
            None => Ok(()),
            Some(what) if held.contains(what) => Err(Invariant::Kernel.broken(format!(
                "host {id} holds the {what}, and nobody there is its master"
            ))),
            Some(what) => Err(Invariant::Kernel.broken(format!(
                "host {id} has a master that wants the {what}, and does not hold it"
            ))),
        }
    }

    /// After a turn the sync thread of IPVS is what the state of its router says, and the only one.
    fn check_synchronisation(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let oracle = &self.witnesses[usize::from(id)];
        let config = oracle.config();
        let sync = config.sync();
        let state = config.synchronised.as_ref().and_then(|name| {
            let (_, router) = oracle.routers().find(|(known, _)| *known == name)?;
            Some(router.state())
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
            "host {id} should have {wanted:?} of the sync threads of IPVS, and has {there:?}"
        )))
    }

    /// A host without a daemon holds nothing of it.
    pub(super) fn check_clean(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        if host.kernel.has_table() {
            return Err(
                Invariant::Cleanup.broken(format!("host {id} has no daemon and refuses packets"))
            );
        }
        if let Some(what) = host.kernel.routed().next() {
            return Err(
                Invariant::Cleanup.broken(format!("host {id} has no daemon and holds the {what}"))
            );
        }
        if let Some(link) = own_devices(host).next() {
            return Err(
                Invariant::Cleanup.broken(format!("host {id} has no daemon and has {}", link.name))
            );
        }
        let mut threads = host.kernel.threads().iter();
        if let Some(thread) = threads.find(|it| !host.orphans.contains(it)) {
            return Err(
                Invariant::Cleanup.broken(format!("host {id} has no daemon and {thread:?}"))
            );
        }
        if !host.spec.marks {
            return Ok(());
        }
        match host.kernel.addresses().find(|(_, _, ours)| *ours) {
            Some((_, address, _)) => {
                Err(Invariant::Cleanup
                    .broken(format!("host {id} has no daemon and holds {address}")))
            }
            None => Ok(()),
        }
    }

    /// Everything has had its time: the laws of the end.
    pub(super) fn look(&mut self, key: (u8, u8)) -> Result<(), Violation> {
        let Some(bound) = self.bounds.get(&key).copied() else {
            return Ok(());
        };
        let due = self.stable_since + bound;
        if due > self.now {
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
        let members = self.members(key);
        if let Some(idle) = members.iter().find(|member| member.is_idle) {
            return Err(Invariant::OneHolder.broken(format!(
                "host {} could serve VRID {} on {} and does not listen",
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

    /// Whether all who could serve a virtual router now, or one that moves with it, hear each other, or
    /// would without what happens to networks.
    pub(super) fn is_mutual(&self, key: (u8, u8)) -> bool {
        let entangled = self.entangled.iter().find(|keys| keys.contains(&key));
        let mut keys = entangled.into_iter().flatten().chain([&key]);
        keys.all(|key| {
            let members = self.members(*key);
            is_of_one_mind(&members.iter().collect::<Vec<_>>())
        })
    }

    /// Those among whom each hears some other one, or is heard by it.
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

    /// Those who can serve a virtual router.
    fn members(&self, (segment, vrid): (u8, u8)) -> Vec<Member> {
        let mut members = Vec::new();
        for (host, oracle) in self.hosts.iter().zip(&self.witnesses) {
            if !host.runs() {
                continue;
            }
            for (name, router) in oracle.routers() {
                let config = &router.config;
                if (config.segment, config.vrid) != (segment, vrid) {
                    continue;
                }
                if !is_usable(host, config) || oracle.is_kept_by_tracker(config) {
                    continue;
                }
                members.push(Member::new(host, oracle, (name, router)));
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

    /// Whether others announce the addresses of a segment than those who agree on one master: other
    /// virtual routers, other dialects, and other makes, which do not say a last word. Or whether
    /// somebody does not contradict those who misled the neighbours.
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
            // RFC 3768 section 7.1 has an owner hear nobody: two of them never learn of each other.
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
            // Whoever holds addresses of a family that it does not speak hears of nobody there.
            return Ok(());
        }
        for address in master.config.virtual_addresses() {
            // What is on some lists only is not announced by all.
            let has = |router: &&RouterConfig| router.virtual_addresses().any(|a| a == address);
            if !all.iter().all(has) {
                continue;
            }
            // Whoever stands still goes on answering for what it held.
            let answers =
                |known: Station| self.hosts.get(usize::from(known)).is_none_or(Host::runs);
            if let Some(mac) = self.neighbours.get(&address.address)
                && let Some(known) = self.switches.get(&(segment, *mac))
                && *known != master.station
                && answers(*known)
            {
                return Err(Invariant::Neighbours.broken(format!(
                    "{address} is at {}, and the neighbours believe it at {known}, behind {mac}",
                    master.station
                )));
            }
        }
        Ok(())
    }
}

/// Whether all hear each other who could.
fn is_of_one_mind(members: &[&Member]) -> bool {
    members.iter().enumerate().all(|(index, one)| {
        let mut rest = members[index + 1..].iter();
        rest.all(|other| {
            let hearing = Hearing::between(one, other);
            hearing.is_none_or(|hearing| hearing == Hearing::Mutual)
        })
    })
}

/// Looks who holds the addresses of a family among those that hear each other. Returns the holder, if
/// there is one and has to be.
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
                "VRID {vrid} on {segment}, {family}: of {all:?} the masters are {who:?}"
            )));
        }
    };
    let is_better = |member: &&&Member| {
        member.preempts && member.priority > master.priority && !is_held_back(member)
    };
    match group.iter().find(is_better) {
        Some(better) => Err(Invariant::Precedence.broken(format!(
            "VRID {vrid} on {segment}, {family}: {} is master with priority {}, {} has {}",
            master.station, master.priority, better.station, better.priority
        ))),
        None => Ok(Some(master)),
    }
}

/// For how long the interface or the address of a router may be away.
fn grace(config: &RouterConfig) -> Duration {
    (config.interval() / 2).min(Duration::from_millis(500))
}

/// Whether the interface of a router is well and has the addresses to send from.
pub(super) fn is_usable(host: &Host, config: &RouterConfig) -> bool {
    let is_up = host.kernel.link(config.segment).is_some_and(|link| {
        link.up && link.carrier && *link.name == *interface_name(config.segment)
    });
    let mut spoken = config.spoken();
    is_up && spoken.all(|family| can_speak(host, config, family))
}

/// Whether a host has an address that a router can send from in a family.
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

/// Whether a host has an address of a family on a segment that is not virtual there.
fn has_own(host: &Host, segment: u8, family: Family) -> bool {
    has(host, segment, |address| address.family() == family)
}

/// Whether a host has an address of a kind on a segment that is not virtual there.
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

/// The interfaces that the daemon made, as far as it can tell them: by name and hardware address.
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

/// Those who understand each other have the same.
pub(super) fn dialect(config: &RouterConfig) -> String {
    match config.version {
        Version::V2 => format!("2 {} {}", config.interval, config.password().is_some()),
        Version::V3 => "3".to_owned(),
    }
}

/// How long each virtual router takes at most: a backup that has just begun to listen waits for
/// three intervals and its skew, which is no more than one, and for its delays, and its trackers may be
/// slow to judge; from then on the first word of the new master is heard at once. Clocks may be slow.
pub(super) fn bounds(scenario: &Scenario) -> BTreeMap<(u8, u8), Duration> {
    let mut bounds = BTreeMap::new();
    let mut dialects: BTreeMap<(u8, u8), BTreeSet<String>> = BTreeMap::new();
    let mut families: BTreeMap<(u8, u8), BTreeSet<Vec<Family>>> = BTreeMap::new();
    let patience = patience(scenario);
    for router in configured(scenario) {
        let key = (router.segment, router.vrid);
        let spoken = router.spoken().collect();
        families.entry(key).or_default().insert(spoken);
        let delays = router.preempt_delay() + router.startup_delay() + patience;
        let bound = (router.interval() * 4 + delays) * 106 / 100 + SLACK;
        let known: &mut Duration = bounds.entry(key).or_default();
        *known = bound.max(*known);
        let cast = match router.unicast {
            None => "all",
            Some(_) => "peers",
        };
        let dialect = format!("{} {cast}", dialect(router));
        dialects.entry(key).or_default().insert(dialect);
    }
    // An instance of both families yields to an equal of one only after a wait, and whoever has been
    // waiting for it in the other begins then.
    for (key, families) in families {
        if families.len() > 1
            && let Some(bound) = bounds.get_mut(&key)
        {
            *bound *= 3;
        }
    }
    // Groups wait for each other in all that they hold, and those that meet may wait twice.
    for keys in entangled(scenario) {
        let all = keys.iter().filter_map(|key| bounds.get(key));
        let longest = all.max().copied().unwrap_or_default() * 3;
        bounds.extend(keys.iter().map(|key| (*key, longest)));
    }
    // Whom every packet that it rejects puts off never comes to rest among those that it rejects, be it
    // because they are not on its list.
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

/// For how long the slowest of all trackers judges a thing that stays as it is.
fn patience(scenario: &Scenario) -> Duration {
    let patience = configurations(scenario).flat_map(|config| config.patience.values());
    let longest = patience.map(|p| p.hold().max(p.delay(true)).max(p.delay(false)));
    longest.max().unwrap_or_default()
}

/// Every router that any host has at any time.
pub(crate) fn configured(scenario: &Scenario) -> impl Iterator<Item = &RouterConfig> {
    let routers = configurations(scenario).flat_map(|config| config.routers.values());
    routers.chain(scenario.foreign.iter().map(|router| &router.config))
}

/// Every configuration that any host has at any time.
pub(super) fn configurations(scenario: &Scenario) -> impl Iterator<Item = &Config> {
    let reloads = scenario.steps.iter().filter_map(|step| {
        let Action::Reload { config, .. } = &step.action else {
            return None;
        };
        Some(config)
    });
    let hosts = scenario.hosts.iter().map(|host| &host.config);
    hosts.chain(reloads)
}
