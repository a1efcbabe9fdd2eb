#!/usr/bin/env python3
"""Checks the laws: puts one deliberate fault at a time into a copy of the code, and demands that the
simulation finds it: in its fixed seeds, or in one of its stories.

  daemon/sim/faults.py [NAME…]            all, or those
  daemon/sim/faults.py --write [NAME…]    and what found them goes into the table of docs/simulation.md

Each fault is a text that stands once in a file, and what stands there instead. A text that is not
found is an error: whoever changes the code has to move the fault along.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
TABLE = PROJECT / "docs" / "simulation.md"
SEEDS = 2000
# Seconds; without a fault it takes a third of it.
TIMEOUT = 600
MEMORY = 2 << 30

ROUTER = "daemon/proto/src/router.rs"
BACKUP = "daemon/proto/src/router/backup.rs"
MASTER = "daemon/proto/src/router/master.rs"
ENGINE = "daemon/proto/src/engine/mod.rs"
PACKET = "daemon/proto/src/engine/packet.rs"
EFFECTS = "daemon/proto/src/engine/effects.rs"
CONFIGURE = "daemon/proto/src/engine/configure.rs"
INSTANCE = "daemon/proto/src/engine/instance.rs"
INTERFACES = "daemon/proto/src/engine/interfaces.rs"
PARAMS = "daemon/proto/src/params.rs"
TRACK = "daemon/proto/src/track.rs"
ADVERT = "daemon/proto/src/wire/advert.rs"
DEADLINES = "daemon/proto/src/deadlines.rs"
REPLAY = "daemon/proto/src/replay.rs"
HMAC = "daemon/proto/src/wire/hmac.rs"
PLAN = "daemon/node/src/plan.rs"
MIRROR = "daemon/node/src/mirror.rs"
DEVICE = "daemon/node/src/device.rs"
DROP_RULES = "daemon/node/src/drop_rules.rs"
ROUTING = "daemon/proto/src/engine/routing.rs"
ROUTES = "daemon/node/src/routing/plan.rs"
NOTIFY = "daemon/proto/src/notify.rs"
QUEUE = "daemon/proto/src/notify/queue.rs"
ROUTES_THERE = "daemon/node/src/routing/mirror.rs"
GROUP = "daemon/proto/src/engine/group.rs"
GRACE = "daemon/proto/src/engine/grace.rs"
PEER_TABLE = "daemon/proto/src/engine/group/peer_table.rs"
RESOURCES = "daemon/proto/src/resources.rs"
NODE = "daemon/node/src/node.rs"
DROP_FILTER = "daemon/node/src/drop_filter.rs"
CLEANUP = "daemon/node/src/cleanup.rs"


class Fault(NamedTuple):
    name: str
    file: str
    old: str
    new: str


FAULTS = [
    Fault(
        "the skew is left out",
        ROUTER,
        "    unit * (256 - u32::from(settings.priority.get())) / 256",
        "    unit * u32::from(settings.priority.get()) * 0",
    ),
    Fault(
        "two intervals are waited for and not three",
        ROUTER,
        "    interval.duration() * 3 + skew(settings, interval)",
        "    interval.duration() * 2 + skew(settings, interval)",
    ),
    Fault(
        "the skew of version 2 goes by the interval",
        ROUTER,
        "        Version::V2 => Duration::from_secs(1),",
        "        Version::V2 => interval.duration(),",
    ),
    Fault(
        "among equals the smaller address is master",
        ROUTER,
        "                    && source > own\n",
        "                    && source < own\n",
    ),
    Fault(
        "equals do not give way",
        ROUTER,
        "                    && source > own\n",
        "                    && source > own\n                    && false\n",
    ),
    Fault(
        "a backup ignores priority 0",
        BACKUP,
        "        if advert.resigns() {",
        "        if advert.resigns() && false {",
    ),
    Fault(
        "a master ignores priority 0",
        ROUTER,
        "                    return master.answer_resignation(now, &settings);",
        "                    return Reaction::default();",
    ),
    Fault(
        "the timer of a master is not reset",
        MASTER,
        "            self.advert_at = next_due(self.advert_at, settings.interval.duration(), now);",
        "",
    ),
    Fault(
        "the timer of a backup is not reset",
        BACKUP,
        "        self.down_at = sighting.at + down_interval(settings, sighting.interval);",
        "",
    ),
    Fault(
        "a backup counts from when it looked and not from the arrival",
        PACKET,
        "        let heard_at = packet.at.min(now);",
        "        let heard_at = now;",
    ),
    Fault(
        "the interval of the master is not taken over",
        BACKUP,
        "        self.interval = sighting.interval;\n        self.down_at = sighting.at",
        "        self.down_at = sighting.at",
    ),
    Fault(
        "a master that overslept goes on",
        ROUTER,
        "        if lasted <= others_wait || self.settings.priority.is_owner() {",
        "        if true || lasted <= others_wait {",
    ),
    Fault(
        "a backup that overslept takes over",
        ROUTER,
        "                if now.since(due) > backup.interval(&settings) {",
        "                if false && now.since(due) > backup.interval(&settings) {",
    ),
    Fault(
        "everybody preempts",
        ROUTER,
        "        self.preempt || self.priority.is_owner()",
        "        true",
    ),
    Fault(
        "who stops does not resign",
        ROUTER,
        "            Phase::Master(_) => Reaction {\n"
        "                send: Some(Send::Resignation),\n"
        "                ..self.enter(Phase::Init, cause)",
        "            Phase::Master(_) => Reaction {\n"
        "                send: None,\n"
        "                ..self.enter(Phase::Init, cause)",
    ),
    Fault(
        "who yields says no last word",
        ROUTER,
        "            send: Some(Send::Advert),\n"
        "            ..self.enter(Phase::Backup(backup), cause)",
        "            send: None,\n            ..self.enter(Phase::Backup(backup), cause)",
    ),
    Fault(
        "a new master is silent",
        ROUTER,
        "        Reaction {\n"
        "            send: Some(Send::Advert),\n"
        "            ..self.enter(Phase::Master(master), cause)",
        "        Reaction {\n"
        "            send: None,\n"
        "            ..self.enter(Phase::Master(master), cause)",
    ),
    Fault(
        "a lower priority is preempted without the delay",
        BACKUP,
        "            let delayed = preempt_delay.since + settings.preempt_delay;",
        "            let delayed = preempt_delay.since;",
    ),
    Fault(
        "the delay of preemption delays a succession too",
        BACKUP,
        "        preempts_at.map_or(self.down_at, |at| at.min(self.down_at))",
        "        preempts_at.unwrap_or(self.down_at)",
    ),
    Fault(
        "every advertisement begins the delay anew",
        BACKUP,
        "        let preempt_delay = *self.preempt_delay.get_or_insert(PreemptDelay {",
        "        let preempt_delay = *self.preempt_delay.insert(PreemptDelay {",
    ),
    Fault(
        "who leaves a lower one in peace does not listen first",
        BACKUP,
        "        self.down_at = preempt_delay\n"
        "            .undelayed\n"
        "            .max(heard_at + down_interval(settings, advert.interval));",
        "        self.down_at = heard_at + down_interval(settings, advert.interval);",
    ),
    Fault(
        "nobody listens for the startup delay",
        BACKUP,
        "            at.max(startup_until)",
        "            at",
    ),
    Fault(
        "every reload prolongs the startup delay",
        ROUTER,
        "self.startup_until - before.saturating_sub(settings.startup_delay);",
        "now + settings.startup_delay;",
    ),
    Fault(
        "there is no second announcement",
        MASTER,
        "        master.announce_at = master.next_announcement(now, settings);\n",
        "",
    ),
    Fault(
        "late announcements shift the following ones",
        MASTER,
        "next_due(self.arrived_at, refresh, now));",
        "now + refresh);",
    ),
    Fault(
        "a lower priority is contradicted whatever the settings say",
        MASTER,
        "        if settings.announce.on_lower_priority {",
        "        if true {",
    ),
    Fault(
        "an announcement that comes too soon is left out",
        MASTER,
        "                self.correct_at = Some(earliest);",
        "",
    ),
    Fault(
        "each announcement is sent once",
        EFFECTS,
        "                burst: announce.burst,",
        "                burst: 1,",
    ),
    Fault(
        "a new master announces nothing",
        EFFECTS,
        "        if became_master || announce {",
        "        if announce {",
    ),
    Fault(
        "a backup holds on to the addresses",
        EFFECTS,
        "        let is_master = instance.router.state() == State::Master;",
        "        let is_master = instance.router.state() != State::Fault;",
    ),
    Fault(
        "the deadline is not told",
        EFFECTS,
        "        self.deadlines.set(id, deadline);",
        "        if change.is_some() { self.deadlines.set(id, deadline); }",
    ),
    Fault(
        "the heap of deadlines is none",
        DEADLINES,
        "                let place = self.rise(place);\n                self.sink(place);\n"
        "            }\n            (Some(place), None)",
        "                let _ = self.rise(place);\n            }\n            (Some(place), None)",
    ),
    Fault(
        "an address that was deleted by hand is gone",
        ENGINE,
        "        if self.instances[id].router.state() == State::Master {\n            self.repair",
        "        if self.instances[id].router.state() == State::Init {\n            self.repair",
    ),
    Fault(
        "an address that somebody added to a backup stays",
        ENGINE,
        "                if instance.router.state() != State::Master && !spared {",
        "                if instance.router.state() == State::Init && !spared {",
    ),
    Fault(
        "after lost news nothing is asked for again",
        ENGINE,
        "                    self.wake(now, id);\n                    self.want(id, &[]);",
        "                    self.wake(now, id);",
    ),
    Fault(
        "a reload starts everything anew",
        INSTANCE,
        "    pub(super) fn is_same_router(&self, params: &RouterParams) -> bool {\n        (",
        "    pub(super) fn is_same_router(&self, params: &RouterParams) -> bool {\n"
        "        false && (",
    ),
    Fault(
        "a reload forgets the verdicts of trackers",
        CONFIGURE,
        "                .and_then(|tracker| tracker.with_params(&params))",
        "                .and_then(|tracker| tracker.with_params(&params).filter(|_| false))",
    ),
    Fault(
        "weights work the wrong way round",
        TRACK,
        "            (true, false) | (false, true) => weight,\n"
        "            (true, true) | (false, false) => 0,",
        "            (true, false) | (false, true) => 0,\n"
        "            (true, true) | (false, false) => weight,",
    ),
    Fault(
        "the advertisement bears the configured priority",
        INSTANCE,
        "            let priority = self.priority().get();\n",
        "            let priority = self.params.priority.get();\n",
    ),
    Fault(
        "any hop limit will do",
        ADVERT,
        "        if packet.hop_limit < expected.hop_limit {",
        "        if packet.hop_limit == 0 {",
    ),
    Fault(
        "any checksum will do",
        ADVERT,
        "Version::V2 | Version::V3) => Err(DropCause::Checksum),",
        "Version::V2 | Version::V3) => Ok(ChecksumForm::MessageOnly),",
    ),
    Fault(
        "any password will do",
        ADVERT,
        "            if differing == 0 {",
        "            if differing == 0 || true {",
    ),
    Fault(
        "version 2 takes any interval",
        ADVERT,
        "                    .filter(|interval| *interval == expected.interval)",
        "                    .filter(|interval| *interval >= AdvertInterval::DEFAULT)",
    ),
    Fault(
        "a rejected packet speaks for its sender's life",
        PACKET,
        "            Err(cause) => {\n                instance.counters.dropped.count(cause);",
        "            Err(cause) => {\n"
        "                let reaction = instance.router.wake(now + core::time::Duration::from_secs(9));\n"
        "                self.react(now, id, reaction);\n"
        "                let instance = &mut self.instances[id];\n"
        "                instance.counters.dropped.count(cause);",
    ),
    Fault(
        "the plan forgets what is to leave",
        PLAN,
        "            if !spared && !desired.hold.contains(&held.address) {",
        "            if !spared && held.address.prefix == 32 {",
    ),
    Fault(
        "what an earlier daemon left stays",
        PLAN,
        "            .filter(|(interface, held)| held.ours && !wanted(*interface, held.address))",
        "            .filter(|(interface, held)| held.secondary && !wanted(*interface, held.address))"
        "\n            .filter(|(_, held)| !held.ours)",
    ),
    Fault(
        "primaries leave before their secondaries",
        PLAN,
        "                    u8::from(!mirror.was_secondary(interface, address))",
        "                    u8::from(mirror.was_secondary(interface, address))",
    ),
    Fault(
        "an address that was refused is never announced",
        PLAN,
        "            } if !is_announced(interface, address) => {",
        "            } if !is_announced(interface, address) && address.prefix == 32 => {",
    ),
    Fault(
        "the mirror knows addresses of links that it does not know",
        MIRROR,
        "if !self.links.contains_key(&interface) => None,",
        "if !self.links.contains_key(&interface) && false => None,",
    ),
    Fault(
        "an address comes before packets to it are refused",
        DROP_RULES,
        "                if self.refused.insert(refusal) {",
        "                if self.refused.insert(refusal) && self.refused.len() > 9 {",
    ),
    Fault(
        "packets are refused to what is gone",
        DROP_RULES,
        "            if self.wanted.remove(&place) {",
        "            if self.wanted.contains(&place) {",
    ),
    Fault(
        "every master accepts",
        EFFECTS,
        "            accept: params.accepts(),",
        "            accept: true,",
    ),
    Fault(
        "a reload does not change whether a master accepts",
        CONFIGURE,
        "        let other = other_owner || other_accept || other_form;",
        "        let other = other_owner || other_form;",
    ),
    Fault(
        "who cannot refuse serves",
        ENGINE,
        "        let refuses = !instance.params.accepts();",
        "        let refuses = instance.params.accept && !instance.params.accepts();",
    ),
    Fault(
        "the sync thread of IPVS does not follow its router",
        EFFECTS,
        "        if self.synchronised == Some(id) {",
        "        if self.synchronised == Some(id) && to == State::Init {",
    ),
    Fault(
        "a backup holds on to its routes",
        EFFECTS,
        "            desired.release.extend(routed(routes, rules));",
        "            let _ = routed(routes, rules);",
    ),
    Fault(
        "a route that was deleted by hand is gone",
        ROUTING,
        ".push_back(Output::Report(Report::RoutingRepaired { router, what }));\n            self.want_routing(id, Vec::new());",
        ".push_back(Output::Report(Report::RoutingRepaired { router, what }));",
    ),
    Fault(
        "a route that leads elsewhere is left so",
        ROUTES,
        "    let kept = there.iter().position(|known| installed.fits(known));",
        "    let kept = there.iter().position(|known| known.place == installed.place);\n    if kept.is_some() { return Vec::new(); }",
    ),
    Fault(
        "nobody looks for the routes of an interface that was set down",
        ROUTES_THERE,
        "            Event::Link(link) => !link.up && self.may_lead_over(link.index),",
        "            Event::Link(_) => false,",
    ),
    Fault(
        "nobody looks for the routes of an address that was taken off",
        ROUTES_THERE,
        "                self.may_lose(*device, address.address, addresses)\n",
        "                let _ = (device, address, addresses); false\n",
    ),
    Fault(
        "routes and rules that an earlier daemon left stay",
        ROUTES,
        "    changes.extend(rules.cloned().map(Change::DeleteRule));\n    for change",
        "    changes.truncate(first);\n    for change",
    ),
    Fault(
        "an instance of both families takes over when one is silent",
        BACKUP,
        "            .map(|leg| leg.over_at(settings))\n"
        "            .fold(Instant::ZERO, Instant::max);",
        "            .map(|leg| leg.over_at(settings))\n"
        "            .min()\n"
        "            .unwrap_or(Instant::ZERO);",
    ),
    Fault(
        "each family decides a tie for itself",
        MASTER,
        "        if !settings.is_dual() || source.is_ipv4() {",
        "        if true || source.is_ipv4() {",
    ),
    Fault(
        "who speaks IPv6 alone never wins a tie",
        MASTER,
        "        now.since(since) >= wait\n",
        "        now.since(since) >= wait && false\n",
    ),
    Fault(
        "a tie in IPv6 that was lost long ago counts",
        MASTER,
        "self.losing.filter(goes_on).unwrap_or((now, now));",
        "self.losing.filter(|at| goes_on(at) || true).unwrap_or((now, now));",
    ),
    Fault(
        "a backup keeps its timer when its family changes",
        BACKUP,
        "                *self = Self::listen(now, settings);",
        "",
    ),
    Fault(
        "a backup that loses a family keeps what it knew of that",
        BACKUP,
        "                if let Some(ipv6) = self.ipv6.take() {\n"
        "                    self.leg = ipv6;",
        "                if let Some(_) = self.ipv6.take() {",
    ),
    Fault(
        "an instance of both families speaks IPv4 alone",
        EFFECTS,
        "        for family in Family::ALL {\n            let Some(source)",
        "        for family in [Family::V4] {\n            let Some(source)",
    ),
    Fault(
        "what is not to be advertised is",
        PARAMS,
        "address.family() == family && self.advertises(address.address))",
        "address.family() == family)",
    ),
    Fault(
        "the link-local address does not stand first",
        INSTANCE,
        "own.into_iter().chain(of_kind(true)).chain(of_kind(false))",
        "own.into_iter().chain(of_kind(false)).chain(of_kind(true))",
    ),
    Fault(
        "over IPv6 a checksum of the message alone will do",
        ADVERT,
        "        (Family::V4, Version::V2 | Version::V3) if is_plain()",
        "        (_, Version::V2 | Version::V3) if is_plain()",
    ),
    Fault(
        "what the kernel tells of IPv6 is believed",
        MIRROR,
        "                if address.family() == Family::V6\n                    && self\n",
        "                if address.family() == Family::V4\n                    && self\n",
    ),
    Fault(
        "an IPv6 address may stand with two prefixes",
        PLAN,
        "        if address.family() == Family::V6 {",
        "        if address.family() == Family::V6 && false {",
    ),
    Fault(
        "a virtual link-local address is sent from",
        INTERFACES,
        "                .filter(|address| !is_virtual(*address))",
        "                .filter(|address| address.is_ipv6() || !is_virtual(*address))",
    ),
    Fault(
        "a virtual MAC address stays up on a backup",
        EFFECTS,
        "                State::Backup | State::Fault => DeviceState::Down,",
        "                State::Backup | State::Fault => DeviceState::Up,",
    ),
    Fault(
        "a master leaves it down",
        EFFECTS,
        "                State::Master => DeviceState::Up,",
        "                State::Master => DeviceState::Down,",
    ),
    Fault(
        "what somebody does to its interface stays",
        ENGINE,
        "            if !is_so {",
        "            if !is_so && false {",
    ),
    Fault(
        "addresses go to the interface below it",
        PARAMS,
        "            .or_else(|| self.virtual_device(Family::of(address)))\n",
        "",
    ),
    Fault(
        "addresses are announced at that of the interface below",
        EFFECTS,
        "                interface,\n                mac,\n                addresses,",
        "                interface,\n                mac: slot.place.map_or(mac, |place| place.mac),\n                addresses,",
    ),
    Fault(
        "advertisements leave from the interface's own",
        PARAMS,
        "        (sends && self.unicast.is_none())",
        "        (sends && self.unicast.is_some())",
    ),
    Fault(
        "who is to advertise from the interface's own does not",
        PARAMS,
        "            .is_some_and(|virtual_mac| virtual_mac.sends);",
        "            .is_some_and(|virtual_mac| virtual_mac.sends || true);",
    ),
    Fault(
        "a router that does without keeps it",
        CONFIGURE,
        "            self.outputs.extend(gone);",
        "            drop(gone);",
    ),
    Fault(
        "what is wanted counts as left by an earlier daemon",
        ENGINE,
        "            .filter(|attachment| attachment.virtual_mac.is_some())",
        "            .filter(|attachment| attachment.virtual_mac.is_none())",
    ),
    Fault(
        "cleanup leaves it",
        DEVICE,
        "        .filter(|link| is_ours(link) && !wanted(&link.name))",
        "        .filter(|link| is_ours(link) && !wanted(&link.name) && false)",
    ),
    Fault(
        "an interface of its name gets the addresses whosever it is",
        INTERFACES,
        "        is_it.then_some(link)",
        "        (is_it || true).then_some(link)",
    ),
    Fault(
        "one that got another name keeps the addresses",
        ENGINE,
        "known.0.filter(|_| attachment.virtual_mac.is_some())",
        "known.0.filter(|_| false)",
    ),
    Fault(
        "below a renamed interface it stays as it is",
        EFFECTS,
        "                None => self.interfaces.index(&instance.params.interface),",
        "                None => Some(self.interfaces.index(&instance.params.interface)?),",
    ),
    Fault(
        "what was announced while it was down is never announced",
        ENGINE,
        "is_master && (attachment.is_unheard || !is_up || is_known_elsewhere);",
        "is_master && is_known_elsewhere;",
    ),
    Fault(
        "who has peers hears the group",
        INSTANCE,
        "        if packet.destination.is_multicast() == is_unicast {",
        "        if !packet.destination.is_multicast() && !is_unicast {",
    ),
    Fault(
        "who speaks with the group hears what is sent to one",
        INSTANCE,
        "        if packet.destination.is_multicast() == is_unicast {",
        "        if packet.destination.is_multicast() && is_unicast {",
    ),
    Fault(
        "anybody is a peer",
        INSTANCE,
        "        if is_unicast && !self.receivers(family).contains(&packet.source) {",
        "        if is_unicast && false {",
    ),
    Fault(
        "by unicast any hop limit will do",
        INSTANCE,
        "                .map_or(HOP_LIMIT, |u| u.min_ttl),",
        "                .map_or(HOP_LIMIT, |_| 1),",
    ),
    Fault(
        "peers are sent to with the usual hop limit",
        INSTANCE,
        ".map_or(HOP_LIMIT, |u| u.ttl)",
        ".map_or(HOP_LIMIT, |_| HOP_LIMIT)",
    ),
    Fault(
        "what a name meant before goes on counting",
        ENGINE,
        "            *known = addresses.into();",
        "            *known = known.iter().chain(addresses).copied().collect();",
    ),
    Fault(
        "a name that means something else concerns nobody",
        ENGINE,
        "                instance.set_peers(&self.names);",
        "                let _ = &instance;",
    ),
    Fault(
        "a reload does not change the peers",
        INSTANCE,
        "        self.set_peers(names);\n",
        "        let _ = names;\n",
    ),
    Fault(
        "it speaks with itself",
        EFFECTS,
        "                if destination == source {",
        "                if destination == source && false {",
    ),
    Fault(
        "an address that is gone is sent from",
        INTERFACES,
        "            .any(|known| known.address == address)\n            .then_some",
        "            .any(|known| known.address == address || true)\n            .then_some",
    ),
    Fault(
        "who is to send from an address sends from the usual one",
        INTERFACES,
        "                    Some(source) if Family::of(source) == family => self.find(source)?,",
        "                    Some(source) if Family::of(source) == family && false => self.find(source)?,",
    ),
    Fault(
        "the address to send from concerns nobody when it comes or goes",
        ENGINE,
        "        for id in self.sources.get(&address).cloned().unwrap_or_default() {",
        "        for id in self.sources.get(&address).cloned().unwrap_or_default().drain(..0) {",
    ),
    Fault(
        "a number is believed twice",
        REPLAY,
        "            if anti_replay.is_timely(last, wall) && !sender.sequence.is_after(last) {",
        "            if false && !sender.sequence.is_after(last) {",
    ),
    Fault(
        "a number of another time holds back",
        REPLAY,
        "            if anti_replay.is_timely(last, wall) && !sender.sequence.is_after(last) {",
        "            if !sender.sequence.is_after(last) {",
    ),
    Fault(
        "one sender holds back another",
        REPLAY,
        "            .position(|known| known.address == sender.address);",
        "            .position(|_| true);",
    ),
    Fault(
        "any time will do",
        INSTANCE,
        "        if !hmac.anti_replay.is_timely(trailer.sequence, wall) {",
        "        if false && !hmac.anti_replay.is_timely(trailer.sequence, wall) {",
    ),
    Fault(
        "what has waited is judged by the present",
        PACKET,
        "self.wall_clock.at(heard_at))",
        "self.wall_clock.at(now))",
    ),
    Fault(
        "any HMAC will do",
        INSTANCE,
        "        if !trailer.is_genuine(packet.source, key) {",
        "        if false && !trailer.is_genuine(packet.source, key) {",
    ),
    Fault(
        "an HMAC is good for any sender",
        HMAC,
        "                head[4..8].copy_from_slice(&source.octets());",
        "                head[4..8].fill(0);",
    ),
    Fault(
        "only the key that it signs with counts",
        PARAMS,
        "core::iter::once(&self.active).chain(&self.others)",
        "core::iter::once(&self.active).chain(&self.others[..0])",
    ),
    Fault(
        "who enforces takes what is not signed",
        INSTANCE,
        "                HmacMode::Enforce => Err(DropCause::HmacMissing),",
        "                HmacMode::Enforce => Ok(()),",
    ),
    Fault(
        "who is permissive demands a signature",
        INSTANCE,
        "                HmacMode::Permissive | HmacMode::ReceiveOnly => Ok(()),",
        "                HmacMode::Permissive | HmacMode::ReceiveOnly => Err(DropCause::HmacMissing),",
    ),
    Fault(
        "who only receives signs",
        PARAMS,
        "            Self::ReceiveOnly => false,",
        "            Self::ReceiveOnly => true,",
    ),
    Fault(
        "numbers go back with the clock",
        REPLAY,
        "            Some(last) if !clock.is_after(last) && anti_replay.is_timely(last, wall) => last.next(),",
        "            Some(last) if clock == last => last.next(),",
    ),
    Fault(
        "what waits to be told is told although there is something newer",
        QUEUE,
        "            self.waiting.pop_back();\n            self.dropped += 1;\n",
        "            break;\n",
    ),
    Fault(
        "a stop is told only if nothing follows it",
        QUEUE,
        "        let is_state = |job: &Job<C>| job.news.to != State::Init;",
        "        let is_state = |_: &Job<C>| true;",
    ),
    Fault(
        "two commands of one owner run at a time",
        QUEUE,
        "            Phase::Running { .. } => return None,\n",
        "            Phase::Running { .. } => {}\n",
    ),
    Fault(
        "what is old is told again when it failed",
        QUEUE,
        "        if telling.is_old || telling.attempts",
        "        if telling.attempts",
    ),
    Fault(
        "what has begun is not finished when there is something newer",
        QUEUE,
        "            telling.job.commands.pop_front();\n",
        "            telling.job.commands.pop_front();\n"
        "            if telling.is_old {\n                return None;\n            }\n",
    ),
    Fault(
        "the stop of what a reload removes is told by nobody",
        NOTIFY,
        "            _ => &self.present,\n",
        "            Some(coming) => coming,\n            None => &self.present,\n",
    ),
    Fault(
        "after a reload nobody is told again",
        NOTIFY,
        "                && notify.on_reload\n                && !entry.is_news\n",
        "                && notify.on_reload\n                && false\n",
    ),
    Fault(
        "the end takes longer than it says",
        QUEUE,
        "            true => telling.end().since(now),",
        "            true => telling.notice.timeout * 4,",
    ),
    Fault(
        "a group is told of as soon as one of its members has moved",
        NOTIFY,
        "        states.all(|state| state == first).then_some(first)",
        "        Some(first)",
    ),
    Fault(
        "a group is told of after each reload",
        NOTIFY,
        "        if from == to {\n            return;\n        }\n        let first",
        "        let first",
    ),
    Fault(
        "a group that is told of no longer is not told of its end",
        NOTIFY,
        "            if !self.present.contains_key(owner) {",
        "            if false {",
    ),
    Fault(
        "a fault of one is no fault of the others",
        GROUP,
        "        let own = self.member(group, position).fault_reason.clone();\n        own.or_else(|| {\n",
        "        let own = self.member(group, position).fault_reason.clone();\n        own.or_else(|| {\n"
        "            if true {\n                return None;\n            }\n",
    ),
    Fault(
        "a group takes over where the first member may",
        GROUP,
        "            at = at.max(member_over_at(now, instance, decided));",
        "            at = if position == 0 { member_over_at(now, instance, decided) } else { at };",
    ),
    Fault(
        "the member that leads takes over alone",
        GROUP,
        "            let cause = if position == leader { &cause } else { &others };",
        "            if position != leader {\n                continue;\n            }\n"
        "            let cause = if position == leader { &cause } else { &others };",
    ),
    Fault(
        "the member that is outdone makes way alone",
        GROUP,
        "            let (last, cause) = if position == leader {",
        "            if position != leader {\n                continue;\n            }\n"
        "            let (last, cause) = if position == leader {",
    ),
    Fault(
        "the others keep quiet when they make way",
        EFFECTS,
        "            Send::FinalAdvertisement => {",
        "            Send::FinalAdvertisement if true => return,\n            Send::FinalAdvertisement => {",
    ),
    Fault(
        "the member that overslept gives up alone",
        GROUP,
        "        let Some(cause) = first else { return };",
        "        let Some(cause) = first.filter(|_| false) else { return };",
    ),
    Fault(
        "a group that overslept takes over",
        GROUP,
        "            && !self.restart_timer(now, group, due)\n",
        "            && !(false && self.restart_timer(now, group, due))\n",
    ),
    Fault(
        "somebody of lower priority elsewhere decides nothing",
        GROUP,
        "        members.clone().all(|instance| instance.router.preempts())\n            &&",
        "        false && members.clone().all(|instance| instance.router.preempts())\n            &&",
    ),
    Fault(
        "who does not preempt decides as well",
        GROUP,
        "        members.clone().all(|instance| instance.router.preempts())\n            &&",
        "        members.clone().all(|_| true)\n            &&",
    ),
    Fault(
        "who was passed over and did not make way is passed over again",
        PEER_TABLE,
        "            self.stands = self.accepted_tie;",
        "            self.stands = None;",
    ),
    Fault(
        "of two groups of masters the last member decides",
        GROUP,
        "        let legs = (0..self.size(group)).flat_map(|position| {",
        "        let legs = (0..self.size(group)).rev().flat_map(|position| {",
    ),
    Fault(
        "who is not heard in an earlier member is not waited for",
        PEER_TABLE,
        "            if leg.has_waited {\n",
        "            if leg.has_waited || true {\n",
    ),
    Fault(
        "a tie is decided beside somebody lower",
        PEER_TABLE,
        "            Ordering::Equal if leg.hears_lower => return Rank::Open,",
        "            Ordering::Equal if leg.hears_lower && false => return Rank::Open,",
    ),
    Fault(
        "who resigned is heard in a group",
        PEER_TABLE,
        "        if sighting.priority == 0 {\n            return;\n        }\n",
        "",
    ),
    Fault(
        "what has fallen silent is heard in a group for ever",
        PEER_TABLE,
        "    now < sighting.at + router.wait_for(sighting.interval)",
        "    now < sighting.at + router.wait_for(sighting.interval) * 1000",
    ),
    Fault(
        "who joins a group of masters waits like a backup",
        GROUP,
        "            true => State::Master,\n            false => State::Backup,",
        "            true => State::Backup,\n            false => State::Backup,",
    ),
    Fault(
        "a group is not ticked when its loudest falls silent and another is heard",
        GROUP,
        "            changes.fold(over_at, Instant::min)",
        "            changes.fold(over_at, |at, _| at)",
    ),
    Fault(
        "a unit is started before the one before it has",
        RESOURCES,
        "        if self.current.is_some() {\n            return;\n        }\n        match self.todo.pop_front() {",
        "        match self.todo.pop_front() {",
    ),
    Fault(
        "units are stopped in the order in which they were started",
        RESOURCES,
        "                .extend(self.units.iter().rev().filter(remains).map(stop));",
        "                .extend(self.units.iter().filter(remains).map(stop));",
    ),
    Fault(
        "what runs when the router begins as a backup is left running",
        RESOURCES,
        "        let remains = |unit: &&Unit| unit.known != Known::Stopped;",
        "        let remains = |unit: &&Unit| unit.known == Known::Started;",
    ),
    Fault(
        "what could not be stopped is left running",
        RESOURCES,
        "                self.retry_at = Some(self.retry_at.map_or(again, |at| at.min(again)));",
        "                let _ = again;",
    ),
    Fault(
        "what runs is started once more",
        RESOURCES,
        "                .filter(|unit| unit.known != Known::Started);",
        "                .filter(|_| true);",
    ),
    Fault(
        "after a failure a router is never master again",
        RESOURCES,
        "            illness.until = Some(now + back_off(BACK_OFF, self.illnesses));",
        "            illness.until = Some(Instant::MAX);",
    ),
    Fault(
        "a router whose resource failed is master all the same",
        RESOURCES,
        "        if self.retires || self.ill.is_some() {\n            return Some(false);",
        "        if self.retires {\n            return Some(false);",
    ),
    Fault(
        "a group takes what an advertisement decides for a late wake-up",
        GROUP,
        "            let over_at = over_at.max(asked);\n",
        "",
    ),
    Fault(
        "an advertisement to no peer takes a sequence number",
        EFFECTS,
        "            if instance.receivers(family).iter().all(|to| *to == source) {",
        "            if false {",
    ),
    Fault(
        "a short absence of an interface is a fault",
        GRACE,
        "        self.instances[id].grace.is_some()\n            && self.moved",
        "        false && self.instances[id].grace.is_some()\n            && self.moved",
    ),
    Fault(
        "a grace lasts for five seconds",
        GRACE,
        "            until: now + (interval / 2).min(LONGEST),",
        "            until: now + LONGEST * 10,",
    ),
    Fault(
        "a backup takes over in its grace",
        ENGINE,
        "                        self.cut_grace(now, id);\n",
        "",
    ),
    Fault(
        "a master speaks in its grace",
        MASTER,
        "        if self.is_away {\n",
        "        if false && self.is_away {\n",
    ),
    Fault(
        "what was due in a grace is not sent after it",
        MASTER,
        "            send,\n            announce: true,",
        "            send: None,\n            announce: true,",
    ),
    Fault(
        "who is interrupted holds on to an interface that is gone",
        ENGINE,
        "            self.leave_missing(id);\n",
        "",
    ),
    Fault(
        "packets are refused after the addresses came",
        NODE,
        "        let installed = self\n"
        "            .drop_filter\n"
        "            .install(&self.wishes.addresses, host.kernel());\n"
        "        for mut desired in self.wishes.addresses.drain(..) {\n"
        "            if installed.is_err() && !desired.accept {\n"
        "                desired.hold = Arc::default();\n"
        "            }\n"
        "            plan(&desired, &mut self.mirror, &mut self.wishes.changes);\n"
        "        }\n"
        "        self.apply_changes(now, host);\n",
        "        let wished: Vec<_> = self.wishes.addresses.drain(..).collect();\n"
        "        for desired in &wished {\n"
        "            plan(desired, &mut self.mirror, &mut self.wishes.changes);\n"
        "        }\n"
        "        self.apply_changes(now, host);\n"
        "        let installed = self.drop_filter.install(&wished, host.kernel());\n",
    ),
    Fault(
        "an address comes although packets to it cannot be refused",
        NODE,
        "            if installed.is_err() && !desired.accept {",
        "            if false && installed.is_err() {",
    ),
    Fault(
        "what the kernel refused is not tried again",
        NODE,
        "        self.look_again_at = Some(now + SECOND_LOOK);\n    }\n}\n\n/// Routes and rules.",
        "    }\n}\n\n/// Routes and rules.",
    ),
    Fault(
        "the second look asks for nothing again",
        NODE,
        "        self.handle(now, Input::Overrun, host);\n",
        "",
    ),
    Fault(
        "what comes at the second look is not announced",
        NODE,
        "        if self.is_second_look {",
        "        if false {",
    ),
    Fault(
        "a doubt about the mirror is not looked into",
        NODE,
        "        if self.mirror.is_in_doubt() {",
        "        if false {",
    ),
    Fault(
        "routes that went with something else are not looked for",
        NODE,
        "        } else if routes_may_be_gone {",
        "        } else if false {",
    ),
    Fault(
        "news of interfaces open no sockets",
        NODE,
        "                self.handle(now, input, host);\n"
        "                self.may_listen_elsewhere = true;\n",
        "                self.handle(now, input, host);\n",
    ),
    Fault(
        "interfaces that are wanted no longer stay",
        NODE,
        "        self.retire_devices(now, later, host);\n",
        "        drop(later);\n",
    ),
    Fault(
        "a table that somebody changed stays as it is",
        NODE,
        "        self.drop_filter.doubt();\n",
        "",
    ),
    Fault(
        "a refused batch is not made up for",
        DROP_FILTER,
        "        self.in_place = false;\n        self.repair(kernel)\n    }\n}\n",
        "        Ok(())\n    }\n}\n",
    ),
    Fault(
        "a cleanup leaves the interfaces",
        CLEANUP,
        "    if !gone.is_empty() {",
        "    if false {",
    ),
    Fault(
        "a cleanup leaves the routes",
        CLEANUP,
        "        kernel.change_routing(changes.iter(), &mut mirror, &mut failures);\n",
        "",
    ),
    Fault(
        "a cleanup leaves the table",
        CLEANUP,
        "        true => kernel.delete_drop_rules(),",
        "        true => Ok(false),",
    ),
    Fault(
        "packets to an address that is gone stay refused",
        NODE,
        "        let pruned = match any || moved {",
        "        let pruned = match false {",
    ),
    Fault(
        "addresses leave in any order",
        NODE,
        "        arrange(changes, &mut self.mirror);\n",
        "        self.mirror.forget_departed();\n",
    ),
    Fault(
        "interfaces with virtual MAC addresses are not made",
        NODE,
        "        if first.is_empty() {",
        "        if true {",
    ),
    Fault(
        "routes that have to go stay",
        NODE,
        "            host.kernel().change_routing(gone, mirror, failures);\n",
        "            drop(gone);\n",
    ),
]


def apply(fault: Fault, place: Path) -> str:
    """Puts a fault into the code, and returns what stood in its file."""
    file = place / fault.file
    text = file.read_text()
    found = text.count(fault.old)
    if found != 1:
        sys.exit(
            f"{fault.name}: this stands {found} times in {fault.file} and not once:\n{fault.old}\n"
            "Change the fault in daemon/sim/faults.py along with the code."
        )
    file.write_text(text.replace(fault.old, fault.new))
    return text


def build(place: Path) -> Path | None:
    """The simulation in `place`, or None when the fault does not compile."""
    environment = {**os.environ, "RUSTFLAGS": "--cap-lints=allow"}
    environment.setdefault("CARGO_TARGET_DIR", str(PROJECT / "target" / "faults"))
    command = ["cargo", "build", "--quiet", "--locked", "--package=vrrp-sim"]
    command.append("--config=profile.dev.debug=0")
    done = subprocess.run(command, cwd=place, env=environment, check=False)
    program = Path(environment["CARGO_TARGET_DIR"]) / "debug" / "vrrp-sim"
    return program if done.returncode == 0 else None


def find(program: Path) -> str | None:
    """The law that is broken and the first seed that shows it, or None."""
    command = [program, "--seeds", str(SEEDS), "--no-shrink"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT, preexec_fn=limit
        )
    except subprocess.TimeoutExpired:
        return "does not end"
    if done.returncode == 0:
        return find_by_story(program)
    broken = re.search(r"^seed (\d+), \d+ ms: (\w+):", done.stdout, re.MULTILINE)
    if broken:
        return f"{broken[2]}, seed {broken[1]}"
    if "no progress" in done.stderr:
        return "does not end"
    if "memory allocation" in done.stderr:
        return "does not end, and takes all memory"
    return "panics" if "panicked" in done.stderr else None


def find_by_story(program: Path) -> str | None:
    for story in sorted((PROJECT / "daemon" / "sim" / "stories").glob("*.json")):
        done = subprocess.run(
            [program, "--replay", story], capture_output=True, text=True, check=False
        )
        broken = re.search(r"^\d+ (\w+): ", done.stdout, re.MULTILINE)
        if done.returncode != 0 and broken:
            return f"{broken[1]}, story {story.stem}"
    return None


def limit() -> None:
    """Keeps a fault that asks for ever more memory from getting it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def copy_to(place: Path) -> None:
    shutil.copytree(
        PROJECT,
        place,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("target*", ".git", "corpus"),
    )
    # Newer than what an earlier run built of other faults.
    for source in (place / "daemon").rglob("*.rs"):
        source.touch()


