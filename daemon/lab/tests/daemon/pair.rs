//! Fixture of two hosts with a daemon each: the master and its backup.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream};

use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::{Frame, Moment, Result};
use vrrp_proto::State;

use crate::common::{Lan, SOON, Station, VIP, instance, only};

/// Priority of the master.
pub(crate) const HIGH: u8 = 200;
/// Priority of the backup.
pub(crate) const LOW: u8 = 100;

/// Two hosts on one segment: a (192.168.224.11) and b (192.168.224.12).
pub(crate) struct Pair {
    pub(crate) lan: Lan,
    pub(crate) a: Station,
    pub(crate) b: Station,
}

impl Pair {
    pub(crate) fn new() -> Result<Self> {
        let lan = Lan::new()?;
        let (a, b) = (lan.station("a", 11)?, lan.station("b", 12)?);
        Ok(Self { lan, a, b })
    }

    /// Starts the usual daemons. On return a is master, and b has received its advertisements.
    pub(crate) fn start(&self) -> Result<(Vrrpd<'_>, Vrrpd<'_>)> {
        self.start_with(&only(instance(HIGH)), &only(instance(LOW)))
    }

    /// Starts daemons with these configurations, each with an instance VI_1, as [`Pair::start`] does.
    pub(crate) fn start_with(&self, a: &str, b: &str) -> Result<(Vrrpd<'_>, Vrrpd<'_>)> {
        let a = Vrrpd::start(&self.a.host, a)?;
        a.wait_for_state("VI_1", State::Master, SOON)?;
        let b = Vrrpd::start(&self.b.host, b)?;
        // The daemon may first have to wait for its link-local address. It receives advertisements once it
        // reports the backup state, and of the advertisements after that only the second one was certainly
        // sent later.
        b.wait_for_state("VI_1", State::Backup, SOON)?;
        self.lan.pass(&self.a, 2)?;
        b.wait_for_state("VI_1", State::Backup, SOON)?;
        Ok((a, b))
    }

    /// Connects from `client` to a closed port of the virtual address, which must refuse the connection.
    /// Returns the source MAC addresses of all ARP replies.
    pub(crate) fn answering_macs(&self, client: &Station) -> Result<Vec<[u8; 6]>> {
        let asked = Moment::now();
        let answer = client.host.run(|| TcpStream::connect((VIP, 9)));
        let kind = answer.err().map(|error| error.kind());
        assert_eq!(kind, Some(ErrorKind::ConnectionRefused));
        let frames = self.lan.frames.frames();
        let is_it = |frame: &Frame| frame.at > asked && is_answer_for(frame, VIP);
        // The capture may show a reply a moment after the client received it.
        let seen = frames.wait_for(is_it, SOON);
        assert!(seen.is_some(), "no ARP reply captured");
        Ok(frames
            .entries()
            .iter()
            .filter(|frame| is_it(frame))
            .map(Frame::source)
            .collect())
    }

    /// Starts the usual daemon of a.
    pub(crate) fn start_a(&self) -> Result<Vrrpd<'_>> {
        Vrrpd::start(&self.a.host, &only(instance(HIGH)))
    }
}

/// Whether a frame is an ARP reply from `address`.
fn is_answer_for(frame: &Frame, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else {
        return false;
    };
    let arp = frame.payload();
    frame.ethertype() == 0x0806 && arp[6..8] == [0, 2] && arp[14..18] == address.octets()
}
