//! Address watches: the kernel's address events of a host, with their times.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::net::if_::if_indextoname;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::clock::Moment;
use crate::error::{Doing, Result};
use crate::journal::Journal;
use crate::namespace::Namespaces;
use crate::netlink::{Netlink, address_of};
use crate::sys::grow_receive_buffer;

/// `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`.
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;

/// An added or deleted address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressEvent {
    /// Time at which the event was read, some tens of microseconds after it happened.
    pub at: Moment,
    /// Whether the address was added; otherwise it was deleted.
    pub added: bool,
    /// Name of the interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
}

/// A running watch, which records the address events of a host until dropped.
#[derive(Debug)]
pub struct AddressWatch {
    events: Journal<AddressEvent>,
    lost: Arc<AtomicBool>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl AddressWatch {
    pub(crate) fn start(
        name: &str,
        namespaces: &Arc<Namespaces>,
        netlink: &Netlink,
    ) -> Result<Self> {
        let doing = format!("watching the addresses of {name}");
        let socket = namespaces.run(open)?.doing(doing.as_str())?;
        let events = Journal::new();
        // Read after the socket is open, so that no event is missed in between.
        let present = netlink.addresses(None)?;
        let now = Moment::now();
        namespaces.run(|| {
            for (index, address, prefix) in present {
                let interface = interface_name(index);
                events.push(AddressEvent {
                    at: now,
                    added: true,
                    interface,
                    address,
                    prefix,
                });
            }
        })?;
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = Arc::new(EventFd::from_flags(flags).doing(doing.as_str())?);
        let lost = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            socket,
            events: events.clone(),
            lost: Arc::clone(&lost),
            wake: Arc::clone(&wake),
        };
        let inside = Arc::clone(namespaces);
        let thread = thread::Builder::new()
            .name(format!("watch {name}"))
            .spawn(move || {
                // Interface names are resolved in the host's namespace.
                if inside.enter().is_ok() {
                    watcher.run();
                }
            })
            .doing(doing)?;
        Ok(Self {
            events,
            lost,
            wake,
            thread: Some(thread),
        })
    }

    /// The events so far; the addresses present at the start come first.
    pub fn events(&self) -> &Journal<AddressEvent> {
        &self.events
    }

    /// Spans of time in which the host held `address`; the last one may have no end yet.
    pub fn held(&self, address: IpAddr) -> Vec<(Moment, Option<Moment>)> {
        let mut spans: Vec<(Moment, Option<Moment>)> = Vec::new();
        for event in self
            .events
            .entries()
            .iter()
            .filter(|event| event.address == address)
        {
            match (event.added, spans.last_mut()) {
                (true, Some((_, None))) => {}
                (true, _) => spans.push((event.at, None)),
                (false, Some((_, end @ None))) => *end = Some(event.at),
                (false, _) => {}
            }
        }
        spans
    }

    /// Whether the kernel dropped events because the socket buffer was full.
    pub fn lost_events(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Spans of time in which two or more of `watches` held `address` at once.
pub fn held_twice(watches: &[&AddressWatch], address: IpAddr) -> Vec<(Moment, Option<Moment>)> {
    let mut changes: Vec<(Moment, bool)> = Vec::new();
    for (start, end) in watches.iter().flat_map(|watch| watch.held(address)) {
        changes.push((start, true));
        changes.extend(end.map(|end| (end, false)));
    }
    // At equal times the end sorts first: a handover without a gap is no overlap.
    changes.sort();
    let mut holders = 0_u32;
    let mut spans: Vec<(Moment, Option<Moment>)> = Vec::new();
    for (at, came) in changes {
        let before = holders;
        holders = if came {
            holders + 1
        } else {
            holders.saturating_sub(1)
        };
        if before < 2 && holders == 2 {
            spans.push((at, None));
        } else if before == 2
            && holders < 2
            && let Some((_, end)) = spans.last_mut()
        {
            *end = Some(at);
        }
    }
    spans
}

impl Drop for AddressWatch {
    fn drop(&mut self) {
        let _ = self.wake.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watcher {
    socket: Socket,
    events: Journal<AddressEvent>,
    lost: Arc<AtomicBool>,
    wake: Arc<EventFd>,
}

impl Watcher {
    fn run(mut self) {
        let mut bytes = Vec::with_capacity(1 << 16);
        loop {
            let mut fds = [self.socket.as_fd(), self.wake.as_fd()]
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            let polled = poll(&mut fds, PollTimeout::NONE);
            let stop = fds[1].revents().is_some_and(|events| !events.is_empty());
            match polled {
                Ok(_) if !stop => self.drain(&mut bytes),
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn drain(&mut self, bytes: &mut Vec<u8>) {
        loop {
            bytes.clear();
            match self.socket.recv(bytes, libc::MSG_DONTWAIT) {
                Ok(_) => self.record(bytes),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    // The kernel reports a full buffer once and goes on: the record has a gap.
                    self.lost.store(true, Ordering::Relaxed);
                }
                Err(_) => return,
            }
        }
    }

    fn record(&self, mut bytes: &[u8]) {
        let at = Moment::now();
        while let Ok(header) = NetlinkBuffer::new_checked(&bytes) {
            let length = header.length() as usize;
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes);
            let (added, message) = match message.map(|message| message.payload) {
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message))) => {
                    (true, Some(message))
                }
                Ok(NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(message))) => {
                    (false, Some(message))
                }
                Ok(_) | Err(_) => (false, None),
            };
            if let Some((index, address, prefix)) = message.as_ref().and_then(address_of) {
                let interface = interface_name(index);
                self.events.push(AddressEvent {
                    at,
                    added,
                    interface,
                    address,
                    prefix,
                });
            }
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, ADDRESS_GROUPS))?;
    grow_receive_buffer(socket.as_fd());
    Ok(socket)
}

fn interface_name(index: u32) -> String {
    if_indextoname(index).map_or_else(
        |_| format!("#{index}"),
        |name| name.to_string_lossy().into_owned(),
    )
}
