//! Requests to the kernel: address changes in batches, and dumps (rtnetlink(7)).
//!
//! The kernel handles what is sent within send(2). Changes go out many at a time and ask for no
//! acknowledgement, so that the answer to a good batch is that there is none. A refusal bears the
//! request that it answers (netlink(7), NLMSG_ERROR), so that nothing has to be remembered.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, send};

use vrrp_proto::Family;

use crate::batch;
use crate::netlink::{self, Message, NLMSG_ERROR};
use vrrp_node::mirror::{Dump, Event, Mirror};
use vrrp_node::plan::{Change, Failure};

/// How many changes go out together. If the kernel refuses them all, the refusals fit into the
/// receive buffer that a process gets without any capability.
const BATCH: usize = 256;

/// How often a dump is tried that changes while it is being taken.
pub(crate) const DUMP_ATTEMPTS: u32 = 100;

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
    /// When the process may open no more files.
    pub fn open() -> io::Result<Self> {
        let socket = netlink::open()?;
        batch::grow_receive_buffer(&socket, batch::KERNEL_BUFFER)?;
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

    /// The number that the kernel knows this socket by.
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// Carries out `changes` in their order. `mirror` shows them already, as
    /// [`plan`](vrrp_node::plan::plan) leaves it. Those that the kernel refuses are taken back there
    /// and appended to `failures`; the others are done nevertheless.
    ///
    /// That an address to be added is there already, or that one to be deleted is gone, alone or
    /// with its interface, is no failure.
    pub fn apply(&mut self, changes: &[Change], mirror: &mut Mirror, failures: &mut Vec<Failure>) {
        for batch in changes.chunks(BATCH) {
            if let Err(error) = self.request(batch) {
                self.drop_rules.clear();
                for &change in batch {
                    let error = clone_error(&error);
                    self.drop_rules.push_back((change, error));
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

    /// All links and addresses.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or changes all the time (EINTR).
    pub fn dump(&mut self) -> io::Result<Dump> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut dump = Dump {
                marks: kernel_keeps_marks(),
                ..Dump::default()
            };
            if self.dump_into(&mut dump, netlink::push_link_dump)?
                && self.dump_into(&mut dump, netlink::push_address_dump)?
            {
                return Ok(dump);
            }
        }
        Err(io::Error::from_raw_os_error(libc::EINTR))
    }

    /// Sends `changes`, and collects what the kernel refuses of them.
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

    /// Adds what the kernel says to one request to `dump`. `false` when it changed meanwhile.
    fn dump_into(
        &mut self,
        dump: &mut Dump,
        push_request: fn(u32, &mut Vec<u8>),
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

/// Whether a refusal says that what was asked for is so anyway. An IPv6 address that is there and not
/// known of is one that somebody else put there and that is still checked for duplicates, or is one:
/// it may be of no use for ever.
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

/// Whether this kernel is 5.18 or newer, and so keeps the protocol number of an address.
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

fn clone_error(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
