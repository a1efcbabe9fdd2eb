//! Watches the route to a destination, whichever program installed it, and whether its gateway answers
//! (rtnetlink(7)). For the daemon's trackers; never changes a route.
//!
//! A filter in the kernel keeps the notifications of one destination and one table, so that none of a
//! million other routes wakes the daemon. The kernel does not notify of some changes: IPv4 routes that
//! are removed with their device, addresses or nexthop object, and routes that become dead with
//! their link. These are found by a new dump whenever a link, address or nexthop object that a known
//! route uses has changed.
//!
//! The kernel itself probes a gateway. A known neighbour is probed when its state is set to NUD_PROBE,
//! an unknown one when it is to be used (NTF_USE). The kernel reports the result as a change of the
//! neighbour.

mod codec;
mod known;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::socket::{MsgFlags, send};
use vrrp_proto::{Family, InterfaceIndex};

use self::codec::{Neighbour, Standing, parse_neighbour, parse_route};
use self::known::Known;
pub use self::known::{Goal, Kind, NoWay, Wanted, Way};
use crate::netlink::{self, Message, NLMSG_ERROR, News};
use crate::{batch, filter, sys};
use vrrp_node::mirror::Event;

/// Receive buffer in bytes: some thousand notifications between two reads.
const NEWS_BUFFER: usize = 1 << 20;

/// Maximum number of attempts to take a consistent dump. The last attempt counts even if it is
/// inconsistent, because changes are notified, too: a large table may change all the time.
const ATTEMPTS: u32 = 5;

// Groups as bits (linux/rtnetlink.h).
const RTMGRP_LINK: u32 = 1;
const RTMGRP_NEIGH: u32 = 4;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTMGRP_IPV6_ROUTE: u32 = 0x400;
const RTMGRP_NEXTHOP: u32 = 1 << (libc::RTNLGRP_NEXTHOP - 1);

/// Flag of a message of a new route: it replaced another one (linux/netlink.h).
const NLM_F_REPLACE: u16 = 0x100;

// Messages of nexthop objects (linux/rtnetlink.h).
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;

/// Watches the routes to one destination.
#[derive(Debug)]
pub struct Lookout {
    requests: OwnedFd,
    news: OwnedFd,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    sequence: u32,
    known: Known,
}

/// Result of a probe of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Device on which the gateway was probed.
    pub device: InterfaceIndex,
    /// Address of the gateway.
    pub gateway: IpAddr,
    /// Whether the gateway answered. `false` when the kernel has given up.
    pub answered: bool,
}

/// Outcome of [`Lookout::ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The kernel probes the gateway. [`Lookout::read`] delivers the answer, if there is one.
    Yes,
    /// The gateway is never probed: its hardware address is static, or needs no resolution
    /// (NUD_PERMANENT, NUD_NOARP).
    NeedsNone,
}

