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
    batch: ReceiveBatch,
}

#[derive(Debug)]
struct Open {
    socket: AdvertSocket,
    vrids: VridSet,
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
        self.open
            .retain(|interface, _| listeners.contains_key(interface));
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
