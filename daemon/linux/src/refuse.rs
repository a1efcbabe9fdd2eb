//! Refusing packets to addresses that a master does not own and may not accept packets to
//! (Accept_Mode False, RFC 9568 sections 6.1 and 6.4.3): a table of nf_tables that is ours alone,
//! spoken to by nfnetlink.
//!
//! A node without such routers has none of this: [`Refuser::new`] opens nothing. The table is made when
//! the configuration first asks for it, so that a take-over sends no more than one batch with all the
//! addresses of its turn, before the addresses themselves. It is deleted when nothing needs it.
//!
//! - The table belongs to nobody in the kernel's sense (no NFT_TABLE_F_OWNER): such a one would go with
//!   the process that made it, while the addresses of a process that was killed stay for a moment.
//! - What somebody else does to it, such as `nft flush ruleset`, is heard of and undone by making it
//!   anew. Until then packets are accepted: nobody can know before it is told.
//! - A batch that the kernel refuses changes nothing. Then the table is made anew in full, once. If that
//!   is refused too, packets cannot be refused: the node tells the engine, and routers that must not
//!   accept are in fault until it works. **An address that must not be accepted is never there in
//!   silence.**
//!
//! It takes CAP_NET_ADMIN and nothing more. The kernel loads its module nf_tables by itself when it is
//! first spoken to, unless loading is locked.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{MsgFlags, send};
use vrrp_proto::Desired;

use crate::batch;
use crate::filter;
use crate::mirror::Mirror;
use crate::netlink::{self, Message, NLMSG_ERROR, News};
use crate::nftables::{self, Batch};
use crate::refusals::{Refusal, Refusals};

/// Refuses packets to addresses.
#[derive(Debug, Default)]
pub struct Refuser {
    refusals: Refusals,
    table: Option<Table>,
    /// What is to be refused from now on. Kept for its room.
    missing: Vec<Refusal>,
}

/// Our table, and who hears what others do to it.
#[derive(Debug)]
struct Table {
    requests: Requests,
    watch: OwnedFd,
    incoming: Vec<u8>,
    /// Whether it is there and has what it should, as far as known.
    in_place: bool,
}

/// Packets cannot be refused. Its text says what is wrong, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot change the table inet {} of nf_tables: {error}{}",
    nftables::TABLE,
    Remedy(error)
)]
pub struct CannotRefuse {
    /// Why: EPERM, EOPNOTSUPP, ENOMEM, and so on.
    #[source]
    pub error: io::Error,
}

impl From<io::Error> for CannotRefuse {
    fn from(error: io::Error) -> Self {
        Self { error }
    }
}

impl Refuser {
    /// One that refuses nothing, and opens nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses what an earlier daemon left, as its table did, until that is gone. To be called at the
    /// start, before [`prepare`](Self::prepare).
    pub fn adopt(&mut self, mirror: &Mirror) {
        self.refusals.adopt(mirror);
    }

    /// Makes the table, unless it is there. `added` is given the descriptor that is to be waited for,
    /// when there is a new one: when it can be read [`was_touched`](Self::was_touched) is to be asked.
    ///
    /// # Errors
    ///
    /// When the kernel has no nf_tables, or refuses.
    pub fn prepare(
        &mut self,
        added: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> Result<(), CannotRefuse> {
        if self.table.is_none() {
            let table = Table::open()?;
            added(table.watch.as_fd())?;
            self.table = Some(table);
        }
        self.repair()
    }

    /// Takes in what is wanted before the addresses are changed: what is to be refused is from now on.
    ///
    /// # Errors
    ///
    /// When the kernel refuses. Then none of the addresses that are not to be accepted may be added.
    pub fn cover(&mut self, desired: &[Desired]) -> Result<(), CannotRefuse> {
        for desired in desired {
            self.refusals.want(desired, &mut self.missing);
        }
        let missing = std::mem::take(&mut self.missing);
        let outcome = match missing.as_slice() {
            [] => Ok(()),
            missing => self.change(|batch| batch.add(missing)),
        };
        self.missing = missing;
        self.missing.clear();
        outcome
    }

    /// Takes in what the addresses are after they were changed: what is gone, and what may be accepted,
    /// is refused no longer.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn uncover(&mut self, mirror: &Mirror) -> Result<(), CannotRefuse> {
        if self.refusals.is_empty() {
            return Ok(());
        }
        match self.refusals.surplus(mirror).as_slice() {
            surplus if self.table.is_none() || surplus.is_empty() => Ok(()),
            surplus => self.change(|batch| batch.remove(surplus)),
        }
    }

