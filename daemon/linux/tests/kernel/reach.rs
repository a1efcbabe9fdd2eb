//! Routes of others and their gateways against a real kernel.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vrrp_linux::reach::{Answer, Asked, Lookout, Wanted};
use vrrp_proto::InterfaceIndex;
use vrrp_proto::routing::Table;

use crate::host::{Host, pair, pair_v6};

crate::tests! {
    a_route_is_found_and_heard_of_when_it_comes_and_goes,
    routes_of_another_destination_or_table_wake_nobody,
    a_route_that_leads_nowhere_is_named,
    a_route_that_goes_without_a_word_is_missed,
    a_route_is_dead_as_long_as_its_link_is_down,
    several_next_hops_are_several_ways,
    nexthop_objects_are_looked_through,
    routes_are_found_over_ipv6,
    a_gateway_answers_and_one_that_is_not_there_does_not,
    a_gateway_answers_over_ipv6,
    a_neighbour_that_is_given_is_not_asked,
}

const TEN: &str = "10.7.0.0/16";

fn a_route_is_found_and_heard_of_when_it_comes_and_goes() {
    let (near, _far) = pair();
    near.ip("route add 10.7.0.0/16 via 10.0.0.2");
    let mut lookout = open(&near, TEN, 254);
    assert_eq!(lookout.ways(), [" by 10.0.0.2 on eth0"]);
    near.ip("route del 10.7.0.0/16");
    lookout.wait();
    assert_eq!(lookout.ways(), ["no route to 10.7.0.0/16 in table 254"]);
    near.ip("route add 10.7.0.0/16 dev eth0 metric 9");
    near.ip("route add 10.7.0.0/16 via 10.0.0.3 metric 7");
    lookout.wait();
    assert_eq!(lookout.ways(), [" by 10.0.0.3 on eth0", " on eth0"]);
    near.ip("route replace 10.7.0.0/16 via 10.0.0.4 metric 7");
    near.ip("route del 10.7.0.0/16 metric 9");
    lookout.wait();
    assert_eq!(lookout.ways(), [" by 10.0.0.4 on eth0"]);
    // What is beside it in the same place, before it and behind it.
    near.ip("route append 10.7.0.0/16 via 10.0.0.5 metric 7");
    near.ip("route prepend 10.7.0.0/16 via 10.0.0.6 metric 7");
    lookout.wait();
    let three = [6, 4, 5].map(|last| format!(" by 10.0.0.{last} on eth0"));
    assert_eq!(lookout.ways(), three);
    near.ip("route del 10.7.0.0/16 via 10.0.0.4 metric 7");
    near.ip("route del 10.7.0.0/16 via 10.0.0.6 metric 7");
    lookout.wait();
    assert_eq!(lookout.ways(), [" by 10.0.0.5 on eth0"]);
}

fn routes_of_another_destination_or_table_wake_nobody() {
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
    // The kernel says of a table with a great number only that it is one.
    lookout.read();
    assert_eq!(lookout.ways(), ["no route to 10.7.0.0/16 in table 300"]);
    assert!(!lookout.is_woken());
    near.ip("route add 10.7.0.1/32 dev eth0 table 300");
    near.ip("route del 10.7.0.0/16");
    assert!(!lookout.is_woken(), "of others");
    near.ip("route add 10.7.0.0/16 dev eth0 table 300");
    lookout.wait();
    assert_eq!(lookout.ways(), [" on eth0"]);
    assert_eq!(open(&near, "0.0.0.0/0", 300).ways(), [" on eth0"]);
    let reason = "no route to 0.0.0.0/0 in table 254";
    assert_eq!(open(&near, "0.0.0.0/0", 254).ways(), [reason]);
}

fn a_route_that_leads_nowhere_is_named() {
    let (near, _far) = pair();
    let mut lookout = open(&near, TEN, 254);
    for kind in ["unreachable", "blackhole", "prohibit", "throw"] {
        near.ip(&format!("route add {kind} 10.7.0.0/16"));
        lookout.wait();
        let said =
            format!("the route to 10.7.0.0/16 in table 254 leads nowhere: it is of type {kind}");
        assert_eq!(lookout.ways(), [said]);
        near.ip(&format!("route del {kind} 10.7.0.0/16"));
    }
    near.ip("route add unreachable 10.7.0.0/16 metric 4294967295");
    near.ip("route add 10.7.0.0/16 via 10.0.0.2");
    lookout.wait();
    assert_eq!(lookout.ways(), [" by 10.0.0.2 on eth0"]);
}

