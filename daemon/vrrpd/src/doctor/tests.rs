use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::params::{
    AntiReplay, Authentication, HmacMode, HmacParams, NodeParams, Peer, RouterParams, Unicast,
    VirtualMac,
};
use vrrp_proto::wire::hmac::{Key, KeyId};
use vrrp_proto::wire::{AddressList, Advert, Auth, ChecksumForm, GROUP_V4, HOP_LIMIT};
use vrrp_proto::{
    AdvertInterval, Family, InterfaceAddress, InterfaceIndex, MacAddress, Password, Version, Vrid,
};

use super::facts::{Claim, Facts, Interface, Listener, Manager};
use super::*;

const VIP: [u8; 4] = [192, 168, 224, 100];
const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 224, 12);

/// A sound host with the instance VI_1 on eth1.
struct Host {
    router: RouterParams,
    facts: Facts,
    has_secrets: bool,
}

impl Host {
    fn new() -> Self {
        let addresses: Arc<[InterfaceAddress]> = Arc::new([address("192.168.224.100/24")]);
        let interface = Interface {
            index: InterfaceIndex(7),
            mac: Some(MacAddress([2, 0, 0, 0, 0, 0x11])),
            is_up: true,
            has_carrier: true,
            addresses: vec![address("192.168.224.11/24"), address("fe80::11/64")],
            rp_filter: 1,
            port_of: None,
            snoops_without_querier: false,
            manager: None,
        };
        let mut facts = Facts {
            ruleset: Some(Ok(json!({ "nftables": [] }))),
            is_clock_synchronised: Some(true),
            ..Facts::default()
        };
        facts.interfaces.insert("eth1".to_owned(), interface);
        Self {
            router: RouterParams::new("eth1".into(), vrid(), addresses),
            facts,
            has_secrets: true,
        }
    }

    fn interface(&mut self) -> &mut Interface {
        self.facts.interfaces.get_mut("eth1").unwrap()
    }

    fn receives(&mut self, version: Version, addresses: &[[u8; 4]]) {
        self.receives_at(GROUP_V4, version, addresses);
    }

    fn receives_at(&mut self, destination: Ipv4Addr, version: Version, addresses: &[[u8; 4]]) {
        let advert = Advert {
            version,
            vrid: vrid(),
            priority: 200,
            interval: AdvertInterval::DEFAULT,
            addresses: AddressList::new(addresses),
            auth: Auth::None,
        };
        let payload = advert.emit(ChecksumForm::WithPseudoHeader, PEER, destination);
        self.facts.adverts.push(facts::Advert {
            interface: InterfaceIndex(7),
            source: PEER.into(),
            destination: destination.into(),
            hop_limit: HOP_LIMIT,
            payload: payload.into(),
        });
    }

    fn is_claimed(&mut self) {
        self.facts.claims.insert(Claim {
            interface: InterfaceIndex(7),
            address: VIP.into(),
            mac: [2, 0, 0, 0, 0, 0x66],
        });
    }

    /// Severities and checks of the findings, and their texts.
    fn findings(&self) -> Vec<Finding> {
        let mut params = NodeParams::default();
        params.routers.insert("VI_1".into(), self.router.clone());
        judge::judge(Examined {
            params: &params,
            facts: &self.facts,
            has_secrets: self.has_secrets,
        })
    }

    #[track_caller]
    fn assert_only(&self, severity: Severity, check: &str, text: &str) {
        let findings = self.findings();
        let [finding] = &*findings else {
            panic!("{check}: {findings:#?}");
        };
        assert_eq!((finding.severity, finding.check), (severity, check));
        assert!(finding.text.contains(text), "{text:?} in {finding}");
        assert!(!finding.remedy.is_empty());
    }
}

fn address(text: &str) -> InterfaceAddress {
    text.parse().unwrap()
}

fn vrid() -> Vrid {
    Vrid::new(51).unwrap()
}

#[test]
fn sound_host_has_no_findings() {
    let mut host = Host::new();
    assert_eq!(host.findings(), []);
    // Another router of the same virtual router is master and answers.
    host.receives(host.router.version, &[VIP]);
    host.is_claimed();
    assert_eq!(host.findings(), []);
}

#[test]
fn missing_rights_are_a_warning_and_hide_the_firewall() {
    let mut host = Host::new();
    host.facts.missing_rights = Some("CAP_NET_ADMIN and CAP_NET_RAW".to_owned());
    host.facts.ruleset = Some(Err("nft failed: Operation not permitted".to_owned()));
    host.assert_only(
        Severity::Warning,
        "rights",
        "CAP_NET_ADMIN and CAP_NET_RAW missing",
    );
    host.facts.missing_rights = None;
    host.assert_only(Severity::Warning, "firewall", "Operation not permitted");
}

