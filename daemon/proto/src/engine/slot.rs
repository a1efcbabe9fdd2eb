//! One router as the engine keeps it: the machine, where it runs, and what it has counted.

use core::cell::OnceCell;
use core::net::{IpAddr, Ipv4Addr};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::interfaces::Usable;
use crate::border::{Packet, State, Transition};
use crate::params::{Effect, RouterParams};
use crate::router::{Router, Settings};
use crate::snapshot::{Counters, PeerStatus, PriorityStatus, RouterStatus, TransitionStatus};
use crate::time::Instant;
use crate::track::{self, Influence, Tracker};
use crate::types::{InterfaceAddress, Priority, Version};
use crate::wire::{
    AddressList, Advert, Auth, ChecksumForm, Expected, GROUP_V4, PRIORITY_RESIGN, Received,
};

/// How many transitions a router remembers.
const HISTORY: usize = 16;

/// A virtual router in the engine.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: Arc<str>,
    pub(super) params: RouterParams,
    pub(super) router: Router,
    /// Where it runs, when it can.
    pub(super) place: Option<Usable>,
    /// Whether what was last wanted of the kernel spared addresses that the daemon did not add.
    pub(super) spared_foreign: bool,
    /// The form of checksum that the others use, and so this one.
    form: ChecksumForm,
    /// The advertisement as it goes out, until something in it changes.
    message: Option<Arc<[u8]>>,
    pub(super) counters: Counters,
    history: VecDeque<Remembered>,
}

#[derive(Clone, Debug)]
struct Remembered {
    transition: Transition,
    /// The cause in words, made when somebody first asks: a take-over has more urgent things to do.
    text: OnceCell<Arc<str>>,
}

impl Remembered {
    fn text(&self) -> Arc<str> {
        let text = || self.transition.cause.to_string().into();
        Arc::clone(self.text.get_or_init(text))
    }
}

impl Slot {
    pub(super) fn new(name: Arc<str>, params: RouterParams) -> Self {
        let router = Router::new(settings(&params, params.priority));
        Self {
            name,
            params,
            router,
            place: None,
            spared_foreign: false,
            form: ChecksumForm::default(),
            message: None,
            counters: Counters::default(),
            history: VecDeque::new(),
        }
    }

    /// Whether `params` are those of the same virtual router, which only changes, and of no other.
    pub(super) fn is_same_router(&self, params: &RouterParams) -> bool {
        (
            &self.params.interface,
            self.params.vrid,
            self.params.version,
        ) == (&params.interface, params.vrid, params.version)
    }

    /// Takes over changed parameters of the same router.
    pub(super) fn set_params(&mut self, now: Instant, params: RouterParams) {
        self.router
            .set_settings(now, settings(&params, self.priority()));
        self.params = params;
        self.message = None;
    }

    /// Takes over where it runs.
    pub(super) fn set_place(&mut self, place: Option<Usable>) {
        if self.place != place {
            self.place = place;
            self.message = None;
        }
    }

    /// Has the advertisement ready, so that a take-over does not wait for it.
    pub(super) fn prepare(&mut self) {
        if self.message.is_none()
            && let Some(place) = self.place
        {
            let _ = self.message(place.source);
        }
    }

    /// Takes over what its trackers do to its priority. Returns the former one when it changed.
    pub(super) fn set_priority(&mut self, now: Instant, priority: Priority) -> Option<Priority> {
        let before = self.priority();
        if before == priority {
            return None;
        }
        self.router
            .set_settings(now, settings(&self.params, priority));
        self.message = None;
        Some(before)
    }

    /// The effective priority.
    pub(super) const fn priority(&self) -> Priority {
        self.router.settings().priority
    }

    /// What its trackers do to it.
    pub(super) fn influence(&self, trackers: &BTreeMap<Arc<str>, Tracker>) -> Influence {
        track::influence(self.params.priority, &self.params.tracks, trackers)
    }

    /// What it demands of an advertisement.
    pub(super) fn expected(&self) -> Expected {
        Expected {
            version: self.params.version,
            interval: self.params.interval,
            auth: self.auth(),
        }
    }

    /// Takes note of what a received advertisement shows of its sender.
    pub(super) fn observe(&mut self, received: &Received<'_>) {
        let Received { advert, checksum } = received;
        self.counters.adverts_received += 1;
        if advert.resigns() {
            self.counters.resignations_received += 1;
        }
        match checksum {
            ChecksumForm::WithPseudoHeader => self.counters.checksums_with_pseudo_header += 1,
            ChecksumForm::MessageOnly => self.counters.checksums_message_only += 1,
        }
        // Version 2 knows one form alone.
        // RFC 9568 5.2.8 MUST: the checksum over IPv4 covers the message alone
        if self.params.version == Version::V3 && self.form != *checksum {
            self.form = *checksum;
            self.message = None;
        }
        // RFC 9568 7.1 SHOULD: another interval than the own one is noticed
        // RFC 9568 7.1 SHOULD: another interval than the own one is logged
        if advert.interval != self.params.interval {
            self.counters.interval_differs += 1;
        }
        // RFC 9568 7.1 MAY: another list of addresses is noticed
        // RFC 9568 7.1 SHOULD: another list of addresses is logged
        // RFC 3768 7.1 MUST: another list of addresses, not from the owner, is discarded
        if !self.lists(advert.addresses) {
            self.counters.address_list_differs += 1;
        }
    }

