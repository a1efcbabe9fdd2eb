//! Socket filters: programs that the kernel runs on each packet before it wakes the daemon (socket(7),
//! SO_ATTACH_FILTER; classic BPF, Documentation/networking/filter.rst).
//!
//! A packet is kept when its program returns a number other than zero. It is dropped when the program
//! returns zero or reads beyond the end of the packet.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};
use vrrp_node::listeners::VridSet;
use vrrp_proto::Family;
use vrrp_proto::routing::{Network, Table};
use vrrp_proto::wire::{HOP_LIMIT, echo, ndisc};

/// Replaces the filter of `socket`.
pub(crate) fn attach(socket: impl AsFd, program: &[Instruction]) -> io::Result<()> {
    let program: Vec<_> = program
        .iter()
        .map(|i| SockFilter::new(i.code, i.when_true, i.when_false, i.k))
        .collect();
    SockRef::from(&socket).attach_filter(&program)
}

/// Drops every packet.
pub(crate) const NOTHING: &[Instruction] = &[do_(RETURN, DROP)];

/// Keeps VRRP messages for one of `vrids`, and drops the rest. The program has the same length for
/// every set.
pub(crate) fn only(family: Family, vrids: &VridSet) -> Vec<Instruction> {
    // The second byte of the message is the VRID (RFC 9568 section 5.1). On an IPv4 socket the message
    // follows the IPv4 header, which has its length in the first byte. On an IPv6 socket the kernel has
    // removed the header, so the message comes first. The lower five bits of the VRID select the bit,
    // the upper three the word.
    let message = match family {
        Family::V4 => do_(LOAD_X_IPV4_HEADER_LEN, 0),
        Family::V6 => do_(LOAD_X, 0),
    };
    let mut program = vec![message, do_(LOAD_BYTE_AT_X, 1)];
    program.extend(of_set(vrids.words()));
    program
}

/// Keeps what arrives at an interface for this host as IPv4 or IPv6 packet of protocol 112, for one of
/// `vrids`, and drops the rest. For a packet socket without link-level headers (packet(7), SOCK_DGRAM).
pub(crate) fn on_wire(vrids: &VridSet) -> Vec<Instruction> {
    let protocol = u32::from(vrrp_proto::wire::PROTOCOL);
    let [ipv4, ipv6] = [libc::ETH_P_IP, libc::ETH_P_IPV6].map(i32::cast_unsigned);
    let mut program = ON_INTERFACE.to_vec();
    program.extend([
        do_(LOAD_WORD, ETHERTYPE),
        if_(EQUAL, ipv4, 0, 8),
        do_(LOAD_BYTE, 9),
        if_(EQUAL, protocol, 1, 0),
        do_(RETURN, DROP),
        // No fragment: the message of a later one does not begin with its header.
        do_(LOAD_HALF, 6),
        if_(ANY_BIT, 0x3fff, 7, 0), // to the last RETURN of the IPv6 part
        do_(LOAD_X_IPV4_HEADER_LEN, 0),
        do_(LOAD_BYTE_AT_X, 1),
        do_(JUMP, 6),
        if_(EQUAL, ipv6, 0, 3),
        do_(LOAD_BYTE, 6),
        if_(EQUAL, protocol, 0, 1),
        do_(JUMP, 1),
        do_(RETURN, DROP),
        do_(LOAD_BYTE, IPV6_HEADER_LEN + 1),
    ]);
    program.extend(of_set(vrids.words()));
    program
}

/// Drops frames to another host or from this one. A frame with a VLAN tag is for another interface, unless
/// the tag has a priority only.
const ON_INTERFACE: [Instruction; 8] = [
    do_(LOAD_WORD, PACKET_TYPE),
    if_(GREATER, PACKET_MULTICAST, 0, 1),
    do_(RETURN, DROP),
    do_(LOAD_WORD, VLAN_TAG_PRESENT),
    if_(EQUAL, 0, 3, 0),
    do_(LOAD_WORD, VLAN_TAG),
    if_(ANY_BIT, 0xfff, 0, 1),
    do_(RETURN, DROP),
];

