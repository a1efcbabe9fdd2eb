//! Instance of the engine: the state machine of one virtual router, its endpoint and its counters.

use core::cell::OnceCell;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::address_list::{Comparison, OwnAddresses};
use super::conditions::Conditions;
use super::conflict::Conflict;
use super::destinations::{Destinations, FORMER, Names};
use super::grace::Grace;
use super::group::{GroupId, PeerTable};
use super::hand_over::HandOver;
use super::interfaces::Endpoint;
use super::peers::Peers;
use super::unsent::Unsent;
use crate::checkpoint::{RouterCheckpoint, TransitionCheckpoint};
use crate::events::Transition;
use crate::operator::CommandKind;
use crate::params::{Authentication, Effect, HmacParams, RouterParams};
use crate::reasons::{Cause, FaultReason, Unreceived};
use crate::replay::{Heard, Sent};
use crate::router::{Families, HoldOff, Router, Settings};
use crate::routing::{Route, Rule};
use crate::snapshot::{
    Counters, HISTORY, HmacStatus, HoldOffReason, HoldOffStatus, LvsStatus, PeerStatus,
    PriorityStatus, RouterStatus, SenderStatus, TrackStatus, TransitionStatus, WithheldStatus,
};
use crate::time::{Human, Instant};
use crate::track::{self, Influence, Tracker};
use crate::types::{
    AdvertInterval, Family, InterfaceAddress, InterfaceIndex, MacAddress, Priority, State, Version,
    is_link_local,
};
use crate::wire::hmac::{self, Key, Sequence, TRAILER_LEN};
use crate::wire::{
    AddressList, Advert, Auth, ChecksumForm, HOP_LIMIT, PRIORITY_RESIGN, Received, most_addresses,
};

/// Time in which the transitions of a flapping router are counted, and the least number of them.
const MINUTE: Duration = Duration::from_secs(60);
const FLAPPING: usize = 10;

/// A virtual router in the engine.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) name: Arc<str>,
    pub(super) params: RouterParams,
    pub(super) router: Router,
    /// The sync group of the router, valid until the next reload.
    pub(super) group: Option<GroupId>,
    /// Masters seen in each family; used only in a sync group.
    pub(super) peer_tables: [PeerTable; 2],
    /// Own fault reason, not that of another member of the group.
    pub(super) fault_reason: Option<FaultReason>,
    /// The grace while a passing fault is tolerated.
    pub(super) grace: Option<Grace>,
    /// The hand-over while its addresses stay for a successor.
    pub(super) hand_over: Option<HandOver>,
    /// Addresses that were restored last, and the time.
    pub(super) repaired: (Instant, Vec<InterfaceAddress>),
    /// The endpoint on which it runs, if it can run.
    pub(super) endpoint: Option<Endpoint>,
    /// Interfaces and families that carry its addresses.
    pub(super) attachments: Vec<Attachment>,
    /// The addresses that it advertises in each family, prepared for comparison.
    own_addresses: [OwnAddresses; 2],
    /// Checksum form of the last IPv4 advertisement received, which this router uses in its own.
    form: ChecksumForm,
    /// Whether the other routers list the IPv6 addresses without a link-local one. This router then
    /// does the same.
    without_link_local: bool,
    pub(super) destinations: Destinations,
    /// Encoded advertisement for each receiver, cleared when a field changes and empty until it is
    /// encoded again. With HMAC each message is signed anew before it is sent.
    messages: [Vec<Arc<[u8]>>; 2],
    /// Sequence numbers of the own signed advertisements, and of those received.
    sent: Sent,
    pub(super) heard: Heard,
    /// Conditions that keep it from being master.
    pub(super) conditions: Conditions,
    /// Virtual addresses that the kernel rejected, with its error (see the module `rejections`).
    pub(super) rejected: BTreeMap<InterfaceAddress, Arc<str>>,
    /// Errors of the advertisements that did not leave this host (see the module `unsent`).
    pub(super) unsent: [Option<Unsent>; 2],
    /// Advertisements because of which its last take-over was withheld, and the arrival of the last
    /// one.
    pub(super) withheld: Option<(Unreceived, Instant)>,
    /// Last claim of one of its addresses by another host.
    pub(super) conflict: Option<Conflict>,
    pub(super) counters: Counters,
    peers: Peers,
    history: VecDeque<Remembered>,
}

