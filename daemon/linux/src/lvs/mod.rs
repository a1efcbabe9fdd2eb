//! The IPVS sync daemons of the kernel, which send the connection table to other hosts (master) or
//! receive it (backup). [`Reconciler`] brings them to the state that the engine wants, by generic
//! netlink (family IPVS, linux/ip_vs.h).
//!
//! Do not call this from the thread that sends advertisements. Starting and stopping a kernel thread
//! takes arbitrarily long, and holds a lock that address changes need, too. Asking a kernel without
//! IPVS makes it search for a module.
//!
//! - IPVS sends no notifications, so [`Reconciler::keep`] has to be called periodically.
//! - A sync daemon carries no mark. One that a dead vrrpd left is recognised by the configuration
//!   alone: its interface and its syncId.
//! - All of IPVS requires CAP_NET_ADMIN of the initial user namespace.

mod codec;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use vrrp_proto::params::LvsSync;
use vrrp_proto::{DesiredLvs, InterfaceIndex};

use crate::netlink::{self, DATAGRAM_LEN};
use vrrp_node::lvs::{Change, Shown, plan};

/// Keeps the IPVS sync daemons in the desired state.
#[derive(Debug, Default)]
pub struct Reconciler {
    ipvs: Option<Ipvs>,
    /// Desired state that was reached last.
    kept: Option<DesiredLvs>,
    started_on: Option<InterfaceIndex>,
}

/// Result of [`Reconciler::keep`].
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Changes that were made.
    pub changes: Vec<Change>,
    /// Whether the state had been right before, so that another program has changed it.
    pub is_repair: bool,
    /// The error, if the desired state was not reached.
    pub failure: Option<CannotSync>,
}

/// The IPVS sync daemon could not be brought to the desired state. The text names the cause and the
/// remedy.
#[derive(Debug, thiserror::Error)]
#[error("cannot {}: {error}{}", Attempt(.change.as_ref()), Remedy(self))]
pub struct CannotSync {
    /// The change that failed; `None` if listing the sync daemons failed.
    pub change: Option<Change>,
    /// Error of the kernel: ENOENT when there is no IPVS, ENODEV without the interface, and so on.
    #[source]
    pub error: io::Error,
}

impl From<io::Error> for CannotSync {
    fn from(error: io::Error) -> Self {
        let change = None;
        Self { change, error }
    }
}

impl CannotSync {
    /// Whether the kernel has no IPVS.
    pub fn is_absence(&self) -> bool {
        self.change.is_none() && self.error.raw_os_error() == Some(libc::ENOENT)
    }
}

impl Reconciler {
    /// Lists the sync daemons, and makes the changes that lead to the desired state.
    pub fn keep(&mut self, desired: &DesiredLvs) -> Reconciled {
        let mut kept = Reconciled::default();
        let outcome = self.try_to_keep(desired, &mut kept);
        kept.is_repair = self.kept.as_ref() == Some(desired) && !kept.changes.is_empty();
        // Without IPVS there is no sync daemon to stop: the desired state without a role is reached.
        let is_wanted = desired.role.is_some();
        kept.failure = outcome
            .err()
            .filter(|error| is_wanted || !error.is_absence());
        // A change is a repair only if the desired state had been reached before.
        self.kept = kept.failure.is_none().then(|| desired.clone());
        kept
    }

    fn try_to_keep(
        &mut self,
        desired: &DesiredLvs,
        kept: &mut Reconciled,
    ) -> Result<(), CannotSync> {
        let ipvs = match &mut self.ipvs {
            Some(ipvs) => ipvs,
            none => none.insert(Ipvs::open()?),
        };
        let family = ipvs.family()?;
        let shown = ipvs.show(family)?;
        for change in plan(desired, &shown, self.started_on) {
            ipvs.apply(&change, family)?;
            if let Change::Start(..) = change {
                // The kernel shows the name of the interface but not its index.
                self.started_on = desired.on;
            }
            kept.changes.push(change);
        }
        // Without the interface the plan only stops sync daemons; starting one fails until it exists.
        if let DesiredLvs {
            sync,
            on: None,
            role: Some(role),
        } = desired
        {
            let change = Some(Change::Start(*role, Arc::clone(sync)));
            let error = io::Error::from_raw_os_error(libc::ENODEV);
            return Err(CannotSync { change, error });
        }
        Ok(())
    }
}

