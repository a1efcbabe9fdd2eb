//! Mirror of the kernel's links and addresses, as far as known. Pure.
//!
//! The mirror is filled by a [`Dump`] at the start, follows the kernel's [`Event`]s, and takes in the
//! daemon's own changes when they are planned. After lost events it is compared with a new dump, so that
//! start and overrun are one code path. A dump of one interface settles what an event or an interrupted
//! dump leaves in doubt. Differences that are new to the engine are returned as inputs; the daemon's own
//! changes are not.
//!
//! The cost of a look-up is logarithmic in the number of addresses of one interface, so that a step of one
//! router does not slow down with the number of other routers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_proto::params::AddressForm;
use vrrp_proto::{Family, Input, InterfaceAddress, InterfaceIndex, Link, Loss};

use crate::change::Change;

/// Value of IFA_PROTO (since Linux 5.18) that marks the daemon's addresses in the kernel; `ip address`
/// shows it as `proto 0x56`.
///
/// The kernel reserves 0 to 3; there is no registry for the remaining values. 0x56 is ASCII `V`; no routing
/// daemon in iproute2's `rt_protos` uses it.
pub const ADDRESS_PROTOCOL: u8 = 0x56;

/// Change that the kernel reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link exists and has these attributes.
    Link(Link),
    /// A link was deleted.
    LinkRemoved(InterfaceIndex),
    /// The interface holds the address.
    AddressAdded(InterfaceIndex, Held),
    /// The interface no longer holds the address, for this reason: another program deleted it, or the
    /// notification does not tell.
    AddressRemoved(InterfaceIndex, InterfaceAddress, Loss),
}

/// Address that an interface holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The address.
    pub address: InterfaceAddress,
    /// Whether the address bears the daemon's mark, [`ADDRESS_PROTOCOL`].
    pub ours: bool,
    /// Whether another address of the same network was added before (IFA_F_SECONDARY).
    pub secondary: bool,
}

/// Links and addresses, in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The part of the kernel's state that the dump shows.
    pub extent: Extent,
    /// The links.
    pub links: Vec<Link>,
    /// The addresses.
    pub addresses: Vec<(InterfaceIndex, Held)>,
    /// Whether the kernel stores the mark of an address (IFA_PROTO). If it does not, an address is the
    /// daemon's as long as the mirror remembers that.
    pub marks: bool,
}

/// Part of the kernel's links and addresses that a [`Dump`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// All links and addresses at one time.
    #[default]
    All,
    /// All, but the kernel's state changed during the dump (NLM_F_DUMP_INTR), so that some may be missing.
    Interrupted,
    /// One interface and its addresses.
    Interface(InterfaceIndex),
}

/// An address of the daemon that is before the host's own one in its network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeforeOwn {
    pub(crate) interface: InterfaceIndex,
    pub(crate) address: InterfaceAddress,
    /// Form in which the address was requested.
    pub(crate) form: AddressForm,
    /// The host's own address.
    pub(crate) own: InterfaceAddress,
}

/// Mirror of the kernel's links and addresses.
#[derive(Debug, Default)]
pub struct Mirror {
    links: BTreeMap<InterfaceIndex, Link>,
    /// Links by their names. Two links may have the same name while an event is still on its way.
    names: BTreeMap<Arc<str>, BTreeSet<InterfaceIndex>>,
    addresses: BTreeMap<InterfaceIndex, Addresses>,
    /// Whether the kernel stores marks, see [`Dump::marks`].
    marks: bool,
    /// Position of the next address in the kernel's order.
    next_place: u64,
    /// See [`in_doubt`](Mirror::in_doubt).
    in_doubt: BTreeSet<InterfaceIndex>,
    /// Addresses that planned changes delete, until the changes are carried out.
    departed: BTreeMap<(InterfaceIndex, InterfaceAddress), Entry>,
    /// Number of times that all waiting events had been read.
    readings: u64,
    /// Addresses of the daemon that were deleted, and requested again before that event was read, see
    /// [`may_be_held`](Mirror::may_be_held).
    uncertain: BTreeSet<(InterfaceIndex, InterfaceAddress)>,
    /// IPv4 addresses whose deletion was requested after events were last read: an event about one may be
    /// older than the deletion.
    released: BTreeSet<(InterfaceIndex, InterfaceAddress)>,
    /// IPv4 addresses that are not secondary ones.
    primaries: BTreeSet<(InterfaceIndex, InterfaceAddress)>,
    /// Networks, given by an address, in which an address of the daemon may be before the host's own, see
    /// [`take_before_own`](Self::take_before_own).
    out_of_order: BTreeSet<(InterfaceIndex, InterfaceAddress)>,
}

