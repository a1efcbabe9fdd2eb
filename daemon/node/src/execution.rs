//! Execution of address changes: a deletion deletes nothing else.
//!
//! Without `promote_secondaries` (ip-sysctl), which is the kernel's default, the secondary addresses of a
//! network are deleted along with the primary one, even the host's own. The setting is on during the
//! deletions.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use vrrp_proto::{Family, InterfaceIndex};

use crate::change::{Change, Failure};
use crate::host::Kernel;
use crate::mirror::Mirror;
use crate::plan::arrange;

/// Failure to change `promote_secondaries` of an interface.
#[derive(Debug)]
pub struct PromotionFailure {
    /// Name of the interface.
    pub interface: Arc<str>,
    /// Whether the setting was to be turned on.
    pub on: bool,
    /// Reason.
    pub error: io::Error,
}

impl fmt::Display for PromotionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            interface,
            on,
            error,
        } = self;
        let setting = format_args!("promote_secondaries of {interface} to {}", u8::from(*on));
        write!(f, "cannot set {setting}: {error}")?;
        if *on {
            f.write_str(
                "; with a virtual address the kernel may delete other addresses of its network: set it by \
                 sysctl",
            )?;
        }
        Ok(())
    }
}

/// Carries out the planned `changes`, which `mirror` shows already, in the order of [`arrange`]. A change
/// that the kernel rejects is reverted in the mirror and appended to `failures`. Returns the rejected
/// changes of `promote_secondaries`.
///
/// `promote_secondaries` is on while IPv4 addresses are deleted. It is turned on for each deletion, because
/// another program may change it or add an address at any time. If it cannot be turned on, the deletion
/// counts as rejected, unless this kernel never allows the setting.
#[must_use]
pub fn carry_out<K: Kernel>(
    changes: &mut Vec<Change>,
    mirror: &mut Mirror,
    failures: &mut Vec<Failure>,
    kernel: &mut K,
) -> Vec<PromotionFailure> {
    arrange(changes, mirror);
    let mut rejected = Vec::new();
    let mut promoting = Vec::new();
    for interface in interfaces_of_deletions(changes) {
        match kernel.promote_secondaries(interface, true) {
            Ok(true) => promoting.push(interface),
            Ok(false) => {}
            // An address on two hosts for ever would be the greater harm.
            Err(error) if is_lasting(&error) => rejected.push(PromotionFailure {
                interface: mirror.name(interface),
                on: true,
                error,
            }),
            Err(error) => {
                let is_put_off =
                    |change: &mut Change| deletes_ipv4(change) && change.interface() == interface;
                for change in changes.extract_if(.., is_put_off) {
                    mirror.refused(&change);
                    failures.push(Failure::new(change, &error));
                }
            }
        }
    }
    kernel.change_addresses(changes, mirror, failures);
    for interface in promoting {
        if let Err(error) = kernel.promote_secondaries(interface, false) {
            rejected.push(PromotionFailure {
                interface: mirror.name(interface),
                on: false,
                error,
            });
        }
    }
    mirror.forget_departed();
    rejected
}

fn interfaces_of_deletions(changes: &[Change]) -> BTreeSet<InterfaceIndex> {
    let deletions = changes.iter().filter(|change| deletes_ipv4(change));
    deletions.map(Change::interface).collect()
}

fn deletes_ipv4(change: &Change) -> bool {
    matches!(change, Change::Delete { address, .. } if address.family() == Family::V4)
}

/// Whether a repetition of the request fails as well.
fn is_lasting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{ETH, FakeHost};
    use crate::plan::strays;

    #[test]
    fn deletion_leaves_other_addresses_of_its_network() {
        for is_on in [false, true] {
            let mut host =
                FakeHost::with_addresses(&["10.9.0.1/24 ours", "10.9.0.2/24", "10.9.0.3/24 ours"]);
            host.promoting.extend(is_on.then_some(ETH));
            let (failures, rejected) = release_all_ours(&mut host);
            assert_eq!(host.addresses(), ["10.9.0.2/24"]);
            assert!(failures.is_empty() && rejected.is_empty());
            assert_eq!(
                host.promoting.contains(&ETH),
                is_on,
                "the setting is as before"
            );
        }
    }

    #[test]
    fn additions_leave_promotion_unchanged() {
        let mut host = FakeHost::with_addresses(&["10.9.0.1/24"]);
        let mut mirror = host.mirror();
        let mut changes = vec![Change::add(ETH, "10.9.0.9/24".parse().unwrap())];
        let mut failures = Vec::new();
        let rejected = carry_out(&mut changes, &mut mirror, &mut failures, &mut host);
        assert!(rejected.is_empty());
        assert_eq!(host.requests, ["add 10.9.0.9/24 to interface 2"]);
    }

    #[test]
    fn deletion_waits_while_promotion_is_rejected() {
        let mut host =
            FakeHost::with_addresses(&["10.9.0.1/24 ours", "10.9.0.2/24", "2001:db8::9/64 ours"]);
        host.rejects_promotion = Some(io::ErrorKind::OutOfMemory);
        let (failures, rejected) = release_all_ours(&mut host);
        assert_eq!(host.addresses(), ["10.9.0.1/24", "10.9.0.2/24"]);
        assert_eq!(
            failures,
            ["cannot delete 10.9.0.1/24 from interface 2: out of memory"]
        );
        assert!(rejected.is_empty());
    }

    #[test]
    fn deletion_takes_place_where_promotion_is_never_allowed() {
        let mut host = FakeHost::with_addresses(&["10.9.0.1/24 ours", "10.9.0.2/24"]);
        host.rejects_promotion = Some(io::ErrorKind::PermissionDenied);
        let (failures, rejected) = release_all_ours(&mut host);
        assert_eq!(host.addresses(), [""; 0]);
        assert!(failures.is_empty());
        assert_eq!(
            rejected,
            [
                "cannot set promote_secondaries of eth2 to 1: permission denied; with a virtual address the \
             kernel may delete other addresses of its network: set it by sysctl"
            ]
        );
    }

    /// Deletes all addresses with the daemon's mark. Returns the failures as texts: of changes, and of the
    /// setting.
    fn release_all_ours(host: &mut FakeHost) -> (Vec<String>, Vec<String>) {
        let mut mirror = host.mirror();
        let mut changes = Vec::new();
        strays(&mut mirror, |_, _| false, &mut changes);
        let mut failures = Vec::new();
        let rejected = carry_out(&mut changes, &mut mirror, &mut failures, host);
        let left: Vec<_> = mirror.all().map(|(_, held)| held.address).collect();
        let there: Vec<_> = host.held.iter().map(|(_, held)| held.address).collect();
        assert!(
            left.iter()
                .all(|address| there.contains(address) || !rejected.is_empty())
        );
        let failures = failures.iter().map(ToString::to_string);
        let rejected = rejected.iter().map(ToString::to_string);
        (failures.collect(), rejected.collect())
    }
}
