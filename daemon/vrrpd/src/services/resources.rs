//! What runs where a router is master: carries out what the machines of
//! [`vrrp_proto::resources`] decide, through systemd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tracing::Level;
use vrrp_linux::clock;
use vrrp_proto::params::NodeParams;
use vrrp_proto::resources::{
    Action, Event, Handover, Job, Notice, Outcome, ResourceParams, Resources as Machine, UnitState,
};
use vrrp_proto::snapshot::{ResourcesStatus, Snapshot};
use vrrp_proto::{Instant, State, Transition, Version, Vrid};

use crate::units::Units;

/// The resources of all routers that have any.
pub(crate) struct Resources {
    owners: BTreeMap<Arc<str>, Entry>,
    /// Which routers are master, also of those without resources: they may get some.
    masters: BTreeMap<Arc<str>, bool>,
    units: Units,
    news: UnboundedReceiver<UnitEvent>,
    sender: UnboundedSender<UnitEvent>,
    /// What is to be told to others.
    orders: Vec<Order>,
    status_handle: StatusHandle,
}

/// What each router has, and by what it is the same router after a reload.
pub(crate) type Configured = BTreeMap<Arc<str>, (ResourceParams, Option<Place>)>;

/// The interface, the VRID and the version of a router.
type Place = (Arc<str>, Vrid, Version);

/// The resources of the routers of `node`.
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

/// One router's.
struct Entry {
    machine: Machine,
    place: Option<Place>,
    /// Tells apart from a former router of the same name what is still on its way.
    number: u64,
    /// Whether it is to be forgotten when all is stopped.
    leaves: bool,
    rested: bool,
    watches: BTreeMap<Arc<str>, JoinHandle<()>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.watches.values().for_each(JoinHandle::abort);
    }
}

/// What happened to a router's units.
pub(crate) struct UnitEvent {
    router: Arc<str>,
    number: u64,
    what: What,
}

enum What {
    Ended(Job, Outcome),
    State(Arc<str>, UnitState),
}

/// What whoever owns them is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Tell the node that a router is hindered, or no longer.
    Inhibit {
        /// Its name.
        router: Arc<str>,
        /// Why, if so.
        why: Option<Arc<str>>,
    },
    /// Tell people.
    Tell {
        /// Whose.
        router: Arc<str>,
        /// What.
        notice: Notice,
    },
}

impl Order {
    /// The words for the log, where there are some.
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
    /// Nobody's yet.
    pub(crate) fn new(units: Units, status_handle: StatusHandle) -> Self {
        let (sender, news) = unbounded_channel();
        Self {
            owners: BTreeMap::new(),
            masters: BTreeMap::new(),
            units,
            news,
            sender,
            orders: Vec::new(),
            status_handle,
        }
    }