/// Keeps claims of addresses with the same last byte as one of `addresses`, and drops the rest. The program
/// has the same length for every number of addresses. For IPv4 the packet is an ARP packet with the address
/// as its sender's, on a packet socket without link-level headers. For IPv6 it is a neighbour advertisement
/// for the address from a neighbour (RFC 4861 section 7.1.2: hop limit 255), on a raw socket.
pub(crate) fn claims(family: Family, addresses: impl Iterator<Item = IpAddr>) -> Vec<Instruction> {
    let mut words = [0; 8];
    for address in addresses {
        let last = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        words[usize::from(last / 32)] |= 1 << (last % 32);
    }
    let mut program = match family {
        Family::V4 => {
            let mut program = ON_INTERFACE.to_vec();
            program.push(do_(LOAD_BYTE, 17));
            program
        }
        Family::V6 => vec![
            do_(LOAD_BYTE, 0),
            if_(EQUAL, ndisc::NEIGHBOUR_ADVERTISEMENT.into(), 1, 0),
            do_(RETURN, DROP),
            do_(LOAD_BYTE, IPV6_HOP_LIMIT),
            if_(EQUAL, HOP_LIMIT.into(), 1, 0),
            do_(RETURN, DROP),
            do_(LOAD_BYTE, 23),
        ],
    };
    program.extend(of_set(words));
    program
}

/// Keeps a packet if the byte in the accumulator is in a set, and drops it otherwise. The lowest bit of each
/// word is for its lowest byte.
fn of_set(words: [u32; 8]) -> Vec<Instruction> {
    let mut program = vec![
        do_(STORE, 0),
        do_(AND, 31),
        do_(COPY_TO_X, 0),
        do_(LOAD_STORED, 0),
        do_(SHIFT_RIGHT, 5),
    ];
    for (number, word) in (0..).zip(words) {
        // Skips the code for the remaining words, and the DROP behind the last one.
        let rest = 3 * (7 - number) + 1;
        program.extend([if_(EQUAL, number, 0, 2), do_(LOAD, word), do_(JUMP, rest)]);
    }
    program.extend([
        do_(RETURN, DROP),
        do_(SHIFT_RIGHT_BY_X, 0),
        if_(ANY_BIT, 1, 0, 1),
        do_(RETURN, KEEP),
        do_(RETURN, DROP),
    ]);
    program
}

/// Keeps echo replies with this identifier, and drops the rest.
pub(crate) fn echo_replies(family: Family, identifier: u16) -> [Instruction; 7] {
    let message = match family {
        Family::V4 => do_(LOAD_X_IPV4_HEADER_LEN, 0),
        Family::V6 => do_(LOAD_X, 0),
    };
    [
        message,
        do_(LOAD_BYTE_AT_X, 0),
        if_(EQUAL, echo::reply_type(family).into(), 0, 3),
        do_(LOAD_HALF_AT_X, 4),
        if_(EQUAL, identifier.into(), 0, 1),
        do_(RETURN, KEEP),
        do_(RETURN, DROP),
    ]
}

/// Drops the notifications of exactly those address changes that the socket with the port ID `port`
/// requested, and keeps the rest.
///
/// A notification has the port ID and the sequence number of the request that caused it (netlink(7)),
/// and the daemon's requests have the bytes of the address as sequence number. So the program drops
/// "the address of the request", and keeps an address that the kernel changed along with it, such as
/// the secondaries of a deleted primary.
pub(crate) fn all_but_own(port: u32) -> [Instruction; 13] {
    // Loads convert words from big-endian, while netlink fields are in native byte order.
    let port = u32::from_be_bytes(port.to_ne_bytes());
    [
        do_(LOAD_WORD, NETLINK_PORT),
        if_(EQUAL, port, 0, 10), // another socket: keep
        do_(LOAD, ADDRESS_ATTRIBUTES),
        do_(LOAD_X, IFA_ADDRESS),
        do_(LOAD_WORD, FIND_ATTRIBUTE),
        if_(EQUAL, 0, 6, 0), // no address: keep
        do_(COPY_TO_X, 0),
        do_(LOAD_WORD_AT_X, 4),
        do_(COPY_TO_X, 0),
        do_(LOAD_WORD, NETLINK_SEQUENCE),
        if_(EQUAL_X, 0, 0, 1), // another address: keep
        do_(RETURN, DROP),
        do_(RETURN, KEEP),
    ]
}

