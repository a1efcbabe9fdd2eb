//! Test fixture: a node with simulated time, and its outputs as lines of text.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::sync::Arc;

use crate::engine::Engine;
use crate::events::{
    Advertisement, Announcement, Desired, DesiredLvs, DesiredRouting, Input, Link, Output, Report,
    Solicitation,
};
use crate::params::{
    AddressOptions, AntiReplay, Effect, HmacMode, HmacParams, NodeParams, RouterParams, Track,
    TrackerKind, TrackerParams, Verdict,
};
use crate::reasons::Loss;
use crate::routing::{NextHop, Route, RoutePlace, Rule, Selector, Table};
use crate::snapshot::RouterStatus;
use crate::time::Instant;
use crate::types::{
    AdvertInterval, Family, InterfaceAddress, InterfaceIndex, MacAddress, Priority, State, Version,
    Vrid,
};
use crate::wire::hmac::{self, Key, KeyId, Sequence, TRAILER_LEN};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, GROUP_V4, GROUP_V6, Packet, group};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const T0: Instant = Instant::from_nanos(1_000_000_000_000);

pub(super) const ETH1: InterfaceIndex = InterfaceIndex(2);
pub(super) const ETH2: InterfaceIndex = InterfaceIndex(3);

/// Address of the other host, the lesser one.
pub(super) const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 224, 11);

/// Link-local address of the other host, also the lesser one.
pub(super) const PEER_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11);

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) now: Instant,
}

impl Node {
    /// Node without interfaces and routers.
    pub(super) fn empty() -> Self {
        Self {
            engine: Engine::new(),
            now: T0,
        }
    }

    /// Node with eth1 and eth2, both up and with an address.
    pub(super) fn wired() -> Self {
        let mut node = Self::empty();
        for (index, name) in [(ETH1, "eth1"), (ETH2, "eth2")] {
            node.give(Input::Link(link(index, name)));
            node.give(added(index, own(index), false));
        }
        node
    }

    /// As `wired`, with link-local addresses that have passed duplicate address detection.
    pub(super) fn wired_v6() -> Self {
        let mut node = Self::wired();
        for index in [ETH1, ETH2] {
            node.give(added(index, link_local(index), false));
        }
        node
    }

    /// Wired node that starts to run `params` now.
    pub(super) fn running(params: NodeParams) -> Self {
        Self::wired().started(params)
    }

    /// As `running`, with link-local addresses.
    pub(super) fn running_v6(params: NodeParams) -> Self {
        Self::wired_v6().started(params)
    }

    fn started(mut self, params: NodeParams) -> Self {
        self.give(Input::Configure(params));
        self
    }

    /// Wired node that has run `params` until all routers without a fault are masters and have sent
    /// their second announcements.
    pub(super) fn mastering(params: NodeParams) -> Self {
        let mut node = Self::running(params);
        node.advance(SECOND * 6);
        node
    }

    /// As `mastering`, with link-local addresses.
    pub(super) fn mastering_v6(params: NodeParams) -> Self {
        let mut node = Self::running_v6(params);
        node.advance(SECOND * 6);
        node
    }

    /// Returns the outputs for an input at the present time.
    pub(super) fn take(&mut self, input: Input<'_>) -> Vec<Output> {
        self.engine.handle(self.now, input);
        core::iter::from_fn(|| self.engine.poll()).collect()
    }

    /// Returns the outputs for an input as lines of text.
    pub(super) fn give(&mut self, input: Input<'_>) -> Vec<String> {
        self.take(input).iter().map(line).collect()
    }

    /// As `give`, for an input that takes an interface or an address away: includes the end of the
    /// grace.
    pub(super) fn lose(&mut self, input: Input<'_>) -> Vec<String> {
        let mut lines = self.give(input);
        let (end, _) = *self.engine.graces.first().expect("a router has a grace");
        lines.extend(self.advance(end.since(self.now)));
        lines
    }

    pub(super) fn configure(&mut self, params: NodeParams) -> Vec<String> {
        self.give(Input::Configure(params))
    }

    /// Advances to the next deadline and ticks.
    pub(super) fn step(&mut self) -> Vec<String> {
        self.now = self.due();
        self.give(Input::Tick)
    }