/// Attachment: the addresses of one family that a router has on one interface.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    /// Name of the interface.
    pub(super) device: Arc<str>,
    pub(super) family: Family,
    pub(super) addresses: Arc<[InterfaceAddress]>,
    /// The virtual MAC address, if the interface is made for it. An interface of that name with
    /// another MAC address was made or changed by another program and is not used as attachment.
    pub(super) virtual_mac: Option<MacAddress>,
    /// Index of the interface, if one of that name exists.
    pub(super) index: Option<InterfaceIndex>,
    /// MAC address that the announcements contain.
    pub(super) mac: Option<MacAddress>,
    /// Whether the interface was down when its addresses were announced, or has been down since:
    /// the neighbours may not have received the announcement.
    pub(super) is_unheard: bool,
    /// Whether the last request to the kernel spared addresses that the daemon did not add.
    pub(super) spared_foreign: bool,
}

impl Attachment {
    /// Returns the attachments for the addresses of `params`, in the order in which they first
    /// occur.
    fn all_of(params: &RouterParams) -> Vec<Self> {
        let mut attachments: Vec<(Self, Vec<InterfaceAddress>)> = Vec::new();
        for (device, address) in params.places() {
            let family = address.family();
            let known = attachments.iter_mut().find(|(attachment, _)| {
                attachment.device == *device && attachment.family == family
            });
            match known {
                Some((_, addresses)) => addresses.push(address),
                None => {
                    let attachment = Self {
                        device: Arc::clone(device),
                        family,
                        addresses: Arc::default(),
                        virtual_mac: (params.virtual_device(family) == Some(device))
                            .then(|| MacAddress::of_virtual_router(family, params.vrid)),
                        index: None,
                        mac: None,
                        is_unheard: false,
                        spared_foreign: false,
                    };
                    attachments.push((attachment, vec![address]));
                }
            }
        }
        let attachments = attachments.into_iter();
        attachments
            .map(|(attachment, addresses)| Self {
                addresses: addresses.into(),
                ..attachment
            })
            .collect()
    }

    /// Whether both are for the same family on the same interface.
    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        (&self.device, self.family) == (&other.device, other.family)
    }
}

#[derive(Clone, Debug)]
struct Remembered {
    from: State,
    to: State,
    /// Cause; `None` for a transition in an earlier process, which left the text only.
    cause: Option<Cause>,
    /// Text of the cause, formatted on first use, so that a take-over does not wait for it.
    text: OnceCell<Arc<str>>,
    /// Whether the cause is that of another member of the group.
    follows_member: bool,
    priority: Priority,
    at: Instant,
}

impl Remembered {
    fn new(transition: &Transition) -> Self {
        let of_member =
            |fault_reason: &FaultReason| matches!(fault_reason, FaultReason::Member { .. });
        let cause = &transition.cause;
        let follows_member = matches!(cause, Cause::With { .. })
            || matches!(cause, Cause::Faulted(o) | Cause::Recovered(o) if of_member(o));
        Self {
            from: transition.from,
            to: transition.to,
            cause: Some(transition.cause.clone()),
            text: OnceCell::new(),
            follows_member,
            priority: transition.priority,
            at: transition.at,
        }
    }

    fn text(&self) -> Arc<str> {
        let text = || {
            self.cause
                .as_ref()
                .map_or_else(Arc::default, |cause| cause.to_string().into())
        };
        Arc::clone(self.text.get_or_init(text))
    }

    fn save(&self) -> TransitionCheckpoint {
        TransitionCheckpoint {
            from: self.from,
            to: self.to,
            cause: self.text(),
            follows_member: self.follows_member,
            priority: self.priority,
            at: self.at,
        }
    }

    fn restore(saved: &TransitionCheckpoint) -> Self {
        Self {
            from: saved.from,
            to: saved.to,
            cause: None,
            text: OnceCell::from(Arc::clone(&saved.cause)),
            follows_member: saved.follows_member,
            priority: saved.priority,
            at: saved.at,
        }
    }
}

impl Instance {
    pub(super) fn new(name: Arc<str>, params: RouterParams, names: &Names) -> Self {
        let router = Router::new(settings(&params, params.priority));
        Self {
            name,
            destinations: Destinations::new(&params, names),
            attachments: Attachment::all_of(&params),
            own_addresses: own_addresses(&params),
            params,
            router,
            group: None,
            peer_tables: Default::default(),
            fault_reason: None,
            grace: None,
            hand_over: None,
            endpoint: None,
            form: ChecksumForm::default(),
            without_link_local: false,
            messages: [Vec::new(), Vec::new()],
            sent: Sent::default(),
            heard: Heard::default(),
            repaired: (Instant::ZERO, Vec::new()),
            conditions: Conditions::default(),
            rejected: BTreeMap::new(),
            unsent: [None, None],
            withheld: None,
            conflict: None,
            counters: Counters::default(),
            peers: Peers::default(),
            history: VecDeque::new(),
        }
    }

