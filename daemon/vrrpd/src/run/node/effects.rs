//! What the engine wants, carried out together: advertisements, then addresses, then
//! announcements, and the log last.

use std::collections::BTreeSet;

use tracing::Level;
use vrrp_linux::clock;
use vrrp_linux::plan::{plan, strays, unannounced};
use vrrp_proto::{InterfaceAddress, Output, Report, State};

use super::super::sockets::by_place;
use super::{Node, SECOND_LOOK, Scratch, Tally, name};
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
        self.act();
        self.sockets.close(&listeners);
    }

    /// Carries out all that the engine wants done.
    pub(super) fn act(&mut self) {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Advertise {
                    interface,
                    source,
                    message,
                    ..
                } => {
                    self.sockets.queue(interface, source, message);
                }
                Output::Kernel(desired) => self.scratch.desired.push(desired),
                Output::Announce {
                    interface,
                    mac,
                    addresses,
                } => {
                    self.scratch.announcements.push((interface, mac, addresses));
                }
                Output::Report(report) => self.scratch.reports.push(report),
            }
        }
        self.sockets.flush(|interface, source, error| {
            let name = name(&self.mirror, interface);
            let text = format!("cannot send an advertisement on {name} from {source}: {error}");
            self.complaints.tell(Level::WARN, text);
        });
        self.change_addresses();
        self.is_second_look = false;
        self.announce();
        if !self.scratch.reports.is_empty() {
            self.report();
        }
    }

    fn change_addresses(&mut self) {
        for desired in self.scratch.desired.drain(..) {
            plan(&desired, &mut self.mirror, &mut self.scratch.changes);
        }
        self.apply_changes();
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
    /// turn, is none of ours.
    fn announce(&mut self) {
        if self.scratch.announcements.is_empty() {
            return;
        }
        for (interface, mac, addresses) in self.scratch.announcements.drain(..) {
            let held =
                |address: &&InterfaceAddress| self.mirror.held(interface, **address).is_some();
            for address in addresses.iter().filter(held) {
                self.announcer.queue(interface, mac, address.address);
            }
        }
        self.announcer.flush(|interface, address, error| {
            let name = name(&self.mirror, interface);
            let text = format!("cannot announce {address} on {name}: {error}");
            self.complaints.tell(Level::WARN, text);
        });
    }

    fn report(&mut self) {
        let mut tally = *self.tally.borrow();
        for report in self.scratch.reports.drain(..) {
            if let Report::Transition(transition) = &report {
                tally.move_one(transition.from, transition.to);
            }
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
