//! Requests, monitor, mirror and cleanup.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vrrp_linux::kernel::Kernel;
use vrrp_linux::monitor::{Heard, Monitor};
use vrrp_linux::request::Requests;
use vrrp_node::change::{Change, Failure};
use vrrp_node::cleanup::{self, Cleaned};
use vrrp_node::execution::carry_out;
use vrrp_node::host::Kernel as _;
use vrrp_node::mirror::{Event, Extent, Held, Mirror};
use vrrp_node::plan::plan;
use vrrp_proto::params::{AddressForm, AddressOptions, RouterParams};
use vrrp_proto::{Desired, Family, Input, InterfaceAddress, InterfaceIndex, Vrid};

use crate::host::{Host, address, pair};

crate::tests! {
    address_is_added_as_by_ip_and_marked,
    thousand_addresses_keep_the_order_of_requests,
    own_address_changes_are_not_notified,
    foreign_address_changes_are_notified_and_repaired,
    deletion_of_a_primary_leaves_its_secondaries,
    secondaries_deleted_with_their_primary_are_notified,
    deleted_address_names_its_reason,
    promotion_of_a_secondary_is_no_event,
    addresses_deleted_together_leave_no_events,
    redundant_address_change_is_no_failure,
    each_rejected_change_is_a_separate_failure,
    receive_overrun_is_repaired_by_a_new_dump,
    dump_of_one_interface_equals_its_part_of_all,
    changes_elsewhere_do_not_interrupt_dump_of_one_interface,
    link_changes_are_notified_until_deletion,
    link_leaving_a_bridge_is_not_deleted,
    cleanup_deletes_only_marked_addresses,
    cleanup_leaves_the_secondaries_of_a_virtual_address,
}

fn address_is_added_as_by_ip_and_marked() {
    let (near, far) = pair();
    let mut node = Node::start(&near);
    node.hold(&["192.168.224.100/24", "10.0.0.9/24"]);
    far.ip("address add 192.168.224.100/24 dev eth0");
    far.ip("address add 10.0.0.9/24 dev eth0");

    let theirs = far
        .ip("-oneline -4 address show dev eth0")
        .replace("10.0.0.2/", "10.0.0.1/");
    let ours = near.ip("-oneline -4 address show dev eth0");
    let unnumbered = |text: &str| {
        let lines = text
            .lines()
            .map(|line| line.split_once(": ").unwrap().1.to_owned());
        lines.collect::<Vec<_>>()
    };
    // A recent iproute2 shows the mark.
    assert_eq!(
        unnumbered(&ours.replace(" proto 0x56", "")),
        unnumbered(&theirs)
    );
    assert_eq!(
        near.ip("route show table all")
            .replace("10.0.0.1", "10.0.0.2"),
        far.ip("route show table all")
    );

    let dump = node.kernel.dump().unwrap();
    let held = dump.addresses.into_iter().map(|(_, held)| held);
    let held: Vec<_> = held
        .filter(|held| held.address.family() == Family::V4)
        .map(|held| (held.address.to_string(), held.ours, held.secondary))
        .collect();
    assert_eq!(
        held,
        [
            ("127.0.0.1/8".to_owned(), false, false),
            ("10.0.0.1/24".to_owned(), false, false),
            ("192.168.224.100/24".to_owned(), true, false),
            ("10.0.0.9/24".to_owned(), true, true),
        ]
    );
}

fn thousand_addresses_keep_the_order_of_requests() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let many: Vec<_> = thousand().map(|address| address.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    node.hold(&many);
    // The kernel has handled the requests within send(2), so no wait is needed.
    let there = node.in_kernel();
    assert!(
        there.iter().eq(["10.0.0.1/24"].iter().chain(&many)),
        "the kernel has {} addresses",
        there.len()
    );
    node.release(&many);
    assert_eq!(node.in_kernel(), ["10.0.0.1/24"]);
    node.assert_mirror_is_right();
}

