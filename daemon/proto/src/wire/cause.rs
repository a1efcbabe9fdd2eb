//! Causes for which received packets are dropped, with a counter for each.

use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! drop_causes {
    ($($(#[$doc:meta])* $variant:ident => $word:literal, $text:literal;)*) => {
        /// Cause for which a received packet is dropped without an effect. One variant per check,
        /// in the order in which the checks run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropCause {
            $($(#[$doc])* $variant,)*
        }

        impl DropCause {
            /// All causes, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name of the counter in JSON and metrics.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl fmt::Display for DropCause {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                })
            }
        }

        /// A counter for each [`DropCause`].
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[allow(non_snake_case, reason = "the fields are named after the variants")]
        pub struct DropCounts {
            $($(#[$doc])* #[serde(rename = $word)] pub $variant: u64,)*
        }

        impl DropCounts {
            /// Counts one packet.
            pub const fn count(&mut self, cause: DropCause) {
                match cause {
                    $(DropCause::$variant => self.$variant += 1,)*
                }
            }

            /// Number of packets counted for `cause`.
            pub const fn get(&self, cause: DropCause) -> u64 {
                match cause {
                    $(DropCause::$variant => self.$variant,)*
                }
            }

            /// Number of packets counted for all causes together.
            pub fn total(&self) -> u64 {
                DropCause::ALL.iter().map(|cause| self.get(*cause)).sum()
            }
        }
    };
}

drop_causes! {
    /// Sent to the multicast group while the router uses unicast peers, or to an address of this
    /// host while the router uses the group.
    WrongCast => "wrongCast", "sent by multicast where unicast is configured, or the reverse";
    /// The sender is not among the configured unicast peers.
    NotAPeer => "notAPeer", "the sender is not among the configured peers";
    /// TTL or hop limit other than 255 (RFC 9568 section 7.1), or below the configured minimum for
    /// unicast peers.
    HopLimit => "hopLimit", "TTL or hop limit below the required one";
    /// An advertisement of CARP, which has the protocol number and the multicast group of VRRP.
    Carp => "carp", "CARP (pfSense, OPNsense, BSD, ucarp) with this number as its VHID";
    /// VRRP version other than the configured one.
    Version => "version", "VRRP version other than configured";
    /// Type other than 1, advertisement (RFC 9568 section 5.2.2).
    Type => "type", "not an advertisement";
    /// Shorter than its header, its address count and its authentication data require.
    Length => "length", "truncated: shorter than its fields require";
    /// Checksum wrong in every form that is in use.
    Checksum => "checksum", "wrong checksum";
    /// No router with this VRID on the receiving interface. Counted for the node, not for a router.
    UnknownVrid => "unknownVrid", "no instance with this VRID on the receiving interface";
    /// The source address is this router's own: its packet was looped back, or another host has the
    /// same address.
    OwnPacket => "ownPacket", "sent from this host's own address: a network loop, or a duplicate \
         address";
    /// Version 2: a router that owns the addresses ignores advertisements (RFC 3768 section 7.1).
    Owner => "owner", "this host owns the addresses (priority 255)";
    /// Authentication type other than the configured one (RFC 3768 section 7.1).
    AuthType => "authType", "authentication type other than configured";
    /// Password other than the configured one.
    AuthPassword => "authPassword", "password other than configured";
    /// Version 2: advertisement interval other than the configured one (RFC 3768 section 7.1).
    Interval => "interval", "advertisement interval other than configured";
    /// Version 3: advertisement interval of zero (RFC 9568 erratum 8301).
    ZeroInterval => "zeroInterval", "advertisement interval of 0";
    /// Version 3: the list of addresses is empty (RFC 9568 erratum 8299).
    NoAddresses => "noAddresses", "no address listed";
    /// No virtual address in common with the configuration: another virtual router with the same VRID.
    ForeignRouter => "foreignRouter", "another virtual router with the same VRID";
    /// HMAC missing although the mode requires one.
    HmacMissing => "hmacMissing", "HMAC missing";
    /// The trailer is not one of HMAC-SHA-256-128.
    HmacMalformed => "hmacMalformed", "the trailer is not one of HMAC-SHA-256";
    /// The wall-clock time in the trailer is outside the anti-replay window.
    HmacTime => "hmacTime", "timestamp outside the window: compare the clocks of the two hosts";
    /// The trailer names a key that is not configured.
    HmacKey => "hmacKey", "key id not configured here";
    /// Wrong HMAC: the sender has another key with the same id, or the packet was changed on the
    /// way.
    HmacWrong => "hmacWrong", "wrong HMAC: the keys differ, or the packet was changed";
    /// The sequence number is not greater than the last accepted one of the same sender.
    HmacReplayed => "hmacReplayed", "replayed: a copy of an earlier packet, or the sender's clock was \
         set back";
    /// The router is in init or fault and ignores advertisements.
    NotListening => "notListening", "the instance is in init or fault";
}
