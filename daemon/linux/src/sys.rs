//! System calls without a suitable safe wrapper: sendmmsg(2) and recvmmsg(2) without allocation, and to
//! addresses of packet(7); options of netlink(7); the inherited disposition of SIGCHLD; the IDs of a program; the state of the clock.
#![expect(
    unsafe_code,
    reason = "system calls that take pointers or come between fork and exec"
)]

use std::io::{self, IoSlice};
use std::mem;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

/// Maximum number of packets that one system call sends or receives.
pub(crate) const MANY: usize = 64;

/// Buffer size for a received packet, in bytes. The longest advertisement over IPv4 has 1,096 bytes: 60
/// of header, 8 of VRRP header, 255 addresses and 8 of authentication. Over IPv6, where the header is not
/// received, it has no more than a link of 1,500 bytes carries unless it arrives in fragments.
pub(crate) const PACKET_LEN: usize = 2048;

/// A packet to be sent: its bytes in two parts, and its destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) parts: [IoSlice<'a>; 2],
    pub(crate) to: &'a Destination,
}

/// Destination address of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Destination {
    Ipv4(libc::sockaddr_in),
    Ipv6(libc::sockaddr_in6),
    Link(libc::sockaddr_ll),
}

impl Destination {
    /// Pointer and length of the address as sendmsg(2) takes them.
    const fn name(&self) -> (*const libc::c_void, usize) {
        match self {
            Self::Ipv4(address) => ((&raw const *address).cast(), size_of::<libc::sockaddr_in>()),
            Self::Ipv6(address) => (
                (&raw const *address).cast(),
                size_of::<libc::sockaddr_in6>(),
            ),
            Self::Link(address) => ((&raw const *address).cast(), size_of::<libc::sockaddr_ll>()),
        }
    }
}

/// Sends the first of `packets`, up to [`MANY`], by one non-blocking system call. Returns the number of
/// packets sent. An error is that of the first packet.
pub(crate) fn send_many<'a>(
    socket: BorrowedFd<'_>,
    packets: impl Iterator<Item = Outgoing<'a>>,
) -> io::Result<usize> {
    let mut parts = [[IoSlice::new(&[]); 2]; MANY];
    let mut headers = empty_headers();
    let mut count = 0;
    for ((packet, parts), header) in packets.zip(&mut parts).zip(&mut headers) {
        *parts = packet.parts;
        let (name, len) = packet.to.name();
        header.msg_hdr.msg_name = name.cast_mut();
        header.msg_hdr.msg_namelen = fitting(len);
        // An IoSlice has the layout of an iovec.
        header.msg_hdr.msg_iov = parts.as_mut_ptr().cast();
        header.msg_hdr.msg_iovlen = fitting(parts.len());
        count += 1;
    }
    // SAFETY: the first `count` headers point to names and parts that live until the end of this
    // function, and into bytes that live for 'a. The kernel reads them, and writes msg_len only.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            fitting(libc::MSG_DONTWAIT),
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Metadata of a received packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) length: usize,
    /// Arrival time by `CLOCK_REALTIME`, on a socket with SO_TIMESTAMPNS.
    pub(crate) stamp: Option<Duration>,
    /// Fields of the IPv6 header, which is not among the bytes, on a socket with IPV6_RECVPKTINFO and
    /// IPV6_RECVHOPLIMIT.
    pub(crate) ipv6: Option<Ipv6Header>,
}

/// Fields of the header of a received IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipv6Header {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) hop_limit: u8,
}

/// Buffer for the control messages that the sockets enable: SO_TIMESTAMPNS (socket(7)) in 32 bytes,
/// IPV6_PKTINFO (ipv6(7)) in 40 and IPV6_HOPLIMIT in 24.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control {
    bytes: [u8; 96],
}

