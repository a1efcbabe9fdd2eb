//! Source address, virtual MAC address and unicast peers.

use super::distinct;
use crate::document::{Node, Object};
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::{At, Settings, number};

/// Converts source address, virtual MAC address and unicast peers.
pub(super) fn lower(instance: &mut Object, settings: &Settings<'_>, notes: &mut Notes) {
    let source = settings.last_of(&["unicast_src_ip", "mcast_src_ip"]);
    if let Some(Word { text, place }) = source.and_then(|given| given.one(notes)) {
        instance.set("source", without_prefix(text), *place);
    }
    let base = settings.last("vmac_xmit_base");
    if let Some(vmac) = settings.last("use_vmac") {
        if let Some(name) = vmac.arguments.first() {
            let message = "the interface has the name `vrrp4.VRID.INTERFACE` (`vrrp6` for IPv6) and the MAC address \
                           of RFC 9568 section 7.3";
            notes.differs(name.place, message);
        }
        match base {
            Some(base) => {
                let mut sender = Object::default();
                sender.set("sendFrom", "base", base.place());
                instance.set("virtualMac", sender, vmac.place());
            }
            None => instance.set("virtualMac", true, vmac.place()),
        }
    } else if let Some(base) = base {
        notes.error(base.place(), "`vmac_xmit_base` needs `use_vmac`");
    }
    unicast(instance, settings, notes);
}

fn unicast(instance: &mut Object, settings: &Settings<'_>, notes: &mut Notes) {
    let ttl = settings
        .last("unicast_ttl")
        .and_then(|given| given.number(1..=255, notes));
    let mut ignored = |ttl: Option<At<i64>>| {
        if let Some(ttl) = ttl {
            let message = "keepalived ignores `unicast_ttl` without peers, and so it is left out";
            notes.differs(ttl.place, message);
        }
    };
    let Some(block) = settings.last("unicast_peer") else {
        return ignored(ttl);
    };
    let entries = settings.entries("unicast_peer", notes);
    let least = entries.iter().map(|peer| least_ttl(peer, notes)).min();
    let Some(least) = least else {
        let message = "without peers the instance uses multicast, as keepalived does";
        return notes.differs(block.place(), message);
    };
    let peer = |entry: &&Statement| Node {
        value: without_prefix(&entry.keyword.text).into(),
        place: entry.place(),
    };
    let peers = distinct(entries.iter().map(peer).collect(), "peer", notes);
    let mut unicast = Object::default();
    unicast.set("peers", peers, block.place());
    if let Some(ttl) = ttl {
        unicast.set("ttl", ttl.value, ttl.place);
    }
    if least < 255 {
        unicast.set("minTtl", least, block.place());
    }
    instance.set("unicast", unicast, block.place());
}

/// Returns an address as keepalived reads it: a prefix length is ignored.
fn without_prefix(text: &str) -> &str {
    text.split_once('/').map_or(text, |(address, _)| address)
}

/// Returns the least TTL that is accepted from a peer. keepalived accepts every TTL by default.
fn least_ttl(peer: &Statement, notes: &mut Notes) -> i64 {
    let mut least = 1;
    let mut words = peer.arguments.iter();
    while let Some(word) = words.next() {
        match (word.text.as_str(), words.next()) {
            ("min_ttl", Some(value)) => {
                let given = number("min_ttl", value, 0..=255, notes);
                least = given.map_or(1, |ttl| ttl.value.max(1));
            }
            ("max_ttl", Some(value)) if value.text == "255" => {}
            ("max_ttl", Some(_)) => {
                notes.not_converted(word.place, "`max_ttl`: vrrpd limits the least TTL only");
            }
            (other, _) => {
                notes.unknown(
                    word.place,
                    "option of a peer",
                    other,
                    ["min_ttl", "max_ttl"],
                );
            }
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Differs, NotConverted};
    use crate::testing::instance;

    #[test]
    fn peers_are_distinct_addresses_without_prefix() {
        let found = instance(
            "",
            "unicast_src_ip 192.0.2.1/24\nunicast_peer {\n192.0.2.2/24\n192.0.2.3 min_ttl 254\n192.0.2.2\n}",
        );
        assert_eq!(found.instance()["source"], "192.0.2.1", "{found}");
        let unicast = json!({ "peers": ["192.0.2.2", "192.0.2.3"], "minTtl": 1 });
        assert_eq!(found.instance()["unicast"], unicast, "{found}");
        assert!(
            found.reports(Differs, "8:1: the peer occurs before"),
            "{found}"
        );
    }

    #[test]
    fn settings_without_peers_are_ignored_as_in_keepalived() {
        let found = instance("", "unicast_ttl 3");
        assert!(
            found.reports(Differs, "4:13: keepalived ignores `unicast_ttl`"),
            "{found}"
        );
        let found = instance("", "unicast_ttl 3\nunicast_peer {\n}");
        assert_eq!(found.instance()["unicast"], json!(null), "{found}");
        assert!(found.reports(Differs, "5:1: without peers"), "{found}");
    }

    #[test]
    fn greatest_ttl_of_a_peer_is_not_converted() {
        let found = instance("", "unicast_ttl 3\nunicast_peer {\n192.0.2.2 max_ttl 3\n}");
        assert_eq!(found.instance()["unicast"]["ttl"], 3, "{found}");
        assert!(found.reports(NotConverted, "6:11: `max_ttl`"), "{found}");
    }
}
