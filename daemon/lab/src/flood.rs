//! Floods: the same frames sent again and again, as fast as one thread can.

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

/// Number of frames per system call.
const BATCH: usize = 256;

/// A running flood, which sends until it is stopped or dropped. It is a thread of the lab, not a
/// process of the host.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Sent>>>,
}

/// Result of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Number of frames sent.
    pub frames: u64,
    /// Time of the first frame.
    pub from: Moment,
    /// Time after the last frame.
    pub to: Moment,
}

impl Sent {
    /// Frames per second.
    pub fn rate(&self) -> f64 {
        let frames = u32::try_from(self.frames).map_or(f64::NAN, f64::from);
        frames / self.to.since(self.from).as_secs_f64()
    }
}

impl Flood {
    /// Starts the flood; with a `pace` it pauses for that time after each 256 frames.
    pub(crate) fn start(
        namespaces: &Namespaces,
        index: u32,
        frames: Vec<Vec<u8>>,
        pace: Option<Duration>,
    ) -> Result<Self> {
        let doing = "starting a flood";
        if frames.is_empty() {
            return Err(Error::new(doing, "there is no frame to send"));
        }
        let socket = namespaces
            .run(|| open_packet(index, Packet::Inject))?
            .doing(doing)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("flood".to_owned())
            .spawn(move || send(&socket, &frames, pace, &stopped))
            .doing(doing)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends the flood and returns its result.
    ///
    /// # Errors
    /// If the flood ended early because the network card did not accept a frame.
    pub fn stop(mut self) -> Result<Sent> {
        self.end()
            .unwrap_or_else(|| Err(Error::new("sending a flood", "the sending thread panicked")))
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

/// Builds an Ethernet frame with the IPv4 packet `packet` and sets the header checksum, without
/// which the receiving kernel would drop the packet.
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
        // RFC 1071: the sum of ten words carries over at most twice.
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
        // Repeats the frames up to a full batch, so that each system call sends many frames.
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
            // The transmit queue of the network card is full for the moment.
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
