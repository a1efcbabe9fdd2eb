//! Model of a host's kernel: interfaces, addresses, routes, rules, drop rules, IPVS sync daemons, and
//! the notifications of their changes.

mod devices;
mod lvs;
mod requests;
mod routing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_node::drop_rules::DropRule;
use vrrp_node::lvs::Shown;
use vrrp_node::mirror::{Dump, Event, Extent, Held};
use vrrp_proto::{Family, InterfaceAddress, InterfaceIndex, Link, Loss, MacAddress};

use self::devices::Macvlan;
use self::routing::Routing;
use crate::scenario::{interface_name, link_local, physical_mac};

/// Kernel of one host.
#[derive(Debug)]
pub(crate) struct Kernel {
    host: u8,
    /// Last byte of its link-local addresses.
    identifier: u8,
    marks: bool,
    promotes: bool,
    /// Interfaces on which the daemon has turned promotion on.
    promoting: BTreeSet<InterfaceIndex>,
    interfaces: BTreeMap<InterfaceIndex, Interface>,
    next_index: u32,
    /// Notifications that the daemon has not read yet. Empty without a daemon.
    news: VecDeque<Event>,
    routing: Routing,
    /// Interfaces with `accept_local`.
    accepting: BTreeSet<InterfaceIndex>,
    /// IPVS sync daemons.
    threads: Vec<Shown>,
    heard: bool,
    overrun: bool,
    /// Whether the next dump of links and addresses is interrupted.
    interrupts: bool,
    /// Number of dumps so far.
    dumps: usize,
    /// Number of further notifications to lose.
    losing: u8,
    /// Number of further requests to reject.
    refusing: u8,
    /// Whether it rejects every address of the daemon, for a reason that lasts.
    forbids: bool,
    /// Addresses of which it rejected the last request for a reason that passes.
    rejected_in_passing: BTreeSet<InterfaceAddress>,
    /// Whether it drops advertisements that leave, and whether it has since the administrator looked.
    drops_output: bool,
    has_dropped_output: bool,
    /// Drop rules, if the daemon's table exists.
    table: Option<BTreeSet<DropRule>>,
    /// Whether the table was changed by hand and the daemon does not know.
    touched: bool,
    /// Addresses that the daemon added.
    added: Vec<Added>,
    /// Addresses that were deleted together with one that the daemon deleted.
    taken_along: Vec<InterfaceAddress>,
    /// Addresses that it deletes after a while.
    limited: BTreeSet<(InterfaceIndex, InterfaceAddress)>,
    /// Pending work of the kernel itself.
    deferred: Vec<Deferred>,
    /// Whether the last notification was a complete dump.
    dumped: bool,
    /// Interfaces with virtual MAC addresses for which a request was rejected.
    refused_devices: Vec<Arc<str>>,
    /// First change that the daemon made to an interface that it neither created nor was configured
    /// for.
    trespassed: Option<String>,
    /// Interfaces from which the kernel sent a report over MLD since the last call of
    /// [`take_reports`](Self::take_reports).
    reports: Vec<Link>,
}

/// Address that the daemon added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    pub(crate) address: InterfaceAddress,
    /// Whether a drop rule existed at that moment.
    pub(crate) refused: bool,
    /// Whether the daemon added it as primary IPv4 address to an interface without an IPv4 address of the
    /// host, which the daemon did not create.
    pub(crate) is_first: bool,
}

/// Work of the kernel some time after an IPv6 address was added or deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deferred {
    /// Notification of the new address, from a work queue (addrconf_dad_work).
    Tell(InterfaceIndex, InterfaceAddress),
    /// End of duplicate address detection without a conflict: the address is no longer tentative.
    Settle(InterfaceIndex, InterfaceAddress),
    /// Report over MLD that the host leaves the solicited-node group of a deleted address, from a work queue
    /// (mld_ifc_work).
    Report(InterfaceIndex),
}

