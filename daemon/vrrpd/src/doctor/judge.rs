//! Judges the facts: each check is a function from the configuration and the facts to findings.

use std::net::IpAddr;

use vrrp_proto::params::{AntiReplay, Authentication, NodeParams, Peer, RouterParams};
use vrrp_proto::wire::{Auth, DropCause, Expected, GROUP_V4, GROUP_V6, HOP_LIMIT};
use vrrp_proto::{Family, FaultReason, Instant, InterfaceAddress, MacAddress, Packet, wire};

use super::facts::{Advert, Facts, Interface, Listener, Manager, settings_of};
use super::finding::{Finding, Severity};
use super::firewall::{self, Direction, Passage, Verdict};

/// Configuration and facts of a host.
#[derive(Clone, Copy)]
pub(super) struct Examined<'a> {
    pub(super) params: &'a NodeParams,
    pub(super) facts: &'a Facts,
    /// Whether the passwords could be read.
    pub(super) has_secrets: bool,
}

/// An instance of the configuration, on its interface.
#[derive(Clone, Copy)]
struct Placed<'a> {
    name: &'a str,
    params: &'a RouterParams,
    interface: &'a Interface,
}

impl Placed<'_> {
    fn finding(
        &self,
        check: &'static str,
        severity: Severity,
        text: String,
        remedy: String,
    ) -> Finding {
        Finding {
            severity,
            check,
            instance: self.name.to_owned(),
            text,
            remedy,
        }
    }
}

/// All findings, those of the host first, then by instance in the order of the configuration.
pub(super) fn judge(examined: Examined<'_>) -> Vec<Finding> {
    let Examined { params, facts, .. } = examined;
    let mut findings = Vec::new();
    findings.extend(rights(facts));
    findings.extend(keepalived(facts));
    findings.extend(modules(facts));
    findings.extend(clock(params, facts));
    findings.extend(unexamined_rules(facts));
    for (name, router) in &params.routers {
        let Some(interface) = facts.interfaces.get(&*router.interface) else {
            findings.push(missing_interface(name, router));
            continue;
        };
        let placed = Placed {
            name,
            params: router,
            interface,
        };
        findings.extend(link(placed));
        findings.extend(own_addresses(placed));
        findings.extend(network_of_addresses(placed));
        findings.extend(held_addresses(placed, facts));
        findings.extend(dhcp(placed, facts));
        findings.extend(managers(placed, facts));
        findings.extend(listeners(placed, facts));
        findings.extend(snooping(placed));
        findings.extend(reverse_path(placed));
        findings.extend(firewall(placed, facts));
        findings.extend(adverts(placed, examined));
        findings.extend(claims(placed, facts));
    }
    findings
}

fn host(check: &'static str, severity: Severity, text: &str, remedy: &str) -> Finding {
    Finding {
        severity,
        check,
        instance: String::new(),
        text: text.to_owned(),
        remedy: remedy.to_owned(),
    }
}

fn rights(facts: &Facts) -> Option<Finding> {
    let missing = facts.missing_rights.as_ref()?;
    Some(host(
        "rights",
        Severity::Warning,
        &format!("{missing} missing: the network and the firewall were not examined"),
        "sudo vrrpd doctor",
    ))
}

fn keepalived(facts: &Facts) -> Option<Finding> {
    facts.has_keepalived.then(|| {
        host(
            "keepalived",
            Severity::Warning,
            "keepalived runs on this host: with the same virtual routers both would be master",
            "systemctl disable --now keepalived, after vrrpd convert",
        )
    })
}

fn modules(facts: &Facts) -> impl Iterator<Item = Finding> + '_ {
    facts.missing_modules.iter().map(|name| {
        let text = format!("this kernel has no module {name}, which the configuration needs");
        let remedy = match *name {
            "macvlan" => "install the kernel's extra modules, or remove virtualMac",
            "nf_tables" => "install the kernel's extra modules, or set acceptMode to true",
            _ => "install the kernel's extra modules, or remove lvsSyncInterface",
        };
        host("modules", Severity::Error, &text, remedy)
    })
}

