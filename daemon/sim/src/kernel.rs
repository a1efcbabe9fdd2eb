//! A model of one machine's kernel: its interfaces, their addresses, its routes and rules, and what it
//! tells of them.

mod devices;
mod lvs;
mod requests;
mod routing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_node::drop_rules::DropRule;
use vrrp_node::lvs::Shown;
use vrrp_node::mirror::{Dump, Event, Held};
use vrrp_proto::{Family, InterfaceAddress, InterfaceIndex, Link};

use self::devices::Macvlan;
use self::routing::Routing;
use crate::scenario::{interface_name, link_local, physical_mac};

/// The kernel of one host.
#[derive(Debug)]
pub(crate) struct Kernel {
    host: u8,
    /// The end of its link-local addresses.
    identifier: u8,
    marks: bool,
    promotes: bool,
    interfaces: BTreeMap<InterfaceIndex, Interface>,
    next_index: u32,
    /// What the daemon has not read yet, while there is one.
    news: VecDeque<Event>,
    routing: Routing,
    /// The sync threads of IPVS.
    threads: Vec<Shown>,
    heard: bool,
    overrun: bool,
    /// How many of the next news are lost.
    losing: u8,
    /// How many of the next requests are refused.
    refusing: u8,
    /// What is refused, when the daemon has a table for that.
    table: Option<BTreeSet<DropRule>>,
    /// Whether somebody else did something to that table which the daemon has not heard of.
    touched: bool,
    /// What the daemon added, and whether packets to it were refused then.
    came: Vec<(InterfaceIndex, InterfaceAddress, bool)>,
    /// What it does by itself in a while.
    deferred: Vec<Deferred>,
    /// Whether the daemon has just been told of everything.
    dumped: bool,
    /// The interfaces with virtual MAC addresses of which something was refused.
    refused_devices: Vec<Arc<str>>,
    /// What the daemon did to interfaces that it did not make and was not configured for.
    trespassed: Option<String>,
}

/// What the kernel does with an IPv6 address some time after it was added.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deferred {
    /// It tells that the address is there (a work queue does: addrconf_dad_work).
    Tell(InterfaceIndex, InterfaceAddress),
    /// It has found nobody else with the address, which is no longer tentative.
    Settle(InterfaceIndex, InterfaceAddress),
}

#[derive(Debug)]
struct Interface {
    segment: u8,
    link: Link,
    /// In the kernel's order: primaries first, each as it came.
    addresses: Vec<Entry>,
    /// When it is a macvlan.
    macvlan: Option<Macvlan>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: InterfaceAddress,
    ours: bool,
    /// IPv4 only.
    secondary: bool,
    /// IPv6 only: whether it is being found out if somebody else has it. Until then it is as good as
    /// not there, and nobody is told of it.
    tentative: bool,
}

impl Kernel {
    pub(crate) fn new(host: u8, identifier: u8, marks: bool, promotes: bool) -> Self {
        Self {
            host,
            identifier,
            marks,
            promotes,
            interfaces: BTreeMap::new(),
            next_index: 2,
            news: VecDeque::new(),
            routing: Routing::default(),
            threads: Vec::new(),
            heard: false,
            overrun: false,
            losing: 0,
            refusing: 0,
            table: None,
            touched: false,
            came: Vec::new(),
            deferred: Vec::new(),
            dumped: false,
            refused_devices: Vec::new(),
            trespassed: None,
        }
    }

    /// The interface on a segment gets there, up and with a carrier, unless there is one.
    pub(crate) fn create(&mut self, segment: u8, carrier: bool) {
        if self.on(segment).is_some() {
            return;
        }
        let index = InterfaceIndex(self.next_index);
        self.next_index += 1;
        let link = Link {
            index,
            name: interface_name(segment).into(),
            up: true,
            carrier,
            mac: Some(physical_mac(segment, self.host)),
            port_of: None,
        };
        let interface = Interface {
            segment,
            link: link.clone(),
            addresses: Vec::new(),
            macvlan: None,
        };
        self.interfaces.insert(index, interface);
        self.tell(Event::Link(link));
        self.make_link_local(index);
    }

    pub(crate) fn remove(&mut self, segment: u8) {
        if let Some(index) = self.on(segment) {
            // Before it, as the kernel does.
            for above in self.macvlans_on(index) {
                self.remove_interface(above);
            }
            self.remove_interface(index);
        }
    }

