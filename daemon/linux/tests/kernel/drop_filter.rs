//! Drop rules against a real kernel: their effect, and repair of the table.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_linux::kernel::{Kernel, Watch};
use vrrp_linux::poller::{Events, Poller};
use vrrp_node::cleanup;
use vrrp_node::drop_filter::DropFilter;
use vrrp_node::execution::carry_out;
use vrrp_node::host::{Kernel as _, Transaction};
use vrrp_node::mirror::Mirror;
use vrrp_node::plan::plan;
use vrrp_proto::{Desired, InterfaceIndex};

use crate::host::{Host, address, pair, pair_v6};

crate::tests! {
    only_packets_to_listed_addresses_are_dropped,
    neighbour_discovery_is_never_dropped,
    link_local_address_is_dropped_on_its_interface,
    drop_rule_is_removed_on_accept_or_release,
    table_is_listed_with_comment_and_rules,
    foreign_table_changes_are_undone,
    own_and_unrelated_table_changes_are_ignored,
    thousands_of_drop_rules_are_added_and_removed,
    missing_capability_is_named_in_the_error,
    earlier_drop_rules_last_until_address_is_deleted,
    cleanup_deletes_the_table,
    table_of_another_program_stays,
}

const PORT: u16 = 7;
const OWN: &str = "10.0.0.1";
const END: &str = "the end";
const NEIGHBOUR_SOLICITATION: u8 = 135;

/// Deadline of every wait.
const PATIENCE: Duration = Duration::from_secs(10);

fn only_packets_to_listed_addresses_are_dropped() {
    let (near, far) = pair();
    let mut node = Node::start(&near);
    node.want(&["10.0.0.9/24", "10.0.0.8/24"], &[], true);
    assert_eq!(
        heard(&near, &far, &["10.0.0.9", "10.0.0.8"]),
        ["10.0.0.9", "10.0.0.8"]
    );
    node.want(&["10.0.0.9/24"], &[], false);
    assert_eq!(heard(&near, &far, &["10.0.0.9", "10.0.0.8"]), ["10.0.0.8"]);
    // ARP is still answered.
    assert!(far.ip("neigh show 10.0.0.9").contains("lladdr"));
    // Packets of the host to itself are dropped, too.
    assert_eq!(heard(&near, &near, &["10.0.0.9", "10.0.0.8"]), ["10.0.0.8"]);
    // IPv4 packets that look like neighbour discovery are no exception.
    assert_eq!(
        heard_as(58, &near, &far, &["10.0.0.9", "10.0.0.8"]),
        ["10.0.0.8"]
    );
}

// RFC 9568 6.1 MUST NOT: drop neighbour discovery when Accept_Mode is False
fn neighbour_discovery_is_never_dropped() {
    // The kernel probes a neighbour from the link-local address, which has to be usable at once.
    let (near, far) = pair_v6();
    near.ip("address add fd00::1/64 dev eth0 nodad");
    far.ip("address add fd00::2/64 dev eth0 nodad");
    let mut node = Node::start(&near);
    node.refuse(&["fd00::9/64"]);
    near.ip("address add fd00::9/64 dev eth0 nodad");
    // The far host resolves fd00::9 by multicast solicitation, and gets an answer.
    assert_eq!(heard(&near, &far, &["fd00::9", "fd00::1"]), ["fd00::1"]);
    wait_until(|| far.ip("neigh show fd00::9").contains("lladdr"));
    // A unicast solicitation, as for a neighbour with a stale entry.
    let link = near.ip("link show dev eth0");
    let mac = link
        .split("ether ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    far.ip(&format!(
        "neigh replace fd00::9 lladdr {mac} dev eth0 nud probe"
    ));
    wait_until(|| far.ip("neigh show fd00::9").contains("REACHABLE"));
    let list = near.within(|| nft("list set inet vrrpd refused_ipv6"));
    assert!(list.contains("elements = { fd00::9 }"), "{list}");
}

fn link_local_address_is_dropped_on_its_interface() {
    let (near, far) = pair();
    // The same address on another interface belongs to the host itself.
    near.ip("link add eth1 type bridge");
    near.ip("link set eth1 up");
    near.ip("address add fe80::9/64 dev eth1 nodad");
    let eth1 = near.within(|| nix::net::if_::if_nametoindex("eth1").unwrap());
    far.ip("address add fe80::2/64 dev eth0 nodad");
    let mut node = Node::start(&near);
    node.refuse(&["fe80::9/64"]);
    near.ip("address add fe80::9/64 dev eth0 nodad");
    let say = |host: &Host, interface: u32| {
        let to = std::net::SocketAddrV6::new("fe80::9".parse().unwrap(), PORT, 0, interface);
        let mouth = host.within(|| UdpSocket::bind("[::]:0").unwrap());
        mouth.send_to(b"link-local", to).unwrap();
    };
    let ear = near.within(|| UdpSocket::bind(("::", PORT)).unwrap());
    ear.set_read_timeout(Some(PATIENCE)).unwrap();
    say(&far, far.eth0().0);
    wait_until(|| far.ip("neigh show fe80::9").contains("lladdr"));
    say(&far, far.eth0().0);
    // A packet of the host to itself arrives by the loopback interface.
    say(&near, eth1);
    let (_, from) = ear.recv_from(&mut [0; 64]).unwrap();
    assert_eq!(from.ip().to_string(), "fe80::9", "not from fe80::2");
    let listed = near.within(|| nft("list set inet vrrpd refused_link_local"));
    assert!(listed.contains("\"eth0\" . fe80::9"), "{listed}");
}

