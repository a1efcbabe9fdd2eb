//! Who watches one host: what the RFCs have its routers do, worked out a second time from the
//! packets' meaning and the clock, and compared with what the engine did.
//!
//! Where the RFCs say what happens (a packet, a deadline) the transition, its cause and its moment
//! are foretold, and anything else breaks a law. Where the host's own circumstances decide (links,
//! trackers, the operator) the transition is followed, and its cause has to be true.

mod announcing;
mod cover;
mod group;
mod listening;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{
    Advertisement, Announcement, Cause, Family, FaultReason, Instant, InterfaceAddress,
    InterfaceIndex, Link, Output, Report, State, Transition, Version,
};

pub(crate) use self::reference::Watched;
use self::reference::{Expected, Phase, others_wait};
use crate::admission::{Numbers, Unheard, is_deaf, judge};
use crate::coverage::Coverage;
use crate::foreign::{has_link_local, says};
use crate::host::{Datagram, Fed, Host, News, Record, Says, Turn, read};
use crate::invariants::{Invariant, Violation};
use crate::machine;
use crate::scenario::{
    Behind, Config, PatienceConfig, RouterConfig, TrackerConfig, interface_name,
};
use crate::world::SEGMENTS;

/// The least time between two answers: the shortest interval of the protocol.
const REPLY_SPACING: Duration = Duration::from_millis(10);

/// What is known of a host's routers and trackers.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    config: Config,
    routers: BTreeMap<String, Watched>,
    trackers: BTreeMap<String, Tracked>,
    /// Whether the engine was told that packets to addresses cannot be refused.
    drop_filter_failed: bool,
    /// The links as the engine was told of them.
    links: BTreeMap<InterfaceIndex, Link>,
    /// What the names of peers mean, as far as the engine was told.
    names: BTreeMap<String, Vec<IpAddr>>,
    /// When the wall clock was read, and what it showed.
    wall_clock: (Instant, Duration),
    /// Whether a station was not believed because of its clock, which may change by itself.
    is_impatient: bool,
    /// Since when each group of masters hears others beside it, or is master.
    met: BTreeMap<String, Instant>,
    /// The time at which each group of backups asked last to be woken.
    asked: BTreeMap<String, Instant>,
}

/// What is to become of a packet.
#[derive(Debug)]
struct Judged<'p> {
    /// The router that it concerns.
    router: String,
    packet: &'p Datagram,
    /// The address from which that router would answer.
    own: Option<IpAddr>,
    /// What it says, when that is to be believed.
    says: Result<Says, Unheard>,
}

#[derive(Clone, Copy, Debug)]
struct Tracked {
    config: TrackerConfig,
    patience: PatienceConfig,
    up: bool,
    /// Whether that is more than an assumption.
    known: bool,
    changed_at: Option<Instant>,
    /// Since when results say the contrary.
    contradicted: Option<Instant>,
    streak: u32,
}

impl Tracked {
    /// What the results say.
    const fn says(&self) -> bool {
        self.up != self.contradicted.is_some()
    }

    fn due(&self) -> Option<Instant> {
        let delayed = self.contradicted.map(|since| match self.known {
            true => since + self.patience.delay(!self.up),
            false => since,
        });
        let held = self.changed_at.map(|at| at + self.patience.hold());
        delayed.map(|at| held.map_or(at, |held| at.max(held)))
    }

    /// Enough results say that it is so.
    fn take(&mut self, now: Instant, up: bool) {
        if up == self.up {
            (self.contradicted, self.known) = (None, true);
        } else if self.contradicted.is_none() {
            self.contradicted = Some(now);
            self.settle(now);
        }
    }

    fn settle(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            (self.up, self.contradicted, self.known) = (!self.up, None, true);
            self.changed_at = Some(now);
        }
    }
}

impl Oracle {
    /// What the host was told to run.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// The routers, by name.
    pub(crate) fn routers(&self) -> impl Iterator<Item = (&String, &Watched)> {
        self.routers.iter()
    }

    /// The effective priority of a router.
    pub(crate) fn priority(&self, config: &RouterConfig) -> u8 {
        if config.priority == 255 {
            return 255;
        }
        let mut sum = i32::from(config.priority);
        for (name, weight) in &config.tracks {
            let up = self.is_up(name);
            if (*weight < 0) != up {
                sum += i32::from(*weight);
            }
        }
        u8::try_from(sum.clamp(1, 254)).unwrap_or(254)
    }

    /// Whether a tracker keeps a router from serving.
    pub(crate) fn is_kept_by_tracker(&self, config: &RouterConfig) -> bool {
        self.faults(config).next().is_some()
    }

    /// The trackers that keep a router from serving.
    fn faults<'w>(&'w self, config: &'w RouterConfig) -> impl Iterator<Item = &'w str> {
        let tracks = config.tracks.iter();
        tracks
            .filter(|(name, weight)| *weight == 0 && !self.is_up(name))
            .map(|(name, _)| name.as_str())
    }

    fn is_up(&self, tracker: &str) -> bool {
        self.trackers.get(tracker).is_none_or(|tracker| tracker.up)
    }

    /// Looks at a turn of the host.
    pub(crate) fn watch(
        &mut self,
        host: &Host,
        turn: &Turn,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        for record in &turn.records {
            self.watch_record(host, turn.now, record, coverage)?;
        }
        self.cover_refused(&turn.refused, coverage);
        self.watch_groups()
    }

    /// Whether a station was not believed since this was last asked, and may be when some time has passed.
    pub(crate) const fn take_impatience(&mut self) -> bool {
        std::mem::replace(&mut self.is_impatient, false)
    }

    /// What the wall clock shows, or showed a while before it was read.
    fn wall_at(&self, at: Instant) -> Duration {
        let (read_at, showed) = self.wall_clock;
        (showed + at.since(read_at)).saturating_sub(read_at.since(at))
    }

