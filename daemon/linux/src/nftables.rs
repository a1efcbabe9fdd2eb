//! Codec of nf_tables (linux/netfilter/nf_tables.h): encodes the daemon's table as messages of
//! nfnetlink, and recognises notifications about it.
//!
//! The table, as `nft list table inet vrrpd` shows it:
//!
//! ```text
//! table inet vrrpd {
//!         comment "made by vrrpd: packets to these addresses are refused (acceptMode = false)"
//!         set refused_ipv4 { type ipv4_addr }
//!         set refused_ipv6 { type ipv6_addr }
//!         set refused_link_local { type iface_index . ipv6_addr }
//!         chain refuse {
//!                 type filter hook input priority filter - 1; policy accept;
//!                 icmpv6 type 135-136 accept
//!                 ip daddr @refused_ipv4 drop
//!                 ip6 daddr @refused_ipv6 drop
//!                 iif . ip6 daddr @refused_link_local drop
//!         }
//! }
//! ```
//!
//! Accepted packets continue to the tables with a higher priority value. The chain never sees ARP,
//! because the family inet covers only IPv4 and IPv6, nor forwarded packets.
//!
//! A batch of messages is one transaction: the kernel applies all of it or none, and no packet sees a
//! part of it.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NlasIterator};
use vrrp_proto::InterfaceIndex;

use crate::netlink::Message;
use vrrp_node::drop_rules::DropRule;

/// Name of the daemon's table, in the family inet.
pub(crate) const TABLE: &str = "vrrpd";

const CHAIN: &str = "refuse";
const SETS: [Set; 3] = [
    Set {
        name: "refused_ipv4",
        id: 1,
        key_type: TYPE_IPADDR,
        family: NFPROTO_IPV4,
        by_interface: false,
        offset: 16,
        length: 4,
    },
    Set {
        name: "refused_ipv6",
        id: 2,
        key_type: TYPE_IP6ADDR,
        family: NFPROTO_IPV6,
        by_interface: false,
        offset: 24,
        length: 16,
    },
    Set {
        name: "refused_link_local",
        id: 3,
        key_type: TYPE_IFINDEX << TYPE_BITS | TYPE_IP6ADDR,
        family: NFPROTO_IPV6,
        by_interface: true,
        offset: 24,
        length: 16,
    },
];

/// Comment of the table, which `nft list` shows. It begins with [`MADE_BY`].
const COMMENT: &str = "made by vrrpd: packets to these addresses are refused (acceptMode = false)";

/// Beginning of the comment in the tables of every version of the daemon.
const MADE_BY: &str = "made by vrrpd";

/// Maximum number of addresses in one message: an attribute is shorter than 64 KiB, and a link-local
/// address takes 32 bytes of it.
const ADDRESSES: usize = 2_000;

/// The addresses of one family: a set, and the rule that looks it up.
struct Set {
    name: &'static str,
    /// Number of the set in messages of the same batch.
    id: u32,
    /// Type of the elements as `nft` displays them.
    key_type: u32,
    family: u8,
    /// Whether the key begins with the interface.
    by_interface: bool,
    /// Offset and length of the destination address in the IP header.
    offset: u32,
    length: u32,
}

impl Set {
    fn has(&self, refusal: &DropRule) -> bool {
        (self.family == NFPROTO_IPV4) == refusal.address.is_ipv4()
            && self.by_interface == refusal.interface.is_some()
    }

    const fn key_length(&self) -> u32 {
        self.length + if self.by_interface { 4 } else { 0 }
    }
}

