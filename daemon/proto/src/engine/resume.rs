//! Restart of the daemon: the state that a process leaves to its successor, and how that continues.
//!
//! A router that continues makes no transition: it sends and announces nothing because of the restart, and its
//! timers end when they would have ended. The kernel holds its addresses all the time, so that the requests
//! of the new process change nothing.
//!
//! | the router | in the new process |
//! | --- | --- |
//! | master | sends its next advertisement when that was due; after longer than the backups wait it listens first, as after any [late wake-up](super::Engine::wake) |
//! | backup | takes over when it would have; after more than an interval of the master without a process it restarts the master-down timer, because it missed advertisements |
//! | master in its grace | has resigned: only the former process knew what it waits for |
//! | in fault, or with another interface, VRID or version | starts anew |

use core::time::Duration;
use std::sync::Arc;

use super::interfaces::Endpoint;
use super::{Engine, Instance, RouterId};
use crate::checkpoint::{Checkpoint, GroupCheckpoint, RouterCheckpoint};
use crate::events::{Output, Report, Transition};
use crate::reasons::Cause;
use crate::router::Router;
use crate::time::Instant;
use crate::types::State;

/// Longest wait for a moment to leave.
const PATIENCE: Duration = Duration::from_secs(1);

impl Engine {
    /// Returns the learned state. To be called after [`Input::Leave`](crate::Input::Leave).
    pub fn checkpoint(&self, now: Instant) -> Checkpoint {
        let routers = self.instances.iter();
        let groups = self.groups.iter().map(|group| {
            let (met_at, asked) = group.times();
            let saved = GroupCheckpoint { met_at, asked };
            (Arc::clone(&group.name), saved)
        });
        let trackers = self.trackers.iter();
        let names = self.names.iter();
        Checkpoint {
            taken_at: now,
            routers: routers
                .map(|instance| (Arc::clone(&instance.name), instance.save()))
                .collect(),
            groups: groups.collect(),
            trackers: trackers
                .map(|(name, tracker)| (Arc::clone(name), tracker.save()))
                .collect(),
            names: names
                .map(|(name, addresses)| (Arc::clone(name), addresses.to_vec()))
                .collect(),
            addresses: Vec::new(),
        }
    }

    /// Returns the part of the learned state that does not grow old, of the routers with sequence numbers of
    /// signed advertisements. Other routers cost a comparison each.
    pub fn numbers(&self, now: Instant) -> Checkpoint {
        let signed = self.instances.iter().filter(|it| it.has_numbers());
        let checkpoint = Checkpoint {
            taken_at: now,
            routers: signed
                .map(|instance| (Arc::clone(&instance.name), instance.save()))
                .collect(),
            ..Checkpoint::default()
        };
        checkpoint.without_states()
    }

    /// Time after the last advertisement in which a backup of a master of this node takes over at the
    /// earliest: the shortest one of all masters. `None` without a master.
    pub fn shortest_wait(&self) -> Option<Duration> {
        let routers = self.instances.iter().map(|instance| &instance.router);
        routers.filter_map(Router::others_wait).min()
    }

    /// Time at which the process of this node leaves best: after the advertisement that is followed by the
    /// longest pause, within an interval of the fastest master and within 1 s. `now` if none is due.
    pub fn quiet_at(&self, now: Instant) -> Instant {
        let masters = self.instances.iter().filter_map(|instance| {
            let at = instance.router.advert_at()?;
            Some((at, instance.params.interval.duration()))
        });
        let fastest = masters.clone().map(|(_, interval)| interval).min();
        let horizon = fastest.map_or(PATIENCE, |interval| interval.min(PATIENCE));
        let mut due: Vec<Instant> = masters
            .map(|(at, _)| at)
            .filter(|at| (now..=now + horizon).contains(at))
            .collect();
        due.sort();
        // After the last one the first one is due again.
        let again = due.first().map(|first| *first + horizon);
        let next = due.iter().skip(1).chain(&again);
        let pauses = due.iter().zip(next);
        let longest = pauses.max_by_key(|(at, next)| next.since(**at));
        longest.map_or(now, |(at, _)| *at)
    }

    /// Stops the routers that a successor cannot continue: masters in their grace, with their groups.
    pub(super) fn prepare_to_leave(&mut self, now: Instant) {
        for id in 0..self.instances.len() {
            self.wake(now, id);
        }
        let ends: Vec<RouterId> = (0..self.instances.len())
            .filter(|id| {
                let mut united = self.united(*id).into_iter();
                united.any(|id| !self.instances[id].can_continue())
            })
            .collect();
        for id in ends {
            let reaction = self.instances[id].router.stop(Cause::Stopped);
            self.react(now, id, reaction);
        }
    }

    /// What an earlier process has left of a router with this identity.
    pub(super) fn left_of(&self, instance: &Instance) -> Option<&RouterCheckpoint> {
        let left = self.left.as_ref()?.routers.get(&instance.name)?;
        let params = &instance.params;
        let is_same = (&left.interface, left.virtual_router_id, left.version)
            == (&params.interface, params.vrid, params.version);
        is_same.then_some(left)
    }

    /// The endpoint on which a router ran in an earlier process.
    pub(super) fn former_endpoint(&self, id: RouterId) -> Option<Endpoint> {
        let left = self.left_of(&self.instances[id])?;
        let _ = left.phase.as_ref()?;
        Some(Endpoint::former(&left.sources, left.has_link))
    }

    /// Accepts a virtual address as source that the former process restored for an owner.
    pub(super) fn restore_own_source(&mut self, id: RouterId) {
        let instance = &self.instances[id];
        let params = &instance.params;
        let Some(left) = self
            .left_of(instance)
            .filter(|_| params.priority.is_owner())
        else {
            return;
        };
        let Some(interface) = self.interfaces.index(&params.interface) else {
            return;
        };
        let own = params.addresses.iter();
        let sources = own.filter(|own| left.sources.contains(&own.address));
        for source in sources.copied().collect::<Vec<_>>() {
            if !self.interfaces.has(source.address) {
                self.interfaces.restore(interface, source);
            }
        }
    }

    /// Gives the routers that continue their effective priority, which is no change.
    pub(super) fn restore_priorities(&mut self, now: Instant) {
        for id in 0..self.instances.len() {
            let instance = &self.instances[id];
            if self
                .left_of(instance)
                .is_some_and(|left| left.phase.is_some())
            {
                let _ = self.apply_influence(now, id);
            }
        }
    }

    /// Lets a router of this configuration continue, if an earlier process has left its state. Returns whether
    /// it does.
    pub(super) fn continue_state(&mut self, now: Instant, id: RouterId) -> bool {
        let instance = &self.instances[id];
        let Some(checkpoint) = &self.left else {
            return false;
        };
        let left = self.left_of(instance);
        let Some(phase) = left.and_then(|left| left.phase.clone()) else {
            return false;
        };
        if instance.endpoint.is_none() || checkpoint.taken_at > now {
            return false;
        }
        let deaf_since = checkpoint.taken_at;
        let instance = &mut self.instances[id];
        let reaction = instance.router.restore(now, deaf_since, &phase);
        let transition = Transition {
            router: Arc::clone(&instance.name),
            from: State::Init,
            to: instance.router.state(),
            cause: Cause::Continued {
                after: now.since(deaf_since),
            },
            priority: instance.priority(),
            at: now,
        };
        self.want(id, &[]);
        self.want_routing(id, Vec::new());
        self.outputs
            .push_back(Output::Report(Report::Continued(transition)));
        self.react(now, id, reaction);
        self.instances[id].prepare();
        true
    }
}
