//! The node: a protocol engine, mirrors of the kernel's state, and the work that is still to be done.
//!
//! # A turn
//!
//! 1. The node takes in what has arrived, packets before the tick (see [`Engine`]).
//! 2. If a resynchronisation is due, the node repeats the requests of the engine. One is due
//!    [`SECOND_LOOK`] after the kernel rejected a request. The first one reads the kernel's whole state
//!    again, and so do some of the later ones.
//! 3. If a take-over is due, the engine receives what arrived at the interface and was dropped by this host.
//! 4. The engine does what is due.
//! 5. The node carries out all outputs of the turn together, in this order:
//!    - blocks interfaces with virtual MAC addresses whose routers are no longer master, so that a final
//!      advertisement is the last frame from that address;
//!    - sends advertisements, because the other hosts wait for them, and requests for unicast peers, and tells
//!      the engine what the kernel rejects;
//!    - deletes routes and rules, because they may need an address that is about to be deleted;
//!    - creates interfaces with virtual MAC addresses and sets them up, before addresses are added to them;
//!    - installs drop rules, then changes addresses, then removes the drop rules of deleted addresses;
//!    - adds routes and rules, because they may need an address that was just added;
//!    - reads routes and rules again if the kernel may have deleted some together with an address, and carries
//!      out what the engine requests because of that;
//!    - hands interfaces that are to be deleted to the device reaper, which works on another thread;
//!    - announces the addresses that the mirror holds by now;
//!    - hands over the desired state of the IPVS sync daemon, then the reports;
//!    - listens for conflicts about the addresses that are new.
//!
//! After [`Node::stop`] turns follow until each master has handed over to a successor, or its longest wait for one
//! has passed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::checkpoint::{AddressCheckpoint, Checkpoint};
use vrrp_proto::params::NodeParams;
use vrrp_proto::snapshot::Snapshot;
use vrrp_proto::{
    Announcement, Desired, DesiredDevice, DesiredLvs, DesiredRouting, Engine, Input, Instant,
    InterfaceAddress, InterfaceIndex, Output, Report,
};

use crate::brake;
use crate::change::{Change, Failure};
use crate::device::{self, DeviceChange, Stage};
use crate::device_settings::DeviceSettings;
use crate::drop_filter::DropFilter;
use crate::execution::carry_out;
use crate::host::{Host, Kernel, RejectedAdvert, Severity};
use crate::listeners::{Defended, Listeners, Path, listeners};
use crate::mirror::{Dump, Event, Extent, Mirror, Removals};
use crate::own_sources::OwnSources;
use crate::pacer::Pacer;
use crate::plan::{plan, put_behind_own, strays, unannounced};
use crate::rejections::Rejections;
use crate::reports::Reports;
use crate::routing;
use crate::routing::mirror::Suspect;
use crate::second_look::SecondLook;
use crate::unsent::Unsent;
use crate::witness::{self, Witness};

pub use crate::second_look::SECOND_LOOK;

/// Number of times that a turn carries out outputs, if the kernel rejects some of them.
const ATTEMPTS: u8 = 2;

/// A protocol engine with the mirrors of the kernel's state and the work that is still to be done.
#[derive(Debug, Default)]
pub struct Node {
    engine: Engine,
    mirror: Mirror,
    routing: Routing,
    drop_filter: DropFilter,
    pacer: Pacer,
    repaired: brake::Announcements,
    own_sources: OwnSources,
    device_settings: DeviceSettings,
    witness: Witness,
    /// Addresses for which the host listens for conflicts.
    defended: Defended,
    /// Whether a router changed its state in this turn.
    has_transition: bool,
    /// Interfaces with virtual MAC addresses that are known to be unblocked: see [`DeviceChange::Block`].
    unblocked: BTreeSet<InterfaceIndex>,
    /// Whether a router with `acceptMode = false` is configured.
    refuses: bool,
    /// Time of the last repair of the drop filter's table.
    repaired_at: Option<Instant>,
    second_look: SecondLook,
    /// Whether this turn resynchronised. The engine has not announced the addresses that such a turn adds.
    is_second_look: bool,
    /// Whether the set of listening endpoints may have changed.
    may_listen_elsewhere: bool,
    /// Endpoints without a socket, because the kernel refused one.
    deaf: BTreeSet<Path>,
    leftovers: Leftovers,
    rejections: Rejections,
    unsent: Unsent,
    reports: Reports,
    is_stopping: bool,
    /// Outputs of the engine in this turn, in their order.
    outputs: Vec<Output>,
    wishes: Wishes,
}

/// Outputs of the engine in this turn, by kind. The allocations are kept from turn to turn.
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

/// Whether something that an earlier run left may still exist. No mirror shows it, because this
/// configuration has nothing of that kind.
#[derive(Debug, Default)]
struct Leftovers {
    /// The table of the drop filter.
    table: bool,
    /// Routes and rules.
    routing: bool,
}