/// Messages that the kernel applies as one transaction.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    /// An empty batch.
    pub(crate) fn new() -> Self {
        let mut batch = Self { bytes: Vec::new() };
        batch.bracket(NFNL_MSG_BATCH_BEGIN);
        batch
    }

    /// The encoded batch, with its end marker.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bracket(NFNL_MSG_BATCH_END);
        self.bytes
    }

    /// Replaces the table, if any, by one with these drop rules.
    pub(crate) fn replace(&mut self, drop_rules: &[DropRule]) {
        // Deleting a table that does not exist would fail the whole batch.
        self.add_table();
        self.delete_table();
        self.add_table();
        self.add_chain();
        for set in &SETS {
            self.add_set(set);
        }
        self.add_rule(|rule| {
            // RFC 9568 6.1 MUST NOT: drop neighbour discovery when Accept_Mode is False
            rule.family_is(NFPROTO_IPV6);
            rule.next_protocol_is(IPPROTO_ICMPV6);
            rule.load(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, REGISTER);
            rule.is_within(NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT);
            rule.give(NF_ACCEPT);
        });
        for set in &SETS {
            self.add_rule(|rule| {
                rule.family_is(set.family);
                rule.destination_is_in(set);
                rule.give(NF_DROP);
            });
        }
        self.add(drop_rules);
    }

    /// Deletes the table, which must exist.
    pub(crate) fn delete_table(&mut self) {
        self.request(NFT_MSG_DELTABLE, 0, |message| {
            message.text(NFTA_TABLE_NAME, TABLE);
        });
    }

    /// Adds drop rules.
    pub(crate) fn add(&mut self, drop_rules: &[DropRule]) {
        self.change_elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, drop_rules);
    }

    /// Removes drop rules, all of which must exist.
    pub(crate) fn remove(&mut self, drop_rules: &[DropRule]) {
        self.change_elements(NFT_MSG_DELSETELEM, 0, drop_rules);
    }

    fn change_elements(&mut self, kind: u16, flags: u16, drop_rules: &[DropRule]) {
        for set in &SETS {
            let of_set: Vec<&DropRule> = drop_rules.iter().filter(|r| set.has(r)).collect();
            for some in of_set.chunks(ADDRESSES) {
                self.request(kind, flags, |message| {
                    message.text(NFTA_SET_ELEM_LIST_TABLE, TABLE);
                    message.text(NFTA_SET_ELEM_LIST_SET, set.name);
                    message.nested(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                        for refusal in some {
                            list.nested(NFTA_LIST_ELEM, |element| {
                                element.data(NFTA_SET_ELEM_KEY, &key(refusal));
                            });
                        }
                    });
                });
            }
        }
    }

    fn add_table(&mut self) {
        self.request(NFT_MSG_NEWTABLE, NLM_F_CREATE, |message| {
            message.text(NFTA_TABLE_NAME, TABLE);
            message.attribute(NFTA_TABLE_USERDATA, &comment());
        });
    }

    fn add_chain(&mut self) {
        self.request(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |message| {
            message.text(NFTA_CHAIN_TABLE, TABLE);
            message.text(NFTA_CHAIN_NAME, CHAIN);
            message.nested(NFTA_CHAIN_HOOK, |hook| {
                hook.number(NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_IN);
                // Before the filters of the host, which have priority 0.
                hook.attribute(NFTA_HOOK_PRIORITY, &(-1_i32).to_be_bytes());
            });
            message.number(NFTA_CHAIN_POLICY, NF_ACCEPT);
            message.text(NFTA_CHAIN_TYPE, "filter");
        });
    }

    fn add_set(&mut self, set: &Set) {
        self.request(NFT_MSG_NEWSET, NLM_F_CREATE, |message| {
            message.text(NFTA_SET_TABLE, TABLE);
            message.text(NFTA_SET_NAME, set.name);
            message.number(NFTA_SET_KEY_TYPE, set.key_type);
            message.number(NFTA_SET_KEY_LEN, set.key_length());
            message.number(NFTA_SET_ID, set.id);
        });
    }

    fn add_rule(&mut self, write: impl FnOnce(&mut Rule<'_>)) {
        self.request(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |message| {
            message.text(NFTA_RULE_TABLE, TABLE);
            message.text(NFTA_RULE_CHAIN, CHAIN);
            message.nested(NFTA_RULE_EXPRESSIONS, |list| {
                write(&mut Rule { list });
            });
        });
    }

    fn request(&mut self, kind: u16, flags: u16, write: impl FnOnce(&mut Self)) {
        let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
        self.message(kind, flags, NFPROTO_INET, 0, write);
    }

    /// Begin or end of a batch, which names the nfnetlink subsystem of the batch.
    fn bracket(&mut self, kind: u16) {
        self.message(kind, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, |_| {});
    }

    /// Appends a message: struct nlmsghdr, struct nfgenmsg and attributes.
    fn message(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        write: impl FnOnce(&mut Self),
    ) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        // No sequence number and no port ID: an error concerns the whole batch anyway.
        self.bytes.extend([0; 8]);
        self.bytes.extend([family, NFNETLINK_V0]);
        self.bytes.extend(resource.to_be_bytes());
        write(self);
        let length = u32::try_from(self.bytes.len() - start).expect("a message is not 4 GiB long");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    fn nested(&mut self, kind: u16, write: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        write(self);
        self.close(start, kind | NLA_F_NESTED);
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(value);
        self.close(start, kind);
    }

    fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, &[value.as_bytes(), b"\0"].concat());
    }

    fn data(&mut self, kind: u16, value: &[u8]) {
        self.nested(kind, |data| data.attribute(NFTA_DATA_VALUE, value));
    }

    /// Fills in the header of the attribute that began at `start` and ends here.
    fn close(&mut self, start: usize, kind: u16) {
        let length = u16::try_from(self.bytes.len() - start).expect("see ADDRESSES");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.bytes
            .resize(self.bytes.len().next_multiple_of(NLA_ALIGNTO), 0);
    }
}

