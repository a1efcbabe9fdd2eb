//! Many packets for one system call, and room in the kernel for all of them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{setsockopt, sockopt};

use crate::sys::{self, Outgoing};

/// Room in the kernel for what is sent or received together: 4,000 packets with their bookkeeping.
/// It is a limit; what is not used takes no memory.
pub(crate) const KERNEL_BUFFER: usize = 4 << 20;

/// Sends `count` packets by as few system calls as possible. Calls `failed` for each that the
/// kernel does not take, and goes on with the next one.
pub(crate) fn send_all<'a>(
    socket: BorrowedFd<'_>,
    count: usize,
    packet: impl Fn(usize) -> Outgoing<'a>,
    mut failed: impl FnMut(usize, io::Error),
) {
    let mut next = 0;
    while next < count {
        match sys::send_many(socket, (next..count).map(&packet)) {
            Ok(sent) => next += sent,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failed(next, error);
                next += 1;
            }
        }
    }
}

/// Lets the kernel keep up to `bytes` that were not yet received, or as many as it allows a process
/// without CAP_NET_ADMIN (socket(7), SO_RCVBUFFORCE).
pub(crate) fn grow_receive_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    setsockopt(socket, sockopt::RcvBufForce, &bytes)
        .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &bytes))?;
    Ok(())
}

/// As [`grow_receive_buffer`] for what has not yet left (socket(7), SO_SNDBUFFORCE).
pub(crate) fn grow_send_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    setsockopt(socket, sockopt::SndBufForce, &bytes)
        .or_else(|_| setsockopt(socket, sockopt::SndBuf, &bytes))?;
    Ok(())
}
