//! Who watches one host: what the RFCs have its routers do, worked out a second time from the
//! packets' meaning and the clock, and compared with what the engine did.
//!
//! Where the RFCs say what happens (a packet, a deadline) the transition, its cause and its moment
//! are foretold, and anything else breaks a law. Where the host's own circumstances decide (links,
//! trackers, the operator) the transition is followed, and its cause has to be true.

mod announcing;
mod cover;
mod listening;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{
    Announcement, Cause, Family, Instant, InterfaceAddress, InterfaceIndex, Link, Obstacle, Output,
    Report, State, Transition, Version,
};

pub(crate) use self::reference::Watched;
use self::reference::{Foretold, Phase, others_wait};
use crate::coverage::Coverage;
use crate::foreign::{has_link_local, is_believed, says};
use crate::host::{Datagram, Fed, Host, News, Record, Turn, read};
use crate::laws::{Broken, Law};
use crate::scenario::{Behind, Config, RouterConfig, TrackerConfig, interface_name};

/// The least time between two answers: the shortest interval of the protocol.
const REPLY_SPACING: Duration = Duration::from_millis(10);

/// What is known of a host's routers and trackers.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    config: Config,
    routers: BTreeMap<String, Watched>,
    trackers: BTreeMap<String, Tracked>,
    /// Whether the engine was told that packets to addresses cannot be refused.
    cannot_refuse: bool,
    /// The links as the engine was told of them.
    links: BTreeMap<InterfaceIndex, Link>,
}

#[derive(Clone, Copy, Debug)]
struct Tracked {
    config: TrackerConfig,
    well: bool,
    streak: u32,
}

