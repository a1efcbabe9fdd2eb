#!/usr/bin/env python3
"""Mutation test of the simulation.

Applies one deliberate fault at a time to a copy of the code, and requires that the simulation detects
it, with its fixed seeds or with one of its stories.

  daemon/sim/faults.py [NAME…]            all faults, or the named ones
  daemon/sim/faults.py --write [NAME…]    also writes the results into the table of docs/simulation.md
  daemon/sim/faults.py --check            only looks for faults that do not match the code any more

A fault is a text that occurs exactly once in a file, and its replacement. A missing text is an error:
a change of the code has to update the fault.
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
# Seconds. A run without a fault takes a third of this time.
TIMEOUT = 600
MEMORY = 2 << 30

ROUTER = "daemon/proto/src/router.rs"
BACKUP = "daemon/proto/src/router/backup.rs"
MASTER = "daemon/proto/src/router/master.rs"
CONTEST = "daemon/proto/src/router/contest.rs"
ENGINE = "daemon/proto/src/engine/mod.rs"
PACKET = "daemon/proto/src/engine/packet.rs"
ADMISSION = "daemon/proto/src/engine/admission.rs"
DESTINATIONS = "daemon/proto/src/engine/destinations.rs"
SOLICIT = "daemon/proto/src/engine/solicit.rs"
UNSENT = "daemon/proto/src/engine/instance/unsent.rs"
OPERATOR = "daemon/proto/src/engine/operator.rs"
HOLD_DOWN = "daemon/proto/src/router/hold_down.rs"
EFFECTS = "daemon/proto/src/engine/effects.rs"
CONFIGURE = "daemon/proto/src/engine/configure.rs"
INSTANCE = "daemon/proto/src/engine/instance.rs"
MESSAGES = "daemon/proto/src/engine/instance/messages.rs"
INTERFACES = "daemon/proto/src/engine/interfaces.rs"
ADDRESS_LIST = "daemon/proto/src/engine/address_list.rs"
PARAMS = "daemon/proto/src/params.rs"
TRACK = "daemon/proto/src/track.rs"
TYPES = "daemon/proto/src/types.rs"
ADVERT = "daemon/proto/src/wire/advert.rs"
DEADLINES = "daemon/proto/src/deadlines.rs"
REPLAY = "daemon/proto/src/replay.rs"
HMAC = "daemon/proto/src/wire/hmac.rs"
PLAN = "daemon/node/src/plan.rs"
EXECUTION = "daemon/node/src/execution.rs"
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
NODE_UNSENT = "daemon/node/src/unsent.rs"
DROP_FILTER = "daemon/node/src/drop_filter.rs"
CLEANUP = "daemon/node/src/cleanup.rs"
OWN_SOURCES = "daemon/node/src/own_sources.rs"
WITNESS = "daemon/proto/src/engine/witness.rs"
ADDRESS_CONFLICT = "daemon/proto/src/engine/instance/conflict.rs"
HAND_OVER = "daemon/proto/src/engine/instance/hand_over.rs"
NODE_WITNESS = "daemon/node/src/witness.rs"
RESUME = "daemon/proto/src/engine/resume.rs"


class Fault(NamedTuple):
    name: str
    file: str
    old: str
    new: str


FAULTS = [
    Fault(
        "skew time is omitted",
        TYPES,
        "        unit * (256 - u32::from(priority.get())) / 256\n",
        "        unit * u32::from(priority.get()) * 0\n",
    ),
    Fault(
        "backup waits for two intervals instead of three",
        TYPES,
        "        self.duration() * 3 + self.skew_time(version, priority)",
        "        self.duration() * 2 + self.skew_time(version, priority)",
    ),
    Fault(
        "version 2 scales the skew time by the interval",
        TYPES,
        "            Version::V2 => Duration::from_secs(1),",
        "            Version::V2 => self.duration(),",
    ),
    Fault(
        "smaller address wins a tie of priorities",
        ROUTER,
        "                    && source > own\n",
        "                    && source < own\n",
    ),
    Fault(
        "master never yields to an equal priority",
        ROUTER,
        "                    && source > own\n",
        "                    && source > own\n                    && false\n",
    ),
    Fault(
        "backup ignores priority 0",
        BACKUP,
        "        if advert.resigns() {",
        "        if advert.resigns() && false {",
    ),
    Fault(
        "master ignores priority 0",
        ROUTER,
        "                    return master.answer_resignation(now, source, &settings);",
        "                    return Reaction::default();",
    ),
    Fault(
        "master does not restart the advertisement timer",
        MASTER,
        "            self.advert_at = next_due(self.advert_at, settings.interval.duration(), now);",
        "",
    ),
    Fault(
        "backup does not restart the master-down timer",
        BACKUP,
        "        self.down_at = sighting.at + down_interval(settings, sighting.interval);",
        "",
    ),
    Fault(
        "backup counts from the read instead of the arrival",
        ADMISSION,
        "        let heard_at = packet.at.min(now);",
        "        let heard_at = now;",
    ),
    Fault(
        "backup ignores the master's interval",
        BACKUP,
        "        self.interval = sighting.interval;\n        self.down_at = sighting.at",
        "        self.down_at = sighting.at",
    ),
    Fault(
        "master continues after a late wake-up",
        ROUTER,
        "        if lasted <= others_wait || self.settings.priority.is_owner() {",
        "        if true || lasted <= others_wait {",
    ),
    Fault(
        "backup takes over after a late wake-up",
        ROUTER,
        "                if now.since(due) > backup.interval(&settings) {",
        "                if false && now.since(due) > backup.interval(&settings) {",
    ),
    Fault(
        "every router preempts",
        ROUTER,
        "(self.preempt || self.priority.is_owner())",
        "true",
    ),
    Fault(
        "stopped master does not send priority 0",
        ROUTER,
        "            Phase::Master(_) => Reaction {\n"
        "                send: Some(Send::Resignation),\n"
        "                hands_over: true,",
        "            Phase::Master(_) => Reaction {\n"
        "                send: None,\n"
        "                hands_over: true,",
    ),
    Fault(
        "yielding master sends no final advertisement",
        ROUTER,
        "            send: Some(Send::Advert),\n"
        "            ..self.enter(Phase::Backup(backup), cause)",
        "            send: None,\n            ..self.enter(Phase::Backup(backup), cause)",
    ),
    Fault(
        "new master does not advertise",
        ROUTER,
        "        Reaction {\n"
        "            send: Some(Send::Advert),\n"
        "            ..self.enter(Phase::Master(master), cause)",
        "        Reaction {\n"
        "            send: None,\n"
        "            ..self.enter(Phase::Master(master), cause)",
    ),
    Fault(
        "preempt delay is ignored",
        BACKUP,
        "            let delayed = preempt_delay.since + settings.preempt_delay;",
        "            let delayed = preempt_delay.since;",
    ),
    Fault(
        "preempt delay also delays a takeover after silence",
        BACKUP,
        "        preempts_at.map_or(self.down_at, |at| at.min(self.down_at))",
        "        preempts_at.unwrap_or(self.down_at)",
    ),
    Fault(
        "every advertisement restarts the preempt delay",
        BACKUP,
        "        let preempt_delay = *self.preempt_delay.get_or_insert(PreemptDelay {",
        "        let preempt_delay = *self.preempt_delay.insert(PreemptDelay {",
    ),
    Fault(
        "preempt delay shortens the initial wait",
        BACKUP,
        "        self.down_at = preempt_delay\n"
        "            .undelayed\n"
        "            .max(heard_at + down_interval(settings, advert.interval));",
        "        self.down_at = heard_at + down_interval(settings, advert.interval);",
    ),
    Fault(
        "startup delay is ignored",
        ROUTER,
        "            self.startup_until,\n            self.silence_counts_at,",
        "            self.silence_counts_at,\n            self.silence_counts_at,",
    ),
    Fault(
        "every reload restarts the startup delay",
        ROUTER,
        "self.startup_until - before.saturating_sub(settings.startup_delay);",
        "now + settings.startup_delay;",
    ),
    Fault(
        "second announcement is omitted",
        MASTER,
        "        master.announce_at = master.next_announcement(now, settings);\n",
        "",
    ),
    Fault(
        "late announcement shifts the following ones",
        MASTER,
        "next_due(self.arrived_at, refresh, now));",
        "now + refresh);",
    ),
    Fault(
        "lower priority is corrected despite the setting",
        MASTER,
        "        if !settings.announce.on_lower_priority {",
        "        if false {",
    ),
    Fault(
        "early announcement is omitted instead of postponed",
        MASTER,
        "            self.correct_at = Some(earliest);\n",
        "",
    ),
    Fault(
        "announcement burst is ignored",
        EFFECTS,
        "                burst: announce.burst,",
        "                burst: 1,",
    ),
    Fault(
        "new master does not announce its addresses",
        EFFECTS,
        "        if became_master || announce {",
        "        if announce {",
    ),
    Fault(
        "backup keeps the virtual addresses",
        EFFECTS,
        "        let is_master = instance.router.state() == State::Master;",
        "        let is_master = instance.router.state() != State::Fault;",
    ),
    Fault(
        "deadline is not updated",
        EFFECTS,
        "        self.update_deadline(now, id);\n        let instance",
        "        if change.is_some() { self.update_deadline(now, id); }\n        let instance",
    ),
    Fault(
        "heap of deadlines is out of order",
        DEADLINES,
        "                let place = self.rise(place);\n                self.sink(place);\n"
        "            }\n            (Some(place), None)",
        "                let _ = self.rise(place);\n            }\n            (Some(place), None)",
    ),
    Fault(
        "manually deleted address is not restored",
        ENGINE,
        "        if self.instances[id].router.state() == State::Master {\n            self.repair",
        "        if self.instances[id].router.state() == State::Init {\n            self.repair",
    ),
    Fault(
        "manually added address stays on a backup",
        ENGINE,
        "                if !instance.holds(address.family()) && !spared {",
        "                if instance.router.state() == State::Init && !spared {",
    ),
    Fault(
        "nothing is requested again after lost notifications",
        ENGINE,
        "                    self.wake(now, id);\n                    self.want(id, &[]);",
        "                    self.wake(now, id);",
    ),
    Fault(
        "reload restarts every router",
        PARAMS,
        "        (&self.interface, self.vrid, self.version) == (&other.interface",
        "        false && (&self.interface, self.vrid, self.version) == (&other.interface",
    ),
    Fault(
        "reload resets the tracker verdicts",
        CONFIGURE,
        "                .and_then(|tracker| tracker.with_params(&params))",
        "                .and_then(|tracker| tracker.with_params(&params).filter(|_| false))",
    ),
    Fault(
        "tracker weights are applied in reverse",
        TRACK,
        "            (true, false) | (false, true) => weight,\n"
        "            (true, true) | (false, false) => 0,",
        "            (true, false) | (false, true) => 0,\n"
        "            (true, true) | (false, false) => weight,",
    ),
    Fault(
        "advertisement contains the configured priority",
        MESSAGES,
        "            let priority = self.priority().get();\n",
        "            let priority = self.params.priority.get();\n",
    ),
    Fault(
        "hop limit is not checked",
        ADVERT,
        "        if packet.hop_limit < expected.hop_limit {",
        "        if packet.hop_limit == 0 {",
    ),
    Fault(
        "checksum is not checked",
        ADVERT,
        "Version::V2 | Version::V3) => Err(DropCause::Checksum),",
        "Version::V2 | Version::V3) => Ok(ChecksumForm::MessageOnly),",
    ),
    Fault(
        "password is not checked",
        ADVERT,
        "            if differing == 0 {",
        "            if differing == 0 || true {",
    ),
    Fault(
        "version 2 accepts any interval",
        ADVERT,
        "                    .filter(|interval| *interval == expected.interval)",
        "                    .filter(|interval| *interval >= AdvertInterval::DEFAULT)",
    ),
    Fault(
        "rejected packet restarts the timer",
        PACKET,
        "                    self.record_learned(now, packet, id, &rejected.learned);\n",
        "                    self.record_learned(now, packet, id, &rejected.learned);\n                    let later = now + core::time::Duration::from_secs(9);\n                    let reaction = self.instances[id].router.wake(later);\n                    self.react(now, id, reaction);\n",
    ),
    Fault(
        "plan omits the addresses to delete",
        PLAN,
        "            if !spared && !desired.hold.contains(&held.address) {",
        "            if !spared && held.address.prefix == 32 {",
    ),
    Fault(
        "addresses of an earlier daemon are kept",
        PLAN,
        "            .filter(|(interface, held)| held.ours && !wanted(*interface, held.address))",
        "            .filter(|(interface, held)| held.secondary && !wanted(*interface, held.address))"
        "\n            .filter(|(_, held)| !held.ours)",
    ),
    Fault(
        "primaries are deleted before their secondaries",
        PLAN,
        "                2 - u8::from(mirror.was_secondary(interface, address))",
        "                1 + u8::from(mirror.was_secondary(interface, address))",
    ),
    Fault(
        "rejected address is never announced",
        PLAN,
        "            } if !is_announced(interface, address) => {",
        "            } if !is_announced(interface, address) && address.prefix == 32 => {",
    ),
    Fault(
        "mirror keeps addresses of unknown links",
        MIRROR,
        "if !self.links.contains_key(&interface) => None,",
        "if !self.links.contains_key(&interface) && false => None,",
    ),
    Fault(
        "drop rules are not installed",
        DROP_RULES,
        "                if self.refused.insert(refusal) {",
        "                if self.refused.insert(refusal) && self.refused.len() > 9 {",
    ),
    Fault(
        "drop rules of deleted addresses are kept",
        DROP_RULES,
        "            if self.wanted.remove(&place) {",
        "            if self.wanted.contains(&place) {",
    ),
    Fault(
        "accept mode is always on",
        EFFECTS,
        "            accept: params.accepts(),",
        "            accept: true,",
    ),
    Fault(
        "reload ignores a change of accept mode",
        CONFIGURE,
        "        let other = other_owner || other_accept || other_form;",
        "        let other = other_owner || other_form;",
    ),
    Fault(
        "router serves without its drop rules",
        ENGINE,
        "        let refuses = !instance.params.accepts();",
        "        let refuses = instance.params.accept && !instance.params.accepts();",
    ),
    Fault(
        "IPVS sync daemon does not follow its router",
        EFFECTS,
        "        if self.synchronised == Some(id) {",
        "        if self.synchronised == Some(id) && to == State::Init {",
    ),
    Fault(
        "backup keeps its routes and rules",
        EFFECTS,
        "            desired.release.extend(gone);",
        "            drop(gone.count());",
    ),
    Fault(
        "manually deleted route is not restored",
        ROUTING,
        "                self.report_routing_repair(id, what.clone(), loss);\n                self.want_routing(id, Vec::new());\n",
        "                self.report_routing_repair(id, what.clone(), loss);\n",
    ),
    Fault(
        "route with other properties is not replaced",
        ROUTES,
        "    let kept = there.iter().position(|known| installed.fits(known));",
        "    let kept = there.iter().position(|known| known.place == installed.place);\n    if kept.is_some() { return Vec::new(); }",
    ),
    Fault(
        "routes of a downed interface are not checked",
        ROUTES_THERE,
        "            Event::Link(link) if link.up => None,",
        "            Event::Link(_) => None,",
    ),
    Fault(
        "routes of a deleted address are not checked",
        ROUTES_THERE,
        "                self.suspect_address(*device, *address, addresses)\n",
        "                let _ = (device, address); None\n",
    ),
    Fault(
        "routes and rules of an earlier daemon are kept",
        ROUTES,
        "    changes.extend(rules.cloned().map(Change::DeleteRule));\n    for change",
        "    drop(rules);\n    changes.truncate(first);\n    for change",
    ),
    Fault(
        "dual-family instance takes over when one family is silent",
        BACKUP,
        "            .map(|leg| leg.over_at(settings))\n"
        "            .fold(Instant::ZERO, Instant::max);",
        "            .map(|leg| leg.over_at(settings))\n"
        "            .min()\n"
        "            .unwrap_or(Instant::ZERO);",
    ),
    Fault(
        "each family decides a tie separately",
        MASTER,
        "        if !settings.is_dual() || source.is_ipv4() {",
        "        if true || source.is_ipv4() {",
    ),
    Fault(
        "IPv6-only router never wins a tie",
        MASTER,
        "        now.since(since) >= wait\n",
        "        now.since(since) >= wait && false\n",
    ),
    Fault(
        "outdated IPv6 tie still counts",
        MASTER,
        "self.losing.filter(goes_on).unwrap_or((now, now));",
        "self.losing.filter(|at| goes_on(at) || true).unwrap_or((now, now));",
    ),
    Fault(
        "backup keeps its timer after a family change",
        BACKUP,
        "                *self = Self::listen(now, settings);",
        "",
    ),
    Fault(
        "backup keeps the state of a removed family",
        BACKUP,
        "                if let Some(ipv6) = self.ipv6.take() {\n"
        "                    self.leg = ipv6;",
        "                if let Some(_) = self.ipv6.take() {",
    ),
    Fault(
        "dual-family instance advertises in IPv4 only",
        EFFECTS,
        "        for family in Family::ALL {\n            let Some(source)",
        "        for family in [Family::V4] {\n            let Some(source)",
    ),
    Fault(
        "unadvertised address is advertised",
        PARAMS,
        "address.family() == family && self.advertises(address.address))",
        "address.family() == family)",
    ),
    Fault(
        "link-local address is not listed first",
        MESSAGES,
        "own.into_iter().chain(of_kind(true)).chain(of_kind(false))",
        "own.into_iter().chain(of_kind(false)).chain(of_kind(true))",
    ),
    Fault(
        "IPv6 accepts a checksum without pseudo-header",
        ADVERT,
        "        (Family::V4, Version::V2 | Version::V3) if is_plain()",
        "        (_, Version::V2 | Version::V3) if is_plain()",
    ),
    Fault(
        "IPv6 address with another prefix length is not replaced",
        PLAN,
        "        if address.family() == Family::V6 {",
        "        if address.family() == Family::V6 && false {",
    ),
    Fault(
        "virtual link-local address is used as the source",
        INTERFACES,
        "                .filter(|address| !is_virtual(*address))",
        "                .filter(|address| address.is_ipv6() || !is_virtual(*address))",
    ),
    Fault(
        "virtual MAC interface stays up on a backup",
        EFFECTS,
        "                State::Backup | State::Fault => DeviceState::Down,",
        "                State::Backup | State::Fault => DeviceState::Up,",
    ),
    Fault(
        "virtual MAC interface stays down on a master",
        EFFECTS,
        "                State::Master => DeviceState::Up,",
        "                State::Master => DeviceState::Down,",
    ),
    Fault(
        "manual change of a virtual MAC interface is kept",
        ENGINE,
        "            if !is_so {",
        "            if !is_so && false {",
    ),
    Fault(
        "virtual addresses are added to the parent interface",
        PARAMS,
        "            .or_else(|| self.virtual_device(Family::of(address)))\n",
        "",
    ),
    Fault(
        "addresses are announced with the parent's MAC address",
        EFFECTS,
        "                interface,\n                mac,\n                addresses,",
        "                interface,\n                mac: instance.endpoint.map_or(mac, |endpoint| endpoint.mac),\n                addresses,",
    ),
    Fault(
        "advertisements leave from the parent's MAC address",
        PARAMS,
        "        (sends && self.unicast.is_none())",
        "        (sends && self.unicast.is_some())",
    ),
    Fault(
        "parent MAC option for advertisements is ignored",
        PARAMS,
        "            .is_some_and(|virtual_mac| virtual_mac.sends);",
        "            .is_some_and(|virtual_mac| virtual_mac.sends || true);",
    ),
    Fault(
        "unused virtual MAC interface is kept",
        CONFIGURE,
        "            self.outputs.extend(gone);",
        "            drop(gone);",
    ),
    Fault(
        "configured virtual MAC interface counts as left over",
        ENGINE,
        "            .filter(|attachment| attachment.virtual_mac.is_some())",
        "            .filter(|attachment| attachment.virtual_mac.is_none())",
    ),
    Fault(
        "stray virtual MAC interfaces are kept",
        DEVICE,
        "        .filter(|link| is_ours(link) && !wanted(&link.name))",
        "        .filter(|link| is_ours(link) && !wanted(&link.name) && false)",
    ),
    Fault(
        "foreign interface of the same name gets the addresses",
        INTERFACES,
        "        is_it.then_some(link)",
        "        (is_it || true).then_some(link)",
    ),
    Fault(
        "virtual MAC interface ignores a renamed parent",
        EFFECTS,
        "                None => self.interfaces.index(&instance.params.interface),",
        "                None => Some(self.interfaces.index(&instance.params.interface)?),",
    ),
    Fault(
        "announcement on a downed interface is not repeated",
        ENGINE,
        "is_master && (attachment.is_unheard || !is_up || is_known_elsewhere);",
        "is_master && is_known_elsewhere;",
    ),
    Fault(
        "unicast router accepts multicast",
        ADMISSION,
        "        if packet.destination.is_multicast() == is_unicast {",
        "        if !packet.destination.is_multicast() && !is_unicast {",
    ),
    Fault(
        "multicast router accepts unicast",
        ADMISSION,
        "        if packet.destination.is_multicast() == is_unicast {",
        "        if packet.destination.is_multicast() && is_unicast {",
    ),
    Fault(
        "every source counts as a peer",
        ADMISSION,
        "        if is_unicast && !self.destinations.admits(packet.source, heard_at) {",
        "        if is_unicast && false {",
    ),
    Fault(
        "unicast hop limit is not checked",
        ADMISSION,
        "unicast.map_or(HOP_LIMIT, |unicast| unicast.min_ttl)",
        "unicast.map_or(HOP_LIMIT, |_| 1)",
    ),
    Fault(
        "configured unicast hop limit is ignored",
        MESSAGES,
        ".map_or(HOP_LIMIT, |u| u.ttl)",
        ".map_or(HOP_LIMIT, |_| HOP_LIMIT)",
    ),
    Fault(
        "former address of a name is forgotten at once",
        ENGINE,
        "            instance.retire(now, &name, &gone);\n",
        "",
    ),
    Fault(
        "changed name resolution is ignored",
        ENGINE,
        "            instance.set_peers(now, &self.names);",
        "            let _ = &instance;",
    ),
    Fault(
        "reload does not change the peers",
        INSTANCE,
        "        self.set_peers(now, names);\n",
        "        let _ = names;\n",
    ),
    Fault(
        "unresolved name admits listed senders only",
        DESTINATIONS,
        "        self.unresolved.is_some()\n            || self",
        "        self",
    ),
    Fault(
        "unresolved name sends nothing to the senders",
        DESTINATIONS,
        "        if self.unresolved.is_none() ||",
        "        if true ||",
    ),
    Fault(
        "resolved name leaves the senders as peers",
        DESTINATIONS,
        "                None => self.unresolved.is_some(),",
        "                None => true,",
    ),
    Fault(
        "silence counts at once while a name is not resolved",
        SOLICIT,
        "            false => now + UNRESOLVED,",
        "            false => now,",
    ),
    Fault(
        "resolution of a name leaves no time to hear a master",
        INSTANCE,
        "            self.router.count_silence_by(heard_by);",
        "            self.router.count_silence_by(now);\n            let _ = heard_by;",
    ),
    Fault(
        "take-overs are not held down",
        HOLD_DOWN,
        "(self.full_at - spacing * (BURST - 1)).min(self.last_at + spacing)",
        "Instant::ZERO",
    ),
    Fault(
        "hold-down counts six take-overs",
        HOLD_DOWN,
        "pub(crate) const BURST: u32 = 5;",
        "pub(crate) const BURST: u32 = 6;",
    ),
    Fault(
        "hold-down grows without end",
        HOLD_DOWN,
        ".min(self.last_at + spacing)",
        "",
    ),
    Fault(
        "unheard master yields to no lower priority",
        ROUTER,
        "                } else if settings.unsent {",
        "                } else if settings.unsent && false {",
    ),
    Fault(
        "unheard router preempts a master",
        ROUTER,
        "        !self.unsent && (",
        "        (",
    ),
    Fault(
        "preemption that cannot be advertised stands",
        UNSENT,
        "        if none_leaves {",
        "        if false {",
    ),
    Fault(
        "reload does not let an unheard router preempt again",
        CONFIGURE,
        "        self.forget_unsent();\n",
        "",
    ),
    Fault(
        "unheard group yields because of one member",
        UNSENT,
        "routers.iter().all(|id| self.instances[*id].is_unsent())",
        "routers.iter().any(|id| self.instances[*id].is_unsent())",
    ),
    Fault(
        "unheard group compares itself with other masters",
        GROUP,
        "        if self.is_unsent(group) {\n            let mut",
        "        if self.is_unsent(group) && false {\n            let mut",
    ),
    Fault(
        "advertisement that is sent does not make a router heard",
        NODE_UNSENT,
        "            if messages > 0 || was_known {",
        "            if messages > 0 {",
    ),
    Fault(
        "backup that begins to listen does not ask for its peers",
        SOLICIT,
        "        instance.router.count_silence_from(counts_at);\n        self.solicit(now, id);",
        "        instance.router.count_silence_from(counts_at);",
    ),
    Fault(
        "backup that was suspended does not ask for its peers",
        EFFECTS,
        "        } else if late {",
        "        } else if late && false {",
    ),
    Fault(
        "backup asks for peers of a later answer only at its next start",
        ENGINE,
        "            self.solicit(now, id);\n            self.update_deadline(now, id);\n        }\n    }\n\n    fn handle_listening",
        "            self.update_deadline(now, id);\n        }\n    }\n\n    fn handle_listening",
    ),
    Fault(
        "instances do not share a request for a peer",
        SOLICIT,
        "                if self.solicited.insert(solicitation) {",
        "                if true {",
    ),
    Fault(
        "router without a socket serves",
        ENGINE,
        "        if let Some(error) = errors.next() {",
        "        if let Some(error) = errors.next().filter(|_| false) {",
    ),
    Fault(
        "socket that was opened later ends no fault",
        NODE,
        "            if !self.deaf.contains(&(interface, family)) {",
        "            if false {",
    ),
    Fault(
        "router sends advertisements to itself",
        EFFECTS,
        "                if destination == source {",
        "                if destination == source && false {",
    ),
    Fault(
        "deleted address is used as the source",
        INTERFACES,
        "        self.has(address)\n            .then_some",
        "        (self.has(address) || true)\n            .then_some",
    ),
    Fault(
        "configured source address is ignored",
        INTERFACES,
        "                    Some(source) if Family::of(source) == family => self.find(source)?,",
        "                    Some(source) if Family::of(source) == family && false => self.find(source)?,",
    ),
    Fault(
        "changes of the source address are ignored",
        ENGINE,
        "        for id in self.sources.get(&address).cloned().unwrap_or_default() {",
        "        for id in self.sources.get(&address).cloned().unwrap_or_default().drain(..0) {",
    ),
    Fault(
        "advertisements from an address of this host are not arranged for",
        OWN_SOURCES,
        "            .filter(|(_, family)| *family == Family::V4)",
        "            .filter(|(_, family)| *family == Family::V4 && false)",
    ),
    Fault(
        "accept_local is not restored by a daemon that stops",
        NODE,
        "            self.own_sources.set(&Listeners::new());",
        "            let _ = Listeners::new();",
    ),
    Fault(
        "node does not read what arrives at the interface",
        NODE_WITNESS,
        "        host.witnessed(&mut self.recorded);\n        self.recorded.iter()",
        "        let _ = &host;\n        self.recorded.iter()",
    ),
    Fault(
        "advertisement on the wire withholds nothing",
        WITNESS,
        "        router.handle_witnessed(admitted.heard_at, advert, packet.source);",
        "        let _ = advert;",
    ),
    Fault(
        "silence counts although the wire was not watched",
        BACKUP,
        "            if which(family) && leg.is_silent(now, settings) && !is_watched {",
        "            if which(family) && leg.is_silent(now, settings) && !is_watched && false {",
    ),
    Fault(
        "sequence number on the wire is accepted again and again",
        WITNESS,
        "            heard.record(sender);",
        "            let _ = (&heard, sender);",
    ),
    Fault(
        "sequence number is accepted twice",
        REPLAY,
        "            !anti_replay.is_timely(last, wall) || sender.sequence.is_after(last)",
        "            true || sender.sequence.is_after(last)",
    ),
    Fault(
        "sequence number outside the window blocks its sender",
        REPLAY,
        "            !anti_replay.is_timely(last, wall) || sender.sequence.is_after(last)",
        "            sender.sequence.is_after(last)",
    ),
    Fault(
        "senders share one sequence number",
        REPLAY,
        "            .position(|known| known.address == sender.address)",
        "            .position(|_| true)",
    ),
    Fault(
        "signature time is not checked",
        ADMISSION,
        "        if !hmac.anti_replay.is_timely(sequence, wall)",
        "        if false",
    ),
    Fault(
        "queued packet is judged by the present time",
        ADMISSION,
        "        let wall = self.wall_clock.at(heard_at);",
        "        let wall = self.wall_clock.at(now);",
    ),
    Fault(
        "HMAC is not checked",
        ADMISSION,
        "        if !trailer.is_genuine(packet.source, key) {",
        "        if false && !trailer.is_genuine(packet.source, key) {",
    ),
    Fault(
        "HMAC does not cover the source address",
        HMAC,
        "                head[4..8].copy_from_slice(&source.octets());",
        "                head[4..8].fill(0);",
    ),
    Fault(
        "only the signing key is accepted",
        PARAMS,
        "core::iter::once(&self.active).chain(&self.others)",
        "core::iter::once(&self.active).chain(&self.others[..0])",
    ),
    Fault(
        "enforce mode accepts unsigned packets",
        ADMISSION,
        "                HmacMode::Enforce => Err(DropCause::HmacMissing),",
        "                HmacMode::Enforce => Ok(None),",
    ),
    Fault(
        "permissive mode rejects unsigned packets",
        ADMISSION,
        "                HmacMode::Permissive | HmacMode::ReceiveOnly => Ok(None),",
        "                HmacMode::Permissive | HmacMode::ReceiveOnly => Err(DropCause::HmacMissing),",
    ),
    Fault(
        "receive-only mode signs",
        PARAMS,
        "            Self::ReceiveOnly => false,",
        "            Self::ReceiveOnly => true,",
    ),
    Fault(
        "sequence numbers follow a clock set back",
        REPLAY,
        "            Some(last) if !clock.is_after(last) && anti_replay.is_timely(last, wall) => last.next(),",
        "            Some(last) if clock == last => last.next(),",
    ),
    Fault(
        "superseded notification is delivered",
        QUEUE,
        "            self.waiting.pop_back();\n        }\n        self.supersede",
        "            break;\n        }\n        self.supersede",
    ),
    Fault(
        "stop notification is superseded",
        QUEUE,
        "        let is_stop = |job: &Job<C>| job.news.event == Event::Stop;\n        while",
        "        let is_stop = |_: &Job<C>| false;\n        while",
    ),
    Fault(
        "two commands of one subject run concurrently",
        QUEUE,
        "            Phase::Running { .. } => return None,\n",
        "            Phase::Running { .. } => {}\n",
    ),
    Fault(
        "superseded notification is retried",
        QUEUE,
        "        if running.is_old || running.attempts",
        "        if running.attempts",
    ),
    Fault(
        "newer notification interrupts a running one",
        QUEUE,
        "            running.job.commands.pop_front();\n",
        "            running.job.commands.pop_front();\n"
        "            if running.is_old {\n                return None;\n            }\n",
    ),
    Fault(
        "stop of a removed router is not reported",
        NOTIFY,
        "            _ => &self.present,\n",
        "            Some(coming) => coming,\n            None => &self.present,\n",
    ),
    Fault(
        "reload does not repeat notifications",
        NOTIFY,
        "                && notify.on_reload\n                && !entry.is_news\n",
        "                && notify.on_reload\n                && false\n",
    ),
    Fault(
        "final notifications exceed the time limit",
        QUEUE,
        "            true => running.end().since(now),",
        "            true => running.job.timeout * 4,",
    ),
    Fault(
        "group is reported after the first member's transition",
        NOTIFY,
        "        states.all(|state| state == first).then_some(first)",
        "        Some(first)",
    ),
    Fault(
        "group is reported after every reload",
        NOTIFY,
        "        if from == to {\n            return;\n        }\n        let first",
        "        let first",
    ),
    Fault(
        "end of a removed group is not reported",
        NOTIFY,
        "            if !self.present.contains_key(owner) {",
        "            if false {",
    ),
    Fault(
        "end of a contest is reported after one interval",
        CONTEST,
        "        let wait = down_interval(settings, interval);",
        "        let wait = interval.duration();",
    ),
    Fault(
        "resignation of another master does not shorten a contest",
        CONTEST,
        "            && rival.from == source\n",
        "            && false\n",
    ),
    Fault(
        "ends of contests are reported without spacing",
        CONTEST,
        "gone_at.max(spaced)",
        "gone_at",
    ),
    Fault(
        "contest of a group ends with its first member",
        EFFECTS,
        "        if self.is_group_contested(group) {",
        "        if false {",
    ),
    Fault(
        "final advertisement of a preempted master begins a contest",
        MASTER,
        "        if !(is_new && self.has_displaced) {",
        "        if true {",
    ),
    Fault(
        "contest ends in a grace period",
        MASTER,
        "        self.contest.over_at().filter(|_| !self.is_away)",
        "        self.contest.over_at()",
    ),
    Fault(
        "master without any of its addresses stays master",
        ENGINE,
        "        let fault_reason = fault_reason.or_else(|| instance.rejection());\n",
        "",
    ),
    Fault(
        "rejection outlasts a reload",
        CONFIGURE,
        "        self.forget_all_rejections();\n",
        "",
    ),
    Fault(
        "untracked interface without a link is a fault",
        INTERFACES,
        "        (!params.track_interface && goes_on",
        "        (false && goes_on",
    ),
    Fault(
        "tracked interface without a link is no fault",
        INTERFACES,
        "        (!params.track_interface && goes_on",
        "        (goes_on",
    ),
    Fault(
        "backup counts the time without a link as silence",
        ROUTER,
        "            backup.restart_timer(now, &self.settings);\n        }\n        self.arrive(now)",
        "            let _ = backup;\n        }\n        self.arrive(now)",
    ),
    Fault(
        "master does not announce when its link is back",
        ROUTER,
        "        }\n        self.arrive(now)",
        "        }\n        Reaction::default()",
    ),
    Fault(
        "end of a contest is notified before the state",
        QUEUE,
        "            Some(_) => return,\n        }\n        let is_of",
        "            Some(_) => drop(self.waiting.pop_back()),\n        }\n        let is_of",
    ),
    Fault(
        "group is notified of a contest for each member",
        NOTIFY,
        "        let is_decisive = !matches!(cause, Cause::With { .. });",
        "        let is_decisive = true;",
    ),
    Fault(
        "fault of one member does not spread",
        GROUP,
        "        let own = self.member(group, position).fault_reason.clone();\n        own.or_else(|| {\n",
        "        let own = self.member(group, position).fault_reason.clone();\n        own.or_else(|| {\n"
        "            if true {\n                return None;\n            }\n",
    ),
    Fault(
        "group follows the first member's timer only",
        GROUP,
        "            at = at.max(member_over_at(now, instance, decided));",
        "            at = if position == 0 { member_over_at(now, instance, decided) } else { at };",
    ),
    Fault(
        "leading member takes over alone",
        GROUP,
        "            let cause = if position == leader { &cause } else { &others };",
        "            if position != leader {\n                continue;\n            }\n"
        "            let cause = if position == leader { &cause } else { &others };",
    ),
    Fault(
        "yielding member steps down alone",
        GROUP,
        "            let (last, cause) = if position == leader {",
        "            if position != leader {\n                continue;\n            }\n"
        "            let (last, cause) = if position == leader {",
    ),
    Fault(
        "other members step down without a final advertisement",
        EFFECTS,
        "            Send::FinalAdvertisement => {",
        "            Send::FinalAdvertisement if true => return,\n            Send::FinalAdvertisement => {",
    ),
    Fault(
        "member with a late wake-up steps down alone",
        GROUP,
        "        let Some(cause) = first else { return };",
        "        let Some(cause) = first.filter(|_| false) else { return };",
    ),
    Fault(
        "group takes over after a late wake-up",
        GROUP,
        "            && !self.restart_timer(now, group, due)\n",
        "            && !(false && self.restart_timer(now, group, due))\n",
    ),
    Fault(
        "lower priority in another member decides nothing",
        GROUP,
        "        members.clone().all(|instance| instance.router.preempts())\n            &&",
        "        false && members.clone().all(|instance| instance.router.preempts())\n            &&",
    ),
    Fault(
        "member without preemption decides",
        GROUP,
        "        members.clone().all(|instance| instance.router.preempts())\n            &&",
        "        members.clone().all(|_| true)\n            &&",
    ),
    Fault(
        "tolerated master is passed over again",
        PEER_TABLE,
        "            self.stands = self.accepted_tie;",
        "            self.stands = None;",
    ),
    Fault(
        "last member decides between two groups of masters",
        GROUP,
        "        let legs = (0..self.size(group)).flat_map(|position| {",
        "        let legs = (0..self.size(group)).rev().flat_map(|position| {",
    ),
    Fault(
        "decision does not wait for an earlier member",
        PEER_TABLE,
        "            if leg.has_waited {\n",
        "            if leg.has_waited || true {\n",
    ),
    Fault(
        "tie is decided beside a lower priority",
        PEER_TABLE,
        "            Ordering::Equal if leg.has_lower => return Rank::Open,",
        "            Ordering::Equal if leg.has_lower && false => return Rank::Open,",
    ),
    Fault(
        "group records a master that resigned",
        PEER_TABLE,
        "        if sighting.priority == 0 {\n            return;\n        }\n",
        "",
    ),
    Fault(
        "group never forgets a silent master",
        PEER_TABLE,
        "    now < sighting.at + router.wait_for(sighting.interval)",
        "    now < sighting.at + router.wait_for(sighting.interval) * 1000",
    ),
    Fault(
        "member that joins a master group becomes backup",
        GROUP,
        "            true => State::Master,\n            false => State::Backup,",
        "            true => State::Backup,\n            false => State::Backup,",
    ),
    Fault(
        "group has no deadline for the silence of its strongest rival",
        GROUP,
        "            changes.fold(over_at, Instant::min)",
        "            changes.fold(over_at, |at, _| at)",
    ),
    Fault(
        "unit is started before its predecessor has started",
        RESOURCES,
        "        if self.current.is_some() {\n            return;\n        }\n        match self.todo.pop_front() {",
        "        match self.todo.pop_front() {",
    ),
    Fault(
        "units are stopped in start order",
        RESOURCES,
        "                .extend(self.units.iter().rev().filter(remains).map(stop));",
        "                .extend(self.units.iter().filter(remains).map(stop));",
    ),
    Fault(
        "running unit stays on an initial backup",
        RESOURCES,
        "        let remains = |unit: &&Unit| unit.known != Known::Stopped;",
        "        let remains = |unit: &&Unit| unit.known == Known::Started;",
    ),
    Fault(
        "failed stop is not repeated",
        RESOURCES,
        "                self.retry_at = Some(self.retry_at.map_or(again, |at| at.min(again)));",
        "                let _ = again;",
    ),
    Fault(
        "running unit is started again",
        RESOURCES,
        "                .filter(|unit| unit.known != Known::Started);",
        "                .filter(|_| true);",
    ),
    Fault(
        "failed resource inhibits the router for ever",
        RESOURCES,
        "            illness.until = Some(now + back_off(BACK_OFF, self.illnesses));",
        "            illness.until = Some(Instant::MAX);",
    ),
    Fault(
        "failed resource does not inhibit the router",
        RESOURCES,
        "        if self.retires || self.ill.is_some() {\n            return Some(false);",
        "        if self.retires {\n            return Some(false);",
    ),
    Fault(
        "group mistakes an advertisement for a late wake-up",
        GROUP,
        "            let over_at = over_at.max(asked);\n",
        "",
    ),
    Fault(
        "advertisement without peers uses a sequence number",
        EFFECTS,
        "            if instance.receivers(family).iter().all(|to| *to == source) {",
        "            if false {",
    ),
    Fault(
        "short absence of an interface is a fault",
        GRACE,
        "        self.instances[id].grace.is_some()\n            && self.moved",
        "        false && self.instances[id].grace.is_some()\n            && self.moved",
    ),
    Fault(
        "grace period lasts for five seconds",
        GRACE,
        "            until: now + (interval / 2).min(LONGEST),",
        "            until: now + LONGEST * 10,",
    ),
    Fault(
        "lowered priority of the master does not shorten the wait",
        BACKUP,
        "if followed.is_some_and(|last| last.priority > 0) {",
        "if false {",
    ),
    Fault(
        "backup takes over in its grace period",
        ENGINE,
        "                        self.cut_grace(now, id);\n",
        "",
    ),
    Fault(
        "master advertises in its grace period",
        MASTER,
        "        if self.is_away {\n",
        "        if false && self.is_away {\n",
    ),
    Fault(
        "advertisement due in a grace period is not sent after it",
        MASTER,
        "            send,\n            announce: true,",
        "            send: None,\n            announce: true,",
    ),
    Fault(
        "interrupted router keeps a deleted interface",
        ENGINE,
        "            self.leave_missing(id);\n",
        "",
    ),
    Fault(
        "drop rules are installed after the addresses",
        NODE,
        "        let installed = self\n"
        "            .drop_filter\n"
        "            .install(&self.wishes.addresses, host.kernel());\n"
        "        for mut desired in self.wishes.addresses.drain(..) {\n"
        "            // Without drop rules an address with `acceptMode = false` must not be added: the host would\n"
        "            // accept packets to it.\n"
        "            if installed.is_err() && !desired.accept {\n"
        "                desired.hold = Arc::default();\n"
        "            }\n"
        "            plan(&desired, &mut self.mirror, &mut self.wishes.changes);\n"
        "        }\n"
        "        self.put_behind_own(host);\n"
        "        self.apply_changes(now, host);\n",
        "        let wished: Vec<_> = self.wishes.addresses.drain(..).collect();\n"
        "        for desired in &wished {\n"
        "            plan(desired, &mut self.mirror, &mut self.wishes.changes);\n"
        "        }\n"
        "        self.apply_changes(now, host);\n"
        "        let installed = self.drop_filter.install(&wished, host.kernel());\n",
    ),
    Fault(
        "address is added without its drop rule",
        NODE,
        "            if installed.is_err() && !desired.accept {",
        "            if false && installed.is_err() {",
    ),
    Fault(
        "rejected request is not repeated",
        NODE,
        "        self.second_look.repeat(now);\n",
        "",
    ),
    Fault(
        "second look requests nothing again",
        NODE,
        "        self.handle(now, Input::Overrun, host);\n",
        "",
    ),
    Fault(
        "address added at the second look is not announced",
        NODE,
        "        if self.is_second_look {",
        "        if false {",
    ),
    Fault(
        "doubtful mirror is not refreshed",
        NODE,
        "        self.settle_doubts(now, host);\n    }\n\n    /// Notes",
        "    }\n\n    /// Notes",
    ),
    Fault(
        "interrupted dump counts as complete",
        MIRROR,
        "        let extent = dump.extent;\n",
        "        let extent = Extent::All;\n        let dump = Dump { extent, ..dump };\n",
    ),
    Fault(
        "interrupted dump is not completed later",
        NODE,
        "            self.second_look.complete(now);\n",
        "",
    ),
    Fault(
        "lost routes are not looked up",
        NODE,
        "        if self.routing.suspects.is_empty() {\n",
        "        if true {\n",
    ),
    Fault(
        "routes are not looked up after own deletions",
        NODE,
        "            self.routing.suspects.extend(suspects);\n",
        "            drop(suspects);\n",
    ),
    Fault(
        "deletion of a primary address deletes its secondaries",
        EXECUTION,
        "        match kernel.promote_secondaries(interface, true) {\n",
        "        match io::Result::Ok(false) {\n",
    ),
    Fault(
        "promotion of secondaries stays on",
        EXECUTION,
        "        if let Err(error) = kernel.promote_secondaries(interface, false) {\n",
        "        if let Err(error) = io::Result::Ok(false) {\n",
    ),
    Fault(
        "virtual address is restored before the own one",
        GRACE,
        "            && attachment.family == Family::V4\n",
        "            && attachment.family == Family::V6\n",
    ),
    Fault(
        "removed virtual address precedes the own one",
        MIRROR,
        "        if held.ours {\n            self.waiting",
        "        if held.ours && false {\n            self.waiting",
    ),
    Fault(
        "promoted virtual address stays before the own one",
        MIRROR,
        "                if known.is_some() && ours && !held.secondary {\n",
        "                if known.is_some() && ours && held.secondary {\n",
    ),
    Fault(
        "own address that comes second stays behind a virtual one",
        MIRROR,
        "        if held.secondary && !held.ours && !self.has_own_primary",
        "        if held.secondary && held.ours && !self.has_own_primary",
    ),
    Fault(
        "interface notifications open no sockets",
        NODE,
        "            self.may_listen_elsewhere = true;\n            if",
        "            if",
    ),
    Fault(
        "unused virtual MAC interfaces are never deleted",
        NODE,
        "        self.retire_devices(now, later, host);\n",
        "        drop(later);\n",
    ),
    Fault(
        "virtual MAC interface of a router that yields is not blocked",
        DEVICE,
        "\n    if !up && link.up {\n",
        "\n    if false {\n",
    ),
    Fault(
        "macvlan gets its virtual MAC address back before it is blocked",
        DEVICE,
        "            blocks: !up && link.up,\n",
        "            blocks: false,\n",
    ),
    Fault(
        "virtual MAC interface of a backup in its grace is not repaired",
        ENGINE,
        "            if self.instances[id].router.state() == State::Backup {\n                self.mend",
        "            if false {\n                self.mend",
    ),
    Fault(
        "virtual MAC interface stays blocked on the next master",
        DEVICE,
        "    if up && !is_unblocked(index) {\n",
        "    if false {\n",
    ),
    Fault(
        "manually changed nftables table is not repaired",
        NODE,
        "        self.drop_filter.doubt();\n",
        "",
    ),
    Fault(
        "rejected drop rule batch is not repaired",
        DROP_FILTER,
        "        self.in_place = false;\n        self.repair(kernel)\n    }\n}\n",
        "        Ok(())\n    }\n}\n",
    ),
    Fault(
        "cleanup keeps the virtual MAC interfaces",
        CLEANUP,
        "    if !gone.is_empty() {",
        "    if false {",
    ),
    Fault(
        "cleanup without marks keeps all addresses",
        CLEANUP,
        "    if !mirror.marks() {",
        "    if false {",
    ),
    Fault(
        "cleanup without marks deletes the addresses of an owner",
        CLEANUP,
        "        .filter(|router| !router.priority.is_owner())\n",
        "",
    ),
    Fault(
        "cleanup without marks deletes the only addresses of a family",
        CLEANUP,
        "        if device::is_ours(link) || mirror.addresses(link.index).iter().any(is_own) {",
        "        let _ = is_own;\n        if true {",
    ),
    Fault(
        "cleanup keeps the routes",
        CLEANUP,
        "        kernel.change_routing(changes.iter(), &mut mirror, &mut failures);\n",
        "",
    ),
    Fault(
        "cleanup keeps the nftables table",
        CLEANUP,
        "        true => kernel.delete_drop_rules(),",
        "        true => Ok(false),",
    ),
    Fault(
        "drop rule of a deleted address is kept",
        NODE,
        "        let pruned = match any || moved {",
        "        let pruned = match false {",
    ),
    Fault(
        "addresses are deleted in any order",
        EXECUTION,
        "    arrange(changes, mirror);\n",
        "",
    ),
    Fault(
        "virtual MAC interfaces are not created",
        NODE,
        "        self.change_devices(now, &next, host);\n",
        "        drop(next);\n",
    ),
    Fault(
        "routes are not deleted",
        NODE,
        "            host.kernel().change_routing(gone, mirror, failures);\n",
        "            drop(gone);\n",
    ),
    Fault(
        "instance without addresses lists none",
        MESSAGES,
        "        let fills = self.params.advertises_none() && self.params.version == Version::V3;",
        "        let fills = false;",
    ),
    Fault(
        "list of no address is accepted everywhere",
        ADVERT,
        "                if addresses.is_empty() && !expected.may_be_empty {",
        "                if false {",
    ),
    Fault(
        "list of no address is accepted nowhere",
        ADVERT,
        "                if addresses.is_empty() && !expected.may_be_empty {",
        "                if addresses.is_empty() {",
    ),
    Fault(
        "address of the sender is compared as a virtual one",
        ADDRESS_LIST,
        "        let is_filler = || self.sorted.is_empty() && theirs.iter().eq([source]);",
        "        let is_filler = || false;",
    ),
    Fault(
        "instance without addresses has the family of none",
        PARAMS,
        "            Version::V3 => hints.next().unwrap_or(Family::V4),",
        "            Version::V3 => Family::V4,",
    ),
    Fault(
        "clock that is set ends an uninterrupted series",
        REPLAY,
        "            known.address == from && follows",
        "            known.address == from && follows && false",
    ),
    Fault(
        "interrupted series is accepted with any clock",
        REPLAY,
        "sequence.is_after(known.sequence) && at <= known.continues_until;",
        "sequence.is_after(known.sequence) && (true || at <= known.continues_until);",
    ),
    Fault(
        "claim of another host is not counted",
        ADDRESS_CONFLICT,
        "        instance.counters.address_conflicts += packets;",
        "        instance.counters.address_conflicts += 0 * packets;",
    ),
    Fault(
        "claim of another host is reported each time",
        ADDRESS_CONFLICT,
        "        let reports = self.may_report_on(now, Matter::AddressConflict, subject);",
        "        let reports = self.may_report_on(now, Matter::AddressConflict, subject) || true;",
    ),
    Fault(
        "claim of another host is not answered",
        ADDRESS_CONFLICT,
        "        self.react(now, id, reaction);\n    }\n}",
        "        let _ = reaction;\n    }\n}",
    ),
    Fault(
        "each claim of another host is answered",
        MASTER,
        "last.is_some_and(|last| now < last + DEFENCE_SPACING)",
        "last.is_some_and(|last| now < last)",
    ),
    Fault(
        "claim of this host is a conflict",
        ADDRESS_CONFLICT,
        " || self.interfaces.has_mac(mac) {",
        " {",
    ),
    Fault(
        "claim of a second master is a conflict",
        MASTER,
        "        now.since(self.since) >= LAST_WORD && !self.is_contested()",
        "        now.since(self.since) >= LAST_WORD",
    ),
    Fault(
        "claim of a former master is a conflict",
        MASTER,
        "        now.since(self.since) >= LAST_WORD && !self.is_contested()",
        "        let _ = now;\n        !self.is_contested()",
    ),
    Fault(
        "claims of the addresses of a new master are not listened for",
        NODE,
        "        if std::mem::take(&mut self.has_transition) || moved {",
        "        if moved {",
    ),
    Fault(
        "stopped master releases its addresses at once",
        ROUTER,
        "                hands_over: true,",
        "                hands_over: false,",
    ),
    Fault(
        "leaving master does not notice its successor",
        PACKET,
        "        if !advert.resigns() {\n            self.hear_successor",
        "        if false {\n            self.hear_successor",
    ),
    Fault(
        "leaving master holds its addresses for longer than a successor takes",
        PARAMS,
        "        skew + MARGIN\n",
        "        skew + MARGIN * 2\n",
    ),
    Fault(
        "leaving master requests its addresses",
        EFFECTS,
        "        if instance.keeps(attachment.family) && former.is_empty() {",
        "        if false {",
    ),
    Fault(
        "successor in one family ends the hand-over of both",
        HAND_OVER,
        "        if families.all(|family| !hand_over.awaited[family as usize]) {",
        "        if families.any(|family| !hand_over.awaited[family as usize]) {",
    ),
    Fault(
        "leaving master deletes its routes and rules at once",
        EFFECTS,
        "            let gone = routed(routes, rules).filter(|what| !instance.keeps(what.family()));",
        "            let gone = routed(routes, rules);",
    ),
    Fault(
        "macvlan of a leaving master is deleted at once",
        EFFECTS,
        "        if instance.keeps(family) {\n            return None;",
        "        if false {\n            return None;",
    ),
    Fault(
        "hand-over without a successor does not end",
        ENGINE,
        "        self.cut_hand_overs(now);",
        "        let _ = now;",
    ),
    Fault(
        "a drained router keeps its priority",
        INSTANCE,
        "                priority: Priority::MIN,\n                ..influence",
        "                ..influence",
    ),
    Fault(
        "rejected deletions of stray routes are not repeated",
        NODE,
        "        self.routing.removes_strays = true;\n        self.remove_strays(now, host);\n",
        "        self.remove_strays(now, host);\n",
    ),
    Fault(
        "a claim that is not answered delays the answer after a reload",
        MASTER,
        "        if is_recent || !settings.announce.on_lower_priority {",
        "        if is_recent {",
    ),
    Fault(
        "a member without an address loses ties",
        PEER_TABLE,
        "        None => Rank::Open,\n",
        "        None => Rank::Behind { position, sighting },\n",
    ),
    Fault(
        "a step-down does not resign",
        OPERATOR,
        "            Order::StepDown { .. } => true,\n",
        "            Order::StepDown { .. } => false,\n",
    ),
    Fault(
        "a step-down concerns one member of a group only",
        OPERATOR,
        "            .filter(|name| **name != instance.name);\n",
        "            .filter(|_| false);\n",
    ),
    Fault(
        "a command concerns the owner too",
        OPERATOR,
        "        let concerned = !instance.params.priority.is_owner();\n",
        "        let concerned = true;\n",
    ),
    Fault(
        "a barred router takes over",
        ROUTER,
        "        if self.barred {\n            return Instant::MAX;",
        "        if false {\n            return Instant::MAX;",
    ),
    Fault(
        "the end of a bar does not restart the timer",
        ROUTER,
        "            backup.restart_timer(now, &self.settings);\n            backup.end_watch();\n",
        "            backup.end_watch();\n",
    ),
    Fault(
        "a reload forgets the commands of the operator",
        CONFIGURE,
        "        self.assign_commands();\n",
        "",
    ),
    Fault(
        "restart sets the advertisement timer again",
        MASTER,
        "            advert_at: saved.advert_at.min(now + settings.interval.duration()),",
        "            advert_at: now + settings.interval.duration(),",
    ),
    Fault(
        "restart forgets the accepted sequence numbers",
        INSTANCE,
        "        self.heard = Heard::restore(&saved.heard);",
        "        let _ = Heard::restore(&saved.heard);",
    ),
    Fault(
        "restart forgets the verdicts of the trackers",
        CONFIGURE,
        "                        Some(left) => tracker.restore(left),",
        "                        Some(_) => tracker,",
    ),
    Fault(
        "addresses expire after a restart",
        NODE,
        "        self.keep(now, &adopted, host);\n",
        "",
    ),
    Fault(
        "router that continues announces its addresses",
        RESUME,
        "        self.react(now, id, reaction);\n        self.instances[id].prepare();",
        "        self.react(now, id, reaction);\n        self.announce_all(id);",
    ),
    Fault(
        "restart notifies the state again",
        NOTIFY,
        "        let is_known = self.was_notified(&owner, transition.to) && starts;",
        "        let is_known = false;",
    ),
]


def check() -> int:
    """Prints each fault whose text does not occur exactly once in its file."""
    outdated = 0
    for fault in FAULTS:
        found = (PROJECT / fault.file).read_text().count(fault.old)
        if found != 1:
            outdated += 1
            print(f"{fault.name}: found {found} times in {fault.file}, expected once:\n{fault.old}")
    if outdated:
        print(
            f"Update {outdated} of {len(FAULTS)} faults in daemon/sim/faults.py to match the code."
        )
    return 1 if outdated else 0


def apply(fault: Fault, place: Path) -> str:
    """Applies a fault to the copy, and returns the original text of its file."""
    file = place / fault.file
    text = file.read_text()
    file.write_text(text.replace(fault.old, fault.new))
    return text


def build(place: Path) -> Path | None:
    """Builds the simulation in `place`. Returns None when the fault does not compile."""
    environment = {**os.environ, "RUSTFLAGS": "--cap-lints=allow"}
    environment.setdefault("CARGO_TARGET_DIR", str(PROJECT / "target" / "faults"))
    command = ["cargo", "build", "--quiet", "--locked", "--package=vrrp-sim"]
    command.append("--config=profile.dev.debug=0")
    done = subprocess.run(command, cwd=place, env=environment, check=False)
    program = Path(environment["CARGO_TARGET_DIR"]) / "debug" / "vrrp-sim"
    return program if done.returncode == 0 else None


def find(program: Path) -> str | None:
    """Returns the broken invariant with the first seed or story that breaks it, or None."""
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
    """Limits the memory of a fault that allocates without end."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def copy_to(place: Path) -> None:
    shutil.copytree(
        PROJECT,
        place,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("target*", ".git", "corpus"),
    )
    # Newer than the build results of earlier faults, so that cargo rebuilds them.
    for source in (place / "daemon").rglob("*.rs"):
        source.touch()


def write_down(rows: dict[str, str]) -> None:
    """Writes rows into the table, and keeps the rows of the other faults."""
    text = TABLE.read_text()
    begin, end = (text.index(mark) for mark in ["<!-- faults -->\n", "<!-- end of faults -->"])
    known = dict(re.findall(r"^\| (.+) \| (.+) \|$", text[begin:end], re.MULTILINE))
    rows = known | rows
    table = [f"| {fault.name} | {rows[fault.name]} |" for fault in FAULTS if fault.name in rows]
    head = ["<!-- faults -->", "| fault | found by |", "| --- | --- |"]
    TABLE.write_text(text[:begin] + "\n".join([*head, *table, ""]) + text[end:])


def main(arguments: list[str]) -> int:
    outdated = check()
    if outdated or "--check" in arguments:
        return outdated
    write = "--write" in arguments
    names = [argument for argument in arguments if argument != "--write"]
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    rows: dict[str, str] = {}
    missed = 0
    with tempfile.TemporaryDirectory(prefix="vrrp-faults.") as directory:
        place = Path(directory)
        copy_to(place)
        # The first run is without a fault: the simulation must not report anything then.
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