    /// The daemon is gone.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    fn watch_record(
        &mut self,
        host: &Host,
        now: Instant,
        record: &Record,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let before: BTreeMap<String, State> = self
            .routers
            .iter()
            .map(|(name, router)| (name.clone(), router.state()))
            .collect();
        let judged = self.judge_record(host, now, record);
        self.cover(host, now, record, judged.as_ref(), coverage);
        let by_rfc = matches!(record.fed, Fed::Packet { .. } | Fed::Tick);
        if !by_rfc {
            // Whoever overslept did so before anything else changed.
            self.follow(now, record, overslept)?;
        }
        let awake = |transition: &Transition| !overslept(transition);
        for output in &record.outputs {
            if let Output::Report(Report::Interrupted { router, .. }) = output
                && let Some(router) = self.routers.get_mut(&**router)
            {
                router.resume(now);
            }
        }
        match &record.fed {
            Fed::Packet {
                arrived,
                own_source,
                ..
            } => {
                if let Some(judged) = &judged {
                    self.suppose_source(host, judged.packet);
                }
                self.watch_packet(now, *arrived, judged.as_ref(), *own_source, record)?;
            }
            Fed::Tick => self.watch_tick(now, record)?,
            Fed::Configure(config) => {
                let config = config.united();
                self.watch_unconcerned(&config, record)?;
                self.reconfigure(now, &config);
                self.find_receivers(host);
                self.follow(now, record, awake)?;
                self.routers
                    .retain(|name, _| config.routers.contains_key(name));
            }
            Fed::Probe { tracker, up } => {
                self.count_result(now, tracker, *up);
                self.follow(now, record, awake)?;
            }
            Fed::News(news) => {
                match news {
                    News::Link(link) => drop(self.links.insert(link.index, link.clone())),
                    News::LinkRemoved(index) => {
                        if let Some(gone) = self.links.remove(index) {
                            self.lose_link(&gone.name);
                        }
                    }
                    News::AddressAdded | News::AddressRemoved | News::Routing => {}
                }
                self.look_at_interfaces(now);
                self.follow(now, record, awake)?;
            }
            Fed::DropRule { able } => {
                self.drop_filter_failed = !able;
                self.follow(now, record, awake)?;
                self.watch_drop_rules()?;
            }
            Fed::Resolved { name, addresses } => {
                if let Some(known) = self.names.get_mut(name) {
                    known.clone_from(addresses);
                }
                self.find_receivers(host);
                self.follow(now, record, awake)?;
                is_nothing(record)?;
            }
            Fed::WallClock(shows) => {
                self.wall_clock = (now, *shows);
                is_nothing(record)?;
            }
            Fed::Overrun | Fed::Stop => self.follow(now, record, awake)?,
        }
        for (name, router) in &mut self.routers {
            let shown = record.shown.get(&**name).into_iter();
            let sources = shown.flat_map(|shown| &shown.sources);
            let sources = sources.map(|source| (Family::of(*source), *source));
            router.sources.extend(sources);
        }
        self.watch_answers(now, &before, judged.as_ref(), record)?;
        self.watch_sending(now, &before, record)?;
        for transition in transitions(record) {
            if let Some(router) = self.routers.get_mut(&*transition.router) {
                router.is_away = false;
            }
        }
        self.note_asked(now);
        self.watch_deadlines(now, record)
    }

    /// Whom each router speaks to, by its configuration and the names that it knows.
    fn find_receivers(&mut self, host: &Host) {
        let known = std::mem::take(&mut self.names);
        let routers = self.config.routers.values();
        self.names = routers
            .flat_map(|config| {
                let peers = config.unicast.iter().flat_map(|unicast| &unicast.peers);
                let named = peers.filter(|peer| peer.named);
                named.map(|peer| peer.name(config.segment))
            })
            .map(|name| {
                let means = known.get(&name).cloned().unwrap_or_default();
                (name, means)
            })
            .collect();
        for router in self.routers.values_mut() {
            let config = &router.config;
            let means = |name: &str| self.names.get(name).map_or(&[][..], Vec::as_slice);
            router.receivers = config
                .spoken()
                .map(|family| (family, config.receivers(&host.stations, family, means)))
                .collect();
        }
    }

    /// Whom a packet concerns, and whether that one believes it.
    fn judge_record<'p>(
        &mut self,
        host: &Host,
        now: Instant,
        record: &'p Record,
    ) -> Option<Judged<'p>> {
        let Fed::Packet {
            arrived,
            interface,
            own_source,
            is_listened_for,
            packet,
        } = &record.fed
        else {
            return None;
        };
        // It may lie in the socket of an interface that is no more.
        let name = interface_name(packet.segment);
        let link = self.links.get(interface)?;
        if *link.name != *name {
            return None;
        }
        let (vrid, family) = (*packet.payload.get(1)?, packet.family());
        let name = self.router_on(packet.segment, vrid, family)?;
        let router = &self.routers[&name];
        let own = own_source.or(router.source(family));
        let peers = router.receivers.get(&family);
        let says = peers.map_or(Err(Unheard::Dialect), |peers| {
            judge(&router.config, peers, packet)
        });
        let says = says.and_then(|says| {
            if own == Some(packet.source) && self.may_have_said(router, packet) {
                return Err(Unheard::Own);
            }
            Ok(says)
        });
        let mut numbers = router.numbers.clone();
        let wall = self.wall_at((*arrived).min(now));
        let says = says.and_then(|says| {
            if let Some(hmac) = &router.config.hmac {
                numbers.admit(hmac, wall, packet)?;
            }
            if is_deaf(&router.config) {
                return Err(Unheard::Subject);
            }
            Ok(says)
        });
        if let Some(router) = self.routers.get_mut(&name).filter(|_| *is_listened_for) {
            router.numbers = numbers;
        }
        self.is_impatient |= matches!(says, Err(Unheard::Untimely | Unheard::Repeated))
            && packet.from < host.stations.count();
        Some(Judged {
            router: name,
            packet,
            own,
            says,
        })
    }

    /// Whoever has to refuse packets and cannot does not serve.
    fn watch_drop_rules(&self) -> Result<(), Violation> {
        let serves = |router: &Watched| {
            !router.config.accepts() && matches!(router.state(), State::Master | State::Backup)
        };
        let mut routers = self.routers.iter();
        match routers.find(|(_, router)| self.drop_filter_failed && serves(router)) {
            Some((name, router)) => Err(Invariant::Cause.broken(format!(
                "{name} has to refuse packets and cannot, and is {}",
                router.state()
            ))),
            None => Ok(()),
        }
    }

    /// Whoever has not spoken in a family yet speaks from the host's own address of it.
    fn suppose_source(&mut self, host: &Host, packet: &Datagram) {
        let family = packet.family();
        let vrid = packet.payload.get(1).copied().unwrap_or_default();
        let name = self.router_on(packet.segment, vrid, family);
        if let Some(router) = name.and_then(|name| self.routers.get_mut(&name)) {
            let own = host.own(family, packet.segment).address;
            router.sources.entry(family).or_insert(own);
        }
    }

    /// What a packet leads to is foretold.
    fn watch_packet(
        &mut self,
        now: Instant,
        arrived: Instant,
        judged: Option<&Judged<'_>>,
        own_source: Option<IpAddr>,
        record: &Record,
    ) -> Result<(), Violation> {
        let concerned = judged.and_then(|judged| {
            let state = self.routers[&judged.router].state();
            let listens = matches!(state, State::Backup | State::Master);
            Some((&judged.router, judged.packet, judged.says.ok()?)).filter(|_| listens)
        });
        let Some((name, packet, says)) = concerned else {
            return is_nothing(record);
        };
        let name = name.clone();
        if self.group_of(&name).is_some() {
            // What came after a packet that was read so late may have been lost.
            let slept = now.since(arrived) > says.interval;
            let arrived = if slept { now } else { arrived.min(now) };
            let heard = (packet, &says);
            return self.watch_packet_together(now, arrived, &name, heard, own_source, record);
        }
        let priority = self.priority(&self.routers[&name].config);
        let expected = self.routers.get_mut(&name).and_then(|router| {
            if let Some(own) = own_source {
                router.sources.insert(packet.family(), own);
            }
            router.hear(now, arrived.min(now), packet, &says, priority)
        });
        compare(&name, expected.as_ref(), record, |_| true)?;
        let announces = expected.is_none()
            && self
                .routers
                .get_mut(&name)
                .is_some_and(|router| router.announces_against(now, &says));
        self.compare_announcement(&name, announces, record)?;
        match transitions(record).find(|transition| *transition.router != *name) {
            Some(other) => {
                Err(Invariant::Cause
                    .broken(format!("{} moved by a packet of {name}", other.router)))
            }
            None => Ok(()),
        }
    }

    /// Whether a packet from its own address may be its own, come back. By unicast it is, whatever it says.
    fn may_have_said(&self, router: &Watched, packet: &Datagram) -> bool {
        if router.config.unicast.is_some() {
            return true;
        }
        if router.state() != State::Master {
            return false;
        }
        let own = says(&router.config, self.priority(&router.config));
        let same_list = is_list_of(&router.config, packet.source, &packet.payload);
        packet
            .says
            .is_some_and(|says| says.priority == 0 || says == own && same_list)
    }

    /// What is due is foretold, and what is not due does not happen.
    fn watch_tick(&mut self, now: Instant, record: &Record) -> Result<(), Violation> {
        let judged = self.watch_verdicts(now, record)?;
        let by_verdict = |transition: &Transition| {
            judged.contains(&*transition.router) && is_circumstance(transition)
        };
        let groups: Vec<String> = self.groups().cloned().collect();
        for group in groups {
            self.watch_tick_together(now, &group, record, &by_verdict)?;
        }
        let names: Vec<String> = self.routers.keys().cloned().collect();
        for name in names {
            if self.group_of(&name).is_some() {
                continue;
            }
            let priority = self.priority(&self.routers[&name].config);
            let expected = self
                .routers
                .get_mut(&name)
                .and_then(|router| router.tick(now, priority));
            compare(&name, expected.as_ref(), record, |t| !by_verdict(t))?;
            let announces = match &expected {
                Some(expected) => expected.to == State::Master,
                None => self
                    .routers
                    .get_mut(&name)
                    .is_some_and(|router| router.announces_by_time(now)),
            };
            // Who recovers as the owner announces, too.
            if !transitions(record).any(|t| *t.router == *name && by_verdict(t)) {
                self.compare_announcement(&name, announces, record)?;
            }
        }
        Ok(())
    }

    /// Verdicts that are due come first. Gives the routers that they concern.
    fn watch_verdicts(
        &mut self,
        now: Instant,
        record: &Record,
    ) -> Result<BTreeSet<String>, Violation> {
        let is_due = |name: &str| {
            let due = self.trackers.get(name).and_then(Tracked::due);
            due.is_some_and(|due| due <= now)
        };
        let judged: BTreeSet<String> = self
            .routers
            .iter()
            .filter(|(name, router)| {
                let is_away = |t: &Transition| *t.router == **name && is_about_absence(&t.cause);
                router.config.tracks.iter().any(|(name, _)| is_due(name))
                    || transitions(record).any(is_away)
            })
            .flat_map(|(name, _)| match self.group_of(name) {
                None => vec![name.clone()],
                Some(group) => self.members_of(&group),
            })
            .collect();
        let concerns = |transition: &Transition| judged.contains(&*transition.router);
        self.follow(now, record, |t| concerns(t) && overslept(t))?;
        for tracker in self.trackers.values_mut() {
            tracker.settle(now);
        }
        self.follow(now, record, |t| {
            concerns(t) && is_circumstance(t) && !overslept(t)
        })?;
        Ok(judged)
    }

    /// Whether it announces all of its addresses, wherever they can be and as often as it is to, or
    /// none.
    pub(super) fn compare_announcement(
        &self,
        name: &str,
        expected: bool,
        record: &Record,
    ) -> Result<(), Violation> {
        let config = &self.routers[name].config;
        let mut announced = BTreeSet::new();
        for output in &record.outputs {
            let Output::Announce(Announcement {
                addresses, burst, ..
            }) = output
            else {
                continue;
            };
            let own = config
                .virtual_addresses()
                .filter(|own| addresses.contains(own));
            let before = announced.len();
            announced.extend(own);
            if announced.len() > before && *burst != config.announce.burst {
                return Err(
                    Invariant::Announcement.broken(format!("{name} announces {burst} times"))
                );
            }
        }
        let wanted: BTreeSet<InterfaceAddress> = if expected {
            let all = config.virtual_addresses();
            all.filter(|own| self.has_home(config, *own)).collect()
        } else {
            BTreeSet::new()
        };
        let is_right = if expected {
            wanted.is_subset(&announced)
        } else {
            announced.is_empty()
        };
        if is_right {
            Ok(())
        } else {
            Err(Invariant::Announcement.broken(format!(
                "{name} has to announce {wanted:?}, and announces {announced:?}"
            )))
        }
    }

    /// Whether the engine knows of the interface that an address of a router is to be on. Where
    /// it has its own for the virtual MAC address, that may be missing or another one.
    fn has_home(&self, config: &RouterConfig, address: InterfaceAddress) -> bool {
        let family = address.family();
        let Some(device) = config.device(family) else {
            let mut links = self.links.values();
            return links.any(|link| *link.name == *interface_name(config.segment));
        };
        let mut named = self.links.values().filter(|link| link.name == device);
        // While news are on their way there may be two of a name.
        named.clone().count() == 1 && named.all(|link| link.mac == config.mac(family))
    }

    /// A reload changes nothing of what it does not concern.
    fn watch_unconcerned(&self, config: &Config, record: &Record) -> Result<(), Violation> {
        let is_same = |name: &String| {
            let Some(router) = self.routers.get(name) else {
                return false;
            };
            let same_trackers = router.config.tracks.iter().all(|(tracker, _)| {
                self.config.trackers.get(tracker) == config.trackers.get(tracker)
                    && self.config.patience(tracker) == config.patience(tracker)
            });
            config.routers.get(name) == Some(&router.config)
                && same_trackers
                && router.state() != State::Init
        };
        for (name, router) in &self.routers {
            // What concerns one of a group concerns all.
            let group = self.group_of(name);
            let members = |config: &Config| {
                let group = config.groups.get(group.as_ref()?)?;
                Some(group.members.clone())
            };
            let same_group = members(config) == members(&self.config)
                && members(&self.config).is_none_or(|members| members.iter().all(is_same))
                && (group.is_some() || !config.groups.values().any(|g| g.members.contains(name)));
            if !is_same(name) || !same_group {
                continue;
            }
            // That another one's address is virtual now, or none of the host's own any more, concerns
            // all who share its interface. An absence is a fault when its grace ends.
            let is_concerned = transitions(record).any(|transition| {
                *transition.router == **name
                    && (overslept(transition)
                        || is_about_own_address(&transition.cause)
                        || is_about_absence(&transition.cause))
            });
            if is_concerned {
                continue;
            }
            let touched = record.outputs.iter().find(|output| match output {
                Output::Report(Report::Transition(transition)) => *transition.router == **name,
                Output::Report(Report::Priority { router, .. }) => **router == **name,
                Output::Advertise(Advertisement { message, .. }) => {
                    message.get(1) == Some(&router.config.vrid)
                }
                Output::Announce(Announcement { addresses, .. }) => router
                    .config
                    .virtual_addresses()
                    .any(|own| addresses.contains(&own)),
                Output::Routing(desired) => *desired.router == **name,
                Output::Kernel(_) | Output::Device(_) | Output::Lvs(_) | Output::Report(_) => false,
            });
            if let Some(output) = touched {
                return Err(Invariant::Reload
                    .broken(format!("{name} is not concerned, and yet: {output:?}")));
            }
        }
        Ok(())
    }

    fn reconfigure(&mut self, now: Instant, config: &Config) {
        // A router listens in a new family by the priority that it had under its former trackers.
        let routers = self.routers.iter();
        let before: BTreeMap<String, u8> = routers
            .map(|(name, router)| (name.clone(), self.priority(&router.config)))
            .collect();
        let known = std::mem::take(&mut self.trackers);
        for (name, tracker) in &config.trackers {
            let patience = config.patience(name);
            let kept = known.get(name).filter(|known| {
                let same = match (known.config, *tracker) {
                    (TrackerConfig::Probe { .. }, TrackerConfig::Probe { .. }) => true,
                    (old, new) => old == new,
                };
                same && (known.known || known.patience.doubts == patience.doubts)
            });
            let fresh = Tracked {
                config: *tracker,
                patience,
                up: !patience.doubts,
                known: false,
                changed_at: None,
                contradicted: None,
                streak: 0,
            };
            let tracked = kept.map_or(fresh, |kept| Tracked {
                config: *tracker,
                patience,
                ..*kept
            });
            self.trackers.insert(name.clone(), tracked);
        }
        self.config = config.clone();
        self.met
            .retain(|group, _| config.groups.contains_key(group));
        for group in config.groups.keys() {
            self.met.entry(group.clone()).or_insert(now);
        }
        self.look_at_interfaces(now);
        for (name, new) in &config.routers {
            let known = before.get(name).copied();
            let before = known.unwrap_or_else(|| self.priority(new));
            let router = self.routers.entry(name.clone()).or_insert_with(|| Watched {
                config: new.clone(),
                phase: Phase::Init,
                sources: BTreeMap::new(),
                receivers: BTreeMap::new(),
                numbers: Numbers::default(),
                signed: None,
                may_have_resigned: false,
                speaks_otherwise: false,
                is_away: false,
                words: 0,
                losing: None,
                quiet_until: Instant::ZERO,
                is_member: false,
                sightings: BTreeMap::new(),
                passed_over: BTreeMap::new(),
                stands: BTreeMap::new(),
            });
            router.reconfigure(now, new, before);
            let mut groups = config.groups.values();
            router.is_member = groups.any(|group| group.members.contains(name));
        }
    }

    fn count_result(&mut self, now: Instant, name: &str, up: bool) {
        let Some(tracker) = self.trackers.get_mut(name) else {
            return;
        };
        let TrackerConfig::Probe { rise, fall } = tracker.config else {
            return;
        };
        let agrees = up == tracker.says();
        tracker.streak = if agrees { 0 } else { tracker.streak + 1 };
        if agrees || tracker.streak >= if up { rise } else { fall } {
            tracker.streak = 0;
            tracker.take(now, up);
        }
    }

    /// Routers whose interface is gone have no place until they fall or resume.
    fn lose_link(&mut self, gone: &str) {
        if self.links.values().any(|link| *link.name == *gone) {
            return;
        }
        for router in self.routers.values_mut() {
            let runs = matches!(router.state(), State::Backup | State::Master);
            router.is_away |= runs && interface_name(router.config.segment) == *gone;
        }
    }

    fn look_at_interfaces(&mut self, now: Instant) {
        for tracker in self.trackers.values_mut() {
            if let TrackerConfig::Interface { segment } = tracker.config {
                let name = interface_name(segment);
                let up = |link: &Link| *link.name == *name && link.up && link.carrier;
                let up = self.links.values().any(up);
                if up != tracker.says() || !tracker.known {
                    tracker.take(now, up);
                }
            }
        }
    }

    /// Follows what the host's own circumstances did, as long as it is truly called.
    fn follow(
        &mut self,
        now: Instant,
        record: &Record,
        which: impl Fn(&Transition) -> bool,
    ) -> Result<(), Violation> {
        if !record.named_truly {
            return Err(
                Invariant::Cause.broken(format!("no such fault_reason: {:?}", record.outputs))
            );
        }
        for transition in transitions(record).filter(|transition| which(transition)) {
            let name = &*transition.router;
            let Some(router) = self.routers.get(name) else {
                return Err(Invariant::Cause.broken(format!("{name} is not configured")));
            };
            let priority = self.priority(&router.config);
            let phase = router.enter(now, priority, transition);
            self.check_truth(now, record, transition)?;
            let Some(phase) = phase else {
                return Err(Invariant::Cause.broken(format!(
                    "{name}: {} -> {} because of {:?} is no transition that an event like {:?} \
                     leads to",
                    transition.from, transition.to, transition.cause, record.fed
                )));
            };
            if let Some(router) = self.routers.get_mut(name) {
                if matches!(phase, Phase::Master { .. }) {
                    router.losing = None;
                }
                router.phase = phase;
                if transition.from == State::Init {
                    (router.numbers, router.signed) = (Numbers::default(), None);
                }
                if transition.to == State::Init {
                    router.sightings.clear();
                    router.passed_over.clear();
                    router.stands.clear();
                }
                if matches!(transition.cause, Cause::Joined { .. })
                    && transition.from == State::Init
                {
                    router.quiet_until = now;
                } else if transition.from == State::Init {
                    router.quiet_until = now + router.config.startup_delay();
                }
            }
        }
        Ok(())
    }

    /// Whether the cause is what really happened.
    fn check_truth(
        &self,
        now: Instant,
        record: &Record,
        transition: &Transition,
    ) -> Result<(), Violation> {
        let name = &*transition.router;
        let router = &self.routers[name];
        let configured = self.config.routers.get(name);
        let is_true = match &transition.cause {
            Cause::Started => matches!(record.fed, Fed::Configure(_)),
            Cause::Owner => router.config.priority == 255,
            Cause::Overslept { lasted } => match router.phase {
                Phase::Master { sent_at, told, .. } => {
                    *lasted == now.since(sent_at)
                        && router.config.priority != 255
                        && *lasted > others_wait(&router.config, told)
                }
                Phase::Init | Phase::Fault | Phase::Backup(_) => false,
            },
            Cause::Faulted(FaultReason::TrackerDown(tracker)) => {
                !self.is_up(tracker)
                    && router
                        .config
                        .tracks
                        .iter()
                        .any(|(followed, weight)| **followed == **tracker && *weight == 0)
            }
            Cause::Faulted(FaultReason::DropFilterError(_)) => {
                self.drop_filter_failed && !router.config.accepts()
            }
            Cause::Recovered(FaultReason::DropFilterError(_)) => {
                !self.drop_filter_failed || router.config.accepts()
            }
            // What happens to its interface with the virtual MAC address moves nobody.
            Cause::Faulted(FaultReason::InterfaceMissing(interface)) => {
                **interface == *interface_name(router.config.segment)
            }
            Cause::Faulted(FaultReason::Member {
                member,
                fault_reason,
            }) => self.is_true_of(name, member, fault_reason),
            Cause::Faulted(_) => true,
            Cause::With { member, cause } => {
                overslept(transition) && Self::moved_with(record, member, cause)
            }
            Cause::Joined { group, state } => {
                matches!(record.fed, Fed::Configure(_))
                    && self.group_of(name).is_some_and(|own| *own == **group)
                    && transition.to == *state
            }
            Cause::Recovered(FaultReason::TrackerDown(tracker)) => {
                self.is_up(tracker)
                    || !router
                        .config
                        .tracks
                        .iter()
                        .any(|(followed, weight)| **followed == **tracker && *weight == 0)
            }
            Cause::Recovered(_) => router.state() == State::Fault,
            Cause::Stopped => matches!(record.fed, Fed::Stop),
            Cause::Removed => configured.is_none() && matches!(record.fed, Fed::Configure(_)),
            Cause::Redefined => configured.is_some() && matches!(record.fed, Fed::Configure(_)),
            Cause::Silence { .. }
            | Cause::Resigned { .. }
            | Cause::Preempted { .. }
            | Cause::HigherPriority { .. }
            | Cause::HigherAddress { .. } => false,
        };
        if is_true && router.state() == transition.from {
            Ok(())
        } else {
            Err(Invariant::Cause.broken(format!(
                "{name}: {} -> {} because of {:?} is not what happened at {:?}",
                transition.from, transition.to, transition.cause, record.fed
            )))
        }
    }

    /// Whoever leaves in an orderly way says so, and whoever hears of a rival answers it.
    fn watch_answers(
        &self,
        now: Instant,
        before: &BTreeMap<String, State>,
        judged: Option<&Judged<'_>>,
        record: &Record,
    ) -> Result<(), Violation> {
        let speaks = |vrid: u8, resigns: bool| {
            record.outputs.iter().any(|output| {
                matches!(output, Output::Advertise(Advertisement { message, .. })
                    if message.get(1) == Some(&vrid) && (message.get(2) == Some(&0)) == resigns)
            })
        };
        let is_reload = matches!(record.fed, Fed::Configure(_));
        for transition in transitions(record) {
            let orderly = transition.from == State::Master
                && matches!(
                    transition.cause,
                    Cause::Stopped
                        | Cause::Removed
                        | Cause::Faulted(
                            FaultReason::TrackerDown(_)
                                | FaultReason::DropFilterError(_)
                                | FaultReason::Member { .. }
                        )
                        | Cause::With { .. }
                        | Cause::Joined { .. }
                );
            // A removed router is no more; its last packet may be of any VRID. Whoever has nobody to
            // speak to is silent.
            let vrid = self
                .routers
                .get(&*transition.router)
                .filter(|router| !router.is_alone() && !router.is_away)
                .filter(|router| !(is_reload && router.speaks_otherwise))
                .map(|router| router.config.vrid);
            if orderly && vrid.is_some_and(|vrid| !speaks(vrid, true)) {
                let name = &transition.router;
                return Err(Invariant::Speaker.broken(format!("{name} leaves without a word")));
            }
        }
        let Some(judged) = judged else {
            return Ok(());
        };
        let (name, Ok(says)) = (&judged.router, judged.says) else {
            return Ok(());
        };
        let router = &self.routers[name];
        let Phase::Master { sent_at, .. } = router.phase else {
            return Ok(());
        };
        let stays = before.get(name) == Some(&State::Master);
        if !stays
            || record.interrupted.contains(&**name)
            || judged.own == Some(judged.packet.source)
        {
            return Ok(());
        }
        let spoke = speaks(router.config.vrid, false);
        let is_soon = record
            .deadline_after
            .is_some_and(|at| at <= now + REPLY_SPACING);
        let is_due = record.deadline_after.is_some_and(|at| at <= now);
        // At once (RFC 9568 section 6.4.3). Answers are spaced, and the one to a resignation is put
        // off and not left out; RFC 3768 does not answer a lower priority.
        let answers = match says.priority {
            0 => spoke || is_soon,
            _ if router.config.version == Version::V2 => true,
            // What was put off and is due leaves before the turn is over.
            _ => spoke || is_due || now.since(sent_at) < REPLY_SPACING,
        };
        if answers {
            Ok(())
        } else {
            Err(Invariant::Speaker.broken(format!("{name} does not answer {says:?}")))
        }
    }

    /// Who speaks is master, says what it is, and a new master says it at once to all.
    fn watch_sending(
        &mut self,
        now: Instant,
        before: &BTreeMap<String, State>,
        record: &Record,
    ) -> Result<(), Violation> {
        if !record.speaks_for_itself {
            let how = format!(
                "speaks from what the host does not have: {:?}",
                record.outputs
            );
            return Err(Invariant::Speaker.broken(how));
        }
        let mut spoke: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        let wall = self.wall_at(now);
        let mut former = None;
        for output in &record.outputs {
            let Output::Advertise(Advertisement {
                interface,
                source,
                destination,
                hop_limit,
                mac,
                message,
            }) = output
            else {
                continue;
            };
            let &[_, vrid, priority, ..] = &message[..] else {
                return Err(Invariant::Speaker.broken(format!("a short message: {message:?}")));
            };
            let family = Family::of(*source);
            let link = self.links.get(interface);
            let segment = (0..SEGMENTS)
                .find(|segment| link.is_some_and(|link| *link.name == *interface_name(*segment)));
            let name = segment.and_then(|segment| self.router_on(segment, vrid, family));
            let place = name.clone().map(|name| (name, family, priority == 0));
            let is_copy = place.is_some() && place == former;
            former = place;
            if priority == 0 {
                if name.is_none() {
                    // Its interface has another name: whose number it bears is not known.
                    let same = |router: &&mut Watched| router.config.vrid == vrid;
                    let routers = self.routers.values_mut().filter(same);
                    routers.for_each(|router| router.may_have_resigned = true);
                }
                // Whoever is another one now has signed with a number that is of no concern any more.
                let is_itself = name.as_ref().is_some_and(|name| {
                    !transitions(record).any(|t| *t.router == **name && is_end(&t.cause))
                });
                let router = name.and_then(|name| self.routers.get_mut(&name));
                if let Some(router) = router.filter(|_| is_itself)
                    && !router.signs(message, family, wall, is_copy)
                {
                    return Err(Invariant::Speaker.broken(format!("signs {message:?} wrongly")));
                }
                continue;
            }
            let Some(name) = name else {
                return Err(Invariant::Speaker.broken(format!("nobody has VRID {vrid}")));
            };
            let effective = self.priority(&self.routers[&name].config);
            let Some(router) = self.routers.get_mut(&name) else {
                continue;
            };
            router.sources.insert(family, *source);
            let virtual_mac = router.config.mac(family);
            let leaves_from_it =
                router.config.behind == Behind::Virtual && router.config.unicast.is_none();
            if *mac != virtual_mac.filter(|_| leaves_from_it) {
                return Err(Invariant::Speaker.broken(format!("{name} speaks from {mac:?}")));
            }
            let meant = says(&router.config, effective);
            if read(message) != Some(meant) || !is_list_of(&router.config, *source, message) {
                return Err(
                    Invariant::Speaker.broken(format!("{name} is {meant:?} and says {message:?}"))
                );
            }
            if !router.signs(message, family, wall, is_copy) {
                return Err(Invariant::Speaker.broken(format!("{name} signs {message:?} wrongly")));
            }
            if *hop_limit != router.config.hop_limit() {
                return Err(Invariant::Speaker.broken(format!("{name} sends with {hop_limit}")));
            }
            if spoke.entry(name.clone()).or_default().insert(*destination) {
                continue;
            }
            return Err(Invariant::Speaker.broken(format!("{name} speaks twice to {destination}")));
        }
        for (name, router) in &mut self.routers {
            if transitions(record).any(|t| *t.router == **name && t.from == State::Init) {
                // Another router of that name counts anew.
                router.words = 0;
            }
            let words = record.shown.get(&**name).map(|shown| shown.words);
            let is_new = words.is_some_and(|words| words > router.words);
            router.words = words.unwrap_or(router.words);
            let has_resigned = record.outputs.iter().any(|output| {
                matches!(output, Output::Advertise(Advertisement { message, .. })
                    if message.get(1) == Some(&router.config.vrid) && message.get(2) == Some(&0))
            });
            // Where nobody is to hear it, whether it has spoken can only be told by its own count.
            if is_new && router.is_alone() && !has_resigned {
                spoke.entry(name.clone()).or_default();
            }
        }
        if let Some(name) = spoke
            .keys()
            .find(|name| record.interrupted.contains(&***name))
        {
            return Err(Invariant::Speaker.broken(format!("{name} speaks while it is interrupted")));
        }
        for (name, to) in &spoke {
            let Some(router) = self.routers.get_mut(name) else {
                continue;
            };
            let own: BTreeSet<IpAddr> = router.sources.values().copied().collect();
            let all = router.receivers.values().flatten().copied();
            let all: BTreeSet<IpAddr> = all.filter(|to| !own.contains(to)).collect();
            if *to != all {
                return Err(Invariant::Speaker
                    .broken(format!("{name} speaks to {to:?} and not to {all:?}")));
            }
            let told = router.config.interval();
            match &mut router.phase {
                Phase::Master {
                    sent_at,
                    told: said,
                    ..
                } => {
                    if now.since(*sent_at) > others_wait(&router.config, *said)
                        && router.config.priority != 255
                        && before.get(name) == Some(&State::Master)
                    {
                        return Err(Invariant::Overslept
                            .broken(format!("{name} speaks after {:?}", now.since(*sent_at))));
                    }
                    (*sent_at, *said) = (now, told);
                }
                // The last word of a master that yields, so that the other announces its addresses.
                Phase::Backup(_) if yields(record, name) => {}
                Phase::Init | Phase::Fault | Phase::Backup(_) => {
                    return Err(
                        Invariant::Speaker.broken(format!("{name} speaks as {}", router.state()))
                    );
                }
            }
        }
        for transition in transitions(record).filter(|t| t.to == State::Master) {
            let name = &*transition.router;
            let Some(router) = self.routers.get(name) else {
                continue;
            };
            if router.state() != State::Master {
                continue;
            }
            let announced = |own: InterfaceAddress| {
                record.outputs.iter().any(|output| {
                    matches!(output, Output::Announce(Announcement { addresses, .. }) if addresses.contains(&own))
                })
            };
            let mut owed = router.config.virtual_addresses();
            if !spoke.contains_key(name)
                || !owed.all(|own| announced(own) || !self.has_home(&router.config, own))
            {
                return Err(Invariant::Speaker.broken(format!("{name} became master in silence")));
            }
        }
        Ok(())
    }

    /// It wants to be woken in time, and not again for what it has done.
    fn watch_deadlines(&self, now: Instant, record: &Record) -> Result<(), Violation> {
        if matches!(record.fed, Fed::Tick)
            && record
                .deadline_after
                .is_some_and(|deadline| deadline <= now)
        {
            return Err(Invariant::Deadline.broken("due again at once: a busy loop"));
        }
        for (name, tracker) in &self.trackers {
            let asked = record.deadline_after;
            if let Some(due) = tracker.due()
                && asked.is_none_or(|deadline| deadline > due)
            {
                return Err(Invariant::Deadline.broken(format!(
                    "the verdict of {name} is due at {due:?}, and it asks for {asked:?}"
                )));
            }
        }
        for (name, router) in &self.routers {
            let latest = match &router.phase {
                Phase::Init | Phase::Fault => continue,
                Phase::Backup(listening) => match self.group_of(name) {
                    None => router.take_over_at(listening, self.priority(&router.config)),
                    Some(group) => match self.due_at(now, &group) {
                        // Whoever has just fallen silent may have kept it from what was due before.
                        Some(at) => at.max(now),
                        None => continue,
                    },
                },
                Phase::Master {
                    sent_at,
                    told,
                    announcing,
                } => {
                    if record.interrupted.contains(&**name) {
                        // What it has to say waits until it is back.
                        continue;
                    }
                    let advert_at = *sent_at + *told;
                    announcing.next().map_or(advert_at, |at| at.min(advert_at))
                }
            };
            if record
                .deadline_after
                .is_none_or(|deadline| deadline > latest)
            {
                return Err(Invariant::Deadline.broken(format!(
                    "{name} is to be woken at {latest:?} and asks for {:?}",
                    record.deadline_after
                )));
            }
        }
        Ok(())
    }

    fn router_on(&self, segment: u8, vrid: u8, family: Family) -> Option<String> {
        self.routers
            .iter()
            .find(|(_, Watched { config, .. })| {
                config.segment == segment && config.vrid == vrid && config.speaks(family)
            })
            .map(|(name, _)| name.clone())
    }
}