/// Routes and rules. The mirror exists, and the node receives route events, only while a router has routes
/// or rules.
#[derive(Debug, Default)]
struct Routing {
    mirror: Option<routing::mirror::Mirror>,
    wishes: Vec<DesiredRouting>,
    changes: Vec<routing::change::Change>,
    failures: Vec<routing::change::Failure>,
    /// Whether the next changes delete the routes and rules of the mirror that no router wants: after a dump, and
    /// when a deletion that the kernel rejected is repeated.
    removes_strays: bool,
    /// Changes since the last dump with which the kernel may have deleted routes.
    suspects: Vec<Suspect>,
}

impl Node {
    /// Returns a node without a configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Protocol engine of this node.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Status of the node. The cost grows with the number of routers and their addresses.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut snapshot = self.engine.snapshot(now);
        self.rejections
            .complete(&mut snapshot, &self.engine, &self.mirror);
        snapshot
    }

    /// Links and addresses of the kernel, as far as known.
    pub const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Whether [`stop`](Self::stop) was called.
    pub const fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Whether the node was stopped and holds no address for a successor any more: the turn that follows is
    /// the last one.
    pub fn has_ended(&self) -> bool {
        self.is_stopping && !self.engine.is_handing_over()
    }

    /// Whether no resynchronisation is pending, so that the kernel has rejected nothing that is still
    /// wanted.
    pub const fn is_content(&self) -> bool {
        self.second_look.due().is_none()
    }

    /// Next deadline of the node itself, in addition to the engine's deadlines.
    pub fn due(&self) -> Option<Instant> {
        let all = [
            self.second_look.due(),
            self.pacer.due(),
            self.witness.due(),
            self.repaired.due(),
            self.reports.due(),
        ];
        all.into_iter().flatten().min()
    }

    /// Starts to run `params`: adopts the addresses of an earlier daemon that are still wanted, and removes
    /// the rest.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be read.
    pub fn start<H: Host>(
        &mut self,
        now: Instant,
        wall: Duration,
        params: NodeParams,
        host: &mut H,
    ) -> io::Result<()> {
        self.begin(now, wall, params, None, host)
    }

    /// As [`start`](Self::start), and continues with what an earlier process has [left](Self::hand_over).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn resume<H: Host>(
        &mut self,
        now: Instant,
        wall: Duration,
        params: NodeParams,
        left: Checkpoint,
        host: &mut H,
    ) -> io::Result<()> {
        self.begin(now, wall, params, Some(left), host)
    }

    fn begin<H: Host>(
        &mut self,
        now: Instant,
        wall: Duration,
        params: NodeParams,
        left: Option<Checkpoint>,
        host: &mut H,
    ) -> io::Result<()> {
        let dump = host.kernel().dump_first()?;
        self.take_in(now, dump, host);
        let mut adopted = Vec::new();
        if let Some(left) = left {
            adopted.clone_from(&left.addresses);
            adopted.retain(|it| self.mirror.adopt(it.interface, it.address, it.form));
            self.handle(now, Input::Resume(left), host);
            // An address that is new in this configuration is announced when it is added.
            self.is_second_look = true;
        }
        if params.refuses() {
            self.drop_filter.adopt(&self.mirror);
        }
        self.configure(now, wall, params, host);
        self.act(now, host);
        self.keep(now, &adopted, host);
        self.remove_strays(now, host);
        self.restore_routing(now, host);
        // Otherwise the table of this run has replaced that of an earlier one, and the first dump of routes
        // and rules finds those of an earlier one.
        self.leftovers = Leftovers {
            table: !self.refuses,
            routing: !self.engine.has_routing(),
        };
        self.remove_leftovers(now, host);
        Ok(())
    }

    /// Replaces the running configuration with `params`.
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
        self.unsent.forget();
        self.may_listen_elsewhere = true;
    }

    /// Passes an input to the engine and collects the outputs.
    pub fn handle<H: Host>(&mut self, now: Instant, input: Input<'_>, host: &mut H) {
        host.before(now, &input, &self.engine);
        self.engine.handle(now, input);
        let first = self.outputs.len();
        self.outputs
            .extend(std::iter::from_fn(|| self.engine.poll()));
        host.after(&self.outputs[first..], &self.engine, &self.mirror);
    }

    /// Stops all routers: a master resigns and hands over. The node goes on until it [has
    /// ended](Self::has_ended). A second call releases all addresses at once.
    pub fn stop<H: Host>(&mut self, now: Instant, host: &mut H) {
        self.handle(now, Input::Stop, host);
        self.is_stopping = true;
    }

    /// Leaves everything to a successor, as it is: returns the learned state, and the lifetime of the
    /// addresses. The kernel deletes the virtual addresses by itself unless a successor keeps them: before a
    /// backup takes over, or after a second, which is the shortest lifetime of an address. No turn follows.
    ///
    /// # Errors
    ///
    /// When the kernel rejects that. The node can go on.
    pub fn hand_over<H: Host>(
        &mut self,
        now: Instant,
        host: &mut H,
    ) -> io::Result<(Checkpoint, Duration)> {
        self.handle(now, Input::Leave, host);
        self.act(now, host);
        let mut checkpoint = self.engine.checkpoint(now);
        checkpoint.addresses = self
            .engine
            .held()
            .filter_map(|(interface, address)| {
                let form = self.mirror.form_of_ours(interface, address)?;
                Some(AddressCheckpoint {
                    interface,
                    address,
                    form,
                })
            })
            .collect();
        let wait = self.engine.shortest_wait().unwrap_or_default();
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
        let additions: Vec<Change> = checkpoint.addresses.iter().map(addition).collect();
        let outcome = host.kernel().limit_lifetimes(&additions, Some(seconds));
        if let Err(error) = outcome {
            let _ = host.kernel().limit_lifetimes(&additions, None);
            return Err(error);
        }
        Ok((checkpoint, Duration::from_secs(seconds.into())))
    }

    /// Lets the kernel keep the addresses of masters that an earlier process has left.
    fn keep<H: Host>(&mut self, now: Instant, adopted: &[AddressCheckpoint], host: &mut H) {
        let held: BTreeSet<_> = self.engine.held().collect();
        let kept = adopted
            .iter()
            .filter(|it| held.contains(&(it.interface, it.address)));
        let additions: Vec<Change> = kept.map(addition).collect();
        if !additions.is_empty()
            && let Err(error) = host.kernel().limit_lifetimes(&additions, None)
        {
            let text = format!(
                "cannot keep the addresses of the former process: {error}; the kernel deletes them in a \
                 moment, and they are added again then"
            );
            host.complain(Severity::Error, text);
            self.see_later(now);
        }
    }

    /// Applies the kernel's events about links and addresses to the mirror and passes the news to the
    /// engine.
    pub fn take_news<H: Host>(
        &mut self,
        now: Instant,
        events: impl Iterator<Item = Event>,
        host: &mut H,
    ) {
        let mut removals = Removals::default();
        for event in events {
            if let Some(routing) = &self.routing.mirror {
                let suspect = routing.suspect(&event, &self.mirror);
                self.routing.suspects.extend(suspect);
            }
            let gone = match &event {
                Event::AddressRemoved(interface, address, _) => {
                    self.mirror.held(*interface, *address)
                }
                Event::AddressAdded(..) | Event::Link(_) | Event::LinkRemoved(_) => None,
            };
            let Some(input) = self.mirror.apply(event) else {
                continue;
            };
            self.may_listen_elsewhere = true;
            if matches!(input, Input::AddressAdded { .. }) {
                // A removed address may be added again.
                for removal in removals.take() {
                    self.handle(now, removal, host);
                }
            }
            let input = match (input, gone) {
                (
                    Input::AddressRemoved {
                        interface, loss, ..
                    },
                    Some(held),
                ) => removals.add(interface, held, loss),
                (input, _) => Some(input),
            };
            if let Some(input) = input {
                self.handle(now, input, host);
            }
        }
        for removal in removals.take() {
            self.handle(now, removal, host);
        }
        self.no_news_waits();
        self.settle_doubts(now, host);
    }

    /// Notes that no event about links and addresses waits to be read: later events are about changes after
    /// the requests that were made so far.
    pub fn no_news_waits(&mut self) {
        self.mirror.no_news_waits();
    }

    /// Schedules a resynchronisation at `at` that reads the kernel's whole state: events were lost, or cannot
    /// be received.
    pub fn look_at(&mut self, at: Instant) {
        self.second_look.read_at(at);
    }

    /// Schedules a resynchronisation in [`SECOND_LOOK`]: the kernel rejected a request.
    pub fn see_later(&mut self, now: Instant) {
        self.second_look.repeat(now);
    }

    /// Recreates the drop filter's table after another program changed it. At most once in [`SECOND_LOOK`],
    /// because two programs that undo each other's changes would otherwise do so without a pause.
    pub fn repair_drop_rules<H: Host>(&mut self, now: Instant, host: &mut H) {
        self.drop_filter.doubt();
        let lately = |at| now.since(at) < SECOND_LOOK;
        if self.repaired_at.is_some_and(lately) {
            self.see_later(now);
            return;
        }
        self.repaired_at = Some(now);
        match self.drop_filter.repair(host.kernel()) {
            Ok(()) => {
                let text = "another program changed the nf_tables table inet vrrpd, which drops packets \
                            to addresses with acceptMode = false; recreated the table";
                host.complain(Severity::Warning, text.to_owned());
            }
            Err(error) => self.drop_filter_failed(now, &error.to_string(), host),
        }
    }

    /// Ticks the engine and carries out all outputs of this turn. To be called after
    /// [`look_again`](Self::look_again).
    pub fn turn<H: Host>(&mut self, now: Instant, host: &mut H) {
        if self.consult_wire(now, host) {
            let witnessed = self.witness.take(now, &self.engine);
            let packets = witness::packets(&witnessed);
            self.handle(now, Input::Witnessed(&packets), host);
        }
        self.handle(now, Input::Tick, host);
        self.refuses &= !self.has_ended();
        self.act(now, host);
    }

    /// Reads what arrived at the interfaces of silent backups, if a take-over is due. Returns whether there
    /// is anything for that router: then the caller reads its sockets once more before the
    /// [`turn`](Self::turn), because a packet reaches the socket a moment after it arrived at the interface.
    pub fn consult_wire<H: Host>(&mut self, now: Instant, host: &mut H) -> bool {
        self.witness.consult(now, &self.engine, host)
    }

    /// Resynchronises if that is due: repeats all requests of the engine, and reads the kernel's whole state
    /// before, unless a request that the kernel keeps rejecting is the only reason. To be called after the
    /// events and packets of a turn, and before a wait for a take-over that is due in a moment.
    pub fn look_again<H: Host>(&mut self, now: Instant, host: &mut H) {
        let Some(reads) = self.second_look.take(now) else {
            return;
        };
        self.is_second_look = true;
        self.prepare_drop_filter(now, host);
        if reads {
            self.look_or_complain(now, host);
        }
        self.rejections.forget_unwanted(&self.engine);
        // Sockets that could not be opened.
        self.may_listen_elsewhere = true;
        self.handle(now, Input::Overrun, host);
        self.routing.removes_strays = true;
        self.remove_strays(now, host);
        self.remove_leftovers(now, host);
    }

    /// Deletes the drop filter's table when no address needs it. Returns `false` when the kernel rejected
    /// that.
    pub fn retire_drop_filter<H: Host>(&mut self, host: &mut H) -> bool {
        let outcome = self.drop_filter.retire(host.kernel());
        if let Err(error) = &outcome {
            host.complain(Severity::Warning, error.to_string());
        }
        outcome.is_ok()
    }

    /// Carries out the outputs of the engine.
    fn act<H: Host>(&mut self, now: Instant, host: &mut H) {
        let moved = std::mem::take(&mut self.may_listen_elsewhere);
        let listeners = if moved {
            // New endpoints need their sockets now. The old ones stay open until the end, for final
            // advertisements.
            let listeners = listeners(&self.engine);
            self.listen(now, &listeners, host);
            self.own_sources.set(&listeners);
            Some(listeners)
        } else {
            None
        };
        // Routers that need drop rules or the rejected addresses are in fault then: their outputs are carried
        // out as well.
        for _ in 0..ATTEMPTS {
            let outcome = self.act_once(now, moved, host);
            let is_rejected = self.pass_on_rejections(now, host);
            match outcome {
                Err(error) => self.drop_filter_failed(now, &error, host),
                Ok(()) if !is_rejected => break,
                Ok(()) => {}
            }
        }
        self.restore_routing(now, host);
        if let Some(listeners) = listeners {
            host.listen_only(&listeners);
            if !self.refuses && !self.retire_drop_filter(host) {
                self.see_later(now);
            }
        }
        if self.has_ended() {
            self.witness.end(&self.mirror, host);
            self.own_sources.set(&Listeners::new());
        } else {
            self.witness
                .update(now, moved, &mut self.engine, &self.mirror, host);
        }
        if std::mem::take(&mut self.has_transition) || moved {
            self.defend(host);
        }
        if !self.own_sources.check(now, &self.mirror, host) {
            self.see_later(now);
        }
        let any = || self.engine.devices().next().is_some();
        self.device_settings.check(now, any, &self.mirror, host);
    }

    /// Has the host listen for conflicts about the addresses of the present masters.
    fn defend<H: Host>(&mut self, host: &mut H) {
        let defended: Defended = self.engine.defended().collect();
        if self.defended == defended {
            return;
        }
        match host.defend(&defended) {
            Ok(()) => self.defended = defended,
            Err(error) => {
                let text = format!(
                    "cannot start the thread that listens for address conflicts: {error}; trying again at the \
                     next transition"
                );
                host.complain(Severity::Warning, text);
            }
        }
    }

    /// Tells the engine which addresses the kernel rejects for a reason that lasts. Returns whether there is
    /// anything new.
    fn pass_on_rejections<H: Host>(&mut self, now: Instant, host: &mut H) -> bool {
        let news = self.rejections.take_news();
        let any = !news.is_empty();
        for (interface, address, error) in news {
            let input = Input::Rejected {
                interface,
                address,
                error,
            };
            self.handle(now, input, host);
        }
        any
    }

    /// Opens the sockets of `listeners`. A router whose socket cannot be opened is in fault until it can: it
    /// would take the silence of a socket that does not exist for that of a master.
    fn listen<H: Host>(&mut self, now: Instant, listeners: &Listeners, host: &mut H) {
        let failures = host.listen(listeners);
        let former = std::mem::take(&mut self.deaf);
        for (path, error) in failures {
            let (interface, family) = path;
            let name = self.mirror.name(interface);
            let text =
                format!("cannot open a raw socket for {family} on {name}: {error}; retrying");
            host.complain(Severity::Error, text);
            self.see_later(now);
            self.deaf.insert(path);
            let error = Some(error.to_string().into());
            let input = Input::Listening {
                interface,
                family,
                error,
            };
            self.handle(now, input, host);
        }
        for (interface, family) in former {
            if !self.deaf.contains(&(interface, family)) {
                let input = Input::Listening {
                    interface,
                    family,
                    error: None,
                };
                self.handle(now, input, host);
            }
        }
    }

    /// Carries out the collected outputs once. `moved` says that interfaces may have disappeared together
    /// with their addresses, which no router releases then. Returns the reason why drop rules could not be
    /// installed.
    fn act_once<H: Host>(&mut self, now: Instant, moved: bool, host: &mut H) -> Result<(), String> {
        self.sort_all(host);
        let mut first = self.plan_devices(host);
        let mut next = first.split_off(starts(&first, Stage::BeforeAddresses));
        let later = next.split_off(starts(&next, Stage::AfterAddresses));
        self.change_devices(now, &first, host);
        host.flush(&self.mirror, &mut self.unsent.rejected);
        self.pass_on_unsent(now, host);
        self.release_routing(now, host);
        self.change_devices(now, &next, host);
        let outcome = self.change_addresses(now, moved, host);
        self.hold_routing(now, host);
        self.retire_devices(now, later, host);
        self.is_second_look = false;
        self.announce(now, host);
        if let Some(desired) = self.wishes.lvs.take()
            && let Err(error) = host.synchronise(desired)
        {
            let text = format!(
                "cannot start the thread that controls the IPVS sync daemon: {error}; \
                 trying again every second"
            );
            host.complain(Severity::Error, text);
            // A resynchronisation makes the engine request it again.
            self.see_later(now);
        }
        let confirmed = self.reports.confirm(
            now,
            &mut self.wishes.reports,
            &self.engine,
            &self.mirror,
            self.routing.mirror.as_ref(),
        );
        for report in confirmed {
            host.report(report);
        }
        outcome
    }

    /// Tells the engine which advertisements the kernel rejects. A router that preempted another one becomes
    /// backup because of that, before its addresses are added.
    fn pass_on_unsent<H: Host>(&mut self, now: Instant, host: &mut H) {
        let (news, rejected) = self.unsent.take();
        for RejectedAdvert {
            interface,
            source,
            error,
            ..
        } in rejected
        {
            let name = self.mirror.name(interface);
            let hint = match error.kind() == ErrorKind::PermissionDenied {
                true => ": a firewall rule of this host drops VRRP (protocol 112) in its output",
                false => "",
            };
            let text =
                format!("cannot send an advertisement on {name} from {source}: {error}{hint}");
            host.complain(Severity::Warning, text);
        }
        for input in news {
            self.handle(now, input, host);
        }
        self.sort_all(host);
    }

    fn sort_all<H: Host>(&mut self, host: &mut H) {
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            self.sort(output, host);
        }
        self.outputs = outputs;
    }

    fn sort<H: Host>(&mut self, output: Output, host: &mut H) {
        match output {
            Output::Advertise(advertisement) => {
                self.unsent.queue(&advertisement);
                host.advertise(advertisement);
            }
            Output::Kernel(desired) => self.wishes.addresses.push(desired),
            Output::Routing(desired) => self.routing.wishes.push(desired),
            Output::Device(device) => {
                // The last request of a turn counts.
                let name = Arc::clone(&device.name);
                self.wishes.devices.insert(name, device);
            }
            // The last request of a turn counts.
            Output::Lvs(desired) => self.wishes.lvs = Some(desired),
            Output::Announce(announcement) => self.wishes.announcements.push(announcement),
            Output::Solicit(solicitation) => host.solicit(solicitation),
            Output::Report(report) => {
                self.has_transition |= matches!(report, Report::Transition(_));
                self.wishes.reports.push(report);
            }
        }
    }

    /// Returns the changes of interfaces with virtual MAC addresses in the order of their
    /// [stages](DeviceChange::stage). Nearly always there are none.
    fn plan_devices<H: Host>(&mut self, host: &mut H) -> Vec<DeviceChange> {
        let wishes = std::mem::take(&mut self.wishes.devices);
        if wishes.is_empty() {
            return Vec::new();
        }
        // The new desired state replaces deferred changes, even where it equals the present state.
        host.recall_devices(&|name| wishes.contains_key(name));
        let (mirror, unblocked) = (&self.mirror, &mut self.unblocked);
        unblocked.retain(|index| mirror.link(*index).is_some());
        let mut changes: Vec<_> = wishes
            .values()
            .flat_map(|desired| device::plan(desired, mirror, |index| unblocked.contains(&index)))
            .collect();
        changes.sort_by_key(DeviceChange::stage);
        changes
    }

    /// Carries out changes of interfaces with virtual MAC addresses that the device reaper does not make.
    fn change_devices<H: Host>(&mut self, now: Instant, changes: &[DeviceChange], host: &mut H) {
        if changes.is_empty() {
            return;
        }
        let mut refused = Vec::new();
        for change in changes {
            match change {
                DeviceChange::Block { index, .. }
                | DeviceChange::SetMac {
                    index,
                    blocks: true,
                    ..
                } => drop(self.unblocked.remove(index)),
                DeviceChange::Unblock { index, .. } => drop(self.unblocked.insert(*index)),
                DeviceChange::Create { .. }
                | DeviceChange::SetMac { .. }
                | DeviceChange::Set { .. }
                | DeviceChange::Delete { .. } => {}
            }
        }
        let unblocked = &mut self.unblocked;
        let outcome = host.kernel().change_devices(changes, &mut |change, error| {
            if let DeviceChange::Unblock { index, .. } = change {
                unblocked.remove(index);
            }
            let hint = match (change, error.kind()) {
                (DeviceChange::Create { .. }, ErrorKind::Unsupported) => {
                    " (this kernel has no macvlan: load the module, or remove virtualMac)"
                }
                (DeviceChange::Block { .. }, _) => {
                    " (frames from the virtual MAC address may mislead the switches for 0.1 s)"
                }
                (DeviceChange::SetMac { .. }, ErrorKind::AlreadyExists) => {
                    " (vrrpd did not make that interface: rename or delete it)"
                }
                (_, ErrorKind::AddrInUse) => {
                    " (another interface with this MAC address is up: is a second VRRP daemon running?)"
                }
                _ => "",
            };
            refused.push(format!(
                "cannot {change}: {error}{hint}; trying again every second"
            ));
        });
        if let Err(error) = outcome {
            self.unblocked.clear();
            refused.push(format!(
                "cannot change interfaces with virtual MAC addresses: {error}; \
                 trying again every second"
            ));
        }
        for text in refused {
            host.complain(Severity::Error, text);
            self.see_later(now);
        }
    }

    /// Hands interfaces that are to be set down or deleted to the device reaper.
    fn retire_devices<H: Host>(&mut self, now: Instant, changes: Vec<DeviceChange>, host: &mut H) {
        if changes.is_empty() {
            return;
        }
        if let Err(error) = host.defer_devices(changes) {
            host.complain(
                Severity::Error,
                format!(
                    "cannot set down or delete interfaces with virtual MAC addresses: {error}; \
                     trying again every second"
                ),
            );
            self.see_later(now);
        }
    }

    /// Changes addresses. A drop rule is installed before its address is added and removed after it is
    /// deleted.
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
            // Without drop rules an address with `acceptMode = false` must not be added: the host would
            // accept packets to it.
            if installed.is_err() && !desired.accept {
                desired.hold = Arc::default();
            }
            plan(&desired, &mut self.mirror, &mut self.wishes.changes);
        }
        self.put_behind_own(host);
        self.apply_changes(now, host);
        let pruned = match any || moved {
            true => self.drop_filter.prune(&self.mirror, host.kernel()),
            false => Ok(()),
        };
        installed.and(pruned).map_err(|error| error.to_string())
    }

    /// Puts virtual addresses behind the host's own one of their network.
    fn put_behind_own<H: Host>(&mut self, host: &mut H) {
        let engine = &self.engine;
        let wanted = |interface, address| engine.held().any(|held| held == (interface, address));
        for moved in put_behind_own(&mut self.mirror, wanted, &mut self.wishes.changes) {
            host.note(format!(
                "{}: put the virtual address {} behind {}, so that the host sends from its own address",
                self.mirror.name(moved.interface),
                moved.address,
                moved.own
            ));
        }
    }

    /// Deletes addresses with the daemon's mark and interfaces with virtual MAC addresses that no router
    /// wants: an earlier run left them.
    fn remove_strays<H: Host>(&mut self, now: Instant, host: &mut H) {
        // Before their addresses are deleted, as at a final advertisement.
        let serving: BTreeSet<&str> = self.engine.serving_devices().map(|name| &**name).collect();
        let idle = device::idle(&self.mirror, |name| serving.contains(name));
        self.change_devices(now, &idle, host);
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

    /// Deletes what an earlier run left and this configuration does not have. A request that the kernel
    /// rejects is repeated at the next resynchronisation.
    fn remove_leftovers<H: Host>(&mut self, now: Instant, host: &mut H) {
        // A reload may have made use of them.
        self.leftovers.table &= !self.refuses;
        self.leftovers.routing &= !self.engine.has_routing();
        if self.leftovers.table {
            match host.kernel().delete_drop_rules() {
                Ok(existed) => {
                    self.leftovers.table = false;
                    if existed {
                        let text =
                            "left by an earlier run: the table inet vrrpd of nf_tables; deleted";
                        host.note(text.to_owned());
                    }
                }
                Err(error) => {
                    let text = format!("{error}; trying again every second");
                    host.complain(Severity::Warning, text);
                    self.see_later(now);
                }
            }
        }
        if self.leftovers.routing {
            self.leftovers.routing = !self.clean_routing(now, host);
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
        for rejected in carry_out(changes, &mut self.mirror, failures, host.kernel()) {
            host.complain(Severity::Warning, rejected.to_string());
        }
        self.rejections.record(changes, failures);
        if let Some(routing) = &self.routing.mirror {
            let suspects = routing.suspects(changes, &self.mirror);
            self.routing.suspects.extend(suspects);
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
            others => format!("{first} (and {others} more failures)"),
        };
        failures.clear();
        host.complain(
            Severity::Error,
            format!("{text}; trying again every second"),
        );
        self.see_later(now);
    }

    /// Announces addresses that the interface holds. An address that the kernel rejected, or that was
    /// deleted again in the same turn, is left out. Announcements with a pace are sent one after another,
    /// in later turns.
    fn announce<H: Host>(&mut self, now: Instant, host: &mut H) {
        let waits = self.pacer.due().is_some() || self.repaired.due().is_some();
        if self.wishes.announcements.is_empty() && !waits {
            return;
        }
        let kept: BTreeSet<_> = self.engine.kept().collect();
        let held = |interface, address| {
            self.mirror.held(interface, address).is_some() && !kept.contains(&(interface, address))
        };
        let repairs: Vec<_> = self.wishes.reports.iter().filter_map(repair_of).collect();
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
            let next = brake::Next { mac, burst };
            let mut is_delayed = |address: InterfaceAddress| {
                repairs.contains(&(interface, address))
                    && held(interface, address)
                    && !self.repaired.admit(now, interface, address, next)
            };
            let delayed: Vec<_> = addresses.iter().filter(|a| is_delayed(**a)).collect();
            for _ in 0..burst {
                let there = |address: &&InterfaceAddress| {
                    held(interface, **address) && !delayed.contains(address)
                };
                for address in addresses.iter().filter(there) {
                    host.announce(interface, mac, address.address);
                }
            }
        }
        self.repaired.take(now, |interface, address, next| {
            if held(interface, address) {
                for _ in 0..next.burst {
                    host.announce(interface, next.mac, address.address);
                }
            }
        });
        self.pacer.take(now, held, |interface, mac, address| {
            host.announce(interface, mac, address);
        });
        // No advertisement is left by now.
        host.flush(&self.mirror, &mut Vec::new());
    }

    /// Creates the drop filter's table before a router needs it.
    fn prepare_drop_filter<H: Host>(&mut self, now: Instant, host: &mut H) {
        if !self.refuses {
            return;
        }
        match self.drop_filter.repair(host.kernel()) {
            Ok(()) => self.handle(now, Input::DropFilter(None), host),
            Err(error) => self.drop_filter_failed(now, &error.to_string(), host),
        }
    }

    /// Reports to the engine that drop rules cannot be installed, and schedules a resynchronisation.
    fn drop_filter_failed<H: Host>(&mut self, now: Instant, error: &str, host: &mut H) {
        host.complain(
            Severity::Error,
            format!("{error}; trying again every second"),
        );
        self.handle(now, Input::DropFilter(Some(error.into())), host);
        self.see_later(now);
    }

    /// Replaces the mirror with a dump and passes the differences to the engine.
    fn take_in<H: Host>(&mut self, now: Instant, dump: Dump, host: &mut H) {
        if dump.extent == Extent::Interrupted {
            self.second_look.complete(now);
        }
        for input in self.mirror.replace(dump) {
            self.handle(now, input, host);
        }
        self.may_listen_elsewhere = true;
    }

    fn look_or_complain<H: Host>(&mut self, now: Instant, host: &mut H) {
        match host.kernel().dump() {
            Ok(dump) => self.take_in(now, dump, host),
            Err(error) => self.cannot_read(now, "links and addresses", &error, host),
        }
        self.settle_doubts(now, host);
        self.look_at_routing(now, host);
    }

    /// Reads the interfaces again about which the mirror is in doubt.
    fn settle_doubts<H: Host>(&mut self, now: Instant, host: &mut H) {
        for interface in self.mirror.in_doubt().clone() {
            match host.kernel().dump_interface(interface) {
                Ok(dump) => self.take_in(now, dump, host),
                Err(error) => {
                    let what = format!("{} and its addresses", self.mirror.name(interface));
                    self.cannot_read(now, &what, &error, host);
                }
            }
        }
    }

    fn cannot_read<H: Host>(&mut self, now: Instant, what: &str, error: &io::Error, host: &mut H) {
        let text =
            format!("cannot read {what} from the kernel: {error}; trying again every second");
        host.complain(Severity::Error, text);
        self.look_at(now + SECOND_LOOK);
    }
}

