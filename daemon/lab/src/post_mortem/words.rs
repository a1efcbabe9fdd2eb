//! Sentences for an operator: the reasons of changes and the findings.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;

use vrrp_proto::wire::{Checksum, ChecksumForm, DropCause};
use vrrp_proto::{AdvertInterval, Family, Version};

use super::analysis::{Ended, Key, Reason, Reign, What};
use super::stamp::span;

/// Name of a virtual router: VRID, family and network.
pub(crate) fn name(key: &Key) -> String {
    let mut name = format!("VRID {}, {}", key.vrid, key.family);
    if !key.network.vlans.is_empty() {
        name.push_str(&format!(", VLAN {}", list(&key.network.vlans, ".")));
    }
    if let Some(interface) = &key.network.interface {
        name.push_str(&format!(", interface {interface}"));
    }
    name
}

/// Joins values.
pub(crate) fn list<T: Display>(values: impl IntoIterator<Item = T>, separator: &str) -> String {
    let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    values.join(separator)
}

/// Explains how a router became master.
pub(crate) fn beginning(reign: &Reign) -> String {
    let Reign {
        router, priority, ..
    } = reign;
    match &reign.reason {
        Reason::Present => {
            format!("{router} is master when the capture begins (priority {priority}).")
        }
        Reason::First => format!(
            "{router} becomes master (priority {priority}). No other router was heard before it in this capture."
        ),
        Reason::Resigned { by, waited, skew } => format!(
            "{router} takes over (priority {priority}) {} after {by} sent priority 0: {by} was stopped, or handed over on \
             purpose. The skew time of {router} is {}.",
            span(*waited),
            span(*skew)
        ),
        Reason::Silence {
            of,
            silence,
            interval,
            skew,
        } => format!(
            "{router} takes over (priority {priority}) because {of} was silent for {}. The master-down interval of \
             {router} is {}: 3 x {} and a skew time of {}.",
            span(*silence),
            span(*interval * 3 + *skew),
            span(*interval),
            span(*skew)
        ),
        Reason::Early { of, silence, down } => format!(
            "{router} takes over (priority {priority}) after {of} was silent for {}, earlier than its master-down interval \
             of {}: it has just started, it has another interval, or this capture lacks packets.",
            span(*silence),
            span(*down)
        ),
        Reason::Preempted { of, than } if *priority == u8::MAX => format!(
            "{router} preempts {of} (priority {than}): it has priority 255, the owner of the addresses."
        ),
        Reason::Preempted { of, than } => {
            format!("{router} preempts {of}: its priority is higher ({priority} > {than}).")
        }
        Reason::GreaterAddress { of } => format!(
            "{router} becomes master instead of {of}: both have priority {priority}, and its address is greater. Only \
             two routers that are both master decide so."
        ),
        Reason::Unheard {
            of,
            priority: other,
        } => format!(
            "{router} becomes master (priority {priority}) while {of} (priority {other}) is advertising: {router} does not \
             receive the advertisements of {of}, or does not accept them."
        ),
        Reason::Returned {
            silence,
            resigned: true,
        } => format!(
            "{router} becomes master again (priority {priority}), {} after its own priority 0. No other router took over.",
            span(*silence)
        ),
        Reason::Returned {
            silence,
            resigned: false,
        } => format!(
            "{router} is heard again (priority {priority}) after {} of silence. No other router took over.",
            span(*silence)
        ),
    }
}

/// Tells how a reign ended, for the table.
pub(crate) fn ending(reign: &Reign) -> String {
    match reign.ended {
        Ended::Resigned(_) => "sent priority 0".to_owned(),
        Ended::Superseded(by) => format!("stepped down for {by}"),
        Ended::Silent => "fell silent".to_owned(),
        Ended::Continues => "still master".to_owned(),
    }
}

