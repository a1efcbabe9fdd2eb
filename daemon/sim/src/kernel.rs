//! A model of one machine's kernel: its interfaces, their addresses, its routes and rules, and what it
//! tells of them.

mod routing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use vrrp_linux::mirror::{Dump, Event, Held, Mirror};
use vrrp_linux::plan::Change;
use vrrp_linux::refusals::Refusal;
use vrrp_proto::{InterfaceAddress, InterfaceIndex, Link, MacAddress};

use self::routing::Routing;
use crate::scenario::interface_name;

/// The kernel of one host.
#[derive(Debug)]
pub(crate) struct Kernel {
    host: u8,
    marks: bool,
    promotes: bool,
    interfaces: BTreeMap<InterfaceIndex, Interface>,
    next_index: u32,
    /// What the daemon has not read yet, while there is one.
    news: VecDeque<Event>,
    routing: Routing,
    heard: bool,
    overrun: bool,
    /// How many of the next news are lost.
    losing: u8,
    /// How many of the next requests are refused.
    refusing: u8,
    /// What is refused, when the daemon has a table for that.
    table: Option<BTreeSet<Refusal>>,
    /// Whether somebody else did something to that table which the daemon has not heard of.
    touched: bool,
    /// What the daemon added, and whether packets to it were refused then.
    came: Vec<(InterfaceIndex, InterfaceAddress, bool)>,
}