    /// Whether a later process can continue in its state. A master in its grace cannot: the addresses and
    /// interfaces that it waits for are known to this process only.
    pub(super) fn can_continue(&self) -> bool {
        match self.router.state() {
            State::Init | State::Backup | State::Fault => true,
            State::Master => self.grace.is_none() && self.router.save().is_some(),
        }
    }

    /// Whether it has sent or accepted signed advertisements.
    pub(super) fn has_numbers(&self) -> bool {
        self.sent.save().is_some() || !self.heard.senders().is_empty()
    }

    /// Returns the learned state, for a later process.
    pub(super) fn save(&self) -> RouterCheckpoint {
        let [
            silence_counts_at,
            startup_until,
            took_over_at,
            hold_down_until,
        ] = self.router.save_delays();
        let in_group = self.group.is_some();
        let peers = self.families().filter(|_| in_group);
        RouterCheckpoint {
            interface: Arc::clone(&self.params.interface),
            virtual_router_id: self.params.vrid,
            version: self.params.version,
            sources: Family::ALL
                .into_iter()
                .filter_map(|family| self.source(family))
                .collect(),
            has_link: self.endpoint.is_none_or(|endpoint| endpoint.has_link),
            phase: self.router.save(),
            startup_until,
            silence_counts_at,
            took_over_at,
            hold_down_until,
            sent: self.sent.save(),
            heard: self.heard.save(),
            further_peers: self.destinations.save(),
            checksum: self.form,
            without_link_local: self.without_link_local,
            others: self.peers.save(),
            peers: peers
                .map(|family| self.peer_tables[family as usize].save(family))
                .collect(),
            counters: self.counters,
            history: self.history.iter().map(Remembered::save).collect(),
        }
    }

    /// Continues in the state Initialize with what [`save`](Self::save) returned, except the state of the
    /// router.
    pub(super) fn restore(&mut self, now: Instant, saved: &RouterCheckpoint, names: &Names) {
        self.destinations
            .restore(now, &saved.further_peers, &self.params, names);
        self.router.restore_delays([
            saved.silence_counts_at,
            saved.startup_until,
            saved.took_over_at,
            saved.hold_down_until,
        ]);
        self.sent = Sent::restore(saved.sent);
        self.heard = Heard::restore(&saved.heard);
        self.form = saved.checksum;
        self.without_link_local = saved.without_link_local;
        for peers in &saved.peers {
            self.peer_tables[peers.family as usize] = PeerTable::restore(peers);
        }
        self.peers = Peers::restore(&saved.others);
        self.counters = saved.counters;
        let history = saved.history.iter().take(HISTORY);
        self.history = history.map(Remembered::restore).collect();
    }

    /// Applies changed parameters of the same router.
    pub(super) fn set_params(&mut self, now: Instant, params: RouterParams, names: &Names) {
        self.router
            .set_settings(now, settings(&params, self.priority()));
        let own_addresses = own_addresses(&params);
        if own_addresses != self.own_addresses || params.interval != self.params.interval {
            self.peers.forget_comparisons();
        }
        self.own_addresses = own_addresses;
        self.params = params;
        self.reattach();
        self.set_peers(now, names);
        self.forget_messages();
        // A removed family has nothing left to advertise, not even a resignation.
        let speaks = |family| self.params.speaks(family);
        self.endpoint = self.endpoint.map(|endpoint| endpoint.restricted(speaks));
    }

    /// Applies newly resolved addresses of peers.
    pub(super) fn set_peers(&mut self, now: Instant, names: &Names) {
        let was_resolved = self.destinations.unresolved().is_none();
        if self.destinations.set(now, &self.params, names) {
            self.forget_messages();
        }
        if !was_resolved && self.destinations.unresolved().is_none() {
            // From now on the peers can be asked for.
            let heard_by = now + self.router.wait_for(self.params.interval);
            self.router.count_silence_by(heard_by);
        }
    }