/// Whether a message lists what a router of this configuration advertises to the family of `source`,
/// link-local addresses first (RFC 9568 section 5.2.9 with erratum 8300). Where it has none the
/// sender's may stand there.
fn is_list_of(config: &RouterConfig, source: IpAddr, message: &[u8]) -> bool {
    let family = Family::of(source);
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (first, rest): (Vec<_>, Vec<_>) = config
        .advertised(family)
        .partition(InterfaceAddress::is_link_local);
    let own: Vec<IpAddr> = first
        .into_iter()
        .chain(rest)
        .map(|own| own.address)
        .collect();
    let first = InterfaceAddress {
        address: source,
        prefix: 64,
    };
    let with_source = first.is_link_local() && !has_link_local(config);
    let is = |list: &[IpAddr]| {
        let bytes: Vec<u8> = list.iter().copied().flat_map(octets).collect();
        message.get(3).copied().map(usize::from) == Some(list.len())
            && message.get(8..8 + bytes.len()) == Some(&bytes[..])
    };
    is(&own) || with_source && is(&[&[source], &own[..]].concat())
}

/// Whether a router yields to another master.
fn yields(record: &Record, name: &str) -> bool {
    transitions(record).any(|transition| {
        *transition.router == *name
            && matches!(
                transition.cause.root(),
                Cause::HigherPriority { .. } | Cause::HigherAddress { .. }
            )
    })
}