fn a_route_that_goes_without_a_word_is_missed() {
    let (near, _far) = pair();
    near.ip("address add 10.0.0.3/24 dev eth0");
    let add = "route add 10.7.0.0/16 via 10.0.0.2 src 10.0.0.3";
    near.ip(add);
    let mut lookout = open(&near, TEN, 254);
    let nothing = ["no route to 10.7.0.0/16 in table 254"];
    assert_eq!(lookout.ways(), [" by 10.0.0.2 on eth0"]);
    near.ip("address del 10.0.0.3/24 dev eth0");
    lookout.wait_for(&nothing);
    near.ip("address add 10.0.0.3/24 dev eth0");
    near.ip(add);
    lookout.wait_for(&[" by 10.0.0.2 on eth0"]);
    near.ip("link set eth0 down");
    lookout.wait_for(&nothing);
    near.ip("link set eth0 up");
    near.ip(add);
    lookout.wait_for(&[" by 10.0.0.2 on eth0"]);
    near.ip("link set eth0 down");
    near.ip("link set eth0 name eth7");
    near.ip("link set eth7 up");
    near.ip(add);
    lookout.wait_for(&[" by 10.0.0.2 on eth7"]);
    near.ip("link del eth7");
    lookout.wait_for(&nothing);
}

fn a_route_is_dead_as_long_as_its_link_is_down() {
    let (near, far) = pair();
    near.ip("route add 10.7.0.0/16 via 10.0.0.2");
    let mut lookout = open(&near, TEN, 254);
    let alive = [" by 10.0.0.2 on eth0"];
    assert_eq!(lookout.ways(), alive);
    for _ in 0..2 {
        far.ip("link set eth0 down");
        lookout
            .wait_for(&["the route to 10.7.0.0/16 in table 254 is dead: the link is down on eth0"]);
        far.ip("link set eth0 up");
        lookout.wait_for(&alive);
    }
}

fn several_next_hops_are_several_ways() {
    let (near, _far) = pair();
    near.ip("route add 10.7.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3 weight 3");
    let both = [" by 10.0.0.2 on eth0", " by 10.0.0.3 on eth0"];
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
        ["no route to 10.7.0.0/16 by 10.0.0.4 in table 254: there is one by 10.0.0.2 on eth0"]
    );
    assert_eq!(
        by(None, Some("eth1")),
        ["no route to 10.7.0.0/16 on eth1 in table 254: there is one by 10.0.0.2 on eth0"]
    );
}