    /// Lets `span` pass with a tick at every deadline.
    pub(super) fn advance(&mut self, span: Duration) -> Vec<String> {
        let end = self.now + span;
        let mut lines = Vec::new();
        while self.engine.poll_timeout().is_some_and(|(at, _)| at <= end) {
            lines.extend(self.step());
        }
        self.now = end;
        lines
    }

    /// Lets `span` pass without a tick: the process is suspended.
    pub(super) fn sleep(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// Receives an advertisement of version 3 for VRID 51 from the other host on eth1.
    pub(super) fn receive_advert(&mut self, priority: u8) -> Vec<String> {
        self.receive(ETH1, PEER, &advert(51, priority))
    }

    /// As `receive_advert`, over IPv6 and with these addresses.
    pub(super) fn receive_advert_v6(&mut self, priority: u8, addresses: &[&str]) -> Vec<String> {
        self.receive(ETH1, PEER_V6, &advert_v6(51, priority, addresses))
    }

    pub(super) fn receive(
        &mut self,
        interface: InterfaceIndex,
        source: impl Into<IpAddr>,
        payload: &[u8],
    ) -> Vec<String> {
        self.give(Input::Packet(packet(interface, source, payload)))
    }

    /// Reports a result of a tracker.
    pub(super) fn probe(&mut self, tracker: &str, up: bool) -> Vec<String> {
        let detail = if up { "exit status 0" } else { "exit status 1" };
        self.give(Input::Probe {
            tracker,
            result: Verdict::of(up),
            detail: detail.into(),
        })
    }

    /// Returns the time of the next deadline.
    pub(super) fn due(&self) -> Instant {
        self.engine.poll_timeout().expect("a deadline").0
    }

    pub(super) fn state(&self, router: &str) -> State {
        let mut states = self.engine.states();
        states
            .find(|(name, _)| &***name == router)
            .expect("a router of that name")
            .1
    }

    pub(super) fn status(&self, router: &str) -> RouterStatus {
        let instances = self.engine.snapshot(self.now).instances;
        instances
            .into_iter()
            .find(|status| &*status.name == router)
            .expect("a router of that name")
    }

    pub(super) fn held(&self) -> Vec<String> {
        self.engine
            .held()
            .map(|(index, address)| format!("{address} on {}", index.0))
            .collect()
    }
}

// --- Inputs ------------------------------------------------------------------------------------

/// An interface that is up and has a carrier.
pub(super) fn link(index: InterfaceIndex, name: &str) -> Link {
    let mac = MacAddress([2, 0, 0, 0, 0, u8::try_from(index.0).unwrap()]);
    Link {
        index,
        name: name.into(),
        up: true,
        carrier: true,
        mac: Some(mac),
        port_of: None,
        alternative_names: Arc::default(),
    }
}

/// Address of this host on `index`.
pub(super) fn own(index: InterfaceIndex) -> &'static str {
    if index == ETH2 {
        "192.168.198.12/24"
    } else {
        "192.168.224.12/24"
    }
}

/// Link-local address of this host on `index`.
pub(super) fn link_local(index: InterfaceIndex) -> &'static str {
    if index == ETH2 {
        "fe80::2:12/64"
    } else {
        "fe80::12/64"
    }
}

pub(super) fn address(text: &str) -> InterfaceAddress {
    text.parse().unwrap()
}

pub(super) fn added(interface: InterfaceIndex, text: &str, ours: bool) -> Input<'static> {
    Input::AddressAdded {
        interface,
        address: address(text),
        ours,
    }
}

pub(super) fn removed(interface: InterfaceIndex, text: &str) -> Input<'static> {
    Input::AddressRemoved {
        interface,
        address: address(text),
        loss: Loss::Deleted,
    }
}

pub(super) fn packet(
    interface: InterfaceIndex,
    source: impl Into<IpAddr>,
    payload: &[u8],
) -> Packet<'_> {
    let source = source.into();
    Packet {
        at: Instant::MAX,
        interface,
        source,
        destination: group(Family::of(source)),
        hop_limit: 255,
        payload,
    }
}

/// Advertisement of version 3 from [`PEER`], with an interval of 1 s and the address of VI_1, or of VI_2
/// with VRID 52.
pub(super) fn advert(vrid: u8, priority: u8) -> Vec<u8> {
    version_3(vrid, priority, 100, ChecksumForm::WithPseudoHeader)
}

