//! Expected treatment of claims of virtual addresses by other hosts, written from ARCHITECTURE.md and without
//! code of the engine.

use std::time::Duration;

use vrrp_proto::{AddressConflict, Instant, Output, Report, State};

use super::Oracle;
use super::reference::Watched;
use crate::invariants::{Invariant, Violation};
use crate::records::Record;
use crate::scenario::{SEGMENTS, interface_name};

/// Time after a take-over in which the former master may answer.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Least time between two reports about an address.
const QUIET: Duration = Duration::from_secs(60);

impl Oracle {
    /// Checks that a claim is counted, reported and answered if a router is the only master of the address, and
    /// only then.
    pub(super) fn watch_conflict(
        &mut self,
        now: Instant,
        conflict: &AddressConflict,
        counted: u64,
        record: &Record,
    ) -> Result<(), Violation> {
        let link = self.links.get(&conflict.interface);
        let is_here =
            |segment: &u8| link.is_some_and(|link| *link.name == *interface_name(*segment));
        let segment = (0..SEGMENTS).find(is_here);
        let is_holder = |(_, router): &(&String, &Watched)| {
            let mut own = router.config.virtual_addresses();
            Some(router.config.segment) == segment && own.any(|own| own.address == conflict.address)
        };
        let holder = self.routers.iter().find(is_holder);
        let is_own = self.links.values().any(|it| it.mac == Some(conflict.mac));
        let holder = holder.filter(|(_, router)| !is_own && router.is_only_master(now));
        let name = holder.map(|(name, _)| name.clone());
        let holder = holder.map(|(_, router)| router);
        let expected = holder.map_or(0, |_| conflict.packets);
        if counted != expected {
            let how =
                format!("{counted} packets of {conflict:?} are counted instead of {expected}");
            return Err(Invariant::AddressConflict.broken(how));
        }
        let key = holder.map(|it| (conflict.interface, it.config.vrid, conflict.address));
        let told = key.and_then(|key| self.claims_told.get(&key));
        let due = key.filter(|_| told.is_none_or(|at| now.since(*at) >= QUIET));
        let is_report = |output: &&Output| {
            matches!(output, Output::Report(Report::AddressConflict { address, mac, .. })
                if (*address, *mac) == (conflict.address, conflict.mac))
        };
        let reports = record.outputs.iter().filter(is_report).count();
        if reports != usize::from(due.is_some()) {
            let how = format!("{reports} reports about {conflict:?}");
            return Err(Invariant::AddressConflict.broken(how));
        }
        self.claims_told.extend(due.map(|key| (key, now)));
        let Some(name) = name else {
            return Ok(());
        };
        let router = self.routers.get_mut(&name);
        let answers = router.is_some_and(|router| router.announces_against_claim(now));
        self.compare_announcement(&name, answers, record)
    }
}

impl Watched {
    fn is_only_master(&self, now: Instant) -> bool {
        let since = self.last.as_ref().map(|(at, _)| *at);
        self.state() == State::Master
            && !self.is_contested()
            && since.is_none_or(|since| now.since(since) >= LAST_WORD)
    }
}
