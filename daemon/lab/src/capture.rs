//! Captured frames, with the kernel's receive timestamps.

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
use crate::sys::{Packet, drop_source, open_packet};

const ETHERNET_HEADER: usize = 14;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const IPV6_HEADER: usize = 40;
/// IP protocol number of ICMPv6, and its message type for neighbour advertisements.
const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Ethernet multicast address of all IPv6 nodes (ff02::1).
const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
/// IP protocol number of VRRP.
const VRRP: u8 = 112;

/// Selection of the frames that a capture keeps. The default keeps all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Keep only this EtherType.
    pub ethertype: Option<u16>,
    /// Keep only this protocol over IPv4.
    pub protocol: Option<u8>,
    /// Drop frames from this MAC address, in the kernel, so that a flood does not reach the
    /// capture.
    pub not_from: Option<[u8; 6]>,
}

impl Filter {
    /// Keeps every frame.
    pub fn all() -> Self {
        Self::default()
    }

    /// Keeps ARP only.
    pub fn arp() -> Self {
        Self {
            ethertype: Some(ARP),
            ..Self::default()
        }
    }

    /// Keeps VRRP over IPv4 only.
    pub fn vrrp() -> Self {
        Self {
            ethertype: Some(IPV4),
            protocol: Some(VRRP),
            ..Self::default()
        }
    }

    /// Additionally drops frames from the MAC address `source`.
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
            // For frames that arrived before the kernel filter was attached.
            && self.not_from.is_none_or(|source| frame.source() != source)
    }
}

/// A captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Time of reception by the kernel.
    pub at: Moment,
    /// The same time on the wall clock, since 1970.
    pub wall: Duration,
    /// Whether the frame was sent through the interface; always `false` on a segment.
    pub outgoing: bool,
    /// The whole frame, beginning with the destination MAC address.
    pub bytes: Vec<u8>,
}

impl Frame {
    /// Destination MAC address.
    pub fn destination(&self) -> [u8; 6] {
        self.field(0)
    }

    /// Source MAC address.
    pub fn source(&self) -> [u8; 6] {
        self.field(6)
    }

    /// EtherType.
    pub fn ethertype(&self) -> u16 {
        u16::from_be_bytes(self.field(12))
    }

    /// Bytes after the Ethernet header.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(ETHERNET_HEADER..).unwrap_or_default()
    }

    /// IP protocol number, if the frame is IPv4.
    pub fn ip_protocol(&self) -> Option<u8> {
        self.ipv4(9, 1)?.first().copied()
    }

    /// IPv4 source address, if the frame is IPv4.
    pub fn ip_source(&self) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.ipv4(12, 4)?)
            .ok()
            .map(Ipv4Addr::from)
    }

    /// Bytes after the IPv4 header, without Ethernet padding, if the frame is IPv4.
    pub fn ip_payload(&self) -> Option<&[u8]> {
        let header = usize::from(self.ipv4(0, 1)?.first()? & 0x0f) * 4;
        let total = <[u8; 2]>::try_from(self.ipv4(2, 2)?)
            .ok()
            .map(u16::from_be_bytes)?;
        self.payload().get(header..usize::from(total))
    }

    /// IPv6 source address, if the frame is IPv6.
    pub fn ipv6_source(&self) -> Option<Ipv6Addr> {
        let (header, _) = self.ipv6()?;
        let source: [u8; 16] = header.get(8..24)?.try_into().ok()?;
        Some(source.into())
    }

    /// Bytes after the IPv6 header, if the frame is IPv6 with the next header `protocol`.
    pub fn ipv6_payload(&self, protocol: u8) -> Option<&[u8]> {
        let (header, payload) = self.ipv6()?;
        (header.get(6) == Some(&protocol)).then_some(payload)
    }

    /// Whether the frame announces the MAC address of `address` to all hosts: a gratuitous ARP, or
    /// an unsolicited neighbour advertisement (RFC 4861 section 4.4).
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

    /// Whether the frame is a gratuitous ARP for `address`: sender and target address are both
    /// `address`.
    pub fn is_gratuitous_arp(&self, address: Ipv4Addr) -> bool {
        let octets = address.octets();
        self.ethertype() == ARP
            && self.payload().get(14..18) == Some(&octets)
            && self.payload().get(24..28) == Some(&octets)
    }

    /// Whether the frame asks for the MAC address of `target` from `source`: an ARP request, or a neighbour
    /// solicitation (RFC 4861 section 4.3).
    pub fn asks(&self, source: IpAddr, target: IpAddr) -> bool {
        match (source, target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let arp = self.payload();
                self.ethertype() == ARP
                    && arp.get(6..8) == Some(&[0, 1])
                    && arp.get(14..18) == Some(&source.octets())
                    && arp.get(24..28) == Some(&target.octets())
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let message = self.ipv6_payload(ICMPV6).unwrap_or_default();
                self.ipv6_source() == Some(source)
                    && message.first() == Some(&NEIGHBOUR_SOLICITATION)
                    && message.get(8..24) == Some(&target.octets())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes
            .get(at..at + N)
            .and_then(|field| field.try_into().ok())
            .unwrap_or([0; N])
    }

    /// IPv6 header and the bytes after it.
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

/// A running capture, which records frames until dropped.
#[derive(Debug)]
pub struct Capture {
    frames: Journal<Frame>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts a capture. With a `pace` the frames are collected only once per `pace`, and do not
    /// wake the thread.
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
            drop_source(socket.as_fd(), source).doing(doing)?;
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
    /// If the file cannot be written.
    pub fn write_pcap(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_pcap_of(path, |_| true)
    }

    /// As [`Capture::write_pcap`], for the frames that are `wanted`.
    ///
    /// # Errors
    /// If the file cannot be written.
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
        // pcap header: magic for nanoseconds, version 2.4, time zone 0, accuracy 0, longest frame,
        // Ethernet.
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
        // With a pace only the stop signal is polled; the frames wait in the socket until the timeout.
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
