//! Packets of an attacker.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use clap::ValueEnum;
use vrrp_lab::{Error, Result, ipv4_frame};
use vrrp_proto::wire::{
    AddressList, Advert, Auth, ChecksumForm, Expected, GROUP_V4, HOP_LIMIT, arp, ipv4,
};
use vrrp_proto::{
    AdvertInterval, Instant, InterfaceIndex, MacAddress, Packet, Password, Version, Vrid,
};

use crate::bench::subject::Kind;

/// VRID of the attacked virtual router.
pub(crate) const VRID: u8 = 51;
/// Password of the attacked router, in version 2.
pub(crate) const PASSWORD: &str = "1111";
/// Virtual address of the attacked router.
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// Priorities of the master, of the backup, and of the attack with a lower priority than both.
pub(crate) const PRIORITIES: [u8; 3] = [200, 100, 50];

/// Priority of the other attacks: a router that accepted one would yield.
const STRONGEST: u8 = 254;
const ATTACKER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 66);
/// Number of routers that are attacked at the same time.
const ROUTERS: u8 = 250;
/// Number of different lists of addresses.
const LISTS: u32 = 100;
/// Number of invented senders.
const INVENTED: u32 = 60_000;

/// One kind of attack, with packets or by clients of the daemon's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// No packets: the effects of the machine alone.
    Nothing,
    /// A VRID that is not configured.
    WrongVrid,
    /// A wrong checksum.
    BadChecksum,
    /// A wrong checksum, each packet from another sender.
    InventedSenders,
    /// Shorter than its address count requires.
    Truncated,
    /// The other VRRP version.
    WrongVersion,
    /// TTL 254, as if the packet had crossed a router.
    WrongTtl,
    /// Another password, in version 2.
    WrongPassword,
    /// A valid advertisement with a lower priority than both routers.
    LowerPriority,
    /// The same for a router with 255 addresses, each packet with 255 other addresses.
    OtherAddresses,
    /// The same for 250 routers.
    ManyRouters,
    /// Claims of the virtual address by ARP.
    Claims,
    /// Clients of the control and command sockets, on the daemon's host. keepalived has none.
    Clients,
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nothing => "nothing",
            Self::WrongVrid => "wrong VRID",
            Self::BadChecksum => "bad checksum",
            Self::InventedSenders => "bad checksum, invented senders",
            Self::Truncated => "truncated",
            Self::WrongVersion => "wrong version",
            Self::WrongTtl => "TTL 254",
            Self::WrongPassword => "wrong password (version 2)",
            Self::LowerPriority => "right, lower priority",
            Self::OtherAddresses => "255 other addresses",
            Self::ManyRouters => "other addresses, 250 routers",
            Self::Claims => "claims of the address (ARP)",
            Self::Clients => "clients of the sockets",
        })
    }
}

impl Attack {
    /// VRRP version of the attacked routers.
    pub(crate) const fn version(self) -> Version {
        if matches!(self, Self::WrongPassword) {
            Version::V2
        } else {
            Version::V3
        }
    }

    /// Advertisement interval of the attacked routers; version 2 has none below one second.
    pub(crate) const fn interval(self) -> Duration {
        match self.version() {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => Duration::from_millis(100),
        }
    }

    /// Whether the attack concerns this kind of daemon.
    pub(crate) fn concerns(self, kind: Kind) -> bool {
        self != Self::Clients || kind == Kind::Vrrpd
    }

    /// Lowest rate for the attack to count, in packets per second.
    pub(crate) fn least_rate(self) -> f64 {
        if matches!(self, Self::Nothing | Self::Clients) {
            0.0
        } else if self == Self::OtherAddresses {
            // Packets of a kilobyte.
            10_000.0
        } else {
            50_000.0
        }
    }

    /// Allowed growth of memory, in KiB: one stored byte per packet would exceed it.
    pub(crate) fn most_growth(self) -> i64 {
        if matches!(self, Self::OtherAddresses | Self::Clients) {
            // A silent backup keeps 1,024 packets of the wire, here of a kilobyte, and reads a whole socket buffer
            // at once. Clients have buffers as long as they are connected.
            4096
        } else {
            // First use of code and of tables with a fixed limit.
            512
        }
    }

    /// The attacked routers: VRID and addresses.
    pub(crate) fn routers(self) -> Vec<(u8, Vec<Ipv4Addr>)> {
        if self == Self::ManyRouters {
            let of = |vrid| (vrid, vec![Ipv4Addr::new(10, 77, 3, vrid)]);
            return (1..=ROUTERS).map(of).collect();
        }
        let addresses = if self == Self::OtherAddresses {
            let addresses = (1..=255).map(|octet| Ipv4Addr::new(10, 77, 2, octet));
            addresses.collect()
        } else {
            vec![VIP]
        };
        vec![(VRID, addresses)]
    }

