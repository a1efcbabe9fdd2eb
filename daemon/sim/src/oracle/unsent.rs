//! Expected behaviour of a router that cannot send.
//!
//! No RFC defines it. It yields to any other master, because that one cannot know of it, and preempts none
//! until a reload or until an advertisement leaves. A sync group does so if that applies to all members.

use vrrp_proto::{Cause, Family, Instant, InterfaceIndex, State};

use super::reference::group::{Moves, moves};
use super::{Oracle, compare};
use crate::invariants::Violation;
use crate::records::Record;
use crate::scenario::{SEGMENTS, interface_name};

impl Oracle {
    /// Checks the effect of the outcome of sending. Routers that preempted a master at the same moment return
    /// to backup.
    pub(super) fn watch_unsent(
        &mut self,
        now: Instant,
        (interface, family, vrid): (InterfaceIndex, Family, u8),
        is_sent: bool,
        record: &Record,
    ) -> Result<(), Violation> {
        let link = self.links.get(&interface);
        let is_here =
            |segment: &u8| link.is_some_and(|link| *link.name == *interface_name(*segment));
        let segment = (0..SEGMENTS).find(is_here);
        let name = segment.and_then(|segment| self.router_on(segment, vrid, family));
        let mut expected = Moves::new();
        if let Some(name) = name {
            if let Some(router) = self.routers.get_mut(&name) {
                match is_sent {
                    true => router.unsent.remove(&family),
                    false => router.unsent.insert(family),
                };
            }
            let group = self.group_of(&name);
            let all = group.map_or(vec![name], |group| self.members_of(&group));
            let is_unsent = all.iter().all(|name| {
                let router = &self.routers[name];
                router.config.spoken().all(|f| router.unsent.contains(&f))
            });
            for name in &all {
                if let Some(router) = self.routers.get_mut(name) {
                    router.set_unsent(is_unsent);
                }
            }
            if is_unsent {
                expected = self.give_up_preemption(now, &all);
            }
        }
        let names: Vec<String> = self.routers.keys().cloned().collect();
        for name in names {
            compare(&name, expected.get(&name), record, |_| true)?;
            self.compare_announcement(&name, false, record)?;
        }
        Ok(())
    }

    fn give_up_preemption(&mut self, now: Instant, all: &[String]) -> Moves {
        let preempted = all.iter().find_map(|name| {
            let router = &self.routers[name];
            let (at, cause) = router.last.as_ref()?;
            let is_now = *at == now && router.state() == State::Master;
            let Cause::Preempted { master, theirs, .. } = *cause.root() else {
                return None;
            };
            is_now.then_some((name, Cause::Unsent { master, theirs }))
        });
        let Some((leader, cause)) = preempted else {
            return Moves::new();
        };
        for name in all {
            let priority = self.priority(&self.routers[name].config);
            if let Some(router) = self.routers.get_mut(name) {
                router.phase = router.listen_to_all(now, priority);
            }
        }
        moves(all, leader, State::Backup, &cause)
    }
}
