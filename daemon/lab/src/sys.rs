//! Kernel calls that no safe crate offers: packet sockets with their options, and a seccomp filter.
#![expect(
    unsafe_code,
    reason = "AF_PACKET and seccomp have no safe wrapper in nix"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes of C structures and constants that the kernel keeps in narrower fields"
)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket, sockopt};

/// `PACKET_IGNORE_OUTGOING` and `PACKET_VNET_HDR` of `linux/if_packet.h`.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const PACKET_VNET_HDR: libc::c_int = 15;

/// Purpose of an [`open_packet`] socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// Receives every frame of the interface, in both directions.
    Capture,
    /// Receives incoming frames, each with its offload header, and sends frames in the same form.
    Relay,
    /// Sends frames and receives none.
    Inject,
}

/// Opens a non-blocking packet socket on the interface `index` of the current network namespace.
pub(crate) fn open_packet(index: u32, purpose: Packet) -> io::Result<OwnedFd> {
    // Protocol 0 until bound: the socket must not receive frames of another interface.
    let fd = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None::<SockProtocol>,
    )?;
    let borrowed = std::os::fd::AsFd::as_fd(&fd);
    grow_receive_buffer(borrowed);
    match purpose {
        Packet::Capture => {
            nix::sys::socket::setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
            let request = libc::packet_mreq {
                mr_ifindex: index.cast_signed(),
                mr_type: libc::PACKET_MR_PROMISC as u16,
                mr_alen: 0,
                mr_address: [0; 8],
            };
            set(borrowed, libc::PACKET_ADD_MEMBERSHIP, &request)?;
        }
        Packet::Relay => {
            // Otherwise the relay would receive its own frames and loop them.
            set(borrowed, PACKET_IGNORE_OUTGOING, &1_i32)?;
            set(borrowed, PACKET_VNET_HDR, &1_i32)?;
        }
        Packet::Inject => {}
    }
    let protocol = match purpose {
        Packet::Capture | Packet::Relay => libc::ETH_P_ALL as u16,
        Packet::Inject => 0,
    };
    bind(borrowed, index, protocol)?;
    Ok(fd)
}

/// Drops frames from the MAC address `source` in the kernel, before they reach the packet socket.
pub(crate) fn drop_source(fd: BorrowedFd<'_>, source: [u8; 6]) -> io::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let [a, b, c, d, e, f] = source;
    // The source address follows the destination address, at offset 6.
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 6),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            3,
            u32::from_be_bytes([a, b, c, d]),
        ),
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 10),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            u16::from_be_bytes([e, f]).into(),
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as libc::c_ushort,
        filter: steps.as_mut_ptr(),
    };
    // `program` points to `steps`, which outlive the call; the kernel copies them.
    set_at(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Requests a receive buffer of 16 MiB, or the largest that the kernel grants: a burst must not
/// cost events.
pub(crate) fn grow_receive_buffer(fd: BorrowedFd<'_>) {
    const SIZE: usize = 16 << 20;
    // SO_RCVBUFFORCE needs CAP_NET_ADMIN in the initial user namespace, which an ordinary user lacks.
    if nix::sys::socket::setsockopt(&fd, sockopt::RcvBufForce, &SIZE).is_err() {
        let _ = nix::sys::socket::setsockopt(&fd, sockopt::RcvBuf, &SIZE);
    }
}

fn bind(fd: BorrowedFd<'_>, index: u32, protocol: u16) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `address` is a whole sockaddr_ll that outlives the call, and its true size is given.
    let result = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set<T>(fd: BorrowedFd<'_>, option: libc::c_int, value: &T) -> io::Result<()> {
    set_at(fd, libc::SOL_PACKET, option, value)
}

fn set_at<T>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: `value` points to a live plain C value and its true size is given; the kernel only
    // reads it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes `setgroups` succeed without effect, in this process and all its descendants.
///
/// The user namespace of an ordinary user has one user and one group, and its kernel forbids
/// `setgroups`. Daemons that drop groups before they run a script (keepalived) would then not run
/// the script.
pub(crate) fn ignore_setgroups() -> io::Result<()> {
    /// `AUDIT_ARCH_*` of `linux/audit.h`.
    const ARCH: u32 = if cfg!(target_arch = "x86_64") {
        0xc000_003e
    } else if cfg!(target_arch = "aarch64") {
        0xc000_00b7
    } else {
        0
    };
    // On an unknown architecture the filter would match the wrong call.
    if ARCH == 0 {
        return Ok(());
    }
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    // Offsets in struct seccomp_data: 4 for the architecture, 0 for the system call number.
    let mut steps = [
        step(load, 0, 0, 4),
        step(equal, 0, 3, ARCH),
        step(load, 0, 0, 0),
        step(equal, 0, 1, libc::SYS_setgroups.cast_unsigned() as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as libc::c_ushort,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: `program` points to `steps`, both live through the call, and the kernel copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
