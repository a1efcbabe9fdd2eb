//! Expected admission of advertisements: whether a router accepts a packet.
//!
//! Computed from the true sender and the meaning of a packet, with the constants of the RFCs and of the
//! draft, and without code of the daemon.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::params::HmacMode;
use vrrp_proto::{Family, Instant, Version};

use crate::records::{Content, Datagram};
use crate::scenario::{HmacConfig, RouterConfig};

/// Reason for which a router rejects an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// A message that every router has to reject.
    Junk,
    /// Sent to the multicast group while this router uses unicast peers, or the reverse.
    Cast,
    /// Source address that belongs to none of the peers.
    Stranger,
    HopLimit,
    /// Different virtual router, version, interval or password.
    Dialect,
    /// Sent by the router itself and looped back.
    Own,
    /// Advertisement of another virtual router: no address in common with this one.
    Foreign,
    /// Received by an owner of version 2, which ignores all advertisements (RFC 3768).
    Subject,
    /// Received before the interface lost its link, or before the host had its own address again.
    Unlinked,
    /// No HMAC trailer, or one of a wrong length.
    Unsigned,
    /// HMAC trailer of an unknown type.
    Malformed,
    /// Sequence number outside the time window.
    Untimely,
    /// Key that the router does not have.
    Key,
    /// HMAC that was made without the key.
    Forged,
    /// Sequence number less than or equal to the last one of its sender.
    Repeated,
}

/// Decides whether a router with this configuration, which has the sources for which `is_peer` is true as
/// unicast peers, accepts a packet. Ignores the HMAC and its sequence number; see [`Numbers::admit`].
pub(crate) fn judge(
    own: &RouterConfig,
    is_peer: impl Fn(IpAddr) -> bool,
    packet: &Datagram,
) -> Result<Content, Rejection> {
    let is_unicast = own.unicast.is_some();
    if packet.destination.is_multicast() == is_unicast {
        return Err(Rejection::Cast);
    }
    if is_unicast && !is_peer(packet.source) {
        return Err(Rejection::Stranger);
    }
    let content = packet.content.ok_or(Rejection::Junk)?;
    let least = own.unicast.as_ref().map_or(255, |unicast| unicast.min_ttl);
    if packet.hop_limit < least {
        return Err(Rejection::HopLimit);
    }
    let is_same = packet.segment == own.segment
        && content.vrid == own.id()
        && own.speaks(packet.family())
        && is_understood(own, &content);
    is_same.then_some(content).ok_or(Rejection::Dialect)
}

/// Whether an advertisement has the version of this router and, in version 2, the same interval and
/// password.
fn is_understood(own: &RouterConfig, content: &Content) -> bool {
    content.version == own.version
        && match own.version {
            Version::V3 => true,
            Version::V2 => content.interval == own.interval() && content.password == own.password(),
        }
}

/// Whether a router with this configuration ignores all advertisements: an owner of version 2 (RFC
/// 3768).
pub(crate) fn is_deaf(own: &RouterConfig) -> bool {
    own.version == Version::V2 && own.priority == 255
}

/// Number of senders in the replay table of a router.
const SENDERS: usize = 16;

/// Sequence numbers that a router has accepted, by sender.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// Ordered by the time of the last packet; the most recent sender is the last entry.
    last: Vec<Accepted>,
}

/// Last packet of a sender.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    from: IpAddr,
    number: u64,
    /// Until then a packet with a greater number continues the series.
    continues_until: Instant,
}

