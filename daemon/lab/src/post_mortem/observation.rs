//! Observations of a capture: advertisements, claims of addresses, and unreadable VRRP packets, each with
//! its time. They are plain data, from which the analysis concludes everything.
//!
//! A file may have hundreds of millions of packets, so equal contents are stored once, and the numbers of
//! stored contents and times are limited.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use vrrp_proto::wire::{AuthType, Checksum, DropCause, inspect};
use vrrp_proto::{AdvertInterval, Family, Instant, InterfaceIndex, MacAddress, Version, Vrid};

use super::file::{self, FileError, FileFacts, Packet};
use super::frame::{self, Claim, Content, Frame, Vrrp};
use super::stamp::Stamp;

/// Limit of the stored times of each kind: 64 MiB. It suffices for a year of one master with the usual interval
/// of one second.
const SIGHTINGS: usize = 1 << 22;
/// Limit of the stored contents of each kind.
const CONTENTS: usize = 1 << 16;

/// Network in which a frame was seen. The same VRID in two networks means two virtual routers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Network {
    /// Interface of the capture, if it has several.
    pub(crate) interface: Option<String>,
    /// VLAN tags, the outermost first.
    pub(crate) vlans: Vec<u16>,
}

/// Content of an advertisement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Advert {
    pub(crate) network: Network,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) version: Version,
    pub(crate) vrid: Vrid,
    /// Priority; 0 when the sender resigns.
    pub(crate) priority: u8,
    /// Interval; `None` for the invalid 0.
    pub(crate) interval: Option<AdvertInterval>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) auth: Auth,
    pub(crate) checksum: Checksum,
}

impl Advert {
    pub(crate) fn family(&self) -> Family {
        Family::of(self.source)
    }

    /// Interval, or the usual one in place of the invalid 0.
    pub(crate) fn interval(&self) -> AdvertInterval {
        self.interval.unwrap_or(AdvertInterval::DEFAULT)
    }
}

/// Authentication of an advertisement. Passwords are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Auth {
    None,
    Pass,
    /// IP authentication header (RFC 2402).
    Header,
    /// Trailer with an HMAC.
    Hmac,
    Unknown(u8),
}

impl fmt::Display for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no authentication"),
            Self::Pass => f.write_str("a password (PASS)"),
            Self::Header => f.write_str("an IP authentication header (AH)"),
            Self::Hmac => f.write_str("an HMAC"),
            Self::Unknown(kind) => write!(f, "authentication type {kind}"),
        }
    }
}

/// VRRP packet that is no readable advertisement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unreadable {
    pub(crate) network: Network,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) source: IpAddr,
    /// Number where an advertisement has its VRID.
    pub(crate) vrid: Option<Vrid>,
    pub(crate) cause: DropCause,
}

/// Claim of an address in a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claimed {
    pub(crate) network: Network,
    pub(crate) claim: Claim,
}

/// Content that was seen at a time.
#[derive(Clone, Debug)]
pub(crate) struct Sighting<T> {
    pub(crate) at: Stamp,
    pub(crate) what: Arc<T>,
}

/// All observations of a capture, each list in the order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observations {
    /// Times of the first and the last packet.
    pub(crate) begin: Stamp,
    pub(crate) end: Stamp,
    pub(crate) adverts: Vec<Sighting<Advert>>,
    pub(crate) unreadable: Vec<Sighting<Unreadable>>,
    /// Claims of virtual addresses.
    pub(crate) claims: Vec<Sighting<Claimed>>,
    /// Whether the capture has ARP (IPv4) or neighbour advertisements (IPv6) at all.
    pub(crate) has_arp: bool,
    pub(crate) has_ndp: bool,
    /// Number of packets of VRRP of which the capture has only a part.
    pub(crate) cut: u64,
    /// Number of observations beyond the limits, which are left out.
    pub(crate) left_out: u64,
}

/// Ethernet frames in memory, with their times.
pub(crate) fn observe_frames<'a>(
    begin: Stamp,
    end: Stamp,
    frames: impl Iterator<Item = (Stamp, &'a [u8])>,
) -> Observations {
    let mut adverts = Store::default();
    let mut claims = Store::default();
    for (at, bytes) in frames {
        let packet = Packet {
            at,
            interface: None,
            link: frame::ETHERNET,
            bytes,
        };
        let Some((network, frame)) = open(&packet) else {
            continue;
        };
        match frame.content {
            Content::Vrrp(vrrp) => {
                if let Ok(advert) = advert(network, frame.source, &vrrp) {
                    adverts.add(at, advert);
                }
            }
            Content::Claim(claim) => claims.add(at, Claimed { network, claim }),
            Content::Cut => {}
        }
    }
    Observations {
        begin,
        end,
        has_arp: true,
        has_ndp: true,
        adverts: adverts.sorted(),
        claims: claims.sorted(),
        ..Observations::default()
    }
}