fn own_address_changes_are_not_notified() {
    let (near, _far) = pair();
    near.sysctl("ipv4/conf/eth0/promote_secondaries", 1);
    let mut node = Node::start(&near);
    let vips = ["192.168.224.101/24", "192.168.224.100/24", "10.0.0.9/24"];
    node.hold(&["192.168.224.100/24"]);
    for _ in 0..2 {
        node.hold(&vips);
        node.release(&vips[2..]);
        node.hold(&vips);
        // The secondary is deleted before its primary.
        node.release(&vips);
        node.hold(&vips[1..]);
    }
    assert!(!node.is_woken());
    node.assert_mirror_is_right();
}

fn foreign_address_changes_are_notified_and_repaired() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    node.hold(&["10.0.0.9/24"]);
    near.ip("address del 10.0.0.9/24 dev eth0");
    assert!(node.is_woken());
    assert_eq!(node.news(), ["removed 10.0.0.9/24"]);
    assert!(!node.is_woken());
    node.hold(&["10.0.0.9/24"]);
    assert_eq!(node.in_kernel(), ["10.0.0.1/24", "10.0.0.9/24"]);

    near.ip("address add 10.0.0.7/32 dev eth0");
    assert_eq!(node.news(), ["added 10.0.0.7/32"]);
    node.assert_mirror_is_right();
}

fn secondaries_deleted_with_their_primary_are_notified() {
    let (near, _far) = pair();
    near.sysctl("ipv4/conf/eth0/promote_secondaries", 0);
    near.sysctl("ipv4/conf/all/promote_secondaries", 0);
    let mut node = Node::start(&near);
    node.hold(&["192.168.224.100/24"]);
    node.hold(&["192.168.224.101/24"]);
    near.ip("address add 192.168.224.102/24 dev eth0");
    assert_eq!(node.news(), ["added 192.168.224.102/24"]);
    // Without the setting that `carry_out` turns on.
    let delete = Change::Delete {
        interface: node.interface,
        address: address("192.168.224.100/24"),
    };
    node.mirror.applied(&delete);
    let mut failures = Vec::new();
    node.kernel
        .change_addresses(&[delete], &mut node.mirror, &mut failures);
    let mut news = node.news();
    news.sort();
    assert_eq!(
        news,
        ["removed 192.168.224.101/24", "removed 192.168.224.102/24"]
    );
    node.assert_mirror_is_right();
}

fn deletion_of_a_primary_leaves_its_secondaries() {
    let setting = "ipv4/conf/eth0/promote_secondaries";
    for promotes in [0, 1] {
        let (near, _far) = pair();
        near.sysctl(setting, promotes);
        near.sysctl("ipv4/conf/all/promote_secondaries", 0);
        let mut node = Node::start(&near);
        node.hold(&["192.168.224.100/24"]);
        let others = [
            "address add 192.168.224.11/24 broadcast 192.168.224.255 dev eth0 label eth0:own \
             preferred_lft 3600 valid_lft 7200",
            "address add 192.168.224.12/24 dev eth0 noprefixroute",
        ];
        others.iter().for_each(|other| drop(near.ip(other)));
        let without_lifetime = |shown: String| {
            let lines = shown.lines().filter(|line| !line.contains("valid_lft"));
            lines.collect::<Vec<_>>().join("\n")
        };
        let show = || without_lifetime(near.ip("-4 address show dev eth0"));
        let before = show();
        node.release(&["192.168.224.100/24"]);
        let expected: Vec<_> = before
            .lines()
            .filter(|line| !line.contains("192.168.224.100/24"))
            .collect();
        // The first one is primary now.
        let expected = expected.join("\n").replacen(" secondary", "", 1);
        assert_eq!(show(), expected, "promote_secondaries {promotes}");
        let now = near.within(|| std::fs::read_to_string(format!("/proc/sys/net/{setting}")));
        assert_eq!(now.unwrap().trim(), promotes.to_string(), "as before");
        node.news();
        node.assert_mirror_is_right();
    }
}

