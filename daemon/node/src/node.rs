//! The node: an engine, what it knows of the kernel, and what it still owes.
//!
//! # A turn
//!
//! 1. What has come is taken in, packets before the tick (see [`Engine`]).
//! 2. When everything is to be looked at again, it is: a request that the kernel refused is repeated
//!    after [`SECOND_LOOK`].
//! 3. The engine does what is due.
//! 4. All that came of it is carried out together, in this order:
//!    - advertisements, because the others wait for them;
//!    - routes and rules that leave, because they may need an address that leaves;
//!    - interfaces with virtual MAC addresses, before addresses come to them;
//!    - packets to addresses are refused before the addresses come, then the addresses are changed, then
//!      packets to those that are gone are refused no longer;
//!    - routes and rules that come, because they may need an address that came;
//!    - interfaces that leave, in a while;
//!    - announcements, of what is there by now;
//!    - the sync thread of IPVS, and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::params::NodeParams;
use vrrp_proto::{
    Announcement, Desired, DesiredDevice, DesiredLvs, DesiredRouting, Engine, Input, Instant,
    InterfaceAddress, InterfaceIndex, Output, Report,
};

use crate::device::{self, DeviceChange};
use crate::drop_filter::DropFilter;
use crate::host::{Host, Kernel, Severity};
use crate::listeners::listeners;
use crate::mirror::{Event, Mirror};
use crate::pacer::Pacer;
use crate::plan::{Change, Failure, arrange, plan, strays, unannounced};
use crate::routing;

/// After a refusal of the kernel everything is looked at again, this much later.
pub const SECOND_LOOK: Duration = Duration::from_secs(1);

/// A node.
#[derive(Debug, Default)]
pub struct Node {
    engine: Engine,
    mirror: Mirror,
    routing: Routing,
    drop_filter: DropFilter,
    pacer: Pacer,
    /// Whether a router is configured that does not accept packets to its addresses.
    refuses: bool,
    /// The time of the last repair of the table of refusals.
    repaired_at: Option<Instant>,
    /// The time at which everything is looked at again.
    look_again_at: Option<Instant>,
    /// Whether that was just done: what is added then was not announced yet.
    is_second_look: bool,
    /// Whether what the routers listen at may have changed.
    may_listen_elsewhere: bool,
    is_stopping: bool,
    /// The outputs of the engine in this turn, in their order.
    outputs: Vec<Output>,
    wishes: Wishes,
}

/// The outputs of the engine in this turn, by kind. The room is kept from turn to turn.
#[derive(Debug, Default)]
struct Wishes {
    addresses: Vec<Desired>,
    devices: BTreeMap<Arc<str>, DesiredDevice>,
    lvs: Option<DesiredLvs>,
    announcements: Vec<Announcement>,
    reports: Vec<Report>,
    changes: Vec<Change>,
    failures: Vec<Failure>,
}

/// Routes and rules. A node without any hears of none.
#[derive(Debug, Default)]
struct Routing {
    mirror: Option<routing::mirror::Mirror>,
    wishes: Vec<DesiredRouting>,
    changes: Vec<routing::plan::Change>,
    failures: Vec<routing::plan::Failure>,
    /// Whether the mirror is of a dump of this turn, so that it shows what no router wants.
    is_looked_at: bool,
}

impl Node {
    /// A node that runs nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The engine.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The kernel's links and addresses, as far as known.
    pub const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Whether it was told to stop.
    pub const fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Whether the kernel has refused nothing that is still wanted.
    pub const fn is_content(&self) -> bool {
        self.look_again_at.is_none()
    }

    /// The next time at which the node itself has something to do, beside the engine's deadlines.
    pub fn due(&self) -> Option<Instant> {
        let all = [self.look_again_at, self.pacer.due()];
        all.into_iter().flatten().min()
    }

    /// Begins to run `params`: takes over what an earlier daemon left of it, and takes away the rest.
    ///
    /// # Errors
    ///
    /// When the kernel does not say what there is.
    pub fn start<H: Host>(
        &mut self,
        now: Instant,
        wall: Duration,
        params: NodeParams,
        host: &mut H,
    ) -> io::Result<()> {
        self.look(now, host)?;
        if params.refuses() {
            self.drop_filter.adopt(&self.mirror);
        }
        self.configure(now, wall, params, host);
        self.act(now, host);
        self.remove_strays(now, host);
        if !self.refuses {
            match host.kernel().delete_drop_rules() {
                Ok(false) => {}
                Ok(true) => host.note(
                    "left by an earlier run: the table inet vrrpd of nf_tables; deleted".to_owned(),
                ),
                Err(error) => host.complain(Severity::Warning, error.to_string()),
            }
        }
        if !self.engine.has_routing() {
            self.clean_routing(now, host);
        }
        Ok(())
    }

