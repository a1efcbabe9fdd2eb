use std::time::Duration;

use tokio::time::timeout;
use vrrp_proto::params::RouterParams;
use vrrp_proto::resources::OnFailure;
use vrrp_proto::{Cause, Priority};

use super::*;
use crate::units::fake::{Fake, Fate};

#[tokio::test]
async fn units_start_in_order_and_stop_in_reverse() {
    let mut rig = Rig::new(&[("VI_1", &["a.service", "b.timer"])]);
    rig.node_events("VI_1", State::Backup);
    let stops = [
        "stop b.timer",
        "stop a.service",
        "stop vrrp-master@VI_1.target",
    ];
    assert_eq!(
        rig.asked(3).await,
        stops,
        "units that ran although the router was not master"
    );
    rig.node_events("VI_1", State::Master);
    assert_eq!(
        rig.asked(6).await[3..],
        [
            "start vrrp-master@VI_1.target",
            "start a.service",
            "start b.timer"
        ]
    );
    rig.settle("VI_1", "started").await;
    rig.node_events("VI_1", State::Backup);
    assert_eq!(rig.asked(9).await[6..], stops);
}

#[tokio::test]
async fn routers_do_not_wait_for_units_of_others() {
    let mut rig = Rig::new(&[("VI_1", &["a.service"]), ("VI_2", &["b.service"])]);
    rig.fake.next("start a.service", Fate::Hangs);
    rig.node_events("VI_1", State::Master);
    rig.node_events("VI_2", State::Master);
    rig.settle("VI_2", "started").await;
    assert_eq!(rig.words("VI_1"), ["started", "starting"]);
    rig.fake.end("a.service", "done");
    rig.settle("VI_1", "started").await;
}

#[tokio::test]
async fn failed_unit_inhibits_router() {
    let mut rig = Rig::new(&[("VI_1", &["a.service"])]);
    rig.node_events("VI_1", State::Master);
    rig.settle("VI_1", "started").await;
    rig.fake.wait_for_watched(2).await;
    rig.fake.set("a.service", "failed");
    let why = "a.service ended unexpectedly: failed (failed); see journalctl -u a.service";
    assert_eq!(rig.inhibited().await, Some(why.to_owned()));
    rig.settle("VI_1", "stopped").await;
    // A new router of the same name does not know of the inhibition.
    rig.moves_from("VI_1", State::Init, State::Fault);
    assert_eq!(rig.inhibited().await, Some(why.to_owned()));
}

#[tokio::test]
async fn start_is_requested_again_after_restart_of_systemd() {
    let mut rig = Rig::new(&[("VI_1", &["a.service"])]);
    rig.fake.next("start a.service", Fate::Hangs);
    rig.node_events("VI_1", State::Master);
    rig.asked(2).await;
    rig.fake.begin_anew("a.service", "inactive");
    rig.settle("VI_1", "started").await;
    let asked = [
        "start vrrp-master@VI_1.target",
        "start a.service",
        "start a.service",
    ];
    assert_eq!(rig.fake.asked(), asked);
}

#[tokio::test]
async fn resources_added_to_master_are_started() {
    let mut rig = Rig::new(&[]);
    rig.node_events("VI_1", State::Master);
    rig.set(&[("VI_1", &["a.service"])]);
    rig.settle("VI_1", "started").await;
    rig.set(&[]);
    assert_eq!(
        rig.asked(4).await[2..],
        ["stop a.service", "stop vrrp-master@VI_1.target"]
    );
    rig.drive(|resources| resources.owners.is_empty()).await;
}

#[tokio::test]
async fn unit_moved_to_another_router_is_not_stopped() {
    let mut rig = Rig::new(&[("VI_1", &["a.service", "b.service"]), ("VI_2", &[])]);
    rig.node_events("VI_1", State::Master);
    rig.node_events("VI_2", State::Master);
    rig.settle("VI_1", "started").await;
    rig.settle("VI_2", "started").await;
    rig.set(&[("VI_2", &["a.service"])]);
    rig.settle("VI_2", "started").await;
    rig.drive(|resources| !resources.owners.contains_key("VI_1"))
        .await;
    let later = rig.fake.asked().split_off(4);
    assert!(later.contains(&"stop b.service".to_owned()), "{later:?}");
    assert!(!later.contains(&"stop a.service".to_owned()), "{later:?}");
}