impl Numbers {
    /// Senders of which the next packet is accepted with any clock.
    pub(crate) fn continuing(&self, now: Instant) -> impl Iterator<Item = IpAddr> + '_ {
        let last = self.last.iter();
        let continuing = last.filter(move |accepted| now <= accepted.continues_until);
        continuing.map(|accepted| accepted.from)
    }

    /// Decides whether a router with this HMAC configuration accepts the HMAC of a packet that arrives at
    /// `at`, with `wall` on its wall clock. It waits for the next packet for the time `wait`. An accepted
    /// sequence number is never accepted again.
    pub(crate) fn admit(
        &mut self,
        hmac: &HmacConfig,
        (at, wall): (Instant, Duration),
        wait: Duration,
        packet: &Datagram,
    ) -> Result<(), Rejection> {
        let Some(trailer) = Trailer::of(packet) else {
            return match hmac.mode {
                HmacMode::Enforce => Err(Rejection::Unsigned),
                HmacMode::Permissive | HmacMode::ReceiveOnly => Ok(()),
            };
        };
        if (trailer.kind, trailer.reserved) != (1, [0, 0]) {
            return Err(Rejection::Malformed);
        }
        if trailer.key == 0 {
            return Err(Rejection::Key);
        }
        let from = packet.source;
        let known = self.last.iter().position(|known| known.from == from);
        let last = known.map(|known| self.last[known]);
        let continues = last.is_some_and(|last| {
            is_after(trailer.number, last.number) && at <= last.continues_until
        });
        if !is_timely(hmac, wall, trailer.number) && !continues {
            return Err(Rejection::Untimely);
        }
        if !hmac.accepts(trailer.key) {
            return Err(Rejection::Key);
        }
        if !packet.is_genuine {
            return Err(Rejection::Forged);
        }
        // A stored number outside the window does not block its sender, whose clock was wrong then.
        if let Some(last) = last
            && is_timely(hmac, wall, last.number)
            && !is_after(trailer.number, last.number)
        {
            return Err(Rejection::Repeated);
        }
        match known {
            Some(known) => drop(self.last.remove(known)),
            // The table is full: the sender with the oldest packet is forgotten.
            None if self.last.len() == SENDERS => drop(self.last.remove(0)),
            None => {}
        }
        self.last.push(Accepted {
            from,
            number: trailer.number,
            continues_until: at + wait,
        });
        Ok(())
    }
}

/// Whether a sequence number lies in the time window around `wall`. Always true without a window.
fn is_timely(hmac: &HmacConfig, wall: Duration, number: u64) -> bool {
    let seconds = seconds_ahead(number, wall);
    hmac.window == 0 || seconds.unsigned_abs() <= hmac.window.into()
}

/// Seconds by which the clock of a sender is ahead of `wall`, by its sequence number.
pub(crate) fn seconds_ahead(number: u64, wall: Duration) -> i64 {
    let seconds = i128::from(number >> 32) - i128::from(wall.as_secs());
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Whether a number is greater than another in serial number arithmetic (RFC 1982).
pub(crate) const fn is_after(number: u64, other: u64) -> bool {
    let ahead = number.wrapping_sub(other);
    ahead != 0 && ahead < 1 << 63
}

/// Sequence number of a clock reading: 32 bits of seconds, 16 bits of 1/65,536 s, 16 bits of counter.
fn number_at(wall: Duration) -> u64 {
    let nanos = u128::from(wall.subsec_nanos());
    let fraction = u64::try_from(nanos * 65_536 / 1_000_000_000).unwrap_or(0);
    wall.as_secs() << 32 | fraction << 16
}

/// Sequence number with which a router signs next, when its wall clock shows `wall` and its previous
/// number was `last`: the number of the clock, or `last + 1` when the clock has not advanced.
pub(crate) fn next_number(last: Option<u64>, hmac: &HmacConfig, wall: Duration) -> u64 {
    let clock = number_at(wall);
    match last {
        Some(last) if !is_after(clock, last) && is_timely(hmac, wall, last) => last.wrapping_add(1),
        Some(_) | None => clock,
    }
}

/// HMAC trailer after the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trailer {
    pub(crate) kind: u8,
    pub(crate) key: u8,
    pub(crate) reserved: [u8; 2],
    pub(crate) number: u64,
}

impl Trailer {
    /// Reads the trailer of a packet. `None` if the bytes after the message do not have the length of a
    /// trailer.
    fn of(packet: &Datagram) -> Option<Self> {
        Self::read(packet.family(), &packet.payload)
    }

    /// Reads the trailer of a message of a family.
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
