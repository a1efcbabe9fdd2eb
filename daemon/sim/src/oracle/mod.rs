//! Oracle of one host: computes a second time, from the meaning of the packets and the clock, what the
//! RFCs require of its routers, and compares that with the engine.
//!
//! For a packet or a deadline, which the RFCs define, the transition, its cause and its time are
//! expected; any difference breaks an invariant. For an event of the host (links, trackers, the
//! operator) the oracle follows the transition of the engine and checks that its cause is true.

mod announcing;
mod conflict;
mod contacts;
mod cover;
mod grace;
mod hand_over;
mod listening;
mod operator;
mod reference;
mod silence;
mod unsent;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::operator::{CommandKey, StandingCommand};
use vrrp_proto::{
    Advertisement, Announcement, Cause, Family, FaultReason, Instant, InterfaceAddress,
    InterfaceIndex, Link, Output, Report, State, Transition, Version,
};

use self::contacts::Contacts;
pub(crate) use self::reference::Watched;
use self::reference::{Expected, Phase, others_wait};
pub(crate) use self::silence::UNRESOLVED;
use crate::admission::{Numbers, Rejection, Trailer, is_deaf, judge, seconds_ahead};
use crate::coverage::Coverage;
use crate::foreign::{content, has_link_local};
use crate::host::{Host, Turn};
use crate::invariants::{Invariant, Violation};
use crate::machine;
use crate::records::{Arrival, Content, Datagram, Fed, News, Record, read};
use crate::scenario::{
    Behind, Config, PatienceConfig, RouterConfig, SEGMENTS, TrackerConfig, interface_name,
};

/// Least time between two answers: the shortest interval of the protocol.
const REPLY_SPACING: Duration = Duration::from_millis(10);

/// Expected state of a host's routers and trackers.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    config: Config,
    routers: BTreeMap<String, Watched>,
    trackers: BTreeMap<String, Tracked>,
    /// Whether the engine knows that drop rules cannot be installed.
    drop_filter_failed: bool,
    /// Links that the engine knows.
    links: BTreeMap<InterfaceIndex, Link>,
    /// Addresses to which the peers' host names resolve, as the engine knows them.
    names: BTreeMap<String, Vec<IpAddr>>,
    /// Time of the last wall-clock reading, and the reading.
    wall_clock: (Instant, Duration),
    /// Whether a station was rejected because of its clock, which can change without another event, or a
    /// router has another unicast peer.
    may_settle_late: bool,
    /// Time since which each group is master or has received advertisements of another master.
    met: BTreeMap<String, Instant>,
    /// Last report on a claim, by interface, VRID and address.
    claims_told: BTreeMap<(InterfaceIndex, u8, IpAddr), Instant>,
    /// Routers that the present input removes during their hand-over.
    removed_in_hand_over: BTreeSet<String>,
    /// Last wake-up time that each group of backups asked for.
    asked: BTreeMap<String, Instant>,
    /// Standing commands of the operator.
    commands: BTreeMap<CommandKey, StandingCommand>,
}

/// Expected treatment of a packet.
#[derive(Debug)]
struct Judged<'p> {
    /// Router with the VRID of the packet.
    router: String,
    packet: &'p Datagram,
    /// Address from which that router would answer.
    own: Option<IpAddr>,
    /// Content if the packet is accepted, or the reason for the rejection.
    content: Result<Content, Rejection>,
}

#[derive(Clone, Copy, Debug)]
struct Tracked {
    config: TrackerConfig,
    patience: PatienceConfig,
    up: bool,
    /// Whether the tracker has had a result.
    known: bool,
    changed_at: Option<Instant>,
    /// Time since which the results contradict the verdict.
    contradicted: Option<Instant>,
    streak: u32,
}

impl Tracked {
    /// Direction of the latest results.
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

    /// Records that enough results have the same direction.
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
    /// Configuration of the host, as the engine knows it.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// Routers, by name.
    pub(crate) fn routers(&self) -> impl Iterator<Item = (&String, &Watched)> {
        self.routers.iter()
    }

    /// Effective priority of a router.
    pub(crate) fn priority(&self, config: &RouterConfig) -> u8 {
        if config.priority == 255 {
            return 255;
        }
        let name = self.name_of(config);
        if name.is_some_and(|name| self.stands_back(name)) {
            return 1;
        }
        let ordered = name.and_then(|name| self.ordered_priority(name));
        let mut sum = i32::from(ordered.unwrap_or(config.priority));
        for (name, weight) in &config.tracks {
            let up = self.is_up(name);
            // A negative weight counts while the tracker is down, a positive one while it is up.
            if (*weight < 0) != up {
                sum += i32::from(*weight);
            }
        }
        u8::try_from(sum.clamp(1, 254)).unwrap_or(254)
    }

    /// Whether a tracker causes a fault of a router.
    pub(crate) fn is_kept_by_tracker(&self, config: &RouterConfig) -> bool {
        self.faults(config).next().is_some()
    }

    /// Trackers that cause a fault of a router.
    fn faults<'w>(&'w self, config: &'w RouterConfig) -> impl Iterator<Item = &'w str> {
        let tracks = config.tracks.iter();
        tracks
            .filter(|(name, weight)| *weight == 0 && !self.is_up(name))
            .map(|(name, _)| name.as_str())
    }

    fn is_up(&self, tracker: &str) -> bool {
        self.trackers.get(tracker).is_none_or(|tracker| tracker.up)
    }

    /// Checks a turn of the host.
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

    /// Returns whether a station was rejected since the last call and may be accepted after some time, or
    /// the unicast peers of a router changed.
    pub(crate) const fn take_delay(&mut self) -> bool {
        std::mem::replace(&mut self.may_settle_late, false)
    }

    /// Wall-clock reading at a moment, computed from the last reading.
    fn wall_at(&self, at: Instant) -> Duration {
        let (read_at, showed) = self.wall_clock;
        (showed + at.since(read_at)).saturating_sub(read_at.since(at))
    }

    /// Goes on after a restart of the daemon with the first `records` of the new process. It reports the claims of
    /// the last minute again, and knows no macvlan that the former process deleted at its end.
    pub(crate) fn go_on(&mut self, records: &[Record]) {
        self.claims_told.clear();
        let links = records.iter().filter_map(|record| {
            let Fed::News(News::Link(link)) = &record.fed else {
                return None;
            };
            Some((link.index, link.clone()))
        });
        self.links = links.collect();
    }

