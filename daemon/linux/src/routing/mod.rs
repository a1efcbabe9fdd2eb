//! Routes and rules that follow the masters (rtnetlink(7)).
//!
//! They bear a protocol number, [`ROUTING_PROTOCOL`], which is all that the daemon goes by: what has
//! another one is somebody else's and is never touched, and what has it and is not wanted was left by
//! an earlier run. A node that has none of them opens nothing here.
//!
//! [`Routing`] carries out what [`vrrp_node::routing`] plans, all requests of a turn by one send, of which
//! only the refusals come back. News are only a reason for a new [`Routing::dump`]. The kernel gives the
//! marked routes alone, and wakes us for nothing else.

pub(crate) mod codec;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{MsgFlags, send};
use vrrp_proto::Family;

use crate::netlink::{Message, NLMSG_ERROR, News};
use crate::request::DUMP_ATTEMPTS;
use crate::{batch, filter, netlink, sys};
use vrrp_node::routing::mirror::{Dump, Mirror};
use vrrp_node::routing::plan::{Change, Failure};

/// The number that marks our routes (`rtm_protocol`) and our rules (FRA_PROTOCOL, since Linux 4.17);
/// `ip route` and `ip rule` show it as `proto 0x56` or `proto 86`. It is the number of
/// [our addresses](vrrp_node::mirror::ADDRESS_PROTOCOL).
pub const ROUTING_PROTOCOL: u8 = vrrp_node::mirror::ADDRESS_PROTOCOL;

/// How many changes go out together. If the kernel refuses them all, the refusals fit into the
/// receive buffer that a process gets without any capability.
const BATCH: usize = 128;

/// Room in the kernel for the news of some thousand changes of ours by others.
const NEWS_BUFFER: usize = 1 << 20;

// Groups as bits (linux/rtnetlink.h).
const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTMGRP_IPV4_RULE: u32 = 0x80;
const RTMGRP_IPV6_ROUTE: u32 = 0x400;
const RTMGRP_IPV6_RULE: u32 = 1 << (libc::RTNLGRP_IPV6_RULE - 1);

/// The kernel's routes and rules: a socket for requests, and one that hears what others do to ours.
#[derive(Debug)]
pub struct Routing {
    requests: OwnedFd,
    news: OwnedFd,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    dumps: u32,
}

impl Routing {
    /// Opens both sockets. News are heard from now on, so that nothing is missed between this and
    /// the first [`dump`](Self::dump).
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    pub fn open() -> io::Result<Self> {
        let requests = netlink::open()?;
        batch::grow_receive_buffer(&requests, batch::KERNEL_BUFFER)?;
        // A kernel that knows neither gives more routes than were asked for, and no explanations.
        for option in [libc::NETLINK_GET_STRICT_CHK, libc::NETLINK_EXT_ACK] {
            let _ = sys::set_netlink_option(requests.as_fd(), option);
        }
        let port = netlink::bind_to(&requests, 0)?;
        let news = netlink::open()?;
        batch::grow_receive_buffer(&news, NEWS_BUFFER)?;
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

    /// Takes in the news, and says whether there were any: whether somebody else has changed routes
    /// or rules of ours.
    ///
    /// # Errors
    ///
    /// None that a valid socket could cause.
    pub fn take_news(&mut self) -> io::Result<bool> {
        let mut any = false;
        loop {
            match netlink::news(&self.news, &mut self.incoming)? {
                News::None => return Ok(any),
                News::Datagram(_) | News::Lost => any = true,
            }
        }
    }

    /// All routes and rules that bear our mark.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or changes all the time (EINTR).
    pub fn dump(&mut self) -> io::Result<Dump> {
        for _ in 0..DUMP_ATTEMPTS {
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

    /// Carries out `changes` in their order. `mirror` shows them already, as
    /// [`plan`](vrrp_node::routing::plan::plan) leaves it. Those that the kernel refuses are taken back there and
    /// appended to `failures`; the others are done nevertheless.
    ///
    /// That what is to be deleted is gone is no failure.
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

    /// Sends what is to go out, and takes in what the kernel refuses of it.
    fn request(
        &mut self,
        batch: &[&Change],
        mirror: &mut Mirror,
        failures: &mut Vec<Failure>,
    ) -> io::Result<()> {
        send(self.requests.as_raw_fd(), &self.outgoing, MsgFlags::empty())?;
        while let Some(datagram) = netlink::receive(&self.requests, &mut self.incoming)? {
            for message in Message::all_of(datagram) {
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

/// What can be waited for are the news.
impl AsFd for Routing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }
}

/// Whether a refusal says that what was asked for is so anyway.
fn is_done_already(change: &Change, error: &io::Error) -> bool {
    let gone = [libc::ESRCH, libc::ENOENT, libc::ENODEV];
    change.deletes()
        && error
            .raw_os_error()
            .is_some_and(|error| gone.contains(&error))
}