/// Reads all observations of a file.
///
/// # Errors
/// If nothing of the file can be read.
pub(crate) fn observe(path: &Path) -> Result<(FileFacts, Observations), FileError> {
    let mut adverts = Store::default();
    let mut unreadable = Store::default();
    let mut observations = Observations::default();
    let facts = file::read(path, |packet| match open(packet) {
        Some((
            network,
            Frame {
                source,
                content: Content::Vrrp(vrrp),
                ..
            },
        )) => match advert(network, source, &vrrp) {
            Ok(advert) => adverts.add(packet.at, advert),
            Err(failed) => unreadable.add(packet.at, failed),
        },
        Some((
            _,
            Frame {
                content: Content::Cut,
                ..
            },
        )) => observations.cut += 1,
        Some((
            _,
            Frame {
                content: Content::Claim(claim),
                ..
            },
        )) => match claim.address {
            IpAddr::V4(_) => observations.has_arp = true,
            IpAddr::V6(_) => observations.has_ndp = true,
        },
        None => {}
    })?;
    // Which addresses are virtual is known only now, and of ARP a file may have much more than of VRRP.
    let virtual_addresses: BTreeSet<IpAddr> = adverts
        .contents
        .iter()
        .flat_map(|advert| advert.addresses.iter().copied())
        .collect();
    let mut claims = Store::default();
    if !virtual_addresses.is_empty() && (observations.has_arp || observations.has_ndp) {
        file::read(path, |packet| {
            if let Some((
                network,
                Frame {
                    content: Content::Claim(claim),
                    ..
                },
            )) = open(packet)
                && virtual_addresses.contains(&claim.address)
            {
                claims.add(packet.at, Claimed { network, claim });
            }
        })?;
    }
    if let Some((begin, end)) = facts.times {
        (observations.begin, observations.end) = (begin, end);
    }
    observations.left_out = adverts.left_out + unreadable.left_out + claims.left_out;
    observations.adverts = adverts.sorted();
    observations.unreadable = unreadable.sorted();
    observations.claims = claims.sorted();
    Ok((facts, observations))
}

fn open<'a>(packet: &Packet<'a>) -> Option<(Network, Frame<'a>)> {
    let frame = frame::open(packet.link, packet.bytes)?;
    let index = frame.interface.map(|index| format!("#{index}"));
    let network = Network {
        interface: packet.interface.map(str::to_owned).or(index),
        vlans: frame.vlans.clone(),
    };
    Some((network, frame))
}

fn advert(
    network: Network,
    mac: Option<MacAddress>,
    vrrp: &Vrrp<'_>,
) -> Result<Advert, Unreadable> {
    let packet = vrrp_proto::Packet {
        at: Instant::ZERO,
        interface: InterfaceIndex(0),
        source: vrrp.source,
        destination: vrrp.destination,
        hop_limit: vrrp.hop_limit,
        payload: vrrp.message,
    };
    let seen = match inspect(&packet) {
        Ok(seen) => seen,
        Err(cause) => {
            return Err(Unreadable {
                network,
                mac,
                source: vrrp.source,
                vrid: vrrp_proto::wire::Advert::peek_vrid(vrrp.message),
                cause,
            });
        }
    };
    let auth = match seen.auth {
        _ if seen.is_signed => Auth::Hmac,
        _ if vrrp.is_authenticated => Auth::Header,
        AuthType::None => Auth::None,
        AuthType::Pass => Auth::Pass,
        AuthType::Other(kind) => Auth::Unknown(kind),
    };
    Ok(Advert {
        network,
        mac,
        source: vrrp.source,
        destination: vrrp.destination,
        hop_limit: vrrp.hop_limit,
        version: seen.version,
        vrid: seen.vrid,
        priority: seen.priority,
        interval: seen.interval,
        addresses: seen.addresses.iter().collect(),
        auth,
        checksum: seen.checksum,
    })
}

/// Sightings whose equal contents are stored once.
struct Store<T> {
    contents: BTreeSet<Arc<T>>,
    sightings: Vec<Sighting<T>>,
    left_out: u64,
}

impl<T: Ord> Store<T> {
    fn add(&mut self, at: Stamp, content: T) {
        let known = self.contents.get(&content).cloned();
        let what = known.unwrap_or_else(|| Arc::new(content));
        if self.sightings.len() >= SIGHTINGS
            || (self.contents.len() >= CONTENTS && !self.contents.contains(&what))
        {
            self.left_out += 1;
            return;
        }
        self.contents.insert(Arc::clone(&what));
        self.sightings.push(Sighting { at, what });
    }

    /// The sightings in the order of time: the packets of a file may be slightly out of order.
    fn sorted(mut self) -> Vec<Sighting<T>> {
        self.sightings.sort_by_key(|sighting| sighting.at);
        self.sightings
    }
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            contents: BTreeSet::new(),
            sightings: Vec::new(),
            left_out: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_are_stored_once_and_limited() {
        let mut store = Store::default();
        for content in 0..CONTENTS + 3 {
            store.add(Stamp(9), content);
        }
        assert_eq!(store.left_out, 3);
        store.add(Stamp(1), 0);
        assert_eq!(store.contents.len(), CONTENTS);
        let sorted = store.sorted();
        assert_eq!((sorted.len(), sorted[0].at), (CONTENTS + 1, Stamp(1)));
    }
}
