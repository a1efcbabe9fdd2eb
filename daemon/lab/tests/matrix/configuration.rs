//! Configuration of a cell for each daemon.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use crate::cell::{Cast, Cell, Dialect, Family};
use crate::common::{only, with};

pub(crate) const CARD: &str = "ens33";
pub(crate) const VRID: u8 = 51;
const PASSWORD: &str = "1111";

/// Name of the macvlan of FRR and of keepalived.
pub(crate) const MACVLAN: &str = "vrrp51";

impl Family {
    /// Address of a host by its last byte; in IPv6 its link-local address, the source of its
    /// advertisements.
    pub(crate) const fn host(self, last: u8) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::new(192, 168, 224, last)),
            Self::V6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last as u16)),
        }
    }

    /// Prefix length of all addresses of the family in these tests.
    pub(crate) const fn prefix(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }

    /// Virtual addresses, in IPv6 the link-local one first.
    pub(crate) const fn virtual_addresses(self) -> &'static [IpAddr] {
        const V4: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::new(192, 168, 224, 100))];
        const V6: &[IpAddr] = &[
            IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 224, 0, 0, 0, 0x100)),
        ];
        match self {
            Self::V4 => V4,
            Self::V6 => V6,
        }
    }

    /// Virtual address that clients use: the last one.
    pub(crate) const fn virtual_address(self) -> IpAddr {
        let [.., last] = self.virtual_addresses() else {
            unreachable!()
        };
        *last
    }

    /// MAC address of the VRRP multicast group, 224.0.0.18 or ff02::12.
    pub(crate) const fn group_mac(self) -> [u8; 6] {
        match self {
            Self::V4 => [0x01, 0, 0x5e, 0, 0, 0x12],
            Self::V6 => [0x33, 0x33, 0, 0, 0, 0x12],
        }
    }

    /// Virtual router MAC address (RFC 9568 section 7.3).
    pub(crate) const fn virtual_mac(self) -> [u8; 6] {
        match self {
            Self::V4 => [0, 0, 0x5e, 0, 1, VRID],
            Self::V6 => [0, 0, 0x5e, 0, 2, VRID],
        }
    }
}

/// Virtual addresses with their prefix lengths.
fn virtual_addresses(family: Family) -> Vec<String> {
    let addresses = family.virtual_addresses().iter();
    addresses
        .map(|address| format!("{address}/{}", family.prefix()))
        .collect()
}

/// Configuration of vrrpd. `own` and `other` are the addresses of the two hosts.
pub(crate) fn ours(cell: &Cell, priority: u8, own: IpAddr, other: IpAddr) -> String {
    let mut instance = json!({
        "interface": CARD,
        "virtualRouterId": VRID,
        "priority": priority,
        "version": cell.dialect.version(),
        "advertInterval": cell.dialect.interval().as_secs_f64(),
        "virtualAddresses": virtual_addresses(cell.family),
    });
    let mut add = |what: Value| instance = with(instance.take(), what);
    if cell.dialect == Dialect::TwoWithPassword {
        add(json!({ "authentication": { "pass": { "password": PASSWORD } } }));
    }
    if cell.our_mac {
        add(json!({ "virtualMac": true }));
    }
    if cell.cast == Cast::Unicast {
        // Over IPv6 keepalived sends unicast packets with the default hop limit of the host.
        let min_ttl = match cell.family {
            Family::V4 => 255,
            Family::V6 => 64,
        };
        let unicast = json!({ "peers": [other], "minTtl": min_ttl });
        add(json!({ "source": own, "unicast": unicast }));
    }
    only(instance)
}

/// Configuration of keepalived. The priority alone decides which host is master.
pub(crate) fn keepalived(cell: &Cell, priority: u8, own: IpAddr, other: IpAddr) -> String {
    let mut instance = vec![
        "state BACKUP".to_owned(),
        format!("interface {CARD}"),
        format!("virtual_router_id {VRID}"),
        format!("priority {priority}"),
        format!("advert_int {}", cell.dialect.interval().as_secs_f64()),
    ];
    if cell.their_mac {
        instance.push(format!("use_vmac {MACVLAN}"));
    }
    match cell.dialect {
        Dialect::Two | Dialect::Three => {}
        Dialect::TwoWithPassword => {
            instance.push(block(
                "authentication",
                &["auth_type PASS".to_owned(), format!("auth_pass {PASSWORD}")],
            ));
        }
        Dialect::ThreeMessageOnly => instance.push("v3_checksum_as_v2".to_owned()),
    }
    if cell.cast == Cast::Unicast {
        instance.push(format!("unicast_src_ip {own}"));
        instance.push(block("unicast_peer", &[other.to_string()]));
    }
    instance.push(block("virtual_ipaddress", &virtual_addresses(cell.family)));
    let global = [
        "router_id LAB".to_owned(),
        format!("vrrp_version {}", cell.dialect.version()),
        // One announcement at once and one a second later suffice here.
        "vrrp_garp_master_repeat 1".to_owned(),
        "vrrp_garp_master_delay 1".to_owned(),
    ];
    block("global_defs", &global) + &block("vrrp_instance VI_1", &instance)
}

/// Configuration of FRR's vrrpd.
pub(crate) fn frr(cell: &Cell, priority: u8) -> String {
    let mut lines = vec![
        format!("version {}", cell.dialect.version()),
        format!("priority {priority}"),
        format!(
            "advertisement-interval {}",
            cell.dialect.interval().as_millis()
        ),
    ];
    match cell.dialect {
        Dialect::ThreeMessageOnly => lines.push("no checksum-with-ipv4-pseudoheader".to_owned()),
        Dialect::Two | Dialect::TwoWithPassword | Dialect::Three => {}
    }
    for address in cell.family.virtual_addresses() {
        lines.push(match address {
            IpAddr::V4(address) => format!("ip {address}"),
            IpAddr::V6(address) => format!("ipv6 {address}"),
        });
    }
    let command = |line: &String| match line.strip_prefix("no ") {
        Some(rest) => format!(" no vrrp {VRID} {rest}\n"),
        None => format!(" vrrp {VRID} {line}\n"),
    };
    format!(
        "interface {CARD}\n{}",
        lines.iter().map(command).collect::<String>()
    )
}

fn block(head: &str, lines: &[String]) -> String {
    format!("{head} {{\n{}\n}}\n", lines.join("\n"))
}
