//! Resources: carries out the actions of the machines of [`vrrp_proto::resources`] through systemd.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tracing::Level;
use vrrp_linux::clock;
use vrrp_proto::params::{NodeParams, Renames};
use vrrp_proto::resources::{
    Action, Event, Handover, Job, Notice, Outcome, ResourceParams, Resources as Machine, UnitState,
    target,
};
use vrrp_proto::snapshot::{ResourcesStatus, Snapshot};
use vrrp_proto::{Instant, State, Transition, Version, Vrid};

use crate::units::Units;

/// Resources of all routers that have some.
pub(crate) struct Resources {
    owners: BTreeMap<Arc<str>, Entry>,
    /// Whether each router is master; also without resources, because a reload may add some.
    masters: BTreeMap<Arc<str>, bool>,
    /// Renames of each configuration that was handed to the node and is not in force yet, oldest first; empty
    /// from the time at which the node reports by the new names.
    coming: VecDeque<Renames>,
    units: Units,
    news: UnboundedReceiver<UnitEvent>,
    sender: UnboundedSender<UnitEvent>,
    /// Orders for the caller.
    orders: Vec<Order>,
    status_handle: StatusHandle,
}

/// Resources of each router, and the identity by which a router stays the same over a reload.
pub(crate) type Configured = BTreeMap<Arc<str>, (ResourceParams, Option<Place>)>;

/// Interface, VRID and version of a router.
type Place = (Arc<str>, Vrid, Version);

/// Adds the identities of the routers of `node` to their resources.
pub(crate) fn configured(
    node: &NodeParams,
    resources: BTreeMap<Arc<str>, ResourceParams>,
) -> Configured {
    let with_place = |(router, params): (Arc<str>, ResourceParams)| {
        let place = place(node, &router);
        (router, (params, place))
    };
    resources.into_iter().map(with_place).collect()
}

fn place(node: &NodeParams, router: &str) -> Option<Place> {
    let params = node.routers.get(router)?;
    Some((Arc::clone(&params.interface), params.vrid, params.version))
}

/// Resources of one router.
struct Entry {
    machine: Machine,
    place: Option<Place>,
    /// Distinguishes late events of a former router of the same name.
    number: u64,
    /// Whether the entry is to be deleted once all units are stopped.
    leaves: bool,
    rested: bool,
    watches: BTreeMap<Arc<str>, JoinHandle<()>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.watches.values().for_each(JoinHandle::abort);
    }
}

/// Event of a router's units.
pub(crate) struct UnitEvent {
    router: Arc<str>,
    number: u64,
    what: What,
}

enum What {
    Ended(Job, Outcome),
    State(Arc<str>, UnitState),
}

/// Order for the caller of [`Resources`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Report to the node that a router is inhibited, or no longer is.
    Inhibit {
        /// Name of the router.
        router: Arc<str>,
        /// Reason; `None` when the router is no longer inhibited.
        why: Option<Arc<str>>,
    },
    /// Log a notice.
    Tell {
        /// Name of the router.
        router: Arc<str>,
        /// Notice.
        notice: Notice,
    },
}

impl Order {
    /// Level and text of the log line, if the order has one.
    pub(crate) fn words(&self) -> Option<(Level, String)> {
        let Self::Tell { router, notice } = self else {
            return None;
        };
        let level = if notice.is_bad() {
            Level::ERROR
        } else {
            Level::INFO
        };
        Some((level, format!("{router}: {notice}")))
    }
}

impl Resources {
    /// Resources without any router.
    pub(crate) fn new(units: Units, status_handle: StatusHandle) -> Self {
        let (sender, news) = unbounded_channel();
        Self {
            owners: BTreeMap::new(),
            masters: BTreeMap::new(),
            coming: VecDeque::new(),
            units,
            news,
            sender,
            orders: Vec::new(),
            status_handle,
        }
    }

    /// Puts the resources of another configuration in force, with the new names of its routers. The node has
    /// just been handed the configuration, and may still report by the former names.
    pub(crate) fn reconfigure(&mut self, configured: Configured, renames: Renames) {
        for (former, _) in renames.iter() {
            self.status_handle.forget(former);
        }
        // A renamed router replaces one that had the name and leaves.
        renames.apply(&mut self.owners);
        renames.apply(&mut self.masters);
        self.coming.push_back(renames);
        self.set(configured);
    }