fn deleted_address_names_its_reason() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    node.hold(&["10.0.0.9/24"]);
    near.ip("address add 10.8.0.1/24 dev eth0");
    near.ip("link add eth1 type veth peer name eth2");
    near.ip("address add 10.7.0.1/24 dev eth1");
    near.ip("address del 10.8.0.1/24 dev eth0");
    near.ip("link del eth1");
    let mut events = Vec::new();
    assert_eq!(node.monitor.read(&mut events).unwrap(), Heard::All);
    let gone = events.iter().filter_map(|event| {
        let Event::AddressRemoved(_, address, loss) = event else {
            return None;
        };
        Some(format!("{address} {loss}"))
    });
    assert_eq!(
        gone.collect::<Vec<_>>(),
        [
            "10.8.0.1/24 was deleted by another program",
            "10.7.0.1/24 was missing",
        ],
        "the kernel deletes the second one with its interface"
    );
}

fn promotion_of_a_secondary_is_no_event() {
    let (near, _far) = pair();
    near.sysctl("ipv4/conf/eth0/promote_secondaries", 1);
    let mut node = Node::start(&near);
    for vip in [
        "192.168.224.100/24",
        "192.168.224.101/24",
        "192.168.224.102/24",
    ] {
        node.hold(&[vip]);
    }
    node.release(&["192.168.224.100/24"]);
    assert!(node.is_woken());
    assert_eq!(node.news(), [""; 0], "the set of addresses is unchanged");
    node.assert_mirror_is_right();
}

fn addresses_deleted_together_leave_no_events() {
    for promotes in [0, 1] {
        let (near, _far) = pair();
        near.sysctl("ipv4/conf/eth0/promote_secondaries", promotes);
        near.sysctl("ipv4/conf/all/promote_secondaries", promotes);
        let mut node = Node::start(&near);
        // A network in which the host has no other address: the first one is primary.
        let all = ["10.9.0.1/24", "10.9.0.2/24", "10.9.0.3/24"];
        for address in all {
            node.hold(&[address]);
        }
        node.release(&all);
        assert_eq!(node.news(), [""; 0], "promote_secondaries {promotes}");
        node.assert_mirror_is_right();
    }
}

fn redundant_address_change_is_no_failure() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    near.ip("address add 10.0.0.9/24 dev eth0");
    // The mirror has not read the notification yet.
    node.hold(&["10.0.0.9/24"]);
    assert_eq!(node.news(), ["added 10.0.0.9/24"], "a foreign address");
    near.ip("address del 10.0.0.9/24 dev eth0");
    node.release(&["10.0.0.9/24"]);
    assert_eq!(node.news(), [""; 0]);
    node.assert_mirror_is_right();

    node.hold(&["10.0.0.8/24"]);
    near.ip("link del eth0");
    node.release(&["10.0.0.8/24"]);
}

fn each_rejected_change_is_a_separate_failure() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let nowhere = InterfaceIndex(9999);
    let changes: Vec<_> = thousand()
        .map(|address| Change::add(nowhere, address))
        .collect();
    changes
        .iter()
        .for_each(|change| node.mirror.applied(change));
    let mut failures = Vec::new();
    node.kernel
        .change_addresses(&changes, &mut node.mirror, &mut failures);
    let (refused, errors): (Vec<_>, Vec<_>) = failures
        .iter()
        .map(|failure| (failure.change, failure.error.raw_os_error()))
        .unzip();
    assert_eq!(refused, changes);
    assert_eq!(errors, [Some(libc::ENODEV)].repeat(1000));
    assert_eq!(
        failures[0].to_string(),
        "cannot add 10.1.0.0/16 to interface 9999: No such device (os error 19)"
    );
    node.assert_mirror_is_right();
}

fn receive_overrun_is_repaired_by_a_new_dump() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let mut stranger = Node::start(&near);
    let mut rounds = 0;
    let mut events = Vec::new();
    while node.monitor.read(&mut events).unwrap() == Heard::All {
        // Repeat until the notifications exceed the receive buffer.
        rounds += 1;
        assert!(rounds < 20, "no overrun");
        for _ in 0..rounds {
            let many: Vec<_> = thousand().collect();
            stranger.want(&many, &[]);
            stranger.want(&[], &many);
        }
    }
    events
        .into_iter()
        .for_each(|event| drop(node.mirror.apply(event)));
    near.ip("address add 10.0.0.9/24 dev eth0");
    let inputs = node.mirror.replace(node.kernel.dump().unwrap());
    assert!(!inputs.is_empty());
    node.assert_mirror_is_right();
}

