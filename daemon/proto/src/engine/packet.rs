//! Received packets: finds the router of each packet, checks it, and counts and reports dropped
//! ones.

use std::sync::Arc;

use super::{Engine, RouterId};
use crate::events::{Output, Packet, Report};
use crate::limiter::{Matter, Subject};
use crate::router::Sighting;
use crate::time::Instant;
use crate::types::{Family, State, Version};
use crate::wire::{Advert, DropCause};

impl Engine {
    pub(super) fn handle_packet(&mut self, now: Instant, packet: &Packet<'_>) {
        let vrid = Advert::peek_vrid(packet.payload);
        let family = Family::of(packet.source);
        let key = vrid.map(|vrid| (packet.interface, family, vrid));
        let bound = key.and_then(|key| self.bound.get(&key).copied());
        // RFC 9568 7.1 MUST: the VRID is configured on the receiving interface
        let Some(id) = bound else {
            let cause = vrid.map_or(DropCause::Length, |_| DropCause::UnknownVrid);
            self.dropped.count(cause);
            self.report_drop(now, packet, None, cause);
            return;
        };
        let instance = &mut self.instances[id];
        let Some(own) = instance
            .endpoint
            .and_then(|endpoint| endpoint.source(family))
        else {
            return;
        };
        // A time later than `now` would extend the master-down timer of a backup.
        let heard_at = packet.at.min(now);
        let checked = instance.listens_to(packet);
        let received = match checked.and_then(|()| Advert::parse(packet, &instance.expected())) {
            // Before the HMAC check, which would record this host as a sender.
            Ok(received) if packet.source == own && instance.may_have_sent(&received) => {
                Err(DropCause::OwnPacket)
            }
            Ok(received) => instance
                .authenticate(packet, &received, self.wall_clock.at(heard_at))
                .map(|()| received),
            Err(cause) => Err(cause),
        };
        let received = match received {
            // RFC 3768 7.1 MUST: the owner discards all advertisements
            // RFC 5798 7.1 MUST: the owner discards all advertisements
            Ok(_)
                if instance.params.version == Version::V2
                    && instance.params.priority.is_owner() =>
            {
                Err(DropCause::Owner)
            }
            Ok(_) if matches!(instance.router.state(), State::Init | State::Fault) => {
                Err(DropCause::NotListening)
            }
            judged => judged,
        };
        match received {
            Ok(received) => {
                let differences = instance.observe(now, packet.source, &received);
                // A new checksum form cleared the encoded messages.
                instance.prepare();
                let advert = &received.advert;
                let reaction = match instance.group {
                    None => {
                        let router = &mut instance.router;
                        router.handle_advert(now, heard_at, advert, packet.source, own)
                    }
                    Some(group) => {
                        // A packet that waited for longer than an interval shows that this node was
                        // suspended and may have lost later ones. The advertisement then counts as
                        // received now.
                        let slept = now.since(heard_at) > advert.interval.duration();
                        let heard_at = if slept { now } else { heard_at };
                        let sighting = Sighting {
                            from: packet.source,
                            priority: advert.priority,
                            interval: advert.interval,
                            at: heard_at,
                        };
                        self.record_in_group(now, id, group, sighting, advert)
                    }
                };
                if reaction.second_master {
                    let instance = &mut self.instances[id];
                    instance.counters.second_masters += 1;
                    self.report_second_master(now, packet, id, received.advert.priority);
                }
                self.react(now, id, reaction);
                if let Some(how) = differences {
                    self.report_drift(now, packet, id, how);
                }
            }
            // Advertisements of the present master are normal while this router is in init or
            // fault: no report.
            Err(cause @ DropCause::NotListening) => instance.counters.dropped.count(cause),
            // RFC 9568 7.1 MUST: a packet that fails a check is discarded
            // RFC 9568 7.1 MAY: a failed check is shown to the management
            Err(cause) => {
                instance.counters.dropped.count(cause);
                self.report_drop(now, packet, Some(id), cause);
            }
        }
    }

    fn report_drop(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        id: Option<RouterId>,
        cause: DropCause,
    ) {
        // RFC 9568 7.1 SHOULD: a failed check is logged, at a limited rate
        // RFC 3768 7.1 SHOULD: another interval than the own one is logged
        if self
            .limiter
            .admit(now, subject(packet, Matter::Dropped(cause)))
        {
            let router = id.map(|id| Arc::clone(&self.instances[id].name));
            let source = packet.source;
            self.outputs.push_back(Output::Report(Report::Dropped {
                router,
                source,
                cause,
            }));
        }
    }

    fn report_drift(&mut self, now: Instant, packet: &Packet<'_>, id: RouterId, how: String) {
        // RFC 9568 7.1 SHOULD: another interval than the own one is logged
        // RFC 9568 7.1 SHOULD: another list of addresses is logged
        if self.limiter.admit(now, subject(packet, Matter::Drift)) {
            self.outputs.push_back(Output::Report(Report::Drift {
                router: Arc::clone(&self.instances[id].name),
                source: packet.source,
                how: how.into(),
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
        if self
            .limiter
            .admit(now, subject(packet, Matter::SecondMaster))
        {
            self.outputs.push_back(Output::Report(Report::SecondMaster {
                router: Arc::clone(&self.instances[id].name),
                source: packet.source,
                priority,
            }));
        }
    }
}

fn subject(packet: &Packet<'_>, matter: Matter) -> Subject {
    Subject {
        interface: packet.interface,
        vrid: packet.payload.get(1).copied().unwrap_or_default(),
        source: packet.source,
        matter,
    }
}