def write_down(rows: dict[str, str]) -> None:
    """Puts rows into the table, where those of other faults stay."""
    text = TABLE.read_text()
    begin, end = (text.index(mark) for mark in ["<!-- faults -->\n", "<!-- end of faults -->"])
    known = dict(re.findall(r"^\| (.+) \| (.+) \|$", text[begin:end], re.MULTILINE))
    rows = known | rows
    table = [f"| {fault.name} | {rows[fault.name]} |" for fault in FAULTS if fault.name in rows]
    head = ["<!-- faults -->", "| fault | found by |", "| --- | --- |"]
    TABLE.write_text(text[:begin] + "\n".join([*head, *table, ""]) + text[end:])


def main(arguments: list[str]) -> int:
    write = "--write" in arguments
    names = [argument for argument in arguments if argument != "--write"]
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    rows: dict[str, str] = {}
    missed = 0
    with tempfile.TemporaryDirectory(prefix="vrrp-faults.") as directory:
        place = Path(directory)
        copy_to(place)
        # First of all that it is the fault that is found.
        for fault in [None, *chosen]:
            before = apply(fault, place) if fault else ""
            program = build(place)
            if program is None:
                sys.exit(f"{fault.name if fault else 'the code'} does not compile")
            found = find(program)
            if fault is None:
                if found:
                    sys.exit(f"without any fault: {found}")
                continue
            missed += found is None
            rows[fault.name] = found or "NOT FOUND"
            print(f"| {fault.name} | {rows[fault.name]} |", flush=True)
            (place / fault.file).write_text(before)
    print(f"{len(rows) - missed} of {len(rows)} found")
    if write:
        write_down(rows)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
