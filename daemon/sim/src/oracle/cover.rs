//! Coverage counts: which event occurred in which state.

use std::cmp::Ordering;
use std::sync::Arc;

use vrrp_proto::params::VirtualMac;
use vrrp_proto::{Family, Instant, InterfaceIndex, Link};

use super::reference::{Phase, Watched, others_wait};
use super::{Judged, Oracle};
use crate::admission::Rejection;
use crate::coverage::{Coverage, Event, Kind};
use crate::host::Host;
use crate::records::{Fed, News, Record};

impl Oracle {
    /// Counts a take-over that is withheld.
    pub(super) fn cover_withheld(&self, name: &str, coverage: &mut Coverage) {
        let router = &self.routers[name];
        let family = router.config.spoken().next().unwrap_or(Family::V4);
        meet(router, family, Event::Withheld, coverage);
    }

    /// Counts the event of an input.
    pub(super) fn cover(
        &self,
        host: &Host,
        now: Instant,
        record: &Record,
        judged: Option<&Judged<'_>>,
        coverage: &mut Coverage,
    ) {
        let over = if let Fed::Packet { packet, .. } = &record.fed {
            packet.family()
        } else {
            Family::V4
        };
        let mut count = |router: &Watched, event| {
            meet(router, over, event, coverage);
        };
        match &record.fed {
            Fed::Packet { packet, .. } => {
                let Some(judged) = judged else { return };
                let router = &self.routers[&judged.router];
                if judged.content.is_ok() && router.config.hmac.is_some() {
                    let is_copy = packet.from == host.stations.count();
                    count(
                        router,
                        if is_copy {
                            Event::Copied
                        } else {
                            Event::Proved
                        },
                    );
                }
                let first = host.own(packet.family(), packet.segment).address;
                let own = judged.own.unwrap_or(first);
                let event = match judged.content {
                    Err(unheard) => {
                        if let Some(event) = why(unheard) {
                            count(router, event);
                        }
                        Event::Rejected
                    }
                    Ok(content) if content.priority == 0 => Event::Resignation,
                    Ok(content) => match content.priority.cmp(&self.priority(&router.config)) {
                        Ordering::Less => Event::LowerPriority,
                        Ordering::Equal if packet.source > own => {
                            Event::EqualPriorityGreaterAddress
                        }
                        Ordering::Equal => Event::EqualPriorityLesserAddress,
                        Ordering::Greater => Event::HigherPriority,
                    },
                };
                count(router, event);
            }
            Fed::Witnessed(_) | Fed::AddressConflict { .. } => {}
            Fed::Tick => {
                for (name, router) in &self.routers {
                    match &router.phase {
                        Phase::Backup(listening) => {
                            let priority = self.priority(&router.config);
                            let alone = || router.take_over_at(listening, priority);
                            let group = self.group_of(name);
                            let due = group.and_then(|group| self.over_at(now, &group));
                            let due = due.unwrap_or_else(alone);
                            let event = if now < due {
                                Event::EarlyTick
                            } else if now.since(due) > listening.interval(&router.config, priority)
                            {
                                Event::Overslept
                            } else {
                                Event::Deadline
                            };
                            count(router, event);
                        }
                        Phase::Master { sent_at, told, .. } => {
                            let slept = now.since(*sent_at);
                            let due = record
                                .deadline_before
                                .is_some_and(|deadline| deadline <= now);
                            if slept > others_wait(&router.config, *told) {
                                count(router, Event::Overslept);
                            } else if due {
                                count(router, Event::Deadline);
                            } else {
                                count(router, Event::EarlyTick);
                            }
                        }
                        Phase::Fault => count(router, Event::EarlyTick),
                        Phase::Init => {}
                    }
                }
            }
            Fed::Configure(config) => {
                let config = config.united();
                for (name, router) in &self.routers {
                    let event = match config.routers.get(name) {
                        None => Event::Removed,
                        Some(new) if *new == router.config => Event::ReloadSame,
                        Some(new)
                            if (new.segment, new.vrid, new.version)
                                != (
                                    router.config.segment,
                                    router.config.vrid,
                                    router.config.version,
                                ) =>
                        {
                            Event::Redefined
                        }
                        Some(_) => Event::ReloadChanged,
                    };
                    count(router, event);
                }
            }
            Fed::News(News::Link(link)) if self.user_of(&link.name).is_some() => {
                if let Some((router, family)) = self.user_of(&link.name) {
                    let event = match link {
                        _ if link.mac != router.config.mac(family) => Event::DeviceStrange,
                        Link { up: true, .. } => Event::DeviceUp,
                        Link { up: false, .. } => Event::DeviceDown,
                    };
                    count(router, event);
                }
            }
            Fed::News(News::LinkRemoved(index)) if self.is_device(*index) => {
                let name = self.links.get(index).map(|link| &link.name);
                if let Some((router, _)) = name.and_then(|name| self.user_of(name)) {
                    count(router, Event::DeviceLost);
                }
            }
            Fed::News(news) => {
                let event = match news {
                    News::Link(link) if link.up && link.carrier => Event::LinkUp,
                    News::Link(_) => Event::LinkDown,
                    News::LinkRemoved(_) => Event::LinkRemoved,
                    News::AddressAdded => Event::AddressAdded,
                    News::AddressRemoved => Event::AddressRemoved,
                    News::Routing => Event::Routing,
                };
                self.routers
                    .values()
                    .for_each(|router| count(router, event));
            }
            Fed::Probe { tracker, up } => {
                for router in self.routers.values() {
                    if router.config.tracks.iter().any(|(name, _)| name == tracker) {
                        count(
                            router,
                            if *up {
                                Event::ProbeWell
                            } else {
                                Event::ProbeIll
                            },
                        );
                    }
                }
            }
            Fed::DropRule { able } => {
                let event = match able {
                    true => Event::CanRefuse,
                    false => Event::DropFilterError,
                };
                let concerned = self.routers.values().filter(|r| !r.config.accepts());
                concerned.for_each(|router| count(router, event));
            }
            Fed::Resolved { .. } => {
                let concerned = self.routers.values().filter(|r| r.config.unicast.is_some());
                concerned.for_each(|router| count(router, Event::Resolved));
            }
            Fed::Listening => coverage.fault("NoSocket"),
            Fed::Rejected => coverage.fault("Rejected"),
            Fed::Unsent { .. } => coverage.fault("Unsent"),
            // Commands are counted as actions of the scenario.
            Fed::Command(_) | Fed::EndCommand(_) | Fed::Announce(_) => {}
            Fed::WallClock(_) | Fed::Restart => {}
            Fed::Overrun => self
                .routers
                .values()
                .for_each(|router| count(router, Event::Overrun)),
            Fed::Stop => self
                .routers
                .values()
                .for_each(|router| count(router, Event::Stop)),
        }
    }