#[derive(Debug)]
struct Interface {
    segment: u8,
    link: Link,
    /// In the kernel's order: primaries first, each in the order of creation.
    addresses: Vec<Entry>,
    /// Set for a macvlan.
    macvlan: Option<Macvlan>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: InterfaceAddress,
    ours: bool,
    /// IPv4 only.
    secondary: bool,
    /// IPv6 only: duplicate address detection is running. Until it ends the address is unusable, and
    /// the kernel sends no notification of it.
    tentative: bool,
}

impl Kernel {
    pub(crate) fn new(host: u8, identifier: u8, marks: bool, promotes: bool) -> Self {
        Self {
            host,
            identifier,
            marks,
            promotes,
            promoting: BTreeSet::new(),
            interfaces: BTreeMap::new(),
            next_index: 2,
            news: VecDeque::new(),
            routing: Routing::default(),
            accepting: BTreeSet::new(),
            threads: Vec::new(),
            heard: false,
            overrun: false,
            interrupts: false,
            dumps: 0,
            losing: 0,
            refusing: 0,
            forbids: false,
            rejected_in_passing: BTreeSet::new(),
            drops_output: false,
            has_dropped_output: false,
            table: None,
            touched: false,
            added: Vec::new(),
            taken_along: Vec::new(),
            limited: BTreeSet::new(),
            deferred: Vec::new(),
            dumped: false,
            refused_devices: Vec::new(),
            trespassed: None,
            reports: Vec::new(),
        }
    }

