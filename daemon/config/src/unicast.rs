//! Unicast peers in the configuration.

use core::net::{IpAddr, Ipv4Addr};
use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use vrrp_proto::Family;
use vrrp_proto::params::{self, RouterParams};

use crate::address::HostAddress;
use crate::field::{Field, all};
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Number};

/// Maximum number of peers of an instance: more than a virtual router needs, and a limit to the
/// cost of an advertisement.
const MOST_PEERS: usize = 255;

/// Unicast operation: advertisements are sent to each peer instead of the multicast group, and
/// accepted only from the peers. All hosts of a virtual router need `unicast`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Unicast {
    /// Other hosts, 1 to 255, by address or by name. This host may be among them, so that all hosts
    /// can have the same list; it sends nothing to itself. Names are resolved at the start and every
    /// minute. Until a name is resolved, advertisements of every sender are accepted that pass all
    /// other checks, and the instance takes over from silence after ten seconds at the earliest. A name
    /// that cannot be resolved later keeps its last addresses, and a former address remains a peer
    /// until ten minutes after its last advertisement. Advertisements of peers have to arrive on the
    /// interface of the instance.
    #[schemars(length(min = 1, max = 255))]
    pub(crate) peers: Field<Vec<Field<Peer>>>,
    /// TTL or hop limit of the advertisements, 1 to 255. Default: 255.
    #[serde(default = "whole")]
    pub(crate) ttl: Field<BoundedInteger<Ttl>>,
    /// Minimum TTL or hop limit of accepted advertisements, 1 to 255: 255 if the peers are on the
    /// same network, and one less for each router in between. Default: 255 (RFC 9568 section 7.1).
    #[serde(default = "whole")]
    pub(crate) min_ttl: Field<BoundedInteger<Ttl>>,
}

impl Unicast {
    /// Returns the parameters for the engine. `None` if a problem has been reported.
    pub(crate) fn lower(&self, path: &Path, findings: &mut Findings) -> Option<params::Unicast> {
        const EXAMPLE: &str = r#""peers": ["192.168.224.12"]"#;
        let path = path.key("peers");
        let peers = self.peers.required(&path, EXAMPLE, findings)?;
        if peers.is_empty() {
            let message = "must not be empty: list the other hosts, or leave \"unicast\" out";
            findings.add(&path, message);
        }
        if peers.len() > MOST_PEERS {
            let count = peers.len();
            let message = format!("must be at most {MOST_PEERS} peers, these are {count}");
            findings.add(&path, message);
        }
        let peers = peers.iter().enumerate().map(|(index, peer)| {
            let peer = &peer.value()?.0;
            if let params::Peer::Address(address) = peer
                && let Err(message) = HostAddress::check(*address)
            {
                findings.add(&path.index(index), message);
            }
            Some(peer.clone())
        });
        let peers: Option<Vec<params::Peer>> = all(peers);
        Some(params::Unicast {
            ttl: self.ttl.value()?.0.0,
            min_ttl: self.min_ttl.value()?.0.0,
            ..params::Unicast::new(peers?)
        })
    }
}

/// Checks that each address family of the instance has peers, and that each peer has a family of
/// the instance.
pub(crate) fn check_families(path: &Path, router: &RouterParams, findings: &mut Findings) {
    let Some(unicast) = &router.unicast else {
        return;
    };
    let path = path.key("peers");
    let mut spoken = BTreeSet::new();
    for (number, peer) in unicast.peers.iter().enumerate() {
        let params::Peer::Address(peer) = peer else {
            // The addresses of a name are unknown until the daemon resolves it.
            spoken.extend(Family::ALL);
            continue;
        };
        let family = Family::of(*peer);
        spoken.insert(family);
        if !router.speaks(family) {
            findings.add(
                &path.index(number),
                format!(
                    "the instance has no virtual {family} address: leave this peer out, or list \
                     its address of the other family"
                ),
            );
        }
    }
    for family in Family::ALL {
        if router.speaks(family) && !spoken.contains(&family) && !spoken.is_empty() {
            findings.add(
                &path,
                format!(
                    "no peer would receive advertisements of the {family} addresses: list the \
                     {family} addresses of the other hosts too"
                ),
            );
        }
    }
}

const fn whole() -> Field<BoundedInteger<Ttl>> {
    Field::Value(BoundedInteger(Ttl(params::Unicast::DEFAULT_TTL)))
}

/// A TTL or hop limit: 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ttl(pub(crate) u8);

impl Number for Ttl {
    const RANGE: (i64, i64) = (1, 255);
    const RULE: &'static str = "must be 1 to 255";

    fn from_number(number: i64) -> Option<Self> {
        let ttl = u8::try_from(number).ok()?;
        (ttl > 0).then_some(Self(ttl))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// Peer: an address, or a host name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Peer(pub(crate) params::Peer);

impl TryFrom<String> for Peer {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.parse::<IpAddr>() {
            Ok(address) => {
                let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
                if address.is_unspecified() || address.is_multicast() || is_broadcast {
                    return Err("must be a unicast address");
                }
                Ok(Self(params::Peer::Address(address)))
            }
            Err(_) if is_host_name(&text) => Ok(Self(params::Peer::Name(text.into()))),
            Err(_) => Err(
                "must be an address without a prefix, like 192.168.224.12 or fe80::12, or the name of a \
                 host, like \"router2.example\"",
            ),
        }
    }
}

/// Whether `text` is a valid host name (RFC 1123 section 2.1), and not a mistyped address.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let sane = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(is_part) && !ends
    };
    let is_number = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    name.len() <= 253
        && name.split('.').all(sane)
        && !name.rsplit('.').next().is_some_and(is_number)
}

impl JsonSchema for Peer {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Peer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Address or host name.",
            "type": "string",
            "pattern": concat!(
                r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*",
                r"|([0-9A-Za-z_-]{1,63}\.)*[0-9A-Za-z_-]{1,63}\.?)$",
            ),
            "examples": ["192.168.224.12", "fe80::12", "router2.example"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_follow_rfc_1123() {
        for name in [
            "b",
            "router2",
            "router2.example",
            "a_b.example.",
            "3com.example",
        ] {
            assert!(is_host_name(name), "{name}");
        }
        let long = "a".repeat(64);
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "10.0.0.300",
            "10.0.0",
            "fe80::1%eth1",
            "10.0.0.1/24",
            &long,
            "ä.example",
        ] {
            assert!(!is_host_name(text), "{text}");
        }
    }
}