fn drop_rule_is_removed_on_accept_or_release() {
    let (near, far) = pair();
    let mut node = Node::start(&near);
    let vip = &["10.0.0.9/24"];
    node.want(vip, &[], false);
    assert_eq!(heard(&near, &far, &["10.0.0.9"]), [""; 0]);
    node.want(vip, &[], true);
    assert_eq!(heard(&near, &far, &["10.0.0.9"]), ["10.0.0.9"]);
    node.want(vip, &[], false);
    node.want(&[], vip, false);
    near.ip("address add 10.0.0.9/24 dev eth0");
    assert_eq!(
        heard(&near, &far, &["10.0.0.9"]),
        ["10.0.0.9"],
        "now an address of the host"
    );
    near.within(|| node.drop_filter.retire(&mut node.kernel))
        .unwrap();
    assert_eq!(near.within(|| nft("list ruleset")), "");
}

fn table_is_listed_with_comment_and_rules() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    node.want(&["10.0.0.9/24"], &[], false);
    let listed = near.within(|| nft("list ruleset"));
    let words: Vec<_> = listed.split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "table inet vrrpd { \
         comment \"made by vrrpd: packets to these addresses are refused (acceptMode = false)\" \
         set refused_ipv4 { type ipv4_addr elements = { 10.0.0.9 } } \
         set refused_ipv6 { type ipv6_addr } \
         set refused_link_local { type iface_index . ipv6_addr } \
         chain refuse { type filter hook input priority filter - 1; policy accept; \
         icmpv6 type 135-136 accept \
         ip daddr @refused_ipv4 drop \
         ip6 daddr @refused_ipv6 drop \
         iif . ip6 daddr @refused_link_local drop } }",
        "{listed}"
    );
}

fn foreign_table_changes_are_undone() {
    let (near, far) = pair();
    let mut node = Node::start(&near);
    node.want(&["10.0.0.9/24"], &[], false);
    let intact = near.within(|| nft("list ruleset"));
    for what in [
        "flush ruleset",
        "delete table inet vrrpd",
        "flush chain inet vrrpd refuse",
        "flush set inet vrrpd refused_ipv4",
        "delete element inet vrrpd refused_ipv4 { 10.0.0.9 }",
        "add element inet vrrpd refused_ipv4 { 10.0.0.1 }",
        "insert rule inet vrrpd refuse accept",
    ] {
        near.within(|| nft(what));
        assert!(node.is_woken(), "{what}");
        assert!(node.is_touched(), "{what}");
        node.drop_filter.repair(&mut node.kernel).unwrap();
        assert_eq!(near.within(|| nft("list ruleset")), intact, "{what}");
        assert!(!node.is_woken() && !node.is_touched());
    }
    assert_eq!(heard(&near, &far, &["10.0.0.9", OWN]), [OWN]);
    // A change before the notification is read finds the damage and repairs it.
    near.within(|| nft("flush ruleset"));
    node.want(&["10.0.0.8/24"], &[], false);
    assert_eq!(heard(&near, &far, &["10.0.0.9", "10.0.0.8", OWN]), [OWN]);
}

fn own_and_unrelated_table_changes_are_ignored() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    for _ in 0..3 {
        node.want(&["10.0.0.9/24", "10.0.0.8/24"], &[], false);
        node.want(&["10.0.0.8/24"], &["10.0.0.9/24"], false);
    }
    assert!(!node.is_woken());
    near.within(|| nft("add table inet other"));
    near.within(|| nft("add table ip vrrpd"));
    near.within(|| nft("delete table inet other"));
    assert!(!node.is_touched());
}

fn thousands_of_drop_rules_are_added_and_removed() {
    let (near, far) = pair();
    let mut node = Node::start(&near);
    let many: Vec<String> = (0..3000)
        .map(|n| format!("10.1.{}.{}/16", n / 250, n % 250))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for count in [1, 2, 1000, many.len()] {
        let start = Instant::now();
        node.refuse(&many[..count]);
        println!("{count} drop rules installed after {:?}", start.elapsed());
    }
    let listed = near.within(|| nft("list set inet vrrpd refused_ipv4"));
    assert_eq!(listed.matches("10.1.").count(), many.len());
    node.want(&[], &many, false);
    assert_eq!(heard(&near, &far, &[OWN]), [OWN]);
    let listed = near.within(|| nft("list set inet vrrpd refused_ipv4"));
    assert_eq!(listed.matches("10.1.").count(), 0);
}