/// Handling of routes and rules.
impl Node {
    /// Plans the engine's requests for routes and rules, and deletes those that have to go, before any
    /// address is deleted.
    fn release_routing<H: Host>(&mut self, now: Instant, host: &mut H) {
        if self.routing.wishes.is_empty() && !self.routing.removes_strays {
            return;
        }
        if self.routing.mirror.is_none()
            && let Err(error) = self.open_routing(host)
        {
            self.cannot_read(now, "routes and rules", &error, host);
        }
        let Routing {
            mirror,
            wishes,
            changes,
            failures,
            removes_strays,
            suspects: _,
        } = &mut self.routing;
        if let Some(mirror) = mirror {
            let device = |name: &str| number(&self.mirror, name);
            routing::plan::plan(wishes, device, mirror, changes, failures);
            if std::mem::take(removes_strays) {
                let first = changes.len();
                let held: BTreeSet<_> = self.engine.held_routing().collect();
                routing::plan::strays(mirror, |what| held.contains(what), changes);
                for change in &changes[first..] {
                    host.note(format!(
                        "left by an earlier run, or added by another program: {change}"
                    ));
                }
            }
            let gone = changes.iter().filter(|change| change.deletes());
            host.kernel().change_routing(gone, mirror, failures);
        }
        wishes.clear();
    }

