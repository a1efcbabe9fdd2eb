//! Echo client: sends an ICMP echo request every millisecond and records which ones are answered.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, connect, recv, send,
    socket,
};
use nix::sys::time::TimeSpec;

use crate::clock::Moment;
use crate::error::{Doing, Error, Result};
use crate::namespace::Namespaces;

/// Time between two requests.
const RHYTHM: Duration = Duration::from_millis(1);
/// Time limit for the answers to the last requests.
const PATIENCE: Duration = Duration::from_millis(200);
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Not zero: a reply of zeros only would have the checksum 0, which tshark calls wrong.
const IDENTIFIER: u16 = 1;

/// Sends requests until it is stopped or dropped.
#[derive(Debug)]
pub struct Echo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Echoes>>>,
}

/// Requests of an echo client, in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Echoes(Vec<Request>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    sent: Moment,
    is_answered: bool,
}

impl Echo {
    pub(crate) fn start(namespaces: &Namespaces, target: Ipv4Addr) -> Result<Self> {
        let doing = format!("sending echo requests to {target}");
        let socket = namespaces
            .run(|| open(target))?
            .map_err(|errno| Error::new(doing.clone(), errno))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("echo".to_owned())
            .spawn(move || keep_asking(&socket, &stopped))
            .doing(doing)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Waits for the last answers and returns all requests.
    ///
    /// # Errors
    /// If the socket failed.
    pub fn stop(mut self) -> Result<Echoes> {
        self.end()
            .unwrap_or_else(|| Err(Error::new("sending echo requests", "the thread panicked")))
    }

    fn end(&mut self) -> Option<Result<Echoes>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Echoes {
    /// Number of requests.
    pub fn sent(&self) -> usize {
        self.0.len()
    }

    /// Number of requests without an answer.
    pub fn lost(&self) -> usize {
        self.0.iter().filter(|request| !request.is_answered).count()
    }

    /// Longest time without an answered request: from the first request of a series without an answer to the
    /// next one with an answer. Zero if all were answered.
    pub fn outage(&self) -> Duration {
        let mut longest = Duration::ZERO;
        let mut began = None;
        for request in &self.0 {
            let from = *began.get_or_insert(request.sent);
            longest = longest.max(request.sent.since(from));
            if request.is_answered {
                began = None;
            }
        }
        longest
    }
}

fn open(target: Ipv4Addr) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(
        AddressFamily::Inet,
        SockType::Raw,
        flags,
        SockProtocol::Icmp,
    )?;
    // From now on the socket receives from this address only.
    connect(
        fd.as_raw_fd(),
        &SockaddrIn::from(std::net::SocketAddrV4::new(target, 0)),
    )?;
    Ok(fd)
}

fn keep_asking(socket: &OwnedFd, stop: &AtomicBool) -> Result<Echoes> {
    let doing = "waiting for echo replies";
    let mut requests = Vec::new();
    let mut next = Moment::now();
    let mut ends_at = None;
    loop {
        let now = Moment::now();
        if ends_at.is_none() && stop.load(Ordering::Relaxed) {
            ends_at = Some(now + PATIENCE);
        }
        match ends_at {
            Some(at) if now >= at => return Ok(Echoes(requests)),
            Some(at) => next = at,
            None if now >= next => {
                // A request that cannot be sent has no answer: the neighbour is not resolved.
                let _ = send(
                    socket.as_raw_fd(),
                    &request(requests.len()),
                    MsgFlags::empty(),
                );
                requests.push(Request {
                    sent: now,
                    is_answered: false,
                });
                next = now + RHYTHM;
            }
            None => {}
        }
        let wait = next.since(Moment::now()).min(RHYTHM);
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        ppoll(&mut fds, Some(TimeSpec::from_duration(wait)), None)
            .map_err(|errno| Error::new(doing, errno))?;
        let mut packet = [0; 128];
        while let Ok(length) = recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty()) {
            if let Some(number) = answered(&packet[..length])
                && let Some(request) = requests.get_mut(number)
            {
                request.is_answered = true;
            }
        }
    }
}

/// Echo request (RFC 792) with a number of four bytes, which its reply repeats.
fn request(number: usize) -> [u8; 12] {
    let mut message = [0; 12];
    message[0] = ECHO_REQUEST;
    message[4..6].copy_from_slice(&IDENTIFIER.to_be_bytes());
    message[8..].copy_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    let (words, _) = message.as_chunks::<2>();
    let words = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let [_, _, high, low] = (!((sum & 0xffff) + (sum >> 16))).to_be_bytes();
    message[2..4].copy_from_slice(&[high, low]);
    message
}

/// Number of the request that an IPv4 packet answers.
fn answered(packet: &[u8]) -> Option<usize> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let message = packet.get(header..)?;
    let number = message.get(8..12)?.try_into().ok()?;
    (message[0] == ECHO_REPLY).then(|| u32::from_be_bytes(number) as usize)
}