impl Lookout {
    /// Watches the routes that `wanted` describes, and with `asks` also the answers of gateways. The
    /// first [`read`](Self::read) takes the initial dump.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn open(wanted: Wanted, asks: bool) -> io::Result<Self> {
        let requests = netlink::open()?;
        batch::grow_receive_buffer(&requests, batch::KERNEL_BUFFER)?;
        // An older kernel dumps the routes of all tables.
        let _ = sys::set_netlink_option(requests.as_fd(), libc::NETLINK_GET_STRICT_CHK);
        netlink::bind_to(&requests, 0)?;
        let news = netlink::open()?;
        batch::grow_receive_buffer(&news, NEWS_BUFFER)?;
        // The filter is attached before the socket joins the groups, so that it sees every
        // notification.
        let program = filter::routes_to(wanted.destination, wanted.table);
        filter::attach(&news, &program)?;
        let routes = match wanted.destination.family() {
            Family::V4 => RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_IFADDR,
            Family::V6 => RTMGRP_IPV6_ROUTE,
        };
        let neighbours = if asks { RTMGRP_NEIGH } else { 0 };
        let groups = routes | neighbours | RTMGRP_LINK | RTMGRP_NEXTHOP;
        netlink::bind_to(&news, groups)?;
        Ok(Self {
            requests,
            news,
            outgoing: Vec::new(),
            incoming: vec![0; netlink::DATAGRAM_LEN],
            sequence: 0,
            known: Known::new(wanted),
        })
    }

    /// Reads all waiting notifications, dumps the routes again if they are in doubt, and appends the
    /// answers of gateways to `answers`.
    ///
    /// # Errors
    ///
    /// Fails when links or routes cannot be dumped.
    pub fn read(&mut self, answers: &mut Vec<Answer>) -> io::Result<()> {
        loop {
            match netlink::news(&self.news, &mut self.incoming)? {
                // Dump only after all notifications are read; those that arrive during the dump are
                // read next.
                News::None if self.known.is_in_doubt() => self.look()?,
                News::None => return Ok(()),
                News::Datagram(datagram) => {
                    for message in Message::all_of(datagram) {
                        take(&mut self.known, &message, answers);
                    }
                }
                News::Lost => self.known.doubt(),
            }
        }
    }

    /// Next hops to the destination as of the last read, at least one, the lowest metric first.
    ///
    /// # Errors
    ///
    /// The reason why there is none.
    pub fn ways(&self) -> Result<Vec<Way>, NoWay> {
        self.known.ways()
    }

    /// Has the kernel probe `gateway` on `device`.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_ADMIN, ENODEV, ENETDOWN, EINVAL where the family is disabled.
    pub fn ask(&mut self, device: InterfaceIndex, gateway: IpAddr) -> io::Result<Asked> {
        let whom = (device, gateway);
        let known = self.neighbour(whom)?;
        match known.map(|known| (known, known.standing())) {
            Some((_, Standing::Given)) => return Ok(Asked::NeedsNone),
            Some((_, Standing::Asked)) => return Ok(Asked::Yes),
            Some((known, Standing::Reachable | Standing::Remembered)) => {
                let probed = self.request(|sequence, buffer| {
                    codec::push_probe(&known, sequence, buffer);
                });
                match probed {
                    // The kernel deleted the entry after the lookup.
                    Err(error)
                        if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => {}
                    probed => return probed.map(|_| Asked::Yes),
                }
            }
            Some((_, Standing::Failed | Standing::Unknown)) | None => {}
        }
        self.request(|sequence, buffer| codec::push_search(whom, sequence, buffer))?;
        // Only now the kernel has an entry, which shows whether the device uses no ARP or neighbour
        // discovery.
        let known = self.neighbour(whom)?;
        let is_given = known.is_some_and(|known| known.standing() == Standing::Given);
        Ok(if is_given {
            Asked::NeedsNone
        } else {
            Asked::Yes
        })
    }

    /// The kernel's entry of a neighbour.
    fn neighbour(&mut self, whom: (InterfaceIndex, IpAddr)) -> io::Result<Option<Neighbour>> {
        let answer = self.request(|sequence, buffer| {
            codec::push_neighbour_question(whom, sequence, buffer);
        });
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            answer => answer,
        }
    }

    /// Sends one request. Returns the neighbour in the answer, if any.
    fn request(&mut self, push: impl FnOnce(u32, &mut Vec<u8>)) -> io::Result<Option<Neighbour>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.outgoing.clear();
        push(self.sequence, &mut self.outgoing);
        send(self.requests.as_raw_fd(), &self.outgoing, MsgFlags::empty())?;
        let mut neighbour = None;
        while let Some(datagram) = netlink::receive(&self.requests, &mut self.incoming)? {
            for message in Message::all_of(datagram) {
                match message.header.message_type {
                    _ if message.header.sequence_number != self.sequence => {}
                    NLMSG_ERROR => return message.result().map(|()| neighbour),
                    libc::RTM_NEWNEIGH => neighbour = parse_neighbour(message.body),
                    _ => {}
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "netlink: the request got no answer",
        ))
    }

    /// Dumps all links and the table.
    fn look(&mut self) -> io::Result<()> {
        let mut links = Vec::new();
        // The kernel announces that a link goes down before it removes the routes. A link dump waits
        // until the kernel has finished.
        self.dump(netlink::push_link_dump, |_, message| {
            if let Some(Event::Link(link)) = message.event() {
                links.push(link);
            }
        })?;
        let mut routes = Vec::new();
        let (destination, table) = {
            let wanted = self.known.wanted();
            (wanted.destination, wanted.table)
        };
        let push = |sequence, buffer: &mut Vec<u8>| {
            codec::push_route_dump(destination, table, sequence, buffer);
        };
        for _ in 0..ATTEMPTS {
            routes.clear();
            let dumped = self.dump(push, |known, message| {
                if message.header.message_type == libc::RTM_NEWROUTE {
                    routes.extend(parse_route(message.body, known.wanted()));
                }
            });
            match dumped {
                Ok(false) => {}
                Ok(true) => break,
                // The table does not exist, so there are no routes.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
                Err(error) => return Err(error),
            }
        }
        self.known.replace(routes, links);
        Ok(())
    }

    /// Sends a dump request, and calls `each` for each message of the answer.
    fn dump(
        &mut self,
        push: impl FnOnce(u32, &mut Vec<u8>),
        mut each: impl FnMut(&Known, &Message<'_>),
    ) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        self.outgoing.clear();
        push(self.sequence, &mut self.outgoing);
        let (request, incoming) = (&self.outgoing, &mut self.incoming);
        netlink::dump(
            &self.requests,
            request,
            self.sequence,
            incoming,
            |message| {
                each(&self.known, message);
            },
        )
    }
}

/// Applies one notification.
fn take(known: &mut Known, message: &Message<'_>, answers: &mut Vec<Answer>) {
    match message.header.message_type {
        libc::RTM_NEWROUTE => {
            let replaces = message.header.flags & NLM_F_REPLACE != 0;
            if let Some(route) = parse_route(message.body, known.wanted()) {
                known.add(route, replaces);
            }
        }
        libc::RTM_DELROUTE => {
            if let Some(route) = parse_route(message.body, known.wanted()) {
                known.remove(&route);
            }
        }
        RTM_NEWNEXTHOP | RTM_DELNEXTHOP => known.touch_objects(),
        libc::RTM_NEWNEIGH => answers.extend(parse_neighbour(message.body).and_then(answer)),
        _ => match message.event() {
            Some(Event::Link(link)) => known.put_link(link),
            Some(Event::LinkRemoved(interface)) => known.remove_link(interface),
            Some(Event::AddressRemoved(interface, address, _)) => {
                known.remove_address(interface, address.address);
            }
            Some(Event::AddressAdded(..)) | None => {}
        },
    }
}

/// The answer that the state of a neighbour implies, if any.
const fn answer(neighbour: Neighbour) -> Option<Answer> {
    let answered = match neighbour.standing() {
        Standing::Reachable | Standing::Given => true,
        Standing::Failed => false,
        Standing::Asked | Standing::Remembered | Standing::Unknown => return None,
    };
    Some(Answer {
        device: neighbour.device,
        gateway: neighbour.address,
        answered,
    })
}

/// The descriptor of the socket for notifications.
impl AsFd for Lookout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }
}

impl AsRawFd for Lookout {
    fn as_raw_fd(&self) -> RawFd {
        self.news.as_raw_fd()
    }
}