/// Describes a finding.
pub(crate) fn finding(what: &What) -> String {
    match what {
        What::TwoMasters {
            routers: [one, other],
            from,
            to,
            stepped_down,
        } => {
            let end = stepped_down.map_or_else(
                || "Both still advertise when the capture ends.".to_owned(),
                |router| format!("Then {router} stopped."),
            );
            format!(
                "Two masters for {}: {one} and {other} both advertise, and both hold the addresses. {end} Advertisements are \
                 lost between them, or one drops those of the other: compare VLAN, firewall (IP protocol 112), version, \
                 interval and authentication.",
                span(to.since(*from))
            )
        }
        What::MasterSilent {
            router,
            successor,
            silence,
        } => format!(
            "The master {router} fell silent without priority 0; {successor} took over after {}. It crashed, lost its link or \
             power, or was not scheduled.",
            span(*silence)
        ),
        What::NoMaster {
            from,
            to,
            until_the_end,
        } => format!(
            "No master for {}{}: no router advertised, and none served the addresses.",
            span(to.since(*from)),
            if *until_the_end {
                ", until the end of the capture"
            } else {
                ""
            }
        ),
        What::Late {
            router,
            gap,
            interval,
        } => format!(
            "{router} advertised {} after its previous advertisement, although its interval is {}: it was not scheduled in time, \
             or packets were lost.",
            span(*gap),
            span(*interval)
        ),
        What::HopLimit {
            router,
            hop_limit,
            count,
            is_unicast: false,
        } => format!(
            "{router}: {} with TTL or hop limit {hop_limit} instead of 255. Routers drop them, because an IP router \
             forwarded them or the sender is misconfigured.",
            advertisements(*count)
        ),
        What::HopLimit {
            router,
            hop_limit,
            count,
            is_unicast: true,
        } => format!(
            "{router}: {} to a peer with TTL or hop limit {hop_limit}; the peer accepts them only if it is configured to.",
            advertisements(*count)
        ),
        What::WrongChecksum {
            router,
            version,
            checksum,
            count,
        } => wrong_checksum(*router, *version, checksum, *count),
        What::ZeroInterval { router, count } => format!(
            "{router}: {} with an interval of 0; the smallest is one unit of the version.",
            advertisements(*count)
        ),
        What::Unreadable {
            source,
            cause,
            count,
        } => format!(
            "{source}: {count} VRRP packet{} dropped by every router: {}.",
            plural(*count),
            unreadable(*cause)
        ),
        What::Carp {
            source,
            vhid,
            count,
            has_same_number,
        } => format!(
            "{source}: {count} packet{} of CARP (pfSense, OPNsense, BSD) with VHID {}{}",
            plural(*count),
            vhid.map_or_else(|| "0".to_owned(), |vhid| vhid.to_string()),
            if *has_same_number {
                ", which is the VRID of this virtual router: both use the same virtual MAC address. Change one of the numbers."
            } else {
                "; it is no VRRP and does not disturb other numbers."
            }
        ),
        What::Intervals(values) => format!(
            "The routers have different advertisement intervals: {}. In version 2 they drop each other's advertisements; in \
             version 3 the time until a take-over changes with the master.",
            differences(values, |interval: &AdvertInterval| span(
                interval.duration()
            ))
        ),
        What::Versions(values) => format!(
            "The routers have different versions: {}. Most implementations drop the other version, so both become master.",
            differences(values, |version: &Version| format!("version {version}"))
        ),
        What::Authentications(values) => format!(
            "The routers have different authentication: {}. They drop each other's advertisements.",
            differences(values, ToString::to_string)
        ),
        What::Addresses(values) => format!(
            "The routers have different virtual addresses: {}. Addresses that are missing on one router are not served while it is \
             master.",
            differences(values, |addresses: &Vec<IpAddr>| if addresses.is_empty() {
                "none".to_owned()
            } else {
                list(addresses, " ")
            })
        ),
        What::EqualPriority {
            routers: [one, other],
            priority,
        } => format!(
            "{one} and {other} both have priority {priority}: the one that is master remains it. Give them different \
             priorities if one shall be preferred."
        ),
        What::NotAnnounced { router, addresses } => format!(
            "{router} became master and did not announce {}: {} is missing within one second, so hosts and \
             switches may use the old MAC address until their entries expire.",
            list(addresses, ", "),
            match addresses.first() {
                Some(IpAddr::V6(_)) => "an unsolicited neighbour advertisement",
                Some(IpAddr::V4(_)) | None => "a gratuitous ARP",
            }
        ),
        What::ForeignClaim {
            address,
            mac,
            router,
            count,
            last,
        } => format!(
            "{address} was claimed {count} time{} by {mac}, {}, last at {last:#}: two hosts answer for the address.",
            plural(*count),
            router.map_or_else(
                || "a host that is none of the routers heard".to_owned(),
                |router| format!("the MAC address of {router}, which was not master")
            )
        ),
        What::SeparateClusters { others } => format!(
            "Another virtual router in the same network has this VRID, with the addresses {}. Both use the same virtual MAC \
             address and hear each other: change the VRID of one.",
            list(others, ", ")
        ),
        What::OwnMac(routers) => format!(
            "Not sent from the virtual MAC address: the advertisements of {}. keepalived and vrrpd do so by default; hosts then \
             depend on the announcements after a take-over.",
            list(
                routers
                    .iter()
                    .map(|(router, mac)| format!("{router} ({mac})")),
                " and "
            )
        ),
        What::NoClaimsCaptured(family) => format!(
            "The capture has no {}, so announcements of new masters and claims of other hosts cannot be judged. Capture with: \
             tcpdump -w FILE 'proto 112 or arp or icmp6'",
            match family {
                Family::V4 => "ARP",
                Family::V6 => "neighbour advertisements",
            }
        ),
        What::ManySenders { left_out } => format!(
            "Advertisements of {left_out} more senders are left out: so many are an attack, or a network loop with changed addresses."
        ),
        What::ManyReigns { after } => format!(
            "The master changed thousands of times until {after:#}; what follows is left out."
        ),
        What::LeftOut { count } => format!(
            "{count} packets are left out, because the capture has more than the analysis keeps in memory. Split the file \
             (editcap -i SECONDS), or analyse fewer packets (tcpdump -r FILE -w PART 'proto 112 and ...')."
        ),
        What::Cut { count } => format!(
            "{count} VRRP packet{} captured only in part and left out. Capture whole packets (tcpdump -s 0).",
            if *count == 1 { " was" } else { "s were" }
        ),
    }
}