/// Whether a router is no more, or another one.
const fn is_end(cause: &Cause) -> bool {
    matches!(cause, Cause::Removed | Cause::Redefined)
}

fn is_about_own_address(cause: &Cause) -> bool {
    let (Cause::Faulted(fault_reason) | Cause::Recovered(fault_reason)) = cause else {
        return false;
    };
    matches!(
        root(fault_reason),
        FaultReason::NoAddress(_) | FaultReason::NoLinkLocal(_) | FaultReason::OnlyVirtual { .. }
    )
}

/// Whether an interface or an address is away, which is no fault before it lasts.
fn is_about_absence(cause: &Cause) -> bool {
    let Cause::Faulted(fault_reason) = cause else {
        return false;
    };
    matches!(
        root(fault_reason),
        FaultReason::InterfaceMissing(_)
            | FaultReason::InterfaceDown(_)
            | FaultReason::NoCarrier(_)
            | FaultReason::NoAddress(_)
            | FaultReason::NoLinkLocal(_)
            | FaultReason::NoSource(_)
            | FaultReason::OnlyVirtual { .. }
    )
}

/// The fault_reason that is not another member's.
fn root(mut fault_reason: &FaultReason) -> &FaultReason {
    while let FaultReason::Member {
        fault_reason: its, ..
    } = fault_reason
    {
        fault_reason = its;
    }
    fault_reason
}