    fn remove_interface(&mut self, index: InterfaceIndex) {
        let gone = self.interfaces.remove(&index);
        for entry in gone.into_iter().flat_map(|gone| gone.addresses) {
            self.tell(Event::AddressRemoved(index, entry.address));
        }
        self.forget_routes_over(index);
        self.tell(Event::LinkRemoved(index));
    }

    /// Changes the link on a segment, if there is one.
    pub(crate) fn change_link(&mut self, segment: u8, change: impl FnOnce(&mut Link)) {
        if let Some(index) = self.on(segment) {
            self.change_interface(index, change);
            for above in self.macvlans_on(index) {
                let carrier = self.sends(index);
                self.change_interface(above, |link| link.carrier = carrier);
            }
        }
    }

    fn change_interface(&mut self, index: InterfaceIndex, change: impl FnOnce(&mut Link)) {
        let Some(interface) = self.interfaces.get_mut(&index) else {
            return;
        };
        let before = interface.link.clone();
        change(&mut interface.link);
        if interface.link == before {
            return;
        }
        let link = interface.link.clone();
        let up = link.up;
        if !up {
            self.forget_routes_over(index);
        }
        self.tell(Event::Link(link));
        match (before.up, up) {
            (true, false) => self.flush_ipv6(index),
            (false, true) => self.make_link_local(index),
            (true, true) | (false, false) => {}
        }
    }

    /// An administrator adds an address.
    pub(crate) fn put(&mut self, segment: u8, address: InterfaceAddress) {
        if let Some(index) = self.on(segment) {
            self.put_on(index, address);
        }
    }

    /// An administrator adds an address to an interface.
    pub(crate) fn put_on(&mut self, index: InterfaceIndex, address: InterfaceAddress) {
        if let Some(entry) = self.insert(index, address, false) {
            self.tell_added(index, entry);
        }
    }

    /// An administrator deletes an address, wherever on a segment it is.
    pub(crate) fn take(&mut self, segment: u8, address: InterfaceAddress) {
        let Some(below) = self.on(segment) else {
            return;
        };
        let all = [vec![below], self.macvlans_on(below)].concat();
        for index in all {
            let gone = self.delete(index, address);
            for address in gone {
                self.tell(Event::AddressRemoved(index, address));
            }
        }
    }

    /// Whether the daemon was told of everything, and of nothing else since.
    pub(crate) const fn was_dumped(&self) -> bool {
        self.dumped
    }

    pub(crate) const fn forget_dump(&mut self) {
        self.dumped = false;
    }