/// The expressions of a rule. The kernel evaluates each only if the previous one matched.
struct Rule<'b> {
    list: &'b mut Batch,
}

impl Rule<'_> {
    fn family_is(&mut self, family: u8) {
        self.load_meta(NFT_META_NFPROTO, REGISTER);
        self.is(family);
    }

    fn next_protocol_is(&mut self, protocol: u8) {
        self.load_meta(NFT_META_L4PROTO, REGISTER);
        self.is(protocol);
    }

    fn load_meta(&mut self, key: u32, register: u32) {
        self.expression("meta", |meta| {
            meta.number(NFTA_META_KEY, key);
            meta.number(NFTA_META_DREG, register);
        });
    }

    /// Loads `length` bytes of the packet from `offset` of a header.
    fn load(&mut self, header: u32, offset: u32, length: u32, register: u32) {
        self.expression("payload", |payload| {
            payload.number(NFTA_PAYLOAD_DREG, register);
            payload.number(NFTA_PAYLOAD_BASE, header);
            payload.number(NFTA_PAYLOAD_OFFSET, offset);
            payload.number(NFTA_PAYLOAD_LEN, length);
        });
    }

    fn is(&mut self, value: u8) {
        self.expression("cmp", |cmp| {
            cmp.number(NFTA_CMP_SREG, REGISTER);
            cmp.number(NFTA_CMP_OP, NFT_CMP_EQ);
            cmp.data(NFTA_CMP_DATA, &[value]);
        });
    }

    fn is_within(&mut self, first: u8, last: u8) {
        self.expression("range", |range| {
            range.number(NFTA_RANGE_SREG, REGISTER);
            range.number(NFTA_RANGE_OP, NFT_RANGE_EQ);
            range.data(NFTA_RANGE_FROM_DATA, &[first]);
            range.data(NFTA_RANGE_TO_DATA, &[last]);
        });
    }

    fn destination_is_in(&mut self, set: &Set) {
        let mut register = REGISTER;
        if set.by_interface {
            self.load_meta(NFT_META_IIF, register);
            register += 1;
        }
        let header = NFT_PAYLOAD_NETWORK_HEADER;
        self.load(header, set.offset, set.length, register);
        self.expression("lookup", |lookup| {
            lookup.text(NFTA_LOOKUP_SET, set.name);
            lookup.number(NFTA_LOOKUP_SREG, REGISTER);
            lookup.number(NFTA_LOOKUP_SET_ID, set.id);
        });
    }

    fn give(&mut self, verdict: u32) {
        self.expression("immediate", |immediate| {
            immediate.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            immediate.nested(NFTA_IMMEDIATE_DATA, |data| {
                data.nested(NFTA_DATA_VERDICT, |data| {
                    data.number(NFTA_VERDICT_CODE, verdict);
                });
            });
        });
    }

    fn expression(&mut self, name: &str, write: impl FnOnce(&mut Batch)) {
        self.list.nested(NFTA_LIST_ELEM, |expression| {
            expression.text(NFTA_EXPR_NAME, name);
            expression.nested(NFTA_EXPR_DATA, write);
        });
    }
}

/// A request outside of a batch: the answer is the table, or the error ENOENT.
pub(crate) fn get_table() -> Vec<u8> {
    get(NFT_MSG_GETTABLE, |message| {
        message.text(NFTA_TABLE_NAME, TABLE);
    })
}

/// A request outside of a batch: the answer is the chain of the daemon's table, or the error ENOENT.
pub(crate) fn get_chain() -> Vec<u8> {
    get(NFT_MSG_GETCHAIN, |message| {
        message.text(NFTA_CHAIN_TABLE, TABLE);
        message.text(NFTA_CHAIN_NAME, CHAIN);
    })
}

