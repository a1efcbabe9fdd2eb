//! What the engine wants, carried out together: advertisements, then addresses with the routes around
//! them, then announcements, and the log last.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use tracing::Level;
use vrrp_linux::clock;
use vrrp_linux::device::{self, DeviceChange, Devices};
use vrrp_linux::plan::{plan, strays, unannounced};
use vrrp_proto::{Announcement, DesiredLvs, InterfaceAddress, Output, Report, State};

use super::super::sockets::by_place;
use super::{Node, SECOND_LOOK, Scratch, Tally, name};
use crate::run::janitor::Janitor;
use crate::run::lvs::LvsKeeper;
use crate::scribe::Record;

impl Node {
    /// Acts when the set of interfaces may have changed: what is new has to be able to speak, and
    /// what leaves has its last word first.
    pub(super) fn act_after_change(&mut self) {
        let listeners = by_place(self.engine.listeners());
        self.sockets
            .open(&listeners, &self.poller, |interface, error| {
                let name = name(&self.mirror, interface);
                let text = format!("cannot open a raw socket on {name}: {error}; trying again");
                self.complaints.tell(Level::ERROR, text);
                self.look_again_at = Some(clock::now() + SECOND_LOOK);
            });
        // What went with its interface nobody releases.
        self.scratch.uncover = true;
        self.act();
        self.sockets.close(&listeners);
        if !self.refuses {
            self.retire_refuser();
        }
    }

    /// Carries out all that the engine wants done.
    pub(super) fn act(&mut self) {
        self.act_once();
        // Whoever has to refuse packets and cannot is in fault: that is to be carried out too.
        if std::mem::take(&mut self.scratch.again) {
            self.act_once();
        }
    }