#[tokio::test]
async fn renamed_router_keeps_its_units_and_has_another_target() {
    let mut rig = Rig::new(&[("VI_1", &["a.service"])]);
    rig.node_events("VI_1", State::Master);
    rig.settle("VI_1", "started").await;
    let renames = node(&["VI_1"]).renames(&node(&["WEB"]));
    let resources = rig.configured(&[("WEB", &["a.service"])]);
    rig.resources.reconfigure(resources, renames);
    rig.settle("WEB", "started").await;
    let asked = rig.fake.asked().split_off(2);
    let target = |verb: &str, router: &str| format!("{verb} vrrp-master@{router}.target");
    assert_eq!(asked, [target("stop", "VI_1"), target("start", "WEB")]);
    // The node had sent this before it was handed the configuration.
    rig.node_events("VI_1", State::Backup);
    rig.settle("WEB", "stopped").await;
    rig.resources.renamed();
    rig.node_events("WEB", State::Master);
    rig.resources.configured();
    rig.settle("WEB", "started").await;
    let shown = rig.status_handle.0.lock().unwrap();
    assert!(!shown.by_router.contains_key("VI_1"));
}

#[tokio::test]
async fn renamed_router_outlives_the_removed_one_of_that_name() {
    let mut rig = Rig::new(&[("VI_1", &["a.service"]), ("VI_2", &["b.service"])]);
    rig.node_events("VI_1", State::Master);
    rig.node_events("VI_2", State::Backup);
    rig.settle("VI_1", "started").await;
    rig.settle("VI_2", "stopped").await;
    let mut next = node(&["VI_1"]);
    let router = next.routers.remove("VI_1").unwrap();
    next.routers.insert("VI_2".into(), router);
    let renames = node(&["VI_1", "VI_2"]).renames(&next);
    let resources = rig.configured(&[("VI_2", &["a.service"])]);
    rig.resources.reconfigure(resources, renames);
    // The stop of the removed router, which the node reports before the new name.
    rig.moves_from("VI_2", State::Backup, State::Init);
    rig.resources.renamed();
    rig.resources.configured();
    rig.settle("VI_2", "started").await;
    assert!(!rig.fake.asked().contains(&"stop a.service".to_owned()));
}

#[tokio::test]
async fn handover_after_stop_concerns_leaving_masters_only() {
    let mut rig = Rig::new(&[("VI_1", &["a.service"]), ("VI_2", &["b.service"])]);
    rig.change = |params| params.handover = Handover::AfterStop;
    rig.set(&[("VI_1", &["a.service"]), ("VI_2", &["b.service"])]);
    rig.node_events("VI_1", State::Master);
    rig.node_events("VI_2", State::Backup);
    rig.settle("VI_1", "started").await;
    rig.settle("VI_2", "stopped").await;
    let first: BTreeSet<Arc<str>> = BTreeSet::from(["VI_1".into()]);
    assert_eq!(rig.resources.wait_for(None), first);
    let node = node(&["VI_1", "VI_2"]);
    let all = rig.resources.wait_for(Some((&node, &node)));
    assert_eq!(all, BTreeSet::new());
    let mut elsewhere = node.clone();
    elsewhere.routers.get_mut("VI_1").unwrap().interface = "eth2".into();
    for next in [&elsewhere, &NodeParams::default()] {
        assert_eq!(rig.resources.wait_for(Some((&node, next))), first);
    }
    let mut renamed = node.clone();
    let router = renamed.routers.remove("VI_1").unwrap();
    renamed.routers.insert("WEB".into(), router);
    let all = rig.resources.wait_for(Some((&node, &renamed)));
    assert_eq!(all, BTreeSet::new());
    rig.fake.next("stop a.service", Fate::Hangs);
    rig.resources.retire(|router| router == "VI_1");
    rig.asked(5).await;
    assert!(!rig.resources.have_rested(&first));
    rig.fake.end("a.service", "done");
    rig.drive(|resources| resources.have_rested(&first)).await;
    assert_eq!(rig.resources.wait_for(None), BTreeSet::new());
}

#[test]
fn cleanup_stops_all_units_and_does_not_wait_for_missing_systemd() {
    let resources = |units: &[&str]| {
        let units = units.iter().map(|unit| Arc::from(*unit)).collect();
        BTreeMap::from([(Arc::from("VI_1"), ResourceParams::new(units))])
    };
    let (here, there) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            here.send(Fake::start()).unwrap();
            // Keeps the simulated systemd running.
            std::future::pending::<()>().await;
        });
    });
    let fake = there.recv().unwrap();
    let told = stop_all(resources(&["a.service", "b.service"]), fake.address()).unwrap();
    assert_eq!(
        fake.asked(),
        [
            "stop b.service",
            "stop a.service",
            "stop vrrp-master@VI_1.target"
        ]
    );
    assert!(
        told.iter().all(|(level, _)| *level == Level::INFO),
        "{told:?}"
    );
    fake.next(
        "stop a.service",
        Fate::Refused("org.freedesktop.DBus.Error.AccessDenied", "Access denied"),
    );
    let told = stop_all(resources(&["a.service"]), fake.address()).unwrap();
    let expected = "VI_1: cannot stop a.service: Access denied; user";
    assert!(told[0].1.starts_with(expected), "{told:?}");
    assert_eq!(told[0].0, Level::ERROR);
    let nowhere = "unix:path=/nonexistent/bus".to_owned();
    let told = stop_all(resources(&[]), nowhere).unwrap();
    assert!(told[0].1.contains("cannot reach systemd"), "{told:?}");
}

