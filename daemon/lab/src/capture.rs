//! Frames as they passed, with the kernel's own receive times.

use std::fs::File;
use std::io::{self, BufWriter, IoSliceMut, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg};
use nix::sys::time::TimeSpec;

use crate::clock::Moment;
use crate::error::{Doing, Result};
use crate::journal::Journal;
use crate::namespace::Namespaces;
use crate::sys::{Packet, open_packet, refuse_source};

const ETHERNET_HEADER: usize = 14;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const IPV6_HEADER: usize = 40;
/// The number of ICMPv6 among the IP protocols, and its type of neighbour advertisements.
const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Where Ethernet sends what is for all nodes of IPv6.
const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
/// The IP protocol of VRRP.
const VRRP: u8 = 112;

/// Which frames a capture keeps. The default keeps all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this EtherType.
    pub ethertype: Option<u16>,
    /// Only this protocol over IPv4.
    pub protocol: Option<u8>,
    /// Nothing from this Ethernet address: the kernel itself leaves that out, however much it is.
    pub not_from: Option<[u8; 6]>,
}

impl Filter {
    /// Every frame.
    pub fn all() -> Self {
        Self::default()
    }

    /// ARP only.
    pub fn arp() -> Self {
        Self {
            ethertype: Some(ARP),
            ..Self::default()
        }
    }

    /// VRRP over IPv4 only.
    pub fn vrrp() -> Self {
        Self {
            ethertype: Some(IPV4),
            protocol: Some(VRRP),
            ..Self::default()
        }
    }

    /// Without what comes from the Ethernet address `source`.
    #[must_use]
    pub fn not_from(self, source: [u8; 6]) -> Self {
        Self {
            not_from: Some(source),
            ..self
        }
    }

    fn keeps(self, frame: &Frame) -> bool {
        self.ethertype
            .is_none_or(|wanted| frame.ethertype() == wanted)
            && self
                .protocol
                .is_none_or(|wanted| frame.ip_protocol() == Some(wanted))
            // For those that came before the kernel was told.
            && self.not_from.is_none_or(|source| frame.source() != source)
    }
}

/// A frame that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When the kernel received it.
    pub at: Moment,
    /// The same on the wall clock, since 1970.
    pub wall: Duration,
    /// Whether it left through the interface; on a segment none does.
    pub outgoing: bool,
    /// The whole frame, from the destination's Ethernet address on.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// The Ethernet address that it is for.
    pub fn destination(&self) -> [u8; 6] {
        self.field(0)
    }

    /// The Ethernet address that it is from.
    pub fn source(&self) -> [u8; 6] {
        self.field(6)
    }

    /// Its EtherType.
    pub fn ethertype(&self) -> u16 {
        u16::from_be_bytes(self.field(12))
    }

    /// What follows the Ethernet header.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(ETHERNET_HEADER..).unwrap_or_default()
    }

    /// The protocol over IPv4, if it is IPv4.
    pub fn ip_protocol(&self) -> Option<u8> {
        self.ipv4(9, 1)?.first().copied()
    }

    /// The source over IPv4, if it is IPv4.
    pub fn ip_source(&self) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.ipv4(12, 4)?)
            .ok()
            .map(Ipv4Addr::from)
    }

    /// What follows the IPv4 header, if it is IPv4.
    pub fn ip_payload(&self) -> Option<&[u8]> {
        let header = usize::from(self.ipv4(0, 1)?.first()? & 0x0f) * 4;
        let total = <[u8; 2]>::try_from(self.ipv4(2, 2)?)
            .ok()
            .map(u16::from_be_bytes)?;
        self.payload().get(header..usize::from(total))
    }

    /// The source over IPv6, if it is IPv6.
    pub fn ipv6_source(&self) -> Option<Ipv6Addr> {
        let (header, _) = self.ipv6()?;
        let source: [u8; 16] = header.get(8..24)?.try_into().ok()?;
        Some(source.into())
    }

    /// What follows the IPv6 header, if it is IPv6 and of that protocol.
    pub fn ipv6_payload(&self, protocol: u8) -> Option<&[u8]> {
        let (header, payload) = self.ipv6()?;
        (header.get(6) == Some(&protocol)).then_some(payload)
    }

    /// Whether it tells everybody where `address` is: a gratuitous ARP, or an unsolicited neighbour
    /// advertisement (RFC 4861 section 4.4).
    pub fn announces(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.is_gratuitous_arp(address),
            IpAddr::V6(address) => self.ipv6_payload(ICMPV6).is_some_and(|message| {
                self.destination() == ALL_NODES
                    && message.first() == Some(&NEIGHBOUR_ADVERTISEMENT)
                    && message.get(8..24) == Some(&address.octets())
            }),
        }
    }

    /// Whether it is a gratuitous ARP for `address`: sender and target are both that address.
    pub fn is_gratuitous_arp(&self, address: Ipv4Addr) -> bool {
        let octets = address.octets();
        self.ethertype() == ARP
            && self.payload().get(14..18) == Some(&octets)
            && self.payload().get(24..28) == Some(&octets)
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes
            .get(at..at + N)
            .and_then(|field| field.try_into().ok())
            .unwrap_or([0; N])
    }

    /// The header of IPv6 and what follows it.
    fn ipv6(&self) -> Option<(&[u8], &[u8])> {
        if self.ethertype() != IPV6 {
            return None;
        }
        self.payload().split_at_checked(IPV6_HEADER)
    }

    fn ipv4(&self, at: usize, length: usize) -> Option<&[u8]> {
        if self.ethertype() != IPV4 {
            return None;
        }
        self.payload().get(at..at + length)
    }
}

