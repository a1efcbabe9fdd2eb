//! The admission of an advertisement: all checks of a received packet, in one place.
//!
//! | step | check | RFC |
//! | --- | --- | --- |
//! | 1 | an instance of the VRID on the receiving interface | 9568 7.1 |
//! | 2 | multicast or unicast as configured; by unicast a peer, or while the name of a peer is not resolved any sender ([`Destinations`](super::destinations::Destinations)) | |
//! | 3 | TTL, version, type, length, checksum, authentication data, interval ([`Advert::parse`]) | 9568 7.1, 3768 7.1 |
//! | 4 | not the instance's own advertisement, come back | |
//! | 5 | at least one virtual address in common | 9568 7.1 MAY |
//! | 6 | HMAC and replay protection | |
//! | 7 | the owner of version 2 discards what it receives | 3768 7.1 |
//! | 8 | the instance is backup or master, or hands over | 9568 6.4 |
//!
//! The first check that fails names the cause. A rejected packet touches no timer. The checks have no effect:
//! the caller records the sequence number, the counters and what the packet shows of its sender, because
//! a packet that only the wire shows ([`super::witness`]) passes the same checks.

use core::net::IpAddr;
use core::time::Duration;

use super::address_list::Comparison;
use super::instance::Instance;
use super::{Engine, RouterId};
use crate::params::{Authentication, HmacMode};
use crate::replay::Sender;
use crate::time::{Human, Instant};
use crate::types::{Family, MacAddress, State, Version};
use crate::wire::hmac::{TRAILER_LEN, Trailer};
use crate::wire::{Advert, Auth, DropCause, Expected, HOP_LIMIT, Packet, Received};

/// An advertisement that passed all checks.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    pub(super) id: RouterId,
    /// The address that the instance sends from in the family of the packet.
    pub(super) own: IpAddr,
    /// The time of arrival.
    pub(super) heard_at: Instant,
    pub(super) received: Received<'a>,
    pub(super) comparison: Comparison,
    pub(super) learned: Learned<'a>,
}

/// A packet that failed a check.
#[derive(Debug)]
pub(super) struct Rejected<'a> {
    /// The instance that it was for, if there is one.
    pub(super) id: Option<RouterId>,
    pub(super) cause: DropCause,
    pub(super) learned: Learned<'a>,
}

/// What the checks show of a packet, to be recorded even if it is rejected.
#[derive(Debug, Default)]
pub(super) enum Learned<'a> {
    #[default]
    Nothing,
    /// Sender and sequence number of a packet that is signed with a known key and new.
    Signed(Sender),
    /// Advertisement of another virtual router.
    Foreign(Received<'a>),
}

impl Engine {
    /// Checks a packet, without any effect.
    pub(super) fn check<'a>(
        &self,
        now: Instant,
        packet: &Packet<'a>,
    ) -> Result<Admitted<'a>, Rejected<'a>> {
        let unknown = |cause| Rejected {
            id: None,
            cause,
            learned: Learned::default(),
        };
        let vrid = Advert::peek_vrid(packet.payload).ok_or(unknown(DropCause::Length))?;
        let family = Family::of(packet.source);
        let bound = self.bound.get(&(packet.interface, family, vrid));
        // RFC 9568 7.1 MUST: the VRID is configured on the receiving interface
        let id = *bound.ok_or(unknown(DropCause::UnknownVrid))?;
        let heard_at = packet.at.min(now);
        let wall = self.wall_clock.at(heard_at);
        let instance = &self.instances[id];
        let mut learned = Learned::default();
        let outcome = instance.source(family).ok_or(DropCause::NotListening);
        let outcome = outcome.and_then(|own| {
            let outcome = instance.check(packet, own, heard_at, wall, &mut learned);
            outcome.map(|(received, comparison)| (own, received, comparison))
        });
        match outcome {
            Ok((own, received, comparison)) => Ok(Admitted {
                id,
                own,
                heard_at,
                received,
                comparison,
                learned,
            }),
            Err(cause) => Err(Rejected {
                id: Some(id),
                cause,
                learned,
            }),
        }
    }
}