    /// Runs `params` instead of what runs.
    pub fn configure<H: Host>(
        &mut self,
        now: Instant,
        wall: Duration,
        params: NodeParams,
        host: &mut H,
    ) {
        self.refuses = params.refuses();
        self.prepare_drop_filter(now, host);
        self.handle(now, Input::WallClock(wall), host);
        self.handle(now, Input::Configure(params), host);
        self.may_listen_elsewhere = true;
    }

    /// Lets the engine take something in.
    pub fn handle<H: Host>(&mut self, now: Instant, input: Input<'_>, host: &mut H) {
        host.before(now, &input, &self.engine);
        self.engine.handle(now, input);
        let first = self.outputs.len();
        self.outputs
            .extend(std::iter::from_fn(|| self.engine.poll()));
        host.after(&self.outputs[first..], &self.engine, &self.mirror);
    }

    /// Hands everything over: the next turn is the last.
    pub fn stop<H: Host>(&mut self, now: Instant, host: &mut H) {
        self.handle(now, Input::Stop, host);
        self.refuses = false;
        self.is_stopping = true;
    }

    /// Takes in what the kernel tells of links and addresses.
    pub fn take_news<H: Host>(
        &mut self,
        now: Instant,
        events: impl Iterator<Item = Event>,
        host: &mut H,
    ) {
        let mut routes_may_be_gone = false;
        for event in events {
            let routing = self.routing.mirror.as_ref();
            routes_may_be_gone |=
                routing.is_some_and(|routing| routing.is_in_doubt_after(&event, &self.mirror));
            if let Some(input) = self.mirror.apply(event) {
                self.handle(now, input, host);
                self.may_listen_elsewhere = true;
            }
        }
        if self.mirror.is_in_doubt() {
            self.look_or_complain(now, host);
        } else if routes_may_be_gone {
            self.look_at_routing(now, host);
        }
    }

    /// News were lost, or cannot be heard: everything is looked at again at `at`.
    pub const fn look_at(&mut self, at: Instant) {
        self.look_again_at = Some(at);
    }

    /// Makes the table of refusals anew, which another program changed. When that comes too often, two
    /// programs are at odds about it: then once in [`SECOND_LOOK`].
    pub fn repair_drop_rules<H: Host>(&mut self, now: Instant, host: &mut H) {
        self.drop_filter.doubt();
        let lately = |at| now.since(at) < SECOND_LOOK;
        if self.repaired_at.is_some_and(lately) {
            self.look_again_at.get_or_insert(now + SECOND_LOOK);
            return;
        }
        self.repaired_at = Some(now);
        match self.drop_filter.repair(host.kernel()) {
            Ok(()) => {
                let text = "somebody changed the table inet vrrpd, by which packets to addresses with \
                            acceptMode = false are refused; it was made anew";
                host.complain(Severity::Warning, text.to_owned());
            }
            Err(error) => self.drop_filter_failed(now, &error.to_string(), host),
        }
    }

    /// Does what is due, and carries out all that came of this turn. Comes after
    /// [`look_again`](Self::look_again).
    pub fn turn<H: Host>(&mut self, now: Instant, host: &mut H) {
        self.handle(now, Input::Tick, host);
        self.act(now, host);
    }

    /// Looks at everything again, and asks for everything again, when it is time. Comes after the news and
    /// the packets of a turn, and before a wait for a take-over that is due in a moment.
    pub fn look_again<H: Host>(&mut self, now: Instant, host: &mut H) {
        if self.look_again_at.is_none_or(|at| now < at) {
            return;
        }
        self.look_again_at = None;
        self.is_second_look = true;
        self.prepare_drop_filter(now, host);
        self.look_or_complain(now, host);
        self.handle(now, Input::Overrun, host);
        self.remove_strays(now, host);
    }

    /// Deletes the table of refusals when nothing needs it. Returns whether that was possible.
    pub fn retire_drop_filter<H: Host>(&mut self, host: &mut H) -> bool {
        let outcome = self.drop_filter.retire(host.kernel());
        if let Err(error) = &outcome {
            host.complain(Severity::Warning, error.to_string());
        }
        outcome.is_ok()
    }