/// Signed advertisements are rejected where the clocks of two hosts differ.
fn clock(params: &NodeParams, facts: &Facts) -> Option<Finding> {
    let by_time = params.routers.values().any(|router| {
        matches!(&router.authentication, Authentication::Hmac(hmac)
            if matches!(hmac.anti_replay, AntiReplay::Time { .. }))
    });
    (by_time && facts.is_clock_synchronised == Some(false)).then(|| {
        host(
            "clock",
            Severity::Warning,
            "the clock of this host is not synchronised (adjtimex: STA_UNSYNC): beyond timeWindow the hosts \
             reject each other's signed advertisements, and both are master",
            "timedatectl set-ntp true, or install chrony; chronyc tracking shows the difference",
        )
    })
}

/// Parts of the firewall that could not be evaluated.
fn unexamined_rules(facts: &Facts) -> impl Iterator<Item = Finding> {
    let unreadable = match &facts.ruleset {
        Some(Err(error)) if facts.missing_rights.is_none() => Some(host(
            "firewall",
            Severity::Warning,
            &format!("the ruleset of nftables was not examined: {error}"),
            "apt install nftables, or compare the rules with docs/doctor.md",
        )),
        _ => None,
    };
    let legacy = facts.has_legacy_tables.then(|| {
        host(
            "firewall",
            Severity::Warning,
            "iptables-legacy has tables, which were not examined",
            "iptables-legacy -S INPUT | grep -e 112 -e vrrp; update-alternatives --set iptables \
             /usr/sbin/iptables-nft",
        )
    });
    unreadable.into_iter().chain(legacy)
}

/// The fault that the daemon would report, in the same words.
fn fault(placed: Placed<'_>, check: &'static str, reason: &FaultReason, remedy: String) -> Finding {
    placed.finding(check, Severity::Error, reason.to_string(), remedy)
}

fn missing_interface(name: &str, router: &RouterParams) -> Finding {
    let reason = FaultReason::InterfaceMissing(router.interface.clone());
    Finding {
        severity: Severity::Error,
        check: "interface",
        instance: name.to_owned(),
        text: reason.to_string(),
        remedy: format!("ip link; correct instances.{name}.interface"),
    }
}

fn link(placed: Placed<'_>) -> Option<Finding> {
    let Placed {
        params, interface, ..
    } = placed;
    let name = &params.interface;
    if let Some(of) = &interface.port_of {
        let of = of.as_str().into();
        let interface = name.clone();
        let remedy = format!("set instances.{}.interface to {of}", placed.name);
        let reason = FaultReason::Port { interface, of };
        return Some(fault(placed, "interface", &reason, remedy));
    }
    if !params.track_interface {
        return None;
    }
    if !interface.is_up {
        let reason = FaultReason::InterfaceDown(name.clone());
        let remedy = format!("ip link set {name} up");
        return Some(fault(placed, "interface", &reason, remedy));
    }
    (!interface.has_carrier).then(|| {
        let reason = FaultReason::NoCarrier(name.clone());
        fault(
            placed,
            "interface",
            &reason,
            format!("ethtool {name}; check the cable"),
        )
    })
}

fn is_virtual(params: &RouterParams, address: InterfaceAddress) -> bool {
    params
        .addresses
        .iter()
        .any(|it| it.address == address.address)
}

/// Each family needs an address to send from, which is no virtual one, except for the owner.
fn own_addresses(placed: Placed<'_>) -> impl Iterator<Item = Finding> {
    let Placed {
        params, interface, ..
    } = placed;
    let families = [Family::V4, Family::V6].into_iter();
    families.filter_map(move |family| {
        let own = interface.addresses.iter().filter(|it| it.family() == family);
        let mut own = own.filter(|it| params.priority.is_owner() || !is_virtual(params, **it));
        let name = &params.interface;
        let is_missing = match (family, params.source) {
            (_, Some(_)) => false,
            (Family::V4, None) => own.next().is_none(),
            (Family::V6, None) => !own.any(InterfaceAddress::is_link_local),
        };
        (params.speaks(family) && interface.is_up && is_missing).then(|| {
            let (reason, remedy) = match family {
                Family::V4 => (
                    FaultReason::NoAddress(name.clone()),
                    format!("ip address add ADDRESS/PREFIX dev {name}, in the configuration of the network"),
                ),
                Family::V6 => (
                    FaultReason::NoLinkLocal(name.clone()),
                    format!("sysctl net.ipv6.conf.{name}.disable_ipv6=0; ip -6 address show dev {name}"),
                ),
            };
            fault(placed, "own address", &reason, remedy)
        })
    })
}