/// Drops the notifications of changes that the socket with the port ID `port` requested. All messages
/// of one datagram belong to the same request.
pub(crate) fn all_but_from(port: u32) -> [Instruction; 4] {
    let port = u32::from_be_bytes(port.to_ne_bytes());
    [
        do_(LOAD_WORD, NETLINK_PORT),
        if_(EQUAL, port, 0, 1),
        do_(RETURN, DROP),
        do_(RETURN, KEEP),
    ]
}

/// Keeps the notifications of routes and rules with the mark `protocol` that a socket other than the
/// one with the port ID `port` changed, and drops the rest: none of a million routes of another routing
/// daemon wakes vrrpd.
pub(crate) fn marked_by_others(protocol: u8, port: u32) -> [Instruction; 16] {
    let port = u32::from_be_bytes(port.to_ne_bytes());
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    let protocol = u32::from(protocol);
    [
        do_(LOAD_HALF, NETLINK_TYPE),
        if_(EQUAL, kind(libc::RTM_NEWROUTE), 1, 0),
        if_(EQUAL, kind(libc::RTM_DELROUTE), 0, 2),
        do_(LOAD_BYTE, ROUTE_PROTOCOL),
        do_(JUMP, 6),
        // The remaining messages of the subscribed groups are rules, which have the protocol in an
        // attribute.
        do_(LOAD, RULE_ATTRIBUTES),
        do_(LOAD_X, FRA_PROTOCOL),
        do_(LOAD_WORD, FIND_ATTRIBUTE),
        if_(EQUAL, 0, 5, 0), // no protocol: drop
        do_(COPY_TO_X, 0),
        do_(LOAD_BYTE_AT_X, 4),
        if_(EQUAL, protocol, 0, 2), // another mark: drop
        do_(LOAD_WORD, NETLINK_PORT),
        if_(EQUAL, port, 0, 1), // another socket: keep
        do_(RETURN, DROP),
        do_(RETURN, KEEP),
    ]
}

/// Drops the notifications of routes with another prefix length, to another network than `destination`,
/// or in another table, and keeps the rest.
pub(crate) fn routes_to(destination: Network, table: Table) -> Vec<Instruction> {
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    let mut program = vec![
        do_(LOAD_HALF, NETLINK_TYPE),
        if_(EQUAL, kind(libc::RTM_NEWROUTE), 2, 0),
        if_(EQUAL, kind(libc::RTM_DELROUTE), 1, 0),
        do_(RETURN, KEEP),
        do_(LOAD_BYTE, ROUTE_PREFIX),
        if_(EQUAL, destination.prefix().into(), 1, 0),
        do_(RETURN, DROP),
        do_(LOAD_BYTE, ROUTE_TABLE),
        // All table numbers that do not fit into this byte have the same value here.
        if_(
            EQUAL,
            u8::try_from(table.get()).map_or(TABLE_ELSEWHERE, u32::from),
            1,
            0,
        ),
        do_(RETURN, DROP),
    ];
    let octets = match destination.address() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    // The kernel sends no RTA_DST for the default route.
    if destination.prefix() > 0 {
        program.extend([
            do_(LOAD, ROUTE_ATTRIBUTES),
            do_(LOAD_X, RTA_DST),
            do_(LOAD_WORD, FIND_ATTRIBUTE),
            if_(EQUAL, 0, 0, 1),
            do_(RETURN, DROP),
            do_(COPY_TO_X, 0),
        ]);
        for (offset, word) in (4..).step_by(4).zip(octets.as_chunks().0) {
            program.extend([
                do_(LOAD_WORD_AT_X, offset),
                if_(EQUAL, u32::from_be_bytes(*word), 1, 0),
                do_(RETURN, DROP),
            ]);
        }
    }
    program.push(do_(RETURN, KEEP));
    program
}

/// One instruction: struct sock_filter of linux/filter.h.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instruction {
    code: u16,
    when_true: u8,
    when_false: u8,
    k: u32,
}

const fn do_(code: u16, k: u32) -> Instruction {
    if_(code, k, 0, 0)
}

/// A jump over `when_true` or `when_false` instructions.
const fn if_(code: u16, k: u32, when_true: u8, when_false: u8) -> Instruction {
    Instruction {
        code,
        when_true,
        when_false,
        k,
    }
}