    /// Carries out all that the engine wants done.
    fn act<H: Host>(&mut self, now: Instant, host: &mut H) {
        let moved = std::mem::take(&mut self.may_listen_elsewhere);
        let listeners = if moved {
            // New places need their sockets now; old ones send a resignation first.
            let listeners = listeners(&self.engine);
            if !host.listen(&listeners, &self.mirror) {
                self.see_later(now);
            }
            Some(listeners)
        } else {
            None
        };
        if let Err(error) = self.act_once(now, moved, host) {
            // Routers that have to refuse packets are in fault now: their outputs are carried out, too.
            self.drop_filter_failed(now, &error, host);
            if let Err(error) = self.act_once(now, moved, host) {
                self.drop_filter_failed(now, &error, host);
            }
        }
        if let Some(listeners) = listeners {
            host.listen_only(&listeners);
            if !self.refuses && !self.retire_drop_filter(host) {
                self.see_later(now);
            }
        }
    }

    /// `moved` says that interfaces may be gone with what was on them, which no router releases. The error
    /// is the reason for which packets could not be refused.
    fn act_once<H: Host>(&mut self, now: Instant, moved: bool, host: &mut H) -> Result<(), String> {
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            self.sort(output, host);
        }
        self.outputs = outputs;
        host.flush(&self.mirror);
        self.release_routing(now, host);
        let later = self.change_devices(now, host);
        let outcome = self.change_addresses(now, moved, host);
        self.hold_routing(now, host);
        self.retire_devices(now, later, host);
        self.is_second_look = false;
        self.announce(now, host);
        if let Some(desired) = self.wishes.lvs.take()
            && let Err(error) = host.synchronise(desired)
        {
            let text = format!("cannot start a thread for IPVS: {error}");
            host.complain(Severity::Error, text);
            // Then it is wished again.
            self.see_later(now);
        }
        for report in self.wishes.reports.drain(..) {
            host.report(report);
        }
        outcome
    }

    fn sort<H: Host>(&mut self, output: Output, host: &mut H) {
        match output {
            Output::Advertise(advertisement) => host.advertise(advertisement),
            Output::Kernel(desired) => self.wishes.addresses.push(desired),
            Output::Routing(desired) => self.routing.wishes.push(desired),
            Output::Device(device) => {
                // The last wish counts.
                let name = Arc::clone(&device.name);
                self.wishes.devices.insert(name, device);
            }
            // The last wish counts.
            Output::Lvs(desired) => self.wishes.lvs = Some(desired),
            Output::Announce(announcement) => self.wishes.announcements.push(announcement),
            Output::Report(report) => self.wishes.reports.push(report),
        }
    }

    /// Carries out what is to be done to interfaces with virtual MAC addresses before addresses come to
    /// them, and returns what is to be done when they are gone. Nearly always nothing.
    fn change_devices<H: Host>(&mut self, now: Instant, host: &mut H) -> Vec<DeviceChange> {
        let wishes = std::mem::take(&mut self.wishes.devices);
        if wishes.is_empty() {
            return Vec::new();
        }
        // What is wanted now counts, also when that is what there is still.
        host.recall_devices(&|name| wishes.contains_key(name));
        let (first, later): (Vec<_>, Vec<_>) = wishes
            .values()
            .flat_map(|desired| device::plan(desired, &self.mirror))
            .partition(DeviceChange::comes_first);
        if first.is_empty() {
            return later;
        }
        let mut refused = Vec::new();
        let outcome = host.kernel().change_devices(&first, &mut |change, error| {
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
        if let Err(error) = outcome {
            refused.push(format!("cannot change interfaces: {error}"));
        }
        for text in refused {
            host.complain(Severity::Error, text);
            self.see_later(now);
        }
        later
    }

    /// Has interfaces with virtual MAC addresses taken down and away.
    fn retire_devices<H: Host>(&mut self, now: Instant, changes: Vec<DeviceChange>, host: &mut H) {
        if changes.is_empty() {
            return;
        }
        if let Err(error) = host.defer_devices(changes) {
            host.complain(
                Severity::Error,
                format!("cannot change interfaces: {error}"),
            );
            self.see_later(now);
        }
    }

    /// Changes addresses: what is not to be accepted is refused before it is there and until it is gone.
    fn change_addresses<H: Host>(
        &mut self,
        now: Instant,
        moved: bool,
        host: &mut H,
    ) -> Result<(), String> {
        let any = !self.wishes.addresses.is_empty();
        let installed = self
            .drop_filter
            .install(&self.wishes.addresses, host.kernel());
        for mut desired in self.wishes.addresses.drain(..) {
            if installed.is_err() && !desired.accept {
                desired.hold = Arc::default();
            }
            plan(&desired, &mut self.mirror, &mut self.wishes.changes);
        }
        self.apply_changes(now, host);
        let pruned = match any || moved {
            true => self.drop_filter.prune(&self.mirror, host.kernel()),
            false => Ok(()),
        };
        installed.and(pruned).map_err(|error| error.to_string())
    }

    /// Removes addresses with our mark and interfaces of ours that no router wants: an earlier run left
    /// them.
    fn remove_strays<H: Host>(&mut self, now: Instant, host: &mut H) {
        let held: BTreeSet<_> = self.engine.held().collect();
        let wanted = |interface, address| held.contains(&(interface, address));
        strays(&mut self.mirror, wanted, &mut self.wishes.changes);
        for change in &self.wishes.changes {
            host.note(format!("left by an earlier run: {change}"));
        }
        self.apply_changes(now, host);
        let wanted: BTreeSet<&str> = self.engine.devices().map(|name| &**name).collect();
        let left = device::strays(&self.mirror, |name| wanted.contains(name));
        for change in &left {
            host.note(format!("left by an earlier run: {change}"));
        }
        self.retire_devices(now, left, host);
        if let Err(error) = self.drop_filter.prune(&self.mirror, host.kernel()) {
            self.drop_filter_failed(now, &error.to_string(), host);
        }
    }

    fn apply_changes<H: Host>(&mut self, now: Instant, host: &mut H) {
        let Wishes {
            changes,
            failures,
            announcements,
            ..
        } = &mut self.wishes;
        if changes.is_empty() {
            return;
        }
        arrange(changes, &mut self.mirror);
        host.kernel()
            .change_addresses(changes, &mut self.mirror, failures);
        let routing = self.routing.mirror.as_ref();
        if routing.is_some_and(|routing| routing.is_in_doubt_after_own(changes, &self.mirror)) {
            self.look_again_at = Some(now);
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
        host.complain(
            Severity::Error,
            format!("{text}; trying again every second"),
        );
        self.see_later(now);
    }

    /// Announces what is there: an address that the kernel refused, or that left again in the same
    /// turn, is none of ours. What has a pace leaves one after another, in later turns.
    fn announce<H: Host>(&mut self, now: Instant, host: &mut H) {
        if self.wishes.announcements.is_empty() && self.pacer.due().is_none() {
            return;
        }
        let held = |interface, address| self.mirror.held(interface, address).is_some();
        for announcement in self.wishes.announcements.drain(..) {
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
                    host.announce(interface, mac, address.address);
                }
            }
        }
        self.pacer.take(now, held, |interface, mac, address| {
            host.announce(interface, mac, address);
        });
        host.flush(&self.mirror);
    }

    /// Has the table ready before a router needs it.
    fn prepare_drop_filter<H: Host>(&mut self, now: Instant, host: &mut H) {
        if !self.refuses {
            return;
        }
        match self.drop_filter.repair(host.kernel()) {
            Ok(()) => self.handle(now, Input::DropFilter(None), host),
            Err(error) => self.drop_filter_failed(now, &error.to_string(), host),
        }
    }

    /// Tells the engine that packets cannot be refused, and tries again later.
    fn drop_filter_failed<H: Host>(&mut self, now: Instant, error: &str, host: &mut H) {
        host.complain(
            Severity::Error,
            format!("{error}; trying again every second"),
        );
        self.handle(now, Input::DropFilter(Some(error.into())), host);
        self.see_later(now);
    }

    /// Tells the engine what the kernel holds, as far as that is news.
    fn look<H: Host>(&mut self, now: Instant, host: &mut H) -> io::Result<()> {
        let dump = host.kernel().dump()?;
        for input in self.mirror.replace(dump) {
            self.handle(now, input, host);
        }
        self.may_listen_elsewhere = true;
        Ok(())
    }

    fn look_or_complain<H: Host>(&mut self, now: Instant, host: &mut H) {
        if let Err(error) = self.look(now, host) {
            let text = format!("cannot ask the kernel for addresses: {error}");
            host.complain(Severity::Error, text);
            self.see_later(now);
        }
        self.look_at_routing(now, host);
    }

    fn see_later(&mut self, now: Instant) {
        self.look_again_at = Some(now + SECOND_LOOK);
    }
}