    /// Keeps the addresses of a peer as peers that the present answer for its name no longer contains.
    pub(super) fn retire(&mut self, now: Instant, name: &Arc<str>, gone: &[IpAddr]) {
        let until = now + self.router.wait_for(self.params.interval) + FORMER;
        let mut gone = gone.to_vec();
        // If there are too many, those that advertise are kept.
        gone.sort_by_key(|address| self.peers.has_heard(*address));
        for address in gone {
            self.destinations.retire(name, address, until);
        }
    }

    /// Records the sender of an admitted advertisement among the peers.
    pub(super) fn record_sender(&mut self, at: Instant, source: IpAddr, interval: AdvertInterval) {
        if self.params.unicast.is_some() {
            let silence = self.router.wait_for(interval) + FORMER;
            if self.destinations.record(source, at, silence) {
                self.forget_messages();
            }
        }
    }

    /// Removes the former addresses of peers that have been silent for too long.
    pub(super) fn expire_peers(&mut self, now: Instant) {
        if self.destinations.expire(now) {
            self.forget_messages();
        }
    }

    fn forget_messages(&mut self) {
        self.messages.iter_mut().for_each(Vec::clear);
    }

    /// Rebuilds the attachments from the parameters and keeps the state of those that remain.
    pub(super) fn reattach(&mut self) {
        let mut attachments = Attachment::all_of(&self.params);
        for attachment in &mut attachments {
            if let Some(known) = self
                .attachments
                .iter()
                .find(|known| known.is_same_place(attachment))
            {
                attachment.index = known.index;
                attachment.mac = known.mac;
                attachment.is_unheard = known.is_unheard;
                attachment.spared_foreign = known.spared_foreign;
            }
        }
        self.attachments = attachments;
    }

