//! What the kernel holds, as far as known. Pure.
//!
//! The mirror is filled by a [`Dump`] at the start, follows the [`Event`]s of the
//! kernel, and takes in our own changes as they are planned. When
//! events were lost a new dump is compared with it, so that start and overrun are one path. What
//! is news to the engine comes out as inputs; our own changes are none.
//!
//! A look-up costs the logarithm of what an interface holds, so that a step of one router does not
//! become slower with the number of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use vrrp_proto::params::AddressForm;
use vrrp_proto::{Family, Input, InterfaceAddress, InterfaceIndex, Link};

use crate::plan::Change;

/// The number that marks our addresses in the kernel (IFA_PROTO, since Linux 5.18); `ip address`
/// shows it as `proto 0x56`.
///
/// The kernel keeps 0 to 3 for itself and gives the rest to whoever takes one, with no registry.
/// 0x56 is a V; no routing daemon of iproute2's `rt_protos` uses it.
pub const ADDRESS_PROTOCOL: u8 = 0x56;

/// One thing that changed in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The link exists and is like this.
    Link(Link),
    /// The link is gone.
    LinkRemoved(InterfaceIndex),
    /// The interface has the address.
    AddressAdded(InterfaceIndex, Held),
    /// The interface no longer has the address.
    AddressRemoved(InterfaceIndex, InterfaceAddress),
}

/// An address that an interface holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The address.
    pub address: InterfaceAddress,
    /// Whether it bears our mark, [`ADDRESS_PROTOCOL`].
    pub ours: bool,
    /// Whether another one of the same network came first (IFA_F_SECONDARY).
    pub secondary: bool,
}

/// All links and addresses at one time, in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The links.
    pub links: Vec<Link>,
    /// The addresses.
    pub addresses: Vec<(InterfaceIndex, Held)>,
    /// Whether the kernel keeps the mark of an address. When it does not, an address is ours as
    /// long as the mirror remembers it to be.
    pub marks: bool,
}

/// What the kernel holds, as far as known.
#[derive(Debug, Default)]
pub struct Mirror {
    links: BTreeMap<InterfaceIndex, Link>,
    /// The links by their names. While news are on their way there may be two of one.
    names: BTreeMap<Arc<str>, BTreeSet<InterfaceIndex>>,
    addresses: BTreeMap<InterfaceIndex, Addresses>,
    /// As in [`Dump::marks`].
    marks: bool,
    /// The place of the next address in the kernel's order.
    next_place: u64,
    /// Whether an event contradicted what is known, see [`is_in_doubt`](Mirror::is_in_doubt).
    in_doubt: bool,
    /// What our own changes took off, and whether it was a secondary address, until they are
    /// carried out.
    departed: BTreeMap<(InterfaceIndex, InterfaceAddress), bool>,
}

type Addresses = BTreeMap<InterfaceAddress, Entry>;

#[derive(Clone, Copy, Debug)]
struct Entry {
    ours: bool,
    secondary: bool,
    place: u64,
    /// How we asked for it, when we did.
    form: AddressForm,
}

impl Entry {
    const fn held(self, address: InterfaceAddress) -> Held {
        Held {
            address,
            ours: self.ours,
            secondary: self.secondary,
        }
    }
}

impl Mirror {
    /// The name of an interface, for people.
    pub fn name(&self, interface: InterfaceIndex) -> Arc<str> {
        self.links.get(&interface).map_or_else(
            || format!("interface {}", interface.0).into(),
            |link| Arc::clone(&link.name),
        )
    }

