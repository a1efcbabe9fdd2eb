//! Interfaces with virtual MAC addresses (RFC 9568 section 7.3): macvlans on top of the interface that
//! a router uses.
//!
//! [`Devices`] carries out what [`vrrp_node::device`] plans, by rtnetlink(7), on a separate socket:
//! the monitor receives the changes as notifications, and the engine learns of these interfaces as of
//! any other.
//!
//! An interface is blocked by the queueing discipline `blackhole` (tc(8)), which drops what is sent. Unlike
//! a packet filter it needs no module, and unlike setting the interface down it takes effect at once.
//!
//! For IPv4 the kernel would also send and answer ARP for the addresses with the hardware address of
//! the parent interface. So the parent gets `arp_ignore` 1 and `arp_announce` 2 (ip-sysctl), and its
//! former values again when the last of the daemon's interfaces on top of it is deleted. Until then the
//! kernel stores the former values: in the `tag` setting of the daemon's interface, which has no other
//! meaning, so that `vrrpd cleanup` finds them after a crash.

mod own_sources;
mod promotion;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NlasIterator};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoMacVlan,
    LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{MsgFlags, send};
use vrrp_node::device::DeviceChange;
use vrrp_proto::{InterfaceIndex, Link, MacAddress};

use crate::netlink::{self, Message, NLMSG_ERROR};

// Attributes of a link (linux/if_link.h), and the length of struct ifinfomsg before them.
const IFLA_LINK: u16 = 5;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET_CONF: u16 = 1;
const LINK_HEADER_LEN: usize = 16;
const AF_INET: u16 = 2;
const NLA_F_NESTED: u16 = 1 << 15;

/// Settings of IPv4 on an interface (IPV4_DEVCONF_* of linux/ip.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
enum Setting {
    RpFilter = 8,
    Tag = 12,
    ArpAnnounce = 18,
    ArpIgnore = 19,
    PromoteSecondaries = 20,
    AcceptLocal = 23,
}

impl Setting {
    /// Name in ip-sysctl.
    const fn name(self) -> &'static str {
        match self {
            Self::RpFilter => "rp_filter",
            Self::Tag => "tag",
            Self::ArpAnnounce => "arp_announce",
            Self::ArpIgnore => "arp_ignore",
            Self::PromoteSecondaries => "promote_secondaries",
            Self::AcceptLocal => "accept_local",
        }
    }
}

/// Settings of an interface with a virtual MAC address.
const SETTINGS: [(Setting, u32); 4] = [
    // Answer ARP for the addresses of this interface only.
    (Setting::ArpIgnore, 1),
    // Accept packets from hosts that are reached through the parent.
    (Setting::RpFilter, 2),
    (Setting::AcceptLocal, 1),
    // Without it, each deletion of an address has to turn it on.
    (Setting::PromoteSecondaries, 1),
];

/// A netlink socket that creates, changes and deletes interfaces.
#[derive(Debug)]
pub struct Devices {
    socket: OwnedFd,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    sequence: u32,
    /// Former ARP settings of the parent interfaces, in case another program deletes the interface
    /// that stores them in its tag.
    former: BTreeMap<InterfaceIndex, Former>,
    /// Interfaces on which the daemon set `accept_local`, once those of an earlier run are known.
    accepting: Option<BTreeSet<InterfaceIndex>>,
}

/// State of an interface in the kernel, beyond a [`Link`].
#[derive(Clone, Debug)]
struct Known {
    link: Link,
    parent: Option<InterfaceIndex>,
    settings: Vec<u32>,
}

impl Known {
    fn setting(&self, setting: Setting) -> u32 {
        // The kernel numbers the settings from 1.
        let place = usize::from(setting as u16) - 1;
        self.settings.get(place).copied().unwrap_or_default()
    }

    /// Whether this daemon created the interface. The tag survives a change of name, MAC address and
    /// state.
    fn is_ours(&self) -> bool {
        Former::of_tag(self.setting(Setting::Tag)).is_some()
    }
}

/// ARP settings of the parent interface before the daemon changed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Former {
    ignore: u32,
    announce: u32,
}

