//! Execution of the steps of a scenario.

use std::time::Duration;

use vrrp_proto::{MacAddress, Vrid};

use super::{BOOT, Happening, World, station};
use crate::host::Host;
use crate::invariants::Violation;
use crate::network::{Station, USUAL_DELAY};
use crate::records::Message;
use crate::scenario::{
    Action, Config, Families, SEGMENTS, TrackerConfig, interface_name, virtual_address, virtual_mac,
};

impl World<'_> {
    pub(super) fn step(&mut self, index: usize) -> Result<(), Violation> {
        let steps = &self.scenario.steps;
        if let Some(next) = steps.get(index + 1) {
            self.arrange(
                Duration::from_micros(next.after),
                Happening::Step(index + 1),
            );
        }
        let action = &steps[index].action;
        self.note(|| format!("-- {action:?}"));
        let name = format!("{action:?}");
        // The report counts actions by name, without their fields.
        self.coverage
            .fault(name.split([' ', '{']).next().unwrap_or_default());
        if self.act(action) {
            self.disturb();
        }
        Ok(())
    }

    /// Executes an action. Returns whether a state may change because of it.
    fn act(&mut self, action: &Action) -> bool {
        match *action {
            Action::Lose { segment, percent } => self.segment_mut(segment).loss = percent.min(90),
            Action::Delay { segment, micros } => {
                self.segment_mut(segment).delay = micros.max(USUAL_DELAY);
            }
            Action::Duplicate { segment, percent } => {
                self.segment_mut(segment).duplicates = percent.min(100);
                return false;
            }
            Action::Partition { segment, side } => self.segment_mut(segment).side = side,
            Action::Mute { segment, from, to } => {
                self.segment_mut(segment).muted.insert((from, to));
            }
            Action::Heal { segment } => self.segment_mut(segment).heal(),
            Action::Junk {
                segment,
                vrid,
                count,
                kinds,
            } => {
                self.throw_junk(segment, vrid, count, kinds);
                return false;
            }
            Action::Foreign { index, on } => self.switch_foreign(index.into(), on),
            Action::Repeat {
                segment,
                from,
                count,
                renamed,
            } => {
                let segment = segment % SEGMENTS;
                let known = self
                    .sent
                    .as_ref()
                    .map_or(0, |sent| sent[usize::from(segment)].len());
                let at = known * usize::from(from) / 256;
                self.repeat(segment, at, count, renamed);
                return false;
            }
            Action::Forge {
                segment,
                vrid,
                version,
                count,
                ways,
            } => {
                self.forge(segment % SEGMENTS, vrid, version, count, ways);
                return false;
            }
            Action::Name { station, means } => {
                self.names.insert(station, means);
                self.look_all_names_up();
                return false;
            }
            Action::Mend => self.mend(),
            Action::Cable { host, .. }
            | Action::Admin { host, .. }
            | Action::Rename { host, .. }
            | Action::Exist { host, .. }
            | Action::TakeVirtual { host, .. }
            | Action::PutVirtual { host, .. }
            | Action::TakeRouting { host, .. }
            | Action::PutRouting { host, .. }
            | Action::Own { host, .. }
            | Action::Meddle { host, .. }
            | Action::LoseNews { host, .. }
            | Action::Refuse { host, .. }
            | Action::Forbid { host, .. }
            | Action::DropOutput { host, .. }
            | Action::Flush { host }
            | Action::Firewall { host, .. }
            | Action::Kill { host, .. }
            | Action::Run { host, .. }
            | Action::Freeze { host, .. }
            | Action::Suspend { host, .. }
            | Action::Power { host, .. }
            | Action::Probe { host, .. }
            | Action::Clock { host, .. }
            | Action::Command { host, .. }
            | Action::EndCommand { host, .. }
            | Action::Announce { host, .. }
            | Action::Reload { host, .. } => {
                if usize::from(host) >= self.hosts.len() {
                    return false;
                }
                let disturbs = self.act_on(host, action);
                self.flush_neighbours(host);
                self.wake(host);
                return disturbs;
            }
        }
        true
    }

    fn act_on(&mut self, id: Station, action: &Action) -> bool {
        let host = &mut self.hosts[usize::from(id)];
        let life = host.life;
        match action {
            Action::Power { on: true, .. } => {
                if host.powered {
                    return false;
                }
                host.powered = true;
                host.bring_up(SEGMENTS);
                self.arrange(BOOT, Happening::Start(id, life));
                return true;
            }
            Action::Power { on: false, .. } => {
                host.power_off();
                self.witnesses[usize::from(id)].forget();
                self.leave_to_find_out(id);
                return true;
            }
            Action::Clock { ahead, .. } => {
                host.ahead = *ahead;
                return true;
            }
            Action::Reload { config, .. } => {
                host.write_configuration(config.clone());
                host.tell(Message::Configure(config.clone()));
                self.look_names_up(id);
                return true;
            }
            _ if !host.powered => return false,
            Action::Cable {
                segment, plugged, ..
            } => {
                let bit = 1 << (segment % SEGMENTS);
                host.unplugged = if *plugged {
                    host.unplugged & !bit
                } else {
                    host.unplugged | bit
                };
                host.kernel
                    .change_link(segment % SEGMENTS, |link| link.carrier = *plugged);
            }
            Action::Admin { segment, up, .. } => {
                host.kernel
                    .change_link(segment % SEGMENTS, |link| link.up = *up);
            }
            Action::Rename { segment, back, .. } => {
                let segment = segment % SEGMENTS;
                let name = match back {
                    true => interface_name(segment),
                    false => format!("ren{segment}"),
                };
                host.kernel
                    .change_link(segment, |link| link.name = name.into());
            }
            Action::Exist {
                segment,
                exists: true,
                ..
            } => {
                let segment = segment % SEGMENTS;
                let plugged = host.is_plugged(segment);
                if host.kernel.on(segment).is_none() {
                    host.kernel.create(segment, plugged);
                    host.put_own(segment, Families::Both);
                }
            }
            Action::Exist { segment, .. } => host.kernel.remove(segment % SEGMENTS),
            Action::TakeVirtual {
                segment,
                number,
                families,
                ..
            } => {
                let segment = segment % SEGMENTS;
                let mut disturbs = false;
                for family in families.each() {
                    if host.owns(family, segment, *number) {
                        continue;
                    }
                    let own = host.own(family, segment);
                    let has_own = |host: &Host| {
                        let index = host.kernel.on(segment);
                        index.is_some_and(|index| host.kernel.has(index, own))
                    };
                    let before = has_own(host);
                    let gone = virtual_address(family, segment, *number);
                    host.kernel.take(segment, gone);
                    // Without promotion the deletion takes the own address with it, and that changes
                    // the state.
                    disturbs |= before != has_own(host) || !before;
                }
                return disturbs;
            }
            Action::PutVirtual {
                segment,
                number,
                families,
                bare,
                ..
            } => {
                let segment = segment % SEGMENTS;
                for family in families.each() {
                    let mut address = virtual_address(family, segment, *number);
                    if *bare {
                        address.prefix = family.address_bits();
                    }
                    host.put_virtual(segment, *number, address);
                }
            }
            Action::TakeRouting { number, .. } => {
                host.kernel.take_routing(*number);
                return false;
            }
            Action::PutRouting {
                segment, number, ..
            } => {
                // Without a daemon nothing would remove it.
                if host.process.is_some() {
                    host.kernel.put_routing(segment % SEGMENTS, *number);
                }
                return false;
            }
            Action::Own {
                segment,
                there,
                families,
                second,
                ..
            } => {
                let segment = segment % SEGMENTS;
                for family in families.each() {
                    match (there, host.second(family, segment).filter(|_| *second)) {
                        (true, Some(_)) => host.put_second(segment, family),
                        (false, Some(second)) => host.kernel.take(segment, second),
                        (true, None) => host.put_own(segment, *families),
                        (false, None) => host.kernel.take(segment, host.own(family, segment)),
                    }
                }
            }
            Action::Meddle {
                segment,
                vrid,
                family,
                how,
                ..
            } => {
                let segment = segment % SEGMENTS;
                let vrid = Vrid::new((*vrid).max(1)).unwrap_or_else(|| unreachable!("1 to 255"));
                let name = &virtual_mac(segment, vrid, true).devices[*family as usize];
                let mac = MacAddress::of_virtual_router(*family, vrid);
                // Events of these interfaces cause no transition.
                host.kernel.meddle(segment, name, mac, *how);
                return false;
            }
            Action::LoseNews { count, .. } => host.kernel.lose_news(*count),
            Action::Refuse { count, .. } => host.kernel.refuse(*count),
            Action::Forbid { on: true, .. } => drop(host.kernel.forbid(true)),
            Action::Forbid { on: false, .. } => host.permit(),
            Action::DropOutput { on, .. } => host.kernel.drop_output(*on),
            Action::Flush { .. } => host.kernel.flush(),
            Action::Firewall { on, .. } => host.drops_adverts = *on,
            Action::Kill {
                cleanup, restart, ..
            } => {
                if host.process.is_none() {
                    return false;
                }
                host.life += 1;
                let life = host.life;
                host.suspended = false;
                host.lose_process();
                self.witnesses[usize::from(id)].forget();
                self.leave_to_find_out(id);
                let cleanup = Duration::from_millis((*cleanup).into());
                let restart = cleanup + Duration::from_millis((*restart).into());
                self.arrange(cleanup, Happening::CleanUp(id, life));
                self.arrange(restart, Happening::Start(id, life));
            }
            Action::Run { runs: true, .. } => {
                if host.process.is_none() || host.is_stopping() {
                    self.arrange(Duration::ZERO, Happening::Start(id, life));
                }
            }
            Action::Run { .. } => host.tell(Message::Stop),
            Action::Freeze { millis, .. } => {
                if host.process.is_none() || host.frozen {
                    return false;
                }
                host.frozen = true;
                let span = Duration::from_millis((*millis).into());
                self.arrange(span, Happening::Thaw(id, life));
            }
            Action::Suspend { millis, .. } => {
                if host.suspended {
                    return false;
                }
                host.suspended = true;
                let span = Duration::from_millis((*millis).into());
                self.arrange(span, Happening::Resume(id, life));
            }
            Action::Probe { tracker, up, .. } => {
                let probes = probes(&host.config);
                if let Some(name) = probes.get(usize::from(*tracker) % probes.len().max(1)) {
                    let (tracker, up) = (name.clone(), *up);
                    host.tell(Message::Probe { tracker, up });
                }
            }
            Action::Command { order, millis, .. } => {
                if let Some(order) = host.order(*order) {
                    let until = Duration::from_millis((*millis).into());
                    let until = (*millis > 0).then(|| host.clock.shows(self.now) + until);
                    host.command(order, until);
                }
            }
            Action::EndCommand { order, .. } => {
                if let Some(order) = host.order(*order) {
                    host.end_command(order.key());
                }
            }
            Action::Announce { router, .. } => {
                let router = router.and_then(|router| host.router(router));
                host.tell(Message::Announce(router));
                return false;
            }
            Action::Lose { .. }
            | Action::Delay { .. }
            | Action::Duplicate { .. }
            | Action::Partition { .. }
            | Action::Mute { .. }
            | Action::Heal { .. }
            | Action::Foreign { .. }
            | Action::Name { .. }
            | Action::Repeat { .. }
            | Action::Forge { .. }
            | Action::Junk { .. }
            | Action::Mend => {}
        }
        true
    }

    fn look_all_names_up(&mut self) {
        for id in 0..station(self.hosts.len()) {
            self.look_names_up(id);
        }
    }

    fn mend(&mut self) {
        for segment in 0..SEGMENTS {
            self.segment_mut(segment).heal();
        }
        for id in 0..station(self.hosts.len()) {
            let host = &mut self.hosts[usize::from(id)];
            host.unplugged = 0;
            host.ahead = 0;
            host.powered = true;
            host.suspended = false;
            host.frozen = false;
            host.drops_adverts = false;
            host.kernel.refuse(0);
            host.permit();
            host.pass_output();
            host.kernel.lose_news(0);
            host.kernel.remove_strange_macvlans();
            host.bring_up(SEGMENTS);
            for tracker in probes(&host.config) {
                // As many good results as the slowest tracker needs.
                for _ in 0..3 {
                    let (tracker, up) = (tracker.clone(), true);
                    host.tell(Message::Probe { tracker, up });
                }
            }
            let life = host.life;
            self.arrange(BOOT, Happening::Start(id, life));
            self.wake(id);
        }
        for index in 0..self.foreign.len() {
            self.switch_foreign(index, true);
        }
        if !self.names.is_empty() {
            self.names.clear();
            self.look_all_names_up();
        }
    }
}

fn probes(config: &Config) -> Vec<String> {
    config
        .trackers
        .iter()
        .filter(|(_, tracker)| matches!(tracker, TrackerConfig::Probe { .. }))
        .map(|(name, _)| name.clone())
        .collect()
}