    /// Whether somebody else did something to the table since it was last asked, or may have: then it is
    /// to be made anew by [`repair`](Self::repair).
    ///
    /// # Errors
    ///
    /// None that a valid socket could cause.
    pub fn was_touched(&mut self) -> io::Result<bool> {
        let Some(table) = &mut self.table else {
            return Ok(false);
        };
        let touched = table.was_touched()?;
        table.in_place &= !touched;
        Ok(touched)
    }

    /// Makes the table anew if it is not as it should be.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or [`prepare`](Self::prepare) could not open what it takes.
    pub fn repair(&mut self) -> Result<(), CannotRefuse> {
        let Some(table) = &mut self.table else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        if !table.in_place {
            let mut batch = Batch::new();
            batch.replace(&self.refusals.refused().collect::<Vec<_>>());
            table.requests.send(batch)?;
            table.in_place = true;
        }
        Ok(())
    }

    /// Deletes the table and closes everything, unless something is refused still.
    ///
    /// # Errors
    ///
    /// When the kernel refuses. Everything is closed then too.
    pub fn retire(&mut self) -> Result<(), CannotRefuse> {
        if !self.refusals.is_empty() {
            return Ok(());
        }
        let Some(mut table) = self.table.take() else {
            return Ok(());
        };
        table.requests.delete_table()?;
        Ok(())
    }

    /// Carries out a change, or makes everything anew where that is not possible.
    fn change(&mut self, write: impl FnOnce(&mut Batch)) -> Result<(), CannotRefuse> {
        if let Some(table) = &mut self.table
            && table.in_place
        {
            let mut batch = Batch::new();
            write(&mut batch);
            if table.requests.send(batch).is_ok() {
                return Ok(());
            }
            // Somebody else may have deleted it a moment ago.
            table.in_place = false;
        }
        self.repair()
    }
}

/// Deletes the table that an earlier daemon left. Returns whether there was one.
///
/// # Errors
///
/// When the kernel refuses; that it has no nf_tables is no error.
pub fn remove_leftover() -> Result<bool, CannotRefuse> {
    let deleted = Requests::open().and_then(|mut requests| requests.delete_table());
    match deleted {
        Err(error) if lacks_nf_tables(&error) => Ok(false),
        other => Ok(other?),
    }
}

impl Table {
    fn open() -> io::Result<Self> {
        let requests = Requests::open()?;
        let watch = netlink::open_netfilter()?;
        batch::grow_receive_buffer(&watch, batch::KERNEL_BUFFER)?;
        filter::attach(&watch, &filter::all_but_from(requests.port))?;
        netlink::bind_to(&watch, nftables::GROUP)?;
        Ok(Self {
            requests,
            watch,
            incoming: vec![0; netlink::DATAGRAM_LEN],
            in_place: false,
        })
    }

    fn was_touched(&mut self) -> io::Result<bool> {
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
        let text = |errno| CannotRefuse::from(io::Error::from_raw_os_error(errno)).to_string();
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

    #[test]
    fn who_has_nothing_to_refuse_opens_nothing() {
        let mut refuser = Refuser::new();
        let desired = Desired {
            interface: vrrp_proto::InterfaceIndex(2),
            hold: ["10.0.0.9/24".parse().unwrap()].into(),
            options: std::sync::Arc::default(),
            release: [].into(),
            accept: true,
            spare_foreign: false,
        };
        refuser.cover(&[desired]).unwrap();
        refuser.uncover(&Mirror::new()).unwrap();
        assert!(!refuser.was_touched().unwrap());
        refuser.retire().unwrap();
        assert!(refuser.table.is_none());
    }
}
