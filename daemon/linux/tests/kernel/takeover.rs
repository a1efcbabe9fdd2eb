//! Duration of a takeover of many addresses.

use std::fmt;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::kernel::Kernel;
use vrrp_linux::monitor::{Heard, Monitor};
use vrrp_node::execution::carry_out;
use vrrp_node::host::Kernel as _;
use vrrp_node::mirror::Mirror;
use vrrp_node::plan::plan;
use vrrp_proto::{Desired, MacAddress};

use crate::host::{address, pair};

crate::tests! {
    takeover_of_a_thousand_addresses_is_measured,
}

/// Number of routers, each with one address.
const ROUTERS: u32 = 1000;

/// A thousand routers with one address each become master in the same turn.
fn takeover_of_a_thousand_addresses_is_measured() {
    let (near, _far) = pair();
    near.ip("address add 10.1.255.1/16 dev eth0");
    let eth0 = near.eth0();
    // Otherwise each release changes the setting, and the monitor reports that.
    near.sysctl("ipv4/conf/eth0/promote_secondaries", 1);
    let (mut kernel, mut announcements) =
        near.within(|| (Kernel::open().unwrap(), AnnounceSocket::open().unwrap()));
    // Its filter drops all of these notifications, at a cost that is part of the measurement.
    let mut monitor = near.within(|| Monitor::open(kernel.port()).unwrap());
    let mut mirror = Mirror::new();
    mirror.replace(kernel.dump().unwrap());
    let desired: Vec<_> = (0..ROUTERS)
        .map(|n| Desired {
            options: std::sync::Arc::default(),
            interface: eth0,
            hold: [address(&format!("10.1.{}.{}/16", n / 250, n % 250))].into(),
            release: [].into(),
            accept: true,
            spare_foreign: false,
        })
        .collect();

    for round in 1..=5 {
        let (mut changes, mut failures) = (Vec::new(), Vec::new());
        let start = Stopwatch::start();
        for router in &desired {
            plan(router, &mut mirror, &mut changes);
        }
        let planned = start.to_string();
        let rejected = carry_out(&mut changes, &mut mirror, &mut failures, &mut kernel);
        assert!(rejected.is_empty());
        let held = start.to_string();
        for router in &desired {
            let address = router.hold[0].ipv4().unwrap();
            announcements.queue(eth0, MacAddress([2, 0, 0, 0, 0, 1]), address);
        }
        announcements.flush(&mut Vec::new(), |_, _, error| panic!("{error}"));
        println!("takeover {round}: planned {planned}, held {held}, announced {start}");
        assert!(failures.is_empty());
        assert_eq!(changes.len(), desired.len());

        let (mut changes, start) = (Vec::new(), Stopwatch::start());
        for router in &desired {
            let release = Desired {
                hold: [].into(),
                release: router.hold.clone(),
                ..router.clone()
            };
            plan(&release, &mut mirror, &mut changes);
        }
        let rejected = carry_out(&mut changes, &mut mirror, &mut failures, &mut kernel);
        assert!(rejected.is_empty());
        println!("released {start}");
        assert!(failures.is_empty());
    }
    let mut events = Vec::new();
    assert_eq!(monitor.read(&mut events).unwrap(), Heard::All);
    assert_eq!(events, []);
}

/// Measures elapsed time, and CPU time of the thread, which does not depend on other load.
struct Stopwatch {
    start: Instant,
    busy: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            busy: Self::busy(),
        }
    }

    fn busy() -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
            .unwrap()
            .into()
    }
}

impl fmt::Display for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |span: Duration| span.as_secs_f64() * 1e3;
        let (elapsed, busy) = (self.start.elapsed(), Self::busy() - self.busy);
        write!(
            f,
            "after {:.1} ms ({:.1} ms busy)",
            millis(elapsed),
            millis(busy)
        )
    }
}