fn missing_capability_is_named_in_the_error() {
    let (near, _far) = pair();
    let without = |capability, act: &mut dyn FnMut() -> String| {
        caps::drop(None, CapSet::Effective, capability).unwrap();
        let text = act();
        caps::raise(None, CapSet::Effective, capability).unwrap();
        text
    };
    let (mut kernel, mut drop_filter) = (
        near.within(|| Kernel::open().unwrap()),
        DropFilter::default(),
    );
    let mut prepare = || near.within(|| drop_filter.repair(&mut kernel).map_err(|e| e.to_string()));
    // Enter the namespace first: setns needs another capability.
    near.within(|| ());
    let text = without(Capability::CAP_NET_ADMIN, &mut || prepare().unwrap_err());
    assert_eq!(
        text,
        "cannot change the table inet vrrpd of nf_tables: Operation not permitted (os error 1): \
         CAP_NET_ADMIN is missing: grant the capability"
    );
    prepare().unwrap();
    let desired = desired(near.eth0(), &["10.0.0.9/24"], &[], false);
    near.within(|| drop_filter.install(&[desired], &mut kernel))
        .unwrap();
}

fn earlier_drop_rules_last_until_address_is_deleted() {
    let (near, far) = pair();
    let mut dead = Node::start(&near);
    dead.want(&["10.0.0.9/24"], &[], false);
    drop(dead);
    assert_eq!(heard(&near, &far, &["10.0.0.9", OWN]), [OWN]);
    let mut node = Node::start(&near);
    assert_eq!(heard(&near, &far, &["10.0.0.9", OWN]), [OWN]);
    node.want(&[], &["10.0.0.9/24"], true);
    let listed = near.within(|| nft("list set inet vrrpd refused_ipv4"));
    assert!(!listed.contains("10.0.0.9"), "{listed}");
}

fn cleanup_deletes_the_table() {
    let (near, _far) = pair();
    let mut kernel = near.within(|| Kernel::open().unwrap());
    let mut clean_up = || near.within(|| cleanup::addresses(|| [], &mut kernel).unwrap());
    assert!(!clean_up().table.unwrap(), "no table yet");
    let mut node = Node::start(&near);
    node.want(&["10.0.0.9/24"], &[], false);
    let cleaned = clean_up();
    assert!(cleaned.table.unwrap() && cleaned.removed.len() == 1 && cleaned.failures.is_empty());
    assert_eq!(near.within(|| nft("list ruleset")), "");
    assert!(!near.within(|| kernel.delete_drop_rules().unwrap()));
}

fn table_of_another_program_stays() {
    let (near, _far) = pair();
    near.within(|| nft("add table inet vrrpd"));
    near.within(|| nft("add chain inet vrrpd input { type filter hook input priority 0; }"));
    let foreign = near.within(|| nft("list ruleset"));
    let mut kernel = near.within(|| Kernel::open().unwrap());
    let cleaned = near.within(|| cleanup::addresses(|| [], &mut kernel).unwrap());
    assert!(!cleaned.table.unwrap());
    let error = near.within(|| {
        kernel.open_drop_rules().unwrap();
        let replaced = kernel.change_drop_rules(&Transaction::Replace(&[]));
        replaced.unwrap_err().to_string()
    });
    assert_eq!(
        error,
        "cannot change the table inet vrrpd of nf_tables: another program made a table of that name \
         (`nft list table inet vrrpd`): rename it, or leave out \"acceptMode\": false"
    );
    assert_eq!(near.within(|| nft("list ruleset")), foreign);
}

/// The parts of the daemon's loop that concern drop rules.
struct Node {
    kernel: Kernel,
    mirror: Mirror,
    drop_filter: DropFilter,
    poller: Rc<Poller>,
    interface: InterfaceIndex,
}

impl Node {
    fn start(host: &Host) -> Self {
        let interface = host.eth0();
        host.within(|| {
            let poller = Rc::new(Poller::new().unwrap());
            let watch = Watch {
                poller: Rc::clone(&poller),
                routing: 1,
                drop_rules: 2,
            };
            let mut kernel = Kernel::watched(watch).unwrap();
            let mut mirror = Mirror::new();
            mirror.replace(kernel.dump().unwrap());
            let mut drop_filter = DropFilter::default();
            drop_filter.adopt(&mirror);
            drop_filter.repair(&mut kernel).unwrap();
            Self {
                kernel,
                mirror,
                drop_filter,
                poller,
                interface,
            }
        })
    }