    /// Builds the frames, from `source` to `destination`.
    pub(crate) fn frames(self, source: [u8; 6], destination: [u8; 6]) -> Result<Vec<Vec<u8>>> {
        let frame = |sender, ttl, message: &[u8]| {
            let header = ipv4::header(sender, GROUP_V4, ttl, message.len());
            ipv4_frame(destination, source, &[&header[..], message].concat())
        };
        let strongest = advert(Version::V3, VRID, STRONGEST, Auth::None)?;
        let mut broken = strongest.clone();
        broken[7] ^= 0x5a;
        let one = |ttl, message: &[u8]| vec![frame(ATTACKER, ttl, message)];
        Ok(match self {
            Self::Nothing | Self::Clients => Vec::new(),
            Self::WrongVrid => {
                let foreign = advert(Version::V3, VRID + 1, STRONGEST, Auth::None)?;
                one(HOP_LIMIT, &foreign)
            }
            Self::BadChecksum => one(HOP_LIMIT, &broken),
            Self::InventedSenders => (0..INVENTED)
                // From 10.77.1.0 on, each address once, in an order without locality: the worst
                // case for a table.
                .map(|number| Ipv4Addr::from(0x0a4d_0100 + number * 7919 % INVENTED))
                // The checksum covers the sender, and for one sender the broken checksum is right.
                .filter(|sender| !is_right(&broken, *sender))
                .map(|sender| frame(sender, HOP_LIMIT, &broken))
                .collect(),
            // The address count is 1, and the address is missing.
            Self::Truncated => one(HOP_LIMIT, &strongest[..8]),
            Self::WrongVersion => one(
                HOP_LIMIT,
                &advert(Version::V2, VRID, STRONGEST, Auth::None)?,
            ),
            Self::WrongTtl => one(HOP_LIMIT - 1, &strongest),
            Self::WrongPassword => {
                let other = Password::new(b"1112").map_or(Auth::None, Auth::Pass);
                one(HOP_LIMIT, &advert(Version::V2, VRID, STRONGEST, other)?)
            }
            Self::LowerPriority => one(
                HOP_LIMIT,
                &advert(Version::V3, VRID, PRIORITIES[2], Auth::None)?,
            ),
            Self::OtherAddresses => (0..LISTS)
                .map(|list| Ok(frame(ATTACKER, HOP_LIMIT, &others(VRID, list, 255)?)))
                .collect::<Result<_>>()?,
            Self::ManyRouters => (0..LISTS)
                .flat_map(|list| (1..=ROUTERS).map(move |vrid| (vrid, list)))
                .map(|(vrid, list)| Ok(frame(ATTACKER, HOP_LIMIT, &others(vrid, list, 4)?)))
                .collect::<Result<_>>()?,
            Self::Claims => {
                let mut claim = arp::gratuitous(MacAddress(source), VIP);
                claim[..6].copy_from_slice(&destination);
                vec![claim.to_vec()]
            }
        })
    }
}

/// Builds an advertisement of lower priority with `count` addresses that differ from those of other lists.
fn others(vrid: u8, list: u32, count: u32) -> Result<Vec<u8>> {
    // Knuth's multiplicative hash: no order, and no address of the attacked routers.
    let address = |number: u32| {
        let [_, b, c, d] = (list * 255 + number)
            .wrapping_mul(2_654_435_761)
            .to_be_bytes();
        [11, b, c, d]
    };
    let addresses: Vec<[u8; 4]> = (0..count).map(address).collect();
    advert_of(Version::V3, vrid, PRIORITIES[2], &addresses, Auth::None)
}

/// Builds an advertisement of the virtual address with the checksum form that all routers accept.
fn advert(version: Version, vrid: u8, priority: u8, auth: Auth) -> Result<Vec<u8>> {
    advert_of(version, vrid, priority, &[VIP.octets()], auth)
}

fn advert_of(
    version: Version,
    vrid: u8,
    priority: u8,
    addresses: &[[u8; 4]],
    auth: Auth,
) -> Result<Vec<u8>> {
    let interval = match version {
        Version::V2 => AdvertInterval::from_seconds(1),
        Version::V3 => AdvertInterval::from_centiseconds(10),
    };
    let broken = || Error::new("building an advertisement", "VRID or interval out of range");
    let advert = Advert {
        version,
        vrid: Vrid::new(vrid).ok_or_else(broken)?,
        priority,
        interval: interval.ok_or_else(broken)?,
        addresses: AddressList::new(addresses),
        auth,
    };
    Ok(advert.emit(ChecksumForm::WithPseudoHeader, ATTACKER, GROUP_V4))
}

/// Whether a version 3 router accepts a message.
fn is_right(message: &[u8], sender: Ipv4Addr) -> bool {
    let packet = Packet {
        at: Instant::ZERO,
        interface: InterfaceIndex(1),
        source: sender.into(),
        destination: GROUP_V4.into(),
        hop_limit: HOP_LIMIT,
        payload: message,
    };
    let expected = Expected {
        version: Version::V3,
        interval: AdvertInterval::DEFAULT,
        auth: Auth::None,
        hop_limit: HOP_LIMIT,
        may_be_empty: false,
    };
    Advert::parse(&packet, &expected).is_ok()
}
