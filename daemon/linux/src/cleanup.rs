//! Takes away what a dead daemon left, so that no address is on two hosts.

use std::io;
use std::sync::Arc;

use vrrp_proto::{InterfaceAddress, InterfaceIndex};

use crate::mirror::Mirror;
use crate::plan::{Change, strays};
use crate::request::{Failure, Requests};

/// What a cleanup did.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// What was removed: the interface's name and the address.
    pub removed: Vec<(Arc<str>, InterfaceAddress)>,
    /// What could not be removed.
    pub failures: Vec<Failure>,
}

/// Removes every address that bears our mark, and on kernels without marks (before 5.18) each of
/// `configured`: the interface's name and the address.
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

    let mut changes = Vec::new();
    strays(&mut mirror, |_, _| false, &mut changes);
    if !mirror.marks() {
        changes.extend(present(configured, &mirror));
    }
    let mut cleaned = Cleaned::default();
    requests.apply(&changes, &mut mirror, &mut cleaned.failures);

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
    Ok(cleaned)
}

/// The removal of those of `addresses` that are there.
fn present<'a>(
    addresses: impl IntoIterator<Item = (&'a str, InterfaceAddress)>,
    mirror: &Mirror,
) -> impl Iterator<Item = Change> {
    addresses.into_iter().filter_map(|(name, address)| {
        let interface = mirror.links().find(|link| &*link.name == name)?.index;
        mirror.held(interface, address)?;
        Some(Change::Delete { interface, address })
    })
}

fn name_of(interface: InterfaceIndex, mirror: &Mirror) -> Arc<str> {
    mirror.link(interface).map_or_else(
        || interface.0.to_string().into(),
        |link| Arc::clone(&link.name),
    )
}
