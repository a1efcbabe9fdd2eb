//! Relays of impaired cables: a thread that forwards frames between two ports, with delay or loss.
//!
//! Frames are read and written with their virtio header (`PACKET_VNET_HDR`), which records pending
//! offloads: frames with uncomputed checksums or unsegmented TCP pass the relay unchanged.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::time::TimeSpec;

use crate::clock::Moment;
use crate::error::{Doing, Result};
use crate::impairment::Impairment;
use crate::journal::lock;
use crate::namespace::Namespaces;
use crate::sys::{Packet, open_packet};

/// Size of the largest frame with offloads, and its header.
const LARGEST: usize = 65_536 + 64;

/// A running relay, which ends when dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    orders: Arc<Mutex<Orders>>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Orders {
    impairment: Impairment,
    stop: bool,
}

impl Relay {
    /// Starts a relay between the links `host_side` and `bridge_side` of `namespaces`.
    pub(crate) fn start(
        namespaces: &Namespaces,
        host_side: u32,
        bridge_side: u32,
        impairment: Impairment,
    ) -> Result<Self> {
        let doing = "starting the relay of an impaired cable";
        let open = |index| open_packet(index, Packet::Relay);
        let host = namespaces.run(|| open(host_side))?.doing(doing)?;
        let bridge = namespaces.run(|| open(bridge_side))?.doing(doing)?;
        let wake = Arc::new(
            EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC).doing(doing)?,
        );
        let orders = Arc::new(Mutex::new(Orders {
            impairment,
            stop: false,
        }));
        let carrier = Carrier {
            ways: [
                Way {
                    from: host,
                    queue: VecDeque::new(),
                    direction: Direction::FromHost,
                },
                Way {
                    from: bridge,
                    queue: VecDeque::new(),
                    direction: Direction::ToHost,
                },
            ],
            dice: Dice(impairment.seed),
            orders: Arc::clone(&orders),
            wake: Arc::clone(&wake),
        };
        let thread = thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || carrier.run())
            .doing(doing)?;
        Ok(Self {
            orders,
            wake,
            thread: Some(thread),
        })
    }

    /// Sets the impairment from the next frame on.
    pub(crate) fn set(&self, impairment: Impairment) {
        lock(&self.orders).impairment = impairment;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        lock(&self.orders).stop = true;
        let _ = self.wake.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    FromHost,
    ToHost,
}

/// One direction: the socket that receives its frames, and the queue of delayed frames.
struct Way {
    from: OwnedFd,
    queue: VecDeque<(Moment, Vec<u8>)>,
    direction: Direction,
}

struct Carrier {
    ways: [Way; 2],
    dice: Dice,
    orders: Arc<Mutex<Orders>>,
    wake: Arc<EventFd>,
}

impl Carrier {
    fn run(mut self) {
        let mut buffer = vec![0; LARGEST];
        while !lock(&self.orders).stop {
            if self.sleep().is_err() {
                return;
            }
            for way in 0..self.ways.len() {
                self.receive(way, &mut buffer);
            }
            self.deliver();
        }
    }

    /// Sleeps until a frame arrives, a delayed frame is due, or the relay is stopped.
    fn sleep(&self) -> io::Result<()> {
        let now = Moment::now();
        let due = self
            .ways
            .iter()
            .filter_map(|way| way.queue.front())
            .map(|(due, _)| *due)
            .min();
        let timeout = due.map(|due| TimeSpec::from_duration(due.since(now)));
        let [host, bridge] = &self.ways;
        let mut fds = [host.from.as_fd(), bridge.from.as_fd(), self.wake.as_fd()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn receive(&mut self, way: usize, buffer: &mut [u8]) {
        loop {
            // A link that is down returns ENETDOWN once; there is nothing to forward then.
            let Ok(length) = recv(self.ways[way].from.as_raw_fd(), buffer, MsgFlags::empty())
            else {
                return;
            };
            let impairment = lock(&self.orders).impairment;
            let cut = match self.ways[way].direction {
                Direction::FromHost => impairment.cut_from_host,
                Direction::ToHost => impairment.cut_to_host,
            };
            if cut || self.dice.throw() < impairment.loss {
                continue;
            }
            let due = Moment::now() + impairment.delay;
            self.ways[way]
                .queue
                .push_back((due, buffer[..length].to_vec()));
        }
    }

    fn deliver(&mut self) {
        let now = Moment::now();
        let [host, bridge] = &mut self.ways;
        let outlets = [bridge.from.as_raw_fd(), host.from.as_raw_fd()];
        for (way, outlet) in [host, bridge].into_iter().zip(outlets) {
            while way.queue.front().is_some_and(|(due, _)| *due <= now) {
                let Some((_, frame)) = way.queue.pop_front() else {
                    break;
                };
                // Errors are ignored: a real cable does not report lost frames either.
                let _ = send(outlet, &frame, MsgFlags::empty());
            }
        }
    }
}

/// Pseudo-random numbers, the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    /// Returns the next number in 0.0 .. 1.0.
    fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let upper = u32::try_from((word ^ (word >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }
}
