//! Virtual addresses that the kernel rejected.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;

use vrrp_proto::snapshot::{MissingAddress, Snapshot};
use vrrp_proto::{Engine, InterfaceAddress, InterfaceIndex};

use crate::change::{Change, Failure};
use crate::mirror::Mirror;

/// Addresses that the kernel rejected, until it adds them.
#[derive(Debug, Default)]
pub(crate) struct Rejections {
    known: BTreeMap<(InterfaceIndex, InterfaceAddress), Rejection>,
    news: Vec<News>,
}

#[derive(Debug)]
struct Rejection {
    error: Arc<str>,
    /// Whether the request fails again until the host is configured otherwise: see [`is_lasting`].
    is_lasting: bool,
}

/// Lasting rejection: the error, or `None` if it has ended.
pub(crate) type News = (InterfaceIndex, InterfaceAddress, Option<Arc<str>>);

impl Rejections {
    /// Records the outcome of `changes`, of which `failures` were rejected.
    pub(crate) fn record(&mut self, changes: &[Change], failures: &[Failure]) {
        if self.known.is_empty() && failures.is_empty() {
            return;
        }
        for change in changes {
            let Change::Add {
                interface, address, ..
            } = *change
            else {
                continue;
            };
            let mut failures = failures.iter();
            let failure = failures.find(|failure| failure.change == *change);
            let key = (interface, address);
            let rejection = failure.map(|failure| Rejection {
                error: failure.error.to_string().into(),
                is_lasting: is_lasting(failure.error.kind()),
            });
            let lasting =
                |rejection: &Rejection| rejection.is_lasting.then(|| Arc::clone(&rejection.error));
            let now = rejection.as_ref().and_then(lasting);
            let former = match rejection {
                Some(rejection) => self.known.insert(key, rejection),
                None => self.known.remove(&key),
            };
            // Repeated, because the engine forgets it with a reload or a change of the interface.
            if now.is_some() || former.as_ref().and_then(lasting).is_some() {
                self.news.push((interface, address, now));
            }
        }
    }

    /// Returns the lasting rejections since the last call, and those that have ended.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Forgets the rejections of addresses that no master wants.
    pub(crate) fn forget_unwanted(&mut self, engine: &Engine) {
        if self.known.is_empty() {
            return;
        }
        let held: BTreeSet<_> = engine.held().collect();
        self.known.retain(|key, _| held.contains(key));
    }

    /// Adds to the status of each master the addresses that it wants and `mirror` does not show.
    pub(crate) fn complete(&self, snapshot: &mut Snapshot, engine: &Engine, mirror: &Mirror) {
        for router in &mut snapshot.instances {
            let held = engine.held_by(&router.name);
            let missing =
                held.filter(|(interface, address)| mirror.held(*interface, *address).is_none());
            router.missing = missing
                .map(|(interface, address)| MissingAddress {
                    address,
                    interface: mirror.name(interface),
                    error: self
                        .known
                        .get(&(interface, address))
                        .map(|rejection| Arc::clone(&rejection.error)),
                })
                .collect();
        }
    }
}

/// Whether a request with this error fails again until the host is configured otherwise: EINVAL,
/// EADDRNOTAVAIL, EACCES (IPv6 is off on the interface), EPERM, EOPNOTSUPP (the kernel has no IPv6). A lack
/// of memory passes.
const fn is_lasting(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidInput
            | ErrorKind::AddrNotAvailable
            | ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
    )
}
