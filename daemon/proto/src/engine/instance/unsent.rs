//! Advertisements that the kernel does not send, for a reason that lasts: a firewall rule of this host drops
//! what leaves.
//!
//! The other hosts cannot know of such a master, so one of them becomes master too. Then this router yields,
//! of any priority: the other one would stay master in any case. It does not preempt a master until a
//! reload, or until one of its advertisements leaves. Without another master it serves on, so that a rule on
//! both hosts does not end the service.
//!
//! A router that preempts a master sends its first advertisement before its addresses are added. If that is
//! rejected, the router is backup again in the same turn, before the neighbours learn of it.
//!
//! A router of both families yields if it can send in neither of them, and a sync group if that applies to
//! all members: otherwise the other host still receives some of the advertisements, and decides by them.

use std::sync::Arc;

use super::Instance;
use crate::engine::{Engine, RouterId};
use crate::reasons::Cause;
use crate::snapshot::UnsentStatus;
use crate::time::Instant;
use crate::types::{Family, InterfaceIndex, Vrid};

/// Advertisements of one family that the kernel rejected.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Unsent {
    since: Instant,
    error: Arc<str>,
}

impl Engine {
    pub(in crate::engine) fn handle_unsent(
        &mut self,
        now: Instant,
        endpoint: (InterfaceIndex, Family, Vrid),
        messages: u64,
        error: Option<Arc<str>>,
    ) {
        let Some(id) = self.sender(endpoint) else {
            return;
        };
        let (_, family, _) = endpoint;
        let instance = &mut self.instances[id];
        instance.counters.adverts_unsent += messages;
        let unsent = &mut instance.unsent[family as usize];
        let since = unsent.as_ref().map_or(now, |unsent| unsent.since);
        *unsent = error.map(|error| Unsent { since, error });
        let routers = self.united(id);
        let none_leaves = routers.iter().all(|id| self.instances[*id].is_unsent());
        for id in &routers {
            self.instances[*id].router.set_unsent(none_leaves);
        }
        if none_leaves {
            self.abandon_preemption(now, &routers);
        }
    }

    /// Returns the router that sends as this endpoint. One that just went to fault is not bound to it any
    /// more, but has resigned.
    fn sender(&self, endpoint: (InterfaceIndex, Family, Vrid)) -> Option<RouterId> {
        let (interface, family, vrid) = endpoint;
        let bound = self.bound.get(&endpoint).copied();
        bound.or_else(|| {
            self.instances.iter().position(|instance| {
                let params = &instance.params;
                params.vrid == vrid
                    && params.speaks(family)
                    && self.interfaces.index(&params.interface) == Some(interface)
            })
        })
    }

    /// Forgets all errors: the configuration is new.
    pub(in crate::engine) fn forget_unsent(&mut self) {
        for instance in &mut self.instances {
            instance.unsent = [None, None];
            instance.router.set_unsent(false);
        }
    }

    /// Returns the members of the router's group, or the router alone.
    pub(in crate::engine) fn united(&self, id: RouterId) -> Vec<RouterId> {
        match self.instances[id].group {
            Some(group) => self.groups[group].members.clone(),
            None => vec![id],
        }
    }

    /// Makes the routers backups again, if they preempted a master in this turn.
    fn abandon_preemption(&mut self, now: Instant, routers: &[RouterId]) {
        let mut preempted = routers.iter().filter_map(|id| {
            let (at, cause) = self.instances[*id].history.last_cause()?;
            let Cause::Preempted { master, theirs, .. } = *cause.root() else {
                return None;
            };
            (at == now).then_some((*id, Cause::Unsent { master, theirs }))
        });
        let Some((leader, cause)) = preempted.next() else {
            return;
        };
        for id in routers {
            let cause = match *id == leader {
                true => cause.clone(),
                false => self.with(leader, &cause),
            };
            let reaction = self.instances[*id].router.abandon(now, cause);
            self.react(now, *id, reaction);
        }
    }
}

impl Instance {
    /// Whether no advertisement of the router leaves this host.
    fn is_unsent(&self) -> bool {
        let mut families = self.families();
        families.all(|family| self.unsent[family as usize].is_some())
    }

    pub(in crate::engine) fn unsent_status(&self, now: Instant) -> Vec<UnsentStatus> {
        let unsent = |family| {
            let unsent = self.unsent[family as usize].as_ref()?;
            Some(UnsentStatus {
                family,
                error: Arc::clone(&unsent.error),
                age: now.since(unsent.since).as_secs_f64(),
            })
        };
        self.families().filter_map(unsent).collect()
    }
}
