//! Watched routes and probed gateways against a real kernel.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vrrp_linux::reach::{Answer, Asked, Lookout, Wanted};
use vrrp_proto::InterfaceIndex;
use vrrp_proto::routing::Table;

use crate::host::{Host, pair, pair_v6};

crate::tests! {
    route_is_found_and_its_changes_followed,
    unrelated_routes_do_not_wake_the_lookout,
    type_of_a_nonforwarding_route_is_named,
    silently_removed_route_is_missed,
    route_is_dead_while_its_link_is_down,
    multipath_route_yields_all_next_hops,
    nexthop_objects_are_resolved,
    ipv6_routes_are_found,
    only_a_present_gateway_answers_the_probe,
    ipv6_gateway_answers_the_probe,
    static_neighbour_is_not_probed,
}

const TEN: &str = "10.7.0.0/16";

fn route_is_found_and_its_changes_followed() {
    let (near, _far) = pair();
    near.ip("route add 10.7.0.0/16 via 10.0.0.2");
    let mut lookout = open(&near, TEN, 254);
    assert_eq!(lookout.ways(), [" via 10.0.0.2 on eth0"]);
    near.ip("route del 10.7.0.0/16");
    lookout.wait();
    assert_eq!(lookout.ways(), ["no route to 10.7.0.0/16 in table 254"]);
    near.ip("route add 10.7.0.0/16 dev eth0 metric 9");
    near.ip("route add 10.7.0.0/16 via 10.0.0.3 metric 7");
    lookout.wait();
    assert_eq!(lookout.ways(), [" via 10.0.0.3 on eth0", " on eth0"]);
    near.ip("route replace 10.7.0.0/16 via 10.0.0.4 metric 7");
    near.ip("route del 10.7.0.0/16 metric 9");
    lookout.wait();
    assert_eq!(lookout.ways(), [" via 10.0.0.4 on eth0"]);
    // Routes with the same metric, behind and before the existing one.
    near.ip("route append 10.7.0.0/16 via 10.0.0.5 metric 7");
    near.ip("route prepend 10.7.0.0/16 via 10.0.0.6 metric 7");
    lookout.wait();
    let three = [6, 4, 5].map(|last| format!(" via 10.0.0.{last} on eth0"));
    assert_eq!(lookout.ways(), three);
    near.ip("route del 10.7.0.0/16 via 10.0.0.4 metric 7");
    near.ip("route del 10.7.0.0/16 via 10.0.0.6 metric 7");
    lookout.wait();
    assert_eq!(lookout.ways(), [" via 10.0.0.5 on eth0"]);
}

fn unrelated_routes_do_not_wake_the_lookout() {
    let (near, _far) = pair();
    let mut lookout = open(&near, TEN, 300);
    for route in [
        "10.7.0.0/16 dev eth0",
        "10.7.0.0/16 dev eth0 table 301 metric 2",
        "10.7.0.0/17 dev eth0 table 300",
        "10.6.0.0/16 dev eth0 table 300",
        "default dev eth0 table 300",
    ] {
        near.ip(&format!("route add {route}"));
    }
    // The kernel's filter cannot distinguish tables with great numbers, so these routes wake the
    // lookout.
    lookout.read();
    assert_eq!(lookout.ways(), ["no route to 10.7.0.0/16 in table 300"]);
    assert!(!lookout.is_woken());
    near.ip("route add 10.7.0.1/32 dev eth0 table 300");
    near.ip("route del 10.7.0.0/16");
    assert!(!lookout.is_woken(), "unrelated routes");
    near.ip("route add 10.7.0.0/16 dev eth0 table 300");
    lookout.wait();
    assert_eq!(lookout.ways(), [" on eth0"]);
    assert_eq!(open(&near, "0.0.0.0/0", 300).ways(), [" on eth0"]);
    let reason = "no route to 0.0.0.0/0 in table 254";
    assert_eq!(open(&near, "0.0.0.0/0", 254).ways(), [reason]);
}

