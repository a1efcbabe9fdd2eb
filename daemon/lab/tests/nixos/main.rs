//! The daemon beside what NixOS runs on a host: its firewalls and its DHCP client, with the rules
//! and the configuration that NixOS's modules render.

#[path = "../common/mod.rs"]
mod common;
mod dhcp;
mod firewall;
#[path = "../daemon/pair.rs"]
#[expect(dead_code, reason = "the tests of `daemon` use more of it")]
mod pair;
mod reload;
mod reverse_path;

use std::process::ExitCode;

use vrrp_lab::daemons::find_in_path;

/// Programs that the tests run, each with the package of Debian that has it.
const PROGRAMS: [(&str, &str); 4] = [
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("dhcpcd", "dhcpcd-base"),
    ("dnsmasq", "dnsmasq-base"),
];

fn main() -> ExitCode {
    let missing: Vec<String> = PROGRAMS
        .iter()
        .filter(|(program, _)| find_in_path(program).is_none())
        .map(|(program, package)| format!("{program} (apt-get install {package})"))
        .collect();
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    common::main(
        &tests![
            reverse_path:
                the_filter_of_iptables_makes_two_masters_until_it_excepts_advertisements,
                the_filter_of_nftables_makes_two_masters_until_it_excepts_advertisements,
                the_filter_of_iptables_makes_two_masters_of_a_unicast_pair,
                the_filter_of_nftables_makes_two_masters_of_a_unicast_pair;
            reload:
                a_reload_of_the_iptables_firewall_makes_two_masters_at_100_ms_and_none_at_1_s;
            dhcp:
                dhcpcd_takes_a_lease_on_the_interface_of_a_virtual_mac_address,
                dhcpcd_that_is_denied_vrrp_interfaces_takes_none_there;
        ],
        &missing,
    )
}