    /// Whether `addresses` are this router's own, in any order.
    fn lists(&self, addresses: AddressList<'_>) -> bool {
        let own = &self.params.addresses;
        let same_order = addresses.iter().eq(own.iter().map(|own| own.address));
        same_order
            || addresses.len() == own.len()
                && addresses
                    .iter()
                    .all(|theirs| own.iter().any(|own| own.address == theirs))
    }

    /// The advertisement that it sends as master.
    pub(super) fn message(&mut self, source: Ipv4Addr) -> Arc<[u8]> {
        if let Some(message) = &self.message {
            return Arc::clone(message);
        }
        let message: Arc<[u8]> = self.emit(self.priority().get(), source).into();
        self.message = Some(Arc::clone(&message));
        message
    }

    /// Whether a packet from its own address is its own, come back by a loop. Anything that it does
    /// not say itself was said by another router that has the same address, by mistake: among them
    /// the priority decides as among all others.
    pub(super) fn may_have_sent(
        &mut self,
        packet: &Packet<'_>,
        received: &Received<'_>,
        place: Usable,
    ) -> bool {
        self.router.state() == State::Master
            && (received.advert.resigns() || *self.message(place.source) == *packet.payload)
    }

    /// The advertisement with which it leaves.
    pub(super) fn resignation(&self, source: Ipv4Addr) -> Arc<[u8]> {
        self.emit(PRIORITY_RESIGN, source).into()
    }

    fn emit(&self, priority: u8, source: Ipv4Addr) -> Vec<u8> {
        // RFC 9568 7.2 MUST: the fields are those of the configuration
        let addresses: Vec<[u8; 4]> = self
            .params
            .addresses
            .iter()
            .filter_map(InterfaceAddress::ipv4)
            .map(|address| address.octets())
            .collect();
        Advert {
            version: self.params.version,
            vrid: self.params.vrid,
            priority,
            interval: self.params.interval,
            addresses: AddressList::new(&addresses),
            auth: self.auth(),
        }
        .emit(self.form, source, GROUP_V4)
    }

    fn auth(&self) -> Auth {
        self.params.password.map_or(Auth::None, Auth::Pass)
    }

    /// Adds to the history.
    pub(super) fn remember(&mut self, transition: &Transition) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Remembered {
            transition: transition.clone(),
            text: OnceCell::new(),
        });
    }

    /// What it shows of itself.
    pub(super) fn status(
        &self,
        now: Instant,
        trackers: &BTreeMap<Arc<str>, Tracker>,
    ) -> RouterStatus {
        let last = self.history.back();
        RouterStatus {
            name: Arc::clone(&self.name),
            interface: Arc::clone(&self.params.interface),
            virtual_router_id: self.params.vrid,
            version: self.params.version,
            state: self.router.state(),
            state_age: last.map_or(0.0, |last| now.since(last.transition.at).as_secs_f64()),
            cause: self.cause(),
            priority: PriorityStatus {
                configured: self.params.priority,
                effective: self.priority(),
                because: self.because(trackers),
            },
            advert_interval: self.params.interval.duration().as_secs_f64(),
            source: self.place.map(|place| IpAddr::V4(place.source)),
            master: self
                .router
                .heard()
                .map(|(address, priority)| PeerStatus { address, priority }),
            addresses: Arc::clone(&self.params.addresses),
            checksum: self.form,
            counters: self.counters,
            history: self
                .history
                .iter()
                .map(|remembered| TransitionStatus {
                    from: remembered.transition.from,
                    to: remembered.transition.to,
                    cause: remembered.text(),
                    priority: remembered.transition.priority,
                    age: now.since(remembered.transition.at).as_secs_f64(),
                })
                .collect(),
        }
    }

    /// Why it is in its state: in fault what keeps it there now, which may be another thing than
    /// what brought it there.
    fn cause(&self) -> Arc<str> {
        match (self.router.obstacle(), self.history.back()) {
            (Some(obstacle), _) => obstacle.to_string().into(),
            (None, Some(last)) => last.text(),
            (None, None) => "not started".into(),
        }
    }

    /// What its trackers contribute to its priority, in words.
    fn because(&self, trackers: &BTreeMap<Arc<str>, Tracker>) -> Vec<String> {
        let contribution = |track: &crate::params::Track| match track.effect {
            Effect::Fault => 0,
            Effect::Weight(weight) => {
                let well = trackers.get(&track.tracker).is_none_or(Tracker::is_well);
                track::contribution(weight, well)
            }
        };
        if self.params.priority.is_owner() {
            return Vec::new();
        }
        self.params
            .tracks
            .iter()
            .map(|track| (&track.tracker, contribution(track)))
            .filter(|(_, points)| *points != 0)
            .map(|(tracker, points)| format!("{tracker} {points:+}"))
            .collect()
    }
}

/// What the state machine needs of `params`.
fn settings(params: &RouterParams, priority: Priority) -> Settings {
    Settings {
        version: params.version,
        priority,
        interval: params.interval,
        preempt: params.preempt,
    }
}