    /// Creates the interface on a segment, up and with the given carrier, if it does not exist.
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
            alternative_names: Arc::default(),
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
            // The kernel deletes the macvlans first.
            for above in self.macvlans_on(index) {
                self.remove_interface(above);
            }
            self.remove_interface(index);
        }
    }

    fn remove_interface(&mut self, index: InterfaceIndex) {
        let gone = self.interfaces.remove(&index);
        self.accepting.remove(&index);
        self.promoting.remove(&index);
        // The kernel reports the addresses first, and then the link.
        for entry in gone.into_iter().flat_map(|gone| gone.addresses) {
            self.tell(Event::AddressRemoved(index, entry.address, Loss::Unknown));
        }
        self.forget_routes_over(index);
        self.tell(Event::LinkRemoved(index));
    }

    /// Changes the link on a segment, if it exists.
    pub(crate) fn change_link(&mut self, segment: u8, change: impl FnOnce(&mut Link)) {
        if let Some(index) = self.on(segment) {
            self.change_interface(index, change);
            for above in self.macvlans_on(index) {
                // A macvlan has a carrier while its parent is up and has one.
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

    /// Adds an address by hand on a segment.
    pub(crate) fn put(&mut self, segment: u8, address: InterfaceAddress) {
        if let Some(index) = self.on(segment) {
            self.put_on(index, address);
        }
    }

    /// Adds an address by hand on an interface.
    pub(crate) fn put_on(&mut self, index: InterfaceIndex, address: InterfaceAddress) {
        if let Some(entry) = self.insert(index, address, false) {
            self.tell_added(index, entry);
        }
    }

    /// Deletes an address by hand from every interface on a segment.
    pub(crate) fn take(&mut self, segment: u8, address: InterfaceAddress) {
        let Some(below) = self.on(segment) else {
            return;
        };
        let all = [vec![below], self.macvlans_on(below)].concat();
        for index in all {
            let gone = self.delete(index, address);
            for address in gone {
                let loss = match address.family() {
                    Family::V4 => Loss::Deleted,
                    Family::V6 => Loss::Unknown,
                };
                self.tell(Event::AddressRemoved(index, address, loss));
            }
        }
    }

    /// Whether the daemon received a complete dump and no other input since.
    pub(crate) const fn was_dumped(&self) -> bool {
        self.dumped
    }

    pub(crate) const fn forget_dump(&mut self) {
        self.dumped = false;
    }

    pub(crate) fn take_refused_devices(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.refused_devices)
    }

    /// Flushes the nftables ruleset.
    pub(crate) fn flush(&mut self) {
        self.touched |= self.table.take().is_some() && self.heard;
    }

    /// Returns whether the table was changed by hand since the last call.
    pub(crate) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Whether packets to an address are dropped.
    pub(crate) fn refuses(&self, address: IpAddr) -> bool {
        self.refused().any(|refused| refused == address)
    }

    /// Addresses with a drop rule.
    pub(crate) fn refused(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.table.iter().flatten().map(|refusal| refusal.address)
    }

    /// Whether the daemon's table exists.
    pub(crate) const fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// Returns the addresses that the daemon added since the last call.
    pub(crate) fn take_added(&mut self) -> Vec<Added> {
        std::mem::take(&mut self.added)
    }

    /// Returns the addresses that were deleted since the last call together with one that the daemon
    /// deleted.
    pub(crate) fn take_taken_along(&mut self) -> Vec<InterfaceAddress> {
        std::mem::take(&mut self.taken_along)
    }

    /// Whether the daemon has left promotion on somewhere.
    pub(crate) fn is_promotion_left(&self) -> bool {
        !self.promoting.is_empty()
    }

    /// An address of the host that is secondary to one of the daemon.
    pub(crate) fn own_behind_ours(&self) -> Option<InterfaceAddress> {
        self.interfaces.values().find_map(|interface| {
            let all = &interface.addresses;
            let is_behind = |own: &&Entry| {
                let leads = |first: &Entry| {
                    first.ours && !first.secondary && first.address.prefix == own.address.prefix
                };
                own.secondary && !own.ours && all.iter().any(leads)
            };
            all.iter().find(is_behind).map(|own| own.address)
        })
    }

    /// Complete dump of links and addresses.
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
            extent: Extent::All,
        }
    }

    /// Dump of one interface and its addresses.
    pub(super) fn one(&self, interface: InterfaceIndex) -> Dump {
        let mut dump = self.all();
        dump.extent = Extent::Interface(interface);
        dump.links.retain(|link| link.index == interface);
        dump.addresses.retain(|(on, _)| *on == interface);
        dump
    }

    /// Dump of links and addresses that lacks one of them, in turn, if it is interrupted.
    pub(super) fn all_in_one_attempt(&mut self) -> Dump {
        let mut dump = self.all();
        self.dumps += 1;
        if std::mem::take(&mut self.interrupts) {
            dump.extent = Extent::Interrupted;
            let all = dump.links.len() + dump.addresses.len();
            match self.dumps % all.max(1) {
                at if at < dump.addresses.len() => drop(dump.addresses.remove(at)),
                at if at < all => drop(dump.links.remove(at - dump.addresses.len())),
                _ => {}
            }
        }
        dump
    }

    /// Whether it is about to reject requests of the daemon.
    pub(crate) const fn is_refusing(&self) -> bool {
        self.refusing > 0
    }

    /// Everything that a daemon has configured, and the rest of the links and addresses, as text.
    pub(crate) fn configuration(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            self.interfaces,
            self.all_routing(),
            self.table,
            self.threads,
            self.accepting,
            self.limited
        )
    }

    /// Subscribes a daemon to notifications, or ends its subscription.
    pub(crate) fn listen(&mut self, heard: bool) {
        self.heard = heard;
        self.hear_of_routing(false);
        self.news.clear();
        self.overrun = false;
        self.touched = false;
    }

    /// Returns the kernel's own work that the world has not scheduled yet.
    pub(crate) fn take_deferred(&mut self) -> Vec<Deferred> {
        std::mem::take(&mut self.deferred)
    }

    /// Does pending work.
    pub(crate) fn happen(&mut self, what: Deferred) {
        let (index, address, is_settled) = match what {
            Deferred::Tell(index, address) => (index, address, false),
            Deferred::Settle(index, address) => (index, address, true),
            Deferred::Report(index) => {
                let link = self.report(index).cloned();
                self.reports.extend(link);
                return;
            }
        };
        let Some(entry) = self.interfaces.get_mut(&index).and_then(|interface| {
            let mut entries = interface.addresses.iter_mut();
            entries.find(|entry| entry.address == address)
        }) else {
            return;
        };
        let is_news = match is_settled {
            true => std::mem::take(&mut entry.tentative),
            false => !entry.tentative,
        };
        let entry = *entry;
        if is_news {
            let held = self.held(entry);
            self.tell(Event::AddressAdded(index, held));
        }
    }

    /// Returns the interfaces from which the kernel sent a report over MLD since the last call.
    pub(crate) fn take_reports(&mut self) -> Vec<Link> {
        std::mem::take(&mut self.reports)
    }

    /// Does all pending work.
    pub(crate) fn settle(&mut self) {
        for what in self.take_deferred() {
            self.happen(what);
        }
    }

    /// Returns the next notification.
    pub(crate) fn news(&mut self) -> Option<Event> {
        self.news.pop_front()
    }

    /// Returns whether notifications were lost since the last call.
    pub(crate) fn take_overrun(&mut self) -> bool {
        std::mem::take(&mut self.overrun)
    }

    /// Whether the daemon has not read everything.
    pub(crate) fn has_news(&self) -> bool {
        self.overrun || self.touched || !self.news.is_empty() || self.has_routing_news()
    }

    pub(crate) fn lose_news(&mut self, count: u8) {
        self.losing = count;
    }

    pub(crate) fn refuse(&mut self, count: u8) {
        self.refusing = count;
    }

    /// Begins or ends to reject every address of the daemon. Returns whether that is a change.
    pub(crate) const fn forbid(&mut self, on: bool) -> bool {
        let is_change = self.forbids != on;
        self.forbids = on;
        is_change
    }

    /// Begins or ends to drop the advertisements that leave.
    pub(crate) const fn drop_output(&mut self, on: bool) {
        self.drops_output = on;
        self.has_dropped_output |= on;
    }

    /// Whether advertisements that leave are dropped.
    pub(crate) const fn drops_output(&self) -> bool {
        self.drops_output
    }

    /// Whether advertisements were dropped since the last call of [`Self::forget_dropped_output`].
    pub(crate) const fn has_dropped_output(&self) -> bool {
        self.has_dropped_output
    }

    /// Whether advertisements were dropped since the last call.
    pub(crate) const fn forget_dropped_output(&mut self) -> bool {
        std::mem::replace(&mut self.has_dropped_output, false)
    }

    /// Whether every address of the daemon is rejected.
    pub(crate) const fn forbids(&self) -> bool {
        self.forbids
    }

    /// Whether the last request to add an address was rejected for a reason that passes.
    pub(crate) fn rejected_in_passing(&self, address: InterfaceAddress) -> bool {
        self.rejected_in_passing.contains(&address)
    }

    /// Whether the kernel provides the socket that the daemon requests now.
    pub(crate) const fn opens_socket(&mut self) -> bool {
        let is_willing = self.is_willing();
        self.refusing = self.refusing.saturating_sub(1);
        is_willing
    }

    /// Whether the kernel accepts requests.
    pub(crate) const fn is_willing(&self) -> bool {
        self.refusing == 0
    }

    /// Index of the interface on a segment.
    pub(crate) fn on(&self, segment: u8) -> Option<InterfaceIndex> {
        self.interfaces
            .iter()
            .find(|(_, interface)| interface.segment == segment && interface.macvlan.is_none())
            .map(|(index, _)| *index)
    }

    /// Hardware address of an interface.
    pub(crate) fn mac(&self, index: InterfaceIndex) -> Option<MacAddress> {
        self.interfaces.get(&index)?.link.mac
    }

    /// Segment of an interface, or of the interface below a macvlan.
    pub(crate) fn segment(&self, index: InterfaceIndex) -> Option<u8> {
        Some(self.interfaces.get(&index)?.segment)
    }

    /// Link on a segment.
    pub(crate) fn link(&self, segment: u8) -> Option<&Link> {
        let index = self.on(segment)?;
        Some(&self.interfaces.get(&index)?.link)
    }

    /// Whether the interface on a segment can send and receive packets.
    pub(crate) fn carries(&self, segment: u8) -> bool {
        self.on(segment).is_some_and(|index| self.sends(index))
    }

    /// Whether an interface can send and receive packets.
    pub(crate) fn sends(&self, index: InterfaceIndex) -> bool {
        let interface = self.interfaces.get(&index);
        interface.is_some_and(|interface| interface.link.up && interface.link.carrier)
    }

    /// Whether an interface drops an IPv4 packet from that source, because it is an address of this host
    /// (`fib_validate_source`, without `accept_local`).
    pub(crate) fn drops_own_source(&self, index: InterfaceIndex, source: IpAddr) -> bool {
        let mut held = self.addresses();
        source.is_ipv4()
            && !self.accepting.contains(&index)
            && held.any(|(_, held, _)| held.address == source)
    }

    /// Whether `accept_local` is set on an interface.
    pub(crate) fn accepts_own_sources(&self) -> bool {
        !self.accepting.is_empty()
    }

    /// Whether an address is on an interface, or is tentative there with any prefix length: such an
    /// address blocks the other one and is not visible to the daemon.
    pub(crate) fn has(&self, index: InterfaceIndex, address: InterfaceAddress) -> bool {
        let is_it = |entry: &Entry| {
            entry.address == address || entry.tentative && entry.address.address == address.address
        };
        self.interfaces
            .get(&index)
            .is_some_and(|interface| interface.addresses.iter().any(is_it))
    }

    /// Whether an address is on any interface, or is tentative there.
    pub(crate) fn has_anywhere(&self, address: InterfaceAddress) -> bool {
        let mut all = self.interfaces.keys();
        all.any(|index| self.has(*index, address))
    }

    /// All addresses that are not tentative, each with whether it has the daemon's mark.
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

    /// Adds the link-local address to an interface that is up, if it is missing.
    fn make_link_local(&mut self, index: InterfaceIndex) {
        // The daemon's macvlans get no link-local address (addrgenmode none of ip-link), and neither do
        // other macvlans in this model.
        if let Some(segment) = self.segment(index)
            && self.on(segment) == Some(index)
        {
            self.put(segment, link_local(segment, self.identifier));
        }
    }

    /// Removes the IPv6 addresses of an interface that is set down (keep_addr_on_down of ip-sysctl).
    fn flush_ipv6(&mut self, index: InterfaceIndex) {
        let Some(interface) = self.interfaces.get_mut(&index) else {
            return;
        };
        let is_ipv6 = |entry: &mut Entry| entry.address.family() == Family::V6;
        let gone: Vec<Entry> = interface.addresses.extract_if(.., is_ipv6).collect();
        for entry in gone {
            self.tell(Event::AddressRemoved(index, entry.address, Loss::Unknown));
        }
    }

    /// Sends the notification of a new address: for IPv6 later, and at the end of duplicate address
    /// detection for a tentative one.
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
            // The daemon detects a lost notification as an overrun of its socket (ENOBUFS).
            self.losing -= 1;
            self.overrun = true;
            // Its cause, many changes, goes on during the dump that follows.
            self.interrupts = true;
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

    /// Adds an address. Returns `None` when it exists already or its interface does not.
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
            // An IPv6 address exists once, with any prefix length (ipv6_add_addr).
            Family::V6 => entry.address.address == address.address,
        };
        if interface.addresses.iter().any(is_there) {
            return None;
        }
        // All IPv4 addresses of a segment are in one network; with the prefix length of a single host
        // each is in a separate network.
        let same_network = |entry: &Entry| {
            entry.address.family() == family
                && entry.address.prefix == address.prefix
                && address.prefix < family.address_bits()
        };
        let entry = Entry {
            address,
            ours,
            secondary: family == Family::V4 && interface.addresses.iter().any(same_network),
            // The daemon disables duplicate address detection for its addresses.
            tentative: family == Family::V6 && !ours,
        };
        interface.addresses.push(entry);
        Some(entry)
    }

    /// Deletes an address. Returns the deleted addresses: without promotion also the secondaries.
    /// Routes that need one of them disappear without a notification.
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
        let promotes = self.promotes || self.promoting.contains(&index);
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
        if address.family() == Family::V6 {
            if interface.link.up {
                self.deferred.push(Deferred::Report(index));
            }
            return vec![address];
        }
        if gone.secondary {
            return vec![address];
        }
        let is_second = |entry: &Entry| entry.secondary && entry.address.prefix == address.prefix;
        if !promotes {
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
