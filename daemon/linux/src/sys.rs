//! The system calls that have no safe wrapper which fits: sendmmsg(2) and recvmmsg(2) without an
//! allocation, and to addresses of packet(7).
#![expect(unsafe_code, reason = "system calls that take pointers")]

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// How many packets one system call sends or receives at most.
pub(crate) const MANY: usize = 64;

/// How long a received packet can be. The longest that a version 2 or 3 advertisement over IPv4
/// can be is 1,096 bytes: 60 of header, 8, 255 addresses and 8 of authentication.
pub(crate) const PACKET_LEN: usize = 2048;

/// One packet to be sent: its bytes in two parts, and where to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) parts: [IoSlice<'a>; 2],
    pub(crate) to: &'a Destination,
}

/// Where a packet goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Destination {
    Ipv4(libc::sockaddr_in),
    Link(libc::sockaddr_ll),
}

impl Destination {
    /// Address and length as sendmsg(2) wants them.
    const fn name(&self) -> (*const libc::c_void, usize) {
        match self {
            Self::Ipv4(address) => ((&raw const *address).cast(), size_of::<libc::sockaddr_in>()),
            Self::Link(address) => ((&raw const *address).cast(), size_of::<libc::sockaddr_ll>()),
        }
    }
}

/// Sends the first of `packets`, up to [`MANY`], by one system call that does not wait, and says
/// how many left. An error is that of the first packet.
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
        header.msg_hdr.msg_namelen = socklen(len);
        // An IoSlice has the layout of an iovec.
        header.msg_hdr.msg_iov = parts.as_mut_ptr().cast();
        header.msg_hdr.msg_iovlen = parts.len();
        count += 1;
    }
    // SAFETY: the first `count` headers point to names and parts that live until the end of this
    // function, and into bytes that live for 'a. The kernel reads them, and writes msg_len only.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A received packet beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) length: usize,
    /// When it arrived by `CLOCK_REALTIME`, on a socket with SO_TIMESTAMPNS.
    pub(crate) stamp: Option<Duration>,
}

/// Room for the one control message that is asked for (socket(7), SO_TIMESTAMPNS).
#[repr(C)]
#[derive(Clone, Copy)]
struct Control {
    header: libc::cmsghdr,
    stamp: libc::timespec,
}

impl Control {
    /// The time in it, if `length` bytes of it were written and are that.
    fn stamp(&self, length: usize) -> Option<Duration> {
        let is_stamp = length >= size_of::<Self>()
            && self.header.cmsg_level == libc::SOL_SOCKET
            && self.header.cmsg_type == libc::SCM_TIMESTAMPNS;
        let seconds = u64::try_from(self.stamp.tv_sec).ok().filter(|_| is_stamp)?;
        Some(Duration::new(
            seconds,
            u32::try_from(self.stamp.tv_nsec).ok()?,
        ))
    }
}

/// Receives packets into `buffers` by one system call that does not wait, says in `incoming` what
/// each is, and how many came. What does not fit into its buffer is cut off.
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
    let mut controls = empty_controls();
    let mut count = 0;
    let room = buffers.iter_mut().zip(&mut parts).zip(&mut controls);
    for (((buffer, part), control), header) in room.zip(&mut headers) {
        part.iov_base = buffer.as_mut_ptr().cast();
        part.iov_len = buffer.len();
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = (&raw mut *control).cast();
        header.msg_hdr.msg_controllen = size_of::<Control>();
        count += 1;
    }
    // SAFETY: the first `count` headers point to parts and controls that live until the end of this
    // function; each part is a buffer of its own that is borrowed mutably, each control takes any
    // bytes.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for ((packet, header), control) in incoming
        .iter_mut()
        .zip(&headers)
        .zip(&controls)
        .take(received)
    {
        *packet = Incoming {
            length: usize::try_from(header.msg_len).unwrap_or(usize::MAX),
            stamp: control.stamp(header.msg_hdr.msg_controllen),
        };
    }
    Ok(received)
}

/// How many packets the kernel has thrown away because a socket's receive buffer was full
/// (SO_MEMINFO, since Linux 4.12). What a filter drops is not among them.
pub(crate) fn overflowed(socket: BorrowedFd<'_>) -> io::Result<u32> {
    /// SK_MEMINFO_VARS and SK_MEMINFO_DROPS of linux/sock_diag.h.
    const VARS: usize = 9;
    const DROPS: usize = 8;
    let mut values = [0_u32; VARS];
    let mut length = socklen(size_of_val(&values));
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

/// Headers that point to nothing.
const fn empty_headers() -> [libc::mmsghdr; MANY] {
    // SAFETY: a struct of integers and pointers, for which zero is a value.
    unsafe { mem::zeroed() }
}

/// Controls of zeros.
const fn empty_controls() -> [Control; MANY] {
    // SAFETY: a struct of integers, for which zero is a value.
    unsafe { mem::zeroed() }
}

fn socklen(len: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(len).expect("addresses are shorter than 4 GiB")
}