    fn act_once(&mut self) {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Advertise {
                    interface,
                    source,
                    destination,
                    hop_limit,
                    mac,
                    message,
                } => match mac {
                    Some(mac) => self.announcer.queue_advert(interface, mac, source, message),
                    None => {
                        self.sockets
                            .queue(interface, source, destination, hop_limit, message);
                    }
                },
                Output::Kernel(desired) => self.scratch.desired.push(desired),
                Output::Routing(desired) => self.routing.desired.push(desired),
                Output::Device(device) => {
                    // The last wish counts.
                    let name = Arc::clone(&device.name);
                    self.scratch.devices.insert(name, device);
                }
                // The last wish counts.
                Output::Lvs(desired) => self.scratch.lvs = Some(desired),
                Output::Announce(announcement) => self.scratch.announcements.push(announcement),
                Output::Report(report) => self.scratch.reports.push(report),
            }
        }
        self.sockets.flush(|interface, source, error| {
            let name = name(&self.mirror, interface);
            let text = format!("cannot send an advertisement on {name} from {source}: {error}");
            self.complaints.tell(Level::WARN, text);
        });
        self.flush_frames();
        self.release_routing();
        let later = self.change_devices();
        self.change_addresses();
        self.hold_routing();
        self.retire_devices(later);
        self.is_second_look = false;
        self.announce();
        if let Some(desired) = self.scratch.lvs.take() {
            self.hand_to_lvs_keeper(desired);
        }
        if !self.scratch.reports.is_empty() {
            self.report();
        }
    }

    /// Carries out what is to be done to interfaces with virtual MAC addresses before addresses come
    /// to them, and returns what is to be done when they are gone. Nearly always nothing.
    fn change_devices(&mut self) -> Vec<DeviceChange> {
        let wishes = std::mem::take(&mut self.scratch.devices);
        if wishes.is_empty() {
            return Vec::new();
        }
        if let Some((_, janitor)) = &self.devices {
            // What is wanted now counts, also when that is what there is still.
            janitor.forget(|name| wishes.contains_key(name));
        }
        let (now, later): (Vec<_>, Vec<_>) = wishes
            .values()
            .flat_map(|desired| device::plan(desired, &self.mirror))
            .partition(DeviceChange::comes_first);
        if now.is_empty() {
            return later;
        }
        let Some((devices, _)) = self.equip() else {
            return Vec::new();
        };
        let mut refused = Vec::new();
        devices.apply(&now, |change, error| {
            let hint = match (change, error.kind()) {
                (DeviceChange::Create { .. }, ErrorKind::Unsupported) => {
                    " (this kernel has no macvlan: load its module, or leave virtualMac out)"
                }
                (DeviceChange::SetMac { .. }, ErrorKind::AlreadyExists) => {
                    " (vrrpd did not make that interface: rename or delete it)"
                }
                (_, ErrorKind::AddrInUse) => {
                    " (another interface with that address is up: is there a second VRRP daemon?)"
                }
                _ => "",
            };
            refused.push(format!(
                "cannot {change}: {error}{hint}; trying again every second"
            ));
        });
        for text in refused {
            self.complaints.tell(Level::ERROR, text);
            self.look_again_at = Some(clock::now() + SECOND_LOOK);
        }
        later
    }

    /// Has interfaces with virtual MAC addresses taken down and away.
    fn retire_devices(&mut self, changes: Vec<DeviceChange>) {
        if changes.is_empty() {
            return;
        }
        if let Some((_, janitor)) = self.equip() {
            janitor.hand(changes);
        }
    }

    /// What interfaces with virtual MAC addresses are changed by.
    fn equip(&mut self) -> Option<(&mut Devices, &Janitor)> {
        if self.devices.is_none() {
            let log = self.log.clone();
            let equipped = Devices::open().and_then(|own| Ok((own, Janitor::start(log)?)));
            match equipped {
                Ok(equipped) => self.devices = Some(equipped),
                Err(error) => {
                    let text = format!("cannot change interfaces: {error}");
                    self.complaints.tell(Level::ERROR, text);
                    self.look_again_at = Some(clock::now() + SECOND_LOOK);
                }
            }
        }
        let (devices, janitor) = self.devices.as_mut()?;
        Some((devices, janitor))
    }

    /// Has the sync thread of IPVS made as it should be.
    fn hand_to_lvs_keeper(&mut self, desired: DesiredLvs) {
        if self.lvs.is_none() {
            match LvsKeeper::start(self.log.clone()) {
                Ok(keeper) => self.lvs = Some(keeper),
                Err(error) => {
                    let text = format!("cannot start a thread for IPVS: {error}");
                    self.complaints.tell(Level::ERROR, text);
                    // Then it is said again.
                    self.look_again_at = Some(clock::now() + SECOND_LOOK);
                }
            }
        }
        if let Some(keeper) = &self.lvs {
            keeper.hand(desired);
        }
    }

    /// Changes addresses: what is not to be accepted is refused before it is there and until it is
    /// gone.
    fn change_addresses(&mut self) {
        let any = !self.scratch.desired.is_empty();
        let covered = self.refuser.cover(&self.scratch.desired);
        for mut desired in self.scratch.desired.drain(..) {
            if covered.is_err() && !desired.accept {
                desired.hold = Arc::default();
            }
            plan(&desired, &mut self.mirror, &mut self.scratch.changes);
        }
        self.apply_changes();
        let uncovered = match any | std::mem::take(&mut self.scratch.uncover) {
            true => self.refuser.uncover(&self.mirror),
            false => Ok(()),
        };
        if let Err(error) = covered.and(uncovered) {
            self.cannot_refuse(clock::now(), &error);
            self.scratch.again = true;
        }
    }

    /// Removes addresses with our mark that nobody here holds: left by a predecessor.
    pub(super) fn remove_strays(&mut self) {
        let held: BTreeSet<_> = self.engine.held().collect();
        strays(
            &mut self.mirror,
            |interface, address| held.contains(&(interface, address)),
            &mut self.scratch.changes,
        );
        for change in &self.scratch.changes {
            self.log
                .note(Level::WARN, format!("left by an earlier run: {change}"));
        }
        self.apply_changes();
        let wanted: BTreeSet<&str> = self.engine.devices().map(|name| &**name).collect();
        let left = device::strays(&self.mirror, |name| wanted.contains(name));
        for change in &left {
            self.log
                .note(Level::WARN, format!("left by an earlier run: {change}"));
        }
        self.retire_devices(left);
        if let Err(error) = self.refuser.uncover(&self.mirror) {
            self.cannot_refuse(clock::now(), &error);
        }
    }

    fn apply_changes(&mut self) {
        let Scratch {
            changes,
            failures,
            announcements,
            ..
        } = &mut self.scratch;
        if changes.is_empty() {
            return;
        }
        self.requests.apply(changes, &mut self.mirror, failures);
        if self.routing.is_affected_by_own(changes, &self.mirror) {
            self.look_again_at = Some(clock::now());
        }
        if self.is_second_look {
            let late = unannounced(changes, &self.mirror, announcements);
            announcements.extend(late);
        }
        changes.clear();
        let Some(first) = failures.first() else {
            return;
        };
        let text = match failures.len() - 1 {
            0 => first.to_string(),
            others => format!("{first}, and {others} more like it"),
        };
        failures.clear();
        self.look_again_at = Some(clock::now() + SECOND_LOOK);
        let text = format!("{text}; trying again every second");
        self.complaints.tell(Level::ERROR, text);
    }

    /// Announces what is there: an address that the kernel refused, or that left again in the same
    /// turn, is none of ours. What has a pace leaves one after another, in later turns.
    fn announce(&mut self) {
        if self.scratch.announcements.is_empty() && self.pacer.due().is_none() {
            return;
        }
        let now = clock::now();
        let held = |interface, address| self.mirror.held(interface, address).is_some();
        for announcement in self.scratch.announcements.drain(..) {
            if announcement.pace > 0 {
                self.pacer.add(now, announcement);
                continue;
            }
            let Announcement {
                interface,
                mac,
                addresses,
                burst,
                ..
            } = announcement;
            for _ in 0..burst {
                let there = |address: &&InterfaceAddress| held(interface, **address);
                for address in addresses.iter().filter(there) {
                    self.announcer.queue(interface, mac, address.address);
                }
            }
        }
        let announcer = &mut self.announcer;
        self.pacer.take(now, held, |interface, mac, address| {
            announcer.queue(interface, mac, address);
        });
        self.flush_frames();
    }

    /// Sends the frames that are queued: announcements, or advertisements from a virtual MAC address.
    fn flush_frames(&mut self) {
        self.announcer.flush(|interface, address, error| {
            let name = name(&self.mirror, interface);
            let text = format!("cannot announce or advertise {address} on {name}: {error}");
            self.complaints.tell(Level::WARN, text);
        });
    }

    fn report(&mut self) {
        let mut tally = *self.tally.borrow();
        for report in self.scratch.reports.drain(..) {
            if let Report::Transition(transition) = &report {
                tally.move_one(transition.from, transition.to);
            }
            self.outbox.tell(&report);
            self.log.record(Record::Report(report));
        }
        self.tally.send_if_modified(|told| {
            let changed = *told != tally;
            *told = tally;
            changed
        });
    }
}

impl Tally {
    fn move_one(&mut self, from: State, to: State) {
        if let Some(count) = self.of(from) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.of(to) {
            *count += 1;
        }
    }

    const fn of(&mut self, state: State) -> Option<&mut usize> {
        match state {
            State::Init => None,
            State::Master => Some(&mut self.master),
            State::Backup => Some(&mut self.backup),
            State::Fault => Some(&mut self.fault),
        }
    }
}
