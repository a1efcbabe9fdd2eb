//! Reads the facts about this host, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::ifaddrs::{InterfaceAddress as Entry, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;
use serde_json::Value;
use vrrp_linux::processes::{self, Process};
use vrrp_linux::{capability, claim, clock};
use vrrp_proto::params::NodeParams;
use vrrp_proto::{InterfaceAddress, InterfaceIndex, MacAddress};

use super::facts::{Facts, Interface};

/// Reads all facts about this host, without those that the network has to tell.
pub(super) fn facts(params: &NodeParams) -> Facts {
    let missing_rights = capability::check().err();
    Facts {
        missing_rights: missing_rights.map(|missing| missing.names().join(" and ")),
        has_daemon: claim::holder().is_ok_and(|holder| holder.is_some()),
        interfaces: interfaces().unwrap_or_default(),
        ruleset: Some(ruleset()),
        has_legacy_tables: ["ip_tables_names", "ip6_tables_names"]
            .iter()
            .any(|file| !text(Path::new("/proc/net").join(file)).is_empty()),
        has_keepalived: runs("keepalived"),
        has_greedy_dhcpcd: runs("dhcpcd") && !is_kept_off(&text("/etc/dhcpcd.conf")),
        missing_modules: missing_modules(params),
        is_clock_synchronised: clock::is_synchronised().ok(),
        ..Facts::default()
    }
}

/// Content of a file of the kernel without its line end; empty if there is no such file.
fn text(file: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim_end().to_owned()
}

fn interfaces() -> io::Result<BTreeMap<String, Interface>> {
    let mut interfaces = BTreeMap::<String, Interface>::new();
    for entry in getifaddrs()? {
        let name = entry.interface_name.as_str();
        if !interfaces.contains_key(name) {
            interfaces.insert(name.to_owned(), interface(name, entry.flags));
        }
        if let Some(interface) = interfaces.get_mut(name) {
            interface.addresses.extend(address(&entry));
            let link = entry
                .address
                .as_ref()
                .and_then(SockaddrStorage::as_link_addr);
            let mac = link.and_then(nix::sys::socket::LinkAddr::addr);
            interface.mac = interface.mac.or(mac.map(MacAddress));
        }
    }
    Ok(interfaces)
}

fn interface(name: &str, flags: InterfaceFlags) -> Interface {
    let class = Path::new("/sys/class/net").join(name);
    let setting = |of: &str| {
        let file = format!("/proc/sys/net/ipv4/conf/{of}/rp_filter");
        text(file).parse().unwrap_or(0)
    };
    let master = fs::read_link(class.join("master")).ok();
    let master = master.as_deref().and_then(Path::file_name);
    let snooping = text(class.join("bridge/multicast_snooping"));
    let querier = text(class.join("bridge/multicast_querier"));
    Interface {
        index: InterfaceIndex(if_nametoindex(name).unwrap_or_default()),
        is_up: flags.contains(InterfaceFlags::IFF_UP),
        has_carrier: flags.contains(InterfaceFlags::IFF_RUNNING),
        rp_filter: setting("all").max(setting(name)),
        // A VRF device is a master, too, and receives nothing instead of its members.
        port_of: master
            .filter(|_| class.join("brport").exists() || class.join("bonding_slave").exists())
            .map(|master| master.to_string_lossy().into_owned()),
        snoops_without_querier: snooping == "1" && querier == "0",
        mac: None,
        addresses: Vec::new(),
    }
}

/// Address of an entry with its prefix length.
fn address(entry: &Entry) -> Option<InterfaceAddress> {
    let ip = |storage: &SockaddrStorage| -> Option<IpAddr> {
        let four = storage.as_sockaddr_in().map(|it| it.ip().into());
        four.or_else(|| storage.as_sockaddr_in6().map(|it| it.ip().into()))
    };
    let ones = match ip(entry.netmask.as_ref()?)? {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    };
    Some(InterfaceAddress {
        address: ip(entry.address.as_ref()?)?,
        prefix: u8::try_from(ones).ok()?,
    })
}

