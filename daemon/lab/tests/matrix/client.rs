//! Somebody who wants something of the virtual address: whether it is answered, and from where.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use vrrp_lab::{Cable, Error, Host, Result, Segment};

use crate::cell::Family;
use crate::common::set;
use crate::configuration::CARD;

/// The discard port, on which nobody listens: a host that has the address refuses at once.
const PORT: u16 = 9;

/// How long an answer may be under way, and how often it is asked for.
const PATIENCE: Duration = Duration::from_millis(250);
const ATTEMPTS: u32 = 3;

/// A host that has nothing to do with VRRP.
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
        // Its address of IPv6 is there at once.
        set(&host, "ipv6/conf/default/accept_dad", "0")?;
        let cable = segment.attach(&host, CARD, &format!("{own}/{}", family.prefix()))?;
        Ok(Self {
            host,
            address: family.virtual_address(),
            _cable: cable,
        })
    }

    /// The Ethernet address at which it reaches the virtual address; none when nobody answers
    /// there. It remembers addresses of Ethernet as hosts do, and asks nobody again.
    pub(crate) fn reaches(&self) -> Result<Option<[u8; 6]>> {
        let doing = || format!("asking {} for an answer", self.address);
        let unspecified = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let answered: io::Result<bool> = self.host.run(|| {
            let socket = UdpSocket::bind((unspecified, 0))?;
            socket.connect((self.address, PORT))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            for _ in 0..ATTEMPTS {
                let answer = socket.send(&[0]).and_then(|_| socket.recv(&mut [0]));
                match answer.map_err(|error| error.kind()) {
                    Err(ErrorKind::ConnectionRefused) => return Ok(true),
                    // Nobody answers, or nobody answers for the Ethernet address.
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