    /// Has these from now on. Of routers that have none any more all is stopped.
    pub(crate) fn set(&mut self, configured: Configured) {
        // Whoever has left already begins anew when it is there again.
        self.owners
            .retain(|router, owner| !(owner.leaves && configured.contains_key(router)));
        let units = configured.iter().flat_map(|(router, (params, _))| {
            let units = params.units.iter();
            units.map(move |unit| (Arc::clone(unit), router))
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
                // What is another router's from now on is left to that.
                let params = owner.machine.params();
                let units = params
                    .units
                    .iter()
                    .filter(|unit| !elsewhere.contains(*unit));
                let params = ResourceParams {
                    units: units.cloned().collect(),
                    ..params.clone()
                };
                let elsewhere = &elsewhere;
                self.give(router, Event::Configure { params, elsewhere });
                self.give(router, Event::Retire);
            }
        }
        for (router, (params, place)) in configured {
            match self.owners.get_mut(&router) {
                Some(owner) => {
                    owner.place = place;
                    let elsewhere = &elsewhere(&router);
                    self.give(&router, Event::Configure { params, elsewhere });
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

    /// Lets systemd tell of a router's units.
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

    /// A router's state changed, and what that brings was carried out.
    pub(crate) fn moved(&mut self, transition: &Transition) {
        let is_master = transition.to == State::Master;
        let router = &transition.router;
        self.masters.insert(Arc::clone(router), is_master);
        if transition.from == State::Init
            && let Some(why) = self
                .owners
                .get(router)
                .and_then(|owner| owner.machine.hinders())
        {
            // It is another one, who has not heard of it.
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

    /// Has everything stopped for good, of all routers or of `routers`.
    pub(crate) fn retire(&mut self, mut leaves: impl FnMut(&str) -> bool) {
        let all: Vec<Arc<str>> = self.owners.keys().cloned().collect();
        for router in all.iter().filter(|router| leaves(router)) {
            if let Some(owner) = self.owners.get_mut(router) {
                owner.leaves = true;
            }
            self.give(router, Event::Retire);
        }
    }

    /// The routers whose resources have to be stopped before they resign, of those that would leave with
    /// `next` instead of what runs; with nothing all would.
    pub(crate) fn wait_for(&self, next: Option<&NodeParams>) -> BTreeSet<Arc<str>> {
        let is_master = |router: &Arc<str>| self.masters.get(router) == Some(&true);
        let leaves = |router: &Arc<str>, owner: &Entry| {
            next.is_none_or(|next| place(next, router) != owner.place)
        };
        self.owners
            .iter()
            .filter(|(_, owner)| owner.machine.params().handover == Handover::AfterStop)
            .filter(|(router, owner)| !owner.rested && is_master(router) && leaves(router, owner))
            .map(|(router, _)| Arc::clone(router))
            .collect()
    }

    /// The routers that have any.
    pub(crate) fn names(&self) -> BTreeSet<Arc<str>> {
        self.owners.keys().cloned().collect()
    }

    /// How long it takes at most until all of `routers` have stopped what they had, from when they were
    /// told to; zero when they have.
    pub(crate) fn longest_stop(&self, routers: &BTreeSet<Arc<str>>) -> Duration {
        let owners = routers.iter().filter_map(|router| self.owners.get(router));
        owners
            .filter(|owner| !owner.rested)
            .map(|owner| owner.machine.params().stop_timeout)
            .max()
            .unwrap_or_default()
    }

    /// Whether all of `routers` have stopped what they had.
    pub(crate) fn have_rested(&self, routers: &BTreeSet<Arc<str>>) -> bool {
        let rests = |router: &Arc<str>| self.owners.get(router).is_none_or(|owner| owner.rested);
        routers.iter().all(rests)
    }

    /// Waits for something to happen, which may be given up at any time; it is for
    /// [`take`](Self::take).
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

    /// Takes in what happened, or that time has passed.
    pub(crate) fn take(&mut self, news: Option<UnitEvent>) {
        match news {
            Some(UnitEvent {
                router,
                number,
                what,
            }) => {
                let is_of = |owner: &Entry| owner.number == number;
                if !self.owners.get(&router).is_some_and(is_of) {
                    return;
                }
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

    /// What others are to do.
    pub(crate) fn orders(&mut self) -> std::vec::Drain<'_, Order> {
        self.forget_the_gone();
        self.orders.drain(..)
    }

    /// Whether nothing is left to be stopped.
    pub(crate) fn are_at_rest(&self) -> bool {
        self.owners.values().all(|owner| owner.rested)
    }

    /// Tells a router's machine, and does what comes of it.
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

/// Stops all that `resources` name, of all routers at once, and says what came of it. For when there is no
/// daemon: where systemd cannot be reached nobody waits for it.
///
/// # Errors
/// When the system does not give what it takes to speak to systemd.
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

/// What the resources show of themselves, for whoever is asked.
#[derive(Clone, Default)]
pub(crate) struct StatusHandle(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    by_router: BTreeMap<Arc<str>, (Instant, ResourcesStatus)>,
    last_number: u64,
}

impl StatusHandle {
    /// Adds them to what the node shows of itself.
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