/// Resources with a simulated systemd.
struct Rig {
    fake: Fake,
    resources: Resources,
    status_handle: StatusHandle,
    change: fn(&mut ResourceParams),
    orders: Vec<Order>,
}

type Routers<'a> = &'a [(&'a str, &'a [&'a str])];

impl Rig {
    fn new(routers: Routers<'_>) -> Self {
        let fake = Fake::start();
        let status_handle = StatusHandle::default();
        let mut rig = Self {
            resources: Resources::new(Units::new(fake.address()), status_handle.clone()),
            fake,
            status_handle,
            change: |params| params.on_failure = OnFailure::Fault,
            orders: Vec::new(),
        };
        rig.set(routers);
        rig
    }

    fn set(&mut self, routers: Routers<'_>) {
        let resources = self.configured(routers);
        self.resources.set(resources);
    }

    fn configured(&self, routers: Routers<'_>) -> Configured {
        let names: Vec<&str> = routers.iter().map(|(router, _)| *router).collect();
        let of = |units: &[&str]| {
            let units = units.iter().map(|unit| Arc::from(*unit)).collect();
            let mut params = ResourceParams::new(units);
            (self.change)(&mut params);
            params
        };
        let resources = routers.iter();
        let resources = resources.map(|(router, units)| (Arc::from(*router), of(units)));
        configured(&node(&names), resources.collect())
    }

    fn node_events(&mut self, router: &str, to: State) {
        self.moves_from(router, State::Backup, to);
    }

    fn moves_from(&mut self, router: &str, from: State, to: State) {
        self.resources.moved(&Transition {
            router: router.into(),
            from,
            to,
            cause: Cause::Started,
            priority: Priority::DEFAULT,
            at: Instant::ZERO,
        });
    }

    /// Handles events until the condition holds.
    async fn drive(&mut self, mut is_so: impl FnMut(&Resources) -> bool) {
        loop {
            self.orders.extend(self.resources.orders());
            if is_so(&self.resources) {
                return;
            }
            let next = timeout(Duration::from_secs(20), self.resources.next()).await;
            self.resources.take(next.expect("an event arrives"));
        }
    }

    /// Waits for `count` requests to systemd, and returns all.
    async fn asked(&mut self, count: usize) -> Vec<String> {
        while self.fake.asked().len() < count {
            let Self {
                fake, resources, ..
            } = self;
            let happened = async {
                tokio::select! {
                    news = resources.next() => Some(news),
                    _ = fake.wait_for_asked(count) => None,
                }
            };
            let happened = timeout(Duration::from_secs(20), happened).await;
            match happened.expect("an event arrives") {
                Some(news) => self.resources.take(news),
                None => break,
            }
        }
        self.fake.asked()
    }

    /// Handles events until all units of a router have this state.
    async fn settle(&mut self, router: &str, word: &str) {
        let status_handle = self.status_handle.clone();
        self.drive(|_| {
            words(&status_handle, router)
                .iter()
                .all(|state| state == word)
        })
        .await;
    }

    fn words(&self, router: &str) -> Vec<String> {
        words(&self.status_handle, router)
    }

    /// Reason of the next order that inhibits a router.
    async fn inhibited(&mut self) -> Option<String> {
        loop {
            self.orders.extend(self.resources.orders());
            for order in std::mem::take(&mut self.orders) {
                if let Order::Inhibit { why, .. } = order {
                    return why.map(|why| why.to_string());
                }
            }
            let next = timeout(Duration::from_secs(20), self.resources.next()).await;
            self.resources.take(next.expect("an event arrives"));
        }
    }
}

fn words(status_handle: &StatusHandle, router: &str) -> Vec<String> {
    let shown = status_handle.0.lock().unwrap();
    let (_, status) = &shown.by_router[router];
    let units = status.units.iter();
    units.map(|unit| unit.state.to_string()).collect()
}

fn node(routers: &[&str]) -> NodeParams {
    let params = |index: usize| {
        let vrid = u8::try_from(index + 1).ok().and_then(Vrid::new).unwrap();
        RouterParams::new("eth1".into(), vrid, Arc::default())
    };
    let named =
        |(index, router): (usize, &&str)| -> (Arc<str>, _) { (Arc::from(*router), params(index)) };
    NodeParams {
        routers: routers.iter().enumerate().map(named).collect(),
        ..NodeParams::default()
    }
}
