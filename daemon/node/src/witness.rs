//! Watch of the wire: records what arrives at the interfaces of silent backups, and hands it to the engine
//! before a take-over.

use std::time::Duration;

use vrrp_proto::wire::Advert;
use vrrp_proto::{Engine, Instant, InterfaceIndex, Packet, Vrid};

use crate::host::{Host, WitnessedPacket};
use crate::listeners::Watched;
use crate::mirror::Mirror;

/// Time for which an interface stays watched at least, so that a network that loses packets does not begin
/// and end watches all the time.
const REVIEW: Duration = Duration::from_secs(10);

/// Number of packets that wait for the take-over of their router at most. The oldest are forgotten first.
const CAPACITY: usize = 1_024;

/// Watched interfaces.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    watched: Watched,
    /// Time at which interfaces that no router watches any more are given up.
    review_at: Option<Instant>,
    /// Packets that were read and not handed in.
    recorded: Vec<WitnessedPacket>,
}

impl Witness {
    /// Time of the next review.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.review_at
    }

    /// Requests what the routers of `engine` watch. `moved` says that they may be on other interfaces.
    pub(crate) fn update<H: Host>(
        &mut self,
        now: Instant,
        moved: bool,
        engine: &mut Engine,
        mirror: &Mirror,
        host: &mut H,
    ) {
        let is_review = self.review_at.is_some_and(|review_at| review_at <= now);
        let mut watching = engine.take_begun_watches();
        if is_review || moved && !self.watched.is_empty() {
            watching = engine.watched().collect();
        } else if watching.is_empty() {
            return;
        }
        let mut watched = match is_review {
            true => Watched::new(),
            false => self.watched.clone(),
        };
        for (interface, vrid) in watching {
            watched.entry(interface).or_default().insert(vrid);
        }
        if is_review || self.review_at.is_none() {
            self.review_at = (!watched.is_empty()).then(|| now + REVIEW);
        }
        // A socket whose buffer is full drops the newest packets.
        host.witnessed(&mut self.recorded);
        if self.watched != watched {
            host.watch(&watched, mirror);
            let is_watched = |packet: &WitnessedPacket| {
                let vrids = watched.get(&packet.interface);
                Advert::peek_vrid(&packet.payload)
                    .is_some_and(|vrid| vrids.is_some_and(|vrids| vrids.contains(vrid)))
            };
            self.recorded.retain(is_watched);
            self.watched = watched;
        }
        self.forget_oldest();
    }

    /// Ends all watches.
    pub(crate) fn end<H: Host>(&mut self, mirror: &Mirror, host: &mut H) {
        if !self.watched.is_empty() {
            self.watched.clear();
            host.watch(&self.watched, mirror);
        }
        self.review_at = None;
        self.recorded.clear();
    }

    /// Reads what arrived, if the take-over of a watching router is due by `now`. Returns whether there is
    /// anything for such a router.
    pub(crate) fn consult<H: Host>(&mut self, now: Instant, engine: &Engine, host: &mut H) -> bool {
        if self.watched.is_empty() {
            return false;
        }
        let due = engine.watched_and_due(now);
        if due.is_empty() {
            return false;
        }
        host.witnessed(&mut self.recorded);
        self.recorded.iter().any(|packet| is_for(packet, &due))
    }

    /// Removes and returns the packets for the routers whose take-over is due by `now`. The others wait for
    /// the take-over of theirs.
    pub(crate) fn take(&mut self, now: Instant, engine: &Engine) -> Vec<WitnessedPacket> {
        let due = engine.watched_and_due(now);
        let taken = self.recorded.extract_if(.., |packet| is_for(packet, &due));
        let taken = taken.collect();
        self.forget_oldest();
        taken
    }

    fn forget_oldest(&mut self) {
        let excess = self.recorded.len().saturating_sub(CAPACITY);
        self.recorded.drain(..excess);
    }
}

fn is_for(packet: &WitnessedPacket, routers: &[(InterfaceIndex, Vrid)]) -> bool {
    let vrid = Advert::peek_vrid(&packet.payload);
    vrid.is_some_and(|vrid| routers.contains(&(packet.interface, vrid)))
}

/// Converts recorded packets to the engine's type.
pub(crate) fn packets(witnessed: &[WitnessedPacket]) -> Vec<Packet<'_>> {
    let packet = |packet| {
        let WitnessedPacket {
            at,
            interface,
            source,
            destination,
            hop_limit,
            payload,
        }: &WitnessedPacket = packet;
        Packet {
            at: *at,
            interface: *interface,
            source: *source,
            destination: *destination,
            hop_limit: *hop_limit,
            payload,
        }
    };
    witnessed.iter().map(packet).collect()
}