impl Witness {
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
            let well = self.is_well(name);
            if (*weight < 0) != well {
                sum += i32::from(*weight);
            }
        }
        u8::try_from(sum.clamp(1, 254)).unwrap_or(254)
    }

    /// Whether a tracker keeps a router from serving.
    pub(crate) fn is_kept_by_tracker(&self, config: &RouterConfig) -> bool {
        config
            .tracks
            .iter()
            .any(|(name, weight)| *weight == 0 && !self.is_well(name))
    }

    fn is_well(&self, tracker: &str) -> bool {
        self.trackers
            .get(tracker)
            .is_none_or(|tracker| tracker.well)
    }

    /// Looks at a turn of the host.
    pub(crate) fn watch(
        &mut self,
        host: &Host,
        turn: &Turn,
        coverage: &mut Coverage,
    ) -> Result<(), Broken> {
        for record in &turn.records {
            self.watch_record(host, turn.now, record, coverage)?;
        }
        self.cover_refused(&turn.refused, coverage);
        Ok(())
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
    ) -> Result<(), Broken> {
        let before: BTreeMap<String, State> = self
            .routers
            .iter()
            .map(|(name, router)| (name.clone(), router.state()))
            .collect();
        self.cover(host, now, record, coverage);
        let by_rfc = matches!(record.fed, Fed::Packet { .. } | Fed::Tick);
        if !by_rfc {
            // Whoever overslept did so before anything else changed.
            self.follow(now, record, overslept)?;
        }
        let awake = |transition: &Transition| !overslept(transition);
        match &record.fed {
            Fed::Packet {
                arrived,
                interface,
                own_source,
                packet,
            } => {
                // It may lie in the socket of an interface that is no more.
                let name = interface_name(packet.segment);
                let is_here = self
                    .links
                    .get(interface)
                    .is_some_and(|link| *link.name == *name);
                let packet = is_here.then_some(&**packet);
                if let Some(packet) = packet {
                    self.suppose_source(host, packet);
                }
                self.watch_packet(now, *arrived, packet, *own_source, record)?;
            }
            Fed::Tick => self.watch_tick(now, record)?,
            Fed::Configure(config) => {
                self.watch_unconcerned(config, record)?;
                self.reconfigure(now, config);
                self.follow(now, record, awake)?;
                self.routers
                    .retain(|name, _| config.routers.contains_key(name));
            }
            Fed::Probe { tracker, well } => {
                self.count_result(tracker, *well);
                self.follow(now, record, awake)?;
            }
            Fed::News(news) => {
                match news {
                    News::Link(link) => drop(self.links.insert(link.index, link.clone())),
                    News::LinkRemoved(index) => drop(self.links.remove(index)),
                    News::AddressAdded | News::AddressRemoved | News::Routing => {}
                }
                self.look_at_interfaces();
                self.follow(now, record, awake)?;
            }
            Fed::Refusal { able } => {
                self.cannot_refuse = !able;
                self.follow(now, record, awake)?;
                self.watch_refusals()?;
            }
            Fed::Overrun | Fed::Stop => self.follow(now, record, awake)?,
        }
        self.watch_answers(now, &before, record)?;
        self.watch_sending(now, &before, record)?;
        self.watch_deadlines(now, record)
    }

    /// Whoever has to refuse packets and cannot does not serve.
    fn watch_refusals(&self) -> Result<(), Broken> {
        let serves = |router: &Watched| {
            !router.config.accepts() && matches!(router.state(), State::Master | State::Backup)
        };
        let mut routers = self.routers.iter();
        match routers.find(|(_, router)| self.cannot_refuse && serves(router)) {
            Some((name, router)) => Err(Law::Cause.broken(format!(
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
        packet: Option<&Datagram>,
        own_source: Option<IpAddr>,
        record: &Record,
    ) -> Result<(), Broken> {
        let concerned = packet.and_then(|packet| {
            let says = packet.says?;
            let family = packet.family();
            let name = self.router_on(packet.segment, says.vrid.get(), family)?;
            let router = &self.routers[&name];
            let own = own_source.or(router.source(family));
            let is_own = own == Some(packet.source);
            if is_own && router.state() == State::Master && self.may_have_said(router, packet) {
                return None;
            }
            (is_believed(&router.config, &says, packet)
                && matches!(router.state(), State::Backup | State::Master))
            .then_some((name, packet, says))
        });
        let Some((name, packet, says)) = concerned else {
            return is_nothing(record);
        };
        let priority = self.priority(&self.routers[&name].config);
        let foretold = self.routers.get_mut(&name).and_then(|router| {
            if let Some(own) = own_source {
                router.sources.insert(packet.family(), own);
            }
            router.hear(now, arrived.min(now), packet, &says, priority)
        });
        compare(&name, foretold.as_ref(), record)?;
        let announces = foretold.is_none()
            && self
                .routers
                .get_mut(&name)
                .is_some_and(|router| router.announces_against(now, &says));
        self.compare_announcement(&name, announces, record)?;
        match transitions(record).find(|transition| *transition.router != *name) {
            Some(other) => {
                Err(Law::Cause.broken(format!("{} moved by a packet of {name}", other.router)))
            }
            None => Ok(()),
        }
    }

    /// Whether a packet from its own address may be its own, come back.
    fn may_have_said(&self, router: &Watched, packet: &Datagram) -> bool {
        let own = says(&router.config, self.priority(&router.config));
        let same_list = is_list_of(&router.config, packet.source, &packet.payload);
        packet
            .says
            .is_some_and(|says| says.priority == 0 || says == own && same_list)
    }

    /// What is due is foretold, and what is not due does not happen.
    fn watch_tick(&mut self, now: Instant, record: &Record) -> Result<(), Broken> {
        let names: Vec<String> = self.routers.keys().cloned().collect();
        for name in names {
            let priority = self.priority(&self.routers[&name].config);
            let foretold = self
                .routers
                .get_mut(&name)
                .and_then(|router| router.tick(now, priority));
            compare(&name, foretold.as_ref(), record)?;
            let announces = match &foretold {
                Some(foretold) => foretold.to == State::Master,
                None => self
                    .routers
                    .get_mut(&name)
                    .is_some_and(|router| router.announces_by_time(now)),
            };
            self.compare_announcement(&name, announces, record)?;
        }
        Ok(())
    }

    /// Whether it announces all of its addresses, wherever they can be and as often as it is to, or
    /// none.
    fn compare_announcement(
        &self,
        name: &str,
        foretold: bool,
        record: &Record,
    ) -> Result<(), Broken> {
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
                return Err(Law::Announcement.broken(format!("{name} announces {burst} times")));
            }
        }
        let wanted: BTreeSet<InterfaceAddress> = if foretold {
            let all = config.virtual_addresses();
            all.filter(|own| self.has_home(config, *own)).collect()
        } else {
            BTreeSet::new()
        };
        let is_right = if foretold {
            wanted.is_subset(&announced)
        } else {
            announced.is_empty()
        };
        if is_right {
            Ok(())
        } else {
            Err(Law::Announcement.broken(format!(
                "{name} has to announce {wanted:?}, and announces {announced:?}"
            )))
        }
    }

    /// Whether the engine knows of the interface that an address of a router is to be on. Where
    /// it has its own for the virtual MAC address, that may be missing or another one.
    fn has_home(&self, config: &RouterConfig, address: InterfaceAddress) -> bool {
        let family = address.family();
        let Some(device) = config.device(family) else {
            return true;
        };
        let mut named = self.links.values().filter(|link| link.name == device);
        // While news are on their way there may be two of a name.
        named.clone().count() == 1 && named.all(|link| link.mac == config.mac(family))
    }

    /// A reload changes nothing of what it does not concern.
    fn watch_unconcerned(&self, config: &Config, record: &Record) -> Result<(), Broken> {
        for (name, router) in &self.routers {
            let same_trackers = router.config.tracks.iter().all(|(tracker, _)| {
                self.config.trackers.get(tracker) == config.trackers.get(tracker)
            });
            let unconcerned = config.routers.get(name) == Some(&router.config)
                && same_trackers
                && router.state() != State::Init;
            if !unconcerned {
                continue;
            }
            // That another one's address is virtual now, or none of the host's own any more, concerns
            // all who share its interface.
            let is_concerned = transitions(record).any(|transition| {
                *transition.router == **name
                    && (overslept(transition) || is_about_own_address(&transition.cause))
            });
            if is_concerned {
                continue;
            }
            let touched = record.outputs.iter().find(|output| match output {
                Output::Report(Report::Transition(transition)) => *transition.router == **name,
                Output::Report(Report::Priority { router, .. }) => **router == **name,
                Output::Advertise { message, .. } => message.get(1) == Some(&router.config.vrid),
                Output::Announce(Announcement { addresses, .. }) => router
                    .config
                    .virtual_addresses()
                    .any(|own| addresses.contains(&own)),
                Output::Routing(desired) => *desired.router == **name,
                Output::Kernel(_) | Output::Device(_) | Output::Report(_) => false,
            });
            if let Some(output) = touched {
                return Err(
                    Law::Reload.broken(format!("{name} is not concerned, and yet: {output:?}"))
                );
            }
        }
        Ok(())
    }

    fn reconfigure(&mut self, now: Instant, config: &Config) {
        let known = std::mem::take(&mut self.trackers);
        for (name, tracker) in &config.trackers {
            let kept = known
                .get(name)
                .filter(|known| match (known.config, *tracker) {
                    (TrackerConfig::Probe { .. }, TrackerConfig::Probe { .. }) => true,
                    (old, new) => old == new,
                });
            let fresh = Tracked {
                config: *tracker,
                well: true,
                streak: 0,
            };
            let tracked = kept.map_or(fresh, |kept| Tracked {
                config: *tracker,
                ..*kept
            });
            self.trackers.insert(name.clone(), tracked);
        }
        self.config = config.clone();
        self.look_at_interfaces();
        for (name, new) in &config.routers {
            let before = self.routers.get(name).map_or(new, |router| &router.config);
            let before = self.priority(before);
            let router = self.routers.entry(name.clone()).or_insert_with(|| Watched {
                config: new.clone(),
                phase: Phase::Init,
                sources: BTreeMap::new(),
                losing: None,
                quiet_until: Instant::ZERO,
            });
            router.reconfigure(now, new, before);
        }
    }

    fn count_result(&mut self, name: &str, well: bool) {
        let Some(tracker) = self.trackers.get_mut(name) else {
            return;
        };
        let TrackerConfig::Probe { rise, fall } = tracker.config else {
            return;
        };
        if well == tracker.well {
            tracker.streak = 0;
            return;
        }
        tracker.streak += 1;
        if tracker.streak >= if well { rise } else { fall } {
            tracker.streak = 0;
            tracker.well = well;
        }
    }

    fn look_at_interfaces(&mut self) {
        for tracker in self.trackers.values_mut() {
            if let TrackerConfig::Interface { segment } = tracker.config {
                let name = interface_name(segment);
                let well = |link: &Link| *link.name == *name && link.up && link.carrier;
                tracker.well = self.links.values().any(well);
            }
        }
    }

    /// Follows what the host's own circumstances did, as long as it is truly called.
    fn follow(
        &mut self,
        now: Instant,
        record: &Record,
        which: impl Fn(&Transition) -> bool,
    ) -> Result<(), Broken> {
        if !record.named_truly {
            return Err(Law::Cause.broken(format!("no such obstacle: {:?}", record.outputs)));
        }
        for transition in transitions(record).filter(|transition| which(transition)) {
            let name = &*transition.router;
            let Some(router) = self.routers.get(name) else {
                return Err(Law::Cause.broken(format!("{name} is not configured")));
            };
            let priority = self.priority(&router.config);
            let phase = router.enter(now, priority, transition);
            self.check_truth(now, record, transition)?;
            let Some(phase) = phase else {
                return Err(Law::Cause.broken(format!(
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
    ) -> Result<(), Broken> {
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
            Cause::Unable(Obstacle::TrackerDown(tracker)) => {
                !self.is_well(tracker)
                    && router
                        .config
                        .tracks
                        .iter()
                        .any(|(followed, weight)| **followed == **tracker && *weight == 0)
            }
            Cause::Unable(Obstacle::CannotRefuse(_)) => {
                self.cannot_refuse && !router.config.accepts()
            }
            Cause::Recovered(Obstacle::CannotRefuse(_)) => {
                !self.cannot_refuse || router.config.accepts()
            }
            // What happens to its interface with the virtual MAC address moves nobody.
            Cause::Unable(Obstacle::InterfaceMissing(interface)) => {
                **interface == *interface_name(router.config.segment)
            }
            Cause::Unable(_) => true,
            Cause::Recovered(Obstacle::TrackerDown(tracker)) => {
                self.is_well(tracker)
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
            Err(Law::Cause.broken(format!(
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
        record: &Record,
    ) -> Result<(), Broken> {
        let speaks = |vrid: u8, resigns: bool| {
            record.outputs.iter().any(|output| {
                matches!(output, Output::Advertise { message, .. }
                    if message.get(1) == Some(&vrid) && (message.get(2) == Some(&0)) == resigns)
            })
        };
        for transition in transitions(record) {
            let orderly = transition.from == State::Master
                && matches!(
                    transition.cause,
                    Cause::Stopped
                        | Cause::Removed
                        | Cause::Unable(Obstacle::TrackerDown(_) | Obstacle::CannotRefuse(_))
                );
            // A removed router is no more; its last packet may be of any VRID.
            let vrid = self
                .routers
                .get(&*transition.router)
                .map(|router| router.config.vrid);
            if orderly && vrid.is_some_and(|vrid| !speaks(vrid, true)) {
                let name = &transition.router;
                return Err(Law::Speaker.broken(format!("{name} leaves without a word")));
            }
        }
        let Fed::Packet { packet, .. } = &record.fed else {
            return Ok(());
        };
        let Some((name, says)) = packet.says.and_then(|says| {
            let vrid = says.vrid.get();
            Some((self.router_on(packet.segment, vrid, packet.family())?, says))
        }) else {
            return Ok(());
        };
        let router = &self.routers[&name];
        let Phase::Master { sent_at, .. } = router.phase else {
            return Ok(());
        };
        let stays = before.get(&name) == Some(&State::Master);
        let own = router.source(packet.family()) == Some(packet.source);
        if !stays || own || !is_believed(&router.config, &says, packet) {
            return Ok(());
        }
        let spoke = speaks(router.config.vrid, false);
        let is_soon = record
            .deadline_after
            .is_some_and(|at| at <= now + REPLY_SPACING);
        // At once (RFC 9568 section 6.4.3). Answers are spaced, and the one to a resignation is put
        // off and not left out; RFC 3768 does not answer a lower priority.
        let answers = match says.priority {
            0 => spoke || is_soon,
            _ if router.config.version == Version::V2 => true,
            _ => spoke || now.since(sent_at) < REPLY_SPACING,
        };
        if answers {
            Ok(())
        } else {
            Err(Law::Speaker.broken(format!("{name} does not answer {says:?}")))
        }
    }

    /// Who speaks is master, says what it is, and a new master says it at once to all.
    fn watch_sending(
        &mut self,
        now: Instant,
        before: &BTreeMap<String, State>,
        record: &Record,
    ) -> Result<(), Broken> {
        let mut spoke: Vec<(String, Family)> = Vec::new();
        for output in &record.outputs {
            let Output::Advertise {
                source,
                message,
                mac,
                ..
            } = output
            else {
                continue;
            };
            let &[_, vrid, priority, ..] = &message[..] else {
                return Err(Law::Speaker.broken(format!("a short message: {message:?}")));
            };
            let family = Family::of(*source);
            let segment = match source {
                IpAddr::V4(source) => source.octets()[2],
                IpAddr::V6(source) => source.octets()[13],
            };
            if priority == 0 {
                continue;
            }
            let Some(name) = self.router_on(segment, vrid, family) else {
                return Err(Law::Speaker.broken(format!("nobody has VRID {vrid}")));
            };
            let effective = self.priority(&self.routers[&name].config);
            let Some(router) = self.routers.get_mut(&name) else {
                continue;
            };
            let told = router.config.interval();
            router.sources.insert(family, *source);
            let virtual_mac = router.config.mac(family);
            if *mac != virtual_mac.filter(|_| router.config.behind == Behind::Virtual) {
                return Err(Law::Speaker.broken(format!("{name} speaks from {mac:?}")));
            }
            let meant = says(&router.config, effective);
            if read(message) != Some(meant) || !is_list_of(&router.config, *source, message) {
                return Err(
                    Law::Speaker.broken(format!("{name} is {meant:?} and says {message:?}"))
                );
            }
            match &mut router.phase {
                Phase::Master {
                    sent_at,
                    told: said,
                    ..
                } => {
                    if now.since(*sent_at) > others_wait(&router.config, *said)
                        && router.config.priority != 255
                        && before.get(&name) == Some(&State::Master)
                    {
                        return Err(Law::Overslept
                            .broken(format!("{name} speaks after {:?}", now.since(*sent_at))));
                    }
                    (*sent_at, *said) = (now, told);
                }
                // The last word of a master that yields, so that the other announces its addresses.
                Phase::Backup(_) if yields(record, &name) => {}
                Phase::Init | Phase::Fault | Phase::Backup(_) => {
                    return Err(Law::Speaker.broken(format!("{name} speaks as {}", router.state())));
                }
            }
            spoke.push((name, family));
        }
        for (name, _) in &spoke {
            let mut families = self.routers[name].config.spoken();
            if !families.all(|family| spoke.contains(&(name.clone(), family))) {
                return Err(Law::Speaker.broken(format!("{name} speaks in one family alone")));
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
            if !spoke.iter().any(|(spoke, _)| spoke == name)
                || !owed.all(|own| announced(own) || !self.has_home(&router.config, own))
            {
                return Err(Law::Speaker.broken(format!("{name} became master in silence")));
            }
        }
        Ok(())
    }

    /// It wants to be woken in time, and not again for what it has done.
    fn watch_deadlines(&self, now: Instant, record: &Record) -> Result<(), Broken> {
        if matches!(record.fed, Fed::Tick)
            && record
                .deadline_after
                .is_some_and(|deadline| deadline <= now)
        {
            return Err(Law::Deadline.broken("due again at once: a busy loop"));
        }
        for (name, router) in &self.routers {
            let latest = match &router.phase {
                Phase::Init | Phase::Fault => continue,
                Phase::Backup(listening) => {
                    router.take_over_at(listening, self.priority(&router.config))
                }
                Phase::Master {
                    sent_at,
                    told,
                    announcing,
                } => {
                    let advert_at = *sent_at + *told;
                    announcing.next().map_or(advert_at, |at| at.min(advert_at))
                }
            };
            if record
                .deadline_after
                .is_none_or(|deadline| deadline > latest)
            {
                return Err(Law::Deadline.broken(format!(
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
    let with_source = family == Family::V6 && !has_link_local(config);
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
                transition.cause,
                Cause::HigherPriority { .. } | Cause::HigherAddress { .. }
            )
    })
}

const fn is_about_own_address(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Unable(
            Obstacle::NoAddress(_) | Obstacle::NoLinkLocal(_) | Obstacle::OnlyVirtual { .. }
        ) | Cause::Recovered(
            Obstacle::NoAddress(_) | Obstacle::NoLinkLocal(_) | Obstacle::OnlyVirtual { .. }
        )
    )
}

const fn overslept(transition: &Transition) -> bool {
    matches!(transition.cause, Cause::Overslept { .. })
}

fn transitions(record: &Record) -> impl Iterator<Item = &Transition> {
    record.outputs.iter().filter_map(|output| match output {
        Output::Report(Report::Transition(transition)) => Some(transition),
        Output::Report(_)
        | Output::Advertise { .. }
        | Output::Kernel(_)
        | Output::Routing(_)
        | Output::Device(_)
        | Output::Announce(_) => None,
    })
}

/// A packet that nobody believes changes nothing.
fn is_nothing(record: &Record) -> Result<(), Broken> {
    let spoken = record
        .outputs
        .iter()
        .find(|output| !matches!(output, Output::Report(Report::Dropped { .. })));
    match spoken {
        Some(output) => Err(Law::Rejected.broken(format!("leads to {output:?}"))),
        None if record.deadline_before != record.deadline_after => {
            Err(Law::Rejected.broken("moves a timer"))
        }
        None => Ok(()),
    }
}

fn compare(name: &str, foretold: Option<&Foretold>, record: &Record) -> Result<(), Broken> {
    let mut seen = transitions(record).filter(|transition| *transition.router == *name);
    match (foretold, seen.next(), seen.next()) {
        (None, None, None) => Ok(()),
        (Some(foretold), Some(seen), None)
            if foretold.to == seen.to && foretold.cause == seen.cause =>
        {
            Ok(())
        }
        (Some(foretold), seen, _) => Err(Law::Transition.broken(format!(
            "{name} has to become {} because of {:?}, and {}",
            foretold.to,
            foretold.cause,
            seen.map_or("does nothing".to_owned(), |seen| format!(
                "becomes {} because of {:?}",
                seen.to, seen.cause
            ))
        ))),
        (None, Some(seen), _) => Err(Law::Transition.broken(format!(
            "{name} has no reason, and becomes {} because of {:?}",
            seen.to, seen.cause
        ))),
        (None, None, Some(_)) => unreachable!("the second comes after the first"),
    }
}