/// Ruleset of nftables. Rules of iptables-nft are among them.
fn ruleset() -> Result<Value, String> {
    let output = Command::new("nft")
        .args(["--json", "list", "ruleset"])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("nft prints no JSON: {error}")),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().next().unwrap_or("no message");
            Err(format!("nft failed: {line}"))
        }
        Err(error) => Err(format!("nft cannot be started: {error}")),
    }
}

/// Whether a process of that name runs in this network namespace, as far as its namespace is known.
fn runs(name: &str) -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let own = namespace("thread-self");
    let pids = processes::all().unwrap_or_default();
    let mut found = pids
        .into_iter()
        .filter(|pid| Process::of(*pid).is_some_and(|process| process.is_called(name)));
    found.any(|pid| namespace(&pid.0.to_string()).is_none_or(|other| Some(other) == own))
}

/// Whether a configuration of dhcpcd excludes the interfaces of virtual MAC addresses (dhcpcd.conf(5)).
fn is_kept_off(configuration: &str) -> bool {
    let mut lines = configuration.lines().map(str::split_whitespace);
    lines.any(|mut words| {
        let option = words.next();
        let mut names = words;
        let is_named = names.any(|name| name.starts_with("vrrp") || name == "*");
        matches!(
            (option, is_named),
            (Some("denyinterfaces"), true) | (Some("allowinterfaces"), false)
        )
    })
}

/// Modules that the configuration needs and this kernel does not have.
fn missing_modules(params: &NodeParams) -> BTreeSet<&'static str> {
    let routers = || params.routers.values();
    let needed = [
        ("macvlan", routers().any(|it| it.virtual_mac.is_some())),
        ("nf_tables", params.refuses()),
        ("ip_vs", routers().any(|it| it.lvs.is_some())),
    ];
    let release = text("/proc/sys/kernel/osrelease");
    let directory = Path::new("/lib/modules").join(release);
    let lists = ["modules.builtin", "modules.dep"].map(|file| text(directory.join(file)));
    let needed = needed.into_iter().filter(|(_, is_needed)| *is_needed);
    needed
        .map(|(name, _)| name)
        .filter(|name| !Path::new("/sys/module").join(name).exists())
        .filter(|name| is_missing(&lists, name))
        .collect()
}

/// Whether the lists of a kernel's modules exist, and lack this module.
fn is_missing(lists: &[String], name: &str) -> bool {
    let lines = || lists.iter().flat_map(|list| list.lines());
    let file = format!("/{name}.ko");
    // modules.dep continues with a colon and the modules that this one needs.
    let mut paths = lines().map(|line| line.split(':').next().unwrap_or_default());
    lines().next().is_some() && !paths.any(|path| path.contains(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_built_in_and_compressed() {
        let lists = [
            "kernel/net/netfilter/nf_tables.ko".to_owned(),
            "kernel/drivers/net/macvlan.ko.xz: kernel/net/8021q/garp.ko.xz\n\
             kernel/drivers/net/macvtap.ko.xz: kernel/drivers/net/ip_vs.ko.xz"
                .to_owned(),
        ];
        assert!(!is_missing(&lists, "nf_tables"));
        assert!(!is_missing(&lists, "macvlan"));
        assert!(is_missing(&lists, "ip_vs"), "only as a dependency");
        // A container has no lists: nothing is known.
        assert!(!is_missing(&[String::new(), String::new()], "ip_vs"));
    }

    #[test]
    fn dhcpcd_is_kept_off_by_either_list_of_interfaces() {
        assert!(is_kept_off("hostname\n denyinterfaces eth9 vrrp4.*\n"));
        assert!(is_kept_off("allowinterfaces eth0\n"));
        assert!(!is_kept_off(
            "denyinterfaces eth9\n# denyinterfaces vrrp*\n"
        ));
        assert!(!is_kept_off("allowinterfaces *\n"));
        assert!(!is_kept_off(""));
    }

    #[test]
    fn interfaces_have_their_addresses_and_prefixes() {
        let interfaces = interfaces().unwrap();
        let loopback = &interfaces["lo"];
        let is_loopback = |it: &InterfaceAddress| it.to_string() == "127.0.0.1/8";
        // A namespace may have its loopback interface down.
        assert_eq!(loopback.is_up, loopback.addresses.iter().any(is_loopback));
        assert_ne!(loopback.index, InterfaceIndex(0));
    }
}
