//! Whether there is a route to somewhere, whoever put it there, and whether its gateway answers
//! (rtnetlink(7)). It is for the daemon's trackers, and changes no route.
//!
//! The kernel tells of routes that come and go, of which a filter in the kernel keeps those of one
//! destination and one table: of a million others not one wakes us. What it does not tell of (IPv4 routes that
//! go with their device, addresses or nexthop object, and routes that die with their link) is found by
//! looking at the table again when something happens to those that a known route leads over.
//!
//! A gateway is asked by the kernel itself. One that it knows is asked as soon as its state becomes
//! NUD_PROBE, and one that it does not know when it is to be used (NTF_USE); what came of it the kernel tells
//! as of any change of a neighbour.

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

/// Room in the kernel for some thousand news between two reads.
const NEWS_BUFFER: usize = 1 << 20;

/// How often a dump is tried that changes while it is being taken. What changes is told, too, so that the last
/// one will do: a table may change all the time.
const ATTEMPTS: u32 = 5;

// Groups as bits (linux/rtnetlink.h).
const RTMGRP_LINK: u32 = 1;
const RTMGRP_NEIGH: u32 = 4;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTMGRP_IPV6_ROUTE: u32 = 0x400;
const RTMGRP_NEXTHOP: u32 = 1 << (libc::RTNLGRP_NEXTHOP - 1);

/// A flag of a message of a new route: it is in the place of another one (linux/netlink.h).
const NLM_F_REPLACE: u16 = 0x100;

// Messages of nexthop objects (linux/rtnetlink.h).
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;

/// Who watches for the routes to one destination.
#[derive(Debug)]
pub struct Lookout {
    requests: OwnedFd,
    news: OwnedFd,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    sequence: u32,
    known: Known,
}

/// What a gateway that was asked has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Over which device it was asked.
    pub device: InterfaceIndex,
    /// Who it is.
    pub gateway: IpAddr,
    /// Whether it answered; else the kernel has given up.
    pub answered: bool,
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The kernel asks; the answer is among those of [`Lookout::read`], or there is none.
    Yes,
    /// Its hardware address is given for good, or needs none (NUD_PERMANENT, NUD_NOARP).
    NeedsNone,
}

impl Lookout {
    /// Watches for the routes that are `wanted` from now on, and hears what gateways answer where it
    /// `asks` them. What there is shows after the first [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    pub fn open(wanted: Wanted, asks: bool) -> io::Result<Self> {
        let requests = netlink::open()?;
        batch::grow_receive_buffer(&requests, batch::KERNEL_BUFFER)?;
        // A kernel that does not know it gives the routes of all tables.
        let _ = sys::set_netlink_option(requests.as_fd(), libc::NETLINK_GET_STRICT_CHK);
        netlink::bind_to(&requests, 0)?;
        let news = netlink::open()?;
        batch::grow_receive_buffer(&news, NEWS_BUFFER)?;
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

    /// Takes all that was told, looks at what the kernel may not have told of, and appends what gateways
    /// answered to `answers`.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked for its links or routes.
    pub fn read(&mut self, answers: &mut Vec<Answer>) -> io::Result<()> {
        loop {
            match netlink::news(&self.news, &mut self.incoming)? {
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

    /// The ways to the destination, at least one and the best first, as far as has been read.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn ways(&self) -> Result<Vec<Way>, NoWay> {
        self.known.ways()
    }

    /// Has the kernel ask `gateway` on `device` whether it is there.
    ///
    /// # Errors
    ///
    /// When it cannot be asked: EPERM without CAP_NET_ADMIN, ENODEV, ENETDOWN, EINVAL where the family
    /// is switched off.
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
                    // It was forgotten meanwhile.
                    Err(error)
                        if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => {}
                    probed => return probed.map(|_| Asked::Yes),
                }
            }
            Some((_, Standing::Failed | Standing::Unknown)) | None => {}
        }
        self.request(|sequence, buffer| codec::push_search(whom, sequence, buffer))?;
        // Only now it shows whether it is on a device where nobody asks.
        let known = self.neighbour(whom)?;
        let is_given = known.is_some_and(|known| known.standing() == Standing::Given);
        Ok(if is_given {
            Asked::NeedsNone
        } else {
            Asked::Yes
        })
    }

    /// What the kernel knows of a neighbour.
    fn neighbour(&mut self, whom: (InterfaceIndex, IpAddr)) -> io::Result<Option<Neighbour>> {
        let answer = self.request(|sequence, buffer| {
            codec::push_neighbour_question(whom, sequence, buffer);
        });
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            answer => answer,
        }
    }

    /// Sends one request, and gives what the kernel says of a neighbour.
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
            "a request without an answer",
        ))
    }

    /// Looks at all links and at the table.
    fn look(&mut self) -> io::Result<()> {
        let mut links = Vec::new();
        // The kernel tells that a link goes down before it takes the routes away. Who asks for the links
        // has to wait until it has done all of that.
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
                // There is no such table, and so nothing in it.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
                Err(error) => return Err(error),
            }
        }
        self.known.replace(routes, links);
        Ok(())
    }

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

/// Takes in what one message tells.
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
            Some(Event::AddressRemoved(interface, address)) => {
                known.remove_address(interface, address.address);
            }
            Some(Event::AddressAdded(..)) | None => {}
        },
    }
}

/// What a gateway answers when this becomes of it.
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

/// What can be waited for are the news.
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
