//! Conflict listener: a thread that hears other hosts that claim the addresses of this host's masters. Any
//! number of packets may arrive, and the kernel takes long to close a packet socket, so this is no work for
//! the node. The first master starts the thread.
//!
//! The thread works at most once in [`PAUSE`], and the sockets hold few packets: a flood costs it less than a
//! percent of a CPU, and the node a few inputs. The pause comes first, for two reasons. The sockets open after
//! a take-over has been announced. And a new master's advertisement reaches the node before its claim does.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Level;
use vrrp_linux::conflict::ConflictSocket;
use vrrp_linux::poller::{Events, Poller, Waker};
use vrrp_linux::socket::ReceiveBatch;
use vrrp_node::conflicts::Conflicts;
use vrrp_node::listeners::{Defended, Path};
use vrrp_proto::{AddressConflict, Family, InterfaceIndex};

use super::sockets;
use crate::complaints::Complaints;
use crate::log_writer::Log;

/// Time between a change or a claim and the work for it.
const PAUSE: Duration = Duration::from_millis(100);

/// Token of the poller that [`sockets`] does not use.
const CHANGE: u64 = 1 << 32;

/// Thread and its work.
#[derive(Debug)]
pub(super) struct ConflictListener(Arc<Work>);

#[derive(Debug)]
struct Work {
    state: Mutex<State>,
    /// Wakes the thread.
    change: Waker,
    /// Wakes the node.
    heard: Waker,
}

#[derive(Debug, Default)]
struct State {
    /// Addresses to defend, unless the thread has taken them.
    defended: Option<Defended>,
    conflicts: Vec<AddressConflict>,
    is_last: bool,
}

impl ConflictListener {
    /// Starts the thread. The `poller` of the node reports claims as `token`.
    ///
    /// # Errors
    /// If the process may open no more files or start no more threads.
    pub(super) fn start(poller: &Poller, token: u64, log: Log) -> io::Result<Self> {
        let work = Arc::new(Work {
            state: Mutex::default(),
            change: Waker::new()?,
            heard: Waker::new()?,
        });
        poller.add(&work.heard, token)?;
        let changes = Poller::new()?;
        changes.add(&work.change, CHANGE)?;
        let own = Arc::clone(&work);
        std::thread::Builder::new()
            .name("conflicts".to_owned())
            .spawn(move || own.toil(changes, log))?;
        Ok(Self(work))
    }

    /// Hands over the addresses to defend from now on.
    pub(super) fn hand(&self, defended: Defended) {
        self.0.lock().defended = Some(defended);
        self.0.change.wake();
    }

    /// Takes the claims.
    pub(super) fn take(&self) -> Vec<AddressConflict> {
        self.0.heard.acknowledge();
        std::mem::take(&mut self.0.lock().conflicts)
    }
}

impl Drop for ConflictListener {
    /// Does not wait for the thread, which would have nothing left to do.
    fn drop(&mut self) {
        self.0.lock().is_last = true;
        self.0.change.wake();
    }
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent whenever the lock is released.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn toil(&self, poller: Poller, log: Log) {
        let mut complaints = Complaints::new(log);
        let mut complain = |what: &str, interface: InterfaceIndex, error: &io::Error| {
            let text = format!(
                "cannot {what} on interface {}: {error}; address conflicts there are not noticed",
                interface.0
            );
            complaints.tell(Level::WARN, text);
        };
        let (mut events, mut batch) = (Events::new(), ReceiveBatch::new());
        let mut listening = Listening::default();
        // A wait does not fail.
        while poller.wait(&mut events, None).is_ok() {
            std::thread::sleep(PAUSE);
            self.change.acknowledge();
            let defended = {
                let mut state = self.lock();
                if state.is_last {
                    return;
                }
                state.defended.take()
            };
            if let Some(defended) = defended {
                listening.defend(&poller, defended, |(interface, _), error| {
                    complain("listen for ARP and neighbour discovery", interface, &error);
                });
            }
            for path in events.tokens().filter_map(sockets::place) {
                if let Err(error) = listening.receive(path, &mut batch) {
                    complain("receive ARP or neighbour discovery", path.0, &error);
                }
            }
            let mut state = self.lock();
            // Otherwise the node is busy, and takes these with the next ones.
            if state.conflicts.is_empty() {
                state.conflicts = listening.conflicts.take();
                if !state.conflicts.is_empty() {
                    self.heard.wake();
                }
            }
        }
    }
}

/// Sockets, and the claims that were received on them.
#[derive(Debug, Default)]
struct Listening {
    open: BTreeMap<Path, Open>,
    conflicts: Conflicts,
}

#[derive(Debug)]
struct Open {
    socket: ConflictSocket,
    addresses: Vec<IpAddr>,
}

impl Listening {
    /// Opens, changes and closes sockets, so that claims of exactly these addresses are received.
    fn defend(
        &mut self,
        poller: &Poller,
        defended: Defended,
        mut failed: impl FnMut(Path, io::Error),
    ) {
        let mut wanted = BTreeMap::<Path, Vec<IpAddr>>::new();
        for (interface, address) in &defended {
            let path = (*interface, Family::of(*address));
            wanted.entry(path).or_default().push(*address);
        }
        self.open.retain(|path, _| wanted.contains_key(path));
        for (path, addresses) in wanted {
            let iter = addresses.iter().copied();
            let outcome = match self.open.get_mut(&path) {
                Some(open) if open.addresses == addresses => Ok(()),
                Some(open) => open
                    .socket
                    .set_filter(iter)
                    .map(|()| open.addresses = addresses),
                None => ConflictSocket::open(path.0, path.1, iter).and_then(|socket| {
                    poller.add(&socket, sockets::token(path))?;
                    self.open.insert(path, Open { socket, addresses });
                    Ok(())
                }),
            };
            if let Err(error) = outcome {
                failed(path, error);
            }
        }
        self.conflicts.defend(defended);
    }

    /// Records the waiting claims of a socket, if it is open.
    fn receive(&mut self, path: Path, batch: &mut ReceiveBatch) -> io::Result<()> {
        let conflicts = &mut self.conflicts;
        self.open.get(&path).map_or(Ok(()), |open| {
            open.socket.receive(batch, |address, mac| {
                conflicts.record(path.0, address, mac);
            })
        })
    }
}