/// Routes and rules.
impl Node {
    /// Plans what the engine wants of routes and rules, and takes away what has to go, before any address
    /// does.
    fn release_routing<H: Host>(&mut self, now: Instant, host: &mut H) {
        if self.routing.wishes.is_empty() && !self.routing.is_looked_at {
            return;
        }
        if self.routing.mirror.is_none()
            && let Err(error) = self.open_routing(host)
        {
            self.complain_of_routing(now, &error, host);
        }
        let Routing {
            mirror,
            wishes,
            changes,
            failures,
            is_looked_at,
        } = &mut self.routing;
        if let Some(mirror) = mirror {
            let device = |name: &str| number(&self.mirror, name);
            routing::plan::plan(wishes, device, mirror, changes, failures);
            if std::mem::take(is_looked_at) {
                let first = changes.len();
                let held: BTreeSet<_> = self.engine.held_routing().collect();
                routing::plan::strays(mirror, |what| held.contains(what), changes);
                for change in &changes[first..] {
                    host.note(format!(
                        "left by an earlier run, or by another hand: {change}"
                    ));
                }
            }
            let gone = changes.iter().filter(|change| change.deletes());
            host.kernel().change_routing(gone, mirror, failures);
        }
        wishes.clear();
    }

    /// Adds what is planned, after the addresses: a route may need one of them.
    fn hold_routing<H: Host>(&mut self, now: Instant, host: &mut H) {
        let Routing {
            mirror: Some(mirror),
            changes,
            failures,
            ..
        } = &mut self.routing
        else {
            return;
        };
        let come = changes.iter().filter(|change| !change.deletes());
        host.kernel().change_routing(come, mirror, failures);
        changes.clear();
        let failed = !failures.is_empty();
        for failure in failures.drain(..) {
            let text = format!("{failure}; trying again every second");
            host.complain(Severity::Error, text);
        }
        if mirror.is_empty() && !self.engine.has_routing() {
            self.routing.mirror = None;
            host.kernel().close_routing();
        }
        if failed {
            self.see_later(now);
        }
    }

