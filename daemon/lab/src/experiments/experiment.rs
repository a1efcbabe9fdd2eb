//! A running experiment: the hosts with their services, the observers, and waiting for events.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::{AddressWatch, Client, Error, Moment, Result, held_twice, stall_detector};
use vrrp_proto::State;
use vrrp_proto::snapshot::RouterStatus;

use super::course::{Instance, Role};
use super::fixture::{Fixture, Machine};
use super::millis;
use super::report::{Drawing, Observed, Times, Wire};

/// Time limit for events that either happen at once or never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Time without a change after which the hosts count as being at rest.
const REST: Duration = Duration::from_millis(250);

/// Two hosts under observation.
pub(crate) struct Experiment<'h> {
    pub(crate) fixture: &'h Fixture,
    pub(crate) master: Machine<'h>,
    pub(crate) backup: Machine<'h>,
    watches: [AddressWatch; 2],
    /// One client for each instance.
    clients: Vec<Client>,
    /// Captures of each network, for the report; otherwise none.
    wires: Vec<Wire>,
    begun: Moment,
}

/// Time in which both hosts held an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overlap {
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

impl<'h> Experiment<'h> {
    pub(crate) fn new(fixture: &'h Fixture, has_report: bool) -> Result<Self> {
        let clients = fixture
            .instances
            .iter()
            .map(|instance| fixture.client.client(instance.vip));
        let wires = fixture.networks.iter().filter(|_| has_report);
        Ok(Self {
            fixture,
            master: Machine::new(fixture, Role::Master),
            backup: Machine::new(fixture, Role::Backup),
            watches: [
                fixture.master.watch_addresses()?,
                fixture.backup.watch_addresses()?,
            ],
            clients: clients.collect::<Result<_>>()?,
            wires: wires.map(Wire::new).collect::<Result<_>>()?,
            begun: Moment::now(),
        })
    }