/// Stops the sync daemons with these settings that a dead vrrpd left. Returns the changes.
///
/// # Errors
///
/// An error of the kernel; a kernel without IPVS is no error.
pub fn cleanup(sync: &LvsSync) -> Result<Vec<Change>, CannotSync> {
    let desired = DesiredLvs {
        sync: sync.clone().into(),
        on: None,
        role: None,
    };
    let Reconciled {
        changes, failure, ..
    } = Reconciler::default().keep(&desired);
    failure.map_or(Ok(changes), Err)
}

/// A generic netlink socket for IPVS.
#[derive(Debug)]
struct Ipvs {
    socket: OwnedFd,
    sequence: u32,
    incoming: Vec<u8>,
}

impl Ipvs {
    fn open() -> io::Result<Self> {
        Ok(Self::over(netlink::open_generic()?))
    }

    fn over(socket: OwnedFd) -> Self {
        Self {
            socket,
            sequence: 0,
            incoming: vec![0; DATAGRAM_LEN],
        }
    }

    /// Number of the family IPVS. It changes when the module is unloaded and loaded again.
    fn family(&mut self) -> io::Result<u16> {
        let mut family = None;
        let number = self.next();
        let request = codec::find_family(number);
        netlink::dump(&self.socket, &request, number, &mut self.incoming, |m| {
            family = family.or(codec::family(m));
        })?;
        family.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    /// Lists the sync daemons.
    fn show(&mut self, family: u16) -> io::Result<Vec<Shown>> {
        let mut shown = Vec::new();
        let number = self.next();
        let request = codec::show(family, number);
        netlink::dump(&self.socket, &request, number, &mut self.incoming, |m| {
            shown.extend(codec::shown(m));
        })?;
        Ok(shown)
    }

    fn apply(&mut self, change: &Change, family: u16) -> Result<(), CannotSync> {
        let number = self.next();
        let request = codec::request(change, family, number);
        netlink::dump(&self.socket, &request, number, &mut self.incoming, |_| {})
            .map(drop)
            .map_err(|error| CannotSync {
                change: Some(change.clone()),
                error,
            })
    }

    /// Number of the next request.
    const fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

/// Text of the failed operation.
struct Attempt<'c>(Option<&'c Change>);

impl fmt::Display for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(change) => change.fmt(f),
            None => f.write_str("list the IPVS sync daemons"),
        }
    }
}

/// Text with the remedy, appended to the error.
struct Remedy<'e>(&'e CannotSync);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CannotSync { change, error } = self.0;
        let interface = || match change {
            Some(Change::Start(_, sync)) => &*sync.interface,
            Some(Change::Stop(_)) | None => "of lvsSyncInterface",
        };
        match error.raw_os_error() {
            _ if self.0.is_absence() => f.write_str(
                ": this kernel has no IPVS: run `modprobe ip_vs`, and load it at every boot by a file in \
                 /etc/modules-load.d, or leave \"lvsSyncInterface\" out",
            ),
            Some(libc::EPERM) => f.write_str(
                ": IPVS requires CAP_NET_ADMIN of the initial user namespace, which a container lacks",
            ),
            Some(libc::ENODEV) => write!(f, ": there is no interface {} (yet)", interface()),
            Some(libc::ENETUNREACH | libc::EADDRNOTAVAIL) => write!(
                f,
                ": the interface {} must be up and have an address",
                interface()
            ),
            Some(libc::EINVAL) if change.is_some() => f.write_str(
                ": IPVS cannot synchronise connections while it has a service with real servers of the \
                 other family (`ipvsadm --list`)",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
