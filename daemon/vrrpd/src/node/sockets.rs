//! Raw sockets of the node: one for each interface and family on which a router runs.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_linux::poller::Poller;
use vrrp_linux::socket::{AdvertSocket, Packets, ReceiveBatch};
use vrrp_node::host::RejectedAdvert;
use vrrp_node::listeners::{Listeners, Path, VridSet};
use vrrp_proto::{Family, InterfaceIndex};

/// Bit of a token that marks IPv6, above the 32 bits of the interface index and the node's own
/// tokens.
const IPV6: u64 = 1 << 40;

/// Token by which the poller reports a socket.
pub(super) fn token((interface, family): Path) -> u64 {
    let bit = match family {
        Family::V4 => 0,
        Family::V6 => IPV6,
    };
    u64::from(interface.0) | bit
}

/// Path of a token, if it is that of a socket.
pub(super) fn place(token: u64) -> Option<Path> {
    let family = match token & IPV6 {
        0 => Family::V4,
        _ => Family::V6,
    };
    let interface = u32::try_from(token & !IPV6).ok()?;
    Some((InterfaceIndex(interface), family))
}

/// Sockets by path.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<Path, Open>,
    /// Paths with queued advertisements.
    queued: Vec<Path>,
    /// Packets lost on sockets that have been closed.
    lost_before: u64,
}

#[derive(Debug)]
struct Open {
    socket: AdvertSocket,
    vrids: VridSet,
    /// Losses that were reported already.
    known_lost: u32,
}

impl Sockets {
    /// Opens missing sockets of `listeners`, and sets the filters of the existing ones to exactly
    /// these VRIDs. Returns the endpoints for which the kernel rejects that, and the reasons.
    ///
    /// Sockets without a listener stay open until [`close`](Self::close): a router that leaves
    /// still has its final advertisement to send.
    pub(super) fn open(
        &mut self,
        listeners: &Listeners,
        poller: &Poller,
    ) -> Vec<(Path, io::Error)> {
        let mut failures = Vec::new();
        for (&place, vrids) in listeners {
            let (interface, family) = place;
            let outcome = match self.open.get_mut(&place) {
                Some(open) if open.vrids == *vrids => Ok(()),
                Some(open) => open.socket.set_filter(vrids).map(|()| open.vrids = *vrids),
                None => AdvertSocket::open(interface, family, vrids).and_then(|socket| {
                    poller.add(&socket, token(place))?;
                    self.open.insert(
                        place,
                        Open {
                            socket,
                            vrids: *vrids,
                            known_lost: 0,
                        },
                    );
                    Ok(())
                }),
            };
            failures.extend(outcome.err().map(|error| (place, error)));
        }
        failures
    }

    /// Closes the sockets that have no listener.
    pub(super) fn close(&mut self, listeners: &Listeners) {
        // epoll(7) forgets a closed descriptor.
        self.open.retain(|place, open| {
            let stays = listeners.contains_key(place);
            if !stays {
                self.lost_before += u64::from(open.lost());
            }
            stays
        });
    }

    /// Packets that the kernel dropped because the receive buffers were full.
    pub(super) fn lost(&self) -> u64 {
        let open = self.open.values().map(|open| u64::from(open.lost()));
        self.lost_before + open.sum::<u64>()
    }

    /// Whether packets were lost on a path since the last call.
    pub(super) fn has_lost(&mut self, place: Path) -> bool {
        let Some(open) = self.open.get_mut(&place) else {
            return false;
        };
        let lost = open.lost();
        std::mem::replace(&mut open.known_lost, lost) != lost
    }

    /// Receives the packets of one system call on a path.
    pub(super) fn receive<'b>(
        &self,
        place: Path,
        batch: &'b mut ReceiveBatch,
    ) -> io::Result<Option<Packets<'b>>> {
        let Some(open) = self.open.get(&place) else {
            return Ok(None);
        };
        open.socket.receive(batch).map(Some)
    }

    /// Queues an advertisement in the batch of its path.
    pub(super) fn queue(
        &mut self,
        interface: InterfaceIndex,
        source: IpAddr,
        destination: IpAddr,
        hop_limit: u8,
        message: Arc<[u8]>,
    ) {
        let place = (interface, Family::of(source));
        let Some(open) = self.open.get_mut(&place) else {
            return;
        };
        open.socket.queue(source, destination, hop_limit, message);
        if self.queued.last() != Some(&place) && !self.queued.contains(&place) {
            self.queued.push(place);
        }
    }

    /// Sends all batches. Appends the messages that the kernel rejects to `rejected`.
    pub(super) fn flush(&mut self, rejected: &mut Vec<RejectedAdvert>) {
        for place in self.queued.drain(..) {
            if let Some(open) = self.open.get_mut(&place) {
                open.socket.flush(rejected);
            }
        }
    }
}

impl Open {
    /// Packets lost so far. A kernel before Linux 4.12 does not count them: 0.
    fn lost(&self) -> u32 {
        self.socket.lost().unwrap_or(0)
    }
}