    /// Takes in that the node reports by the new names.
    pub(crate) fn renamed(&mut self) {
        if let Some(renames) = self.coming.front_mut() {
            *renames = Renames::default();
        }
    }

    /// Takes in that the node has carried out a configuration.
    pub(crate) fn configured(&mut self) {
        self.coming.pop_front();
    }

    /// Puts new resources in force. The units of routers that no longer have resources are stopped.
    pub(crate) fn set(&mut self, configured: Configured) {
        // A router that is leaving and is configured again begins anew.
        self.owners
            .retain(|router, owner| !(owner.leaves && configured.contains_key(router)));
        let units = configured.iter().flat_map(|(router, (params, _))| {
            let units = params.units.iter().cloned();
            let units = units.chain([target(router)]);
            units.map(move |unit| (unit, router))
        });
        let units = units.map(|(unit, router)| (unit, Arc::clone(router)));
        let of: BTreeMap<Arc<str>, Arc<str>> = units.collect();
        let elsewhere = |router: &Arc<str>| -> BTreeSet<Arc<str>> {
            let others = of.iter().filter(|(_, owner)| *owner != router);
            others.map(|(unit, _)| Arc::clone(unit)).collect()
        };
        let gone: Vec<Arc<str>> = self.owners.keys().cloned().collect();
        for router in gone
            .iter()
            .filter(|router| !configured.contains_key(*router))
        {
            let elsewhere = elsewhere(router);
            if let Some(owner) = self.owners.get_mut(router) {
                owner.leaves = true;
                // A unit that moves to another router is left to that router.
                let params = owner.machine.params();
                let units = params
                    .units
                    .iter()
                    .filter(|unit| !elsewhere.contains(*unit));
                let params = ResourceParams {
                    units: units.cloned().collect(),
                    ..params.clone()
                };
                let configure = Event::Configure {
                    router,
                    params,
                    elsewhere: &elsewhere,
                };
                self.give(router, configure);
                self.give(router, Event::Retire);
            }
        }
        for (router, (params, place)) in configured {
            match self.owners.get_mut(&router) {
                Some(owner) => {
                    owner.place = place;
                    let configure = Event::Configure {
                        router: &router,
                        params,
                        elsewhere: &elsewhere(&router),
                    };
                    self.give(&router, configure);
                }
                None => self.adopt(&router, params, place),
            }
            self.watch(&router);
        }
        self.forget_the_gone();
    }

    fn adopt(&mut self, router: &Arc<str>, params: ResourceParams, place: Option<Place>) {
        let number = self.status_handle.next_number();
        let owner = Entry {
            machine: Machine::new(router, params),
            place,
            number,
            leaves: false,
            rested: false,
            watches: BTreeMap::new(),
        };
        self.owners.insert(Arc::clone(router), owner);
        match self.masters.get(router) {
            Some(true) => self.give(router, Event::Master),
            Some(false) => self.give(router, Event::Left),
            None => {}
        }
    }

    /// Watches the units of a router.
    fn watch(&mut self, router: &Arc<str>) {
        let Some(owner) = self.owners.get_mut(router) else {
            return;
        };
        let wanted: BTreeSet<Arc<str>> = owner.machine.units().cloned().collect();
        owner.watches.retain(|unit, task| {
            let stays = wanted.contains(unit);
            if !stays {
                task.abort();
            }
            stays
        });
        for unit in wanted {
            owner.watches.entry(unit).or_insert_with_key(|unit| {
                let (units, unit) = (self.units.clone(), Arc::clone(unit));
                let (sender, router) = (self.sender.clone(), Arc::clone(router));
                let number = owner.number;
                tokio::spawn(async move {
                    let Some(mut states) = units.watch(Arc::clone(&unit)).await else {
                        return;
                    };
                    loop {
                        let state = states.borrow_and_update().clone();
                        if let Some(state) = state {
                            let what = What::State(Arc::clone(&unit), state);
                            let router = Arc::clone(&router);
                            let news = UnitEvent {
                                router,
                                number,
                                what,
                            };
                            if sender.send(news).is_err() {
                                return;
                            }
                        }
                        if states.changed().await.is_err() {
                            return;
                        }
                    }
                })
            });
        }
    }