/// What the daemon asks of nf_tables: all of it is done, or nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transaction<'a> {
    /// The table is made anew with these.
    Replace(&'a [Refusal]),
    Add(&'a [Refusal]),
    Remove(&'a [Refusal]),
    /// The table goes.
    Delete,
}

#[derive(Debug)]
struct Interface {
    segment: u8,
    link: Link,
    /// In the kernel's order: primaries first, each as it came.
    addresses: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: InterfaceAddress,
    ours: bool,
    secondary: bool,
}

impl Kernel {
    pub(crate) fn new(host: u8, marks: bool, promotes: bool) -> Self {
        Self {
            host,
            marks,
            promotes,
            interfaces: BTreeMap::new(),
            next_index: 2,
            news: VecDeque::new(),
            routing: Routing::default(),
            heard: false,
            overrun: false,
            losing: 0,
            refusing: 0,
            table: None,
            touched: false,
            came: Vec::new(),
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
            mac: Some(MacAddress([2, 0, 0, 0, segment, self.host])),
        };
        let interface = Interface {
            segment,
            link: link.clone(),
            addresses: Vec::new(),
        };
        self.interfaces.insert(index, interface);
        self.tell(Event::Link(link));
    }

    pub(crate) fn remove(&mut self, segment: u8) {
        let Some(index) = self.on(segment) else {
            return;
        };
        let gone = self.interfaces.remove(&index);
        for entry in gone.into_iter().flat_map(|gone| gone.addresses) {
            self.tell(Event::AddressRemoved(index, entry.address));
        }
        self.forget_routes_over(index);
        self.tell(Event::LinkRemoved(index));
    }

    /// Changes the link on a segment, if there is one.
    pub(crate) fn change_link(&mut self, segment: u8, change: impl FnOnce(&mut Link)) {
        let Some(index) = self.on(segment) else {
            return;
        };
        let Some(interface) = self.interfaces.get_mut(&index) else {
            return;
        };
        let before = interface.link.clone();
        change(&mut interface.link);
        if interface.link != before {
            let link = interface.link.clone();
            if !link.up {
                self.forget_routes_over(index);
            }
            self.tell(Event::Link(link));
        }
    }

    /// An administrator adds an address.
    pub(crate) fn put(&mut self, segment: u8, address: InterfaceAddress) {
        if let Some(index) = self.on(segment)
            && let Some(held) = self.insert(index, address, false)
        {
            self.tell(Event::AddressAdded(index, held));
        }
    }

    /// An administrator deletes an address.
    pub(crate) fn take(&mut self, segment: u8, address: InterfaceAddress) {
        if let Some(index) = self.on(segment) {
            let gone = self.delete(index, address);
            for address in gone {
                self.tell(Event::AddressRemoved(index, address));
            }
        }
    }

    /// What the daemon asks for, as `Requests::apply` has it done. Returns whether all of it was.
    pub(crate) fn apply(&mut self, changes: &[Change], mirror: &mut Mirror) -> bool {
        let mut all = true;
        for change in changes {
            if self.refusing > 0 {
                self.refusing -= 1;
                mirror.refused(change);
                all = false;
                continue;
            }
            match *change {
                Change::Add {
                    interface, address, ..
                } => {
                    if !self.interfaces.contains_key(&interface) {
                        mirror.refused(change);
                        all = false;
                    }
                    // That it is there already is no failure.
                    let _ = self.insert(interface, address, true);
                    let refused = self.refuses(address.address);
                    self.came.push((interface, address, refused));
                }
                Change::Delete { interface, address } => {
                    // The daemon hears what went with it, and not of what it asked for.
                    let gone = self.delete(interface, address);
                    for other in gone.into_iter().filter(|gone| *gone != address) {
                        self.tell(Event::AddressRemoved(interface, other));
                    }
                }
            }
        }
        all
    }

    /// What the daemon asks of nf_tables. Returns whether it was done.
    pub(crate) fn transact(&mut self, transaction: &Transaction<'_>) -> bool {
        if self.refusing > 0 {
            self.refusing -= 1;
            return false;
        }
        match (transaction, &mut self.table) {
            (Transaction::Replace(all), table) => *table = Some(all.iter().copied().collect()),
            (Transaction::Add(some), Some(table)) => table.extend(*some),
            (Transaction::Remove(some), Some(table)) if some.iter().all(|r| table.contains(r)) => {
                table.retain(|refusal| !some.contains(refusal));
            }
            (Transaction::Delete, table) => *table = None,
            (Transaction::Add(_), None) | (Transaction::Remove(_), _) => return false,
        }
        true
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
    pub(crate) fn dump(&self) -> Dump {
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
                    interface.addresses.iter().map(held)
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
            .find(|(_, interface)| interface.segment == segment)
            .map(|(index, _)| *index)
    }

    /// The segment that an interface is on.
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
        self.link(segment)
            .is_some_and(|link| link.up && link.carrier)
    }

    /// Whether an address is on an interface, and if so whether it bears the daemon's mark.
    pub(crate) fn holds(&self, index: InterfaceIndex, address: InterfaceAddress) -> Option<bool> {
        self.interfaces
            .get(&index)?
            .addresses
            .iter()
            .find(|entry| entry.address == address)
            .map(|entry| entry.ours)
    }

    /// All addresses, with whether they bear the daemon's mark.
    pub(crate) fn addresses(
        &self,
    ) -> impl Iterator<Item = (InterfaceIndex, InterfaceAddress, bool)> + '_ {
        self.interfaces.iter().flat_map(|(index, interface)| {
            interface
                .addresses
                .iter()
                .map(move |entry| (*index, entry.address, entry.ours))
        })
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
    ) -> Option<Held> {
        let interface = self.interfaces.get_mut(&index)?;
        if interface
            .addresses
            .iter()
            .any(|entry| entry.address == address)
        {
            return None;
        }
        // All addresses of a segment are of one network.
        let secondary = !interface.addresses.is_empty();
        let entry = Entry {
            address,
            ours,
            secondary,
        };
        interface.addresses.push(entry);
        Some(self.held(entry))
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
        if gone.secondary {
            return vec![address];
        }
        if !self.promotes {
            let others = std::mem::take(&mut interface.addresses);
            let others = others.into_iter().map(|entry| entry.address);
            // The kernel deletes the secondaries first (inet_del_ifa).
            return others.chain([address]).collect();
        }
        let promoted = interface.addresses.first_mut().map(|first| {
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