/// Virtual addresses outside of the networks of their interface: clients of that network do not reach them
/// without a route.
fn network_of_addresses(placed: Placed<'_>) -> impl Iterator<Item = Finding> {
    let Placed {
        params, interface, ..
    } = placed;
    let here = params
        .addresses
        .iter()
        .filter(|it| *params.device(it.address) == params.interface);
    let own = || {
        let addresses = interface.addresses.iter();
        addresses.filter(|it| !is_virtual(params, **it) && it.family() == Family::V4)
    };
    let misplaced = here.filter(move |it| {
        it.family() == Family::V4
            && own().next().is_some()
            && !own().any(|own| own.is_network_of(it.address))
    });
    misplaced.map(move |address| {
        let own: Vec<String> = own().map(ToString::to_string).collect();
        let text = format!(
            "{address} is in no network of {} ({}): hosts there reach it by a route only",
            params.interface,
            own.join(", ")
        );
        let remedy = format!(
            "correct instances.{}.virtualAddresses, or its interface",
            placed.name
        );
        placed.finding("network", Severity::Warning, text, remedy)
    })
}

/// Virtual addresses on a host without a running daemon: configured as its own, or left behind.
fn held_addresses(placed: Placed<'_>, facts: &Facts) -> impl Iterator<Item = Finding> {
    let Placed { params, .. } = placed;
    let is_owner = params.priority.is_owner();
    let interfaces = facts
        .interfaces
        .iter()
        .filter(move |_| !facts.has_daemon && !is_owner);
    interfaces.flat_map(move |(name, interface)| {
        // A link-local address is one of its interface.
        let is_here = |it: &InterfaceAddress| {
            !it.is_link_local() || **params.device(it.address) == **name
        };
        let addresses = interface.addresses.iter();
        let held = addresses.filter(move |it| is_virtual(params, **it) && is_here(it));
        held.map(move |address| {
            let text = format!(
                "{name} has the virtual address {address}, and no vrrpd runs here: it was left behind, or the \
                 configuration of the network has it as the host's own"
            );
            let remedy = format!("vrrpd cleanup; then ip address show dev {name}");
            placed.finding("held address", Severity::Error, text, remedy)
        })
    })
}

/// dhcpcd configures every interface that appears, as the macvlans of a master do.
fn dhcp(placed: Placed<'_>, facts: &Facts) -> Option<Finding> {
    let virtual_mac = placed.params.virtual_mac.as_ref()?;
    facts.has_greedy_dhcpcd.then(|| {
        let text = format!(
            "dhcpcd runs and configures the interface {} as well: each take-over adds an address and a default route",
            virtual_mac.devices[0]
        );
        let remedy = "echo 'denyinterfaces vrrp*' >> /etc/dhcpcd.conf; dhcpcd --rebind".to_owned();
        placed.finding("dhcp", Severity::Warning, text, remedy)
    })
}

/// Programs that delete addresses of others at the interfaces of an instance.
fn managers(placed: Placed<'_>, facts: &Facts) -> impl Iterator<Item = Finding> {
    let Placed {
        params, interface, ..
    } = placed;
    let parent = interface.manager.iter().filter_map(move |manager| {
        let Manager::Networkd(file) = manager else {
            // It does so at an activation only, and has no setting for it: docs/doctor.md.
            return None;
        };
        let text = format!(
            "systemd-networkd deletes the virtual addresses of {} when it restarts or configures the interface \
             anew; vrrpd adds them again at once",
            params.interface
        );
        let name = file.rsplit('/').next().unwrap_or(file);
        let directory = format!("/etc/systemd/network/{name}.d");
        let remedy = format!(
            "mkdir -p {directory} && printf '[Network]\\nKeepConfiguration=static\\n' > {directory}/vrrp.conf && \
             networkctl reload"
        );
        Some(placed.finding("manager", Severity::Warning, text, remedy))
    });
    let devices = params.virtual_mac.iter().flat_map(|it| it.devices.iter());
    let devices = devices.filter_map(move |name| {
        let manager = facts.interfaces.get(&**name)?.manager.as_ref()?;
        let (program, remedy) = match manager {
            Manager::Networkd(file) => (
                "systemd-networkd",
                format!("let [Match] of {file} not match Name=vrrp*; networkctl reload"),
            ),
            Manager::NetworkManager => (
                "NetworkManager",
                "printf '[keyfile]\\nunmanaged-devices=interface-name:vrrp*\\n' > \
                 /etc/NetworkManager/conf.d/vrrp.conf; nmcli general reload"
                    .to_owned(),
            ),
        };
        let text =
            format!("{program} configures the interface {name} of the virtual MAC address as well");
        Some(placed.finding("manager", Severity::Warning, text, remedy))
    });
    parent.chain(devices)
}