    /// Takes in a transition of a router that was carried out.
    pub(crate) fn moved(&mut self, transition: &Transition) {
        let is_master = transition.to == State::Master;
        let mut coming = self.coming.iter();
        let followed = coming.try_fold(&transition.router, |name, renames| renames.follow(name));
        // A router that the configuration removes has no resources any more.
        let Some(router) = &followed.cloned() else {
            return;
        };
        self.masters.insert(Arc::clone(router), is_master);
        if transition.from == State::Init
            && let Some(why) = self
                .owners
                .get(router)
                .and_then(|owner| owner.machine.hinders())
        {
            // After a redefinition the node has a new router, which does not know of the
            // inhibition.
            let (router, why) = (Arc::clone(router), Some(Arc::clone(why)));
            self.orders.push(Order::Inhibit { router, why });
        }
        let event = if is_master {
            Event::Master
        } else {
            Event::Left
        };
        self.give(router, event);
    }

    /// Stops the units of matching routers for good.
    pub(crate) fn retire(&mut self, mut leaves: impl FnMut(&str) -> bool) {
        let all: Vec<Arc<str>> = self.owners.keys().cloned().collect();
        for router in all.iter().filter(|router| leaves(router)) {
            if let Some(owner) = self.owners.get_mut(router) {
                owner.leaves = true;
            }
            self.give(router, Event::Retire);
        }
    }

    /// Routers whose resources have to be stopped before they step down, among those that a reload
    /// from one configuration to another removes or redefines. `None` stands for the stop of the daemon,
    /// which removes all.
    pub(crate) fn wait_for(
        &self,
        reload: Option<(&NodeParams, &NodeParams)>,
    ) -> BTreeSet<Arc<str>> {
        let next = reload.map(|(running, next)| (running.renames(next), next));
        let is_master = |router: &Arc<str>| self.masters.get(router) == Some(&true);
        let leaves = |router: &Arc<str>, owner: &Entry| {
            next.as_ref()
                .is_none_or(|(renames, next)| place(next, renames.present(router)) != owner.place)
        };
        self.owners
            .iter()
            .filter(|(_, owner)| owner.machine.params().handover == Handover::AfterStop)
            .filter(|(router, owner)| !owner.rested && is_master(router) && leaves(router, owner))
            .map(|(router, _)| Arc::clone(router))
            .collect()
    }

    /// Routers with resources.
    pub(crate) fn names(&self) -> BTreeSet<Arc<str>> {
        self.owners.keys().cloned().collect()
    }

    /// Longest time that the stops of `routers` take, counted from the request; zero when all are
    /// stopped.
    pub(crate) fn longest_stop(&self, routers: &BTreeSet<Arc<str>>) -> Duration {
        let owners = routers.iter().filter_map(|router| self.owners.get(router));
        owners
            .filter(|owner| !owner.rested)
            .map(|owner| owner.machine.params().stop_timeout)
            .max()
            .unwrap_or_default()
    }

    /// Whether all units of `routers` are stopped.
    pub(crate) fn have_rested(&self, routers: &BTreeSet<Arc<str>>) -> bool {
        let rests = |router: &Arc<str>| self.owners.get(router).is_none_or(|owner| owner.rested);
        routers.iter().all(rests)
    }

    /// Waits for the next event or deadline; pass the result to [`take`](Self::take). The future
    /// may be dropped at any time.
    pub(crate) async fn next(&mut self) -> Option<UnitEvent> {
        let due = self
            .owners
            .values()
            .filter_map(|owner| owner.machine.deadline());
        let due = due.min();
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep(due.since(clock::now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            news = self.news.recv() => news,
            () = sleep => None,
        }
    }

    /// Takes in an event, or with `None` the passing of a deadline.
    pub(crate) fn take(&mut self, news: Option<UnitEvent>) {
        match news {
            Some(UnitEvent {
                router,
                number,
                what,
            }) => {
                // The router may have another name now. An event of a former router is dropped.
                let is_of = |owner: &Entry| owner.number == number;
                let router = if self.owners.get(&router).is_some_and(is_of) {
                    router
                } else {
                    let mut all = self.owners.iter();
                    match all.find(|(_, owner)| is_of(owner)) {
                        Some((router, _)) => Arc::clone(router),
                        None => return,
                    }
                };
                match what {
                    What::Ended(job, outcome) => self.give(&router, Event::Ended { job, outcome }),
                    What::State(unit, state) => {
                        let unit = &unit;
                        self.give(&router, Event::Unit { unit, state });
                    }
                }
            }
            None => {
                let now = clock::now();
                let is_due = |owner: &Entry| owner.machine.deadline().is_some_and(|at| at <= now);
                let due: Vec<Arc<str>> = self
                    .owners
                    .iter()
                    .filter(|(_, owner)| is_due(owner))
                    .map(|(router, _)| Arc::clone(router))
                    .collect();
                for router in due {
                    self.give(&router, Event::Tick);
                }
            }
        }
    }

    /// Takes the orders for the caller.
    pub(crate) fn orders(&mut self) -> std::vec::Drain<'_, Order> {
        self.forget_the_gone();
        self.orders.drain(..)
    }

