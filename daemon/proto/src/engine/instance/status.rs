//! Status of a router, and the reason for its present state.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Instance;
use crate::engine::destinations::Names;
use crate::operator::CommandKind;
use crate::params::{Effect, HmacParams};
use crate::router::HoldOff;
use crate::routing::{Route, Rule};
use crate::snapshot::{
    HmacStatus, HoldOffReason, HoldOffStatus, LvsStatus, PeerStatus, PriorityStatus, RouterStatus,
    SenderStatus, TrackStatus, WithheldStatus,
};
use crate::time::{Human, Instant};
use crate::track::{self, Tracker};
use crate::types::{Family, Priority};
use crate::wire::hmac::Key;

impl Instance {
    /// Returns the status of the router.
    pub(in crate::engine) fn status(
        &self,
        now: Instant,
        trackers: &BTreeMap<Arc<str>, Tracker>,
        names: &Names,
    ) -> RouterStatus {
        RouterStatus {
            name: Arc::clone(&self.name),
            interface: Arc::clone(&self.params.interface),
            virtual_router_id: self.params.vrid,
            version: self.params.version,
            state: self.router.state(),
            state_age: self.state_age(now),
            cause: self.cause(now),
            withheld: self
                .withheld
                .as_ref()
                .map(|(unreceived, at)| WithheldStatus {
                    source: unreceived.source,
                    reason: unreceived.to_string().into(),
                    age: now.since(*at).as_secs_f64(),
                }),
            fault_in: self
                .grace
                .as_ref()
                .map(|grace| grace.until.since(now).as_secs_f64()),
            releases_in: self.releases_in(now).map(|left| left.as_secs_f64()),
            silence_counts_in: self
                .router
                .discounts_silence(now)
                .map(|left| left.as_secs_f64()),
            without_link: None,
            hold_off: self.router.hold_off(now).map(HoldOffStatus::from),
            next: None,
            missing: Vec::new(),
            flapping: self.history.flapping(now),
            unsent: self.unsent_status(now),
            address_conflict: self.conflict_status(now),
            commands: Vec::new(),
            priority: self.priority_status(trackers),
            preempt: self.router.settings().preempts(),
            advert_interval: self.params.interval.duration().as_secs_f64(),
            source: self.source(Family::V4).or(self.source(Family::V6)),
            source_ipv6: self.source(Family::V4).and(self.source(Family::V6)),
            master: self.router.heard().map(|heard| PeerStatus {
                address: heard.from,
                priority: heard.priority,
                heard_for: now.since(heard.since).as_secs_f64(),
            }),
            addresses: Arc::clone(&self.params.addresses),
            routes: self.params.routes.iter().map(Route::to_string).collect(),
            rules: self.params.rules.iter().map(Rule::to_string).collect(),
            checksum: self.messages.form,
            others: self
                .peers
                .status(now, &self.params, &self.own_addresses, self.messages.form),
            hmac: self.hmac().map(|hmac| self.hmac_status(hmac)),
            unicast: self
                .params
                .unicast
                .as_ref()
                .map(|unicast| self.destinations.status(now, unicast, names)),
            notify: None,
            lvs: self.params.lvs.as_ref().map(|sync| LvsStatus {
                interface: Arc::clone(&sync.interface),
                sync_id: sync.sync_id,
                role: self.lvs_role(),
                error: None,
                repairs: 0,
            }),
            resources: None,
            counters: self.counters,
            history: self.history.status(now),
        }
    }

    fn hmac_status(&self, hmac: &HmacParams) -> HmacStatus {
        let senders = self.heard.senders().iter().map(|sender| SenderStatus {
            address: sender.address,
            key: sender.key,
            ahead: sender.ahead,
        });
        HmacStatus {
            mode: hmac.mode,
            active_key: hmac.active.id(),
            accepted_keys: hmac.keys().map(Key::id).collect(),
            senders: senders.collect(),
        }
    }

