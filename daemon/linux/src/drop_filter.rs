//! The table of nf_tables by which packets to addresses are refused (see [`vrrp_node::drop_filter`]), spoken
//! to by nfnetlink.
//!
//! The table has no owner in the kernel's sense (NFT_TABLE_F_OWNER): an owned table goes with the process
//! that made it, while the addresses of a process that was killed stay for a moment. After another program
//! changed the table, packets are accepted until the news of that have been read.
//!
//! CAP_NET_ADMIN is enough. The kernel loads its module nf_tables at the first request, unless loading is
//! locked.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{MsgFlags, send};
use vrrp_node::host::Transaction;

use crate::batch;
use crate::filter;
use crate::netlink::{self, Message, NLMSG_ERROR, News};
use crate::nftables::{self, Batch};

/// Our table, and a socket for the news of its changes by other programs.
#[derive(Debug)]
pub(crate) struct Table {
    requests: Requests,
    watch: OwnedFd,
    incoming: Vec<u8>,
}

/// Packets cannot be refused. Its text says what is wrong, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot change the table inet {} of nf_tables: {error}{}",
    nftables::TABLE,
    Remedy(error)
)]
pub struct DropFilterError {
    /// Why: EPERM, EOPNOTSUPP, ENOMEM, and so on.
    #[source]
    pub error: io::Error,
}

impl From<io::Error> for DropFilterError {
    fn from(error: io::Error) -> Self {
        Self { error }
    }
}

impl Table {
    pub(crate) fn open() -> io::Result<Self> {
        let requests = Requests::open()?;
        let watch = netlink::open_netfilter()?;
        batch::grow_receive_buffer(&watch, batch::KERNEL_BUFFER)?;
        filter::attach(&watch, &filter::all_but_from(requests.port))?;
        netlink::bind_to(&watch, nftables::GROUP)?;
        Ok(Self {
            requests,
            watch,
            incoming: vec![0; netlink::DATAGRAM_LEN],
        })
    }

    /// Carries out a change, all of it or nothing.
    pub(crate) fn change(&mut self, change: &Transaction<'_>) -> io::Result<()> {
        let mut batch = Batch::new();
        match change {
            Transaction::Replace(drop_rules) => batch.replace(drop_rules),
            Transaction::Add(drop_rules) => batch.add(drop_rules),
            Transaction::Remove(drop_rules) => batch.remove(drop_rules),
        }
        self.requests.send(batch)
    }

    /// Whether another program changed the table since the last call, or may have.
    pub(crate) fn was_touched(&mut self) -> io::Result<bool> {
        let mut touched = false;
        loop {
            match netlink::news(&self.watch, &mut self.incoming)? {
                News::None => return Ok(touched),
                News::Datagram(datagram) => {
                    touched |= Message::all_of(datagram).any(|m| nftables::concerns_us(&m));
                }
                // What is lost may have been about us.
                News::Lost => touched = true,
            }
        }
    }
}

/// Ready when the table may have been changed.
impl AsFd for Table {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// Deletes the table of this daemon or of an earlier one. Returns whether there was a table; that the
/// kernel has no nf_tables is no error.
pub(crate) fn delete_table() -> io::Result<bool> {
    let deleted = Requests::open().and_then(|mut requests| requests.delete_table());
    match deleted {
        Err(error) if lacks_nf_tables(&error) => Ok(false),
        other => other,
    }
}

/// A socket for requests to nf_tables, which the kernel handles within send(2) and answers only where
/// it refuses.
#[derive(Debug)]
struct Requests {
    socket: OwnedFd,
    port: u32,
    incoming: Vec<u8>,
}

impl Requests {
    fn open() -> io::Result<Self> {
        let socket = netlink::open_netfilter()?;
        batch::grow_send_buffer(&socket, batch::KERNEL_BUFFER)?;
        batch::grow_receive_buffer(&socket, batch::KERNEL_BUFFER)?;
        let port = netlink::bind_to(&socket, 0)?;
        Ok(Self {
            socket,
            port,
            incoming: vec![0; netlink::DATAGRAM_LEN],
        })
    }

    /// Has a batch carried out, all of it or nothing.
    fn send(&mut self, batch: Batch) -> io::Result<()> {
        send(self.socket.as_raw_fd(), &batch.finish(), MsgFlags::empty())?;
        let mut outcome = Ok(());
        while let Some(datagram) = netlink::receive(&self.socket, &mut self.incoming)? {
            for message in Message::all_of(datagram) {
                if message.header.message_type == NLMSG_ERROR {
                    outcome = outcome.and(message.result());
                }
            }
        }
        outcome
    }

    /// Returns whether there was one.
    fn delete_table(&mut self) -> io::Result<bool> {
        let mut batch = Batch::new();
        batch.delete_table();
        match self.send(batch) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What would be right, behind what is wrong.
struct Remedy<'e>(&'e io::Error);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if lacks_nf_tables(self.0) || self.0.raw_os_error() == Some(libc::ENOENT) {
            f.write_str(
                ": this kernel has no nf_tables for the family inet: load it by `modprobe nf_tables`, \
                 before module loading is locked (CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET), or \
                 leave out \"acceptMode\": false",
            )
        } else if self.0.raw_os_error() == Some(libc::EPERM) {
            f.write_str(
                ": either CAP_NET_ADMIN is missing, or the table belongs to another program: it must \
                 be none with `flags owner`",
            )
        } else {
            Ok(())
        }
    }
}

/// Whether a refusal says that there is no nf_tables: no nfnetlink at all, no such part of it, or no
/// such family.
fn lacks_nf_tables(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_what_would_be_right() {
        let text = |errno| DropFilterError::from(io::Error::from_raw_os_error(errno)).to_string();
        assert_eq!(
            text(libc::EOPNOTSUPP),
            "cannot change the table inet vrrpd of nf_tables: Operation not supported (os error 95): \
             this kernel has no nf_tables for the family inet: load it by `modprobe nf_tables`, \
             before module loading is locked (CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET), or leave \
             out \"acceptMode\": false"
        );
        assert_eq!(
            text(libc::EPERM),
            "cannot change the table inet vrrpd of nf_tables: Operation not permitted (os error 1): \
             either CAP_NET_ADMIN is missing, or the table belongs to another program: it must be \
             none with `flags owner`"
        );
        assert_eq!(
            text(libc::ENOMEM),
            "cannot change the table inet vrrpd of nf_tables: Cannot allocate memory (os error 12)"
        );
    }
}