impl Control {
    /// Iterates over the control messages in the first `length` bytes: level, type and data (cmsg(3)).
    fn messages(&self, length: usize) -> impl Iterator<Item = (i32, i32, &[u8])> {
        let mut rest = self.bytes.get(..length).unwrap_or_default();
        std::iter::from_fn(move || {
            let (head, _) = rest.split_first_chunk::<CMSG_HEADER_LEN>()?;
            let [len @ .., a, b, c, d, e, f, g, h] = *head;
            let len = usize::from_ne_bytes(len);
            let level = i32::from_ne_bytes([a, b, c, d]);
            let kind = i32::from_ne_bytes([e, f, g, h]);
            let data = rest.get(CMSG_HEADER_LEN..len)?;
            rest = rest
                .get(len.next_multiple_of(size_of::<usize>())..)
                .unwrap_or_default();
            Some((level, kind, data))
        })
    }
}

/// Length of struct cmsghdr: a size_t and two ints.
const CMSG_HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// Parses the data of a SCM_TIMESTAMPNS: struct timespec.
fn stamp(data: &[u8]) -> Option<Duration> {
    let (seconds, rest) = data.split_first_chunk()?;
    let nanos = i64::from_ne_bytes(*rest.first_chunk()?);
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).ok()?;
    Some(Duration::new(seconds, u32::try_from(nanos).ok()?))
}

impl Incoming {
    fn new(length: usize, source: &libc::sockaddr_in6, control: &Control, used: usize) -> Self {
        let (mut arrived, mut destination, mut hop_limit) = (None, None, None);
        for (level, kind, data) in control.messages(used) {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => arrived = stamp(data),
                // struct in6_pktinfo begins with the address.
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    destination = data.first_chunk::<16>().map(|a| Ipv6Addr::from(*a));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    hop_limit = data
                        .first_chunk()
                        .and_then(|limit| u8::try_from(i32::from_ne_bytes(*limit)).ok());
                }
                _ => {}
            }
        }
        let ipv6 = || {
            Some(Ipv6Header {
                source: Ipv6Addr::from(source.sin6_addr.s6_addr),
                destination: destination?,
                hop_limit: hop_limit?,
            })
        };
        Self {
            length,
            stamp: arrived,
            ipv6: ipv6(),
        }
    }
}

/// Receives packets into `buffers` by one non-blocking system call. Describes each in `incoming` and
/// returns their number. A packet that is longer than its buffer is truncated.
pub(crate) fn receive_many(
    socket: BorrowedFd<'_>,
    buffers: &mut [[u8; PACKET_LEN]],
    incoming: &mut [Incoming; MANY],
) -> io::Result<usize> {
    let mut headers = empty_headers();
    let mut parts = [libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    }; MANY];
    let mut controls = [Control { bytes: [0; 96] }; MANY];
    // An IPv4 socket yields a shorter address, which is ignored: the packet's header has the source.
    let mut sources = empty_sources();
    let mut count = 0;
    let room = buffers
        .iter_mut()
        .zip(&mut parts)
        .zip(&mut controls)
        .zip(&mut sources);
    for ((((buffer, part), control), source), header) in room.zip(&mut headers) {
        part.iov_base = buffer.as_mut_ptr().cast();
        part.iov_len = buffer.len();
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = (&raw mut *control).cast();
        header.msg_hdr.msg_controllen = fitting(size_of::<Control>());
        header.msg_hdr.msg_name = (&raw mut *source).cast();
        header.msg_hdr.msg_namelen = fitting(size_of::<libc::sockaddr_in6>());
        count += 1;
    }
    // SAFETY: the first `count` headers point to parts, controls and sources that live until the end
    // of this function; each part is a separate buffer that is borrowed mutably, each control and
    // source takes any bytes.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            fitting(libc::MSG_DONTWAIT),
            std::ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let came = headers.iter().zip(&controls).zip(&sources).take(received);
    for (packet, ((header, control), source)) in incoming.iter_mut().zip(came) {
        let length = usize::try_from(header.msg_len).unwrap_or(usize::MAX);
        let used = fitting(header.msg_hdr.msg_controllen);
        *packet = Incoming::new(length, source, control, used);
    }
    Ok(received)
}