    /// Returns the virtual addresses that the router holds, with their interfaces.
    pub(super) fn held(&self) -> impl Iterator<Item = (InterfaceIndex, InterfaceAddress)> + '_ {
        let attachments = self.attachments.iter();
        attachments
            .filter(|attachment| self.holds(attachment.family))
            .filter_map(|attachment| Some((attachment.index?, &attachment.addresses)))
            .flat_map(|(index, addresses)| addresses.iter().map(move |address| (index, *address)))
    }

    /// Returns the position of the attachment that carries an address, regardless of its prefix
    /// length.
    pub(super) fn attachment_of(&self, address: IpAddr) -> Option<usize> {
        let has =
            |attachment: &Attachment| attachment.addresses.iter().any(|a| a.address == address);
        self.attachments.iter().position(has)
    }

    /// Returns the families in which the router advertises, IPv4 first.
    pub(super) fn families(&self) -> impl Iterator<Item = Family> + use<> {
        let speaks = Family::ALL.map(|family| self.params.speaks(family));
        Family::ALL
            .into_iter()
            .filter(move |family| speaks[*family as usize])
    }

    /// Sets the endpoint.
    pub(super) fn set_endpoint(&mut self, endpoint: Option<Endpoint>) {
        if self.endpoint != endpoint {
            self.endpoint = endpoint;
            self.forget_messages();
        }
    }

    /// Encodes the advertisements in advance, so that a take-over does not wait for it.
    pub(super) fn prepare(&mut self) {
        if let Some(endpoint) = self.endpoint {
            for family in Family::ALL {
                if let Some(source) = endpoint.source(family) {
                    let _ = self.prepared(family, source);
                }
            }
        }
    }

    /// Sets the effective priority. Returns the former one if it changed.
    pub(super) fn set_priority(&mut self, now: Instant, priority: Priority) -> Option<Priority> {
        let before = self.priority();
        if before == priority {
            return None;
        }
        let settings = Settings {
            priority,
            ..*self.router.settings()
        };
        self.router.set_settings(now, settings);
        self.forget_messages();
        Some(before)
    }

    /// Effective priority.
    pub(super) const fn priority(&self) -> Priority {
        self.router.settings().priority
    }

    /// Returns the effect of the router's trackers on its priority and state, and that of the
    /// operator on its priority.
    pub(super) fn influence(&self, trackers: &BTreeMap<Arc<str>, Tracker>) -> Influence {
        let influence = self.influence_of_trackers(trackers);
        match self.conditions.standby {
            Some(_) => Influence {
                priority: Priority::MIN,
                ..influence
            },
            None => influence,
        }
    }

    /// As [`influence`](Self::influence), without a standing command to leave mastership.
    fn influence_of_trackers(&self, trackers: &BTreeMap<Arc<str>, Tracker>) -> Influence {
        let base = self.conditions.priority.unwrap_or(self.params.priority);
        track::influence(base, &self.params.tracks, trackers)
    }

    /// Destinations of the advertisements in a family.
    pub(super) fn receivers(&self, family: Family) -> &[IpAddr] {
        self.destinations.of(family)
    }

    /// TTL or hop limit of the advertisements sent.
    pub(super) fn hop_limit(&self) -> u8 {
        // RFC 9568 5.1.1.3 MUST: send with TTL 255
        // RFC 9568 5.1.2.3 MUST: send with hop limit 255
        self.params.unicast.as_ref().map_or(HOP_LIMIT, |u| u.ttl)
    }

    /// Records what an admitted advertisement shows of its sender. Returns whether its configuration differs in
    /// another way than before.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        source: IpAddr,
        received: &Received<'_>,
        comparison: Comparison,
    ) -> bool {
        let Received {
            advert,
            checksum,
            beyond,
        } = received;
        self.counters.adverts_received += 1;
        self.withheld = None;
        if self.hmac().is_some() && beyond.len() != TRAILER_LEN {
            self.counters.adverts_without_hmac += 1;
        }
        if advert.resigns() {
            self.counters.resignations_received += 1;
        }
        let theirs = advert.addresses;
        if theirs.family() == Family::V4 {
            match checksum {
                ChecksumForm::WithPseudoHeader => self.counters.checksums_with_pseudo_header += 1,
                ChecksumForm::MessageOnly => self.counters.checksums_message_only += 1,
            }
            // Version 2 has only one form.
            // RFC 9568 5.2.8 MUST: the checksum over IPv4 covers the message alone
            if self.params.version == Version::V3 && self.form != *checksum {
                self.form = *checksum;
                self.messages[Family::V4 as usize].clear();
            }
        } else if !self.has_link_local() && !theirs.is_empty() {
            let without = !theirs.iter().next().is_some_and(is_link_local);
            if self.without_link_local != without {
                self.without_link_local = without;
                self.messages[Family::V6 as usize].clear();
            }
        }
        // RFC 9568 7.1 SHOULD: another interval than the own one is noticed
        // RFC 9568 7.1 SHOULD: another interval than the own one is logged
        if advert.interval != self.params.interval {
            self.counters.interval_differs += 1;
        }
        // RFC 9568 7.1 MAY: another list of addresses is noticed
        // RFC 9568 7.1 SHOULD: another list of addresses is logged
        // RFC 3768 7.1 MUST: another list of addresses, not from the owner, is discarded
        if comparison != Comparison::Same {
            self.counters.address_list_differs += 1;
        }
        self.peers
            .record(now, source, received, &self.params, comparison)
    }

    /// Compares the list of an advertisement with the configured one.
    pub(super) fn compare(&self, source: IpAddr, theirs: AddressList<'_>) -> Comparison {
        let own = &self.own_addresses[theirs.family() as usize];
        self.peers.compare(source, theirs, own)
    }

    /// Records the advertisement of another virtual router that has the same VRID.
    pub(super) fn record_foreign(&mut self, now: Instant, source: IpAddr, received: &Received<'_>) {
        self.peers
            .record(now, source, received, &self.params, Comparison::Foreign);
    }

    /// The differences between the last advertisement of a sender and the configuration, as sentences.
    pub(super) fn differences(&self, source: IpAddr) -> Vec<String> {
        self.peers
            .differences(source, &self.params, &self.own_addresses)
    }

    /// Whether a configured address is link-local.
    fn has_link_local(&self) -> bool {
        self.own_addresses[Family::V6 as usize].has_link_local()
    }

    /// Returns the sequence number for the next advertisement at the wall-clock time `wall`, if it
    /// is signed. The copies for all receivers have the same number.
    pub(super) fn sequence(&mut self, wall: Duration) -> Option<Sequence> {
        let hmac = self.hmac().filter(|hmac| hmac.mode.signs())?;
        let anti_replay = hmac.anti_replay;
        Some(self.sent.next(wall, anti_replay))
    }

    /// Returns the advertisement that it sends as master to one of its
    /// [`receivers`](Self::receivers), selected by family and position.
    pub(super) fn message(
        &mut self,
        family: Family,
        number: usize,
        source: IpAddr,
        sequence: Option<Sequence>,
    ) -> Arc<[u8]> {
        let _ = self.prepared(family, source);
        let receiver = self.receivers(family)[number];
        let message = &mut self.messages[family as usize][number];
        if let (Authentication::Hmac(hmac), Some(sequence)) =
            (&self.params.authentication, sequence)
        {
            // No copy is made: the previous output that shared the buffer has been dropped.
            let message = Arc::make_mut(message);
            hmac::sign(message, source, receiver, &hmac.active, sequence);
        }
        Arc::clone(message)
    }

    /// Returns the advertisements to all receivers of a family, with the last signature or still
    /// without.
    fn prepared(&mut self, family: Family, source: IpAddr) -> &[Arc<[u8]>] {
        let mut messages = core::mem::take(&mut self.messages[family as usize]);
        if messages.is_empty() {
            let priority = self.priority().get();
            let receivers = self.receivers(family).iter();
            messages.extend(receivers.map(|to| self.emit(priority, source, *to).into()));
        }
        self.messages[family as usize] = messages;
        &self.messages[family as usize]
    }

    /// Encodes the resignation (priority 0) to `receiver`.
    pub(super) fn resignation(
        &self,
        source: IpAddr,
        receiver: IpAddr,
        sequence: Option<Sequence>,
    ) -> Arc<[u8]> {
        let mut message = self.emit(PRIORITY_RESIGN, source, receiver);
        if let (Some(hmac), Some(sequence)) = (self.hmac(), sequence) {
            hmac::sign(&mut message, source, receiver, &hmac.active, sequence);
        }
        message.into()
    }

    /// HMAC parameters, if configured.
    const fn hmac(&self) -> Option<&HmacParams> {
        match &self.params.authentication {
            Authentication::Hmac(hmac) => Some(hmac),
            Authentication::None | Authentication::Pass(_) => None,
        }
    }

    fn signs(&self) -> bool {
        self.hmac().is_some_and(|hmac| hmac.mode.signs())
    }

    /// Encodes an advertisement with that priority from `source` to `receiver`, with room for the
    /// HMAC trailer if it is to be signed.
    fn emit(&self, priority: u8, source: IpAddr, receiver: IpAddr) -> Vec<u8> {
        let family = Family::of(source);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        // RFC 9568 7.2 MUST: the fields are those of the configuration
        // RFC 9568 5.2.9 erratum 8300 MUST: the first IPv6 address is the link-local one
        let begins = !self.has_link_local() && !self.without_link_local && is_link_local(source);
        // Every router has to ignore a list of no address (RFC 9568 erratum 8299), so the source address
        // fills it. keepalived takes any list.
        let fills = self.params.advertises_none() && self.params.version == Version::V3;
        let own = (begins || fills).then_some(source);
        let of_kind = |link_local| {
            let advertised = self.params.advertised(family);
            advertised.filter(move |address| is_link_local(*address) == link_local)
        };
        for address in own.into_iter().chain(of_kind(true)).chain(of_kind(false)) {
            match address {
                IpAddr::V4(address) => v4.push(address.octets()),
                IpAddr::V6(address) => v6.push(address.octets()),
            }
        }
        // The sender's link-local address may be one more than a message has room for.
        v6.truncate(most_addresses(Family::V6));
        let advert = Advert {
            version: self.params.version,
            vrid: self.params.vrid,
            priority,
            interval: self.params.interval,
            addresses: match family {
                Family::V4 => AddressList::new(&v4),
                Family::V6 => AddressList::new_v6(&v6),
            },
            auth: self.auth(),
        };
        let mut message = advert.emit(self.form, source, receiver);
        if self.signs() {
            message.resize(message.len() + TRAILER_LEN, 0);
        }
        message
    }

    pub(super) const fn auth(&self) -> Auth {
        match &self.params.authentication {
            Authentication::Pass(password) => Auth::Pass(*password),
            Authentication::None | Authentication::Hmac(_) => Auth::None,
        }
    }

    /// Adds a transition to the history.
    pub(super) fn remember(&mut self, transition: &Transition) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Remembered::new(transition));
    }

    /// Returns the status of the router.
    pub(super) fn status(
        &self,
        now: Instant,
        trackers: &BTreeMap<Arc<str>, Tracker>,
        names: &Names,
    ) -> RouterStatus {
        RouterStatus {
            name: Arc::clone(&self.name),
            interface: Arc::clone(&self.params.interface),
            virtual_router_id: self.params.vrid,
            version: self.params.version,
            state: self.router.state(),
            state_age: self.state_age(now),
            cause: self.cause(now),
            withheld: self
                .withheld
                .as_ref()
                .map(|(unreceived, at)| WithheldStatus {
                    source: unreceived.source,
                    reason: unreceived.to_string().into(),
                    age: now.since(*at).as_secs_f64(),
                }),
            fault_in: self
                .grace
                .as_ref()
                .map(|grace| grace.until.since(now).as_secs_f64()),
            releases_in: self.releases_in(now).map(|left| left.as_secs_f64()),
            silence_counts_in: self
                .router
                .discounts_silence(now)
                .map(|left| left.as_secs_f64()),
            without_link: None,
            hold_off: self.router.hold_off(now).map(HoldOffStatus::from),
            next: None,
            missing: Vec::new(),
            flapping: self.flapping(now),
            unsent: self.unsent_status(now),
            address_conflict: self.conflict_status(now),
            commands: Vec::new(),
            priority: self.priority_status(trackers),
            preempt: self.router.settings().preempts(),
            advert_interval: self.params.interval.duration().as_secs_f64(),
            source: self.source(Family::V4).or(self.source(Family::V6)),
            source_ipv6: self.source(Family::V4).and(self.source(Family::V6)),
            master: self.router.heard().map(|heard| PeerStatus {
                address: heard.from,
                priority: heard.priority,
                heard_for: now.since(heard.since).as_secs_f64(),
            }),
            addresses: Arc::clone(&self.params.addresses),
            routes: self.params.routes.iter().map(Route::to_string).collect(),
            rules: self.params.rules.iter().map(Rule::to_string).collect(),
            checksum: self.form,
            others: self
                .peers
                .status(now, &self.params, &self.own_addresses, self.form),
            hmac: self.hmac().map(|hmac| self.hmac_status(hmac)),
            unicast: self
                .params
                .unicast
                .as_ref()
                .map(|unicast| self.destinations.status(now, unicast, names)),
            notify: None,
            lvs: self.params.lvs.as_ref().map(|sync| LvsStatus {
                interface: Arc::clone(&sync.interface),
                sync_id: sync.sync_id,
                role: self.lvs_role(),
                error: None,
                repairs: 0,
            }),
            resources: None,
            counters: self.counters,
            history: self
                .history
                .iter()
                .map(|remembered| TransitionStatus {
                    from: remembered.from,
                    to: remembered.to,
                    cause: remembered.text(),
                    priority: remembered.priority,
                    age: now.since(remembered.at).as_secs_f64(),
                })
                .collect(),
        }
    }

    /// Returns the time and the cause of the last transition, if this process made it.
    pub(super) fn last_cause(&self) -> Option<(Instant, &Cause)> {
        let last = self.history.back()?;
        Some((last.at, last.cause.as_ref()?))
    }

    /// Returns the number of transitions in the last minute, if they are many.
    fn flapping(&self, now: Instant) -> Option<usize> {
        let is_recent = |remembered: &&Remembered| now.since(remembered.at) < MINUTE;
        let recent = self.history.iter().filter(is_recent).count();
        (recent >= FLAPPING).then_some(recent)
    }

    /// Returns the time in its state, in seconds.
    pub(super) fn state_age(&self, now: Instant) -> f64 {
        let last = self.history.back();
        last.map_or(0.0, |last| now.since(last.at).as_secs_f64())
    }

    /// Whether the router entered its state for its own reason, and did not follow another member
    /// of its group.
    pub(super) fn leads(&self) -> bool {
        match self.router.fault_reason() {
            Some(fault_reason) => !matches!(fault_reason, FaultReason::Member { .. }),
            None => self.history.back().is_some_and(|last| !last.follows_member),
        }
    }

    /// Source address of its advertisements in a family.
    pub(super) fn source(&self, family: Family) -> Option<IpAddr> {
        self.endpoint.and_then(|endpoint| endpoint.source(family))
    }

    fn hmac_status(&self, hmac: &HmacParams) -> HmacStatus {
        let senders = self.heard.senders().iter().map(|sender| SenderStatus {
            address: sender.address,
            key: sender.key,
            ahead: sender.ahead,
        });
        HmacStatus {
            mode: hmac.mode,
            active_key: hmac.active.id(),
            accepted_keys: hmac.keys().map(Key::id).collect(),
            senders: senders.collect(),
        }
    }

    /// Returns the reason for the present state, which can differ from the cause of the last
    /// transition: a fault that followed another one, a grace, or a delay that holds off a
    /// take-over.
    pub(super) fn cause(&self, now: Instant) -> Arc<str> {
        if let Some(fault_reason) = self.router.fault_reason() {
            return fault_reason.to_string().into();
        }
        if let Some(grace) = &self.grace {
            let left = Human(grace.until.since(now));
            return format!("{}: fault in {left}", grace.fault_reason).into();
        }
        if let Some(left) = self.releases_in(now) {
            let left = Human(left);
            return format!(
                "handing over: holds its addresses until a successor advertises, {left} at most"
            )
            .into();
        }
        if let Some((unreceived, _)) = &self.withheld {
            return format!("take-over withheld: {unreceived}").into();
        }
        if let Some(standby) = self.conditions.standby
            && self.conditions.is_barred()
        {
            return format!("{} without last resort: no take-over", standby.kind).into();
        }
        if let Some(hold_off) = self.router.hold_off(now) {
            return hold_off.to_string().into();
        }
        if let Some(left) = self.router.discounts_silence(now)
            && let Some(name) = self.destinations.unresolved()
        {
            let left = Human(left);
            return format!("listening for {left}: the name of peer {name} is not resolved").into();
        }
        self.history
            .back()
            .map_or_else(|| "not started".into(), Remembered::text)
    }

    /// Returns the effect of each of its trackers.
    fn tracks(&self, trackers: &BTreeMap<Arc<str>, Tracker>) -> Vec<TrackStatus> {
        let is_owner = self.params.priority.is_owner();
        let tracks = self.params.tracks.iter();
        tracks
            .map(|track| {
                let contribution = track::contribution(track, trackers);
                TrackStatus {
                    tracker: Arc::clone(&track.tracker),
                    weight: match track.effect {
                        Effect::Fault => None,
                        Effect::Weight(weight) => Some(weight),
                    },
                    contribution: match contribution {
                        // The owner keeps priority 255 (RFC 9568 5.2.4).
                        Ok(points) if !is_owner => points,
                        Ok(_) | Err(_) => 0,
                    },
                    fault: contribution
                        .err()
                        .map(|fault_reason| fault_reason.to_string()),
                }
            })
            .collect()
    }

    /// Returns the configured and the effective priority, with the contributions of the trackers.
    fn priority_status(&self, trackers: &BTreeMap<Arc<str>, Tracker>) -> PriorityStatus {
        let tracks = self.tracks(trackers);
        let mut reasons = Vec::new();
        let points = |to: Priority, from: Priority| i16::from(to.get()) - i16::from(from.get());
        if let Some(priority) = self.conditions.priority {
            let points = points(priority, self.params.priority);
            reasons.push(format!("{} {points:+}", CommandKind::Priority));
        }
        let changing = tracks.iter().filter(|track| track.contribution != 0);
        reasons.extend(changing.map(|track| format!("{} {:+}", track.tracker, track.contribution)));
        if let Some(standby) = self.conditions.standby {
            let others = self.influence_of_trackers(trackers).priority;
            let points = points(Priority::MIN, others);
            reasons.push(format!("{} {points:+}", standby.kind));
        }
        PriorityStatus {
            configured: self.params.priority,
            effective: self.priority(),
            reasons,
            tracks,
        }
    }
}

