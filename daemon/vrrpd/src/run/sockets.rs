//! The raw sockets of the node: one for each interface on which a router runs.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use vrrp_linux::poller::Poller;
use vrrp_linux::socket::{AdvertSocket, Packets, ReceiveBatch, VridSet};
use vrrp_proto::{InterfaceIndex, Vrid};

/// The sockets, by interface.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<InterfaceIndex, Open>,
    /// Those with something queued.
    queued: Vec<InterfaceIndex>,
    /// What was lost on sockets that are closed.
    lost_before: u64,
    batch: ReceiveBatch,
}

#[derive(Debug)]
struct Open {
    socket: AdvertSocket,
    vrids: VridSet,
    /// How much of what was lost is known.
    known_lost: u32,
}

impl Sockets {
    /// Opens what is missing for `listeners`, and lets the others hear exactly theirs.
    ///
    /// Sockets that nobody listens to any more stay until [`close`](Self::close): a router that
    /// leaves still has its resignation to send.
    pub(super) fn open(
        &mut self,
        listeners: &BTreeMap<InterfaceIndex, VridSet>,
        poller: &Poller,
        mut failed: impl FnMut(InterfaceIndex, io::Error),
    ) {
        for (interface, vrids) in listeners {
            let outcome = match self.open.get_mut(interface) {
                Some(open) if open.vrids == *vrids => Ok(()),
                Some(open) => open.socket.set_filter(vrids).map(|()| open.vrids = *vrids),
                None => AdvertSocket::open(*interface, vrids).and_then(|socket| {
                    poller.add(&socket, u64::from(interface.0))?;
                    self.open.insert(
                        *interface,
                        Open {
                            socket,
                            vrids: *vrids,
                            known_lost: 0,
                        },
                    );
                    Ok(())
                }),
            };
            if let Err(error) = outcome {
                failed(*interface, error);
            }
        }
    }

    /// Closes those that are not for one of `listeners`.
    pub(super) fn close(&mut self, listeners: &BTreeMap<InterfaceIndex, VridSet>) {
        // Closing takes a descriptor out of the poller too (epoll(7)).
        self.open.retain(|interface, open| {
            let stays = listeners.contains_key(interface);
            if !stays {
                self.lost_before += u64::from(open.lost());
            }
            stays
        });
    }

    /// How many packets the kernel had to throw away because they came faster than they were read.
    pub(super) fn lost(&self) -> u64 {
        let open = self.open.values().map(|open| u64::from(open.lost()));
        self.lost_before + open.sum::<u64>()
    }

    /// Whether packets were lost on an interface since this was asked last.
    pub(super) fn has_lost(&mut self, interface: InterfaceIndex) -> bool {
        let Some(open) = self.open.get_mut(&interface) else {
            return false;
        };
        let lost = open.lost();
        std::mem::replace(&mut open.known_lost, lost) != lost
    }

    /// The packets that came in on an interface, as many as one system call gives.
    pub(super) fn receive(&mut self, interface: InterfaceIndex) -> io::Result<Option<Packets<'_>>> {
        let Some(open) = self.open.get(&interface) else {
            return Ok(None);
        };
        open.socket.receive(&mut self.batch).map(Some)
    }

    /// Puts an advertisement into the batch of its interface.
    pub(super) fn queue(&mut self, interface: InterfaceIndex, source: IpAddr, message: Arc<[u8]>) {
        let (Some(open), IpAddr::V4(source)) = (self.open.get_mut(&interface), source) else {
            return;
        };
        open.socket.queue(source, message);
        if self.queued.last() != Some(&interface) && !self.queued.contains(&interface) {
            self.queued.push(interface);
        }
    }

    /// Sends all batches.
    pub(super) fn flush(&mut self, mut failed: impl FnMut(InterfaceIndex, Ipv4Addr, io::Error)) {
        for interface in self.queued.drain(..) {
            if let Some(open) = self.open.get_mut(&interface) {
                open.socket
                    .flush(|source, error| failed(interface, source, error));
            }
        }
    }
}

impl Open {
    /// A kernel that does not count (before Linux 4.12) has lost nothing that anybody knows of.
    fn lost(&self) -> u32 {
        self.socket.lost().unwrap_or(0)
    }
}

/// Who listens where, for [`Sockets::open`].
pub(super) fn by_interface(
    listeners: impl Iterator<Item = (InterfaceIndex, Vrid)>,
) -> BTreeMap<InterfaceIndex, VridSet> {
    let mut sets: BTreeMap<_, VridSet> = BTreeMap::new();
    for (interface, vrid) in listeners {
        sets.entry(interface).or_default().insert(vrid);
    }
    sets
}
