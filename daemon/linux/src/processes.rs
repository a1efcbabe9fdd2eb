//! Processes of the host: their state in /proc (proc(5)), and notifications when one starts or exits
//! (the process connector, linux/cn_proc.h).
//!
//! The connector exists only in the initial network namespace, and serves only processes of the initial
//! PID and user namespace with CAP_NET_ADMIN there. It acknowledges a subscription; elsewhere it
//! rejects the request or does not answer. So a subscription counts only from [`News::Subscribed`] on.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::sys::socket::{MsgFlags, send};
use socket2::{Domain, Protocol, Socket, Type};

use crate::batch;
use crate::netlink;

/// Protocol number of connector messages (linux/netlink.h).
const NETLINK_CONNECTOR: i32 = 11;

// The process connector (linux/connector.h, linux/cn_proc.h).
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_EVENT_NONE: u32 = 0;
const PROC_EVENT_FORK: u32 = 1;
const PROC_EVENT_EXEC: u32 = 2;
const PROC_EVENT_COMM: u32 = 0x200;
const PROC_EVENT_EXIT: u32 = 0x8000_0000;

const NLMSG_DONE: u16 = 3;

/// Length of struct nlmsghdr, and of struct cn_msg before its data.
const HEADER_LEN: usize = 16;
const CONNECTOR_LEN: usize = 20;

/// Length of struct proc_event before the data of the event.
const EVENT_LEN: usize = 16;

/// Receive buffer in bytes: events of some thousand processes between two reads.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Process ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// Notification of the kernel about processes. Threads are filtered out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Answer to the subscription: `Ok` if all later events are reported, or the errno of the
    /// rejection.
    Subscribed(Result<(), i32>),
    /// A process started, executed another program or changed its name: read its state again.
    Began(Pid),
    /// A process exited.
    Ended(Pid),
}

/// Whether all events were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// No event was lost.
    All,
    /// Events were lost: scan all processes again.
    Overrun,
}

/// A socket that receives notifications about processes.
#[derive(Debug)]
pub struct Connector {
    socket: OwnedFd,
    incoming: Vec<u8>,
}