    /// Resets the oracle when the daemon ends.
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
        let by_rfc = matches!(
            record.fed,
            Fed::Packet { .. } | Fed::Witnessed(_) | Fed::Tick
        );
        if !by_rfc {
            // A late wake-up is handled before any other change.
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
            Fed::Witnessed(arrivals) => {
                self.watch_witnessed(host, now, arrivals, record, coverage)?
            }
            Fed::AddressConflict { conflict, counted } => {
                self.watch_conflict(now, conflict, *counted, record)?;
            }
            Fed::Tick => self.watch_tick(now, record)?,
            Fed::Configure(config) => {
                let config = config.united();
                self.watch_unconcerned(&config, record)?;
                self.reconfigure(now, &config);
                self.apply_commands(now);
                self.forget_contacts(record);
                self.find_receivers(now, host);
                self.follow(now, record, awake)?;
                self.routers.retain(|name, router| {
                    let stays = config.routers.contains_key(name);
                    if !stays && router.leaving.is_some() {
                        self.removed_in_hand_over.insert(name.clone());
                    }
                    stays
                });
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
                self.resolve(now, name, addresses);
                self.find_receivers(now, host);
                let is_request = |output: &&Output| !matches!(output, Output::Solicit(_));
                if let Some(output) = record.outputs.iter().find(is_request) {
                    let how = format!("the resolution of {name} caused {output:?}");
                    return Err(Invariant::UnicastSilence.broken(how));
                }
            }
            Fed::Listening => {
                self.look_at_interfaces(now);
                self.follow(now, record, awake)?;
            }
            Fed::WallClock(shows) => {
                self.wall_clock = (now, *shows);
                is_nothing(record)?;
            }
            Fed::Unsent {
                interface,
                family,
                vrid,
                is_sent,
            } => {
                let of = (*interface, *family, *vrid);
                self.watch_unsent(now, of, *is_sent, record)?;
            }
            Fed::Command(command) => self.watch_command(now, command, record)?,
            Fed::EndCommand(key) => self.watch_end_of_command(now, key, record)?,
            Fed::Announce(router) => self.watch_ordered_announcement(router.as_deref(), record)?,
            Fed::Overrun | Fed::Restart | Fed::Stop | Fed::Rejected => {
                self.follow(now, record, awake)?
            }
        }
        self.watch_clocks(record)?;
        self.watch_contests(now, record)?;
        for (name, router) in &mut self.routers {
            let shown = record.shown.get(&**name).into_iter();
            let sources = shown.flat_map(|shown| &shown.sources);
            let sources = sources.map(|source| (Family::of(*source), *source));
            router.sources.extend(sources);
        }
        self.watch_answers(now, &before, judged.as_ref(), record)?;
        self.watch_hand_overs(host, now, judged.as_ref(), record, coverage)?;
        self.watch_links(now, record)?;
        self.watch_grace(now, record)?;
        self.watch_sending(now, &before, record)?;
        for transition in transitions(record) {
            if let Some(router) = self.routers.get_mut(&*transition.router) {
                router.is_away = false;
                router.last = Some((now, transition.cause.clone()));
                if transition.to == State::Master {
                    router.count_take_over(now);
                }
            }
        }
        self.watch_solicitations(record)?;
        self.watch_silence(now, judged.as_ref(), record)?;
        self.note_asked(now);
        self.watch_deadlines(now, record)
    }

    /// Computes the destinations of each router from its configuration and the resolved names.
    fn find_receivers(&mut self, now: Instant, host: &Host) {
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
            router.configured = config
                .spoken()
                .map(|family| (family, config.receivers(&host.stations, family, means)))
                .collect();
            let peers = config.unicast.iter().flat_map(|unicast| &unicast.peers);
            let named = peers.filter(|peer| peer.named);
            let names: BTreeSet<String> = named.map(|peer| peer.name(config.segment)).collect();
            let is_unresolved = names.iter().any(|name| means(name).is_empty());
            // A name has addresses of both families, also for a router of one.
            let all: BTreeSet<IpAddr> = Family::ALL
                .into_iter()
                .flat_map(|family| config.receivers(&host.stations, family, means))
                .collect();
            let is_configured = |address: IpAddr| all.contains(&address);
            let contacts = &mut router.contacts;
            contacts.settle(now, &names, is_unresolved, is_configured);
            router.find_receivers(now);
            self.may_settle_late = true;
        }
    }

    /// Finds the router of a received packet, and decides whether it accepts the packet.
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
        let at = (*arrived).min(now);
        let (judged, numbers) = self.judge_packet(at, *interface, *own_source, packet)?;
        let priority = self.priority(&self.routers[&judged.router].config);
        // The engine does not see a packet that no router listens for, so its number stays unused.
        if let Some(router) = self.routers.get_mut(&judged.router)
            && *is_listened_for
        {
            router.numbers = numbers;
            let listens = matches!(router.state(), State::Backup | State::Master);
            if let Ok(content) = &judged.content
                && (listens || router.is_leaving())
            {
                router.peers.insert(packet.source);
                self.may_settle_late |= router.meet(at, packet.source, content.interval, priority);
            }
        }
        self.may_settle_late |= matches!(
            judged.content,
            Err(Rejection::Untimely | Rejection::Repeated)
        ) && packet.from < host.stations.count();
        Some(judged)
    }

    /// Finds the router of a packet that arrived at `at`, and decides whether it accepts the packet. Also
    /// returns the sequence numbers after that.
    fn judge_packet<'p>(
        &self,
        at: Instant,
        interface: InterfaceIndex,
        own_source: Option<IpAddr>,
        packet: &'p Datagram,
    ) -> Option<(Judged<'p>, Numbers)> {
        // The packet may have been queued in the socket of a deleted interface.
        let name = interface_name(packet.segment);
        let link = self.links.get(&interface)?;
        if *link.name != *name {
            return None;
        }
        let (vrid, family) = (*packet.payload.get(1)?, packet.family());
        let name = self.router_on(packet.segment, vrid, family)?;
        let router = &self.routers[&name];
        let own = own_source.or(router.source(family));
        let content = self.heeds(at, router, own, packet);
        let mut numbers = router.numbers.clone();
        let wall = self.wall_at(at);
        let priority = self.priority(&router.config);
        let content = content.and_then(|content| {
            if let Some(hmac) = &router.config.hmac {
                let wait = router.wait_for(priority, content.interval);
                numbers.admit(hmac, (at, wall), wait, packet)?;
            }
            if is_deaf(&router.config) {
                return Err(Rejection::Subject);
            }
            Ok(content)
        });
        let judged = Judged {
            router: name,
            packet,
            own,
            content,
        };
        Some((judged, numbers))
    }

    /// Whether a router accepts a packet that arrived at `at`, apart from its signature.
    fn heeds(
        &self,
        at: Instant,
        router: &Watched,
        own: Option<IpAddr>,
        packet: &Datagram,
    ) -> Result<Content, Rejection> {
        let family = packet.family();
        if !router.config.speaks(family) {
            return Err(Rejection::Dialect);
        }
        let is_peer = |source| {
            let configured = router.configured.get(&family);
            configured.is_some_and(|peers| peers.contains(&source))
                || router.contacts.accepts(source, at)
        };
        let content = judge(&router.config, is_peer, packet)?;
        if router.is_unlinked {
            return Err(Rejection::Unlinked);
        }
        if own == Some(packet.source) && self.may_have_said(router, packet) {
            return Err(Rejection::Own);
        }
        let is_known = router.peers.contains(&packet.source);
        if !is_known && is_of_another(&router.config, packet) {
            return Err(Rejection::Foreign);
        }
        Ok(content)
    }

    /// Content of an unsigned packet that a backup follows as the advertisement of its master, and the time
    /// in which such a packet has to be noticed.
    pub(crate) fn follows(
        &self,
        router: &Watched,
        arrived: Instant,
        packet: &Datagram,
    ) -> Option<(Content, Duration)> {
        let Phase::Backup(listening) = &router.phase else {
            return None;
        };
        let own = router.source(packet.family());
        let content = self.heeds(arrived, router, own, packet).ok()?;
        let preempts =
            !router.is_unsent && (router.config.preempt || router.config.priority == 255);
        let is_master = content.priority >= self.priority(&router.config) || !preempts;
        let least = content.interval.min(listening.least_interval());
        (is_master && content.priority > 0 && own != Some(packet.source))
            .then_some((content, least))
    }

    /// Checks that a router is in fault when it needs a drop rule that cannot be installed.
    fn watch_drop_rules(&self) -> Result<(), Violation> {
        let serves = |router: &Watched| {
            !router.config.accepts() && matches!(router.state(), State::Master | State::Backup)
        };
        let mut routers = self.routers.iter();
        match routers.find(|(_, router)| self.drop_filter_failed && serves(router)) {
            Some((name, router)) => Err(Invariant::Cause.broken(format!(
                "{name} is {} although its drop rules cannot be installed",
                router.state()
            ))),
            None => Ok(()),
        }
    }

    /// Assumes the host's own address as the source of a router that has not advertised in this family
    /// yet.
    fn suppose_source(&mut self, host: &Host, packet: &Datagram) {
        let family = packet.family();
        let vrid = packet.payload.get(1).copied().unwrap_or_default();
        let name = self.router_on(packet.segment, vrid, family);
        if let Some(router) = name.and_then(|name| self.routers.get_mut(&name)) {
            let own = host.own(family, packet.segment).address;
            router.sources.entry(family).or_insert(own);
        }
    }

    /// Checks the effect of a packet.
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
            Some((&judged.router, judged.packet, judged.content.ok()?)).filter(|_| listens)
        });
        let Some((name, packet, content)) = concerned else {
            let is_successor = judged.is_some_and(|judged| {
                judged.content.is_ok() && self.routers[&judged.router].is_leaving()
            });
            // The end of a hand-over is checked with all of them.
            return match is_successor {
                true => is_without_transition(record),
                false => is_nothing(record),
            };
        };
        let name = name.clone();
        if self.group_of(&name).is_some() {
            // A packet that was read so late may be followed by lost ones.
            let slept = now.since(arrived) > content.interval;
            let arrived = if slept { now } else { arrived.min(now) };
            let heard = (packet, &content);
            return self.watch_packet_together(now, arrived, &name, heard, own_source, record);
        }
        let priority = self.priority(&self.routers[&name].config);
        let expected = self.routers.get_mut(&name).and_then(|router| {
            if let Some(own) = own_source {
                router.sources.insert(packet.family(), own);
            }
            router.hear(now, arrived.min(now), packet, &content, priority)
        });
        compare(&name, expected.as_ref(), record, |_| true)?;
        if let Some(router) = self.routers.get_mut(&name).filter(|_| expected.is_none()) {
            router.meet_rival(now, packet, &content, priority);
        }
        let announces = expected.is_none()
            && self
                .routers
                .get_mut(&name)
                .is_some_and(|router| router.announces_against(now, &content));
        self.compare_announcement(&name, announces, record)?;
        match transitions(record).find(|transition| *transition.router != *name) {
            Some(other) => Err(Invariant::Cause.broken(format!(
                "{} changed state after a packet for {name}",
                other.router
            ))),
            None => Ok(()),
        }
    }

    /// Checks the warnings about clocks: the sequence number of the packet is off by at least half of the
    /// window.
    fn watch_clocks(&self, record: &Record) -> Result<(), Violation> {
        for output in &record.outputs {
            let Output::Report(Report::Clock { router, ahead, .. }) = output else {
                continue;
            };
            let Fed::Packet {
                arrived, packet, ..
            } = &record.fed
            else {
                return Err(Invariant::Rejected.broken("a warning about a clock without a packet"));
            };
            let hmac = self
                .routers
                .get(&**router)
                .map(|router| &router.config.hmac);
            let window = hmac.and_then(|hmac| Some(hmac.as_ref()?.window));
            let trailer = Trailer::read(packet.family(), &packet.payload);
            let off = trailer.map(|trailer| seconds_ahead(trailer.number, self.wall_at(*arrived)));
            let is_right = off == Some(*ahead)
                && window.is_some_and(|w| w > 0 && ahead.unsigned_abs() * 2 >= u64::from(w));
            if !is_right {
                let how = format!("{router} warns of a clock {ahead} s ahead: it is {off:?}");
                return Err(Invariant::Rejected.broken(how));
            }
        }
        Ok(())
    }

    /// Checks the effect of packets that arrived at interfaces: they count for the routers whose take-over
    /// is due, as if a socket had received them at their arrival.
    fn watch_witnessed(
        &mut self,
        host: &Host,
        now: Instant,
        arrivals: &[Arrival],
        record: &Record,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let names: Vec<String> = self.routers.keys().cloned().collect();
        let due: BTreeSet<String> = names.into_iter().filter(|n| self.is_over(now, n)).collect();
        let mut waits = BTreeMap::new();
        for Arrival {
            at,
            interface,
            is_listened_for,
            packet,
        } in arrivals
        {
            self.suppose_source(host, packet);
            let at = (*at).min(now);
            let Some((judged, numbers)) = self.judge_packet(at, *interface, None, packet) else {
                continue;
            };
            let (name, Ok(content)) = (judged.router, judged.content) else {
                continue;
            };
            let priority = self.priority(&self.routers[&name].config);
            let is_member = self.group_of(&name).is_some();
            if !due.contains(&name) || !is_listened_for {
                continue;
            }
            let goes_on = self
                .heard_in(now, &name, packet.family())
                .any(|known| known.from == packet.source && known.priority == content.priority);
            let Some(router) = self.routers.get_mut(&name) else {
                continue;
            };
            let Phase::Backup(listening) = &mut router.phase else {
                continue;
            };
            if !listening.is_news(packet.family(), at) {
                continue;
            }
            router.numbers = numbers;
            listening.hear_witnessed(&router.config, at, packet, &content, priority);
            if content.priority > 0
                && listening.over_in(packet.family(), &router.config, priority) > now
            {
                waits.insert(name, packet.source);
            }
            if is_member {
                router.sight(at, packet, &content, goes_on);
            }
        }
        let is_withheld = |name: &str| waits.contains_key(name) && !self.is_over(now, name);
        for output in &record.outputs {
            let is_report = match output {
                Output::Report(Report::Withheld { router, .. }) => is_withheld(router),
                Output::Report(report) => matches!(report, Report::Suppressed { .. }),
                Output::Advertise(_)
                | Output::Kernel(_)
                | Output::Device(_)
                | Output::Routing(_)
                | Output::Lvs(_)
                | Output::Announce(_)
                | Output::Solicit(_) => false,
            };
            if !is_report {
                let how = format!("packets that arrived caused {output:?}");
                return Err(Invariant::Silence.broken(how));
            }
        }
        for name in due.iter().filter(|name| is_withheld(name)) {
            self.cover_withheld(name, coverage);
        }
        Ok(())
    }

    /// Whether the take-over of a router, or of its group, is due.
    fn is_over(&self, now: Instant, name: &str) -> bool {
        let router = &self.routers[name];
        let Phase::Backup(listening) = &router.phase else {
            return false;
        };
        let over_at = match self.group_of(name) {
            Some(group) => self.over_at(now, &group),
            None => Some(router.take_over_at(listening, self.priority(&router.config))),
        };
        router.config.trust_wire && over_at.is_some_and(|at| at <= now)
    }

    /// Whether a packet from the router's own address may be its own, looped back. With unicast every
    /// such packet is its own.
    fn may_have_said(&self, router: &Watched, packet: &Datagram) -> bool {
        if router.config.unicast.is_some() {
            return true;
        }
        if router.state() != State::Master && !router.is_leaving() {
            return false;
        }
        let own = content(&router.config, self.priority(&router.config));
        // A list of IPv6 may begin with any link-local address: an attacker sends the packet of another
        // sender again from this one.
        let begin = packet.payload.get(8..24);
        let begin = begin.and_then(|octets| <[u8; 16]>::try_from(octets).ok());
        let begin = begin
            .map(|octets| IpAddr::V6(octets.into()))
            .filter(|address| packet.source.is_ipv6() && vrrp_proto::is_link_local(*address))
            .unwrap_or(packet.source);
        let same_list = is_list_of(&router.config, begin, &packet.payload);
        packet
            .content
            .is_some_and(|content| content.priority == 0 || content == own && same_list)
    }

    /// Checks the effect of a deadline, and that nothing happens before it.
    fn watch_tick(&mut self, now: Instant, record: &Record) -> Result<(), Violation> {
        let judged = self.watch_verdicts(now, record)?;
        let by_verdict = |transition: &Transition| {
            judged.contains(&*transition.router) && is_circumstance(transition)
        };
        for router in self.routers.values_mut() {
            if let Phase::Backup(listening) = &mut router.phase
                && router.config.trust_wire
                && !router.barred
            {
                listening.watch(now);
            }
        }
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
            // A disconnected master notices a late wake-up at its next deadline.
            let notices = transitions(record).any(|t| *t.router == *name && overslept(t));
            let is_away = record.interrupted.contains(&*name) && !notices;
            let expected = self
                .routers
                .get_mut(&name)
                .filter(|router| !(is_away && router.state() == State::Master))
                .and_then(|router| router.tick(now, priority));
            compare(&name, expected.as_ref(), record, |t| !by_verdict(t))?;
            let announces = match &expected {
                Some(expected) => expected.to == State::Master,
                None => self
                    .routers
                    .get_mut(&name)
                    .is_some_and(|router| router.announces_by_time(now)),
            };
            // An owner that recovers announces its addresses as well.
            if !transitions(record).any(|t| *t.router == *name && by_verdict(t)) {
                self.compare_announcement(&name, announces, record)?;
            }
        }
        Ok(())
    }

    /// Applies the verdicts that are due before other effects. Returns the routers that they concern.
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
                    || self.has_expired_command(now, name)
                    || transitions(record).any(is_away)
            })
            .flat_map(|(name, _)| match self.group_of(name) {
                None => vec![name.clone()],
                Some(group) => self.members_of(&group),
            })
            .collect();
        let concerns = |transition: &Transition| judged.contains(&*transition.router);
        self.follow(now, record, |t| concerns(t) && overslept(t))?;
        self.expire_commands(now);
        for tracker in self.trackers.values_mut() {
            tracker.settle(now);
        }
        self.follow(now, record, |t| {
            concerns(t) && is_circumstance(t) && !overslept(t)
        })?;
        Ok(judged)
    }

    /// Checks that the router announces all of its addresses that have an interface, with the
    /// configured burst, or none.
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
                return Err(Invariant::Announcement
                    .broken(format!("{name} announces with a burst of {burst}")));
            }
        }
        let wanted: BTreeSet<InterfaceAddress> = if expected {
            let all = config.virtual_addresses();
            all.filter(|own| self.has_home(config, *own)).collect()
        } else {
            BTreeSet::new()
        };
        // A router whose interface was created again in its grace period announces at the end of it.
        let is_silent = announced.is_empty() && record.interrupted.contains(name);
        let is_right = if expected {
            is_silent || wanted.is_subset(&announced)
        } else {
            announced.is_empty()
        };
        if is_right {
            Ok(())
        } else {
            Err(Invariant::Announcement.broken(format!(
                "{name} has to announce {wanted:?} and announces {announced:?}"
            )))
        }
    }

    /// Whether the engine knows the interface of a virtual address. The interface of a virtual MAC
    /// address can be missing or replaced.
    pub(crate) fn has_home(&self, config: &RouterConfig, address: InterfaceAddress) -> bool {
        let family = address.family();
        let Some(device) = config.device(family) else {
            let mut links = self.links.values();
            return links.any(|link| *link.name == *interface_name(config.segment));
        };
        let mut named = self.links.values().filter(|link| link.name == device);
        // While notifications are pending there may be two interfaces with the same name.
        named.clone().count() == 1 && named.all(|link| link.mac == config.mac(family))
    }

    /// Checks that a reload does not change the routers with an unchanged configuration.
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
            // A change of one member concerns all members of its group.
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
            // When the address of another router becomes virtual, or is no longer the host's own, all
            // routers on the interface are concerned. An absence becomes a fault at the end of its
            // grace. With a reload a router tries again to add its addresses.
            let is_concerned = transitions(record).any(|transition| {
                *transition.router == **name
                    && (overslept(transition)
                        || is_about_own_address(&transition.cause)
                        || is_about_rejection(&transition.cause)
                        || is_about_absence(&transition.cause))
            });
            if is_concerned || router.is_leaving() {
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
                Output::Kernel(_)
                | Output::Device(_)
                | Output::Lvs(_)
                | Output::Solicit(_)
                | Output::Report(_) => false,
            });
            if let Some(output) = touched {
                return Err(Invariant::Reload.broken(format!(
                    "{name} has an unchanged configuration, but the reload caused {output:?}"
                )));
            }
        }
        Ok(())
    }

    fn reconfigure(&mut self, now: Instant, config: &Config) {
        // In a new family a router starts with the priority that it had under its former trackers.
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
                // A tracker without a result takes the initial verdict of the new configuration.
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
                signed_before: None,
                phase: Phase::Init,
                sources: BTreeMap::new(),
                receivers: BTreeMap::new(),
                configured: BTreeMap::new(),
                contacts: Contacts::default(),
                silence_counts_at: Instant::ZERO,
                numbers: Numbers::default(),
                signed: None,
                may_have_resigned: false,
                speaks_otherwise: false,
                grace_until: None,
                leaving: None,
                is_away: false,
                is_unlinked: false,
                adverts_sent: 0,
                losing: None,
                quiet_until: Instant::ZERO,
                peers: BTreeSet::new(),
                is_member: false,
                sightings: BTreeMap::new(),
                passed_over: BTreeMap::new(),
                stands: BTreeMap::new(),
                unsent: BTreeSet::new(),
                is_unsent: false,
                took_over_at: Instant::ZERO,
                free_at: Instant::ZERO,
                last: None,
                barred: false,
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

    /// Marks the routers whose interface was deleted: they have no endpoint until they are in fault or
    /// the interface is back.
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

    /// Checks that a router runs without a link only if it does not track its interface, and then waits
    /// for other routers when the interface has a link again.
    fn watch_links(&mut self, now: Instant, record: &Record) -> Result<(), Violation> {
        let names: Vec<String> = self.routers.keys().cloned().collect();
        for name in names {
            let priority = self.priority(&self.routers[&name].config);
            let Some(router) = self.routers.get_mut(&name) else {
                continue;
            };
            let interface = interface_name(router.config.segment);
            let links = self.links.values().filter(|link| *link.name == *interface);
            let links: Vec<bool> = links.map(|link| link.up && link.carrier).collect();
            let was_unlinked = router.is_unlinked;
            let shown = record.shown.get(&*name);
            router.is_unlinked = shown.is_some_and(|shown| shown.is_unlinked);
            if shown.is_none() {
                // A reload has removed the router, or all routers track their interfaces now.
                continue;
            }
            let goes_on = !router.config.track_interface
                && matches!(router.state(), State::Backup | State::Master)
                && !record.interrupted.contains(&*name);
            // After a loss of the link the host may not have its own address again.
            let may_be = was_unlinked || links.contains(&false);
            let is_wrong = match router.is_unlinked {
                true => router.config.track_interface || !may_be,
                // While notifications are pending there may be two interfaces with the same name.
                false => goes_on && links == [false],
            };
            let has_link_again = |output: &Output| matches!(output, Output::Report(Report::LinkRestored { router }) if **router == *name);
            let is_back = record.outputs.iter().any(has_link_again);
            if is_wrong || is_back && !(was_unlinked && links.contains(&true)) {
                return Err(Invariant::Cause.broken(format!(
                    "{name}: runs without a link: {}, links: {links:?}",
                    router.is_unlinked
                )));
            }
            if is_back {
                router.reconnect(now, priority);
            }
        }
        Ok(())
    }

    /// Follows the transitions that events of the host caused, and checks their causes.
    fn follow(
        &mut self,
        now: Instant,
        record: &Record,
        which: impl Fn(&Transition) -> bool,
    ) -> Result<(), Violation> {
        if !record.named_truly {
            return Err(Invariant::Cause.broken(format!(
                "the kernel does not confirm the fault reason: {:?}",
                record.outputs
            )));
        }
        for transition in transitions(record).filter(|transition| which(transition)) {
            let name = &*transition.router;
            let Some(router) = self.routers.get(name) else {
                return Err(Invariant::Cause
                    .broken(format!("{name} has a transition and is not configured")));
            };
            let priority = self.priority(&router.config);
            let phase = router.enter(now, priority, transition);
            self.check_truth(now, record, transition)?;
            let Some(phase) = phase else {
                return Err(Invariant::Cause.broken(format!(
                    "{name}: {} -> {} because of {:?}: no possible transition for the event \
                     {:?}",
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
                    // A router that starts under this name is another virtual router.
                    (router.took_over_at, router.free_at) = (Instant::ZERO, Instant::ZERO);
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

    /// Checks that the cause of a transition really happened.
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
            // A router that continues makes no transition.
            Cause::Continued { .. } => false,
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
            // Only a master has requested its addresses.
            Cause::Faulted(FaultReason::AddressesRejected { address, .. }) => {
                let mut own = router.config.virtual_addresses();
                matches!(record.fed, Fed::Rejected)
                    && router.state() == State::Master
                    && own.any(|own| own == *address)
            }
            Cause::Recovered(FaultReason::AddressesRejected { .. }) => {
                matches!(record.fed, Fed::Configure(_) | Fed::News(_))
            }
            Cause::Faulted(FaultReason::DropFilterError(_)) => {
                self.drop_filter_failed && !router.config.accepts()
            }
            Cause::Recovered(FaultReason::DropFilterError(_)) => {
                !self.drop_filter_failed || router.config.accepts()
            }
            // Events of the interface with the virtual MAC address cause no transition.
            Cause::Faulted(FaultReason::InterfaceMissing(interface)) => {
                **interface == *interface_name(router.config.segment)
            }
            Cause::Faulted(FaultReason::InterfaceDown(_) | FaultReason::NoCarrier(_)) => {
                router.config.track_interface
            }
            Cause::Faulted(FaultReason::Member {
                member,
                fault_reason,
            }) => self.is_true_of(name, member, fault_reason),
            Cause::Faulted(_) => true,
            Cause::With { member, cause } => {
                (overslept(transition) || is_ordered(transition))
                    && Self::moved_with(record, member, cause)
            }
            Cause::Command { kind, .. } => {
                matches!(record.fed, Fed::Configure(_)) && self.is_barred_by(name, *kind)
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
            | Cause::HigherAddress { .. }
            | Cause::Unsent { .. }
            | Cause::Contested { .. } => false,
        };
        if is_true && router.state() == transition.from {
            Ok(())
        } else {
            Err(Invariant::Cause.broken(format!(
                "{name}: {} -> {} because of {:?}: false cause for the event {:?}",
                transition.from, transition.to, transition.cause, record.fed
            )))
        }
    }

    /// Checks that a master that stops advertises priority 0, and that a master answers the
    /// advertisement of a rival.
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
        // A preemption that is given up ends without a message: none leaves this host.
        let can_send = !matches!(record.fed, Fed::Unsent { .. });
        for transition in transitions(record) {
            let orderly = transition.from == State::Master
                && can_send
                && matches!(
                    transition.cause,
                    Cause::Stopped
                        | Cause::Removed
                        | Cause::Faulted(
                            FaultReason::TrackerDown(_)
                                | FaultReason::DropFilterError(_)
                                | FaultReason::AddressesRejected { .. }
                                | FaultReason::Member { .. }
                        )
                        | Cause::With { .. }
                        | Cause::Joined { .. }
                        | Cause::Command { .. }
                );
            let loses_link = record.outputs.iter().any(|output| {
                matches!(output, Output::Report(Report::LinkLost { router, .. })
                    if *router == transition.router)
            });
            // A removed router is not in the table any more, so its advertisement of priority 0 may have any
            // VRID. A router without destinations or without a link sends nothing.
            let vrid = self
                .routers
                .get(&*transition.router)
                .filter(|router| !router.destinations().is_empty() && !router.is_away)
                .filter(|router| {
                    // In its grace it has no source in the family that the reload gave it.
                    let is_mute = is_reload || router.grace_until.is_some();
                    !(is_mute && router.speaks_otherwise)
                })
                .map(|router| router.config.vrid);
            if orderly && !loses_link && vrid.is_some_and(|vrid| !speaks(vrid, true)) {
                let name = &transition.router;
                return Err(Invariant::Speaker.broken(format!(
                    "{name} stops being master without advertising priority 0"
                )));
            }
        }
        let Some(judged) = judged else {
            return Ok(());
        };
        let (name, Ok(content)) = (&judged.router, judged.content) else {
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
        // At once (RFC 9568 section 6.4.3). Answers have a minimum spacing, and the answer to priority
        // 0 is postponed and not omitted. RFC 3768 does not answer a lower priority.
        let answers = match content.priority {
            0 => spoke || is_soon,
            _ if router.config.version == Version::V2 => true,
            // A postponed answer that is due is sent before the end of the turn.
            _ => spoke || is_due || now.since(sent_at) < REPLY_SPACING,
        };
        if answers {
            Ok(())
        } else {
            Err(Invariant::Speaker.broken(format!(
                "{name} does not answer the advertisement {content:?}"
            )))
        }
    }

    /// Checks that only masters advertise, with the correct content, and that a new master advertises
    /// at once to all destinations.
    fn watch_sending(
        &mut self,
        now: Instant,
        before: &BTreeMap<String, State>,
        record: &Record,
    ) -> Result<(), Violation> {
        if !record.speaks_for_itself {
            let how = format!("source address missing on the host: {:?}", record.outputs);
            return Err(Invariant::Speaker.broken(how));
        }
        for router in self.routers.values_mut() {
            router.find_receivers(now);
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
                return Err(Invariant::Speaker.broken(format!("message too short: {message:?}")));
            };
            let family = Family::of(*source);
            let link = self.links.get(interface);
            let segment = (0..SEGMENTS)
                .find(|segment| link.is_some_and(|link| *link.name == *interface_name(*segment)));
            let name = segment.and_then(|segment| self.router_on(segment, vrid, family));
            let place = name.clone().map(|name| (name, family, priority == 0));
            // Consecutive messages of a router and family are one advertisement to several
            // destinations.
            let is_copy = place.is_some() && place == former;
            former = place;
            if priority == 0 {
                if name.is_none() {
                    // Its interface has another name, so the router with this VRID is unknown and its
                    // sequence number too.
                    let same = |router: &&mut Watched| router.config.vrid == vrid;
                    let routers = self.routers.values_mut().filter(same);
                    routers.for_each(|router| router.may_have_resigned = true);
                }
                // A redefined router has signed with a sequence number that no longer matters.
                let is_itself = name.as_ref().is_some_and(|name| {
                    !transitions(record).any(|t| *t.router == **name && is_end(&t.cause))
                });
                let is_before_reload = matches!(record.fed, Fed::Configure(_))
                    && transitions(record).any(|t| {
                        name.as_deref() == Some(&*t.router)
                            && matches!(t.cause.root(), Cause::Overslept { .. })
                    });
                let router = name.and_then(|name| self.routers.get_mut(&name));
                if let Some(router) = router.filter(|_| is_itself) {
                    let hmac = if is_before_reload {
                        router.signed_before.clone()
                    } else {
                        router.config.signs().cloned()
                    };
                    if !router.signs(hmac.as_ref(), message, family, wall, is_copy) {
                        let how = format!("wrong signature of {message:?}");
                        return Err(Invariant::Speaker.broken(how));
                    }
                }
                continue;
            }
            let Some(name) = name else {
                return Err(Invariant::Speaker
                    .broken(format!("advertisement of VRID {vrid}, which no router has")));
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
                return Err(Invariant::Speaker
                    .broken(format!("{name} advertises from MAC address {mac:?}")));
            }
            let meant = content(&router.config, effective);
            if read(message) != Some(meant) || !is_list_of(&router.config, *source, message) {
                return Err(Invariant::Speaker.broken(format!(
                    "{name} has to advertise {meant:?} and sends {message:?}"
                )));
            }
            let hmac = router.config.signs().cloned();
            if !router.signs(hmac.as_ref(), message, family, wall, is_copy) {
                return Err(
                    Invariant::Speaker.broken(format!("{name}: wrong signature of {message:?}"))
                );
            }
            if *hop_limit != router.config.hop_limit() {
                return Err(
                    Invariant::Speaker.broken(format!("{name} sends with hop limit {hop_limit}"))
                );
            }
            if spoke.entry(name.clone()).or_default().insert(*destination) {
                continue;
            }
            return Err(
                Invariant::Speaker.broken(format!("{name} advertises twice to {destination}"))
            );
        }
        for (name, router) in &mut self.routers {
            if transitions(record).any(|t| *t.router == **name && t.from == State::Init) {
                // A new router with the same name starts its counter at zero.
                router.adverts_sent = 0;
                router.peers.clear();
            }
            let words = record.shown.get(&**name).map(|shown| shown.adverts_sent);
            let is_new = words.is_some_and(|words| words > router.adverts_sent);
            router.adverts_sent = words.unwrap_or(router.adverts_sent);
            let has_resigned = record.outputs.iter().any(|output| {
                matches!(output, Output::Advertise(Advertisement { message, .. })
                    if message.get(1) == Some(&router.config.vrid) && message.get(2) == Some(&0))
            });
            // Without a destination only the router's own counter shows an advertisement.
            if is_new && router.destinations().is_empty() && !has_resigned {
                spoke.entry(name.clone()).or_default();
            }
        }
        if let Some(name) = spoke
            .keys()
            .find(|name| record.interrupted.contains(&***name))
        {
            return Err(Invariant::Speaker.broken(format!("{name} advertises in a grace period")));
        }
        for (name, to) in &spoke {
            let Some(router) = self.routers.get_mut(name) else {
                continue;
            };
            let all = router.destinations();
            if *to != all {
                return Err(Invariant::Speaker
                    .broken(format!("{name} advertises to {to:?} instead of {all:?}")));
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
                        return Err(Invariant::Overslept.broken(format!(
                            "{name} advertises after a pause of {:?}",
                            now.since(*sent_at)
                        )));
                    }
                    (*sent_at, *said) = (now, told);
                }
                // A master that yields sends a final advertisement, so that the new master announces
                // its addresses.
                Phase::Backup(_) if yields(record, name) => {}
                Phase::Init | Phase::Fault | Phase::Backup(_) => {
                    return Err(Invariant::Speaker
                        .broken(format!("{name} advertises in state {}", router.state())));
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
                return Err(Invariant::Speaker.broken(format!(
                    "{name} became master without advertising and announcing"
                )));
            }
        }
        Ok(())
    }

    /// Checks that the engine asks for a wake-up no later than each deadline, and not again for handled
    /// ones.
    fn watch_deadlines(&self, now: Instant, record: &Record) -> Result<(), Violation> {
        if matches!(record.fed, Fed::Tick)
            && record
                .deadline_after
                .is_some_and(|deadline| deadline <= now)
        {
            return Err(
                Invariant::Deadline.broken("deadline is still due after the tick: a busy loop")
            );
        }
        for (name, tracker) in &self.trackers {
            let asked = record.deadline_after;
            if let Some(due) = tracker.due()
                && asked.is_none_or(|deadline| deadline > due)
            {
                return Err(Invariant::Deadline.broken(format!(
                    "the verdict of tracker {name} is due at {due:?}, the engine asks for {asked:?}"
                )));
            }
        }
        let ends = self.commands.values().filter_map(|command| command.until);
        if let Some(end) = ends.min()
            && record.deadline_after.is_none_or(|deadline| deadline > end)
        {
            return Err(Invariant::Deadline.broken(format!(
                "a command ends at {end:?}, the engine asks for {:?}",
                record.deadline_after
            )));
        }
        for (name, router) in &self.routers {
            let latest = match &router.phase {
                Phase::Init | Phase::Fault => continue,
                Phase::Backup(_) if self.is_barred(name) => continue,
                Phase::Backup(listening) => match self.group_of(name) {
                    None => router.take_over_at(listening, self.priority(&router.config)),
                    Some(group) => match self.due_at(now, &group) {
                        // The silence of another router may have blocked the group until now.
                        Some(at) => at.max(now),
                        None => continue,
                    },
                },
                Phase::Master {
                    sent_at,
                    told,
                    announcing,
                    contesting,
                } => {
                    if record.interrupted.contains(&**name) {
                        // A router in a grace period advertises after its end.
                        continue;
                    }
                    let others = [announcing.next(), contesting.over()];
                    let others = others.into_iter().flatten();
                    others.fold(*sent_at + *told, Instant::min)
                }
            };
            if record
                .deadline_after
                .is_none_or(|deadline| deadline > latest)
            {
                return Err(Invariant::Deadline.broken(format!(
                    "{name} has a deadline at {latest:?}, the engine asks for {:?}",
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

/// Whether a message lists the addresses that a router with this configuration advertises in the family
/// of `source`, link-local addresses first (RFC 9568 section 5.2.9 with erratum 8300). Without a
/// link-local virtual address the sender's own may be the first. Without an address, version 3 lists that
/// of the sender.
fn is_list_of(config: &RouterConfig, source: IpAddr, message: &[u8]) -> bool {
    let family = Family::of(source);
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
    if own.is_empty() && config.version == Version::V3 {
        return is(&[source]);
    }
    is(&own) || with_source && is(&[&[source], &own[..]].concat())
}

/// An address as it stands in a message.
fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Whether a packet is of another virtual router: it lists addresses, not counting the link-local one of its
/// sender, and this configuration has others only, advertised or not. Where it advertises none, the address of
/// the sender alone is an empty list.
fn is_of_another(config: &RouterConfig, packet: &Datagram) -> bool {
    let family = packet.family();
    let size = match family {
        Family::V4 => 4,
        Family::V6 => 16,
    };
    let count = packet.payload.get(3).copied().unwrap_or_default();
    let bytes = packet.payload.get(8..).unwrap_or_default();
    let mut listed = bytes.chunks_exact(size).take(count.into()).peekable();
    let of_sender = family == Family::V6
        && !has_link_local(config)
        && listed
            .peek()
            .is_some_and(|first| first.starts_with(&[0xfe, 0x80]));
    let mut listed = listed.skip(usize::from(of_sender)).peekable();
    let own: Vec<Vec<u8>> = config
        .addresses_of(family)
        .map(|own| octets(own.address))
        .collect();
    let fills = config.advertised(family).next().is_none()
        && listed.clone().eq([&octets(packet.source)[..]]);
    listed.peek().is_some()
        && !own.is_empty()
        && !fills
        && !listed.any(|theirs| own.iter().any(|own| own == theirs))
}

/// Whether a router yields to another master in this record.
fn yields(record: &Record, name: &str) -> bool {
    transitions(record).any(|transition| {
        *transition.router == *name
            && matches!(
                (transition.cause.root(), &record.fed),
                (
                    Cause::HigherPriority { .. } | Cause::HigherAddress { .. },
                    _
                ) | (Cause::Unsent { .. }, Fed::Packet { .. })
            )
    })
}

/// Whether a router was removed or redefined.
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

/// Whether a recovery is that of a router whose addresses the kernel rejected.
fn is_about_rejection(cause: &Cause) -> bool {
    let Cause::Recovered(fault_reason) = cause else {
        return false;
    };
    matches!(root(fault_reason), FaultReason::AddressesRejected { .. })
}

/// Whether a fault is the absence of an interface or an address, which has a grace period.
fn is_about_absence(cause: &Cause) -> bool {
    let Cause::Faulted(fault_reason) = cause else {
        return false;
    };
    matches!(
        root(fault_reason),
        FaultReason::InterfaceMissing(_)
            | FaultReason::AlternativeName { .. }
            | FaultReason::InterfaceDown(_)
            | FaultReason::NoCarrier(_)
            | FaultReason::NoAddress(_)
            | FaultReason::NoLinkLocal(_)
            | FaultReason::NoSource(_)
            | FaultReason::OnlyVirtual { .. }
    )
}

/// The original fault reason, without the chain of members.
fn root(mut fault_reason: &FaultReason) -> &FaultReason {
    while let FaultReason::Member {
        fault_reason: its, ..
    } = fault_reason
    {
        fault_reason = its;
    }
    fault_reason
}

/// Whether an event of the host can be the reason for a transition.
fn is_circumstance(transition: &Transition) -> bool {
    overslept(transition) || matches!(transition.cause, Cause::Faulted(_) | Cause::Recovered(_))
}

/// Whether a command of the operator made a master backup.
fn is_ordered(transition: &Transition) -> bool {
    matches!(transition.cause.root(), Cause::Command { .. })
}

fn overslept(transition: &Transition) -> bool {
    matches!(transition.cause.root(), Cause::Overslept { .. })
}

pub(crate) fn transitions(record: &Record) -> impl Iterator<Item = &Transition> {
    machine::transitions(&record.outputs)
}

/// Checks that a rejected packet changes nothing.
fn is_nothing(record: &Record) -> Result<(), Violation> {
    let spoken = record.outputs.iter().find(|output| {
        !matches!(
            output,
            Output::Report(
                Report::Dropped { .. } | Report::Suppressed { .. } | Report::Clock { .. }
            )
        )
    });
    match spoken {
        Some(output) => {
            Err(Invariant::Rejected.broken(format!("rejected packet caused {output:?}")))
        }
        None if record.deadline_before != record.deadline_after => {
            Err(Invariant::Rejected.broken("rejected packet changed a timer"))
        }
        None => Ok(()),
    }
}

/// Checks that a packet for a router that hands over changes no state.
fn is_without_transition(record: &Record) -> Result<(), Violation> {
    match transitions(record).next() {
        Some(transition) => Err(Invariant::Transition.broken(format!(
            "{} changed state after a packet for a router that hands over",
            transition.router
        ))),
        None => Ok(()),
    }
}

/// Compares the transitions of a router that match `which` with the expected one.
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
            "{name} has to become {} because of {:?}, but {}",
            expected.to,
            expected.cause,
            seen.map_or("does nothing".to_owned(), |seen| format!(
                "becomes {} because of {:?}",
                seen.to, seen.cause
            ))
        ))),
        (None, Some(seen), _) => Err(Invariant::Transition.broken(format!(
            "{name} has no reason for a transition, but becomes {} because of {:?}",
            seen.to, seen.cause
        ))),
        (None, None, Some(_)) => unreachable!("an iterator has no second element without a first"),
    }
}
