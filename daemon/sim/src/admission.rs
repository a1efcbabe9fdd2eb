//! Whom a router believes: worked out from who really sent a packet and what it meant, by the figures of
//! the RFCs and of the draft, and not by our code.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::params::HmacMode;
use vrrp_proto::{Family, Version};

use crate::host::{Datagram, Says};
use crate::scenario::{HmacConfig, RouterConfig};

/// Why a router does not believe what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// Nobody may believe it.
    Junk,
    /// It is sent to a group, and this router speaks with peers; or the other way round.
    Cast,
    /// It comes from none of the peers.
    Stranger,
    HopLimit,
    /// Another virtual router, version, interval or password.
    Dialect,
    /// It comes from the router itself.
    Own,
    /// The owner of version 2 hears nobody.
    Subject,
    /// It has no trailer, or one of another length.
    Unsigned,
    /// Its trailer is of another kind.
    Malformed,
    /// It was signed at another time.
    Untimely,
    /// By a key that the router does not have.
    Key,
    /// By somebody who does not know the key.
    Forged,
    /// A number that is not greater than the last one of its sender.
    Repeated,
}

/// Whether a router of this configuration, with these `peers` in the family of the packet, believes what
/// somebody says, as far as that has nothing to do with who signed it and when.
pub(crate) fn judge(
    own: &RouterConfig,
    peers: &BTreeSet<IpAddr>,
    packet: &Datagram,
) -> Result<Says, Unheard> {
    let is_unicast = own.unicast.is_some();
    if packet.destination.is_multicast() == is_unicast {
        return Err(Unheard::Cast);
    }
    if is_unicast && !peers.contains(&packet.source) {
        return Err(Unheard::Stranger);
    }
    let says = packet.says.ok_or(Unheard::Junk)?;
    let least = own.unicast.as_ref().map_or(255, |unicast| unicast.min_ttl);
    if packet.hop_limit < least {
        return Err(Unheard::HopLimit);
    }
    let is_same = packet.segment == own.segment
        && says.vrid == own.id()
        && own.speaks(packet.family())
        && is_understood(own, &says);
    is_same.then_some(says).ok_or(Unheard::Dialect)
}

/// Whether what somebody says is of the version that a router of this configuration speaks, and in version
/// 2 of the same interval and password.
fn is_understood(own: &RouterConfig, says: &Says) -> bool {
    says.version == own.version
        && match own.version {
            Version::V3 => true,
            Version::V2 => says.interval == own.interval() && says.password == own.password(),
        }
}

/// Whether the RFCs have a router of this configuration hear nobody.
pub(crate) fn is_deaf(own: &RouterConfig) -> bool {
    own.version == Version::V2 && own.priority == 255
}

/// How many senders a router remembers.
const SENDERS: usize = 16;

/// The numbers that a router has heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// The sender that was heard last is the last one.
    last: Vec<(IpAddr, u64)>,
}

impl Numbers {
    /// Whether a router with this HMAC, whose wall clock shows `wall`, believes who sent a packet. What it
    /// believes it never believes again.
    pub(crate) fn admit(
        &mut self,
        hmac: &HmacConfig,
        wall: Duration,
        packet: &Datagram,
    ) -> Result<(), Unheard> {
        let Some(trailer) = Trailer::of(packet) else {
            return match hmac.mode {
                HmacMode::Enforce => Err(Unheard::Unsigned),
                HmacMode::Permissive | HmacMode::ReceiveOnly => Ok(()),
            };
        };
        if (trailer.kind, trailer.reserved) != (1, [0, 0]) {
            return Err(Unheard::Malformed);
        }
        if trailer.key == 0 {
            return Err(Unheard::Key);
        }
        if !is_timely(hmac, wall, trailer.number) {
            return Err(Unheard::Untimely);
        }
        if !hmac.accepts(trailer.key) {
            return Err(Unheard::Key);
        }
        if !packet.is_genuine {
            return Err(Unheard::Forged);
        }
        let known = self
            .last
            .iter()
            .position(|(known, _)| *known == packet.source);
        if let Some(at) = known {
            let (_, last) = self.last[at];
            if is_timely(hmac, wall, last) && !is_after(trailer.number, last) {
                return Err(Unheard::Repeated);
            }
            self.last.remove(at);
        } else if self.last.len() == SENDERS {
            self.last.remove(0);
        }
        self.last.push((packet.source, trailer.number));
        Ok(())
    }
}

/// Whether a number is of about the time that a clock shows, as far as that matters.
fn is_timely(hmac: &HmacConfig, wall: Duration, number: u64) -> bool {
    let seconds = i128::from(number >> 32) - i128::from(wall.as_secs());
    hmac.window == 0 || seconds.unsigned_abs() <= hmac.window.into()
}

/// Whether a number is the greater one, around the circle (RFC 1982).
pub(crate) const fn is_after(number: u64, other: u64) -> bool {
    let ahead = number.wrapping_sub(other);
    ahead != 0 && ahead < 1 << 63
}

/// The number that a clock gives: seconds in 32 bits, 65,536ths in 16, and a counter of 16.
fn number_at(wall: Duration) -> u64 {
    let nanos = u128::from(wall.subsec_nanos());
    let fraction = u64::try_from(nanos * 65_536 / 1_000_000_000).unwrap_or(0);
    wall.as_secs() << 32 | fraction << 16
}

/// The number with which a router with this HMAC signs when its wall clock shows `wall` and its `last`
/// number was this: that of the clock, or the next one where the clock has not gone on since.
pub(crate) fn next_number(last: Option<u64>, hmac: &HmacConfig, wall: Duration) -> u64 {
    let clock = number_at(wall);
    match last {
        Some(last) if !is_after(clock, last) && is_timely(hmac, wall, last) => last.wrapping_add(1),
        Some(_) | None => clock,
    }
}

/// What stands behind a message that is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trailer {
    pub(crate) kind: u8,
    pub(crate) key: u8,
    pub(crate) reserved: [u8; 2],
    pub(crate) number: u64,
}

impl Trailer {
    /// That of a packet, if what stands behind its message is as long as one.
    fn of(packet: &Datagram) -> Option<Self> {
        Self::read(packet.family(), &packet.payload)
    }

    /// That of a message to a family.
    pub(crate) fn read(family: Family, message: &[u8]) -> Option<Self> {
        let &[version_type, _, _, count, ..] = message else {
            return None;
        };
        let size = match family {
            Family::V4 => 4,
            Family::V6 => 16,
        };
        let password = if version_type >> 4 == 2 { 8 } else { 0 };
        let rest = message.get(8 + size * usize::from(count) + password..)?;
        let rest: &[u8; 28] = rest.try_into().ok()?;
        let [kind, key, high, low, ..] = *rest;
        let number = rest[4..12].try_into().map_or(0, u64::from_be_bytes);
        Some(Self {
            kind,
            key,
            reserved: [high, low],
            number,
        })
    }
}