fn unreadable(cause: DropCause) -> String {
    // The usual texts compare with a configuration, which an observer does not have.
    if cause == DropCause::Version {
        "the version is neither 2 nor 3, or it is 2 over IPv6".to_owned()
    } else if cause == DropCause::UnknownVrid {
        "the VRID is 0".to_owned()
    } else {
        cause.to_string()
    }
}

fn wrong_checksum(router: IpAddr, version: Version, checksum: &Checksum, count: u64) -> String {
    let Checksum::Wrong {
        found,
        message_only,
        with_pseudo_header,
        computed_as,
    } = checksum
    else {
        return String::new();
    };
    let right = match (message_only, with_pseudo_header) {
        (Some(plain), Some(pseudo)) => format!(
            "{plain:#06x} over the message alone (RFC 9568), or {pseudo:#06x} with the pseudo-header (RFC 5798)"
        ),
        (Some(plain), None) => format!("{plain:#06x} over the message alone (RFC 3768)"),
        (None, Some(pseudo)) => format!("{pseudo:#06x} with the pseudo-header (RFC 9568)"),
        (None, None) => String::new(),
    };
    let cause = match computed_as {
        Some(ChecksumForm::WithPseudoHeader) => {
            " The sender includes the pseudo-header, which this version must not."
        }
        Some(ChecksumForm::MessageOnly) => {
            " The sender leaves out the pseudo-header, which IPv6 requires."
        }
        None => {
            " The packet was changed on its way, or the sender leaves the checksum to hardware that does not know VRRP."
        }
    };
    format!(
        "{router}: {} of version {version} with a wrong checksum, which every router drops: {found:#06x}; right is {right}.{cause}",
        advertisements(count)
    )
}

fn differences<T>(values: &[(IpAddr, BTreeSet<T>)], show: impl Fn(&T) -> String) -> String {
    let each = values.iter().map(|(router, values)| {
        format!("{router} has {}", list(values.iter().map(&show), " and "))
    });
    list(each, ", ")
}

fn advertisements(count: u64) -> String {
    format!("{count} advertisement{}", plural(count))
}

const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