type Addresses = BTreeMap<InterfaceAddress, Entry>;

#[derive(Clone, Copy, Debug)]
struct Entry {
    ours: bool,
    secondary: bool,
    place: u64,
    /// Form in which this daemon added the address; the default form if it did not.
    form: AddressForm,
    /// Value of [`Mirror::readings`] when this daemon requested the address.
    requested: Option<u64>,
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
    /// Name of an interface for messages; `interface 7` if the link is not known.
    pub fn name(&self, interface: InterfaceIndex) -> Arc<str> {
        self.links.get(&interface).map_or_else(
            || format!("interface {}", interface.0).into(),
            |link| Arc::clone(&link.name),
        )
    }

    /// Returns an empty mirror.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies an event and returns the input for the engine, if the event is news. An event about an IPv6
    /// address with the daemon's mark puts the interface [in doubt](Self::in_doubt) instead, where it
    /// contradicts the mirror.
    pub fn apply(&mut self, event: Event) -> Option<Input<'static>> {
        match event {
            Event::AddressAdded(interface, held) if self.may_be_our_doing(interface, held) => {
                let is_news = self.entry(interface, held.address).is_none();
                if is_news && self.links.contains_key(&interface) {
                    self.in_doubt.insert(interface);
                }
                None
            }
            Event::AddressRemoved(interface, address, _)
                if address.family() == Family::V6
                    && self
                        .entry(interface, address)
                        .is_some_and(|known| known.ours) =>
            {
                self.in_doubt.insert(interface);
                None
            }
            // The kernel holds an IPv6 address only once, so the known one with another prefix length is
            // outdated.
            Event::AddressAdded(interface, held)
                if self.has_otherwise(interface, held.address)
                    || self.released.contains(&(interface, held.address)) =>
            {
                self.in_doubt.insert(interface);
                None
            }
            Event::Link(link) => self.put_link(link),
            Event::LinkRemoved(interface) => {
                self.forget_addresses(interface);
                self.in_doubt.remove(&interface);
                let known = self.links.remove(&interface)?;
                self.forget_name(&known);
                Some(Input::LinkRemoved(interface))
            }
            // An unknown link means that its event was lost: the next resynchronisation finds the link and
            // the address. The engine would ignore an address of a link that it does not know.
            Event::AddressAdded(interface, _) if !self.links.contains_key(&interface) => None,
            Event::AddressAdded(interface, held) => self.put_address(interface, held),
            Event::AddressRemoved(interface, address, loss) => {
                let gone = self.remove(interface, address)?;
                if gone.requested == Some(self.readings) {
                    self.uncertain.insert((interface, address));
                }
                Some(Input::AddressRemoved {
                    interface,
                    address,
                    loss,
                })
            }
        }
    }

    /// Interfaces that have to be read again (see [`replace`](Self::replace)): an event about an IPv6 address
    /// contradicted the mirror, an IPv4 address was added before or after the daemon deleted it, or something is
    /// missing in an interrupted dump.
    ///
    /// An event about an IPv6 address does not say which program changed it, and the kernel reports an
    /// addition late, from a work queue (addrconf_dad_work). So the event may be about the daemon's own
    /// change before the latest one, and only a dump shows what the kernel holds. Events about addresses
    /// without the daemon's mark are applied at once, so that hosts on which many addresses come and go do
    /// not cause a dump for each.
    pub const fn in_doubt(&self) -> &BTreeSet<InterfaceIndex> {
        &self.in_doubt
    }

    /// Notes that all events up to now have been [applied](Self::apply).
    pub(crate) fn no_news_waits(&mut self) {
        self.readings += 1;
        self.released.clear();
    }

    /// Whether the interface may hold an IPv4 address of the daemon although an event said that it was
    /// deleted: the daemon had requested the address after it last read events, so the deletion may be older
    /// than the request.
    pub(crate) fn may_be_held(&self, interface: InterfaceIndex, address: InterfaceAddress) -> bool {
        self.uncertain.contains(&(interface, address))
    }

    /// Addresses with any prefix length that the interface [may hold](Self::may_be_held).
    pub(crate) fn forms_maybe_held(
        &self,
        interface: InterfaceIndex,
        address: IpAddr,
    ) -> impl Iterator<Item = InterfaceAddress> {
        let form = move |prefix| (interface, InterfaceAddress { address, prefix });
        let held = self.uncertain.range(form(0)..=form(u8::MAX));
        held.map(|(_, address)| *address)
    }

    /// Replaces what a dump covers, and returns the differences: removals first, those of addresses with the
    /// daemon's mark last among them, then additions. What is missing in an interrupted dump stays, and puts
    /// its interface [in doubt](Self::in_doubt).
    pub fn replace(&mut self, dump: Dump) -> Vec<Input<'static>> {
        let extent = dump.extent;
        self.marks = dump.marks;
        self.settle(extent);
        let mut inputs = Vec::new();
        self.remove_links_missing_in(&dump, &mut inputs);
        inputs.extend(
            dump.links
                .into_iter()
                .filter_map(|link| self.put_link(link)),
        );

        // All addresses are inserted again, so that they have the order of the dump.
        let mut before = self.take_addresses(extent);
        let mut added = Vec::new();
        for (interface, held) in dump.addresses {
            // The link was created after the links were dumped: both events are still to come.
            if !self.links.contains_key(&interface) {
                continue;
            }
            let known = before
                .get_mut(&interface)
                .and_then(|addresses| addresses.remove(&held.address));
            let ours = self.is_ours(held, known);
            self.put_in_last_place(interface, Held { ours, ..held }, form_of(known), None);
            if known.is_none_or(|known| known.ours != ours) {
                added.push(address_added(interface, held.address, ours));
            }
        }
        let mut removals = Removals::default();
        for (interface, addresses) in before {
            for (address, entry) in addresses {
                if extent == Extent::Interrupted {
                    self.insert(interface, address, entry);
                    self.in_doubt.insert(interface);
                } else {
                    inputs.extend(removals.add(interface, entry.held(address), Loss::Unknown));
                }
            }
        }
        inputs.extend(removals.take());
        inputs.append(&mut added);
        inputs
    }

    /// Forgets the doubts that a dump of this extent settles.
    fn settle(&mut self, extent: Extent) {
        match extent {
            Extent::All => {
                self.in_doubt.clear();
                self.uncertain.clear();
            }
            Extent::Interface(interface) => {
                self.in_doubt.remove(&interface);
                self.uncertain.retain(|(on, _)| *on != interface);
            }
            Extent::Interrupted => {
                let uncertain = self.uncertain.iter().map(|(on, _)| *on);
                self.in_doubt.extend(uncertain);
            }
        }
    }

    /// Takes the addresses that a dump of this extent replaces.
    fn take_addresses(&mut self, extent: Extent) -> BTreeMap<InterfaceIndex, Addresses> {
        match extent {
            Extent::All | Extent::Interrupted => {
                self.primaries.clear();
                std::mem::take(&mut self.addresses)
            }
            Extent::Interface(interface) => {
                self.primaries.retain(|(on, _)| *on != interface);
                let addresses = self.addresses.remove_entry(&interface);
                addresses.into_iter().collect()
            }
        }
    }

    /// Applies a planned change of the daemon.
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
                self.released.remove(&(interface, address));
                self.put_in_last_place(interface, held, form, Some(self.readings));
            }
            Change::Delete { interface, address } => {
                if address.family() == Family::V4 {
                    self.released.insert((interface, address));
                }
                self.uncertain.remove(&(interface, address));
                if let Some(entry) = self.entry(interface, address) {
                    self.departed.insert((interface, address), entry);
                }
                self.remove(interface, address);
            }
        }
    }

    /// Reverts a planned change that the kernel rejected: an address that could not be deleted is in the
    /// mirror again as it was before.
    pub fn refused(&mut self, change: &Change) {
        match *change {
            Change::Add {
                interface, address, ..
            } => {
                self.remove(interface, address);
            }
            Change::Delete { interface, address } => {
                if let Some(entry) = self.departed.get(&(interface, address)).copied() {
                    self.insert(interface, address, entry);
                }
            }
        }
    }

    /// Whether an address that a planned change deletes was a secondary one.
    pub(crate) fn was_secondary(
        &self,
        interface: InterfaceIndex,
        address: InterfaceAddress,
    ) -> bool {
        self.departed
            .get(&(interface, address))
            .is_some_and(|entry| entry.secondary)
    }

    /// Whether a planned change deletes an address of the same network that has another scope than `form`:
    /// the kernel accepts only one scope in a network of an interface (inet_insert_ifa).
    pub(crate) fn is_kept_out(
        &self,
        interface: InterfaceIndex,
        address: InterfaceAddress,
        form: &AddressForm,
    ) -> bool {
        let scope = |form: &AddressForm| form.scope.unwrap_or_default();
        self.departed.iter().any(|((on, gone), entry)| {
            *on == interface
                && is_of_one_network(*gone, address)
                && scope(&entry.form) != scope(form)
        })
    }

    /// Takes the addresses of the daemon that are before the host's own one in their network, with the form
    /// in which they were requested, and with that own address.
    ///
    /// The host would send from the virtual address, which leaves it at the next switch. This order arises
    /// when the own address is changed while the virtual one is there, or the kernel promotes the virtual one.
    pub(crate) fn take_before_own(&mut self) -> Vec<BeforeOwn> {
        let mut found = Vec::new();
        for (interface, address) in std::mem::take(&mut self.out_of_order) {
            let rank = |entry: &Entry| (entry.secondary, entry.place);
            let all = self.of_network(interface, address);
            let first = all.filter(|(_, entry)| !entry.ours);
            let Some((own, first)) = first.min_by_key(|(_, entry)| rank(entry)) else {
                continue;
            };
            let before = self.of_network(interface, *own);
            let before = before.filter(|(_, entry)| entry.ours && rank(entry) < rank(first));
            found.extend(before.map(|(address, entry)| BeforeOwn {
                interface,
                address: *address,
                form: entry.form,
                own: *own,
            }));
        }
        found
    }

    /// Forgets which addresses were planned for deletion, because the changes were carried out.
    pub(crate) fn forget_departed(&mut self) {
        self.departed.clear();
    }

    /// Whether the kernel stores the mark of an address (IFA_PROTO).
    pub const fn marks(&self) -> bool {
        self.marks
    }

    /// All links, by index.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// Link with that index.
    pub fn link(&self, interface: InterfaceIndex) -> Option<&Link> {
        self.links.get(&interface)
    }

    /// Link with that name. If two links have it because an event is still on its way, the one with the
    /// lower index.
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

    /// Addresses of one interface in the kernel's order: IPv4 before IPv6, primaries first, each in the
    /// order of addition.
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

    /// Entry of `address` on `interface`.
    pub fn held(&self, interface: InterfaceIndex, address: InterfaceAddress) -> Option<Held> {
        let entry = self.addresses.get(&interface)?.get(&address)?;
        Some(entry.held(address))
    }

    /// Records the form in which an earlier process added an address that `interface` holds. It is the
    /// daemon's, also where the kernel stores no marks. Returns whether the interface holds it.
    pub(crate) fn adopt(
        &mut self,
        interface: InterfaceIndex,
        address: InterfaceAddress,
        form: AddressForm,
    ) -> bool {
        let addresses = self.addresses.get_mut(&interface);
        let Some(entry) = addresses.and_then(|addresses| addresses.get_mut(&address)) else {
            return false;
        };
        entry.form = form;
        entry.ours = true;
        true
    }

    /// Form in which the daemon added an address that `interface` holds.
    pub(crate) fn form_of_ours(
        &self,
        interface: InterfaceIndex,
        address: InterfaceAddress,
    ) -> Option<AddressForm> {
        let entry = self.entry(interface, address).filter(|entry| entry.ours)?;
        Some(entry.form)
    }

    /// Whether `interface` holds `address` with the daemon's mark but in another form than `form`. The form
    /// that an earlier daemon requested is not known; the default form is assumed.
    pub(crate) fn is_of_another_form(
        &self,
        interface: InterfaceIndex,
        address: InterfaceAddress,
        form: &AddressForm,
    ) -> bool {
        let entry = self.entry(interface, address);
        entry.is_some_and(|entry| entry.ours && entry.form != *form)
    }

    /// Entries of `address` on `interface`, one for each prefix length.
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
        let listed: BTreeSet<_> = dump.links.iter().map(|link| link.index).collect();
        let missing = self.links.keys().filter(|index| !listed.contains(index));
        let missing: Vec<_> = match dump.extent {
            Extent::All => missing.copied().collect(),
            Extent::Interface(interface) => missing
                .filter(|index| **index == interface)
                .copied()
                .collect(),
            Extent::Interrupted => {
                self.in_doubt.extend(missing);
                return;
            }
        };
        for interface in missing {
            if let Some(link) = self.links.remove(&interface) {
                self.forget_name(&link);
            }
            self.forget_addresses(interface);
            inputs.push(Input::LinkRemoved(interface));
        }
    }

    fn put_address(&mut self, interface: InterfaceIndex, held: Held) -> Option<Input<'static>> {
        let known = self.entry(interface, held.address);
        let ours = self.is_ours(held, known);
        let held = Held { ours, ..held };
        match known {
            // A repeated event leaves the address in its place. A promotion to primary, handled below,
            // moves it to the end of the primaries.
            Some(known) if known.secondary == held.secondary => {
                self.insert(interface, held.address, Entry { ours, ..known });
            }
            _ => {
                let requested = known.and_then(|known| known.requested);
                if known.is_some() && ours && !held.secondary {
                    self.out_of_order.insert((interface, held.address));
                }
                self.put_in_last_place(interface, held, form_of(known), requested);
            }
        }
        known
            .is_none_or(|known| known.ours != ours)
            .then(|| address_added(interface, held.address, ours))
    }

    /// Whether an event may be about the daemon's own addition of an IPv6 address: the address or its known
    /// entry bears the daemon's mark, or this kernel stores no marks.
    fn may_be_our_doing(&self, interface: InterfaceIndex, held: Held) -> bool {
        let known = self.entry(interface, held.address);
        held.address.family() == Family::V6
            && (held.ours || !self.marks || known.is_some_and(|known| known.ours))
    }

    /// Whether the mirror holds an IPv6 address with another prefix length.
    fn has_otherwise(&self, interface: InterfaceIndex, address: InterfaceAddress) -> bool {
        let mut forms = self.forms(interface, address.address);
        address.family() == Family::V6 && forms.any(|held| held.address != address)
    }

    /// Whether an address belongs to the daemon, given the kernel's `held` and the entry `known` so far.
    fn is_ours(&self, held: Held, known: Option<Entry>) -> bool {
        held.ours || (!self.marks && known.is_some_and(|known| known.ours))
    }

    fn put_in_last_place(
        &mut self,
        interface: InterfaceIndex,
        held: Held,
        form: AddressForm,
        requested: Option<u64>,
    ) {
        let entry = Entry {
            ours: held.ours,
            secondary: held.secondary,
            place: self.next_place,
            form,
            requested,
        };
        self.next_place += 1;
        self.uncertain.remove(&(interface, held.address));
        if held.secondary && !held.ours && !self.has_own_primary(interface, held.address) {
            self.out_of_order.insert((interface, held.address));
        }
        self.insert(interface, held.address, entry);
    }

    fn insert(&mut self, interface: InterfaceIndex, address: InterfaceAddress, entry: Entry) {
        if address.family() == Family::V4 {
            match entry.secondary {
                false => self.primaries.insert((interface, address)),
                true => self.primaries.remove(&(interface, address)),
            };
        }
        self.addresses
            .entry(interface)
            .or_default()
            .insert(address, entry);
    }

    fn remove(&mut self, interface: InterfaceIndex, address: InterfaceAddress) -> Option<Entry> {
        self.primaries.remove(&(interface, address));
        self.addresses.get_mut(&interface)?.remove(&address)
    }

    fn forget_addresses(&mut self, interface: InterfaceIndex) {
        self.addresses.remove(&interface);
        self.primaries.retain(|(on, _)| *on != interface);
        self.uncertain.retain(|(on, _)| *on != interface);
    }

    /// Whether the interface holds another address of the same network, which makes the next one a
    /// secondary (inet_insert_ifa in the kernel: the same prefix and the same length). IPv6 has no
    /// secondary addresses.
    fn has_network_of(&self, interface: InterfaceIndex, address: InterfaceAddress) -> bool {
        let mut network = self.of_network(interface, address);
        address.family() == Family::V4 && network.any(|(known, _)| *known != address)
    }

    /// Whether the primary address of this IPv4 network belongs to the host. If none is known, the daemon
    /// requested its address while another program deleted the primary one.
    fn has_own_primary(&self, interface: InterfaceIndex, address: InterfaceAddress) -> bool {
        let [first, last] = form_bounds(address);
        let mut primaries = self.primaries.range((interface, first)..=(interface, last));
        primaries.any(|(_, known)| {
            let entry = self.entry(interface, *known);
            known.prefix == address.prefix && entry.is_some_and(|entry| !entry.ours)
        })
    }

    /// Addresses of the interface in the network of an address.
    fn of_network(
        &self,
        interface: InterfaceIndex,
        address: InterfaceAddress,
    ) -> impl Iterator<Item = (&InterfaceAddress, &Entry)> {
        let [first, last] = form_bounds(address);
        let all = self.addresses.get(&interface).into_iter();
        all.flat_map(move |addresses| addresses.range(first..=last))
            .filter(move |(known, _)| known.prefix == address.prefix)
    }

    fn entry(&self, interface: InterfaceIndex, address: InterfaceAddress) -> Option<Entry> {
        self.addresses.get(&interface)?.get(&address).copied()
    }
}