pub(super) fn version_3(vrid: u8, priority: u8, centiseconds: u16, form: ChecksumForm) -> Vec<u8> {
    Advert {
        version: Version::V3,
        vrid: Vrid::new(vrid).unwrap(),
        priority,
        interval: AdvertInterval::from_centiseconds(centiseconds).unwrap(),
        addresses: AddressList::new(&[match vrid {
            52 => [192, 168, 198, 100],
            _ => [192, 168, 224, 100],
        }]),
        auth: Auth::None,
    }
    .emit(form, PEER, GROUP_V4)
}

/// Advertisement over IPv6 from [`PEER_V6`], with these addresses.
pub(super) fn advert_v6(vrid: u8, priority: u8, addresses: &[&str]) -> Vec<u8> {
    let octets = |text: &&str| text.parse::<Ipv6Addr>().unwrap().octets();
    let addresses: Vec<_> = addresses.iter().map(octets).collect();
    Advert {
        version: Version::V3,
        vrid: Vrid::new(vrid).unwrap(),
        priority,
        interval: AdvertInterval::DEFAULT,
        addresses: AddressList::new_v6(&addresses),
        auth: Auth::None,
    }
    .emit(ChecksumForm::WithPseudoHeader, PEER_V6, GROUP_V6)
}

pub(super) fn version_2(vrid: u8, priority: u8, auth: Auth) -> Vec<u8> {
    Advert {
        version: Version::V2,
        vrid: Vrid::new(vrid).unwrap(),
        priority,
        interval: AdvertInterval::DEFAULT,
        addresses: AddressList::new(&[[192, 168, 224, 100]]),
        auth,
    }
    .emit(ChecksumForm::MessageOnly, PEER, GROUP_V4)
}

/// Appends to a message of [`PEER`] the trailer made with the key of that number.
pub(super) fn signed(mut message: Vec<u8>, number: u8, sequence: Sequence) -> Vec<u8> {
    message.resize(message.len() + TRAILER_LEN, 0);
    let (source, destination) = (PEER.into(), GROUP_V4.into());
    hmac::sign(&mut message, source, destination, &key(number), sequence);
    message
}

/// Sets the checksum of a message (without pseudo-header). The message is as long as its fields
/// require, or longer.
pub(super) fn seal(bytes: &mut [u8]) {
    let auth_data = if bytes[0] >> 4 == 2 { 8 } else { 0 };
    let end = 8 + 4 * usize::from(bytes[3]) + auth_data;
    bytes[6..8].fill(0);
    let sum: u32 = bytes[..end]
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    bytes[6..8].copy_from_slice(&(!u16::try_from(folded).unwrap()).to_be_bytes());
}

// --- Parameters --------------------------------------------------------------------------------

/// VI_1 of the course, but version 3: VRID 51 on eth1, priority 100, 192.168.224.100/24.
pub(super) fn vi_1() -> RouterParams {
    let vrid = Vrid::new(51).unwrap();
    RouterParams::new("eth1".into(), vrid, addresses(&["192.168.224.100/24"]))
}

/// VI_2 of the course: VRID 52 on eth2, priority 100, 192.168.198.100/24.
pub(super) fn vi_2() -> RouterParams {
    RouterParams {
        interface: "eth2".into(),
        vrid: Vrid::new(52).unwrap(),
        addresses: addresses(&["192.168.198.100/24"]),
        ..vi_1()
    }
}

/// VI_1 with another list of addresses.
pub(super) fn vi_1_with(texts: &[&str]) -> RouterParams {
    RouterParams {
        addresses: addresses(texts),
        ..vi_1()
    }
}

/// Sets options of the address `text` in `params`.
pub(super) fn special(
    mut params: RouterParams,
    text: &str,
    change: impl FnOnce(&mut AddressOptions),
) -> RouterParams {
    let options = Arc::make_mut(&mut params.options);
    change(options.entry(text.parse().unwrap()).or_default());
    params
}

/// The key of that number.
pub(super) fn key(number: u8) -> Key {
    Key::new(KeyId::new(number).unwrap(), &[number; 32]).unwrap()
}

