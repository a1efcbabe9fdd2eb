//! A running experiment: the hosts with their services, everybody who watches, and waiting.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::{AddressWatch, Client, Error, Moment, Result, held_twice, stall_detector};
use vrrp_proto::State;
use vrrp_proto::snapshot::RouterStatus;

use super::course::{Instance, Who};
use super::fixture::{Fixture, Machine};
use super::millis;

/// How long to wait for what comes at once, or not at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// For how long everything must have been quiet before it counts as being at rest.
const REST: Duration = Duration::from_millis(250);

/// Two hosts under observation.
pub(crate) struct Scene<'h> {
    pub(crate) fixture: &'h Fixture,
    pub(crate) master: Machine<'h>,
    pub(crate) backup: Machine<'h>,
    watches: [AddressWatch; 2],
    /// One for each instance.
    clients: Vec<Client>,
}

/// Both hosts held an address at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overlap {
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

impl<'h> Scene<'h> {
    pub(crate) fn new(fixture: &'h Fixture) -> Result<Self> {
        let clients = fixture
            .instances
            .iter()
            .map(|instance| fixture.client.client(instance.vip));
        Ok(Self {
            fixture,
            master: Machine::new(fixture, Who::Master),
            backup: Machine::new(fixture, Who::Backup),
            watches: [
                fixture.master.watch_addresses()?,
                fixture.backup.watch_addresses()?,
            ],
            clients: clients.collect::<Result<_>>()?,
        })
    }

    pub(crate) const fn machine(&self, who: Who) -> &Machine<'h> {
        match who {
            Who::Master => &self.master,
            Who::Backup => &self.backup,
        }
    }

    /// The daemon of a host, which must have been started.
    pub(crate) fn daemon(&self, who: Who) -> Result<&Vrrpd<'h>> {
        self.machine(who).daemon().ok_or_else(|| {
            let doing = format!("looking for the daemon of {}", who.name());
            Error::new(doing, "it was not started")
        })
    }

    /// What the daemon of a host shows of an instance.
    pub(crate) fn status(&self, who: Who, instance: &Instance) -> Result<RouterStatus> {
        self.daemon(who)?.instance(instance.name)
    }

    /// When the address of `instance` came to a host after `since`; waits for it.
    pub(crate) fn arrival(&self, who: Who, instance: &Instance, since: Moment) -> Result<Moment> {
        self.change(who, instance, since, true)
    }

    /// When the address of `instance` left a host after `since`; waits for it.
    pub(crate) fn departure(&self, who: Who, instance: &Instance, since: Moment) -> Result<Moment> {
        self.change(who, instance, since, false)
    }

    /// Whether the address of `instance` came or went anywhere after `since`.
    pub(crate) fn has_moved(&self, instance: &Instance, since: Moment) -> bool {
        self.watches
            .iter()
            .flat_map(|watch| watch.events().entries())
            .any(|event| event.at >= since && event.address == instance.vip)
    }

    /// Waits until every instance is at rest on its host in `holders`: the daemons say so, the
    /// host holds the address, the other one does not, and the client is served by it.
    pub(crate) fn wait_for_rest(&self, holders: &[Who]) -> Result<()> {
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
        sleep(REST);
        for (instance, holder) in self.fixture.instances.iter().zip(holders) {
            for who in [Who::Master, Who::Backup] {
                let (holds, must) = (self.fixture.host(who).holds(instance.vip)?, who == *holder);
                if holds != must {
                    return Err(Error::new(
                        format!("looking for {} at rest", instance.vip),
                        format!(
                            "{} {} hold it",
                            who.name(),
                            if must { "must" } else { "must not" }
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The longest time that a client had no answer between two moments.
    pub(crate) fn outage(&self, from: Moment, to: Moment) -> Duration {
        let outages = self.clients.iter().map(|client| client.outage(from, to));
        outages.max().unwrap_or_default()
    }

    /// For how long the machine let the clients, or whatever else was to run, stand still between
    /// two moments.
    pub(crate) fn standstill(&self, from: Moment, to: Moment) -> Duration {
        let spans = self
            .clients
            .iter()
            .map(|client| client.standstill(from, to));
        let clients = spans.max().unwrap_or_default();
        clients.max(stall_detector::stood_still(from, to))
    }

    /// What became of the asks in the longest gap between two moments, in words.
    pub(crate) fn gap(&self, from: Moment, to: Moment) -> String {
        let gaps = self
            .clients
            .iter()
            .map(|client| (client, client.longest_gap(from, to)));
        let Some((client, (start, end))) = gaps.max_by_key(|(_, (start, end))| end.since(*start))
        else {
            return String::new();
        };
        let mut fates: BTreeMap<String, u32> = BTreeMap::new();
        for ask in client.asks().entries() {
            if (start..=end).contains(&ask.asked) {
                let fate = ask
                    .answer
                    .map_or_else(|error| error, |name| format!("answered by {name}"));
                *fates.entry(fate).or_default() += 1;
            }
        }
        let fates: Vec<_> = fates
            .iter()
            .map(|(fate, count)| format!("{count} {fate}"))
            .collect();
        format!(
            "from {} to {} after the step began; of the asks in it: {}",
            millis(start.since(from)),
            millis(end.since(from)),
            fates.join(", ")
        )
    }

    /// When both hosts held an address between two moments.
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

    /// Whether the kernel told more than the watches could take.
    pub(crate) fn lost_events(&self) -> bool {
        self.watches.iter().any(AddressWatch::lost_events)
    }

    /// Brings everything back to where each step begins, after one that failed: cables plugged,
    /// power on, services running, and the master in its place.
    pub(crate) fn restore(&mut self) -> Result<()> {
        for who in [Who::Master, Who::Backup] {
            self.fixture.plug(who, true)?;
            let machine = match who {
                Who::Master => &mut self.master,
                Who::Backup => &mut self.backup,
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
        self.wait_for_rest(&[Who::Master])
    }

    fn change(
        &self,
        who: Who,
        instance: &Instance,
        since: Moment,
        arrives: bool,
    ) -> Result<Moment> {
        let [master, backup] = &self.watches;
        let watch = match who {
            Who::Master => master,
            Who::Backup => backup,
        };
        let event = watch.events().wait_for(
            |event| event.at >= since && event.added == arrives && event.address == instance.vip,
            PATIENCE,
        );
        event.map(|event| event.at).ok_or_else(|| {
            let verb = if arrives { "come to" } else { "leave" };
            Error::new(
                format!(
                    "waiting {PATIENCE:?} for {} to {verb} {}",
                    instance.vip,
                    who.name()
                ),
                "it did not",
            )
        })
    }
}

impl Overlap {
    pub(crate) fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}