    /// Counts the rejected requests for interfaces with virtual MAC addresses.
    pub(super) fn cover_refused(&self, refused: &[Arc<str>], coverage: &mut Coverage) {
        for name in refused {
            if let Some((router, _)) = self.user_of(name) {
                meet(router, Family::V4, Event::DeviceRefused, coverage);
            }
        }
    }

    /// Router and family that use the interface with this name for a virtual MAC address.
    fn user_of(&self, name: &Arc<str>) -> Option<(&Watched, Family)> {
        let all = self.routers.values();
        let mut all = all.flat_map(|router| Family::ALL.map(|family| (router, family)));
        all.find(|(router, family)| router.config.device(*family).as_ref() == Some(name))
    }

    /// Whether an interface has the name of one with a virtual MAC address.
    fn is_device(&self, index: InterfaceIndex) -> bool {
        let is = |name: &str| VirtualMac::PREFIXES.iter().any(|p| name.starts_with(p));
        self.links.get(&index).is_some_and(|link| is(&link.name))
    }
}

/// Counts an event of a router, for a packet with the family of the packet.
fn meet(router: &Watched, over: Family, event: Event, coverage: &mut Coverage) {
    coverage.meet(kind_of(router, over), router.state(), event);
    if router.is_member {
        coverage.meet(Kind::Member, router.state(), event);
    }
}

/// Kind of a router, for a packet with the family of the packet.
fn kind_of(router: &Watched, over: Family) -> Kind {
    let config = &router.config;
    match (config.is_dual(), config.speaks(Family::V4), over) {
        (true, _, Family::V4) => Kind::Both,
        (true, _, Family::V6) => Kind::BothOverIpv6,
        (false, true, _) => Kind::Ipv4,
        (false, false, _) => Kind::Ipv6,
    }
}

/// Coverage event for a rejection, if the table has one.
const fn why(unheard: Rejection) -> Option<Event> {
    Some(match unheard {
        Rejection::Cast => Event::OtherCast,
        Rejection::Stranger => Event::Stranger,
        Rejection::HopLimit => Event::TooFar,
        Rejection::Unsigned => Event::Unsigned,
        Rejection::Malformed => Event::Malformed,
        Rejection::Untimely => Event::Untimely,
        Rejection::Key => Event::UnknownKey,
        Rejection::Forged => Event::Forged,
        Rejection::Repeated => Event::Repeated,
        Rejection::Junk
        | Rejection::Dialect
        | Rejection::Own
        | Rejection::Subject
        | Rejection::Foreign
        | Rejection::Unlinked => return None,
    })
}
