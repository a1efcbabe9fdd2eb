//! Virtual routes and rules, which exist on the master (rtnetlink(7)).
//!
//! They have the protocol number [`ROUTING_PROTOCOL`], the only criterion of the daemon: a route or
//! rule with another number belongs to another program and is never changed; one with this number that
//! is not wanted was left by an earlier run. A node without routes and rules opens no socket here.
//!
//! [`Routing`] carries out what [`vrrp_node::routing`] plans: all requests of a turn in one send, to
//! which the kernel answers only rejected ones. A notification only causes a new [`Routing::dump`]. The
//! kernel filters both dumps and notifications by the mark.

pub(crate) mod codec;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{MsgFlags, send};
use vrrp_proto::Family;

use crate::netlink::{Message, NLMSG_ERROR, News};
use crate::request::ATTEMPTS;
use crate::{batch, filter, netlink, sys};
use vrrp_node::routing::change::{Change, Failure};
use vrrp_node::routing::mirror::{Dump, Mirror};

/// Protocol number of the daemon's routes (`rtm_protocol`) and rules (FRA_PROTOCOL, since Linux 4.17);
/// `ip route` and `ip rule` show it as `proto 0x56` or `proto 86`. The same number as of [the daemon's
/// addresses](vrrp_node::mirror::ADDRESS_PROTOCOL).
pub const ROUTING_PROTOCOL: u8 = vrrp_node::mirror::ADDRESS_PROTOCOL;

/// Number of changes sent by one call. If the kernel rejects them all, the answers fit into the receive
/// buffer of a process without capabilities.
const BATCH: usize = 128;

/// Receive buffer in bytes: notifications of some thousand changes by other programs.
const NEWS_BUFFER: usize = 1 << 20;

// Groups as bits (linux/rtnetlink.h).
const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTMGRP_IPV4_RULE: u32 = 0x80;
const RTMGRP_IPV6_ROUTE: u32 = 0x400;
const RTMGRP_IPV6_RULE: u32 = 1 << (libc::RTNLGRP_IPV6_RULE - 1);

/// The kernel's routes and rules: a socket for requests, and a socket for notifications of changes that
/// other programs make to the daemon's routes and rules.
#[derive(Debug)]
pub struct Routing {
    requests: OwnedFd,
    news: OwnedFd,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    dumps: u32,
}

impl Routing {
    /// Opens both sockets. Notifications are received from now on, so that no change before the first
    /// [`dump`](Self::dump) is missed.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn open() -> io::Result<Self> {
        let requests = netlink::open()?;
        batch::grow_receive_buffer(&requests, batch::KERNEL_BUFFER)?;
        // Both options are optimisations: an older kernel dumps all routes, and sends no error texts.
        for option in [libc::NETLINK_GET_STRICT_CHK, libc::NETLINK_EXT_ACK] {
            let _ = sys::set_netlink_option(requests.as_fd(), option);
        }
        let port = netlink::bind_to(&requests, 0)?;
        let news = netlink::open()?;
        batch::grow_receive_buffer(&news, NEWS_BUFFER)?;
        // The filter is attached before the socket joins the groups, so that it sees every
        // notification.
        filter::attach(&news, &filter::marked_by_others(ROUTING_PROTOCOL, port))?;
        let groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_RULE;
        netlink::bind_to(&news, groups)?;
        Ok(Self {
            requests,
            news,
            outgoing: Vec::new(),
            incoming: vec![0; netlink::DATAGRAM_LEN],
            dumps: 0,
        })
    }

    /// Discards the waiting notifications. Returns whether there were any, that is whether another
    /// program has changed routes or rules of this daemon.
    ///
    /// # Errors
    ///
    /// Fails only if the socket is invalid.
    pub fn take_news(&mut self) -> io::Result<bool> {
        let mut any = false;
        loop {
            match netlink::news(&self.news, &mut self.incoming)? {
                News::None => return Ok(any),
                News::Datagram(_) | News::Lost => any = true,
            }
        }
    }

    /// Dumps all routes and rules with the daemon's mark.
    ///
    /// # Errors
    ///
    /// An error of the kernel, or EINTR when the data changed during every attempt.
    pub fn dump(&mut self) -> io::Result<Dump> {
        for _ in 0..ATTEMPTS {
            let mut dump = Dump::default();
            let mut consistent = true;
            for family in Family::ALL {
                consistent &= self.dump_into(&mut dump, family, codec::push_route_dump)?;
                consistent &= self.dump_into(&mut dump, family, codec::push_rule_dump)?;
            }
            if consistent {
                return Ok(dump);
            }
        }
        Err(io::Error::from_raw_os_error(libc::EINTR))
    }

    /// Carries out `changes` in order. `mirror` contains them already, as
    /// [`plan`](vrrp_node::routing::plan::plan) leaves it. A change that the kernel rejects is reverted
    /// there and appended to `failures`; the remaining changes are carried out nevertheless.
    ///
    /// Deleting a route or rule that does not exist is no failure.
    pub fn apply<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c Change>,
        mirror: &mut Mirror,
        failures: &mut Vec<Failure>,
    ) {
        let mut changes = changes.peekable();
        while changes.peek().is_some() {
            let batch: Vec<&Change> = changes.by_ref().take(BATCH).collect();
            self.outgoing.clear();
            for (number, change) in (0..).zip(&batch) {
                codec::push_change(change, number, &mut self.outgoing);
            }
            let outcome = self.request(&batch, mirror, failures);
            if let Err(error) = outcome {
                for change in batch {
                    mirror.refused(change);
                    failures.push(Failure::refused(change, &error, None));
                }
            }
        }
    }

    /// Sends the encoded batch, and collects the changes that the kernel rejects.
    fn request(
        &mut self,
        batch: &[&Change],
        mirror: &mut Mirror,
        failures: &mut Vec<Failure>,
    ) -> io::Result<()> {
        send(self.requests.as_raw_fd(), &self.outgoing, MsgFlags::empty())?;
        while let Some(datagram) = netlink::receive(&self.requests, &mut self.incoming)? {
            for message in Message::all_of(datagram) {
                // The sequence number is the index in the batch.
                let number = usize::try_from(message.header.sequence_number);
                let change = number.ok().and_then(|number| batch.get(number));
                if let (NLMSG_ERROR, Some(change)) = (message.header.message_type, change)
                    && let Err(error) = message.result()
                    && !is_done_already(change, &error)
                {
                    mirror.refused(change);
                    failures.push(Failure::refused(
                        change,
                        &error,
                        codec::explanation(&message),
                    ));
                }
            }
        }
        Ok(())
    }

    fn dump_into(
        &mut self,
        dump: &mut Dump,
        family: Family,
        push_request: fn(Family, u32, &mut Vec<u8>),
    ) -> io::Result<bool> {
        self.dumps = self.dumps.wrapping_add(1);
        self.outgoing.clear();
        push_request(family, self.dumps, &mut self.outgoing);
        let (request, incoming) = (&self.outgoing, &mut self.incoming);
        netlink::dump(&self.requests, request, self.dumps, incoming, |message| {
            codec::collect(message, family, dump);
        })
    }
}

/// The descriptor of the socket for notifications.
impl AsFd for Routing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }
}

/// Whether the error means that the route or rule to be deleted does not exist.
fn is_done_already(change: &Change, error: &io::Error) -> bool {
    let gone = [libc::ESRCH, libc::ENOENT, libc::ENODEV];
    change.deletes()
        && error
            .raw_os_error()
            .is_some_and(|error| gone.contains(&error))
}