impl From<HoldOff> for HoldOffStatus {
    fn from(hold_off: HoldOff) -> Self {
        let (reason, left) = match hold_off {
            HoldOff::Startup { left } => (HoldOffReason::StartupDelay, Some(left)),
            HoldOff::HoldDown { left } => (HoldOffReason::Flapping, Some(left)),
            HoldOff::Preemption { left, .. } => (HoldOffReason::PreemptDelay, Some(left)),
            HoldOff::NoPreemption { .. } => (HoldOffReason::NoPreemption, None),
            HoldOff::Unsent { .. } => (HoldOffReason::Unsent, None),
        };
        Self {
            reason,
            ends_in: left.map(|left| left.as_secs_f64()),
        }
    }
}

/// Returns the advertised addresses of each family, prepared for comparison.
fn own_addresses(params: &RouterParams) -> [OwnAddresses; 2] {
    Family::ALL.map(|family| OwnAddresses::new(params, family))
}

/// Returns the settings of the state machine that follow from `params`.
fn settings(params: &RouterParams, priority: Priority) -> Settings {
    Settings {
        version: params.version,
        priority,
        interval: params.interval,
        preempt: params.preempt,
        preempt_delay: params.preempt_delay,
        startup_delay: params.startup_delay,
        announce: params.announce,
        trust_wire: params.trust_wire,
        unsent: false,
        families: match Family::ALL.map(|family| params.speaks(family)) {
            [_, false] => Families::Ipv4,
            [false, true] => Families::Ipv6,
            [true, true] => Families::Both,
        },
    }
}