fn type_of_a_nonforwarding_route_is_named() {
    let (near, _far) = pair();
    let mut lookout = open(&near, TEN, 254);
    for kind in ["unreachable", "blackhole", "prohibit", "throw"] {
        near.ip(&format!("route add {kind} 10.7.0.0/16"));
        lookout.wait();
        let said =
            format!("the route to 10.7.0.0/16 in table 254 has type {kind} and forwards nothing");
        assert_eq!(lookout.ways(), [said]);
        near.ip(&format!("route del {kind} 10.7.0.0/16"));
    }
    near.ip("route add unreachable 10.7.0.0/16 metric 4294967295");
    near.ip("route add 10.7.0.0/16 via 10.0.0.2");
    lookout.wait();
    assert_eq!(lookout.ways(), [" via 10.0.0.2 on eth0"]);
}

fn silently_removed_route_is_missed() {
    let (near, _far) = pair();
    near.ip("address add 10.0.0.3/24 dev eth0");
    let add = "route add 10.7.0.0/16 via 10.0.0.2 src 10.0.0.3";
    near.ip(add);
    let mut lookout = open(&near, TEN, 254);
    let nothing = ["no route to 10.7.0.0/16 in table 254"];
    assert_eq!(lookout.ways(), [" via 10.0.0.2 on eth0"]);
    near.ip("address del 10.0.0.3/24 dev eth0");
    lookout.wait_for(&nothing);
    near.ip("address add 10.0.0.3/24 dev eth0");
    near.ip(add);
    lookout.wait_for(&[" via 10.0.0.2 on eth0"]);
    near.ip("link set eth0 down");
    lookout.wait_for(&nothing);
    near.ip("link set eth0 up");
    near.ip(add);
    lookout.wait_for(&[" via 10.0.0.2 on eth0"]);
    near.ip("link set eth0 down");
    near.ip("link set eth0 name eth7");
    near.ip("link set eth7 up");
    near.ip(add);
    lookout.wait_for(&[" via 10.0.0.2 on eth7"]);
    near.ip("link del eth7");
    lookout.wait_for(&nothing);
}

fn route_is_dead_while_its_link_is_down() {
    let (near, far) = pair();
    near.ip("route add 10.7.0.0/16 via 10.0.0.2");
    let mut lookout = open(&near, TEN, 254);
    let alive = [" via 10.0.0.2 on eth0"];
    assert_eq!(lookout.ways(), alive);
    for _ in 0..2 {
        far.ip("link set eth0 down");
        lookout
            .wait_for(&["the route to 10.7.0.0/16 in table 254 is dead: the link is down on eth0"]);
        far.ip("link set eth0 up");
        lookout.wait_for(&alive);
    }
}

fn multipath_route_yields_all_next_hops() {
    let (near, _far) = pair();
    near.ip("route add 10.7.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3 weight 3");
    let both = [" via 10.0.0.2 on eth0", " via 10.0.0.3 on eth0"];
    assert_eq!(open(&near, TEN, 254).ways(), both);
    let by = |gateway: Option<&str>, device: Option<&str>| {
        let wanted = Wanted {
            gateway: gateway.map(|text| text.parse().unwrap()),
            device: device.map(Into::into),
            ..wanted(TEN, 254)
        };
        open_for(&near, wanted, false).ways()
    };
    assert_eq!(by(Some("10.0.0.3"), Some("eth0")), [both[1]]);
    assert_eq!(
        by(Some("10.0.0.4"), None),
        [
            "no route to 10.7.0.0/16 via 10.0.0.4 in table 254: the kernel has one via 10.0.0.2 on eth0"
        ]
    );
    assert_eq!(
        by(None, Some("eth1")),
        ["no route to 10.7.0.0/16 on eth1 in table 254: the kernel has one via 10.0.0.2 on eth0"]
    );
}

