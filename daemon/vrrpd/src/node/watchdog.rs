//! Watchdog of the unit (`WatchdogSec` of systemd.service(5), sd_notify(3)). The thread of the node
//! notifies it, because it is the one that must not hang: while it takes turns, a script or a file
//! system that does not answer is no reason to end a healthy master.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::Level;
use vrrp_linux::clock;
use vrrp_proto::Instant;

use crate::log_writer::Log;

/// Shortest time between two notifications.
const SHORTEST: Duration = Duration::from_millis(1);

/// Watchdog, notified twice in its interval.
#[derive(Debug)]
pub(super) struct Watchdog {
    socket: UnixDatagram,
    rhythm: Duration,
    due: Instant,
}

impl Watchdog {
    /// The watchdog that systemd has set for this process (`$WATCHDOG_USEC`).
    pub(super) fn of_unit(log: &Log) -> Option<Self> {
        let limit = sd_notify::watchdog_enabled()?;
        let address = env::var_os("NOTIFY_SOCKET")?;
        let socket = connect(&address);
        let complain = |error| {
            let text = format!("cannot notify the watchdog of systemd: {error}");
            log.note(Level::WARN, text);
        };
        Some(Self {
            socket: socket.map_err(complain).ok()?,
            rhythm: (limit / 2).max(SHORTEST),
            due: clock::now(),
        })
    }

    /// Time of the next notification.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Notifies systemd if it is time.
    pub(super) fn feed(&mut self, now: Instant) {
        if now >= self.due {
            self.due = now + self.rhythm;
            // A full queue of systemd holds notifications of this kind already.
            let _ = self.socket.send(b"WATCHDOG=1");
        }
    }
}

/// Connects a socket that never blocks to `$NOTIFY_SOCKET`: a path, or `@` and an abstract name.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notification_is_sent_twice_in_the_interval_and_never_blocks() {
        let name = format!("vrrpd-test-watchdog-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        let begun = clock::now();
        let mut watchdog = Watchdog {
            socket: connect(OsStr::new(&format!("@{name}"))).unwrap(),
            rhythm: Duration::from_secs(5),
            due: begun,
        };
        watchdog.feed(begun);
        watchdog.feed(begun + Duration::from_secs(4));
        watchdog.feed(begun + Duration::from_secs(5));
        assert_eq!(watchdog.due(), begun + Duration::from_secs(10));
        let mut buffer = [0; 32];
        systemd.set_nonblocking(true).unwrap();
        for _ in 0..2 {
            let length = systemd.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"WATCHDOG=1");
        }
        assert!(systemd.recv(&mut buffer).is_err(), "not before it is due");
        // More than the queue of the socket takes.
        for second in (10..100_000).step_by(5) {
            watchdog.feed(begun + Duration::from_secs(second));
        }
    }
}