/// Programs that listen at a virtual address, and cannot start on a host that does not hold it. Units that run on
/// the master only are resources.
fn listeners(placed: Placed<'_>, facts: &Facts) -> impl Iterator<Item = Finding> {
    let Placed { params, .. } = placed;
    let at_virtual = facts.listeners.iter().filter(move |listener| {
        let family = Family::of(listener.address);
        let mut addresses = params.addresses.iter();
        !params.priority.is_owner()
            && !facts.nonlocal_binds.contains(&family)
            && addresses.any(|it| it.address == listener.address)
    });
    at_virtual.map(move |listener| {
        let Listener {
            protocol,
            address,
            port,
        } = listener;
        let directory = settings_of(Family::of(*address));
        let text = format!(
            "a program listens at {address} ({protocol} port {port}): it cannot start while another host is master, \
             because net.{directory}.ip_nonlocal_bind is 0"
        );
        let remedy = format!(
            "echo net.{directory}.ip_nonlocal_bind=1 > /etc/sysctl.d/90-vrrp.conf && sysctl --system; or let it \
             listen at all addresses; or list its unit in resources"
        );
        placed.finding("listener", Severity::Warning, text, remedy)
    })
}

/// A bridge that snoops without a querier stops to forward multicast once its memberships expire.
fn snooping(placed: Placed<'_>) -> Option<Finding> {
    let Placed {
        params, interface, ..
    } = placed;
    (interface.snoops_without_querier && params.unicast.is_none()).then(|| {
        let name = &params.interface;
        let text = format!(
            "the bridge {name} snoops IGMP and MLD and has no querier of its own: without one on the network it \
             may stop to forward advertisements"
        );
        let remedy = format!("ip link set {name} type bridge mcast_querier 1 (or mcast_snooping 0)");
        placed.finding("multicast", Severity::Warning, text, remedy)
    })
}

/// Families in which an instance receives advertisements.
fn families(params: &RouterParams) -> impl Iterator<Item = Family> + '_ {
    let all = [Family::V4, Family::V6].into_iter();
    all.filter(|family| params.speaks(*family))
}

/// Other hosts that the configuration knows: the unicast peers, or `None` for any host on the network.
fn others(params: &RouterParams, family: Family) -> Vec<Option<IpAddr>> {
    let Some(unicast) = &params.unicast else {
        return vec![None];
    };
    let peers = unicast.peers.iter().map(|peer| match peer {
        Peer::Address(address) => Some(*address),
        Peer::Name(_) => None,
    });
    peers
        .filter(|peer| peer.is_none_or(|it| Family::of(it) == family))
        .collect()
}

fn is_in_own_network(placed: Placed<'_>, address: IpAddr) -> bool {
    placed
        .interface
        .addresses
        .iter()
        .any(|it| it.is_network_of(address))
}

/// Whether the reverse path of a sender leads through the interface, as far as is known. Hosts of one virtual
/// router send from the same network.
fn is_from_own_network(placed: Placed<'_>, sender: Option<IpAddr>) -> bool {
    let alike = sender.or(placed.params.source);
    alike.is_none_or(|alike| is_in_own_network(placed, alike))
}

/// With rp_filter 1 the kernel drops IPv4 packets whose sender it would answer through another interface.
fn reverse_path(placed: Placed<'_>) -> Option<Finding> {
    let Placed {
        params, interface, ..
    } = placed;
    if interface.rp_filter != 1 || !params.speaks(Family::V4) {
        return None;
    }
    let mut senders = others(params, Family::V4).into_iter();
    let foreign = senders.find(|sender| !is_from_own_network(placed, *sender))?;
    let who = foreign.or(params.source)?;
    let name = &params.interface;
    let text = format!(
        "rp_filter of {name} is 1, and {who} is in no network of {name}: the kernel drops advertisements from \
         there, unless its route leads through {name}"
    );
    let remedy = format!("sysctl net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{name}.rp_filter=2");
    Some(placed.finding("reverse path", Severity::Warning, text, remedy))
}

