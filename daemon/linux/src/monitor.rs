//! Notifications of links and addresses (rtnetlink(7)).
//!
//! The kernel also notifies of the daemon's own changes, once for each. A filter in the kernel drops
//! these before they wake the node; see [`crate::request`] for the requests. Side effects of the
//! daemon's own changes, such as secondaries that are deleted with their primary, are received. So are
//! the daemon's own changes of IPv6 addresses, because the kernel does not name the program that made
//! them: they put the [`Mirror`](vrrp_node::mirror::Mirror::in_doubt) in doubt.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::batch;
use crate::filter;
use crate::netlink::{self, Message, News};
use vrrp_node::mirror::Event;
use vrrp_proto::Loss;

/// Receive buffer in bytes: notifications of 8,000 changes by other programs between two reads.
const RECEIVE_BUFFER: usize = 8 << 20;

// Groups as bits (linux/rtnetlink.h).
const RTMGRP_LINK: u32 = 1;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV6_IFADDR: u32 = 0x100;

/// A netlink socket that receives notifications of changes by other programs.
#[derive(Debug)]
pub struct Monitor {
    socket: OwnedFd,
    incoming: Vec<u8>,
    /// Port ID of the daemon's requests.
    port: u32,
}

/// Whether all changes were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// No notification was lost.
    All,
    /// Notifications were lost: dump everything again by
    /// [`Requests::dump`](crate::request::Requests::dump).
    Overrun,
}

impl Monitor {
    /// Opens a monitor that ignores the changes of the [`Requests`](crate::request::Requests) with this
    /// port ID. Open it before the first dump, so that no change in between is missed.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn open(port: u32) -> io::Result<Self> {
        let socket = netlink::open()?;
        batch::grow_receive_buffer(&socket, RECEIVE_BUFFER)?;
        // The filter is attached before the socket joins the groups, so that it sees every
        // notification.
        filter::attach(&socket, &filter::all_but_own(port))?;
        let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
        netlink::bind_to(&socket, groups)?;
        Ok(Self {
            socket,
            incoming: vec![0; netlink::DATAGRAM_LEN],
            port,
        })
    }

    /// Reads all waiting notifications and appends them to `events`.
    ///
    /// # Errors
    ///
    /// Fails only if the socket is invalid.
    pub fn read(&mut self, events: &mut Vec<Event>) -> io::Result<Heard> {
        let mut heard = Heard::All;
        loop {
            match netlink::news(&self.socket, &mut self.incoming)? {
                News::None => return Ok(heard),
                News::Datagram(datagram) => {
                    let port = self.port;
                    events.extend(Message::all_of(datagram).filter_map(|message| {
                        let mut event = message.event()?;
                        if let Event::AddressRemoved(_, _, loss) = &mut event
                            && message.header.port_number == port
                        {
                            // A side effect of the daemon's own request.
                            *loss = Loss::Unknown;
                        }
                        Some(event)
                    }));
                }
                News::Lost => heard = Heard::Overrun,
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