fn dump_of_one_interface_equals_its_part_of_all() {
    let (near, _far) = pair();
    near.ip("address add 2001:db8::1/64 dev eth0 nodad");
    let mut node = Node::start(&near);
    node.hold(&["10.0.0.9/24", "2001:db8::9/64"]);
    let all = node.kernel.dump().unwrap();
    assert_eq!(all.links.len(), 2, "lo and eth0");
    for link in &all.links {
        let one = node.kernel.dump_interface(link.index).unwrap();
        assert_eq!(one.extent, Extent::Interface(link.index));
        assert_eq!(one.links, std::slice::from_ref(link));
        let mut there = all.addresses.clone();
        there.retain(|(on, _)| *on == link.index);
        assert_eq!(one.addresses, there);
    }
    let missing = node.kernel.dump_interface(InterfaceIndex(9999)).unwrap();
    assert!(missing.links.is_empty() && missing.addresses.is_empty());
}

fn changes_elsewhere_do_not_interrupt_dump_of_one_interface() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let mut other = near.within(|| Requests::open().unwrap());
    let lo = InterfaceIndex(1);
    // More than one message of a complete dump has room for.
    let many: Vec<_> = thousand().map(|address| Change::add(lo, address)).collect();
    other.apply(&many, &mut Mirror::new(), &mut Vec::new());
    let address = address("10.9.9.9/32");
    let changes = [
        Change::add(lo, address),
        Change::Delete {
            interface: lo,
            address,
        },
    ];
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                other.apply(&changes, &mut Mirror::new(), &mut Vec::new());
            }
        });
        let dumps = (0..1_000).map(|_| node.kernel.dump_interface(node.interface));
        let failures: Vec<_> = dumps.filter_map(Result::err).collect();
        ended.store(true, Ordering::Relaxed);
        assert!(failures.is_empty(), "{failures:?}");
    });
}

fn link_changes_are_notified_until_deletion() {
    let (near, far) = pair();
    let mut node = Node::start(&near);
    // The kernel notifies of a carrier asynchronously.
    far.ip("link set eth0 down");
    node.wait_for("link eth0 up, no carrier");
    far.ip("link set eth0 up");
    node.wait_for("link eth0 up, carrier");
    near.ip("link set eth0 name wan");
    node.wait_for("link wan up, carrier");
    near.ip("link set wan down");
    node.wait_for("link wan down, no carrier");
    near.ip("link del wan");
    node.wait_for("link removed");
    near.ip("link add br0 type bridge");
    node.wait_for("link br0 down, no carrier");
    node.assert_mirror_is_right();
}

fn link_leaving_a_bridge_is_not_deleted() {
    let (near, _far) = pair();
    near.ip("link add br0 type bridge");
    let mut node = Node::start(&near);
    near.ip("link set eth0 master br0");
    near.ip("link set eth0 nomaster");
    assert!(!node.news().contains(&"link removed".to_owned()));
    node.assert_mirror_is_right();
}

fn cleanup_deletes_only_marked_addresses() {
    let (near, _far) = pair();
    near.ip("address add 10.0.0.7/24 dev eth0");
    let mut node = Node::start(&near);
    node.hold(&["10.0.0.9/24", "192.168.224.100/24"]);
    // Where the kernel stores marks, the configuration does not matter.
    let vrid = Vrid::new(51).unwrap();
    let configured = RouterParams::new("eth0".into(), vrid, [address("10.0.0.7/24")].into());
    let cleaned = near.within(|| clean_up([&configured]));
    let removed: Vec<_> = cleaned
        .removed
        .iter()
        .map(|(name, a)| format!("{name} {a}"))
        .collect();
    assert_eq!(removed, ["eth0 10.0.0.9/24", "eth0 192.168.224.100/24"]);
    assert!(cleaned.failures.is_empty());
    assert_eq!(node.in_kernel(), ["10.0.0.1/24", "10.0.0.7/24"]);
    let again = near.within(|| clean_up([&configured]));
    assert!(again.removed.is_empty());
}