/// Removals of addresses, in the order in which the engine receives them.
///
/// Those of the daemon's addresses come last, so that the engine knows which interface has lost its own
/// address before it restores a virtual one there. If the primary address of a network is among the
/// removals, the kernel deleted its secondaries with it (inet_del_ifa).
#[derive(Debug, Default)]
pub(crate) struct Removals {
    /// Removals of the daemon's addresses.
    waiting: Vec<(InterfaceIndex, Held, Loss)>,
    /// Removed primary addresses.
    primaries: Vec<(InterfaceIndex, InterfaceAddress)>,
}

impl Removals {
    /// Adds the removal of an address that the mirror has `held`. Returns the input, unless it has to wait.
    pub(crate) fn add(
        &mut self,
        interface: InterfaceIndex,
        held: Held,
        loss: Loss,
    ) -> Option<Input<'static>> {
        if held.address.family() == Family::V4 && !held.secondary {
            self.primaries.push((interface, held.address));
        }
        if held.ours {
            self.waiting.push((interface, held, loss));
            return None;
        }
        Some(Input::AddressRemoved {
            interface,
            address: held.address,
            loss,
        })
    }

    /// Takes the inputs that waited.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Input<'static>> + use<> {
        let Self { waiting, primaries } = std::mem::take(self);
        waiting.into_iter().map(move |(interface, held, loss)| {
            let is_its_primary = |(on, primary): &&(InterfaceIndex, InterfaceAddress)| {
                held.secondary && *on == interface && is_of_one_network(*primary, held.address)
            };
            let primary = primaries.iter().find(is_its_primary);
            Input::AddressRemoved {
                interface,
                address: held.address,
                loss: primary.map_or(loss, |(_, primary)| Loss::WithPrimary(*primary)),
            }
        })
    }
}

/// Whether two IPv4 addresses are of the same network, so that one of them is secondary (inet_ifa_match in
/// the kernel: the same prefix and the same length).
pub(crate) fn is_of_one_network(one: InterfaceAddress, other: InterfaceAddress) -> bool {
    one.family() == Family::V4
        && one.prefix == other.prefix
        && one.bounds_of_network() == other.bounds_of_network()
}

/// Bounds of the network of an address, with every prefix length.
fn form_bounds(address: InterfaceAddress) -> [InterfaceAddress; 2] {
    let [first, last] = address.bounds_of_network();
    let form = |address, prefix| InterfaceAddress { address, prefix };
    [form(first, 0), form(last, u8::MAX)]
}

/// Form in which an address was requested.
fn form_of(known: Option<Entry>) -> AddressForm {
    known.map(|known| known.form).unwrap_or_default()
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