    /// A mirror that knows of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what changed, and says what the engine should hear of it, if anything is new. What
    /// is said of an IPv6 address that is or was ours puts the mirror [in doubt](Self::is_in_doubt)
    /// instead, where it contradicts what is known.
    pub fn apply(&mut self, event: Event) -> Option<Input<'static>> {
        match event {
            Event::AddressAdded(interface, held) if self.may_be_our_doing(interface, held) => {
                let is_news = self.entry(interface, held.address).is_none();
                self.in_doubt |= is_news && self.links.contains_key(&interface);
                None
            }
            Event::AddressRemoved(interface, address)
                if address.family() == Family::V6
                    && self
                        .entry(interface, address)
                        .is_some_and(|known| known.ours) =>
            {
                self.in_doubt = true;
                None
            }
            // The kernel has an IPv6 address once, and so not with the prefix that is known.
            Event::AddressAdded(interface, held) if self.has_otherwise(interface, held.address) => {
                self.in_doubt = true;
                None
            }
            Event::Link(link) => self.put_link(link),
            Event::LinkRemoved(interface) => {
                self.addresses.remove(&interface);
                let known = self.links.remove(&interface)?;
                self.forget_name(&known);
                Some(Input::LinkRemoved(interface))
            }
            // That the link is not known means that news of it were lost: the next look at everything
            // finds both, and what is said now would be forgotten by whoever knows no such link.
            Event::AddressAdded(interface, _) if !self.links.contains_key(&interface) => None,
            Event::AddressAdded(interface, held) => self.put_address(interface, held),
            Event::AddressRemoved(interface, address) => self
                .remove(interface, address)
                .then_some(Input::AddressRemoved { interface, address }),
        }
    }

    /// Whether the kernel has to be asked for everything ([`replace`](Self::replace)), because of
    /// an IPv6 address something else was told than is known.
    ///
    /// Addresses of others are believed at once, so that hosts on which many come and go are not
    /// looked at for each. What the kernel tells of an IPv6 address does not say who changed it, and an address that
    /// was added is told of later, by a work queue (addrconf_dad_work). So it may be our own
    /// change before the last one, and only by asking it is known what is there.
    pub const fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Takes in all that is, at the start and when events were lost, and says what is new:
    /// first what is gone, then what is there.
    pub fn replace(&mut self, dump: Dump) -> Vec<Input<'static>> {
        self.in_doubt = false;
        self.marks = dump.marks;
        let mut inputs = Vec::new();
        self.remove_links_missing_in(&dump, &mut inputs);
        inputs.extend(
            dump.links
                .into_iter()
                .filter_map(|link| self.put_link(link)),
        );

        // All addresses are put in anew, so that they have the places of the dump.
        let mut before = std::mem::take(&mut self.addresses);
        let mut added = Vec::new();
        for (interface, held) in dump.addresses {
            let known = before
                .get_mut(&interface)
                .and_then(|addresses| addresses.remove(&held.address));
            let ours = self.is_ours(held, known);
            self.put_in_last_place(interface, Held { ours, ..held }, form_of(known));
            if known.is_none_or(|known| known.ours != ours) {
                added.push(address_added(interface, held.address, ours));
            }
        }
        inputs.extend(before.into_iter().flat_map(|(interface, addresses)| {
            addresses
                .into_keys()
                .map(move |address| Input::AddressRemoved { interface, address })
        }));
        inputs.append(&mut added);
        inputs
    }

    /// Takes in a change of our own.
    pub fn applied(&mut self, change: &Change) {
        match *change {
            Change::Add {
                interface,
                address,
                form,
            } => {
                let held = Held {
                    address,
                    ours: true,
                    secondary: self.has_network_of(interface, address),
                };
                self.put_in_last_place(interface, held, form);
            }
            Change::Delete { interface, address } => {
                if let Some(entry) = self.entry(interface, address) {
                    self.departed.insert((interface, address), entry.secondary);
                }
                self.remove(interface, address);
            }
        }
    }

    /// Takes back a change of our own that the kernel refused.
    ///
    /// What was to be deleted comes back as ours: only addresses of a virtual router are deleted,
    /// never the host's own.
    pub fn refused(&mut self, change: &Change) {
        self.applied(&match *change {
            Change::Add {
                interface, address, ..
            } => Change::Delete { interface, address },
            Change::Delete { interface, address } => Change::add(interface, address),
        });
    }

    /// Whether an address that our own changes took off was a secondary one.
    pub(crate) fn was_secondary(
        &self,
        interface: InterfaceIndex,
        address: InterfaceAddress,
    ) -> bool {
        self.departed
            .get(&(interface, address))
            .copied()
            .unwrap_or_default()
    }

    /// Our own changes are about to be carried out.
    pub(crate) fn forget_departed(&mut self) {
        self.departed.clear();
    }

    /// Whether the kernel keeps the mark of an address.
    pub const fn marks(&self) -> bool {
        self.marks
    }

    /// All links, by number.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The link of that number.
    pub fn link(&self, interface: InterfaceIndex) -> Option<&Link> {
        self.links.get(&interface)
    }

    /// The link of that name, and while news are on their way and there are two, the older one.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.get(self.names.get(name)?.first()?)
    }

    /// All addresses of all interfaces.
    pub fn all(&self) -> impl Iterator<Item = (InterfaceIndex, Held)> {
        self.addresses.iter().flat_map(|(interface, addresses)| {
            addresses
                .iter()
                .map(|(address, entry)| (*interface, entry.held(*address)))
        })
    }

    /// The addresses of one interface in the kernel's order: IPv4 before IPv6, primaries first, each
    /// as it came.
    pub fn addresses(&self, interface: InterfaceIndex) -> Vec<Held> {
        let mut entries: Vec<_> = self
            .addresses
            .get(&interface)
            .into_iter()
            .flatten()
            .collect();
        entries.sort_by_key(|(address, entry)| (address.family(), entry.secondary, entry.place));
        entries
            .into_iter()
            .map(|(address, entry)| entry.held(*address))
            .collect()
    }

    /// What is known of `address` on `interface`.
    pub fn held(&self, interface: InterfaceIndex, address: InterfaceAddress) -> Option<Held> {
        let entry = self.addresses.get(&interface)?.get(&address)?;
        Some(entry.held(address))
    }

    /// Whether `address` is on `interface` and ours, and we asked for it in another form than `form`.
    /// In which form an earlier daemon asked for it is not known; that counts as the usual one.
    pub(crate) fn is_of_another_form(
        &self,
        interface: InterfaceIndex,
        address: InterfaceAddress,
        form: &AddressForm,
    ) -> bool {
        let entry = self.entry(interface, address);
        entry.is_some_and(|entry| entry.ours && entry.form != *form)
    }

    /// `address` on `interface` with every prefix length with which it is there.
    pub fn forms(&self, interface: InterfaceIndex, address: IpAddr) -> impl Iterator<Item = Held> {
        let form = move |prefix| InterfaceAddress { address, prefix };
        self.addresses
            .get(&interface)
            .into_iter()
            .flat_map(move |addresses| addresses.range(form(0)..=form(u8::MAX)))
            .map(|(address, entry)| entry.held(*address))
    }

    fn put_link(&mut self, link: Link) -> Option<Input<'static>> {
        let known = self.links.get(&link.index);
        if known == Some(&link) {
            return None;
        }
        if known.is_none_or(|known| known.name != link.name) {
            if let Some(former) = known.cloned() {
                self.forget_name(&former);
            }
            let named = self.names.entry(Arc::clone(&link.name)).or_default();
            named.insert(link.index);
        }
        self.links.insert(link.index, link.clone());
        Some(Input::Link(link))
    }

    fn forget_name(&mut self, link: &Link) {
        if let Some(named) = self.names.get_mut(&link.name) {
            named.remove(&link.index);
            if named.is_empty() {
                self.names.remove(&link.name);
            }
        }
    }

    fn remove_links_missing_in(&mut self, dump: &Dump, inputs: &mut Vec<Input<'static>>) {
        let mut gone = std::mem::take(&mut self.links);
        for link in &dump.links {
            if let Some(known) = gone.remove(&link.index) {
                self.links.insert(link.index, known);
            }
        }
        for (interface, link) in gone {
            self.forget_name(&link);
            self.addresses.remove(&interface);
            inputs.push(Input::LinkRemoved(interface));
        }
    }

    fn put_address(&mut self, interface: InterfaceIndex, held: Held) -> Option<Input<'static>> {
        let known = self.entry(interface, held.address);
        let ours = self.is_ours(held, known);
        let held = Held { ours, ..held };
        match known {
            // It is told again, or made primary: that moves it to the end of the primaries.
            Some(known) if known.secondary == held.secondary => {
                self.insert(interface, held.address, Entry { ours, ..known });
            }
            _ => self.put_in_last_place(interface, held, form_of(known)),
        }
        known
            .is_none_or(|known| known.ours != ours)
            .then(|| address_added(interface, held.address, ours))
    }

    /// Whether an IPv6 address that the kernel tells of may be one that we added ourselves: it, or
    /// what is known of it, bears our mark, or this kernel keeps none.
    fn may_be_our_doing(&self, interface: InterfaceIndex, held: Held) -> bool {
        let known = self.entry(interface, held.address);
        held.address.family() == Family::V6
            && (held.ours || !self.marks || known.is_some_and(|known| known.ours))
    }

    /// Whether an IPv6 address is known with another prefix.
    fn has_otherwise(&self, interface: InterfaceIndex, address: InterfaceAddress) -> bool {
        let mut forms = self.forms(interface, address.address);
        address.family() == Family::V6 && forms.any(|held| held.address != address)
    }

    /// Whether an address is ours, of which the kernel says `held` and we knew `known`.
    fn is_ours(&self, held: Held, known: Option<Entry>) -> bool {
        held.ours || (!self.marks && known.is_some_and(|known| known.ours))
    }

    fn put_in_last_place(&mut self, interface: InterfaceIndex, held: Held, form: AddressForm) {
        let entry = Entry {
            ours: held.ours,
            secondary: held.secondary,
            place: self.next_place,
            form,
        };
        self.next_place += 1;
        self.insert(interface, held.address, entry);
    }

    fn insert(&mut self, interface: InterfaceIndex, address: InterfaceAddress, entry: Entry) {
        self.addresses
            .entry(interface)
            .or_default()
            .insert(address, entry);
    }

    fn remove(&mut self, interface: InterfaceIndex, address: InterfaceAddress) -> bool {
        self.addresses
            .get_mut(&interface)
            .is_some_and(|addresses| addresses.remove(&address).is_some())
    }

    /// Whether there is another address of the same network, which makes the next one a secondary
    /// (inet_insert_ifa of the kernel: the same prefix of the same length). IPv6 knows none.
    fn has_network_of(&self, interface: InterfaceIndex, address: InterfaceAddress) -> bool {
        if address.family() == Family::V6 {
            return false;
        }
        let [first, last] = bounds_of_network(address);
        let form = |address, prefix| InterfaceAddress { address, prefix };
        self.addresses.get(&interface).is_some_and(|addresses| {
            addresses
                .range(form(first, 0)..=form(last, u8::MAX))
                .any(|(known, _)| known.prefix == address.prefix && *known != address)
        })
    }

    fn entry(&self, interface: InterfaceIndex, address: InterfaceAddress) -> Option<Entry> {
        self.addresses.get(&interface)?.get(&address).copied()
    }
}

/// How an address was asked for.
fn form_of(known: Option<Entry>) -> AddressForm {
    known.map(|known| known.form).unwrap_or_default()
}

/// The first and the last address of the network of an address.
fn bounds_of_network(address: InterfaceAddress) -> [IpAddr; 2] {
    match address.address {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(address.prefix.into()).unwrap_or(0);
            [v4.to_bits() & !host, v4.to_bits() | host].map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(address.prefix.into()).unwrap_or(0);
            [v6.to_bits() & !host, v6.to_bits() | host].map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

const fn address_added(
    interface: InterfaceIndex,
    address: InterfaceAddress,
    ours: bool,
) -> Input<'static> {
    Input::AddressAdded {
        interface,
        address,
        ours,
    }
}

#[cfg(test)]
mod tests;