fn nexthop_objects_are_resolved() {
    let (near, _far) = pair();
    near.ip("nexthop add id 7 via 10.0.0.2 dev eth0");
    near.ip("route add 10.7.0.0/16 nhid 7");
    let mut lookout = open(&near, TEN, 254);
    assert_eq!(lookout.ways(), [" via 10.0.0.2 on eth0"]);
    near.ip("nexthop replace id 7 via 10.0.0.3 dev eth0");
    lookout.wait_for(&[" via 10.0.0.3 on eth0"]);
    near.ip("nexthop del id 7");
    lookout.wait_for(&["no route to 10.7.0.0/16 in table 254"]);
    // With this sysctl the kernel shows only the ID of the object.
    near.sysctl("ipv4/nexthop_compat_mode", 0);
    near.ip("nexthop add id 7 via 10.0.0.2 dev eth0");
    near.ip("route add 10.7.0.0/16 nhid 7");
    lookout.wait_for(&[""]);
    let wanted = Wanted {
        device: Some("eth0".into()),
        ..wanted(TEN, 254)
    };
    let said = &open_for(&near, wanted, false).ways()[0];
    assert!(said.contains("nexthop_compat_mode=1"), "{said}");
}

fn ipv6_routes_are_found() {
    let (near, far) = pair_v6();
    let net = "2001:db8:7::/48";
    let nothing = ["no route to 2001:db8:7::/48 in table 254"];
    let mut lookout = open(&near, net, 254);
    assert_eq!(lookout.ways(), nothing);
    near.ip("route add 2001:db8:7::/48 via 2001:db8::2 metric 7");
    near.ip("route add 2001:db8:7::/48 via fe80::2 dev eth0 metric 9");
    lookout.wait_for(&[" via 2001:db8::2 on eth0", " via fe80::2 on eth0"]);
    near.ip("route del 2001:db8:7::/48 metric 9");
    near.ip("route append 2001:db8:7::/48 via 2001:db8::3 metric 7");
    lookout.wait_for(&[" via 2001:db8::2 on eth0", " via 2001:db8::3 on eth0"]);
    near.ip("route del 2001:db8:7::/48 via 2001:db8::2 metric 7");
    lookout.wait_for(&[" via 2001:db8::3 on eth0"]);
    far.ip("link set eth0 down");
    lookout
        .wait_for(&["the route to 2001:db8:7::/48 in table 254 is dead: the link is down on eth0"]);
    far.ip("link set eth0 up");
    lookout.wait_for(&[" via 2001:db8::3 on eth0"]);
    near.ip("link set eth0 down");
    lookout.wait_for(&nothing);
    // An IPv4 route may have an IPv6 gateway.
    near.ip("link set eth0 up");
    near.ip("route add 10.7.0.0/16 via inet6 fe80::2 dev eth0");
    open(&near, TEN, 254).wait_for(&[" via fe80::2 on eth0"]);
}

fn only_a_present_gateway_answers_the_probe() {
    let (near, far) = pair();
    near.ip("route add 10.7.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3");
    let mut lookout = open_asking(&near, TEN);
    // The first round resolves an unknown neighbour, the later ones probe a known one.
    for _ in 0..3 {
        assert!(lookout.question(&near, "10.0.0.2"));
    }
    assert!(!lookout.question(&near, "10.0.0.3"), "no such host");
    // The gateway has answered recently, but is no longer there.
    far.ip("address del 10.0.0.2/24 dev eth0");
    assert!(!lookout.question(&near, "10.0.0.2"));
    far.ip("address add 10.0.0.2/24 dev eth0");
    assert!(lookout.question(&near, "10.0.0.2"));
}

fn ipv6_gateway_answers_the_probe() {
    let (near, far) = pair_v6();
    near.ip("route add 2001:db8:7::/48 via fe80::2 dev eth0");
    let mut lookout = open_asking(&near, "2001:db8:7::/48");
    for _ in 0..2 {
        assert!(lookout.question(&near, "fe80::2"));
    }
    far.ip("address del fe80::2/64 dev eth0");
    assert!(!lookout.question(&near, "fe80::2"));
}