impl Instance {
    fn check<'a>(
        &self,
        packet: &Packet<'a>,
        own: IpAddr,
        heard_at: Instant,
        wall: Duration,
        learned: &mut Learned<'a>,
    ) -> Result<(Received<'a>, Comparison), DropCause> {
        self.check_sender(packet, heard_at)?;
        let received = Advert::parse(packet, &self.expected())?;
        if packet.source == own && self.may_have_sent(own, &received) {
            return Err(DropCause::OwnPacket);
        }
        // RFC 9568 7.1 MAY: another list of addresses is noticed
        let comparison = self.compare(packet.source, received.advert.addresses);
        // RFC 9568 7.1 MAY: a list with no address in common is another virtual router
        if comparison == Comparison::Foreign {
            *learned = Learned::Foreign(received);
            return Err(DropCause::ForeignRouter);
        }
        if let Some(sender) = self.authenticate(packet, &received, heard_at, wall)? {
            *learned = Learned::Signed(sender);
        }
        // RFC 3768 7.1 MUST: the owner discards all advertisements
        // RFC 5798 7.1 MUST: the owner discards all advertisements
        if self.params.version == Version::V2 && self.params.priority.is_owner() {
            return Err(DropCause::Owner);
        }
        match self.router.state() {
            // A router that has stopped listens for its successor.
            State::Init if self.hand_over.is_some() => Ok((received, comparison)),
            State::Init | State::Fault => Err(DropCause::NotListening),
            State::Backup | State::Master => Ok((received, comparison)),
        }
    }

    /// Checks the kind of the destination address, and by unicast the sender.
    fn check_sender(&self, packet: &Packet<'_>, heard_at: Instant) -> Result<(), DropCause> {
        let is_unicast = self.params.unicast.is_some();
        if packet.destination.is_multicast() == is_unicast {
            return Err(DropCause::WrongCast);
        }
        if is_unicast && !self.destinations.admits(packet.source, heard_at) {
            return Err(DropCause::NotAPeer);
        }
        Ok(())
    }

    /// The values that an advertisement must have.
    fn expected(&self) -> Expected {
        let unicast = self.params.unicast.as_ref();
        Expected {
            version: self.params.version,
            interval: self.params.interval,
            auth: self.auth(),
            hop_limit: unicast.map_or(HOP_LIMIT, |unicast| unicast.min_ttl),
            may_be_empty: self.params.advertises_none(),
        }
    }

    /// Whether an advertisement from the instance's own address is its own, come back by a loop. Other
    /// contents were sent by another router that has the same address by mistake: its priority decides as
    /// that of any router.
    fn may_have_sent(&self, source: IpAddr, received: &Received<'_>) -> bool {
        let advert = &received.advert;
        // Nothing is sent to itself by unicast, and a host takes nothing from its own address.
        if self.params.unicast.is_some() {
            return true;
        }
        let says_the_same = || {
            advert.priority == self.priority().get()
                && advert.interval == self.params.interval
                && self.compare(source, advert.addresses) == Comparison::Same
        };
        let may_come_back = self.router.state() == State::Master || self.hand_over.is_some();
        may_come_back && (advert.resigns() || says_the_same())
    }

    /// Checks the HMAC and the replay protection of a packet that arrived at `heard_at`, when the wall clock
    /// showed `wall`. Returns its sender, if it is signed: a packet whose sender is recorded never passes again.
    fn authenticate(
        &self,
        packet: &Packet<'_>,
        received: &Received<'_>,
        heard_at: Instant,
        wall: Duration,
    ) -> Result<Option<Sender>, DropCause> {
        let Authentication::Hmac(hmac) = &self.params.authentication else {
            return Ok(None);
        };
        // Bytes of another length are no trailer, and count as none.
        if received.beyond.len() != TRAILER_LEN {
            return match hmac.mode {
                HmacMode::Enforce => Err(DropCause::HmacMissing),
                HmacMode::Permissive | HmacMode::ReceiveOnly => Ok(None),
            };
        }
        let trailer = Trailer::parse(packet.payload)?;
        // Before the HMAC, which costs more.
        let Trailer { sequence, .. } = trailer;
        if !hmac.anti_replay.is_timely(sequence, wall)
            && !self.heard.continues(packet.source, sequence, heard_at)
        {
            return Err(DropCause::HmacTime);
        }
        let key = hmac.key(trailer.key).ok_or(DropCause::HmacKey)?;
        if !trailer.is_genuine(packet.source, key) {
            return Err(DropCause::HmacWrong);
        }
        let sender = Sender {
            address: packet.source,
            sequence,
            key: trailer.key,
            ahead: sequence.seconds_ahead(wall),
            continues_until: heard_at + self.router.wait_for(received.advert.interval),
        };
        if self.heard.is_new(&sender, wall, hmac.anti_replay) {
            Ok(Some(sender))
        } else {
            Err(DropCause::HmacReplayed)
        }
    }

    /// The received and the expected value of the check that a packet failed, where the two say more than
    /// the cause.
    pub(super) fn explain_drop(
        &self,
        packet: &Packet<'_>,
        cause: DropCause,
        wall: Duration,
    ) -> Option<String> {
        let expected = self.expected();
        let byte = |index: usize| packet.payload.get(index).copied();
        Some(match cause {
            DropCause::WrongCast => format!("destination {}", packet.destination),
            DropCause::HopLimit => {
                format!(
                    "TTL {}, at least {} is needed",
                    packet.hop_limit, expected.hop_limit
                )
            }
            DropCause::Version => {
                let version = byte(0)? >> 4;
                format!(
                    "version {version}, configured {}",
                    expected.version.number()
                )
            }
            DropCause::Carp => {
                let vhid = byte(1)?;
                let same_mac = match self.params.virtual_mac {
                    Some(_) => format!(
                        "; both use the MAC address {}",
                        MacAddress::of_virtual_router(Family::of(packet.source), self.params.vrid)
                    ),
                    None => String::new(),
                };
                format!(
                    "VHID {vhid}{same_mac}: choose another virtualRouterId, or another VHID there"
                )
            }
            DropCause::Type => format!("type {}", byte(0)? & 0x0f),
            DropCause::Length => format!(
                "{} bytes, and a count of {} addresses",
                packet.payload.len(),
                byte(3).unwrap_or_default()
            ),
            DropCause::AuthType => {
                let configured = match self.auth() {
                    Auth::None => 0,
                    Auth::Pass(_) => 1,
                };
                format!(
                    "type {}, configured {configured} (0 none, 1 password)",
                    byte(4)?
                )
            }
            DropCause::Interval => {
                let configured = Human(expected.interval.duration());
                format!(
                    "advertisement interval {} s, configured {configured}",
                    byte(5)?
                )
            }
            DropCause::ForeignRouter => self.differences(packet.source).join("; "),
            DropCause::HmacTime | DropCause::HmacKey => {
                let trailer = Trailer::parse(packet.payload).ok()?;
                let ahead = trailer.sequence.seconds_ahead(wall);
                if cause == DropCause::HmacKey {
                    format!("key {}", trailer.key)
                } else if ahead < 0 {
                    format!("{} s behind", -ahead)
                } else {
                    format!("{ahead} s ahead")
                }
            }
            DropCause::NotAPeer
            | DropCause::Checksum
            | DropCause::UnknownVrid
            | DropCause::OwnPacket
            | DropCause::Owner
            | DropCause::AuthPassword
            | DropCause::ZeroInterval
            | DropCause::NoAddresses
            | DropCause::HmacMissing
            | DropCause::HmacMalformed
            | DropCause::HmacWrong
            | DropCause::HmacReplayed
            | DropCause::NotListening => return None,
        })
    }
}