    /// Adds the planned routes and rules, after the addresses: a route may need one of them.
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

    /// Reads the routes and rules that bear the daemon's mark and passes the differences to the engine.
    pub fn look_at_routing<H: Host>(&mut self, now: Instant, host: &mut H) {
        let suspects = std::mem::take(&mut self.routing.suspects);
        let Some(mirror) = &mut self.routing.mirror else {
            return;
        };
        match host.kernel().dump_routing() {
            Ok(dump) => {
                self.routing.removes_strays = true;
                for input in mirror.replace(dump, &suspects) {
                    self.handle(now, input, host);
                }
            }
            Err(error) => self.cannot_read(now, "routes and rules", &error, host),
        }
    }

    /// Restores the routes that the kernel may have deleted because of an event, or together with an address
    /// that this turn deleted. The kernel sends no event about the routes.
    fn restore_routing<H: Host>(&mut self, now: Instant, host: &mut H) {
        if self.routing.suspects.is_empty() {
            return;
        }
        self.look_at_routing(now, host);
        if let Err(error) = self.act_once(now, false, host) {
            self.drop_filter_failed(now, &error, host);
        }
    }

    /// Starts to watch routes and rules, and reads them for the first time. The engine does not receive the
    /// result: it has already said what it wants, and the rest was left by an earlier run.
    fn open_routing<H: Host>(&mut self, host: &mut H) -> io::Result<()> {
        let kernel = host.kernel();
        kernel.open_routing()?;
        let mut mirror = routing::mirror::Mirror::new();
        mirror.replace(kernel.dump_routing()?, &[]);
        self.routing.mirror = Some(mirror);
        self.routing.removes_strays = true;
        Ok(())
    }

