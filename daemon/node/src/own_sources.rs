//! Delivery of IPv4 advertisements whose source is an address of this host.
//!
//! A master holds the addresses of an owner that is away (RFC 9568 section 4.1). When the owner returns, it
//! advertises from one of them. Linux drops such packets before any raw socket unless the receiving
//! interface has `accept_local` (ip-sysctl), so the two would remain masters.

use std::collections::BTreeSet;
use std::time::Duration;

use vrrp_proto::{Family, Instant, InterfaceIndex};

use crate::host::{Host, Kernel, Severity};
use crate::listeners::Listeners;
use crate::mirror::Mirror;

/// Time between two checks of the settings of interfaces. The kernel sends no notification when another
/// program changes them.
pub(crate) const CHECK: Duration = Duration::from_secs(10);

/// Interfaces on which the kernel has to deliver these advertisements.
#[derive(Debug, Default)]
pub(crate) struct OwnSources {
    on: BTreeSet<InterfaceIndex>,
    checked_at: Option<Instant>,
}

impl OwnSources {
    /// Sets the interfaces: those on which routers receive IPv4 advertisements.
    pub(crate) fn set(&mut self, listeners: &Listeners) {
        let on: BTreeSet<_> = listeners
            .keys()
            .filter(|(_, family)| *family == Family::V4)
            .map(|(interface, _)| *interface)
            .collect();
        if self.on != on {
            self.on = on;
            self.checked_at = None;
        }
    }

    /// Requests the setting if the interfaces changed or the last check was long ago. Returns `false` when
    /// the kernel rejected that.
    pub(crate) fn check<H: Host>(&mut self, now: Instant, mirror: &Mirror, host: &mut H) -> bool {
        if self.checked_at.is_some_and(|at| now.since(at) < CHECK) {
            return true;
        }
        self.checked_at = Some(now);
        match host.kernel().accept_own_sources(&self.on) {
            Ok(done) => {
                for interface in done.repaired {
                    let name = mirror.name(interface);
                    let text = format!(
                        "another program set accept_local of {name} to 0: set to 1 again, without which \
                         Linux drops the advertisements of an owner whose address this host holds"
                    );
                    host.complain(Severity::Warning, text);
                }
                true
            }
            Err(error) => {
                let text = format!(
                    "cannot set accept_local: {error}; while this host holds the address of an owner, it \
                     does not receive that owner's advertisements; trying again every second"
                );
                host.complain(Severity::Error, text);
                self.checked_at = None;
                false
            }
        }
    }
}
