//! Outcome of sending advertisements, for the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;

use vrrp_proto::wire::Advert;
use vrrp_proto::{Advertisement, Family, Input, InterfaceIndex, Vrid};

use crate::host::RejectedAdvert;

/// Router and family: interface, family and VRID.
type Sender = (InterfaceIndex, Family, Vrid);

/// Advertisements that were handed to the host, and the rejected ones of them.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    queued: Vec<Sender>,
    pub(crate) rejected: Vec<RejectedAdvert>,
    /// Senders of which the engine knows that none of their last advertisements was sent.
    known: BTreeSet<Sender>,
}

impl Unsent {
    /// Records an advertisement that is handed to the host.
    pub(crate) fn queue(&mut self, advertisement: &Advertisement) {
        if let Some(vrid) = Advert::peek_vrid(&advertisement.message) {
            let family = Family::of(advertisement.source);
            self.queued.push((advertisement.interface, family, vrid));
        }
    }

    /// Returns the news for the engine after the host has sent everything, and the rejected advertisements.
    /// Nearly always there are none.
    pub(crate) fn take(&mut self) -> (Vec<Input<'static>>, Vec<RejectedAdvert>) {
        if self.rejected.is_empty() && self.known.is_empty() {
            self.queued.clear();
            return (Vec::new(), Vec::new());
        }
        let rejected = std::mem::take(&mut self.rejected);
        let mut sent: BTreeMap<Sender, u64> = BTreeMap::new();
        for sender in self.queued.drain(..) {
            *sent.entry(sender).or_default() += 1;
        }
        let mut news = Vec::new();
        for (sender, queued) in sent {
            let (interface, family, vrid) = sender;
            let mine = |rejected: &&RejectedAdvert| {
                (
                    rejected.interface,
                    Family::of(rejected.source),
                    rejected.vrid,
                ) == sender
            };
            let messages = rejected.iter().filter(mine).count() as u64;
            let error: Option<Arc<str>> = rejected
                .iter()
                .find(mine)
                .filter(|first| messages == queued && is_lasting(first.error.kind()))
                .map(|first| first.error.to_string().into());
            let was_known = match error {
                Some(_) => !self.known.insert(sender),
                None => self.known.remove(&sender),
            };
            if messages > 0 || was_known {
                news.push(Input::Unsent {
                    interface,
                    family,
                    vrid,
                    messages,
                    error,
                });
            }
        }
        // What was sent first: a group abandons a preemption only if none of its members sends.
        news.sort_by_key(|news| matches!(news, Input::Unsent { error: Some(_), .. }));
        (news, rejected)
    }

    /// Forgets what the engine knows: a new configuration makes it forget that too.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

/// Whether sending fails again until the host is configured otherwise: EPERM (a firewall rule drops what
/// leaves) and EACCES (a route prohibits it). A full queue or an interface that is down passes.
const fn is_lasting(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::PermissionDenied)
}
