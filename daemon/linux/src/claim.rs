//! The claim of a network namespace: one daemon in each, because every daemon deletes what bears its mark and
//! is not in its own configuration.
//!
//! The claim is a listening socket with an abstract name (unix(7)). Such names exist once per network
//! namespace, as the addresses do, whatever directories, mounts and process numbers the two daemons see, and
//! the kernel frees the name when the process ends.
//!
//! Any user can take an abstract name. Only the socket of root, of the own user, or of a process with
//! CAP_NET_ADMIN counts, so that an unprivileged process cannot keep the daemon from starting.

use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use caps::{CapSet, Capability};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use socket2::{Domain, SockAddr, Socket, Type};

const NAME: &str = "vrrpd";

/// Claim of the network namespace of the thread that took it. It ends with this value.
#[derive(Debug)]
pub struct Claim(Result<UnixListener, Squatter>);

/// Process that has taken the name without being a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Squatter {
    /// Its user, or `None` if its socket takes no more connections.
    pub uid: Option<u32>,
}

/// Another daemon of this network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process number, or 0 if it runs in a PID namespace that this process does not see.
    pub pid: i32,
}

/// Failure to claim the network namespace.
#[derive(Debug, thiserror::Error)]
pub enum Unclaimed {
    /// Another daemon has claimed it.
    #[error("{0}")]
    Taken(Holder),
    /// The kernel rejected the socket.
    #[error("cannot claim this network namespace (abstract socket @{NAME}): {0}")]
    Rejected(#[from] io::Error),
}

/// Failure to take over from another daemon, which serves on.
#[derive(Debug, thiserror::Error)]
pub enum Unreplaced {
    /// The daemon runs in a PID namespace that this process does not see.
    #[error("{0}: send it SIGUSR2 there, and start this one at once without --take-over")]
    Invisible(Holder),
    /// The kernel rejected the signal.
    #[error("{0}, and cannot be sent SIGUSR2: {1}")]
    Unsignalled(Holder, io::Error),
    /// The daemon does not end.
    #[error("{0}, and has not ended {limit} s after SIGUSR2", limit = .1.as_secs())]
    Runs(Holder, Duration),
}

impl Holder {
    /// Asks this daemon to leave everything to the next process (SIGUSR2), and waits until it has ended. The
    /// network namespace is free then.
    ///
    /// # Errors
    ///
    /// If it cannot be signalled, or has not ended within `limit`.
    pub fn replace(self, limit: Duration) -> Result<(), Unreplaced> {
        let unsignalled = |error: io::Error| Unreplaced::Unsignalled(self, error);
        let pid = Pid::from_raw(self.pid).ok_or(Unreplaced::Invisible(self))?;
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            // It has just ended by itself.
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            other => other.map_err(|error| unsignalled(error.into()))?,
        };
        // Otherwise the daemon has ended, and the descriptor may be that of another process with its number.
        if holder().map_err(unsignalled)? != Some(self) {
            return Ok(());
        }
        pidfd_send_signal(&process, Signal::USR2).map_err(|error| unsignalled(error.into()))?;
        // Readable once the process has ended.
        let mut end = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        match poll(
            &mut end,
            PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(0) => Err(Unreplaced::Runs(self, limit)),
            Ok(_) => Ok(()),
            Err(error) => Err(unsignalled(error.into())),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another vrrpd runs in this network namespace")?;
        match self.pid {
            0 => f.write_str(" (in another PID namespace)"),
            pid => write!(f, " (process {pid})"),
        }
    }
}

impl fmt::Display for Squatter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid {
            Some(uid) => write!(f, "a process of user {uid} has taken"),
            None => f.write_str("a process that does not answer has taken"),
        }?;
        write!(f, " the abstract socket @{NAME}")
    }
}

impl Claim {
    /// Claims the network namespace of this thread.
    ///
    /// # Errors
    ///
    /// If another daemon has claimed it, or the kernel rejects the socket.
    pub fn take() -> Result<Self, Unclaimed> {
        // The other one may end between the two requests.
        for _ in 0..ATTEMPTS {
            match UnixListener::bind_addr(&SocketAddr::from_abstract_name(NAME)?) {
                Ok(listener) => return Ok(Self(Ok(listener))),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error.into()),
            }
            match owner()? {
                Some(Owner::Daemon(holder)) => return Err(Unclaimed::Taken(holder)),
                Some(Owner::Squatter(squatter)) => return Ok(Self(Err(squatter))),
                None => {}
            }
        }
        Err(io::Error::from(io::ErrorKind::AddrInUse).into())
    }

    /// The process because of which another daemon would not notice this one.
    pub fn squatter(&self) -> Option<Squatter> {
        self.0.as_ref().err().copied()
    }

    /// Another handle of the socket. The connections of other daemons have to be accepted and closed:
    /// with a full queue this daemon would look like one that does not answer.
    ///
    /// # Errors
    ///
    /// If the process has no free descriptor.
    pub fn listener(&self) -> io::Result<Option<UnixListener>> {
        let listener = self.0.as_ref().ok();
        listener.map(UnixListener::try_clone).transpose()
    }
}

/// Returns the daemon that has claimed the network namespace of this thread.
///
/// # Errors
///
/// If the kernel rejects the socket.
pub fn holder() -> io::Result<Option<Holder>> {
    Ok(match owner()? {
        Some(Owner::Daemon(holder)) => Some(holder),
        Some(Owner::Squatter(_)) | None => None,
    })
}

/// Number of attempts to claim.
const ATTEMPTS: u8 = 3;

enum Owner {
    Daemon(Holder),
    Squatter(Squatter),
}

fn owner() -> io::Result<Option<Owner>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue would block.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(format!("\0{NAME}"))?) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Ok(Some(Owner::Squatter(Squatter { uid: None })));
        }
        Err(error) => return Err(error),
    }
    let credentials = getsockopt(&socket, PeerCredentials)?;
    let is_trusted = [0, nix::unistd::geteuid().as_raw()].contains(&credentials.uid())
        || may_change_addresses(credentials.pid());
    Ok(Some(match is_trusted {
        true => Owner::Daemon(Holder {
            pid: credentials.pid(),
        }),
        false => Owner::Squatter(Squatter {
            uid: Some(credentials.uid()),
        }),
    }))
}

/// Whether a process may be a daemon under another user.
fn may_change_addresses(pid: i32) -> bool {
    let is_visible = pid > 0;
    is_visible
        && caps::has_cap(Some(pid), CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap_or(false)
}