fn firewall(placed: Placed<'_>, facts: &Facts) -> Vec<Finding> {
    let Some(Ok(ruleset)) = &facts.ruleset else {
        return Vec::new();
    };
    // Advertisements with a virtual MAC address leave by a packet socket, past the firewall.
    let params = placed.params;
    let leaves_past = params.virtual_mac.as_ref().is_some_and(|it| it.sends);
    let directions = [Direction::In, Direction::Out];
    let directions = directions
        .into_iter()
        .filter(|it| *it == Direction::In || !leaves_past);
    let findings = directions.flat_map(|direction| {
        families(params).filter_map(move |family| {
            let mut others = others(params, family).into_iter();
            others.find_map(|other| {
                let passage = passage(placed, direction, family, other);
                let verdict = firewall::evaluate(ruleset, &passage);
                closed(placed, &passage, other, verdict)
            })
        })
    });
    findings.collect()
}

/// Advertisement between this host and another one, which is known only with unicast.
fn passage<'a>(
    placed: Placed<'a>,
    direction: Direction,
    family: Family,
    other: Option<IpAddr>,
) -> Passage<'a> {
    let group = match family {
        Family::V4 => GROUP_V4.into(),
        Family::V6 => GROUP_V6.into(),
    };
    let own = || {
        let own = placed.interface.addresses.iter();
        let mut own = own.filter(|it| it.family() == family && !is_virtual(placed.params, **it));
        placed.params.source.or(own.next().map(|it| it.address))
    };
    let is_unicast = placed.params.unicast.is_some();
    let (source, unicast_destination) = match direction {
        Direction::In => (other, own()),
        Direction::Out => (own(), other),
    };
    Passage {
        direction,
        interface: &placed.params.interface,
        family,
        source,
        destination: if is_unicast {
            unicast_destination
        } else {
            Some(group)
        },
        is_from_own_network: direction == Direction::In && is_from_own_network(placed, other),
        hop_limit: HOP_LIMIT.into(),
    }
}

/// Finding about a firewall that does not let an advertisement pass.
fn closed(
    placed: Placed<'_>,
    passage: &Passage<'_>,
    other: Option<IpAddr>,
    verdict: Verdict,
) -> Option<Finding> {
    let (preposition, key) = match passage.direction {
        Direction::In => ("from", "iifname"),
        Direction::Out => ("to", "oifname"),
    };
    let what = match other {
        Some(other) => format!("{} advertisements {preposition} {other}", passage.family),
        None => format!(
            "{} advertisements {preposition} other hosts",
            passage.family
        ),
    };
    let (severity, chain, text) = match verdict {
        Verdict::Accepted => return None,
        Verdict::Dropped(chain) => {
            let text = format!("the firewall drops {what} (IP protocol 112) in the chain {chain}");
            (Severity::Error, chain, text)
        }
        Verdict::Unknown(chain) => {
            let text = format!(
                "the chain {chain} of the firewall may drop {what} (IP protocol 112): it has conditions that are \
                 not evaluated"
            );
            (Severity::Warning, chain, text)
        }
    };
    let remedy = format!(
        "nft insert rule {chain} {key} {} meta l4proto 112 accept, in the configuration of the firewall (NixOS: \
         services.vrrp.openFirewall; firewalld: --add-protocol=vrrp)",
        placed.params.interface
    );
    Some(placed.finding("firewall", severity, text, remedy))
}

/// Requirements on the advertisements of other routers, as the engine has them.
fn expected(params: &RouterParams) -> Expected {
    let unicast = params.unicast.as_ref();
    Expected {
        version: params.version,
        interval: params.interval,
        auth: match &params.authentication {
            Authentication::Pass(password) => Auth::Pass(*password),
            Authentication::None | Authentication::Hmac(_) => Auth::None,
        },
        hop_limit: unicast.map_or(HOP_LIMIT, |unicast| unicast.min_ttl),
        may_be_empty: params.advertises_none(),
    }
}