fn static_neighbour_is_not_probed() {
    let (near, _far) = pair();
    let mut lookout = open_asking(&near, TEN);
    near.ip("neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent");
    assert_eq!(lookout.ask(&near, "10.0.0.9"), Asked::NeedsNone);
    let shown = near.ip("neigh show 10.0.0.9");
    assert!(shown.contains("PERMANENT"), "state changed: {shown}");
    near.ip("neigh add 10.0.0.8 lladdr 02:00:00:00:00:08 dev eth0 nud noarp");
    assert_eq!(lookout.ask(&near, "10.0.0.8"), Asked::NeedsNone);
    // On a device without ARP the kernel creates the static entry at the first use.
    near.ip("link add eth1 type veth peer name eth2");
    near.ip("link set eth1 up arp off");
    let number = near.within(|| nix::net::if_::if_nametoindex("eth1").unwrap());
    let (eth1, gateway) = (InterfaceIndex(number), "10.9.0.1".parse().unwrap());
    let asked = lookout.lookout.ask(eth1, gateway).unwrap();
    assert_eq!(asked, Asked::NeedsNone);
    // A probe preserves the flag of an entry that another program has learned.
    near.ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0 nud reachable extern_learn");
    assert_eq!(lookout.ask(&near, "10.0.0.2"), Asked::Yes);
    let shown = near.ip("neigh show 10.0.0.2");
    assert!(shown.contains("extern_learn"), "{shown}");
}

/// A lookout and the answers that it received.
struct Watch {
    lookout: Lookout,
    answers: Vec<Answer>,
}

fn wanted(destination: &str, table: u32) -> Wanted {
    Wanted {
        destination: destination.parse().unwrap(),
        table: Table::new(table).unwrap(),
        gateway: None,
        device: None,
    }
}

fn open(host: &Host, destination: &str, table: u32) -> Watch {
    open_for(host, wanted(destination, table), false)
}

/// Opens a lookout that probes gateways.
fn open_asking(host: &Host, destination: &str) -> Watch {
    open_for(host, wanted(destination, 254), true)
}

fn open_for(host: &Host, wanted: Wanted, asks: bool) -> Watch {
    let lookout = host.within(|| Lookout::open(wanted, asks).unwrap());
    let mut watch = Watch {
        lookout,
        answers: Vec::new(),
    };
    watch.read();
    watch
}

impl Watch {
    fn read(&mut self) {
        self.lookout.read(&mut self.answers).unwrap();
    }

    /// Texts of the next hops, or of the reason why there is none.
    fn ways(&self) -> Vec<String> {
        match self.lookout.ways() {
            Ok(ways) => ways.iter().map(ToString::to_string).collect(),
            Err(reason) => vec![reason.to_string()],
        }
    }

    fn is_woken(&self) -> bool {
        self.polls(PollTimeout::ZERO)
    }

    fn polls(&self, timeout: PollTimeout) -> bool {
        let mut fds = [PollFd::new(self.lookout.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).unwrap() == 1
    }

    /// Reads the notifications, of which at least one must be waiting.
    fn wait(&mut self) {
        assert!(self.is_woken(), "no notification");
        self.read();
    }

    /// Reads notifications until the next hops are `ways`.
    fn wait_for(&mut self, ways: &[&str]) {
        self.wait_until(ways, |watch| watch.ways() == ways);
    }

    fn wait_until(&mut self, what: impl std::fmt::Debug, is_it: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.read();
            if is_it(self) {
                return;
            }
            let ways = self.ways();
            assert!(Instant::now() < deadline, "timeout: {what:?}, but {ways:?}");
            self.polls(PollTimeout::from(100_u8));
        }
    }

    fn ask(&mut self, host: &Host, gateway: &str) -> Asked {
        self.read();
        self.answers.clear();
        let gateway = gateway.parse().unwrap();
        self.lookout.ask(host.eth0(), gateway).unwrap()
    }

    /// Whether a gateway answers the probe before the kernel gives up.
    fn question(&mut self, host: &Host, gateway: &str) -> bool {
        assert_eq!(self.ask(host, gateway), Asked::Yes);
        let gateway: IpAddr = gateway.parse().unwrap();
        let of = |watch: &Self| {
            let mut answers = watch.answers.iter();
            answers.find(|answer| answer.gateway == gateway).copied()
        };
        self.wait_until(gateway, |watch| of(watch).is_some());
        let answer = of(self).unwrap();
        assert_eq!(answer.device, host.eth0());
        answer.answered
    }
}