/// Records frames until dropped.
#[derive(Debug)]
pub struct Capture {
    frames: Journal<Frame>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Frames are taken as they come, or with a `pace` only so often; then they wake nobody.
    pub(crate) fn start(
        namespaces: &Namespaces,
        index: u32,
        filter: Filter,
        pace: Option<Duration>,
    ) -> Result<Self> {
        let doing = "starting a capture";
        let socket = namespaces
            .run(|| open_packet(index, Packet::Capture))?
            .doing(doing)?;
        if let Some(source) = filter.not_from {
            refuse_source(socket.as_fd(), source).doing(doing)?;
        }
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = Arc::new(EventFd::from_flags(flags).doing(doing)?);
        let frames = Journal::new();
        let (kept, awake) = (frames.clone(), Arc::clone(&wake));
        let thread = thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || record(&socket, &awake, filter, pace, &kept))
            .doing(doing)?;
        Ok(Self {
            frames,
            wake,
            thread: Some(thread),
        })
    }

    /// The frames so far.
    pub fn frames(&self) -> &Journal<Frame> {
        &self.frames
    }

    /// Writes the frames so far as a pcap file with nanoseconds, for tshark.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_pcap(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_pcap_of(path, |_| true)
    }

    /// As [`Capture::write_pcap`], with those frames only that are `wanted`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_pcap_of(
        &self,
        path: impl AsRef<Path>,
        wanted: impl Fn(&Frame) -> bool,
    ) -> Result<()> {
        let path = path.as_ref();
        self.pcap(path, wanted)
            .doing(format!("writing {}", path.display()))
    }

    fn pcap(&self, path: &Path, wanted: impl Fn(&Frame) -> bool) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // Magic of nanoseconds, version 2.4, no zone, no accuracy, longest frame, Ethernet.
        for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 0x0004_0000, 1_u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        let frames = self.frames.entries();
        for frame in frames.iter().filter(|frame| wanted(frame)) {
            let seconds = u32::try_from(frame.wall.as_secs()).unwrap_or(u32::MAX);
            let size = length(&frame.bytes);
            for word in [seconds, frame.wall.subsec_nanos(), size, size] {
                file.write_all(&word.to_le_bytes())?;
            }
            file.write_all(&frame.bytes)?;
        }
        file.flush()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.wake.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn record(
    socket: &OwnedFd,
    wake: &EventFd,
    filter: Filter,
    pace: Option<Duration>,
    frames: &Journal<Frame>,
) {
    let mut buffer = vec![0; 1 << 17];
    let timeout = pace.map_or(PollTimeout::NONE, |pace| {
        PollTimeout::try_from(pace).unwrap_or(PollTimeout::MAX)
    });
    loop {
        let mut fds = [wake.as_fd(), socket.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let watched = if pace.is_some() { 1 } else { 2 };
        let polled = poll(&mut fds[..watched], timeout);
        let stop = fds[0].revents().is_some_and(|events| !events.is_empty());
        match polled {
            Ok(_) if !stop => {}
            Err(Errno::EINTR) => continue,
            Ok(_) | Err(_) => return,
        }
        while let Some(frame) = receive(socket, &mut buffer) {
            if filter.keeps(&frame) {
                frames.push(frame);
            }
        }
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Option<Frame> {
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<LinkAddr>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut space),
        MsgFlags::empty(),
    )
    .ok()?;
    let stamp = message.cmsgs().ok()?.find_map(|control| {
        if let ControlMessageOwned::ScmTimestampns(stamp) = control {
            Some(Duration::from(stamp))
        } else {
            None
        }
    });
    let outgoing = message
        .address
        .is_some_and(|from| from.pkttype() == libc::PACKET_OUTGOING);
    let length = message.bytes;
    let wall = stamp.unwrap_or_default();
    Some(Frame {
        at: Moment::from_wall(wall),
        wall,
        outgoing,
        bytes: buffer[..length].to_vec(),
    })
}
