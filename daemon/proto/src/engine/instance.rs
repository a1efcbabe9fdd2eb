//! Instance of the engine: the state machine of one virtual router, its endpoint and its counters.

pub(super) mod attachment;
mod conflict;
mod hand_over;
mod history;
mod messages;
mod status;
mod unsent;

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use self::attachment::Attachment;
use self::conflict::Conflict;
use self::hand_over::HandOver;
use self::history::History;
use self::messages::Messages;
use self::unsent::Unsent;
use super::address_list::{Comparison, OwnAddresses};
use super::conditions::Conditions;
use super::destinations::{Destinations, FORMER, Names};
use super::grace::Grace;
use super::group::{GroupId, PeerTable};
use super::interfaces::Endpoint;
use super::peers::Peers;
use crate::checkpoint::RouterCheckpoint;
use crate::events::Transition;
use crate::params::RouterParams;
use crate::reasons::{FaultReason, Unreceived};
use crate::replay::{Heard, Sent};
use crate::router::{Families, Router, Settings};
use crate::snapshot::Counters;
use crate::time::Instant;
use crate::track::{self, Influence, Tracker};
use crate::types::{
    AdvertInterval, Family, InterfaceAddress, Priority, State, Version, is_link_local,
};
use crate::wire::hmac::TRAILER_LEN;
use crate::wire::{AddressList, ChecksumForm, Received};

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
    pub(super) destinations: Destinations,
    messages: Messages,
    /// Sequence numbers of the signed advertisements received.
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
    history: History,
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
            messages: Messages::default(),
            heard: Heard::default(),
            repaired: (Instant::ZERO, Vec::new()),
            conditions: Conditions::default(),
            rejected: BTreeMap::new(),
            unsent: [None, None],
            withheld: None,
            conflict: None,
            counters: Counters::default(),
            peers: Peers::default(),
            history: History::default(),
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
        self.messages.sent.save().is_some() || !self.heard.senders().is_empty()
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
            sent: self.messages.sent.save(),
            heard: self.heard.save(),
            further_peers: self.destinations.save(),
            checksum: self.messages.form,
            without_link_local: self.messages.without_link_local,
            others: self.peers.save(),
            peers: peers
                .map(|family| self.peer_tables[family as usize].save(family))
                .collect(),
            counters: self.counters,
            history: self.history.save(),
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
        self.messages.sent = Sent::restore(saved.sent);
        self.heard = Heard::restore(&saved.heard);
        self.messages.form = saved.checksum;
        self.messages.without_link_local = saved.without_link_local;
        for peers in &saved.peers {
            self.peer_tables[peers.family as usize] = PeerTable::restore(peers);
        }
        self.peers = Peers::restore(&saved.others);
        self.counters = saved.counters;
        self.history = History::restore(&saved.history);
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
        self.messages.forget();
        // A removed family has nothing left to advertise, not even a resignation.
        let speaks = |family| self.params.speaks(family);
        self.endpoint = self.endpoint.map(|endpoint| endpoint.restricted(speaks));
    }

    /// Applies newly resolved addresses of peers.
    pub(super) fn set_peers(&mut self, now: Instant, names: &Names) {
        let was_resolved = self.destinations.unresolved().is_none();
        if self.destinations.set(now, &self.params, names) {
            self.messages.forget();
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
                self.messages.forget();
            }
        }
    }

    /// Removes the former addresses of peers that have been silent for too long.
    pub(super) fn expire_peers(&mut self, now: Instant) {
        if self.destinations.expire(now) {
            self.messages.forget();
        }
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
            self.messages.forget();
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
        self.messages.forget();
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
            if self.params.version == Version::V3 {
                self.messages.use_form(*checksum);
            }
        } else if !self.has_link_local() && !theirs.is_empty() {
            let without = !theirs.iter().next().is_some_and(is_link_local);
            self.messages.list_without_link_local(without);
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

    /// Source address of its advertisements in a family.
    pub(super) fn source(&self, family: Family) -> Option<IpAddr> {
        self.endpoint.and_then(|endpoint| endpoint.source(family))
    }

    /// Adds a transition to the history.
    pub(super) fn remember(&mut self, transition: &Transition) {
        self.history.add(transition);
    }

    /// Returns the time in its state, in seconds.
    pub(super) fn state_age(&self, now: Instant) -> f64 {
        self.history.state_age(now).as_secs_f64()
    }

    /// Whether the router entered its state for its own reason, and did not follow another member
    /// of its group.
    pub(super) fn leads(&self) -> bool {
        match self.router.fault_reason() {
            Some(fault_reason) => !matches!(fault_reason, FaultReason::Member { .. }),
            None => self.history.follows_member() == Some(false),
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
