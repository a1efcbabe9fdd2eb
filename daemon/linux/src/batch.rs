//! Sends many packets by one system call, and sizes the kernel's buffers for them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{setsockopt, sockopt};

use crate::sys::{self, Outgoing};

/// Send or receive buffer in bytes: 4,000 packets with their bookkeeping. The value is a limit; unused
/// buffer takes no memory.
pub(crate) const KERNEL_BUFFER: usize = 4 << 20;

/// Sends `count` packets by as few system calls as possible. Calls `failed` for each that the kernel
/// rejects, and goes on with the next.
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
                // The error is that of the first packet: skip only this one.
                failed(next, error);
                next += 1;
            }
        }
    }
}

/// Sets the receive buffer to `bytes`, or without CAP_NET_ADMIN to at most the sysctl net.core.rmem_max
/// (socket(7), SO_RCVBUFFORCE).
pub(crate) fn grow_receive_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    setsockopt(socket, sockopt::RcvBufForce, &bytes)
        .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &bytes))?;
    Ok(())
}

/// Sets the send buffer, as [`grow_receive_buffer`] does (socket(7), SO_SNDBUFFORCE).
pub(crate) fn grow_send_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    setsockopt(socket, sockopt::SndBufForce, &bytes)
        .or_else(|_| setsockopt(socket, sockopt::SndBuf, &bytes))?;
    Ok(())
}