    /// Returns the reason for the present state, which can differ from the cause of the last
    /// transition: a fault that followed another one, a grace, or a delay that holds off a
    /// take-over.
    pub(in crate::engine) fn cause(&self, now: Instant) -> Arc<str> {
        if let Some(fault_reason) = self.router.fault_reason() {
            return fault_reason.to_string().into();
        }
        if let Some(grace) = &self.grace {
            let left = Human(grace.until.since(now));
            return format!("{}: fault in {left}", grace.fault_reason).into();
        }
        if let Some(left) = self.releases_in(now) {
            let left = Human(left);
            return format!(
                "handing over: holds its addresses until a successor advertises, {left} at most"
            )
            .into();
        }
        if let Some((unreceived, _)) = &self.withheld {
            return format!("take-over withheld: {unreceived}").into();
        }
        if let Some(standby) = self.conditions.standby
            && self.conditions.is_barred()
        {
            return format!("{} without last resort: no take-over", standby.kind).into();
        }
        if let Some(hold_off) = self.router.hold_off(now) {
            return hold_off.to_string().into();
        }
        if let Some(left) = self.router.discounts_silence(now)
            && let Some(name) = self.destinations.unresolved()
        {
            let left = Human(left);
            return format!("listening for {left}: the name of peer {name} is not resolved").into();
        }
        self.history
            .last_text()
            .unwrap_or_else(|| "not started".into())
    }

    /// Returns the effect of each of its trackers.
    fn tracks(&self, trackers: &BTreeMap<Arc<str>, Tracker>) -> Vec<TrackStatus> {
        let is_owner = self.params.priority.is_owner();
        let tracks = self.params.tracks.iter();
        tracks
            .map(|track| {
                let contribution = track::contribution(track, trackers);
                TrackStatus {
                    tracker: Arc::clone(&track.tracker),
                    weight: match track.effect {
                        Effect::Fault => None,
                        Effect::Weight(weight) => Some(weight),
                    },
                    contribution: match contribution {
                        // The owner keeps priority 255 (RFC 9568 5.2.4).
                        Ok(points) if !is_owner => points,
                        Ok(_) | Err(_) => 0,
                    },
                    fault: contribution
                        .err()
                        .map(|fault_reason| fault_reason.to_string()),
                }
            })
            .collect()
    }

    /// Returns the configured and the effective priority, with the contributions of the trackers.
    fn priority_status(&self, trackers: &BTreeMap<Arc<str>, Tracker>) -> PriorityStatus {
        let tracks = self.tracks(trackers);
        let mut reasons = Vec::new();
        let points = |to: Priority, from: Priority| i16::from(to.get()) - i16::from(from.get());
        if let Some(priority) = self.conditions.priority {
            let points = points(priority, self.params.priority);
            reasons.push(format!("{} {points:+}", CommandKind::Priority));
        }
        let changing = tracks.iter().filter(|track| track.contribution != 0);
        reasons.extend(changing.map(|track| format!("{} {:+}", track.tracker, track.contribution)));
        if let Some(standby) = self.conditions.standby {
            let others = self.influence_of_trackers(trackers).priority;
            let points = points(Priority::MIN, others);
            reasons.push(format!("{} {points:+}", standby.kind));
        }
        PriorityStatus {
            configured: self.params.priority,
            effective: self.priority(),
            reasons,
            tracks,
        }
    }
}

impl From<HoldOff> for HoldOffStatus {
    fn from(hold_off: HoldOff) -> Self {
        let (reason, left) = match hold_off {
            HoldOff::Startup { left } => (HoldOffReason::StartupDelay, Some(left)),
            HoldOff::HoldDown { left } => (HoldOffReason::Flapping, Some(left)),
            HoldOff::Preemption { left, .. } => (HoldOffReason::PreemptDelay, Some(left)),
            HoldOff::NoPreemption { .. } => (HoldOffReason::NoPreemption, None),
            HoldOff::Unsent { .. } => (HoldOffReason::Unsent, None),
        };
        Self {
            reason,
            ends_in: left.map(|left| left.as_secs_f64()),
        }
    }
}
