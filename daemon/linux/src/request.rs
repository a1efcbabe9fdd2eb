//! Requests to the kernel: address changes in batches, and dumps (rtnetlink(7)).
//!
//! The kernel handles a request within send(2). Many changes are sent by one call and ask for no
//! acknowledgement, so a successful batch has no answer. The answer to a rejected request contains the
//! request (netlink(7), NLMSG_ERROR), so nothing has to be remembered.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, send};

use vrrp_proto::{Family, InterfaceIndex};

use crate::netlink::{self, Message, NLMSG_ERROR};
use crate::{batch, sys};
use vrrp_node::change::{Change, Failure};
use vrrp_node::mirror::{Dump, Event, Extent, Mirror};

/// Number of changes sent by one call. If the kernel rejects them all, the answers fit into the receive
/// buffer of a process without capabilities.
const BATCH: usize = 256;

/// Maximum number of attempts to take a consistent dump of one kind: the node's thread waits for it.
pub(crate) const ATTEMPTS: u32 = 2;

/// A netlink socket for requests.
#[derive(Debug)]
pub struct Requests {
    socket: OwnedFd,
    port: u32,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    drop_rules: VecDeque<(Change, io::Error)>,
    dumps: u32,
}

impl Requests {
    /// A socket for requests in this network namespace.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn open() -> io::Result<Self> {
        let socket = netlink::open()?;
        batch::grow_receive_buffer(&socket, batch::KERNEL_BUFFER)?;
        // For dumps of the addresses of one interface. An older kernel dumps all.
        let _ = sys::set_netlink_option(socket.as_fd(), libc::NETLINK_GET_STRICT_CHK);
        let port = netlink::bind_to(&socket, 0)?;
        Ok(Self {
            socket,
            port,
            outgoing: Vec::new(),
            incoming: vec![0; netlink::DATAGRAM_LEN],
            drop_rules: VecDeque::new(),
            dumps: 0,
        })
    }

    /// Netlink port ID of this socket.
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// Carries out `changes` in order. `mirror` contains them already, as
    /// [`plan`](vrrp_node::plan::plan) leaves it. A change that the kernel rejects is reverted there
    /// and appended to `failures`; the remaining changes are carried out nevertheless.
    ///
    /// Two results are no failure: an address to be added exists already, or an address to be deleted
    /// is missing, alone or with its interface.
    pub fn apply(&mut self, changes: &[Change], mirror: &mut Mirror, failures: &mut Vec<Failure>) {
        for batch in changes.chunks(BATCH) {
            if let Err(error) = self.request(batch) {
                self.drop_rules.clear();
                for &change in batch {
                    let failure = Failure::new(change, &error);
                    self.drop_rules.push_back((change, failure.error));
                }
            }
            for (change, error) in self.drop_rules.drain(..) {
                if !is_done_already(&change, &error) {
                    mirror.refused(&change);
                    failures.push(Failure { change, error });
                }
            }
        }
    }

    /// Limits the lifetime of addresses that an interface holds, given as their `additions`, to `seconds`, or
    /// gives them the lifetime of their form again. No program is asked, and nothing is announced.
    ///
    /// # Errors
    ///
    /// The first error of the kernel; the other requests are carried out nevertheless.
    pub fn limit_lifetimes(
        &mut self,
        additions: &[Change],
        seconds: Option<u32>,
    ) -> io::Result<()> {
        let mut outcome = Ok(());
        for batch in additions.chunks(BATCH) {
            self.outgoing.clear();
            for addition in batch {
                netlink::push_lifetime(addition, seconds, &mut self.outgoing);
            }
            self.send()?;
            while let Some(datagram) = netlink::receive(&self.socket, &mut self.incoming)? {
                let answers = Message::all_of(datagram)
                    .filter(|message| message.header.message_type == NLMSG_ERROR);
                outcome = answers.fold(outcome, |first, message| first.and(message.result()));
            }
        }
        outcome
    }

    /// Dumps all links and addresses.
    ///
    /// # Errors
    ///
    /// An error of the kernel.
    pub fn dump(&mut self) -> io::Result<Dump> {
        let mut dump = empty_dump(Extent::All);
        let links = self.dump_into(&mut dump, netlink::push_link_dump)?;
        let addresses = self.dump_into(&mut dump, |n, buffer| {
            netlink::push_address_dump(None, n, buffer)
        })?;
        if !(links && addresses) {
            dump.extent = Extent::Interrupted;
        }
        Ok(dump)
    }

    /// Dumps one interface and its addresses. The answer to each of the two requests nearly always fits into
    /// one message, which the kernel writes without interruption. Before Linux 4.20 it sends the addresses
    /// of all interfaces.
    ///
    /// # Errors
    ///
    /// An error of the kernel, or EINTR when the addresses changed during every attempt.
    pub fn dump_interface(&mut self, interface: InterfaceIndex) -> io::Result<Dump> {
        for _ in 0..ATTEMPTS {
            let mut dump = empty_dump(Extent::Interface(interface));
            let is_consistent = self
                .dump_into(&mut dump, |n, buffer| {
                    netlink::push_link_request(interface, n, buffer)
                })
                .and_then(|_| {
                    self.dump_into(&mut dump, |n, buffer| {
                        netlink::push_address_dump(Some(interface), n, buffer);
                    })
                });
            dump.addresses.retain(|(on, _)| *on == interface);
            match is_consistent {
                Ok(true) => return Ok(dump),
                Ok(false) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                    return Ok(empty_dump(dump.extent));
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EINTR))
    }

    /// Sends `changes`, and collects those that the kernel rejects.
    fn request(&mut self, changes: &[Change]) -> io::Result<()> {
        self.outgoing.clear();
        for change in changes {
            netlink::push_change(change, &mut self.outgoing);
        }
        self.send()?;
        while let Some(datagram) = netlink::receive(&self.socket, &mut self.incoming)? {
            let drop_rules = Message::all_of(datagram)
                .filter(|message| message.header.message_type == NLMSG_ERROR)
                .filter_map(|message| Some((message.refused_change()?, message.result().err()?)));
            self.drop_rules.extend(drop_rules);
        }
        Ok(())
    }

    /// Adds the answer to one dump request to `dump`. Returns `false` when the data changed during the
    /// dump.
    fn dump_into(
        &mut self,
        dump: &mut Dump,
        push_request: impl FnOnce(u32, &mut Vec<u8>),
    ) -> io::Result<bool> {
        self.dumps = self.dumps.wrapping_add(1);
        self.outgoing.clear();
        push_request(self.dumps, &mut self.outgoing);
        let (request, incoming) = (&self.outgoing, &mut self.incoming);
        netlink::dump(
            &self.socket,
            request,
            self.dumps,
            incoming,
            |message| match message.event() {
                Some(Event::Link(link)) => dump.links.push(link),
                Some(Event::AddressAdded(interface, held)) => {
                    dump.addresses.push((interface, held));
                }
                Some(Event::LinkRemoved(_) | Event::AddressRemoved(..)) | None => {}
            },
        )
    }

    fn send(&self) -> io::Result<()> {
        send(self.socket.as_raw_fd(), &self.outgoing, MsgFlags::empty())?;
        Ok(())
    }
}

fn empty_dump(extent: Extent) -> Dump {
    Dump {
        extent,
        marks: kernel_keeps_marks(),
        ..Dump::default()
    }
}

/// Whether the error means that the change is in effect already. For an IPv6 address EEXIST is a real
/// failure: the mirror does not have the address, so another program added it and duplicate address
/// detection is running or has failed. It may never become usable.
fn is_done_already(change: &Change, error: &io::Error) -> bool {
    match (change, error.raw_os_error()) {
        (Change::Add { address, .. }, Some(error)) => {
            error == libc::EEXIST && address.family() == Family::V4
        }
        (Change::Delete { .. }, Some(error)) => {
            matches!(error, libc::EADDRNOTAVAIL | libc::ENODEV)
        }
        (Change::Add { .. } | Change::Delete { .. }, None) => false,
    }
}

/// Whether this kernel is 5.18 or newer, and so stores the protocol number of an address (IFA_PROTO).
fn kernel_keeps_marks() -> bool {
    let Ok(name) = nix::sys::utsname::uname() else {
        return false;
    };
    let mut numbers = name
        .release()
        .to_str()
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(5), Some(18))
}