impl Former {
    /// Upper bits that mark a tag as the daemon's. Each value takes four of the lower bits.
    const MARK: u32 = 0x5600;

    /// ARP settings of the parent while an interface for IPv4 is on top of it: the parent answers ARP
    /// for its own addresses only, and sends ARP with these alone as source.
    const QUIET: Self = Self {
        ignore: 1,
        announce: 2,
    };

    const fn values(self) -> [(Setting, u32); 2] {
        [
            (Setting::ArpIgnore, self.ignore),
            (Setting::ArpAnnounce, self.announce),
        ]
    }

    fn settings(self) -> AfSpecInet {
        settings(&self.values())
    }

    const fn tag(self) -> u32 {
        Self::MARK | (self.ignore & 0xf) << 4 | self.announce & 0xf
    }

    fn of_tag(tag: u32) -> Option<Self> {
        (tag & !0xff == Self::MARK).then_some(Self {
            ignore: tag >> 4 & 0xf,
            announce: tag & 0xf,
        })
    }
}

impl Devices {
    /// A socket in this network namespace.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn open() -> io::Result<Self> {
        let socket = netlink::open()?;
        netlink::bind_to(&socket, 0)?;
        Ok(Self {
            socket,
            outgoing: Vec::new(),
            incoming: vec![0; netlink::DATAGRAM_LEN],
            sequence: 0,
            former: BTreeMap::new(),
            accepting: None,
        })
    }

    /// Carries out `changes` in order. Calls `failed` for each change that the kernel rejects, and goes
    /// on with the next: EPERM, ENODEV, EOPNOTSUPP (the kernel has no macvlan), EADDRINUSE (another
    /// interface on top of the same parent is up with that MAC address), EEXIST (an interface of that
    /// name exists that this daemon did not create). A change that is already in effect is no failure.
    pub fn apply(
        &mut self,
        changes: &[DeviceChange],
        mut failed: impl FnMut(&DeviceChange, io::Error),
    ) {
        for change in changes {
            let done = match change {
                DeviceChange::Create {
                    name,
                    parent,
                    mac,
                    up,
                } => self.create(name, *parent, *mac, *up),
                DeviceChange::SetMac {
                    index, mac, blocks, ..
                } => self.give_back(*index, *mac, *blocks),
                DeviceChange::Set { index, up, .. } => {
                    let mut message = by_index(*index, Vec::new());
                    set_up(&mut message, *up);
                    self.request(&[(message, 0)])
                }
                DeviceChange::Block { index, .. } => self.block(*index),
                DeviceChange::Unblock { index, .. } => self.unblock(*index),
                DeviceChange::Delete { index, .. } => self.delete(*index),
            };
            match done {
                Ok(()) => {}
                // The interface is deleted already; the monitor's notification is on its way.
                Err(error)
                    if error.raw_os_error() == Some(libc::ENODEV)
                        && !matches!(change, DeviceChange::Create { .. }) => {}
                Err(error) => failed(change, error),
            }
        }
    }

    fn create(
        &mut self,
        name: &str,
        parent: InterfaceIndex,
        mac: MacAddress,
        up: bool,
    ) -> io::Result<()> {
        let known = self.known()?;
        let former = former_of(&known, parent, self.former.get(&parent).copied());
        let made = self.request(&[(macvlan(name, parent, mac), NLM_F_CREATE | NLM_F_EXCL)]);
        match made {
            // An interface of that name exists: the next plan compares it, once the monitor has
            // reported it.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => return Ok(()),
            made => made?,
        }
        // Router advertisements must not give the interface an address derived from the virtual MAC
        // address, nor a route (RFC 9568 section 7.4). Where /proc/sys is read-only, random interface
        // identifiers at least avoid the address.
        // RFC 9568 7.4 MUST NOT: derive an interface identifier from the virtual router MAC address
        // So the interface has no link-local address, and the host's own solicitations leave by the
        // parent.
        // RFC 9568 8.2.2 MUST: a solicitation's source option is the virtual router MAC address
        // RFC 9568 8.2.2 MUST NOT: a solicitation's source option is the physical MAC address
        let sysctl = format!("/proc/sys/net/ipv6/conf/{name}/accept_ra");
        let mode = match std::fs::write(sysctl, "0") {
            Ok(()) => In6AddrGenMode::None,
            Err(_) => In6AddrGenMode::Random,
        };
        let own_settings = [&SETTINGS[..], &[(Setting::Tag, former.tag())]].concat();
        let mut own = LinkMessage::default();
        own.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::AfSpecUnspec(vec![
                AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]),
                AfSpecUnspec::Inet(vec![settings(&own_settings)]),
            ]),
        ];
        let mut messages = vec![(own, 0)];
        if up {
            // In a separate message: within one message the kernel sets the interface up before it
            // applies the rest.
            let mut ready = LinkMessage::default();
            ready.attributes = vec![LinkAttribute::IfName(name.to_owned())];
            set_up(&mut ready, true);
            messages.push((ready, 0));
        }
        if is_for_ipv4(mac) {
            self.former.insert(parent, former);
            // RFC 9568 8.1.2 MUST NOT: answer ARP requests with the physical MAC address
            // RFC 9568 8.1.2 SHOULD NOT: send ARP of the physical MAC address for an owned address
            let quiet = AfSpecUnspec::Inet(vec![Former::QUIET.settings()]);
            let quiet = LinkAttribute::AfSpecUnspec(vec![quiet]);
            // First, so that the parent ignores ARP for the addresses before the new interface comes
            // up.
            messages.insert(0, (by_index(parent, vec![quiet]), 0));
        }
        self.request(&messages)?;
        if !up && let Ok(index) = if_nametoindex(name) {
            // Nothing leaves from it either when another program sets it up. If the kernel rejects this, it
            // also does so, and is reported, when a master steps down.
            let _ = self.block(InterfaceIndex(index));
        }
        Ok(())
    }

    fn block(&mut self, index: InterfaceIndex) -> io::Result<()> {
        let mut message = root_of(index)?;
        message.attributes = vec![TcAttribute::Kind("blackhole".to_owned())];
        let request = RouteNetlinkMessage::NewQueueDiscipline(message);
        self.send_one(request, NLM_F_CREATE | NLM_F_REPLACE)
    }

    fn unblock(&mut self, index: InterfaceIndex) -> io::Result<()> {
        let request = RouteNetlinkMessage::DelQueueDiscipline(root_of(index)?);
        match self.send_one(request, 0) {
            // The interface has the default queueing discipline, or the kernel has none to block it with.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP)) => {
                Ok(())
            }
            done => done,
        }
    }

    /// Restores the virtual MAC address of an interface of the daemon, which is blocked before if `blocks`.
    fn give_back(
        &mut self,
        index: InterfaceIndex,
        mac: MacAddress,
        blocks: bool,
    ) -> io::Result<()> {
        let known = self.known()?;
        let mut known = known.iter();
        if known.any(|each| each.link.index == index && !each.is_ours()) {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        if blocks {
            self.block(index)?;
        }
        self.request(&[(by_index(index, vec![address(mac)]), 0)])
    }

    fn delete(&mut self, index: InterfaceIndex) -> io::Result<()> {
        let known = self.known()?;
        let mut message = LinkMessage::default();
        message.header.index = index.0;
        self.send_one(RouteNetlinkMessage::DelLink(message), 0)?;
        let Some(gone) = known.iter().find(|each| each.link.index == index) else {
            return Ok(());
        };
        let Some(parent) = gone.parent else {
            return Ok(());
        };
        // Deleting takes time; meanwhile another interface may have been created on the same parent.
        let left = self.known()?;
        let mut others = left
            .iter()
            .filter(|other| other.parent == Some(parent) && other.is_ours())
            .filter(|other| other.link.index != index && other.link.mac.is_some_and(is_for_ipv4));
        let former = Former::of_tag(gone.setting(Setting::Tag));
        match former.filter(|_| gone.link.mac.is_some_and(is_for_ipv4)) {
            Some(former) if others.next().is_none() => {
                let restored = AfSpecUnspec::Inet(vec![former.settings()]);
                let restored = LinkAttribute::AfSpecUnspec(vec![restored]);
                self.request(&[(by_index(parent, vec![restored]), 0)])
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Changes IPv4 settings of an interface, if it exists.
    fn set(
        &mut self,
        index: InterfaceIndex,
        values: impl IntoIterator<Item = (Setting, u32)>,
    ) -> io::Result<()> {
        let values: Vec<_> = values.into_iter().collect();
        let changed = AfSpecUnspec::Inet(vec![settings(&values)]);
        let changed = LinkAttribute::AfSpecUnspec(vec![changed]);
        unless_missing(self.request(&[(by_index(index, vec![changed]), 0)]))
    }

    /// Reads one interface, or `None` if it does not exist.
    fn read(&mut self, index: InterfaceIndex) -> io::Result<Option<Known>> {
        let mut message = LinkMessage::default();
        message.header.index = index.0;
        let mask = vec![LinkExtentMask::SkipStats];
        message.attributes.push(LinkAttribute::ExtMask(mask));
        self.outgoing.clear();
        self.sequence = self.sequence.wrapping_add(1);
        let request = RouteNetlinkMessage::GetLink(message);
        netlink::push(request, 0, self.sequence, &mut self.outgoing);
        send(self.socket.as_raw_fd(), &self.outgoing, MsgFlags::empty())?;
        let (mut known, mut outcome) = (None, Ok(()));
        while let Some(datagram) = netlink::receive(&self.socket, &mut self.incoming)? {
            for message in Message::all_of(datagram) {
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                match message.header.message_type {
                    NLMSG_ERROR => outcome = message.result(),
                    _ => known = parse(message.body),
                }
            }
        }
        unless_missing(outcome).map(|()| known)
    }

    /// Sends all messages by one call. Returns the first error; the kernel handles the rest
    /// nevertheless.
    fn request(&mut self, messages: &[(LinkMessage, u16)]) -> io::Result<()> {
        let requests = messages.iter().map(|(message, flags)| {
            let request = RouteNetlinkMessage::NewLink(message.clone());
            (request, *flags)
        });
        self.send_all(requests)
    }

    fn send_one(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.send_all([(request, flags)])
    }

    fn send_all(
        &mut self,
        requests: impl IntoIterator<Item = (RouteNetlinkMessage, u16)>,
    ) -> io::Result<()> {
        self.outgoing.clear();
        self.sequence = self.sequence.wrapping_add(1);
        for (request, flags) in requests {
            netlink::push(request, flags, self.sequence, &mut self.outgoing);
        }
        self.send_and_hear()
    }

    fn send_and_hear(&mut self) -> io::Result<()> {
        send(self.socket.as_raw_fd(), &self.outgoing, MsgFlags::empty())?;
        let mut outcome = Ok(());
        while let Some(datagram) = netlink::receive(&self.socket, &mut self.incoming)? {
            for message in Message::all_of(datagram) {
                let is_answer = message.header.message_type == NLMSG_ERROR
                    && message.header.sequence_number == self.sequence;
                if is_answer && outcome.is_ok() {
                    outcome = message.result();
                }
            }
        }
        outcome
    }

    /// Dumps all interfaces.
    fn known(&mut self) -> io::Result<Vec<Known>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.outgoing.clear();
        netlink::push_link_dump(self.sequence, &mut self.outgoing);
        let mut known = Vec::new();
        let (request, incoming) = (&self.outgoing, &mut self.incoming);
        netlink::dump(&self.socket, request, self.sequence, incoming, |message| {
            known.extend(parse(message.body));
        })?;
        Ok(known)
    }
}

/// An interface that does not exist, or not any more, is no failure.
fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        outcome => outcome,
    }
}

