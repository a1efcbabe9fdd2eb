//! The kernel's sync thread of IPVS, which tells other hosts of the connections here, or hears of
//! theirs: it is kept as the engine wants it, by generic netlink (family IPVS, linux/ip_vs.h).
//!
//! None of this is for the thread that sends advertisements: starting and stopping a thread of the kernel
//! takes as long as the kernel likes, with a lock held that changes of addresses need, too; and asking for
//! IPVS where it is not makes the kernel look for a module.
//!
//! - IPVS tells nobody of what happens to it. So whoever wants it to stay right looks now and then
//!   ([`Reconciler::keep`]).
//! - A thread bears no mark. What a dead daemon left is known by the configuration alone: its interface
//!   and its syncId.
//! - It takes CAP_NET_ADMIN of the initial user namespace, as all of IPVS does.

mod codec;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use vrrp_proto::params::LvsSync;
use vrrp_proto::{DesiredLvs, InterfaceIndex};

use crate::netlink::{self, DATAGRAM_LEN};
use vrrp_node::lvs::{Change, Shown, plan};

/// Keeps the sync thread as it should be.
#[derive(Debug, Default)]
pub struct Reconciler {
    ipvs: Option<Ipvs>,
    /// What was made so at last.
    kept: Option<DesiredLvs>,
    started_on: Option<InterfaceIndex>,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// What was changed.
    pub changes: Vec<Change>,
    /// Whether it had been as it should be, and somebody else changed it.
    pub is_repair: bool,
    /// Why it is not as it should be.
    pub failure: Option<CannotSync>,
}

/// The sync thread of IPVS cannot be as it should. Its text says what is wrong, and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("cannot {}: {error}{}", Attempt(.change.as_ref()), Remedy(self))]
pub struct CannotSync {
    /// What was tried, or nothing but a look at what there is.
    pub change: Option<Change>,
    /// Why it failed: ENOENT when there is no IPVS, ENODEV without the interface, and so on.
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
    /// Looks at what there is, and makes it what is desired.
    pub fn keep(&mut self, desired: &DesiredLvs) -> Reconciled {
        let mut kept = Reconciled::default();
        let outcome = self.try_to_keep(desired, &mut kept);
        kept.is_repair = self.kept.as_ref() == Some(desired) && !kept.changes.is_empty();
        // Who wants nothing where nothing can be has it.
        let is_wanted = desired.role.is_some();
        kept.failure = outcome
            .err()
            .filter(|error| is_wanted || !error.is_absence());
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
                self.started_on = desired.on;
            }
            kept.changes.push(change);
        }
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

/// Stops the sync threads that a dead daemon left, which had these settings. Returns what was stopped.
///
/// # Errors
///
/// When the kernel refuses; that it has no IPVS is no error.
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

/// A socket for IPVS.
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

    /// The number of the family, which is another one when the module was unloaded and loaded again.
    fn family(&mut self) -> io::Result<u16> {
        let mut family = None;
        let number = self.next();
        let request = codec::find_family(number);
        netlink::dump(&self.socket, &request, number, &mut self.incoming, |m| {
            family = family.or(codec::family(m));
        })?;
        family.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    /// All sync threads.
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

    /// The number of the next request.
    const fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

/// What was tried.
struct Attempt<'c>(Option<&'c Change>);

impl fmt::Display for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(change) => change.fmt(f),
            None => f.write_str("ask the kernel for the sync threads of IPVS"),
        }
    }
}

/// What would be right, behind what is wrong.
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
                ": this kernel has no IPVS: load it by `modprobe ip_vs`, and at every boot by a file in \
                 /etc/modules-load.d, or leave \"lvsSyncInterface\" out",
            ),
            Some(libc::EPERM) => f.write_str(
                ": it takes CAP_NET_ADMIN of the initial user namespace, which a container has not",
            ),
            Some(libc::ENODEV) => write!(f, ": there is no interface {} (yet)", interface()),
            Some(libc::ENETUNREACH | libc::EADDRNOTAVAIL) => write!(
                f,
                ": the interface {} has to be up, with an address",
                interface()
            ),
            Some(libc::EINVAL) if change.is_some() => f.write_str(
                ": IPVS synchronises no connections while it has a service with real servers of the \
                 other family (`ipvsadm --list`)",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