fn nexthop_objects_are_looked_through() {
    let (near, _far) = pair();
    near.ip("nexthop add id 7 via 10.0.0.2 dev eth0");
    near.ip("route add 10.7.0.0/16 nhid 7");
    let mut lookout = open(&near, TEN, 254);
    assert_eq!(lookout.ways(), [" by 10.0.0.2 on eth0"]);
    near.ip("nexthop replace id 7 via 10.0.0.3 dev eth0");
    lookout.wait_for(&[" by 10.0.0.3 on eth0"]);
    near.ip("nexthop del id 7");
    lookout.wait_for(&["no route to 10.7.0.0/16 in table 254"]);
    // The kernel can be told to name the object alone.
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

fn routes_are_found_over_ipv6() {
    let (near, far) = pair_v6();
    let net = "2001:db8:7::/48";
    let nothing = ["no route to 2001:db8:7::/48 in table 254"];
    let mut lookout = open(&near, net, 254);
    assert_eq!(lookout.ways(), nothing);
    near.ip("route add 2001:db8:7::/48 via 2001:db8::2 metric 7");
    near.ip("route add 2001:db8:7::/48 via fe80::2 dev eth0 metric 9");
    lookout.wait_for(&[" by 2001:db8::2 on eth0", " by fe80::2 on eth0"]);
    near.ip("route del 2001:db8:7::/48 metric 9");
    near.ip("route append 2001:db8:7::/48 via 2001:db8::3 metric 7");
    lookout.wait_for(&[" by 2001:db8::2 on eth0", " by 2001:db8::3 on eth0"]);
    near.ip("route del 2001:db8:7::/48 via 2001:db8::2 metric 7");
    lookout.wait_for(&[" by 2001:db8::3 on eth0"]);
    far.ip("link set eth0 down");
    lookout
        .wait_for(&["the route to 2001:db8:7::/48 in table 254 is dead: the link is down on eth0"]);
    far.ip("link set eth0 up");
    lookout.wait_for(&[" by 2001:db8::3 on eth0"]);
    near.ip("link set eth0 down");
    lookout.wait_for(&nothing);
    // One of IPv4 may lead by a gateway of IPv6.
    near.ip("link set eth0 up");
    near.ip("route add 10.7.0.0/16 via inet6 fe80::2 dev eth0");
    open(&near, TEN, 254).wait_for(&[" by fe80::2 on eth0"]);
}

fn a_gateway_answers_and_one_that_is_not_there_does_not() {
    let (near, far) = pair();
    near.ip("route add 10.7.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3");
    let mut lookout = open_asking(&near, TEN);
    // It has never been spoken to, and then it has.
    for _ in 0..3 {
        assert!(lookout.question(&near, "10.0.0.2"));
    }
    assert!(!lookout.question(&near, "10.0.0.3"), "nobody has it");
    // It was there a moment ago.
    far.ip("address del 10.0.0.2/24 dev eth0");
    assert!(!lookout.question(&near, "10.0.0.2"));
    far.ip("address add 10.0.0.2/24 dev eth0");
    assert!(lookout.question(&near, "10.0.0.2"));
}

fn a_gateway_answers_over_ipv6() {
    let (near, far) = pair_v6();
    near.ip("route add 2001:db8:7::/48 via fe80::2 dev eth0");
    let mut lookout = open_asking(&near, "2001:db8:7::/48");
    for _ in 0..2 {
        assert!(lookout.question(&near, "fe80::2"));
    }
    far.ip("address del fe80::2/64 dev eth0");
    assert!(!lookout.question(&near, "fe80::2"));
}

fn a_neighbour_that_is_given_is_not_asked() {
    let (near, _far) = pair();
    let mut lookout = open_asking(&near, TEN);
    near.ip("neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent");
    assert_eq!(lookout.ask(&near, "10.0.0.9"), Asked::NeedsNone);
    let shown = near.ip("neigh show 10.0.0.9");
    assert!(shown.contains("PERMANENT"), "and stays so: {shown}");
    near.ip("neigh add 10.0.0.8 lladdr 02:00:00:00:00:08 dev eth0 nud noarp");
    assert_eq!(lookout.ask(&near, "10.0.0.8"), Asked::NeedsNone);
    // On a device where nobody asks; the kernel finds that out when it is used.
    near.ip("link add eth1 type veth peer name eth2");
    near.ip("link set eth1 up arp off");
    let number = near.within(|| nix::net::if_::if_nametoindex("eth1").unwrap());
    let (eth1, gateway) = (InterfaceIndex(number), "10.9.0.1".parse().unwrap());
    let asked = lookout.lookout.ask(eth1, gateway).unwrap();
    assert_eq!(asked, Asked::NeedsNone);
    // What somebody else has learned stays his.
    near.ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0 nud reachable extern_learn");
    assert_eq!(lookout.ask(&near, "10.0.0.2"), Asked::Yes);
    let shown = near.ip("neigh show 10.0.0.2");
    assert!(shown.contains("extern_learn"), "{shown}");
}

/// A lookout with what it has heard.
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

/// One that asks gateways.
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

    /// Where the ways lead, or why there is none.
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

    /// Takes the news, which there has to be.
    fn wait(&mut self) {
        assert!(self.is_woken(), "there is no news");
        self.read();
    }

    /// Takes news until these are the ways.
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
            assert!(Instant::now() < deadline, "{what:?} never: {ways:?}");
            self.polls(PollTimeout::from(100_u8));
        }
    }

    fn ask(&mut self, host: &Host, gateway: &str) -> Asked {
        self.read();
        self.answers.clear();
        let gateway = gateway.parse().unwrap();
        self.lookout.ask(host.eth0(), gateway).unwrap()
    }

    /// Whether a gateway answers before the kernel gives up.
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