/// ARP settings of `parent` before the daemon changed them. Taken from the tag of an interface on top
/// of it, else from `known_to_us` if the parent still has the daemon's settings, else from its present
/// values.
fn former_of(known: &[Known], parent: InterfaceIndex, known_to_us: Option<Former>) -> Former {
    let remembered = known
        .iter()
        .filter(|other| other.parent == Some(parent))
        .find_map(|other| Former::of_tag(other.setting(Setting::Tag)));
    let base = known.iter().find(|each| each.link.index == parent);
    let present = base.map_or(Former::default(), |base| Former {
        ignore: base.setting(Setting::ArpIgnore),
        announce: base.setting(Setting::ArpAnnounce),
    });
    remembered
        .or(known_to_us.filter(|_| present == Former::QUIET))
        .unwrap_or(present)
}

fn is_for_ipv4(mac: MacAddress) -> bool {
    let [a, b, c, d, e, _] = mac.0;
    [a, b, c, d, e] == [0, 0, 0x5e, 0, 1]
}

fn parse(body: &[u8]) -> Option<Known> {
    let link = netlink::parse_link(body)?;
    let (mut parent, mut settings) = (None, Vec::new());
    for attribute in NlasIterator::new(body.get(LINK_HEADER_LEN..)?) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            IFLA_LINK => {
                let index = attribute.value().first_chunk()?;
                parent = Some(InterfaceIndex(u32::from_ne_bytes(*index)));
            }
            IFLA_AF_SPEC => settings = parse_settings(attribute.value()).unwrap_or_default(),
            _ => {}
        }
    }
    Some(Known {
        link,
        parent,
        settings,
    })
}

