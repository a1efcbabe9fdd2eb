//! Expected unicast peers of a router beside the configured ones: former addresses of names, and the
//! senders that it accepts while a name is not resolved.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::Instant;

/// Time for which a former address stays a peer beyond the master-down interval.
const FORMER: Duration = Duration::from_secs(600);

/// Maximum number of these addresses.
const MOST: usize = 8;

/// Further peers of a router.
#[derive(Clone, Debug, Default)]
pub(super) struct Contacts {
    /// Whether the name of a peer is not resolved.
    pub(super) is_unresolved: bool,
    /// Whether the last change resolved the last one.
    pub(super) has_resolved: bool,
    further: Vec<Contact>,
}

#[derive(Clone, Debug)]
struct Contact {
    address: IpAddr,
    /// Name that had the address; `None` for a sender.
    name: Option<String>,
    /// Time until which it counts.
    until: Instant,
}

impl Contacts {
    /// Whether the router accepts an advertisement of this source, apart from the configured peers.
    pub(super) fn accepts(&self, source: IpAddr, at: Instant) -> bool {
        self.is_unresolved || self.addresses(at).any(|address| address == source)
    }

    /// Further peers at a time.
    pub(super) fn addresses(&self, at: Instant) -> impl Iterator<Item = IpAddr> + '_ {
        let further = self
            .further
            .iter()
            .filter(move |contact| at < contact.until);
        further.map(|contact| contact.address)
    }

    /// Records an address that a name no longer has.
    pub(super) fn move_away(&mut self, address: IpAddr, name: &str, now: Instant, wait: Duration) {
        self.further.retain(|contact| contact.address != address);
        self.further.push(Contact {
            address,
            name: Some(name.to_owned()),
            until: now + wait + FORMER,
        });
        let ends = self.further.iter().enumerate();
        let first = ends.min_by_key(|(at, contact)| (contact.until, *at));
        if let Some((first, _)) = first.filter(|_| self.further.len() > MOST) {
            self.further.remove(first);
        }
    }

    /// Applies the present names and the `configured` addresses.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        names: &BTreeSet<String>,
        is_unresolved: bool,
        is_configured: impl Fn(IpAddr) -> bool,
    ) {
        self.has_resolved = self.is_unresolved && !is_unresolved;
        self.is_unresolved = is_unresolved;
        self.further.retain(|contact| {
            let is_current = match &contact.name {
                Some(name) => names.contains(name),
                None => is_unresolved,
            };
            is_current && now < contact.until && !is_configured(contact.address)
        });
    }

    /// Records the sender of an accepted advertisement that is no configured peer. Returns whether the
    /// router sends to it from now on.
    pub(super) fn hear(&mut self, from: IpAddr, at: Instant, wait: Duration) -> bool {
        let until = at + wait + FORMER;
        let mut further = self.further.iter_mut();
        if let Some(known) = further.find(|contact| contact.address == from) {
            known.until = known.until.max(until);
            return false;
        }
        let is_new = self.is_unresolved && self.addresses(at).count() < MOST;
        if is_new {
            let (address, name) = (from, None);
            self.further.push(Contact {
                address,
                name,
                until,
            });
        }
        is_new
    }

    /// Forgets all of them, when the router is a new one.
    pub(super) fn forget(&mut self) {
        self.further.clear();
    }
}