fn cleanup_leaves_the_secondaries_of_a_virtual_address() {
    let (near, _far) = pair();
    near.sysctl("ipv4/conf/eth0/promote_secondaries", 0);
    near.sysctl("ipv4/conf/all/promote_secondaries", 0);
    let mut node = Node::start(&near);
    node.hold(&["192.168.224.100/24", "192.168.224.101/24"]);
    near.ip("address add 192.168.224.11/24 dev eth0");
    let cleaned = near.within(|| clean_up([]));
    assert_eq!(cleaned.removed.len(), 2);
    assert!(cleaned.failures.is_empty() && cleaned.promotion_failures.is_empty());
    assert_eq!(node.in_kernel(), ["10.0.0.1/24", "192.168.224.11/24"]);
}

fn clean_up<'a>(
    routers: impl IntoIterator<Item = &'a RouterParams>,
) -> Cleaned<impl std::fmt::Debug> {
    cleanup::addresses(|| routers, &mut Kernel::open().unwrap()).unwrap()
}

/// The parts of the daemon's loop without the engine.
pub(crate) struct Node {
    pub(crate) kernel: Kernel,
    pub(crate) monitor: Monitor,
    pub(crate) mirror: Mirror,
    interface: InterfaceIndex,
}

impl Node {
    pub(crate) fn start(host: &Host) -> Self {
        let interface = host.eth0();
        host.within(|| {
            let mut kernel = Kernel::open().unwrap();
            let monitor = Monitor::open(kernel.port()).unwrap();
            let mut mirror = Mirror::new();
            mirror.replace(kernel.dump().unwrap());
            // Opens the other socket in this namespace, too.
            let missing = kernel.promote_secondaries(InterfaceIndex(9999), true);
            assert!(!missing.unwrap(), "no such interface");
            Self {
                kernel,
                monitor,
                mirror,
                interface,
            }
        })
    }

    pub(crate) fn hold(&mut self, texts: &[&str]) {
        let addresses: Vec<_> = texts.iter().map(|text| address(text)).collect();
        self.want(&addresses, &[]);
    }

    pub(crate) fn release(&mut self, texts: &[&str]) {
        let addresses: Vec<_> = texts.iter().map(|text| address(text)).collect();
        self.want(&[], &addresses);
    }

    /// Holds an address and releases another one in the same turn.
    pub(crate) fn replace_by(&mut self, hold: &str, release: &str) {
        self.want(&[address(hold)], &[address(release)]);
    }

    fn want(&mut self, hold: &[InterfaceAddress], release: &[InterfaceAddress]) {
        self.carry_out(&Desired {
            options: std::sync::Arc::default(),
            interface: self.interface,
            hold: hold.into(),
            release: release.into(),
            accept: true,
            spare_foreign: false,
        });
    }

    /// Holds an address with these properties.
    pub(crate) fn hold_as(&mut self, text: &str, form: AddressForm) {
        let address = address(text);
        let options = AddressOptions {
            form,
            ..AddressOptions::default()
        };
        self.carry_out(&Desired {
            accept: true,
            options: std::sync::Arc::new([(address.address, options)].into()),
            interface: self.interface,
            hold: [address].into(),
            release: [].into(),
            spare_foreign: false,
        });
    }

    fn carry_out(&mut self, desired: &Desired) {
        let (mut changes, mut failures) = (Vec::new(), Vec::<Failure>::new());
        plan(desired, &mut self.mirror, &mut changes);
        let (mirror, kernel) = (&mut self.mirror, &mut self.kernel);
        let rejected = carry_out(&mut changes, mirror, &mut failures, kernel);
        assert!(failures.is_empty() && rejected.is_empty(), "{failures:?}");
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.is_woken_within(0)
    }