/// Cause for which the instance would drop an advertisement, or `None` if it would accept it.
fn drop_cause(placed: Placed<'_>, advert: &Advert) -> Option<DropCause> {
    let Placed { params, .. } = placed;
    if advert.destination.is_multicast() == params.unicast.is_some() {
        return Some(DropCause::WrongCast);
    }
    if let Some(unicast) = &params.unicast {
        // A peer that is given by name may be the sender.
        let is_known = unicast.names().next().is_some()
            || unicast.peers.contains(&Peer::Address(advert.source));
        if !is_known {
            return Some(DropCause::NotAPeer);
        }
    }
    let packet = Packet {
        at: Instant::ZERO,
        interface: advert.interface,
        source: advert.source,
        destination: advert.destination,
        hop_limit: advert.hop_limit,
        payload: &advert.payload,
    };
    match wire::Advert::parse(&packet, &expected(params)) {
        Err(cause) => Some(cause),
        Ok(received) => {
            let mut listed = received.advert.addresses.iter();
            let is_foreign = params
                .advertised(Family::of(advert.source))
                .next()
                .is_some()
                && !listed.any(|address| params.addresses.iter().any(|it| it.address == address));
            is_foreign.then_some(DropCause::ForeignRouter)
        }
    }
}

/// Advertisements for the VRID of an instance, at its interface and in one of its families.
fn heard<'a>(placed: Placed<'a>, facts: &'a Facts) -> impl Iterator<Item = &'a Advert> {
    let params = placed.params;
    facts.adverts.iter().filter(move |advert| {
        advert.interface == placed.interface.index
            && wire::Advert::peek_vrid(&advert.payload) == Some(params.vrid)
            && params.speaks(Family::of(advert.source))
    })
}

/// Other routers with the VRID of an instance that it would not understand.
fn adverts<'a>(placed: Placed<'a>, examined: Examined<'a>) -> impl Iterator<Item = Finding> {
    let Placed { params, name, .. } = placed;
    heard(placed, examined.facts).filter_map(move |advert| {
        let cause = drop_cause(placed, advert)?;
        let is_secret = matches!(cause, DropCause::AuthType | DropCause::AuthPassword);
        if is_secret && !examined.has_secrets {
            return None;
        }
        let text = format!(
            "{} sends advertisements for VRID {} on {}, which this configuration drops: {cause}",
            advert.source, params.vrid, params.interface
        );
        let is_foreign = matches!(cause, DropCause::Carp | DropCause::ForeignRouter);
        let remedy = match is_foreign {
            true => {
                format!("choose another instances.{name}.virtualRouterId, or another one there")
            }
            false => format!(
                "compare instances.{name} with the configuration of {}",
                advert.source
            ),
        };
        Some(placed.finding("other router", Severity::Error, text, remedy))
    })
}

/// Other hosts that answer for a virtual address. A master of the same virtual router does so rightly.
fn claims<'a>(placed: Placed<'a>, facts: &'a Facts) -> impl Iterator<Item = Finding> {
    let Placed { params, .. } = placed;
    let of_virtual_router =
        [Family::V4, Family::V6].map(|family| MacAddress::of_virtual_router(family, params.vrid));
    let has_master = heard(placed, facts).any(|advert| drop_cause(placed, advert).is_none());
    let claims = facts.claims.iter().filter(move |claim| {
        let device = params.device(claim.address);
        let interface = facts.interfaces.get(&**device);
        params
            .addresses
            .iter()
            .any(|it| it.address == claim.address)
            && interface.is_some_and(|interface| interface.index == claim.interface)
            && !has_master
    });
    claims.map(move |claim| {
        let mac = MacAddress(claim.mac);
        let who = match of_virtual_router.contains(&mac) {
            true => "a router with this VRID, whose advertisements do not arrive",
            false => "another host, and no advertisement of a master arrives",
        };
        let text = format!("{mac} answers for {}: {who}", claim.address);
        let remedy = match claim.address {
            IpAddr::V4(_) => format!(
                "find the host by its MAC address, and remove the address there; arping -D -I {} {}",
                params.interface, claim.address
            ),
            IpAddr::V6(_) => {
                "find the host by its MAC address, and remove the address there".to_owned()
            }
        };
        placed.finding("address in use", Severity::Error, text, remedy)
    })
}
