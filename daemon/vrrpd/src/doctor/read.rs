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
use vrrp_proto::{Family, InterfaceAddress, InterfaceIndex, MacAddress};

use super::facts::{Facts, Interface, Listener, Manager, settings_of};

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
        listeners: all_listeners(),
        nonlocal_binds: [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| may_bind_nonlocal(*family))
            .collect(),
        ..Facts::default()
    }
}

/// Tables of sockets, with the state of those that receive: TCP_LISTEN, and TCP_CLOSE, which the kernel shows for
/// unconnected sockets of UDP.
const SOCKETS: [(&str, &str, &str); 4] = [
    ("TCP", "/proc/net/tcp", "0A"),
    ("TCP", "/proc/net/tcp6", "0A"),
    ("UDP", "/proc/net/udp", "07"),
    ("UDP", "/proc/net/udp6", "07"),
];

fn all_listeners() -> BTreeSet<Listener> {
    let tables = SOCKETS.iter();
    tables
        .flat_map(|(protocol, file, state)| listeners(protocol, &text(file), state))
        .collect()
}

/// Sockets of a table (proc_net_tcp(5)) that are in `state`, without those of all addresses.
fn listeners(protocol: &'static str, table: &str, state: &str) -> Vec<Listener> {
    let lines = table.lines().skip(1);
    let found = lines.filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, shown) = (words.next()?, words.next()?, words.next()?);
        let (address, port) = local.split_once(':')?;
        let address = ip(address).filter(|address| !address.is_unspecified())?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (shown == state).then_some(Listener {
            protocol,
            address,
            port,
        })
    });
    found.collect()
}

/// An address as the kernel prints it: in words of 32 bits, each in the byte order of the host.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (octets, at) in octets.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                octets.copy_from_slice(&word(at)?);
            }
            Some(IpAddr::from(octets).to_canonical())
        }
        _ => None,
    }
}

fn may_bind_nonlocal(family: Family) -> bool {
    let directory = settings_of(family);
    text(format!("/proc/sys/net/{directory}/ip_nonlocal_bind")) != "0"
}

/// Programs of this network namespace that configure interfaces.
struct Managers {
    has_networkd: bool,
    has_network_manager: bool,
}

impl Managers {
    fn running() -> Self {
        Self {
            has_networkd: runs("systemd-networkd"),
            has_network_manager: runs("NetworkManager"),
        }
    }

    /// Program that configures an interface, if it deletes the addresses of others there.
    fn of(&self, index: u32) -> Option<Manager> {
        let state = |directory: &str| text(Path::new(directory).join(index.to_string()));
        if self.has_networkd
            && let Some(file) = network_file(&state("/run/systemd/netif/links"), |file| text(file))
        {
            return Some(Manager::Networkd(file));
        }
        let is_managed = || {
            let state = state("/run/NetworkManager/devices");
            state.lines().any(|line| line == "managed=true")
        };
        (self.has_network_manager && is_managed()).then_some(Manager::NetworkManager)
    }
}

/// File of systemd-networkd for an interface with this state, if it manages the interface and none of its files
/// keeps the addresses of others (`KeepConfiguration=` in systemd.network(5)).
fn network_file(state: &str, read: impl Fn(&str) -> String) -> Option<String> {
    let value = |key: &str| {
        let mut lines = state.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let is_managed = value("ADMIN_STATE").is_some_and(|state| state != "unmanaged");
    let file = value("NETWORK_FILE").filter(|_| is_managed)?;
    let additions = value("NETWORK_FILE_DROPINS").unwrap_or_default();
    let additions = additions.trim_matches('"').split_whitespace();
    let contents: Vec<String> = [file].into_iter().chain(additions).map(read).collect();
    let lines = contents.iter().flat_map(|text| text.lines());
    // The last one applies.
    let setting = lines
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| key.trim() == "KeepConfiguration")
        .map(|(_, value)| value.trim())
        .next_back();
    let keeps = matches!(setting, Some("static" | "yes" | "true" | "on" | "1"));
    (!keeps).then(|| file.to_owned())
}

/// Content of a file of the kernel without its line end; empty if there is no such file.
fn text(file: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim_end().to_owned()
}

fn interfaces() -> io::Result<BTreeMap<String, Interface>> {
    let mut interfaces = BTreeMap::<String, Interface>::new();
    let managers = Managers::running();
    for entry in getifaddrs()? {
        let name = entry.interface_name.as_str();
        if !interfaces.contains_key(name) {
            interfaces.insert(name.to_owned(), interface(name, entry.flags, &managers));
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

fn interface(name: &str, flags: InterfaceFlags, managers: &Managers) -> Interface {
    let class = Path::new("/sys/class/net").join(name);
    let setting = |of: &str| {
        let file = format!("/proc/sys/net/ipv4/conf/{of}/rp_filter");
        text(file).parse().unwrap_or(0)
    };
    let master = fs::read_link(class.join("master")).ok();
    let master = master.as_deref().and_then(Path::file_name);
    let snooping = text(class.join("bridge/multicast_snooping"));
    let querier = text(class.join("bridge/multicast_querier"));
    let index = if_nametoindex(name).unwrap_or_default();
    Interface {
        index: InterfaceIndex(index),
        manager: managers.of(index),
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
    fn listeners_at_one_address_are_read_from_the_tables_of_sockets() {
        let four = "  sl  local_address rem_address   st tx_queue\n   0: 64E0A8C0:0050 00000000:0000 0A 00000000\n   1: \
                    00000000:0016 00000000:0000 0A 0\n   2: 64E0A8C0:0051 01E0A8C0:0016 01 0\n";
        let found = listeners("TCP", four, "0A");
        let expected = Listener {
            protocol: "TCP",
            address: "192.168.224.100".parse().unwrap(),
            port: 80,
        };
        if cfg!(target_endian = "little") {
            assert_eq!(found, [expected]);
            let address = ip("B80D0120000000000000000000010000");
            assert_eq!(address, "2001:db8::100".parse().ok());
            assert_eq!(
                ip("0000000000000000FFFF000064E0A8C0"),
                Some(expected.address)
            );
        }
        assert_eq!(ip("64E0A8"), None);
        assert_eq!(listeners("TCP", "", "0A"), []);
    }

    #[test]
    fn listeners_of_this_host_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let addresses = [
            ("TCP", listener.local_addr().unwrap()),
            ("UDP", socket.local_addr().unwrap()),
        ];
        let found = all_listeners();
        for (protocol, address) in addresses {
            assert!(found.contains(&Listener {
                protocol,
                address: address.ip(),
                port: address.port(),
            }));
        }
    }

    #[test]
    fn networkd_deletes_addresses_of_others_unless_told_to_keep_them() {
        let state = "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-eth1.network\n\
                     NETWORK_FILE_DROPINS=\"/etc/systemd/network/10-eth1.network.d/keep.conf\"\n";
        let with = |addition: &'static str| {
            network_file(state, move |file| match file.ends_with(".conf") {
                true => addition.to_owned(),
                false => "[Network]\nKeepConfiguration=dhcp\n".to_owned(),
            })
        };
        let file = "/etc/systemd/network/10-eth1.network".to_owned();
        assert_eq!(with(""), Some(file));
        assert_eq!(with("[Network]\nKeepConfiguration = static"), None);
        let unmanaged = state.replace("configured", "unmanaged");
        assert_eq!(network_file(&unmanaged, |_| String::new()), None);
        assert_eq!(network_file("", |_| String::new()), None);
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