/// IPv4 settings in an IFLA_AF_SPEC.
fn parse_settings(value: &[u8]) -> Option<Vec<u32>> {
    let find = |value, kind| {
        NlasIterator::new(value)
            .filter_map(Result::ok)
            .find(|attribute| attribute.kind() == kind)
    };
    let inet = find(value, AF_INET)?;
    let settings = NlasIterator::new(inet.value())
        .filter_map(Result::ok)
        .find(|attribute| attribute.kind() == IFLA_INET_CONF)?;
    let (words, _) = settings.value().as_chunks();
    Some(words.iter().map(|word| u32::from_ne_bytes(*word)).collect())
}

/// A macvlan in mode vepa. In mode private the kernel delivers a multicast frame with the MAC address
/// of a macvlan as source to that macvlan alone, and the socket on the parent never receives the
/// advertisements of another master with the same virtual MAC address.
fn macvlan(name: &str, parent: InterfaceIndex, mac: MacAddress) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Link(parent.0),
        address(mac),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::MacVlan),
            LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(
                MacVlanMode::Vepa,
            )])),
        ]),
    ];
    message
}

/// Message about the queueing discipline through which an interface sends.
///
/// # Errors
///
/// ENODEV for an index that no interface can have.
fn root_of(index: InterfaceIndex) -> io::Result<TcMessage> {
    let Ok(index) = i32::try_from(index.0) else {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    };
    let mut message = TcMessage::with_index(index);
    message.header.parent = TcHandle::ROOT;
    Ok(message)
}

fn by_index(index: InterfaceIndex, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index.0;
    message.attributes = attributes;
    message
}

fn address(mac: MacAddress) -> LinkAttribute {
    LinkAttribute::Address(mac.0.to_vec())
}

fn set_up(message: &mut LinkMessage, up: bool) {
    message.header.change_mask = LinkFlags::Up;
    if up {
        message.header.flags = LinkFlags::Up;
    }
}

/// Builds a request that changes IPv4 settings (rtnetlink(7), IFLA_INET_CONF). The kernel's
/// `inet_set_link_af` takes one attribute for each setting.
fn settings(values: &[(Setting, u32)]) -> AfSpecInet {
    let mut bytes = Vec::new();
    for (setting, value) in values {
        bytes.extend(8_u16.to_ne_bytes());
        bytes.extend((*setting as u16).to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
    }
    AfSpecInet::Other(DefaultNla::new(IFLA_INET_CONF | NLA_F_NESTED, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_encodes_both_arp_settings() {
        let former = Former {
            ignore: 8,
            announce: 2,
        };
        assert_eq!(Former::of_tag(former.tag()), Some(former));
        assert_eq!(Former::of_tag(0), None);
        assert_eq!(Former::of_tag(0x1234), None);
    }
}
