//! Received packets: finds the router of each packet, checks it, and counts and reports dropped
//! ones.

use std::sync::Arc;

use super::admission::{Admitted, Learned, Rejected};
use super::{Engine, RouterId};
use crate::events::{Output, Report};
use crate::limiter::{Decision, Matter, Subject};
use crate::params::Authentication;
use crate::router::Sighting;
use crate::time::Instant;
use crate::wire::{DropCause, Packet};

impl Engine {
    pub(super) fn handle_packet(&mut self, now: Instant, packet: &Packet<'_>) {
        match self.check(now, packet) {
            Ok(admitted) => self.handle_admitted(now, packet, &admitted),
            // RFC 9568 7.1 MUST: a packet that fails a check is discarded
            // RFC 9568 7.1 MAY: a failed check is shown to the management
            Err(rejected) => {
                if let Some(id) = rejected.id {
                    self.record_learned(now, packet, id, &rejected.learned);
                }
                match rejected.id {
                    Some(id) => self.instances[id].counters.dropped.count(rejected.cause),
                    None => self.dropped.count(rejected.cause),
                }
                self.report_drop(now, packet, &rejected);
            }
        }
    }

    fn handle_admitted(&mut self, now: Instant, packet: &Packet<'_>, admitted: &Admitted<'_>) {
        let &Admitted {
            id,
            own,
            heard_at,
            received,
            comparison,
            ref learned,
        } = admitted;
        self.record_learned(now, packet, id, learned);
        let instance = &mut self.instances[id];
        instance.record_sender(heard_at, packet.source, received.advert.interval);
        let differs = instance.observe(now, packet.source, &received, comparison);
        instance.prepare();
        let advert = &received.advert;
        let reaction = match instance.group {
            None => {
                let router = &mut instance.router;
                router.handle_advert(now, heard_at, advert, packet.source, own)
            }
            Some(group) => {
                // A packet that waited for longer than an interval shows that this node slept,
                // and may have lost what came after it.
                let slept = now.since(heard_at) > advert.interval.duration();
                let heard_at = if slept { now } else { heard_at };
                let sighting = Sighting::new(heard_at, advert, packet.source);
                self.record_in_group(now, id, group, sighting, advert)
            }
        };
        if reaction.second_master {
            self.instances[id].counters.second_masters += 1;
            self.report_second_master(now, packet, id, advert.priority);
        }
        self.react(now, id, reaction);
        if !advert.resigns() {
            self.hear_successor(now, id, packet.source);
        }
        if differs {
            self.report_mismatch(now, packet, id);
        }
    }

    fn record_learned(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        id: RouterId,
        learned: &Learned<'_>,
    ) {
        let instance = &mut self.instances[id];
        match learned {
            Learned::Nothing => {}
            Learned::Signed(sender) => {
                instance.heard.record(*sender);
                self.report_clock(now, packet, id, sender.ahead);
            }
            Learned::Foreign(received) => instance.record_foreign(now, packet.source, received),
        }
    }

    /// Reports a sender with a clock that is about to leave the window of the replay protection: from then on
    /// both hosts would be master.
    fn report_clock(&mut self, now: Instant, packet: &Packet<'_>, id: RouterId, ahead: i64) {
        if let Authentication::Hmac(hmac) = &self.instances[id].params.authentication
            && let Some(window) = hmac.anti_replay.nearly_exceeded(ahead)
            && self.may_report(now, packet, Matter::Clock)
        {
            let router = Arc::clone(&self.instances[id].name);
            self.outputs.push_back(Output::Report(Report::Clock {
                router,
                source: packet.source,
                ahead,
                window,
            }));
        }
    }

    fn report_drop(&mut self, now: Instant, packet: &Packet<'_>, rejected: &Rejected<'_>) {
        let &Rejected { id, cause, .. } = rejected;
        // That another router advertises while this one cannot serve is no news.
        if cause == DropCause::NotListening {
            return;
        }
        // RFC 9568 7.1 SHOULD: a failed check is logged, at a limited rate
        // RFC 3768 7.1 SHOULD: another interval than the own one is logged
        if self.may_report(now, packet, Matter::Dropped(cause)) {
            let instance = id.map(|id| &self.instances[id]);
            let wall = self.wall_clock.at(packet.at.min(now));
            let detail = instance.and_then(|instance| instance.explain_drop(packet, cause, wall));
            self.outputs.push_back(Output::Report(Report::Dropped {
                router: instance.map(|instance| Arc::clone(&instance.name)),
                source: packet.source,
                cause,
                detail: detail.map(Into::into),
            }));
        }
    }

    fn report_mismatch(&mut self, now: Instant, packet: &Packet<'_>, id: RouterId) {
        // RFC 9568 7.1 SHOULD: another interval than the own one is logged
        // RFC 9568 7.1 SHOULD: another list of addresses is logged
        if self.may_report(now, packet, Matter::Mismatch) {
            let instance = &self.instances[id];
            self.outputs.push_back(Output::Report(Report::Mismatch {
                router: Arc::clone(&instance.name),
                source: packet.source,
                how: instance.differences(packet.source).join("; ").into(),
            }));
        }
    }

    fn report_second_master(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        id: RouterId,
        priority: u8,
    ) {
        // RFC 9568 2.5 SHOULD: an Active that is displaced repeatedly logs it
        // RFC 9568 7.1 erratum 8298 SHOULD: an owner that receives from another owner logs it and stays Active
        // RFC 9568 8.3.2 SHOULD: several routers of priority 255 are logged
        // RFC 9568 8.3.2 MAY: several routers of the same priority are logged
        if self.may_report(now, packet, Matter::SecondMaster) {
            self.outputs.push_back(Output::Report(Report::SecondMaster {
                router: Arc::clone(&self.instances[id].name),
                source: packet.source,
                priority,
            }));
        }
    }

    /// Whether a report about the sender of a packet may be made now. Reports before it how many were
    /// suppressed, so that a flood cannot hide that there was more.
    pub(super) fn may_report(&mut self, now: Instant, packet: &Packet<'_>, matter: Matter) -> bool {
        let subject = Subject {
            interface: packet.interface,
            vrid: packet.payload.get(1).copied().unwrap_or_default(),
            source: packet.source,
        };
        self.may_report_on(now, matter, subject)
    }

    /// As [`may_report`](Self::may_report), about another subject than the sender of a packet.
    pub(super) fn may_report_on(&mut self, now: Instant, matter: Matter, subject: Subject) -> bool {
        match self.limiter.admit(now, matter, subject) {
            Decision::Suppress => false,
            Decision::Report { suppressed: 0 } => true,
            Decision::Report { suppressed } => {
                let report = Report::Suppressed { matter, suppressed };
                self.outputs.push_back(Output::Report(report));
                true
            }
        }
    }
}
