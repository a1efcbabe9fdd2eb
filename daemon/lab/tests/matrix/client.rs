//! Client of the virtual address: tests whether it answers, and at which MAC address.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use vrrp_lab::{Cable, Echo, Error, Host, Result, Segment};

use crate::cell::Family;
use crate::common::set;
use crate::configuration::CARD;

/// Discard port, which is closed on all hosts: a host with the address refuses the packet at once.
const PORT: u16 = 9;

/// Port of the client. The kernel's choice may be one that tshark takes for a traceroute's (33434 and
/// more), which is a remark about the packet.
const OWN_PORT: u16 = 4000;

/// Timeout of an answer, and the number of attempts.
const PATIENCE: Duration = Duration::from_millis(250);
const ATTEMPTS: u32 = 3;

/// Host without a VRRP daemon.
pub(crate) struct Client {
    host: Host,
    address: IpAddr,
    _cable: Cable,
}

impl Client {
    pub(crate) fn new(segment: &Segment, family: Family) -> Result<Self> {
        let host = Host::new("client")?;
        let own = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(192, 168, 224, 20)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 224, 0, 0, 0, 0x20)),
        };
        // No duplicate address detection.
        set(&host, "ipv6/conf/default/accept_dad", "0")?;
        let cable = segment.attach(&host, CARD, &format!("{own}/{}", family.prefix()))?;
        Ok(Self {
            host,
            address: family.virtual_address(),
            _cable: cable,
        })
    }

    /// Asks the virtual address every millisecond, until the result is stopped. `None` in IPv6.
    pub(crate) fn ask(&self) -> Result<Option<Echo>> {
        match self.address {
            IpAddr::V4(address) => self.host.echo(address).map(Some),
            IpAddr::V6(_) => Ok(None),
        }
    }

    /// Returns the MAC address at which the client reaches the virtual address; `None` without an answer.
    /// The client keeps its neighbour entry as other hosts do, and sends no new request while it has one.
    pub(crate) fn reaches(&self) -> Result<Option<[u8; 6]>> {
        let doing = || format!("sending to {}", self.address);
        let unspecified = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let answered: io::Result<bool> = self.host.run(|| {
            let socket = UdpSocket::bind((unspecified, OWN_PORT))?;
            socket.connect((self.address, PORT))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            for _ in 0..ATTEMPTS {
                let answer = socket.send(&[0]).and_then(|_| socket.recv(&mut [0]));
                match answer.map_err(|error| error.kind()) {
                    Err(ErrorKind::ConnectionRefused) => return Ok(true),
                    // No answer, or no MAC address found.
                    Err(ErrorKind::WouldBlock | ErrorKind::HostUnreachable) => {}
                    Ok(_) => return Err(ErrorKind::InvalidData.into()),
                    Err(kind) => return Err(kind.into()),
                }
            }
            Ok(false)
        });
        if answered.map_err(|error| Error::new(doing(), error))? {
            self.host.neighbour(self.address)
        } else {
            Ok(None)
        }
    }
}