    /// Holds and releases addresses, in the order of the daemon.
    fn want(&mut self, hold: &[&str], release: &[&str], accept: bool) {
        let desired = desired(self.interface, hold, release, accept);
        let wished = std::slice::from_ref(&desired);
        self.drop_filter.install(wished, &mut self.kernel).unwrap();
        let (mut changes, mut failures) = (Vec::new(), Vec::new());
        plan(&desired, &mut self.mirror, &mut changes);
        let (mirror, kernel) = (&mut self.mirror, &mut self.kernel);
        let rejected = carry_out(&mut changes, mirror, &mut failures, kernel);
        assert!(failures.is_empty() && rejected.is_empty(), "{failures:?}");
        self.drop_filter
            .prune(&self.mirror, &mut self.kernel)
            .unwrap();
    }

    /// Installs drop rules for addresses that are not held yet.
    fn refuse(&mut self, addresses: &[&str]) {
        let desired = desired(self.interface, addresses, &[], false);
        self.drop_filter
            .install(&[desired], &mut self.kernel)
            .unwrap();
    }

    fn is_woken(&self) -> bool {
        let mut events = Events::new();
        self.poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        events.tokens().any(|token| token == 2)
    }

    fn is_touched(&mut self) -> bool {
        let touched = self.kernel.take_drop_filter_news().unwrap();
        if touched {
            self.drop_filter.doubt();
        }
        touched
    }
}

fn desired(interface: InterfaceIndex, hold: &[&str], release: &[&str], accept: bool) -> Desired {
    let list = |texts: &[&str]| texts.iter().map(|text| address(text)).collect();
    Desired {
        interface,
        hold: list(hold),
        options: std::sync::Arc::default(),
        release: list(release),
        accept,
        spare_foreign: false,
    }
}

/// Returns those of `addresses` at which `near` receives the UDP packets that `far` sends to each of
/// them.
fn heard(near: &Host, far: &Host, addresses: &[&str]) -> Vec<String> {
    let any = Ipv6Addr::UNSPECIFIED;
    let ear = near.within(|| UdpSocket::bind((any, PORT)).unwrap());
    let mouth = far.within(|| UdpSocket::bind((any, 0)).unwrap());
    know_each_other(near, far, addresses);
    // The last packet goes to the host's own address, which is never dropped.
    for (text, said) in addresses.iter().map(|to| (*to, *to)).chain([(OWN, END)]) {
        let to = match text.parse().unwrap() {
            IpAddr::V4(to) => to.to_ipv6_mapped(),
            IpAddr::V6(to) => to,
        };
        mouth.send_to(said.as_bytes(), (to, PORT)).unwrap();
    }
    ear.set_read_timeout(Some(PATIENCE)).unwrap();
    until_the_end(|buffer| ear.recv(buffer).unwrap())
}

/// As [`heard`] with IPv4 packets of another protocol.
fn heard_as(protocol: i32, near: &Host, far: &Host, addresses: &[&str]) -> Vec<String> {
    let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(protocol))).unwrap();
    let (mut ear, mouth) = (near.within(open), far.within(open));
    know_each_other(near, far, addresses);
    for (text, said) in addresses.iter().map(|to| (*to, *to)).chain([(OWN, END)]) {
        let to: Ipv4Addr = text.parse().unwrap();
        let message = [&[NEIGHBOUR_SOLICITATION], said.as_bytes()].concat();
        mouth
            .send_to(&message, &SocketAddr::from((to, 0)).into())
            .unwrap();
    }
    ear.set_read_timeout(Some(PATIENCE)).unwrap();
    until_the_end(|buffer| {
        let length = ear.read(buffer).unwrap();
        // Skip the IP header and the type of the message.
        buffer.copy_within(21..length, 0);
        length - 21
    })
}

/// Packets received before the final one.
fn until_the_end(mut receive: impl FnMut(&mut [u8]) -> usize) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let mut buffer = [0; 128];
        let length = receive(&mut buffer);
        let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if said == END {
            return heard;
        }
        heard.push(said);
    }
}

/// Has `far` resolve `addresses`, so that no packet waits for resolution and is overtaken.
fn know_each_other(near: &Host, far: &Host, addresses: &[&str]) {
    if std::ptr::eq(near, far) {
        return;
    }
    for text in addresses.iter().chain([&OWN]) {
        let address: IpAddr = text.parse().unwrap();
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let mouth = far.within(|| UdpSocket::bind(any).unwrap());
        mouth.send_to(b"", (address, PORT + 1)).unwrap();
        wait_until(|| far.ip(&format!("neigh show {text}")).contains("lladdr"));
    }
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "condition not reached");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `nft`, which gives an independent view of the table.
fn nft(arguments: &str) -> String {
    let output = Command::new("nft").arg(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nft {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