#[test]
fn keepalived_missing_modules_and_legacy_tables_are_found() {
    let mut host = Host::new();
    host.facts.has_keepalived = true;
    host.assert_only(Severity::Warning, "keepalived", "keepalived runs");
    let mut host = Host::new();
    host.facts.missing_modules.insert("macvlan");
    host.assert_only(Severity::Error, "modules", "no module macvlan");
    let mut host = Host::new();
    host.facts.has_legacy_tables = true;
    host.assert_only(Severity::Warning, "firewall", "iptables-legacy");
}

#[test]
fn interface_that_cannot_serve_is_reported_as_the_fault() {
    let mut host = Host::new();
    host.router.interface = "eth2".into();
    host.assert_only(
        Severity::Error,
        "interface",
        "interface eth2 does not exist",
    );
    let mut host = Host::new();
    host.interface().has_carrier = false;
    host.assert_only(
        Severity::Error,
        "interface",
        "interface eth1 has no carrier",
    );
    host.router.track_interface = false;
    assert_eq!(host.findings(), []);
    host.interface().port_of = Some("br0".to_owned());
    host.assert_only(Severity::Error, "interface", "eth1 is a port of br0");
}

#[test]
fn own_address_and_its_network_are_required() {
    let mut host = Host::new();
    host.interface().addresses.clear();
    host.assert_only(
        Severity::Error,
        "own address",
        "no non-virtual IPv4 address",
    );
    host.interface().addresses = vec![address("10.0.0.11/24")];
    host.assert_only(
        Severity::Warning,
        "network",
        "192.168.224.100/24 is in no network of eth1 (10.0.0.11/24)",
    );
}

#[test]
fn virtual_address_without_a_daemon_is_held_by_mistake() {
    let mut host = Host::new();
    host.interface()
        .addresses
        .push(address("192.168.224.100/24"));
    host.assert_only(
        Severity::Error,
        "held address",
        "eth1 has the virtual address",
    );
    host.facts.has_daemon = true;
    assert_eq!(host.findings(), []);
}

#[test]
fn link_local_address_of_another_interface_is_not_held() {
    let mut host = Host::new();
    host.router.addresses = Arc::new([address("fe80::1/64")]);
    let mut other = host.interface().clone();
    other.addresses = vec![address("fe80::1/64")];
    host.facts
        .interfaces
        .insert("eth0".to_owned(), other.clone());
    assert_eq!(host.findings(), []);
    other.addresses.push(address("fe80::11/64"));
    host.facts.interfaces.insert("eth1".to_owned(), other);
    host.assert_only(
        Severity::Error,
        "held address",
        "eth1 has the virtual address fe80::1/64",
    );
}

#[test]
fn dhcpcd_disturbs_virtual_mac_addresses_only() {
    let mut host = Host::new();
    host.facts.has_greedy_dhcpcd = true;
    assert_eq!(host.findings(), []);
    host.router.virtual_mac = Some(VirtualMac::new("eth1", vrid(), true));
    host.assert_only(
        Severity::Warning,
        "dhcp",
        "configures the interface vrrp4.51.eth1",
    );
}

#[test]
fn manager_of_an_interface_deletes_addresses_of_others() {
    let file = || "/etc/systemd/network/10-eth1.network".to_owned();
    let mut host = Host::new();
    host.interface().manager = Some(Manager::NetworkManager);
    assert_eq!(host.findings(), []);
    host.interface().manager = Some(Manager::Networkd(file()));
    let deletes = "systemd-networkd deletes the virtual addresses of eth1";
    host.assert_only(Severity::Warning, "manager", deletes);

    let virtual_mac = VirtualMac::new("eth1", vrid(), true);
    let mut device = host.interface().clone();
    host.interface().manager = None;
    for (manager, program) in [
        (Manager::Networkd(file()), "systemd-networkd"),
        (Manager::NetworkManager, "NetworkManager"),
    ] {
        device.manager = Some(manager);
        device.addresses.clear();
        let name = virtual_mac.devices[0].to_string();
        host.facts.interfaces.insert(name, device.clone());
        host.router.virtual_mac = Some(virtual_mac.clone());
        let configures = format!("{program} configures the interface vrrp4.51.eth1");
        host.assert_only(Severity::Warning, "manager", &configures);
    }
}

#[test]
fn listener_at_a_virtual_address_needs_a_setting_or_the_master() {
    let mut host = Host::new();
    let mut listens = |address: [u8; 4]| {
        host.facts.listeners.insert(Listener {
            protocol: "TCP",
            address: address.into(),
            port: 80,
        });
    };
    listens([192, 168, 224, 11]);
    listens(VIP);
    let text =
        "listens at 192.168.224.100 (TCP port 80): it cannot start while another host is master";
    host.assert_only(Severity::Warning, "listener", text);
    host.facts.nonlocal_binds.insert(Family::V4);
    assert_eq!(host.findings(), []);
}

#[test]
fn bridge_without_querier_may_stop_multicast_only() {
    let mut host = Host::new();
    host.interface().snoops_without_querier = true;
    host.assert_only(Severity::Warning, "multicast", "the bridge eth1 snoops");
    host.router.unicast = Some(Unicast::new([Peer::Address(PEER.into())]));
    assert_eq!(host.findings(), []);
}

