//! Takes away what a dead daemon left, so that no address is on two hosts.

use std::io;
use std::sync::Arc;

use vrrp_proto::{InterfaceAddress, InterfaceIndex};

use crate::device::{self, Devices};
use crate::mirror::{Held, Mirror};
use crate::plan::{Change, strays};
use crate::refuse::{CannotRefuse, remove_leftover};
use crate::request::{Failure, Requests};

/// What a cleanup did.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// What was removed: the interface's name and the address.
    pub removed: Vec<(Arc<str>, InterfaceAddress)>,
    /// The interfaces with virtual MAC addresses that were removed.
    pub devices: Vec<Arc<str>>,
    /// Those that could not be, and why.
    pub stubborn: Vec<(Arc<str>, io::Error)>,
    /// What could not be removed.
    pub failures: Vec<Failure>,
    /// Whether there was a table of nf_tables that refused packets, which was deleted.
    pub table: bool,
    /// Why that could not be deleted.
    pub table_failure: Option<CannotRefuse>,
}

/// Removes every interface with a virtual MAC address that a daemon made, every address that bears
/// our mark, and on kernels without marks (before 5.18) each of
/// `configured`: the interface's name and the address. Without marks the last addresses of an
/// interface stay, because they are most likely the host's own. When all of that is gone, and not
/// before, packets are refused to nothing any longer.
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn cleanup<'a>(
    configured: impl IntoIterator<Item = (&'a str, InterfaceAddress)>,
) -> io::Result<Cleaned> {
    let mut requests = Requests::open()?;
    let mut mirror = Mirror::new();
    mirror.replace(requests.dump()?);

    let mut changes = leftovers(configured, &mut mirror);
    let mut cleaned = Cleaned::default();
    requests.apply(&mut changes, &mut mirror, &mut cleaned.failures);

    let refused = |change| {
        cleaned
            .failures
            .iter()
            .any(|failure| failure.change == change)
    };
    cleaned.removed = changes
        .into_iter()
        .filter(|change| !refused(*change))
        .map(|change| (name_of(change.interface(), &mirror), change.address()))
        .collect();
    remove_devices(&mirror, &mut cleaned)?;
    if cleaned.failures.is_empty() && cleaned.stubborn.is_empty() {
        match remove_leftover() {
            Ok(table) => cleaned.table = table,
            Err(error) => cleaned.table_failure = Some(error),
        }
    }
    Ok(cleaned)
}

fn remove_devices(mirror: &Mirror, cleaned: &mut Cleaned) -> io::Result<()> {
    let gone = device::strays(mirror, |_| false);
    if gone.is_empty() {
        return Ok(());
    }
    let stubborn = &mut cleaned.stubborn;
    Devices::open()?.apply(&gone, |change, error| {
        stubborn.push((Arc::clone(change.name()), error));
    });
    let is_gone = |name: &Arc<str>| stubborn.iter().all(|(other, _)| other != name);
    let names = gone.iter().map(|change| Arc::clone(change.name()));
    cleaned.devices = names.filter(|name| is_gone(name)).collect();
    Ok(())
}

/// The removals that [`cleanup`] asks for, of what `mirror` shows. Pure.
pub fn leftovers<'a>(
    configured: impl IntoIterator<Item = (&'a str, InterfaceAddress)>,
    mirror: &mut Mirror,
) -> Vec<Change> {
    let mut changes = Vec::new();
    strays(mirror, |_, _| false, &mut changes);
    if !mirror.marks() {
        let configured: Vec<_> = configured.into_iter().collect();
        changes.extend(present(&configured, mirror));
    }
    changes
}

/// The removal of those of `configured` that are there beside others.
fn present<'a>(
    configured: &'a [(&'a str, InterfaceAddress)],
    mirror: &'a Mirror,
) -> impl Iterator<Item = Change> + 'a {
    let is_configured = |held: &Held| configured.iter().any(|(_, each)| *each == held.address);
    configured.iter().filter_map(move |&(name, address)| {
        let interface = mirror.link_named(name)?.index;
        mirror.held(interface, address)?;
        let others = mirror
            .addresses(interface)
            .iter()
            .any(|held| !is_configured(held));
        others.then_some(Change::Delete { interface, address })
    })
}

fn name_of(interface: InterfaceIndex, mirror: &Mirror) -> Arc<str> {
    mirror.link(interface).map_or_else(
        || interface.0.to_string().into(),
        |link| Arc::clone(&link.name),
    )
}

#[cfg(test)]
mod tests {
    use vrrp_proto::Link;

    use super::*;
    use crate::mirror::Event;

    #[test]
    fn without_marks_an_address_goes_only_when_another_stays() {
        let eth1 = InterfaceIndex(2);
        let address = |text: &str| text.parse::<InterfaceAddress>().unwrap();
        let held = |text| Held {
            address: address(text),
            ours: false,
            secondary: false,
        };
        let mut mirror = Mirror::new();
        mirror.apply(Event::Link(Link {
            index: eth1,
            name: "eth1".into(),
            up: true,
            carrier: true,
            mac: None,
            port_of: None,
        }));
        mirror.apply(Event::AddressAdded(eth1, held("192.168.224.100/24")));
        let configured = [
            ("eth1", address("192.168.224.100/24")),
            ("eth2", address("10.0.0.1/8")),
        ];
        assert_eq!(
            present(&configured, &mirror).count(),
            0,
            "the host's only address"
        );
        mirror.apply(Event::AddressAdded(eth1, held("192.168.224.11/24")));
        let changes: Vec<_> = present(&configured, &mirror).collect();
        let delete = Change::Delete {
            interface: eth1,
            address: address("192.168.224.100/24"),
        };
        assert_eq!(changes, [delete]);
    }
}