/// Keys 1, the active one, and 2, with a window of 5 s.
pub(super) fn hmac(mode: HmacMode) -> HmacParams {
    HmacParams {
        active: key(1),
        others: vec![key(2)],
        mode,
        anti_replay: AntiReplay::Time { window: SECOND * 5 },
    }
}

/// A route over a gateway on eth1.
pub(super) fn route(destination: &str) -> Route {
    let place = RoutePlace::new(destination.parse().unwrap(), Table::MAIN, None);
    let hop = NextHop::new(Some("192.168.224.1".parse().unwrap()), Some("eth1".into()));
    Route::new(place, [hop.unwrap()]).unwrap()
}

/// A rule for packets from a network.
pub(super) fn rule(from: &str) -> Rule {
    let selector = Selector {
        from: Some(from.parse().unwrap()),
        ..Selector::default()
    };
    let table = Table::new(100).unwrap();
    Rule::new(Family::V4, selector, table, 1000).unwrap()
}

pub(super) fn priority(value: u8) -> Priority {
    Priority::new(value).unwrap()
}

pub(super) fn addresses(texts: &[&str]) -> Arc<[InterfaceAddress]> {
    texts.iter().map(|text| address(text)).collect()
}

pub(super) fn routers<const N: usize>(routers: [(&str, RouterParams); N]) -> NodeParams {
    NodeParams {
        routers: routers.map(|(name, params)| (name.into(), params)).into(),
        ..NodeParams::default()
    }
}

pub(super) fn probed(rise: u32, fall: u32) -> TrackerParams {
    let kind = TrackerKind::Probe {
        definition: "/usr/local/httpd.sh".into(),
    };
    TrackerParams {
        rise,
        fall,
        ..TrackerParams::new(kind)
    }
}

pub(super) fn tracked(tracker: &str, effect: Effect) -> Track {
    Track {
        tracker: tracker.into(),
        effect,
    }
}

// --- Outputs as text ---------------------------------------------------------------------------

/// Formats an output as a line. Decodes messages without the parser under test.
pub(super) fn line(output: &Output) -> String {
    match output {
        Output::Advertise(Advertisement {
            interface,
            source,
            message,
            ..
        }) => {
            let count = usize::from(message[3]);
            let list: Vec<String> = match source {
                IpAddr::V4(_) => message[8..8 + 4 * count]
                    .chunks(4)
                    .map(|a| format!("{}.{}.{}.{}", a[0], a[1], a[2], a[3]))
                    .collect(),
                IpAddr::V6(_) => message[8..8 + 16 * count]
                    .chunks(16)
                    .map(|a| Ipv6Addr::from(<[u8; 16]>::try_from(a).unwrap()).to_string())
                    .collect(),
            };
            format!(
                "advertise on {} from {source}: VRID {}, priority {}, {}",
                interface.0,
                message[1],
                message[2],
                list.join(" ")
            )
        }
        Output::Device(device) => {
            let (name, mac, state) = (&device.name, device.mac, device.state);
            match device.parent {
                Some(parent) => format!("{name} ({mac}) on {}: {state:?}", parent.0),
                None => format!("{name} ({mac}) on nothing: {state:?}"),
            }
        }
        Output::Kernel(Desired {
            interface,
            hold,
            release,
            accept,
            spare_foreign,
            ..
        }) => {
            let filtered = if *accept { "" } else { " filtered" };
            let spare = if *spare_foreign {
                ", sparing foreign ones"
            } else {
                ""
            };
            format!(
                "on {} hold{filtered} [{}], release [{}]{spare}",
                interface.0,
                list(hold),
                list(release)
            )
        }
        Output::Routing(DesiredRouting {
            router,
            routes,
            rules,
            release,
        }) => {
            format!(
                "{router} route [{}], rule [{}], release [{}]",
                texts(routes),
                texts(rules),
                texts(release)
            )
        }
        Output::Lvs(DesiredLvs { sync, on, role }) => {
            let role = role.map_or_else(|| "nothing".to_owned(), |role| role.to_string());
            let on = on.map_or_else(|| "nowhere".to_owned(), |on| on.0.to_string());
            format!(
                "sync {} of {}: {role} on {on}",
                sync.sync_id, sync.interface
            )
        }
        Output::Announce(Announcement {
            interface,
            mac,
            addresses,
            burst,
            pace,
        }) => {
            let times = match burst {
                1 => String::new(),
                times => format!(" {times} times"),
            };
            let pace = match pace {
                0 => String::new(),
                pace => format!(", {pace} a second"),
            };
            let on = interface.0;
            format!(
                "announce on {on} at {mac}: {}{times}{pace}",
                list(addresses)
            )
        }
        Output::Solicit(Solicitation {
            interface,
            mac,
            source,
            target,
        }) => format!("ask on {} for {target} from {source} at {mac}", interface.0),
        Output::Report(report) => report_line(report),
    }
}

