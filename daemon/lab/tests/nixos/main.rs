//! Tests of the daemon together with NixOS's firewalls and DHCP client, with the rules and the
//! configuration that NixOS's modules generate.

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

/// Programs that the tests need, each with its Debian package.
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
                iptables_reverse_path_filter_needs_multicast_exemption,
                nftables_reverse_path_filter_needs_multicast_exemption,
                iptables_reverse_path_filter_needs_unicast_exemption,
                nftables_reverse_path_filter_needs_unicast_exemption;
            reload:
                iptables_reload_makes_no_second_master;
            dhcp:
                dhcpcd_takes_lease_on_virtual_mac_interface,
                denied_dhcpcd_takes_no_lease_on_virtual_mac_interface;
        ],
        &missing,
    )
}
