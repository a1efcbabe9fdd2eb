//! Expected requests for unicast peers, and the time from which their silence counts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Family, Instant, InterfaceIndex, Output, Solicitation, State, Transition};

use super::{Judged, Oracle, Watched, is_end, transitions};
use crate::invariants::{Invariant, Violation};
use crate::records::{Fed, Record};
use crate::scenario::interface_name;

/// Time for which a backup that begins to listen does not take over while the name of a peer is not
/// resolved.
pub(crate) const UNRESOLVED: Duration = Duration::from_secs(10);

impl Oracle {
    /// Applies the addresses of a name. Those that it had before are former addresses of the peer.
    pub(super) fn resolve(&mut self, now: Instant, name: &str, addresses: &[IpAddr]) {
        let Some(known) = self.names.get_mut(name) else {
            return;
        };
        let before = std::mem::replace(known, addresses.to_vec());
        let gone: BTreeSet<IpAddr> = before
            .into_iter()
            .filter(|address| !addresses.contains(address))
            .collect();
        let names: Vec<String> = self.routers.keys().cloned().collect();
        for router in names {
            let priority = self.priority(&self.routers[&router].config);
            let Some(router) = self.routers.get_mut(&router) else {
                continue;
            };
            let segment = router.config.segment;
            let peers = router
                .config
                .unicast
                .iter()
                .flat_map(|unicast| &unicast.peers);
            if !peers
                .filter(|peer| peer.named)
                .any(|peer| peer.name(segment) == name)
            {
                continue;
            }
            let wait = router.wait_for(priority, router.config.interval());
            let (heard, others): (Vec<&IpAddr>, Vec<&IpAddr>) = gone
                .iter()
                .partition(|address| router.peers.contains(address));
            for address in others.into_iter().chain(heard) {
                router.contacts.move_away(*address, name, now, wait);
            }
        }
    }

    /// Forgets the further peers of routers that a reload removed or redefined.
    pub(super) fn forget_contacts(&mut self, record: &Record) {
        for transition in transitions(record).filter(|transition| is_end(&transition.cause)) {
            if let Some(router) = self.routers.get_mut(&*transition.router) {
                router.contacts.forget();
            }
        }
    }

    /// Checks the requests for unicast peers: only for a peer of a backup, from an address of the host
    /// that is not virtual, and once only.
    pub(super) fn watch_solicitations(&self, record: &Record) -> Result<(), Violation> {
        let mut requests = BTreeSet::new();
        for output in &record.outputs {
            let Output::Solicit(Solicitation {
                interface,
                source,
                target,
                ..
            }) = output
            else {
                continue;
            };
            if !self.asks_for(*interface, *source, *target, record) {
                let how = format!("request for {target} from {source}, which no backup needs");
                return Err(Invariant::UnicastSilence.broken(how));
            }
            if self.is_virtual(*source) {
                let how = format!("request for {target} from the virtual address {source}");
                return Err(Invariant::UnicastSilence.broken(how));
            }
            if !requests.insert((*interface, *source, *target)) {
                let how = format!("two requests for {target} from {source}");
                return Err(Invariant::UnicastSilence.broken(how));
            }
        }
        Ok(())
    }

    /// Whether a backup on an interface has this peer, and advertises from this source.
    fn asks_for(
        &self,
        interface: InterfaceIndex,
        source: IpAddr,
        target: IpAddr,
        record: &Record,
    ) -> bool {
        // A router that was suspended notices that first, and begins to listen, and so does one that leaves a
        // fault. The input may then end that: a stop, a reload, or the loss of its link.
        let is_brief = |transition: &Transition| {
            let router = self.routers.get(&*transition.router);
            let may_end = matches!(record.fed, Fed::Configure(_) | Fed::News(_));
            let is_other = router.is_none_or(|router| router.state() != State::Backup);
            transition.to == State::Backup && (may_end || is_other)
        };
        if transitions(record).any(is_brief) {
            return true;
        }
        let link = self.links.get(&interface);
        self.routers.iter().any(|(name, router)| {
            let is_here =
                link.is_some_and(|link| *link.name == *interface_name(router.config.segment));
            let shown = record.shown.get(&**name);
            let has_source = shown.is_some_and(|shown| shown.sources.contains(&source));
            let receivers = router.receivers.get(&Family::of(target));
            let is_peer = receivers.is_some_and(|receivers| receivers.contains(&target));
            router.state() == State::Backup && is_here && has_source && is_peer
        })
    }

    fn is_virtual(&self, address: IpAddr) -> bool {
        let mut routers = self.config.routers.values();
        routers.any(|router| {
            let mut own = router.virtual_addresses();
            router.priority != 255 && own.any(|own| own.address == address)
        })
    }

    /// Checks the time from which the silence of a backup's peers counts, as the status shows it.
    pub(super) fn watch_silence(
        &mut self,
        now: Instant,
        judged: Option<&Judged<'_>>,
        record: &Record,
    ) -> Result<(), Violation> {
        let names: Vec<String> = self.routers.keys().cloned().collect();
        for name in names {
            let priority = self.priority(&self.routers[&name].config);
            let shown = record.shown.get(&*name);
            let Some(router) = self.routers.get_mut(&name) else {
                continue;
            };
            if router.state() != State::Backup {
                continue;
            }
            let wait = router.wait_for(priority, router.config.interval());
            let expected = router.expected_silence(now, wait, &name, judged, record);
            let counts_at = shown.map_or(expected, |shown| shown.silence_counts_at);
            let is_past = expected <= now && counts_at <= now;
            // A reload that resolves the last name may change the priority in the same turn.
            let longest = now + router.config.interval() * 4;
            let is_by_reload = matches!(record.fed, Fed::Configure(_)) && counts_at <= longest;
            if counts_at != expected && !is_past && !is_by_reload {
                return Err(Invariant::UnicastSilence.broken(format!(
                    "{name}: silence counts from {counts_at:?} instead of {expected:?}"
                )));
            }
            router.silence_counts_at = counts_at;
        }
        Ok(())
    }
}

impl Watched {
    /// Time from which silence counts after this record.
    fn expected_silence(
        &self,
        now: Instant,
        wait: Duration,
        name: &str,
        judged: Option<&Judged<'_>>,
        record: &Record,
    ) -> Instant {
        let is_heard = judged.is_some_and(|judged| judged.router == name && judged.content.is_ok());
        let begins = transitions(record).any(|transition| {
            let is_new = matches!(transition.from, State::Init | State::Fault);
            let overslept = matches!(transition.cause.root(), Cause::Overslept { .. });
            *transition.router == *name && transition.to == State::Backup && (is_new || overslept)
        });
        let is_unresolved = self.contacts.is_unresolved;
        let mut at = match (begins, is_unresolved) {
            (true, true) => now + UNRESOLVED,
            (true, false) => now,
            (false, _) => self.silence_counts_at,
        };
        if let Fed::Packet { arrived, .. } = &record.fed
            && is_heard
        {
            at = at.min(*arrived).min(now);
        }
        let may_be_resolved = matches!(record.fed, Fed::Resolved { .. } | Fed::Configure(_));
        if may_be_resolved && self.contacts.has_resolved {
            at = at.min(now + wait);
        }
        at
    }
}