fn get(kind: u16, write: impl FnOnce(&mut Batch)) -> Vec<u8> {
    let mut message = Batch { bytes: Vec::new() };
    message.request(kind, 0, write);
    message.bytes
}

/// Whether the table of this message bears the daemon's comment. `None` if the table has no user data, as
/// on a kernel before 5.10, which does not store them.
pub(crate) fn has_comment(message: &Message<'_>) -> Option<bool> {
    let attributes = NlasIterator::new(message.body.get(4..)?);
    let mut all = attributes.map_while(Result::ok);
    let data = all.find(|attribute| attribute.kind() == NFTA_TABLE_USERDATA)?;
    // Type and length come before the text.
    let text = data.value().get(2..).unwrap_or_default();
    Some(text.starts_with(MADE_BY.as_bytes()))
}

/// Whether a notification is about the daemon's table or an object in it.
pub(crate) fn concerns_us(message: &Message<'_>) -> bool {
    let [family, _, _, _, attributes @ ..] = message.body else {
        return false;
    };
    let named = [TABLE.as_bytes(), b"\0"].concat();
    message.header.message_type >> 8 == NFNL_SUBSYS_NFTABLES
        && *family == NFPROTO_INET
        // The first attribute of every object in a table is the table's name. In the notification of a
        // new generation it is a number.
        && NlasIterator::new(attributes)
            .map_while(Result::ok)
            .any(|attribute| attribute.kind() == NFTA_TABLE_NAME && attribute.value() == named)
}

/// Encodes a comment as `nft` reads it: type, length, and the text with a NUL.
fn comment() -> Vec<u8> {
    let length = u8::try_from(COMMENT.len() + 1).expect("the comment is shorter than 255 bytes");
    [&[NFTNL_UDATA_COMMENT, length], COMMENT.as_bytes(), b"\0"].concat()
}

/// Key of a drop rule in its set: the interface in native byte order, the address in network byte
/// order.
fn key(refusal: &DropRule) -> Vec<u8> {
    let mut key = Vec::with_capacity(20);
    if let Some(InterfaceIndex(interface)) = refusal.interface {
        key.extend(interface.to_ne_bytes());
    }
    match refusal.address {
        IpAddr::V4(address) => key.extend(address.octets()),
        IpAddr::V6(address) => key.extend(address.octets()),
    }
    key
}

// Of linux/netlink.h.
const NLMSG_MIN_TYPE: u16 = 0x10;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_ALIGNTO: usize = 4;

// Of linux/netfilter.h and linux/netfilter/nfnetlink.h.
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const NF_INET_LOCAL_IN: u32 = 1;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFNETLINK_V0: u8 = 0;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = NLMSG_MIN_TYPE;
const NFNL_MSG_BATCH_END: u16 = NLMSG_MIN_TYPE + 1;

/// Multicast group of nf_tables notifications as a bit: the seventh (NFNLGRP_NFTABLES).
pub(crate) const GROUP: u32 = 1 << 6;

// Of linux/netfilter/nf_tables.h.
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_USERDATA: u16 = 6;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFT_CMP_EQ: u32 = 0;
const NFTA_RANGE_SREG: u16 = 1;
const NFTA_RANGE_OP: u16 = 2;
const NFTA_RANGE_FROM_DATA: u16 = 3;
const NFTA_RANGE_TO_DATA: u16 = 4;
const NFT_RANGE_EQ: u32 = 0;
const NFTA_LOOKUP_SET: u16 = 1;
const NFTA_LOOKUP_SREG: u16 = 2;
const NFTA_LOOKUP_SET_ID: u16 = 4;
const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;
const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFT_META_IIF: u32 = 4;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;
const NFT_REG_VERDICT: u32 = 0;

/// First of the four-byte registers (NFT_REG32_00). A longer value also occupies the following ones.
const REGISTER: u32 = 8;

// Types of set elements in `nft` (its datatype.h), and the shift that concatenates two types.
const TYPE_IPADDR: u32 = 7;
const TYPE_IP6ADDR: u32 = 8;
const TYPE_IFINDEX: u32 = 20;
const TYPE_BITS: u32 = 6;

/// Type of a comment in the userdata of a table (libnftnl/udata.h).
const NFTNL_UDATA_COMMENT: u8 = 0;

// Of RFC 4861 sections 4.3 and 4.4.
const IPPROTO_ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

#[cfg(test)]
mod tests;