/// Whether a transition is one for which the host's circumstances can be the reason.
fn is_circumstance(transition: &Transition) -> bool {
    overslept(transition) || matches!(transition.cause, Cause::Faulted(_) | Cause::Recovered(_))
}

fn overslept(transition: &Transition) -> bool {
    matches!(transition.cause.root(), Cause::Overslept { .. })
}

pub(crate) fn transitions(record: &Record) -> impl Iterator<Item = &Transition> {
    machine::transitions(&record.outputs)
}

/// A packet that nobody believes changes nothing.
fn is_nothing(record: &Record) -> Result<(), Violation> {
    let spoken = record
        .outputs
        .iter()
        .find(|output| !matches!(output, Output::Report(Report::Dropped { .. })));
    match spoken {
        Some(output) => Err(Invariant::Rejected.broken(format!("leads to {output:?}"))),
        None if record.deadline_before != record.deadline_after => {
            Err(Invariant::Rejected.broken("moves a timer"))
        }
        None => Ok(()),
    }
}

/// What a router does is what was foretold, as far as transitions like `which` are concerned.
fn compare(
    name: &str,
    expected: Option<&Expected>,
    record: &Record,
    which: impl Fn(&Transition) -> bool,
) -> Result<(), Violation> {
    let mut seen = transitions(record).filter(|t| *t.router == *name && which(t));
    match (expected, seen.next(), seen.next()) {
        (None, None, None) => Ok(()),
        (Some(expected), Some(seen), None)
            if expected.to == seen.to && expected.cause == seen.cause =>
        {
            Ok(())
        }
        (Some(expected), seen, _) => Err(Invariant::Transition.broken(format!(
            "{name} has to become {} because of {:?}, and {}",
            expected.to,
            expected.cause,
            seen.map_or("does nothing".to_owned(), |seen| format!(
                "becomes {} because of {:?}",
                seen.to, seen.cause
            ))
        ))),
        (None, Some(seen), _) => Err(Invariant::Transition.broken(format!(
            "{name} has no reason, and becomes {} because of {:?}",
            seen.to, seen.cause
        ))),
        (None, None, Some(_)) => unreachable!("the second comes after the first"),
    }
}
