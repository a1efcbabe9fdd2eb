//! The nf_tables table with the drop rules (see [`vrrp_node::drop_filter`]), changed by nfnetlink.
//!
//! The table has no owner in the kernel's sense (NFT_TABLE_F_OWNER): the kernel deletes an owned table
//! with the process that created it, while the addresses of a killed process remain for a moment. After
//! another program changed the table, packets are accepted until the daemon has read the notification
//! and restored the table.
//!
//! CAP_NET_ADMIN is sufficient. The kernel loads the module nf_tables at the first request, unless
//! module loading is locked.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{MsgFlags, send};
use vrrp_node::host::Transaction;

use crate::batch;
use crate::filter;
use crate::netlink::{self, Message, NLMSG_ERROR, News};
use crate::nftables::{self, Batch};

/// The daemon's table, and a socket that receives notifications of changes by other programs.
#[derive(Debug)]
pub(crate) struct Table {
    requests: Requests,
    watch: OwnedFd,
    incoming: Vec<u8>,
}

/// The drop rules could not be changed. The text names the cause and the remedy.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot change the table inet {} of nf_tables: {error}{}",
    nftables::TABLE,
    Remedy(error)
)]
pub struct DropFilterError {
    /// The error of the kernel: EPERM, EOPNOTSUPP, ENOMEM, and so on.
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
        // The filter is attached before the socket joins the groups, so that it sees every
        // notification.
        filter::attach(&watch, &filter::all_but_from(requests.port))?;
        netlink::bind_to(&watch, nftables::GROUP)?;
        Ok(Self {
            requests,
            watch,
            incoming: vec![0; netlink::DATAGRAM_LEN],
        })
    }

    /// Carries out a change as one transaction.
    ///
    /// # Errors
    ///
    /// Also if another program made the table: that is not replaced.
    pub(crate) fn change(&mut self, change: &Transaction<'_>) -> io::Result<()> {
        if matches!(change, Transaction::Replace(_))
            && self.requests.find()? == Some(MadeBy::Another)
        {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, Foreign));
        }
        let mut batch = Batch::new();
        match change {
            Transaction::Replace(drop_rules) => batch.replace(drop_rules),
            Transaction::Add(drop_rules) => batch.add(drop_rules),
            Transaction::Remove(drop_rules) => batch.remove(drop_rules),
        }
        self.requests.send(batch)
    }

    /// Whether another program changed the table since the last call. Also `true` when notifications
    /// were lost.
    pub(crate) fn was_touched(&mut self) -> io::Result<bool> {
        let mut touched = false;
        loop {
            match netlink::news(&self.watch, &mut self.incoming)? {
                News::None => return Ok(touched),
                News::Datagram(datagram) => {
                    touched |= Message::all_of(datagram).any(|m| nftables::concerns_us(&m));
                }
                // A lost notification may have concerned this table.
                News::Lost => touched = true,
            }
        }
    }
}

/// Readable when another program may have changed the table.
impl AsFd for Table {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// Program that made a table of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MadeBy {
    /// This daemon, or an earlier one.
    Vrrpd,
    Another,
}

/// The table was made by another program.
#[derive(Debug, thiserror::Error)]
#[error(
    "another program made a table of that name (`nft list table inet {}`)",
    nftables::TABLE
)]
struct Foreign;

/// Deletes the table of this daemon or of an earlier one. Returns whether it existed. A kernel without
/// nf_tables is no error, and a table that another program made stays.
pub(crate) fn delete_table() -> io::Result<bool> {
    let deleted = Requests::open().and_then(|mut requests| requests.delete_table());
    match deleted {
        Err(error) if lacks_nf_tables(&error) => Ok(false),
        other => other,
    }
}

/// A socket for requests to nf_tables. The kernel handles a request within send(2) and answers only a
/// rejected one.
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

    /// Sends a batch, which the kernel carries out as one transaction.
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

    /// Looks for the table.
    fn find(&mut self) -> io::Result<Option<MadeBy>> {
        let Some(has_comment) = self.get(&nftables::get_table(), nftables::has_comment)? else {
            return Ok(None);
        };
        let is_ours = match has_comment {
            Some(is_ours) => is_ours,
            None => self.get(&nftables::get_chain(), |_| ())?.is_some(),
        };
        Ok(Some(match is_ours {
            true => MadeBy::Vrrpd,
            false => MadeBy::Another,
        }))
    }

    /// Requests an object, and reads the answer. Returns `None` if the object does not exist, or the kernel
    /// has no nf_tables (EINVAL of nfnetlink).
    fn get<T>(
        &mut self,
        request: &[u8],
        mut read: impl FnMut(&Message<'_>) -> T,
    ) -> io::Result<Option<T>> {
        send(self.socket.as_raw_fd(), request, MsgFlags::empty())?;
        let is_absence =
            |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL));
        let mut found = None;
        while let Some(datagram) = netlink::receive(&self.socket, &mut self.incoming)? {
            for message in Message::all_of(datagram) {
                if message.header.message_type != NLMSG_ERROR {
                    found = Some(read(&message));
                    continue;
                }
                match message.result() {
                    Err(error) if !is_absence(&error) => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(found)
    }

    /// Deletes the table. Returns whether it existed.
    fn delete_table(&mut self) -> io::Result<bool> {
        if self.find()? != Some(MadeBy::Vrrpd) {
            return Ok(false);
        }
        let mut batch = Batch::new();
        batch.delete_table();
        match self.send(batch) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Text with the remedy, appended to the error.
struct Remedy<'e>(&'e io::Error);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if lacks_nf_tables(self.0) || self.0.raw_os_error() == Some(libc::ENOENT) {
            f.write_str(
                ": this kernel has no nf_tables for the family inet: run `modprobe nf_tables`, \
                 before module loading is locked (CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET), or \
                 leave out \"acceptMode\": false",
            )
        } else if self.0.kind() == io::ErrorKind::AlreadyExists {
            f.write_str(": rename it, or leave out \"acceptMode\": false")
        } else if self.0.raw_os_error() == Some(libc::EPERM) {
            f.write_str(": CAP_NET_ADMIN is missing: grant the capability")
        } else {
            Ok(())
        }
    }
}

/// Whether the error means that the kernel has no nf_tables: no nfnetlink, no nf_tables subsystem, or
/// no family inet.
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
    fn drop_filter_error_text_names_the_remedy() {
        let text = |errno| DropFilterError::from(io::Error::from_raw_os_error(errno)).to_string();
        assert_eq!(
            text(libc::EOPNOTSUPP),
            "cannot change the table inet vrrpd of nf_tables: Operation not supported (os error 95): \
             this kernel has no nf_tables for the family inet: run `modprobe nf_tables`, \
             before module loading is locked (CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET), or leave \
             out \"acceptMode\": false"
        );
        assert_eq!(
            text(libc::EPERM),
            "cannot change the table inet vrrpd of nf_tables: Operation not permitted (os error 1): \
             CAP_NET_ADMIN is missing: grant the capability"
        );
        assert_eq!(
            text(libc::ENOMEM),
            "cannot change the table inet vrrpd of nf_tables: Cannot allocate memory (os error 12)"
        );
    }
}
