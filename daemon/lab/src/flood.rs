//! A host that sends more frames than anybody should.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{LinkAddr, MsgFlags, MultiHeaders, sendmmsg};

use crate::clock::Moment;
use crate::error::{Doing, Error, Result};
use crate::namespace::Namespaces;
use crate::sys::{Packet, open_packet};

/// How many frames one system call sends.
const BATCH: usize = 256;

/// Sends until stopped or dropped. It is a thread of the lab and no process of the host.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Sent>>>,
}

/// What a flood was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many frames left.
    pub frames: u64,
    /// When the first one was sent.
    pub from: Moment,
    /// When the last one had been sent.
    pub to: Moment,
}

impl Sent {
    /// Frames in a second.
    pub fn rate(&self) -> f64 {
        let frames = u32::try_from(self.frames).map_or(f64::NAN, f64::from);
        frames / self.to.since(self.from).as_secs_f64()
    }
}

impl Flood {
    /// With a `pace` there is a rest that long after each 256 frames.
    pub(crate) fn start(
        namespaces: &Namespaces,
        index: u32,
        frames: Vec<Vec<u8>>,
        pace: Option<Duration>,
    ) -> Result<Self> {
        let doing = "starting a flood";
        if frames.is_empty() {
            return Err(Error::new(doing, "there is no frame to be sent"));
        }
        let socket = namespaces
            .run(|| open_packet(index, Packet::Inject))?
            .doing(doing)?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("flood".to_owned())
            .spawn(move || send(&socket, &frames, pace, &told))
            .doing(doing)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends it. Returns what was sent.
    ///
    /// # Errors
    /// When it had ended before, because the card did not take a frame.
    pub fn stop(mut self) -> Result<Sent> {
        self.end()
            .unwrap_or_else(|| Err(Error::new("sending a flood", "its thread panicked")))
    }

    fn end(&mut self) -> Option<Result<Sent>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// An Ethernet frame of IPv4 with this packet, whose header gets its checksum: without that a host
/// would not even look at it.
pub fn ipv4_frame(destination: [u8; 6], source: [u8; 6], packet: &[u8]) -> Vec<u8> {
    const HEADER: usize = 20;
    const CHECKSUM: usize = 10;
    let mut packet = packet.to_vec();
    if let Some(header) = packet.get_mut(..HEADER) {
        header[CHECKSUM..CHECKSUM + 2].fill(0);
        let (words, _) = header.as_chunks::<2>();
        let words = words
            .iter()
            .map(|word| u32::from(u16::from_be_bytes(*word)));
        // RFC 1071: ten words carry over less than twice.
        let sum: u32 = words.sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let [_, _, high, low] = (!((sum & 0xffff) + (sum >> 16))).to_be_bytes();
        header[CHECKSUM..CHECKSUM + 2].copy_from_slice(&[high, low]);
    }
    [&destination[..], &source, &[0x08, 0x00], &packet].concat()
}

fn send(
    socket: &OwnedFd,
    frames: &[Vec<u8>],
    pace: Option<Duration>,
    stop: &AtomicBool,
) -> Result<Sent> {
    let slices: Vec<[IoSlice<'_>; 1]> = frames
        .iter()
        // Few frames are repeated, so that each system call has much to do.
        .cycle()
        .take(frames.len().next_multiple_of(BATCH))
        .map(|frame| [IoSlice::new(frame)])
        .collect();
    let mut headers = MultiHeaders::<LinkAddr>::preallocate(BATCH, None);
    let from = Moment::now();
    let mut frames = 0;
    for batch in slices.chunks(BATCH).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let sent = sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            batch,
            [None; BATCH],
            [],
            MsgFlags::empty(),
        );
        match sent {
            Ok(sent) => frames += u64::try_from(sent.count()).unwrap_or(0),
            // The card's queue is full for the moment.
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => {}
            Err(errno) => return Err(Error::new("sending a flood", errno)),
        }
        if let Some(pace) = pace {
            thread::sleep(pace);
        }
    }
    let to = Moment::now();
    Ok(Sent { frames, from, to })
}