#[test]
fn strict_reverse_path_filter_drops_senders_of_other_networks() {
    let mut host = Host::new();
    let peer = Ipv4Addr::new(10, 0, 0, 12).into();
    host.router.unicast = Some(Unicast::new([
        Peer::Address(PEER.into()),
        Peer::Address(peer),
    ]));
    host.assert_only(
        Severity::Warning,
        "reverse path",
        "10.0.0.12 is in no network of eth1",
    );
    for loose in [0, 2] {
        host.interface().rp_filter = loose;
        assert_eq!(host.findings(), []);
    }
}

#[test]
fn firewall_that_drops_is_named_with_its_chain() {
    let mut host = Host::new();
    let chain = json!({ "chain": {
        "family": "inet", "table": "filter", "name": "input",
        "type": "filter", "hook": "input", "prio": 0, "policy": "drop",
    } });
    host.facts.ruleset = Some(Ok(json!({ "nftables": [chain] })));
    host.assert_only(
        Severity::Error,
        "firewall",
        "in the chain inet filter input",
    );
    let remedy = &host.findings()[0].remedy;
    let command = "nft insert rule inet filter input iifname eth1 meta l4proto 112 accept";
    assert!(remedy.starts_with(command), "{remedy}");
}

#[test]
fn other_routers_with_the_vrid_are_found_by_their_drop_cause() {
    let mut host = Host::new();
    host.receives(host.router.version, &[[192, 168, 224, 200]]);
    host.assert_only(
        Severity::Error,
        "other router",
        "another virtual router with the same VRID",
    );
    let mut host = Host::new();
    let other = match host.router.version {
        Version::V2 => Version::V3,
        Version::V3 => Version::V2,
    };
    host.receives(other, &[VIP]);
    host.assert_only(
        Severity::Error,
        "other router",
        "VRRP version other than configured",
    );
    let mut host = Host::new();
    host.router.unicast = Some(Unicast::new([Peer::Address(PEER.into())]));
    host.receives(host.router.version, &[VIP]);
    host.assert_only(
        Severity::Error,
        "other router",
        "sent by multicast where unicast is configured",
    );
}

#[test]
fn unicast_sender_that_is_no_peer_is_found() {
    let mut host = Host::new();
    let own = Ipv4Addr::new(192, 168, 224, 11);
    host.receives_at(own, host.router.version, &[VIP]);
    let peers = |last| Unicast::new([Peer::Address([192, 168, 224, last].into())]);
    host.router.unicast = Some(peers(13));
    host.assert_only(
        Severity::Error,
        "other router",
        "not among the configured peers",
    );
    host.router.unicast = Some(Unicast::new([Peer::Name("b.example".into())]));
    assert_eq!(host.findings(), []);
}

#[test]
fn password_that_could_not_be_read_is_not_compared() {
    let mut host = Host::new();
    host.router.version = Version::V2;
    host.router.authentication = Authentication::Pass(Password::new(b"1111").unwrap());
    host.receives(Version::V2, &[VIP]);
    host.assert_only(Severity::Error, "other router", "authentication type");
    host.has_secrets = false;
    assert_eq!(host.findings(), []);
}

#[test]
fn clock_without_synchronisation_matters_for_signatures_by_time() {
    let key = |id| Key::new(KeyId::new(id).unwrap(), &[7; 32]).unwrap();
    let hmac = |anti_replay| {
        Authentication::Hmac(HmacParams {
            active: key(1),
            others: vec![],
            mode: HmacMode::Enforce,
            anti_replay,
        })
    };
    let mut host = Host::new();
    host.facts.is_clock_synchronised = Some(false);
    assert_eq!(host.findings(), []);
    let window = Duration::from_secs(5);
    host.router.authentication = hmac(AntiReplay::Time { window });
    host.assert_only(Severity::Warning, "clock", "STA_UNSYNC");
    host.router.authentication = hmac(AntiReplay::Monotonic);
    assert_eq!(host.findings(), []);
}

#[test]
fn answer_for_a_virtual_address_without_a_master_is_an_error() {
    let mut host = Host::new();
    host.is_claimed();
    host.assert_only(
        Severity::Error,
        "address in use",
        "02:00:00:00:00:66 answers for 192.168.224.100",
    );
}

#[test]
fn findings_are_printed_with_their_remedies_and_their_number() {
    let mut host = Host::new();
    host.facts.has_keepalived = true;
    host.interface().has_carrier = false;
    insta::assert_snapshot!(text(&host.findings(), 1), @"
    warning: keepalived runs on this host: with the same virtual routers both would be master
      systemctl disable --now keepalived, after vrrpd convert
    error: VI_1: interface eth1 has no carrier
      ethtool eth1; check the cable
    1 instance examined: 1 error, 1 warning
    ");
    insta::assert_snapshot!(host.findings()[1].to_json().to_string(), @r#"{"check":"interface","instance":"VI_1","remedy":"ethtool eth1; check the cable","severity":"error","text":"interface eth1 has no carrier"}"#);
}