// Opcodes, which use the operand `k`, the accumulator A and the index X. The comment is the name in the
// assembler of the kernel's documentation.
const LOAD: u16 = 0x00; // ld #k
const LOAD_X: u16 = 0x01; // ldx #k
const STORE: u16 = 0x02; // st M[k]
const JUMP: u16 = 0x05; // ja k
const RETURN: u16 = 0x06; // ret #k
const COPY_TO_X: u16 = 0x07; // tax
const EQUAL: u16 = 0x15; // jeq #k
const EQUAL_X: u16 = 0x1d; // jeq x
const GREATER: u16 = 0x25; // jgt #k
const LOAD_WORD: u16 = 0x20; // ld [k]
const LOAD_HALF: u16 = 0x28; // ldh [k]
const LOAD_BYTE: u16 = 0x30; // ldb [k]
const LOAD_WORD_AT_X: u16 = 0x40; // ld [x + k]
const ANY_BIT: u16 = 0x45; // jset #k
const LOAD_HALF_AT_X: u16 = 0x48; // ldh [x + k]
const LOAD_BYTE_AT_X: u16 = 0x50; // ldb [x + k]
const AND: u16 = 0x54; // and #k
const LOAD_STORED: u16 = 0x60; // ld M[k]
const SHIFT_RIGHT: u16 = 0x74; // rsh #k
const SHIFT_RIGHT_BY_X: u16 = 0x7c; // rsh x
const LOAD_X_IPV4_HEADER_LEN: u16 = 0xb1; // ldxb 4*([k]&0xf)

/// Return values of a program: the number of bytes of the packet to keep.
const KEEP: u32 = u32::MAX;
const DROP: u32 = 0;

/// Offsets of nlmsg_type, nlmsg_seq and nlmsg_pid in struct nlmsghdr.
const NETLINK_TYPE: u32 = 4;
const NETLINK_SEQUENCE: u32 = 8;
const NETLINK_PORT: u32 = 12;
/// Offset of the attributes of an address message: behind struct nlmsghdr and struct ifaddrmsg.
const ADDRESS_ATTRIBUTES: u32 = 24;
/// Attribute of an address message that holds the address (linux/if_addr.h).
const IFA_ADDRESS: u32 = 1;
/// Offsets of rtm_dst_len, rtm_table and rtm_protocol of struct rtmsg in a route message.
const ROUTE_PREFIX: u32 = 17;
const ROUTE_TABLE: u32 = 20;
const ROUTE_PROTOCOL: u32 = 21;
/// Offset of the attributes of a route message, behind struct nlmsghdr and struct rtmsg, and the
/// attribute with the destination (linux/rtnetlink.h).
const ROUTE_ATTRIBUTES: u32 = 28;
const RTA_DST: u32 = 1;
/// Value of rtm_table for a table number that does not fit (RT_TABLE_COMPAT).
const TABLE_ELSEWHERE: u32 = 252;
/// Offset of the attributes of a rule message, behind struct nlmsghdr and struct fib_rule_hdr, and the
/// attribute with the protocol (linux/fib_rules.h).
const RULE_ATTRIBUTES: u32 = 28;
const FRA_PROTOCOL: u32 = 21;
/// A load from this offset searches the netlink attribute X from offset A on, and yields its offset or
/// 0 (SKF_AD_OFF + SKF_AD_NLATTR of linux/filter.h).
const FIND_ATTRIBUTE: u32 = 0xffff_f00c;
/// Loads from these offsets yield properties of a frame: its ethertype, the kind of its destination, its
/// VLAN tag, and whether it has one (SKF_AD_OFF + SKF_AD_PROTOCOL, _PKTTYPE, _VLAN_TAG and
/// _VLAN_TAG_PRESENT).
const ETHERTYPE: u32 = 0xffff_f000;
const PACKET_TYPE: u32 = 0xffff_f004;
const VLAN_TAG: u32 = 0xffff_f02c;
const VLAN_TAG_PRESENT: u32 = 0xffff_f030;
/// Offset of the hop limit in the IPv6 header, where the packet begins behind that header (SKF_NET_OFF).
const IPV6_HOP_LIMIT: u32 = 0xfff0_0007;
/// Greatest kind of destination that this host receives: PACKET_HOST, PACKET_BROADCAST and this one
/// (linux/if_packet.h).
const PACKET_MULTICAST: u32 = 2;
const IPV6_HEADER_LEN: u32 = 40;

#[cfg(test)]
mod tests;