    /// Whether all routers are leaving and all units are stopped.
    pub(crate) fn are_at_rest(&self) -> bool {
        self.owners.values().all(|owner| owner.rested)
    }

    /// Passes an event to the machine of a router, and carries out its actions.
    fn give(&mut self, router: &Arc<str>, event: Event<'_>) {
        let Some(owner) = self.owners.get_mut(router) else {
            return;
        };
        let now = clock::now();
        owner.machine.handle(now, event);
        while let Some(action) = owner.machine.poll() {
            let router = Arc::clone(router);
            match action {
                Action::Run { job, verb, unit } => {
                    let (units, sender) = (self.units.clone(), self.sender.clone());
                    let number = owner.number;
                    tokio::spawn(async move {
                        let what = What::Ended(job, units.job(verb, unit).await);
                        let _ = sender.send(UnitEvent {
                            router,
                            number,
                            what,
                        });
                    });
                }
                Action::Inhibit(why) => self.orders.push(Order::Inhibit { router, why }),
                Action::Tell(notice) => self.orders.push(Order::Tell { router, notice }),
                Action::Rested => owner.rested = true,
            }
        }
        self.status_handle
            .show(router, now, owner.machine.status(now));
    }

    fn forget_the_gone(&mut self) {
        let status_handle = &self.status_handle;
        self.owners.retain(|router, owner| {
            let is_gone = owner.leaves && owner.rested;
            if is_gone {
                status_handle.forget(router);
            }
            !is_gone
        });
    }
}

/// Stops all units of `resources`, of all routers at the same time, and returns the lines for the
/// log. For `vrrpd cleanup`, when no daemon runs: a lost request counts as failed and is not
/// repeated.
///
/// # Errors
/// If the system does not provide a runtime for the connection to systemd.
pub(crate) fn stop_all(
    resources: BTreeMap<Arc<str>, ResourceParams>,
    address: String,
) -> std::io::Result<Vec<(Level, String)>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(async {
        let mut all = Resources::new(Units::new(address), StatusHandle::default());
        let resources = resources.into_iter();
        all.set(
            resources
                .map(|(router, params)| (router, (params, None)))
                .collect(),
        );
        all.retire(|_| true);
        let mut told = Vec::new();
        loop {
            told.extend(all.orders().filter_map(|order| order.words()));
            if all.are_at_rest() {
                return told;
            }
            let mut news = all.next().await;
            if let Some(UnitEvent {
                what: What::Ended(_, outcome),
                ..
            }) = &mut news
                && let Outcome::Lost(why) = outcome
            {
                *outcome = Outcome::Failed(Arc::clone(why));
            }
            all.take(news);
        }
    }))
}

/// Status of the resources. Clones show the same status.
#[derive(Clone, Default)]
pub(crate) struct StatusHandle(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    by_router: BTreeMap<Arc<str>, (Instant, ResourcesStatus)>,
    last_number: u64,
}

impl StatusHandle {
    /// Adds the status of the resources to a snapshot of the node.
    pub(crate) fn complete(&self, snapshot: &mut Snapshot) {
        let now = clock::now();
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for instance in &mut snapshot.instances {
            let known = shown.by_router.get(&instance.name).cloned();
            instance.resources = known.map(|(at, mut status)| {
                let left = |left: f64| (left - now.since(at).as_secs_f64()).max(0.0);
                status.retry_in = status.retry_in.map(left);
                status
            });
        }
    }

    fn show(&self, router: &Arc<str>, now: Instant, status: ResourcesStatus) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.by_router.insert(Arc::clone(router), (now, status));
    }

    fn forget(&self, router: &Arc<str>) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.by_router.remove(router);
    }

    fn next_number(&self) -> u64 {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.last_number += 1;
        shown.last_number
    }
}

#[cfg(test)]
mod tests;