/// Number of packets that the kernel dropped because the socket's receive buffer was full (SO_MEMINFO,
/// since Linux 4.12). Packets dropped by a filter are not counted.
pub(crate) fn overflowed(socket: BorrowedFd<'_>) -> io::Result<u32> {
    /// SK_MEMINFO_VARS and SK_MEMINFO_DROPS of linux/sock_diag.h.
    const VARS: usize = 9;
    const DROPS: usize = 8;
    let mut values = [0_u32; VARS];
    let mut length = fitting(size_of_val(&values));
    // SAFETY: the kernel writes at most `length` bytes to `values` and how many to `length`; both
    // live through the call, and any bytes are integers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(values[DROPS])
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Enables an option of netlink(7).
pub(crate) fn set_netlink_option(socket: BorrowedFd<'_>, option: libc::c_int) -> io::Result<()> {
    enable(socket, libc::SOL_NETLINK, option)
}

/// Has a packet socket leave out the frames that this host sends (packet(7), since Linux 4.20).
pub(crate) fn set_ignore_outgoing(socket: BorrowedFd<'_>) -> io::Result<()> {
    enable(socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING)
}

/// Binds a packet socket to the frames of a protocol on one interface, or of all with ETH_P_ALL.
pub(crate) fn bind_to_link(
    socket: BorrowedFd<'_>,
    interface: u32,
    protocol: libc::c_int,
) -> io::Result<()> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "17 and an ethertype"
    )]
    let (family, protocol) = (libc::AF_PACKET as u16, protocol as u16);
    let address = libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: protocol.to_be(),
        // An index above i32::MAX is invalid in the kernel.
        sll_ifindex: i32::try_from(interface).unwrap_or(-1),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the kernel reads as many bytes as there are of an address that lives through the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            fitting(size_of_val(&address)),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn enable(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads as many bytes as there are of an integer that lives through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            fitting(size_of_val(&on)),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Restores the default disposition of SIGCHLD, unless it has a handler.
pub(crate) fn restore_child_signal() -> io::Result<()> {
    // SAFETY: a struct of integers and a function pointer that may be null, for which zero is a
    // value: SIG_DFL without flags.
    let default: libc::sigaction = unsafe { mem::zeroed() };
    let mut present = default;
    // SAFETY: `present` is a live sigaction that the kernel fills in; a null pointer changes nothing.
    let result = unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut present) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let is_ignored = present.sa_sigaction == libc::SIG_IGN;
    if !is_ignored && present.sa_flags & libc::SA_NOCLDWAIT == 0 {
        return Ok(());
    }
    // SAFETY: `default` is a live sigaction without a handler, so no code of this process runs.
    let result =
        unsafe { libc::sigaction(libc::SIGCHLD, &raw const default, std::ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets the IDs of a program between fork and exec, the user last, because only root may set the others.
pub(crate) fn run_as(command: &mut Command, user: Uid, group: Gid, groups: Vec<Gid>) {
    let set = move || {
        nix::unistd::setgroups(&groups)?;
        nix::unistd::setgid(group)?;
        nix::unistd::setuid(user)?;
        Ok(())
    };
    // SAFETY: the closure makes three system calls. It allocates nothing, takes no lock, and reads memory that
    // was allocated before the fork.
    unsafe { command.pre_exec(set) };
}

/// Whether the kernel's clock is synchronised with another one (adjtimex(2)), as an NTP client reports it.
pub(crate) fn is_clock_synchronised() -> io::Result<bool> {
    // SAFETY: a struct of integers, for which zero is a value; with `modes` 0 the call only reads.
    let mut state: libc::timex = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes to `state`, which lives through the call.
    match unsafe { libc::adjtimex(&raw mut state) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(state.status & libc::STA_UNSYNC == 0),
    }
}

/// Message headers with null pointers.
const fn empty_headers() -> [libc::mmsghdr; MANY] {
    // SAFETY: a struct of integers and pointers, for which zero is a value.
    unsafe { mem::zeroed() }
}

/// Zeroed socket addresses.
const fn empty_sources() -> [libc::sockaddr_in6; MANY] {
    // SAFETY: a struct of integers, for which zero is a value.
    unsafe { mem::zeroed() }
}

/// Converts a small number to the type that a C library has for it: glibc and musl differ.
fn fitting<T: TryFrom<U>, U>(number: U) -> T {
    T::try_from(number).unwrap_or_else(|_| unreachable!("a small number, never negative"))
}
