//! Packet sockets of the interfaces on which a backup is silent.

use std::collections::BTreeMap;
use std::io;

use vrrp_linux::socket::ReceiveBatch;
use vrrp_linux::witness::WitnessSocket;
use vrrp_node::host::WitnessedPacket;
use vrrp_node::listeners::{VridSet, Watched};
use vrrp_proto::InterfaceIndex;

/// The open sockets, by interface.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    open: BTreeMap<InterfaceIndex, (WitnessSocket, VridSet)>,
}

impl Witnesses {
    /// Opens, changes and closes sockets, so that exactly `watched` is recorded.
    pub(super) fn watch(
        &mut self,
        watched: &Watched,
        mut failed: impl FnMut(InterfaceIndex, io::Error),
    ) {
        let mut gone: Vec<InterfaceIndex> = self.open.keys().copied().collect();
        gone.retain(|interface| !watched.contains_key(interface));
        for interface in gone {
            if let Some((socket, _)) = self.open.remove(&interface) {
                socket.close();
            }
        }
        for (&interface, vrids) in watched {
            let outcome = match self.open.get_mut(&interface) {
                Some((_, known)) if known == vrids => Ok(()),
                Some((socket, known)) => socket.set_filter(vrids).map(|()| *known = *vrids),
                None => WitnessSocket::open(interface, vrids).map(|socket| {
                    self.open.insert(interface, (socket, *vrids));
                }),
            };
            if let Err(error) = outcome {
                failed(interface, error);
            }
        }
    }

    /// Appends the recorded packets of all interfaces.
    pub(super) fn receive(
        &self,
        batch: &mut ReceiveBatch,
        packets: &mut Vec<WitnessedPacket>,
        mut failed: impl FnMut(InterfaceIndex, io::Error),
    ) {
        for (interface, (socket, _)) in &self.open {
            if let Err(error) = socket.receive(batch, packets) {
                failed(*interface, error);
            }
        }
    }
}
