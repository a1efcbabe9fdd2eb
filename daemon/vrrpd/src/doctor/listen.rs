//! Listens on the network of each instance: advertisements of other routers, and answers for the virtual
//! addresses.
//!
//! It asks once for each virtual address by an ARP probe (RFC 5227 section 2.1) or a neighbour solicitation, which
//! change no neighbour entry of the virtual address. It sends no advertisement.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::conflict::ConflictSocket;
use vrrp_linux::socket::ReceiveBatch;
use vrrp_linux::witness::WitnessSocket;
use vrrp_node::listeners::VridSet;
use vrrp_proto::params::NodeParams;
use vrrp_proto::{Family, InterfaceIndex, MacAddress, Solicitation, Vrid};

use super::facts::{Advert, Claim, Facts, Interface};

/// Intervals to listen for, of the longest one: a master sends two or three advertisements meanwhile.
const INTERVALS: u32 = 3;

/// Bounds of the time to listen: an answer to ARP takes less than the shorter one.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Time between two looks at the sockets, whose buffers hold far more than arrives meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// Most senders that are kept. A flood of invented ones ends the listening no later.
const MOST: usize = 256;

/// Time to listen for this configuration.
pub(super) fn duration(params: &NodeParams) -> Duration {
    let intervals = params.routers.values().map(|it| it.interval.duration());
    let longest = intervals.max().unwrap_or_default();
    (longest * INTERVALS).clamp(SHORTEST, LONGEST)
}

/// Listens for `duration` and adds what arrives to `facts`.
///
/// # Errors
/// EPERM without CAP_NET_RAW.
pub(super) fn listen(params: &NodeParams, facts: &mut Facts, duration: Duration) -> io::Result<()> {
    let ears = Ears::open(params, &facts.interfaces)?;
    let end = Instant::now() + duration;
    ask(params, &facts.interfaces)?;
    let mut heard = Heard::default();
    let mut batch = ReceiveBatch::new();
    while Instant::now() < end {
        sleep(PAUSE);
        ears.receive(&mut batch, &mut heard)?;
    }
    let own: Vec<MacAddress> = facts.interfaces.values().filter_map(|it| it.mac).collect();
    let addresses: BTreeSet<IpAddr> = places(params, &facts.interfaces)
        .map(|(.., address)| address)
        .collect();
    heard.claims.retain(|claim| {
        // The filter of the socket compares the last byte only.
        addresses.contains(&claim.address) && !own.contains(&MacAddress(claim.mac))
    });
    facts.adverts = heard.adverts.into_values().collect();
    facts.claims = heard.claims;
    Ok(())
}

/// Existing interfaces with the virtual addresses that belong there.
fn places<'a>(
    params: &'a NodeParams,
    interfaces: &'a BTreeMap<String, Interface>,
) -> impl Iterator<Item = (&'a Interface, IpAddr)> {
    let routers = params.routers.values();
    routers.flat_map(|router| {
        router.addresses.iter().filter_map(|it| {
            let options = router.options.get(&it.address);
            let device = options.and_then(|options| options.device.as_ref());
            let interface = interfaces.get(&**device.unwrap_or(&router.interface))?;
            Some((interface, it.address)).filter(|_| interface.is_up)
        })
    })
}

#[derive(Default)]
struct Heard {
    adverts: BTreeMap<(InterfaceIndex, IpAddr, Option<Vrid>), Advert>,
    claims: BTreeSet<Claim>,
}

/// Sockets that receive.
struct Ears {
    adverts: Vec<WitnessSocket>,
    claims: Vec<(InterfaceIndex, ConflictSocket)>,
}

impl Ears {
    fn open(params: &NodeParams, interfaces: &BTreeMap<String, Interface>) -> io::Result<Self> {
        let mut vrids = BTreeMap::<InterfaceIndex, VridSet>::new();
        for router in params.routers.values() {
            if let Some(interface) = interfaces.get(&*router.interface) {
                vrids
                    .entry(interface.index)
                    .or_default()
                    .insert(router.vrid);
            }
        }
        let mut addresses = BTreeMap::<(InterfaceIndex, Family), Vec<IpAddr>>::new();
        for (interface, address) in places(params, interfaces) {
            let place = (interface.index, Family::of(address));
            addresses.entry(place).or_default().push(address);
        }
        let adverts = vrids.iter();
        let adverts = adverts.map(|(interface, vrids)| WitnessSocket::open(*interface, vrids));
        let claims = addresses
            .into_iter()
            .map(|((interface, family), addresses)| {
                let socket = ConflictSocket::open(interface, family, addresses.into_iter())?;
                Ok((interface, socket))
            });
        Ok(Self {
            adverts: adverts.collect::<io::Result<_>>()?,
            claims: claims.collect::<io::Result<_>>()?,
        })
    }

    fn receive(&self, batch: &mut ReceiveBatch, heard: &mut Heard) -> io::Result<()> {
        let mut packets = Vec::new();
        for socket in &self.adverts {
            socket.receive(batch, &mut packets)?;
        }
        for packet in packets {
            let vrid = vrrp_proto::wire::Advert::peek_vrid(&packet.payload);
            let sender = (packet.interface, packet.source, vrid);
            if heard.adverts.len() < MOST {
                heard.adverts.insert(
                    sender,
                    Advert {
                        interface: packet.interface,
                        source: packet.source,
                        destination: packet.destination,
                        hop_limit: packet.hop_limit,
                        payload: packet.payload,
                    },
                );
            }
        }
        for (interface, socket) in &self.claims {
            socket.receive(batch, |address, mac| {
                if heard.claims.len() < MOST {
                    let (interface, mac) = (*interface, mac.0);
                    heard.claims.insert(Claim {
                        interface,
                        address,
                        mac,
                    });
                }
            })?;
        }
        Ok(())
    }
}

/// Requests the hardware address of each virtual address.
fn ask(params: &NodeParams, interfaces: &BTreeMap<String, Interface>) -> io::Result<()> {
    let mut socket = AnnounceSocket::open()?;
    for (interface, target) in places(params, interfaces) {
        let source = match target {
            // An ARP probe.
            IpAddr::V4(_) => Some(Ipv4Addr::UNSPECIFIED.into()),
            IpAddr::V6(_) => interface
                .addresses
                .iter()
                .find(|it| it.is_link_local())
                .map(|it| it.address),
        };
        if let (Some(mac), Some(source)) = (interface.mac, source) {
            socket.queue_solicitation(Solicitation {
                interface: interface.index,
                mac,
                source,
                target,
            });
        }
    }
    // A question that the kernel does not send has no answer, which is no finding.
    socket.flush(&mut Vec::new(), |_, _, _| {});
    Ok(())
}