    fn is_woken_within(&self, millis: u16) -> bool {
        let mut fds = [PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(millis)).unwrap() == 1
    }

    /// Waits until `news` is among the events for the engine.
    pub(crate) fn wait_for(&mut self, news: &str) {
        loop {
            assert!(self.is_woken_within(5000), "no event: {news}");
            if self.news().iter().any(|heard| heard == news) {
                return;
            }
        }
    }

    /// Events for the engine since the last call, without repetitions. Reads the interfaces again
    /// about which the mirror is in doubt, as the daemon does.
    pub(crate) fn news(&mut self) -> Vec<String> {
        let mut events: Vec<Event> = Vec::new();
        assert_eq!(self.monitor.read(&mut events).unwrap(), Heard::All);
        let inputs = events
            .into_iter()
            .filter_map(|event| self.mirror.apply(event));
        let mut news: Vec<_> = inputs.map(|input| describe(&input)).collect();
        for interface in self.mirror.in_doubt().clone() {
            let dump = self.kernel.dump_interface(interface).unwrap();
            news.extend(self.mirror.replace(dump).iter().map(describe));
        }
        news.dedup();
        news
    }

    /// As [`news`](Self::news), until no more notifications arrive for 300 ms.
    pub(crate) fn all_news(&mut self) -> Vec<String> {
        let mut news = self.news();
        while self.is_woken_within(300) {
            news.extend(self.news());
        }
        news
    }

    /// Addresses of `eth0` in the order of the kernel's dump.
    pub(crate) fn in_kernel(&mut self) -> Vec<String> {
        let dump = self.kernel.dump().unwrap();
        let addresses = dump
            .addresses
            .iter()
            .filter(|(interface, _)| *interface == self.interface);
        addresses
            .map(|(_, held)| held.address.to_string())
            .collect()
    }

    /// Asserts that the mirror equals a new dump, including the order of addresses of other programs.
    pub(crate) fn assert_mirror_is_right(&mut self) {
        let dump = self.kernel.dump().unwrap();
        let links: Vec<_> = self.mirror.links().cloned().collect();
        assert_eq!(links, dump.links);
        for link in &dump.links {
            let there = dump
                .addresses
                .iter()
                .filter(|(interface, _)| *interface == link.index);
            assert_eq!(
                ours_and_others(self.mirror.addresses(link.index)),
                ours_and_others(there.map(|(_, held)| *held)),
                "on {}",
                link.name
            );
        }
    }
}

/// Own addresses sorted, and foreign ones in their order. Foreign IPv6 addresses are sorted too: the
/// kernel orders them differently.
fn ours_and_others(addresses: impl IntoIterator<Item = Held>) -> [Vec<InterfaceAddress>; 2] {
    let (ours, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|held| held.ours);
    let addresses = |held: Vec<Held>| held.into_iter().map(|held| held.address).collect();
    let [mut ours, mut others]: [Vec<_>; 2] = [addresses(ours), addresses(others)];
    ours.sort();
    others.sort_by_key(|address: &InterfaceAddress| match address.address {
        IpAddr::V4(_) => None,
        ipv6 @ IpAddr::V6(_) => Some(ipv6),
    });
    [ours, others]
}

fn describe(input: &Input<'_>) -> String {
    if let Input::AddressAdded { address, .. } = input {
        format!("added {address}")
    } else if let Input::AddressRemoved { address, .. } = input {
        format!("removed {address}")
    } else if let Input::Link(link) = input {
        let state = if link.up { "up" } else { "down" };
        let carrier = if link.carrier {
            "carrier"
        } else {
            "no carrier"
        };
        format!("link {} {state}, {carrier}", link.name)
    } else if let Input::LinkRemoved(_) = input {
        "link removed".to_owned()
    } else {
        unreachable!("a mirror yields only addresses and links: {input:?}")
    }
}

fn thousand() -> impl Iterator<Item = InterfaceAddress> {
    (0..1000).map(|n| address(&format!("10.1.{}.{}/16", n / 250, n % 250)))
}