impl Connector {
    /// Subscribes to the events of processes. The kernel answers with [`News::Subscribed`], or not (see
    /// the module).
    ///
    /// # Errors
    ///
    /// EPROTONOSUPPORT when the kernel has no connector, ECONNREFUSED outside the initial network
    /// namespace, EPERM without CAP_NET_ADMIN (before Linux 6.6).
    pub fn subscribe() -> io::Result<Self> {
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            Type::DGRAM.nonblocking().cloexec(),
            Some(Protocol::from(NETLINK_CONNECTOR)),
        )?;
        let socket = OwnedFd::from(socket);
        batch::grow_receive_buffer(&socket, RECEIVE_BUFFER)?;
        let port = netlink::bind_to(&socket, CN_IDX_PROC)?;
        send(socket.as_raw_fd(), &subscription(port), MsgFlags::empty())?;
        Ok(Self {
            socket,
            incoming: vec![0; netlink::DATAGRAM_LEN],
        })
    }

    /// Reads all waiting events and appends them to `news`.
    ///
    /// # Errors
    ///
    /// Fails only if the socket is invalid.
    pub fn read(&mut self, news: &mut Vec<News>) -> io::Result<Heard> {
        let mut heard = Heard::All;
        loop {
            match netlink::news(&self.socket, &mut self.incoming)? {
                netlink::News::None => return Ok(heard),
                netlink::News::Datagram(datagram) => news.extend(parse(datagram)),
                netlink::News::Lost => heard = Heard::Overrun,
            }
        }
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Connector {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The subscription request: struct nlmsghdr, struct cn_msg and an operation.
fn subscription(port: u32) -> Vec<u8> {
    const OPERATION_LEN: u16 = 4;
    let length = 16 + 20 + u32::from(OPERATION_LEN);
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(NLMSG_DONE.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(port.to_ne_bytes());
    bytes.extend(CN_IDX_PROC.to_ne_bytes());
    bytes.extend(CN_VAL_PROC.to_ne_bytes());
    // Sequence number and acknowledgement.
    bytes.extend([0; 8]);
    bytes.extend(OPERATION_LEN.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(PROC_CN_MCAST_LISTEN.to_ne_bytes());
    bytes
}

/// Parses a datagram. `None` for events that do not concern the trackers.
fn parse(datagram: &[u8]) -> Option<News> {
    let message = datagram.get(HEADER_LEN..)?;
    if (word(message, 0)?, word(message, 1)?) != (CN_IDX_PROC, CN_VAL_PROC) {
        return None;
    }
    let event = message.get(CONNECTOR_LEN..)?;
    let what = word(event, 0)?;
    let data = event.get(EVENT_LEN..)?;
    // Threads of a process have another PID than their leader.
    let leader = |pid: usize, leader: usize| {
        let (pid, leader) = (word(data, pid)?, word(data, leader)?);
        (pid == leader).then_some(Pid(pid))
    };
    match what {
        PROC_EVENT_NONE => {
            let refusal = i32::try_from(word(data, 0)?).unwrap_or(libc::EPERM);
            Some(News::Subscribed(match refusal {
                0 => Ok(()),
                error => Err(error),
            }))
        }
        // The parent's numbers come first.
        PROC_EVENT_FORK => leader(2, 3).map(News::Began),
        PROC_EVENT_EXEC => Some(News::Began(Pid(word(data, 1)?))),
        PROC_EVENT_COMM => leader(0, 1).map(News::Began),
        PROC_EVENT_EXIT => leader(0, 1).map(News::Ended),
        _ => None,
    }
}

/// The `index`th four-byte word of `bytes`.
fn word(bytes: &[u8], index: usize) -> Option<u32> {
    let bytes = bytes.get(4 * index..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// A process as /proc shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Name in the kernel (comm): at most 15 bytes.
    pub name: Vec<u8>,
    /// Command line; empty for a kernel thread.
    pub command_line: Vec<Vec<u8>>,
}

impl Process {
    /// Reads a process. `None` if there is none with that ID, or if it is a zombie.
    pub fn of(pid: Pid) -> Option<Self> {
        Self::read(Path::new("/proc"), pid)
    }

    fn read(proc: &Path, pid: Pid) -> Option<Self> {
        let directory = proc.join(pid.0.to_string());
        let status = std::fs::read(directory.join("stat")).ok()?;
        let (name, state) = name_and_state(&status)?;
        if matches!(state, b'Z' | b'X' | b'x') {
            return None;
        }
        let line = std::fs::read(directory.join("cmdline")).ok()?;
        let line = line.strip_suffix(b"\0").unwrap_or(&line);
        let command_line = match line {
            [] => Vec::new(),
            line => line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect(),
        };
        Some(Self {
            name: name.to_vec(),
            command_line,
        })
    }

    /// Whether the process runs that program: compares the last path component of the first argument,
    /// and the kernel's name, of which only 15 bytes are kept.
    pub fn is_called(&self, name: &str) -> bool {
        const KEPT: usize = 15;
        let name = name.as_bytes();
        let word = self.command_line.first();
        let last_part = word.and_then(|word| word.rsplit(|byte| *byte == b'/').next());
        self.name == name[..name.len().min(KEPT)] || last_part == Some(name)
    }

    /// Whether the command line equals `words`.
    pub fn has_command_line(&self, words: &[String]) -> bool {
        let own = self.command_line.iter().map(Vec::as_slice);
        own.eq(words.iter().map(String::as_bytes))
    }
}

/// Parses name and state from `/proc/PID/stat`: `1 (name) S ...`. A name may contain parentheses.
fn name_and_state(status: &[u8]) -> Option<(&[u8], u8)> {
    let begin = status.iter().position(|byte| *byte == b'(')? + 1;
    let end = status.iter().rposition(|byte| *byte == b')')?;
    let name = status.get(begin..end)?;
    Some((name, *status.get(end + 2)?))
}

/// IDs of all processes in /proc.
///
/// # Errors
///
/// Fails when /proc is not mounted.
pub fn all() -> io::Result<Vec<Pid>> {
    let entries = std::fs::read_dir("/proc")?;
    let number = |entry: io::Result<std::fs::DirEntry>| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse().ok().map(Pid)
    };
    Ok(entries.filter_map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connector_events_are_parsed_and_threads_skipped() {
        let event = |what: u32, data: &[u32]| {
            let mut bytes = vec![0; HEADER_LEN];
            for word in [CN_IDX_PROC, CN_VAL_PROC, 0, 0, 40, what, 0, 0, 0] {
                bytes.extend(word.to_ne_bytes());
            }
            bytes.extend(data.iter().flat_map(|word| word.to_ne_bytes()));
            parse(&bytes)
        };
        assert_eq!(event(0, &[0]), Some(News::Subscribed(Ok(()))));
        assert_eq!(event(0, &[1]), Some(News::Subscribed(Err(libc::EPERM))));
        assert_eq!(event(1, &[1, 1, 7, 7]), Some(News::Began(Pid(7))));
        assert_eq!(event(1, &[1, 1, 8, 7]), None, "a thread");
        assert_eq!(event(2, &[8, 7]), Some(News::Began(Pid(7))));
        assert_eq!(event(0x200, &[7, 7]), Some(News::Began(Pid(7))));
        assert_eq!(event(0x8000_0000, &[7, 7, 0, 0]), Some(News::Ended(Pid(7))));
        assert_eq!(event(0x8000_0000, &[8, 7, 0, 0]), None);
        assert_eq!(event(4, &[7, 7]), None, "another user");
        assert_eq!(parse(&[0; 20]), None);
        assert_eq!(event(2, &[7]), None, "too short");
    }

    #[test]
    fn process_matches_by_name_or_command_line() {
        let process = |name: &str, words: &[&str]| Process {
            name: name.into(),
            command_line: words.iter().map(|word| (*word).into()).collect(),
        };
        let httpd = process("httpd", &["/usr/sbin/httpd", "-k", "start"]);
        assert!(httpd.is_called("httpd"));
        assert!(!httpd.is_called("http") && !httpd.is_called("/usr/sbin/httpd"));
        let words = ["/usr/sbin/httpd", "-k", "start"].map(String::from);
        assert!(httpd.has_command_line(&words));
        assert!(!httpd.has_command_line(&words[..2]));
        // The kernel keeps 15 bytes, and an interpreter also matches by its own name.
        let long = process("a-long-name-of-", &["/opt/a-long-name-of-a-program"]);
        assert!(long.is_called("a-long-name-of-a-program"));
        assert!(!long.is_called("a-long-name-of"));
        let script = process("check.py", &["/usr/bin/python3", "/opt/check.py"]);
        assert!(script.is_called("check.py") && script.is_called("python3"));
        let thread = process("kworker/0:1", &[]);
        assert!(thread.is_called("kworker/0:1") && !thread.has_command_line(&words));
    }

    #[test]
    fn process_name_may_contain_parentheses() {
        assert_eq!(name_and_state(b"7 (a) S 1"), Some((&b"a"[..], b'S')));
        assert_eq!(
            name_and_state(b"7 (a) (b) Z 1"),
            Some((&b"a) (b"[..], b'Z'))
        );
        assert_eq!(name_and_state(b"7 a"), None);
    }

    #[test]
    fn own_process_is_found_and_a_zombie_is_not() {
        let own = Pid(std::process::id());
        assert!(all().unwrap().contains(&own));
        let process = Process::of(own).unwrap();
        let first = std::env::args().next().unwrap();
        assert_eq!(process.command_line[0], first.as_bytes());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid(child.id());
        // Exited, but its parent has not waited for it.
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        let raw = nix::unistd::Pid::from_raw(i32::try_from(pid.0).unwrap());
        nix::sys::wait::waitid(nix::sys::wait::Id::Pid(raw), flags).unwrap();
        assert_eq!(Process::of(pid), None, "a zombie");
        child.wait().unwrap();
        assert_eq!(Process::of(pid), None);
    }
}