    pub(crate) fn take_refused_devices(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.refused_devices)
    }

    /// An administrator flushes all rules of nf_tables.
    pub(crate) fn flush(&mut self) {
        self.touched |= self.table.take().is_some() && self.heard;
    }

    /// Whether somebody else did something to the table since it was last asked.
    pub(crate) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Whether packets to an address are refused.
    pub(crate) fn refuses(&self, address: IpAddr) -> bool {
        self.refused().any(|refused| refused == address)
    }

    /// The addresses packets to which are refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.table.iter().flatten().map(|refusal| refusal.address)
    }

    /// Whether there is a table of the daemon.
    pub(crate) const fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// What the daemon added since it was last asked, and whether packets to it were refused then.
    pub(crate) fn take_came(&mut self) -> Vec<(InterfaceIndex, InterfaceAddress, bool)> {
        std::mem::take(&mut self.came)
    }

    /// All that is.
    pub(super) fn all(&self) -> Dump {
        Dump {
            links: self
                .interfaces
                .values()
                .map(|interface| interface.link.clone())
                .collect(),
            addresses: self
                .interfaces
                .values()
                .flat_map(|interface| {
                    let index = interface.link.index;
                    let held = move |entry: &Entry| (index, self.held(*entry));
                    interface
                        .addresses
                        .iter()
                        .filter(|e| !e.tentative)
                        .map(held)
                })
                .collect(),
            marks: self.marks,
        }
    }

    /// A daemon begins to listen to the news, or is no more.
    pub(crate) fn listen(&mut self, heard: bool) {
        self.heard = heard;
        self.hear_of_routing(false);
        self.news.clear();
        self.overrun = false;
        self.touched = false;
    }

    /// What it does by itself in a while and nobody has arranged for yet.
    pub(crate) fn take_deferred(&mut self) -> Vec<Deferred> {
        std::mem::take(&mut self.deferred)
    }

    /// The time has come for what was deferred.
    pub(crate) fn happen(&mut self, what: Deferred) {
        let (Deferred::Tell(index, address) | Deferred::Settle(index, address)) = what;
        let Some(entry) = self.interfaces.get_mut(&index).and_then(|interface| {
            let mut entries = interface.addresses.iter_mut();
            entries.find(|entry| entry.address == address)
        }) else {
            return;
        };
        let is_news = match what {
            Deferred::Tell(..) => !entry.tentative,
            Deferred::Settle(..) => std::mem::take(&mut entry.tentative),
        };
        let entry = *entry;
        if is_news {
            let held = self.held(entry);
            self.tell(Event::AddressAdded(index, held));
        }
    }

    /// All that was deferred happens.
    pub(crate) fn settle(&mut self) {
        for what in self.take_deferred() {
            self.happen(what);
        }
    }

    /// The next piece of news.
    pub(crate) fn news(&mut self) -> Option<Event> {
        self.news.pop_front()
    }

    /// Whether news were lost since it was last asked.
    pub(crate) fn take_overrun(&mut self) -> bool {
        std::mem::take(&mut self.overrun)
    }

    /// Whether there is something that the daemon has not heard of.
    pub(crate) fn has_news(&self) -> bool {
        self.overrun || self.touched || !self.news.is_empty() || self.has_routing_news()
    }

    pub(crate) fn lose_news(&mut self, count: u8) {
        self.losing = count;
    }

    pub(crate) fn refuse(&mut self, count: u8) {
        self.refusing = count;
    }

    /// Whether the kernel does what it is asked.
    pub(crate) const fn is_willing(&self) -> bool {
        self.refusing == 0
    }

    /// The number of the interface on a segment.
    pub(crate) fn on(&self, segment: u8) -> Option<InterfaceIndex> {
        self.interfaces
            .iter()
            .find(|(_, interface)| interface.segment == segment && interface.macvlan.is_none())
            .map(|(index, _)| *index)
    }

    /// The segment that an interface is on, or the one below it.
    pub(crate) fn segment(&self, index: InterfaceIndex) -> Option<u8> {
        Some(self.interfaces.get(&index)?.segment)
    }

    /// The link on a segment.
    pub(crate) fn link(&self, segment: u8) -> Option<&Link> {
        let index = self.on(segment)?;
        Some(&self.interfaces.get(&index)?.link)
    }

    /// Whether packets go through the interface on a segment.
    pub(crate) fn carries(&self, segment: u8) -> bool {
        self.on(segment).is_some_and(|index| self.sends(index))
    }

    /// Whether packets go through an interface.
    pub(crate) fn sends(&self, index: InterfaceIndex) -> bool {
        let interface = self.interfaces.get(&index);
        interface.is_some_and(|interface| interface.link.up && interface.link.carrier)
    }

    /// Whether an address is on an interface, or is tentative there with any prefix: then it stands in
    /// the way of another, and nobody can see it.
    pub(crate) fn has(&self, index: InterfaceIndex, address: InterfaceAddress) -> bool {
        let is_it = |entry: &Entry| {
            entry.address == address || entry.tentative && entry.address.address == address.address
        };
        self.interfaces
            .get(&index)
            .is_some_and(|interface| interface.addresses.iter().any(is_it))
    }

    /// All addresses, with whether they bear the daemon's mark.
    pub(crate) fn addresses(
        &self,
    ) -> impl Iterator<Item = (InterfaceIndex, InterfaceAddress, bool)> + '_ {
        self.interfaces.iter().flat_map(|(index, interface)| {
            interface
                .addresses
                .iter()
                .filter(|entry| !entry.tentative)
                .map(move |entry| (*index, entry.address, entry.ours))
        })
    }

    /// Gives an interface that is up its link-local address, unless it has that.
    fn make_link_local(&mut self, index: InterfaceIndex) {
        // A macvlan of the daemon's makes none (addrgenmode none of ip-link), and others here neither.
        if let Some(segment) = self.segment(index)
            && self.on(segment) == Some(index)
        {
            self.put(segment, link_local(segment, self.identifier));
        }
    }

    /// An interface that is set down loses its IPv6 addresses (keep_addr_on_down of ip-sysctl).
    fn flush_ipv6(&mut self, index: InterfaceIndex) {
        let Some(interface) = self.interfaces.get_mut(&index) else {
            return;
        };
        let is_ipv6 = |entry: &mut Entry| entry.address.family() == Family::V6;
        let gone: Vec<Entry> = interface.addresses.extract_if(.., is_ipv6).collect();
        for entry in gone {
            self.tell(Event::AddressRemoved(index, entry.address));
        }
    }

    /// Tells of an address: of IPv6 later, and when it is tentative much later.
    fn tell_added(&mut self, index: InterfaceIndex, entry: Entry) {
        match entry.address.family() {
            Family::V4 => {
                let held = self.held(entry);
                self.tell(Event::AddressAdded(index, held));
            }
            Family::V6 if entry.tentative => {
                self.deferred.push(Deferred::Settle(index, entry.address));
            }
            Family::V6 => self.deferred.push(Deferred::Tell(index, entry.address)),
        }
    }

    fn tell(&mut self, event: Event) {
        if !self.heard {
            return;
        }
        if self.losing > 0 {
            self.losing -= 1;
            self.overrun = true;
            return;
        }
        self.news.push_back(event);
    }

    fn held(&self, entry: Entry) -> Held {
        Held {
            address: entry.address,
            ours: entry.ours && self.marks,
            secondary: entry.secondary,
        }
    }

    /// `None` when it is there already, or its interface is not.
    fn insert(
        &mut self,
        index: InterfaceIndex,
        address: InterfaceAddress,
        ours: bool,
    ) -> Option<Entry> {
        let interface = self.interfaces.get_mut(&index)?;
        let family = address.family();
        let is_there = |entry: &Entry| match family {
            Family::V4 => entry.address == address,
            // Whatever its prefix (ipv6_add_addr).
            Family::V6 => entry.address.address == address.address,
        };
        if interface.addresses.iter().any(is_there) {
            return None;
        }
        // All IPv4 addresses of a segment are of one network, and with the prefix of a host each of
        // its own.
        let same_network = |entry: &Entry| {
            entry.address.family() == family
                && entry.address.prefix == address.prefix
                && address.prefix < family.address_bits()
        };
        let entry = Entry {
            address,
            ours,
            secondary: family == Family::V4 && interface.addresses.iter().any(same_network),
            // The daemon asks for no search of duplicates.
            tentative: family == Family::V6 && !ours,
        };
        interface.addresses.push(entry);
        Some(entry)
    }

    /// Returns what is gone: the address, and without promotion those that were second to it. Routes
    /// that need one of them go without a word.
    fn delete(
        &mut self,
        index: InterfaceIndex,
        address: InterfaceAddress,
    ) -> Vec<InterfaceAddress> {
        let gone = self.delete_address(index, address);
        for address in &gone {
            self.forget_routes_from(index, *address);
        }
        gone
    }

    fn delete_address(
        &mut self,
        index: InterfaceIndex,
        address: InterfaceAddress,
    ) -> Vec<InterfaceAddress> {
        let Some(interface) = self.interfaces.get_mut(&index) else {
            return Vec::new();
        };
        let Some(place) = interface
            .addresses
            .iter()
            .position(|entry| entry.address == address)
        else {
            return Vec::new();
        };
        let gone = interface.addresses.remove(place);
        if gone.secondary || address.family() == Family::V6 {
            return vec![address];
        }
        let is_second = |entry: &Entry| entry.secondary && entry.address.prefix == address.prefix;
        if !self.promotes {
            let others = interface
                .addresses
                .extract_if(.., |entry| is_second(entry))
                .map(|entry| entry.address);
            // The kernel deletes the secondaries first (inet_del_ifa).
            return others.chain([address]).collect();
        }
        let mut seconds = interface.addresses.iter_mut();
        let promoted = seconds.find(|entry| is_second(entry)).map(|first| {
            first.secondary = false;
            *first
        });
        if let Some(promoted) = promoted {
            let held = self.held(promoted);
            self.tell(Event::AddressAdded(index, held));
        }
        vec![address]
    }
}