    /// Deletes routes and rules that an earlier run left, when the present configuration has none. Returns
    /// whether none is left. With routes or rules in the configuration, the first dump finds them.
    fn clean_routing<H: Host>(&mut self, now: Instant, host: &mut H) -> bool {
        let cleaned = match crate::cleanup::routing(host.kernel()) {
            Ok(cleaned) => cleaned,
            Err(error) => {
                self.cannot_read(now, "routes and rules", &error, host);
                return false;
            }
        };
        for what in cleaned.removed {
            host.note(format!("left by an earlier run: delete the {what}"));
        }
        let is_clean = cleaned.failures.is_empty();
        for failure in cleaned.failures {
            let text = format!("{failure}; trying again every second");
            host.complain(Severity::Error, text);
            self.see_later(now);
        }
        is_clean
    }
}

/// Returns the address that a report says to be restored.
const fn repair_of(report: &Report) -> Option<(InterfaceIndex, InterfaceAddress)> {
    if let Report::Repaired {
        interface, address, ..
    } = report
    {
        Some((*interface, *address))
    } else {
        None
    }
}

/// Request that adds an address, in the form in which the kernel holds it.
const fn addition(held: &AddressCheckpoint) -> Change {
    Change::Add {
        interface: held.interface,
        address: held.address,
        form: held.form,
    }
}

/// Position of the first change of `stage` or a later one in sorted `changes`.
fn starts(changes: &[DeviceChange], stage: Stage) -> usize {
    changes.partition_point(|change| change.stage() < stage)
}

/// Index of the link with that name.
fn number(mirror: &Mirror, name: &str) -> Option<InterfaceIndex> {
    Some(mirror.link_named(name)?.index)
}

#[cfg(test)]
mod tests;
