//! How long a takeover of many addresses takes.

use std::time::Instant;

use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::mirror::Mirror;
use vrrp_linux::plan::plan;
use vrrp_linux::request::Requests;
use vrrp_proto::{Desired, MacAddress};

use crate::host::{address, pair};

crate::tests! {
    a_takeover_of_a_thousand_addresses,
}

const ROUTERS: u32 = 1000;

/// A thousand routers with an address each, all of which become master in the same drain.
fn a_takeover_of_a_thousand_addresses() {
    let (near, _far) = pair();
    let eth0 = near.eth0();
    let (mut requests, mut announcements) =
        near.within(|| (Requests::open().unwrap(), AnnounceSocket::open().unwrap()));
    let mut mirror = Mirror::new();
    mirror.replace(requests.dump().unwrap());
    let desired: Vec<_> = (0..ROUTERS)
        .map(|n| Desired {
            interface: eth0,
            hold: [address(&format!("10.1.{}.{}/16", n / 250, n % 250))].into(),
            release: [].into(),
            spare_foreign: false,
        })
        .collect();

    for round in 1..=5 {
        let (mut changes, mut failures) = (Vec::new(), Vec::new());
        let start = Instant::now();
        for router in &desired {
            plan(router, &mut mirror, &mut changes);
        }
        let planned = start.elapsed();
        requests.apply(&changes, &mut mirror, &mut failures);
        let held = start.elapsed();
        for router in &desired {
            let address = router.hold[0].ipv4().unwrap();
            announcements.queue(eth0, MacAddress([2, 0, 0, 0, 0, 1]), address);
        }
        announcements.flush(|_, _, error| panic!("{error}"));
        let announced = start.elapsed();
        println!(
            "takeover {round} of {ROUTERS} addresses: {announced:?} \
             (planned after {planned:?}, held after {held:?})"
        );
        assert!(failures.is_empty());
        assert_eq!(changes.len(), desired.len());

        let (mut changes, start) = (Vec::new(), Instant::now());
        for router in &desired {
            let release = Desired {
                hold: [].into(),
                release: router.hold.clone(),
                ..router.clone()
            };
            plan(&release, &mut mirror, &mut changes);
        }
        requests.apply(&changes, &mut mirror, &mut failures);
        println!("released after {:?}", start.elapsed());
        assert!(failures.is_empty());
    }
}
