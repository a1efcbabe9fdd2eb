//! News of links and addresses (rtnetlink(7)).
//!
//! The kernel notifies of our own changes as well, once for each. A filter in the kernel drops those
//! before they wake the node; see [`crate::request`] for the other half of this. The consequences of our
//! own changes, such as the secondaries that go with their primary, are heard. So are our own changes of
//! IPv6 addresses, because the kernel does not say which program made them: they put the
//! [`Mirror`](vrrp_node::mirror::Mirror::is_in_doubt) in doubt.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::batch;
use crate::filter;
use crate::netlink::{self, Message, News};
use vrrp_node::mirror::Event;

/// Room in the kernel for the notifications of 8,000 changes by others between two reads.
const RECEIVE_BUFFER: usize = 8 << 20;

// Groups as bits (linux/rtnetlink.h).
const RTMGRP_LINK: u32 = 1;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV6_IFADDR: u32 = 0x100;

/// A netlink socket that hears of changes by others.
#[derive(Debug)]
pub struct Monitor {
    socket: OwnedFd,
    incoming: Vec<u8>,
}

/// Whether all changes were heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// All of them.
    All,
    /// Some were lost: look at everything again by [`Requests::dump`](crate::request::Requests::dump).
    Overrun,
}

impl Monitor {
    /// A monitor that does not hear what `requests` asks for. To be opened before the first dump,
    /// so that nothing is missed in between.
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    pub fn open(port: u32) -> io::Result<Self> {
        let socket = netlink::open()?;
        batch::grow_receive_buffer(&socket, RECEIVE_BUFFER)?;
        filter::attach(&socket, &filter::all_but_own(port))?;
        let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
        netlink::bind_to(&socket, groups)?;
        Ok(Self {
            socket,
            incoming: vec![0; netlink::DATAGRAM_LEN],
        })
    }

    /// Takes all that has changed, and appends it to `events`.
    ///
    /// # Errors
    ///
    /// None that a valid socket could cause.
    pub fn read(&mut self, events: &mut Vec<Event>) -> io::Result<Heard> {
        let mut heard = Heard::All;
        loop {
            match netlink::news(&self.socket, &mut self.incoming)? {
                News::None => return Ok(heard),
                News::Datagram(datagram) => {
                    events.extend(Message::all_of(datagram).filter_map(|message| message.event()));
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
