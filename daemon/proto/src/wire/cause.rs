//! Why packets are dropped, and how many for each reason.

use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! drop_causes {
    ($($(#[$doc:meta])* $variant:ident => $word:literal, $text:literal;)*) => {
        /// Why a received packet changes nothing. One variant for each check; the order is the one
        /// in which they run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropCause {
            $($(#[$doc])* $variant,)*
        }

        impl DropCause {
            /// All causes, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the counter.
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
            /// Counts one.
            pub const fn count(&mut self, cause: DropCause) {
                match cause {
                    $(DropCause::$variant => self.$variant += 1,)*
                }
            }

            /// How many were counted for `cause`.
            pub const fn get(&self, cause: DropCause) -> u64 {
                match cause {
                    $(DropCause::$variant => self.$variant,)*
                }
            }

            /// How many were counted altogether.
            pub fn total(&self) -> u64 {
                DropCause::ALL.iter().map(|cause| self.get(*cause)).sum()
            }
        }
    };
}

drop_causes! {
    /// Sent to the group while the router speaks with its peers alone, or to this host while it speaks
    /// with the group.
    WrongCast => "wrongCast", "it is multicast where unicast is spoken, or the other way round";
    /// Sent by somebody who is none of the router's peers.
    NotAPeer => "notAPeer", "its sender is not among the peers";
    /// TTL or hop limit other than 255 (RFC 9568 section 7.1), or from a peer below what is demanded.
    HopLimit => "hopLimit", "its TTL is less than demanded";
    /// A version that the router does not speak.
    Version => "version", "it is of another VRRP version";
    /// A type other than 1, advertisement (RFC 9568 section 5.2.2).
    Type => "type", "it is not an advertisement";
    /// Shorter than its header, its address count and its authentication data demand.
    Length => "length", "it is shorter than it says";
    /// The checksum is wrong in every form that is in use.
    Checksum => "checksum", "its checksum is wrong";
    /// No router of that VRID on the receiving interface. It is counted for the node.
    UnknownVrid => "unknownVrid", "no router here has its VRID";
    /// The sender is this very router: its own packet came back.
    OwnPacket => "ownPacket", "it bears our own address: a loop, or an address used twice";
    /// Version 2: a router that owns the addresses listens to nobody (RFC 3768 section 7.1).
    Owner => "owner", "this host owns the addresses";
    /// Authentication of another type than the configured one (RFC 3768 section 7.1).
    AuthType => "authType", "its authentication type is not the configured one";
    /// The password is another one.
    AuthPassword => "authPassword", "its password is not the configured one";
    /// Version 2: the interval differs from the configured one (RFC 3768 section 7.1).
    Interval => "interval", "its advertisement interval is not the configured one";
    /// Version 3: an interval of zero (RFC 9568 erratum 8301).
    ZeroInterval => "zeroInterval", "its advertisement interval is zero";
    /// Version 3: no address at all (RFC 9568 erratum 8299).
    NoAddresses => "noAddresses", "it lists no address";
    /// No HMAC where one is demanded.
    HmacMissing => "hmacMissing", "it bears no HMAC";
    /// A trailer that is none of HMAC-SHA-256-128.
    HmacMalformed => "hmacMalformed", "its trailer is not one of HMAC-SHA-256";
    /// Sent at another time, by the wall clocks, than the window lets pass.
    HmacTime => "hmacTime", "its time is too far from ours: compare the clocks of the two hosts";
    /// An HMAC by a key that is not among the configured ones.
    HmacKey => "hmacKey", "no key here has the number that it names";
    /// The HMAC is wrong: another key of the same number, or somebody changed the packet.
    HmacWrong => "hmacWrong", "its HMAC is wrong: its key is another one";
    /// Its number is not greater than that of the last one of its sender.
    HmacReplayed => "hmacReplayed", "it was sent before: somebody repeats it, or the sender's clock \
         went back";
    /// The router is not listening: it is in init or fault.
    NotListening => "notListening", "the router is not running";
}