    /// Tells the engine what of its routes and rules the kernel holds, as far as that is news.
    pub fn look_at_routing<H: Host>(&mut self, now: Instant, host: &mut H) {
        let Some(mirror) = &mut self.routing.mirror else {
            return;
        };
        match host.kernel().dump_routing() {
            Ok(dump) => {
                self.routing.is_looked_at = true;
                for input in mirror.replace(dump) {
                    self.handle(now, input, host);
                }
            }
            Err(error) => self.complain_of_routing(now, &error, host),
        }
    }

    /// Looks for the first time. What is there is not told to the engine: it has said already what it
    /// wants, and the rest was left by an earlier run.
    fn open_routing<H: Host>(&mut self, host: &mut H) -> io::Result<()> {
        let kernel = host.kernel();
        kernel.open_routing()?;
        let mut mirror = routing::mirror::Mirror::new();
        mirror.replace(kernel.dump_routing()?);
        self.routing.mirror = Some(mirror);
        self.routing.is_looked_at = true;
        Ok(())
    }

    /// Removes routes and rules that an earlier run left, when this one has none. A node that has some finds
    /// them at its first look.
    fn clean_routing<H: Host>(&mut self, now: Instant, host: &mut H) {
        match crate::cleanup::routing(host.kernel()) {
            Ok(cleaned) => {
                for what in cleaned.removed {
                    host.note(format!("left by an earlier run: delete the {what}"));
                }
                for failure in cleaned.failures {
                    host.complain(Severity::Error, failure.to_string());
                }
            }
            Err(error) => self.complain_of_routing(now, &error, host),
        }
    }

    fn complain_of_routing<H: Host>(&mut self, now: Instant, error: &io::Error, host: &mut H) {
        let text = format!("cannot ask the kernel for routes: {error}; trying again every second");
        host.complain(Severity::Error, text);
        self.see_later(now);
    }
}

/// The number of the device of that name.
fn number(mirror: &Mirror, name: &str) -> Option<InterfaceIndex> {
    Some(mirror.link_named(name)?.index)
}