fn report_line(report: &Report) -> String {
    match report {
        Report::Transition(t) => format!("{}: {} -> {} ({})", t.router, t.from, t.to, t.cause),
        Report::Continued(t) => format!("{}: {} ({})", t.router, t.to, t.cause),
        Report::Dropped {
            router,
            source,
            cause,
            detail,
        } => {
            let router = router.as_deref().unwrap_or("no router");
            let detail = detail.as_deref().map(|detail| format!(" ({detail})"));
            let detail = detail.unwrap_or_default();
            format!("dropped for {router} from {source}: {cause}{detail}")
        }
        Report::Interrupted {
            router,
            fault_reason,
            lasted,
        } => format!("{router}: no fault: {fault_reason}, for {lasted:?}"),
        Report::Repaired {
            router,
            address,
            loss,
            ..
        } => format!("{router}: repaired {address} {loss}"),
        Report::Stray {
            router, address, ..
        } => format!("{router}: stray {address}"),
        Report::RoutingRepaired {
            router, what, loss, ..
        } => format!("{router}: repaired {what} {loss}"),
        Report::RoutingStray { router, what, .. } => format!("{router}: stray {what}"),
        Report::Verdict {
            tracker,
            up,
            detail,
        } => {
            format!(
                "tracker {tracker}: {} ({detail})",
                if *up { "up" } else { "down" }
            )
        }
        Report::Command { command, change } => {
            let router = command.order.router().map_or("node", |router| router);
            format!("{router}: {} {change:?}", command.order.kind())
        }
        Report::Priority { router, from, to } => format!("{router}: priority {from} -> {to}"),
        Report::Suppressed { matter, suppressed } => format!("suppressed {suppressed}: {matter}"),
        Report::Mismatch {
            router,
            source,
            how,
        } => format!("{router}: {source} differs: {how}"),
        Report::Clock {
            router,
            source,
            ahead,
            ..
        } => format!("{router}: clock of {source} is {ahead} s ahead"),
        Report::Withheld { router, unreceived } => format!("{router}: withheld: {unreceived}"),
        Report::SecondMaster {
            router,
            source,
            priority,
        } => {
            format!("{router}: second master {source}, priority {priority}")
        }
        Report::AddressConflict {
            router,
            interface,
            address,
            mac,
            packets,
        } => format!("{router}: {mac} claims {address} on {interface}, {packets} packets"),
        Report::Repeated { router, times } => format!("{router}: repeated {times} times"),
        Report::Contested { router, cause, .. } => format!("{router} contested: {cause}"),
        Report::LinkLost {
            router,
            fault_reason,
        } => format!("{router}: no link: {fault_reason}"),
        Report::LinkRestored { router } => format!("{router}: link"),
        Report::Renamed(renames) => format!("renamed: {renames:?}"),
        Report::HandsOver { router, longest } => format!("{router}: hands over for {longest:?}"),
        Report::HandedOver {
            router,
            end,
            lasted,
        } => format!("{router}: handed over after {lasted:?}: {end}"),
    }
}

fn list(addresses: &[InterfaceAddress]) -> String {
    let texts: Vec<String> = addresses.iter().map(InterfaceAddress::to_string).collect();
    texts.join(" ")
}

fn texts(things: &[impl ToString]) -> String {
    let texts: Vec<String> = things.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// Returns the lines that begin with `start`.
pub(super) fn only(start: &str, lines: Vec<String>) -> Vec<String> {
    lines
        .into_iter()
        .filter(|line| line.starts_with(start))
        .collect()
}

/// The peer as an [`IpAddr`].
pub(super) fn peer() -> IpAddr {
    PEER.into()
}