    pub(crate) const fn machine(&self, role: Role) -> &Machine<'h> {
        match role {
            Role::Master => &self.master,
            Role::Backup => &self.backup,
        }
    }

    /// Daemon of a host, which must have been started.
    pub(crate) fn daemon(&self, role: Role) -> Result<&Vrrpd<'h>> {
        self.machine(role).daemon().ok_or_else(|| {
            let doing = format!("looking for the daemon of {}", role.name());
            Error::new(doing, "the daemon was not started")
        })
    }

    /// Status of an instance on a host.
    pub(crate) fn status(&self, role: Role, instance: &Instance) -> Result<RouterStatus> {
        self.daemon(role)?.instance(instance.name)
    }

    /// Waits until a host has added the address of `instance` after `since`, and returns that time.
    pub(crate) fn arrival(&self, role: Role, instance: &Instance, since: Moment) -> Result<Moment> {
        self.change(role, instance, since, true)
    }

    /// Waits until a host has deleted the address of `instance` after `since`, and returns that
    /// time.
    pub(crate) fn departure(
        &self,
        role: Role,
        instance: &Instance,
        since: Moment,
    ) -> Result<Moment> {
        self.change(role, instance, since, false)
    }

    /// Whether any host added or deleted the address of `instance` after `since`.
    pub(crate) fn has_moved(&self, instance: &Instance, since: Moment) -> bool {
        self.watches
            .iter()
            .flat_map(|watch| watch.events().entries())
            .any(|event| event.at >= since && event.address == instance.vip)
    }

    /// Waits until every instance is at rest on its host in `holders`: its daemon reports the state
    /// master, the host holds the address, the other host does not, and the host serves the client.
    pub(crate) fn wait_for_rest(&self, holders: &[Role]) -> Result<()> {
        for ((instance, holder), client) in self
            .fixture
            .instances
            .iter()
            .zip(holders)
            .zip(&self.clients)
        {
            if let Some(daemon) = self.machine(*holder).daemon() {
                daemon.wait_for_state(instance.name, State::Master, PATIENCE)?;
            }
            client.wait_for(holder.name(), PATIENCE)?;
        }
        // A transition may still follow, for example a second takeover.
        sleep(REST);
        for (instance, holder) in self.fixture.instances.iter().zip(holders) {
            for role in [Role::Master, Role::Backup] {
                let (holds, must) = (
                    self.fixture.host(role).holds(instance.vip)?,
                    role == *holder,
                );
                if holds != must {
                    return Err(Error::new(
                        format!("checking which host holds {}", instance.vip),
                        format!(
                            "{} {}",
                            role.name(),
                            if must {
                                "does not hold it"
                            } else {
                                "holds it too"
                            }
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Longest outage of a client between two moments.
    pub(crate) fn outage(&self, from: Moment, to: Moment) -> Duration {
        let outages = self.clients.iter().map(|client| client.outage(from, to));
        outages.max().unwrap_or_default()
    }

    /// Time between two moments for which the machine did not schedule the clients or the stall
    /// detector.
    pub(crate) fn standstill(&self, from: Moment, to: Moment) -> Duration {
        let spans = self
            .clients
            .iter()
            .map(|client| client.standstill(from, to));
        let clients = spans.max().unwrap_or_default();
        clients.max(stall_detector::total_between(from, to))
    }

    /// Describes the longest outage between two moments and the outcome of the requests in it.
    pub(crate) fn gap(&self, from: Moment, to: Moment) -> String {
        let gaps = self
            .clients
            .iter()
            .map(|client| (client, client.longest_gap(from, to)));
        let Some((client, (start, end))) = gaps.max_by_key(|(_, (start, end))| end.since(*start))
        else {
            return String::new();
        };
        let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
        for ask in client.asks().entries() {
            if (start..=end).contains(&ask.asked) {
                let outcome = ask
                    .answer
                    .map_or_else(|error| error, |name| format!("answered by {name}"));
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
        let outcomes: Vec<_> = outcomes
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"))
            .collect();
        format!(
            "from {} to {} after the beginning of the step; requests in that time: {}",
            millis(start.since(from)),
            millis(end.since(from)),
            outcomes.join(", ")
        )
    }

    /// Times between two moments in which both hosts held an address.
    pub(crate) fn overlaps(&self, from: Moment, to: Moment) -> Vec<Overlap> {
        let watches: Vec<_> = self.watches.iter().collect();
        let spans = self
            .fixture
            .instances
            .iter()
            .flat_map(|instance| held_twice(&watches, instance.vip));
        spans
            .map(|(start, end)| Overlap {
                from: start,
                to: end.unwrap_or(to),
            })
            .filter(|overlap| overlap.to > from && overlap.from < to)
            .collect()
    }

    /// Draws a step, if there is a report.
    pub(crate) fn drawing(&self, name: &str, times: Times) -> Option<Drawing> {
        let times = Times {
            begun: self.begun,
            ..times
        };
        let watches: Vec<_> = self.watches.iter().collect();
        let each = self
            .fixture
            .instances
            .iter()
            .zip(&self.wires)
            .zip(&self.clients);
        let observed: Vec<_> = each
            .map(|((instance, wire), client)| Observed {
                instance,
                wire,
                machines: [(Role::Master, &self.master), (Role::Backup, &self.backup)],
                held: self
                    .watches
                    .each_ref()
                    .map(|watch| watch.held(instance.vip)),
                held_twice: held_twice(&watches, instance.vip),
                asks: client.asks().entries(),
            })
            .collect();
        (!observed.is_empty()).then(|| Drawing::new(name, &observed, times))
    }

    /// Whether the kernel dropped address events because a watch's socket buffer was full.
    pub(crate) fn lost_events(&self) -> bool {
        self.watches.iter().any(AddressWatch::lost_events)
    }

    /// Restores the initial state of each step after a failed one: cables plugged in, power on,
    /// services running, and the host `master` as master.
    pub(crate) fn restore(&mut self) -> Result<()> {
        for role in [Role::Master, Role::Backup] {
            self.fixture.plug(role, true)?;
            let machine = match role {
                Role::Master => &mut self.master,
                Role::Backup => &mut self.backup,
            };
            if !machine.host.is_on() {
                machine.power_on()?;
            }
            let runs = |daemon: &Vrrpd<'_>| daemon.process().is_running();
            if !machine.daemon().is_some_and(runs) {
                machine.kill_daemon()?;
                machine.start_daemon()?;
            }
        }
        self.wait_for_rest(&[Role::Master])
    }

    fn change(
        &self,
        role: Role,
        instance: &Instance,
        since: Moment,
        arrives: bool,
    ) -> Result<Moment> {
        let [master, backup] = &self.watches;
        let watch = match role {
            Role::Master => master,
            Role::Backup => backup,
        };
        let event = watch.events().wait_for(
            |event| event.at >= since && event.added == arrives && event.address == instance.vip,
            PATIENCE,
        );
        event.map(|event| event.at).ok_or_else(|| {
            let verb = if arrives { "added on" } else { "deleted on" };
            Error::new(
                format!(
                    "waiting {PATIENCE:?} for {} to be {verb} {}",
                    instance.vip,
                    role.name()
                ),
                "it was not",
            )
        })
    }
}

impl Overlap {
    pub(crate) fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}
