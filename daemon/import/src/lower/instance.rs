//! Instances.

use super::timing::Role;
use super::{Context, address, lacking, notify, routing, timing};
use crate::document::{Node, Object, Value};
use crate::place::Place;
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::{Settings, number};

/// Converts a `vrrp_instance`.
pub(super) fn lower<'s>(
    statement: &'s Statement,
    context: &mut Context<'s>,
    notes: &mut Notes,
) -> Object {
    let settings = Settings::new(statement.inside());
    let mut instance = Object::default();
    identity(&mut instance, &settings, context, notes);
    let role = timing::role(&mut instance, &settings, context, notes);
    timing::interval(&mut instance, &settings, &role, notes);
    timing::preemption(&mut instance, &settings, context, &role, notes);
    timing::announcements(&mut instance, &settings, context, notes);
    accept(&mut instance, &settings, context, &role, notes);
    authentication(&mut instance, &settings, role.version, notes);

    let own = settings
        .last("interface")
        .and_then(|given| given.arguments.first());
    let own = own.filter(|_| settings.last("dont_track_primary").is_none());
    let own = own.map(|word| word.text.as_str());
    let followed = context.trackers.followed(&settings, own, notes);
    let place = routing::place(&followed);
    instance.set_some("track", followed, place);
    let programs = notify::lower(&settings, &context.globals, context.format, notes);
    let place = notify::place(&settings).unwrap_or_default();
    instance.set_some("notify", programs, place);
    transport(&mut instance, &settings, notes);
    lvs(&mut instance, statement, &settings, context, notes);

    let addresses = address::addresses(&settings, notes);
    tracks_interface(&mut instance, &settings, &addresses, notes);
    let lists = [
        "virtual_ipaddress",
        "virtual_ipaddress_excluded",
        "no_virtual_ipaddress",
    ];
    let place = settings.last_of(&lists).map(Statement::place);
    if place.is_none() {
        let message =
            "the instance has no addresses: write `virtual_ipaddress`, or `no_virtual_ipaddress`";
        notes.error(statement.place(), message);
    }
    instance.set("virtualAddresses", addresses, place.unwrap_or_default());
    routes(&mut instance, &settings, notes);
    settings.finish("vrrp_instance", lacking::INSTANCE, notes);
    instance
}

/// Interface and VRID.
fn identity(
    instance: &mut Object,
    settings: &Settings<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) {
    let interface = settings
        .last("interface")
        .or_else(|| context.globals.last("default_interface"));
    if let Some(Word { text, place }) = interface.and_then(|given| given.one(notes)) {
        instance.set("interface", text.as_str(), *place);
    }
    let vrid = settings
        .last("virtual_router_id")
        .and_then(|given| given.number(1..=255, notes));
    if let Some(vrid) = vrid {
        instance.set("virtualRouterId", vrid.value, vrid.place);
    }
}

/// Converts `accept`, `no_accept` and `strict_mode`.
fn accept(
    instance: &mut Object,
    settings: &Settings<'_>,
    context: &Context<'_>,
    role: &Role,
    notes: &mut Notes,
) {
    let strict = settings
        .last("strict_mode")
        .or_else(|| context.globals.last("vrrp_strict"));
    let strict = strict.filter(|given| given.flag(notes) == Some(true));
    if let Some(strict) = strict {
        let message = "vrrpd has no strict mode: packets to the addresses are dropped (`acceptMode`), and the other \
                       rules of keepalived's strict mode are not enforced";
        notes.differs(strict.place(), message);
    }
    let explicit = settings.last_of(&["accept", "no_accept"]);
    let refusal = explicit.filter(|given| given.keyword.text == "no_accept");
    let refusal = refusal.or(strict.filter(|_| explicit.is_none() && !role.is_owner));
    if let Some(refusal) = refusal {
        instance.set("acceptMode", false, refusal.place());
    }
}

/// Converts `authentication` and `auth_hmac`.
fn authentication(instance: &mut Object, settings: &Settings<'_>, version: i64, notes: &mut Notes) {
    let mut authentication = Object::default();
    let block = settings.last("authentication");
    if let Some(block) = block {
        password(&mut authentication, block, version, notes);
    }
    let block_of_keys = settings.last("auth_hmac");
    if let Some(block) = block_of_keys {
        keys(&mut authentication, block, notes);
    }
    let place = block_of_keys
        .or(block)
        .map(Statement::place)
        .unwrap_or_default();
    instance.set_some("authentication", authentication, place);
}

/// Longest password in a packet.
const PASSWORD: usize = 8;

fn password(authentication: &mut Object, block: &Statement, version: i64, notes: &mut Notes) {
    let settings = Settings::new(block.inside());
    let kind = settings
        .last("auth_type")
        .and_then(|given| given.one(notes));
    let password = settings
        .last("auth_pass")
        .and_then(|given| given.one(notes));
    settings.finish("authentication", lacking::NONE, notes);
    match kind.map(|word| (word.text.as_str(), word.place)) {
        Some(("PASS", _)) => {}
        Some(("AH", place)) => {
            let message = "`auth_type AH`: RFC 3768 has removed it, and vrrpd lacks it: use `auth_type PASS`, or \
                           `auth_hmac` with version 3";
            return notes.not_converted(place, message);
        }
        Some((other, place)) => return notes.unknown(place, "type", other, ["PASS", "AH"]),
        None => return notes.error(block.place(), "`authentication` needs `auth_type PASS`"),
    }
    let Some(Word { text, place }) = password else {
        return notes.error(block.place(), "`authentication` needs `auth_pass`");
    };
    if version == 3 {
        let message = "version 3 has no password (RFC 9568 section 9): left out, as keepalived does; use \
                       `auth_hmac`";
        return notes.not_converted(block.place(), message);
    }
    let is_within = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=PASSWORD.min(text.len())).rfind(is_within).unwrap_or(0);
    if text.len() > PASSWORD {
        let message = format!(
            "the password has {} bytes: the first {end} of them are used, as keepalived does",
            text.len()
        );
        notes.differs(*place, message);
    }
    let mut pass = Object::default();
    pass.set("password", text.get(..end).unwrap_or_default(), *place);
    authentication.set("pass", pass, block.place());
}

fn keys(authentication: &mut Object, block: &Statement, notes: &mut Notes) {
    let settings = Settings::new(block.inside());
    let mut keys = Object::default();
    for statement in settings.all("key") {
        let [id, secret] = &*statement.arguments else {
            notes.error(statement.place(), "write `key NUMBER SECRET`");
            continue;
        };
        let mut key = Object::default();
        match secret.text.strip_prefix("file:") {
            Some(file) => key.set("keyFile", file, secret.place),
            None => key.set("key", secret.text.as_str(), secret.place),
        }
        if let Some(id) = number("key", id, 1..=255, notes) {
            keys.set(&id.value.to_string(), key, statement.place());
        }
    }
    let mut hmac = Object::default();
    hmac.set("keys", keys, block.place());
    let active = settings
        .last("active_key")
        .and_then(|given| given.number(1..=255, notes));
    if let Some(active) = active {
        hmac.set("activeKey", active.value, active.place);
    }
    let window = settings
        .last("time_window")
        .and_then(|given| given.seconds(300, notes));
    if let Some(window) = window {
        hmac.set("timeWindow", window.value, window.place);
    }
    for (keyword, key) in [("anti_replay", "antiReplay"), ("mode", "mode")] {
        if let Some(word) = settings.last(keyword).and_then(|given| given.one(notes)) {
            let text = if word.text == "receive-only" {
                "receiveOnly"
            } else {
                &word.text
            };
            hmac.set(key, text, word.place);
        }
    }
    settings.finish("auth_hmac", lacking::NONE, notes);
    authentication.set("hmac", hmac, block.place());
}

/// Source address, unicast peers and virtual MAC address.
fn transport(instance: &mut Object, settings: &Settings<'_>, notes: &mut Notes) {
    let source = settings.last_of(&["unicast_src_ip", "mcast_src_ip"]);
    if let Some(Word { text, place }) = source.and_then(|given| given.one(notes)) {
        instance.set("source", text.as_str(), *place);
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
    let blocks = settings.all("unicast_peer");
    let mut peers = Vec::new();
    let mut least: Option<i64> = None;
    for entry in settings.entries("unicast_peer", notes) {
        let value = Value::Text(entry.keyword.text.clone());
        peers.push(Node {
            value,
            place: entry.place(),
        });
        let mut words = entry.arguments.iter();
        let mut least_of_peer = 1;
        while let Some(word) = words.next() {
            match (word.text.as_str(), words.next()) {
                ("min_ttl", Some(value)) => {
                    least_of_peer =
                        number("min_ttl", value, 0..=255, notes).map_or(1, |ttl| ttl.value.max(1));
                }
                ("max_ttl", Some(value)) => {
                    if value.text != "255" {
                        notes.not_converted(
                            word.place,
                            "`max_ttl`: vrrpd limits the least TTL only",
                        );
                    }
                }
                (other, _) => notes.unknown(
                    word.place,
                    "option of a peer",
                    other,
                    ["min_ttl", "max_ttl"],
                ),
            }
        }
        least = Some(least.map_or(least_of_peer, |least| least.min(least_of_peer)));
    }
    let (Some(block), Some(least)) = (blocks.last(), least) else {
        if let Some(block) = blocks.last() {
            notes.differs(
                block.place(),
                "without peers the instance uses multicast, as keepalived does",
            );
        }
        return;
    };
    let mut unicast = Object::default();
    unicast.set("peers", peers, block.place());
    if let Some(ttl) = ttl {
        unicast.set("ttl", ttl.value, ttl.place);
    }
    // keepalived accepts every TTL unless `min_ttl` is given.
    if least < 255 {
        unicast.set("minTtl", least, block.place());
    }
    instance.set("unicast", unicast, block.place());
}

/// Converts `dont_track_primary`. keepalived tracks the interface also if it carries no address.
fn tracks_interface(
    instance: &mut Object,
    settings: &Settings<'_>,
    addresses: &[Node],
    notes: &mut Notes,
) {
    let untracked = settings.last("dont_track_primary");
    if let Some(untracked) = untracked.filter(|given| given.flag(notes) == Some(true)) {
        return instance.set("trackInterface", false, untracked.place());
    }
    let interface = settings
        .last("interface")
        .and_then(|given| given.arguments.first());
    let is_elsewhere = |node: &Node| match &node.value {
        Value::Object(object) => object.0.iter().any(|(key, node)| match &node.value {
            Value::Text(device) if key == "device" => {
                interface.is_none_or(|own| own.text != *device)
            }
            Value::Bool(_)
            | Value::Number(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Object(_) => false,
        }),
        Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => false,
    };
    if !addresses.is_empty() && addresses.iter().all(is_elsewhere) {
        let place = interface.map_or_else(Place::default, |word| word.place);
        instance.set("trackInterface", true, place);
    }
}

/// Converts `lvs_sync_daemon_interface`, and `lvs_sync_daemon` of `global_defs` for this instance.
fn lvs(
    instance: &mut Object,
    statement: &Statement,
    settings: &Settings<'_>,
    context: &mut Context<'_>,
    notes: &mut Notes,
) {
    let own = settings.last("lvs_sync_daemon_interface");
    if let Some(own) = own.filter(|_| context.has_lvs) {
        let message = "the kernel has one IPVS sync daemon: keepalived ignores this in all instances but the first, \
                       and so it is left out";
        return notes.differs(own.place(), message);
    }
    if let Some(Word { text, place }) = own.and_then(|given| given.one(notes)) {
        context.has_lvs = true;
        return instance.set("lvsSyncInterface", text.as_str(), *place);
    }
    let Some(global) = context.globals.last("lvs_sync_daemon") else {
        return;
    };
    let mut words = global.arguments.iter();
    let Some(interface) = words.next() else {
        return notes.error(global.place(), "`lvs_sync_daemon` needs an interface");
    };
    let name = statement.arguments.first().map_or("", |name| &name.text);
    let mut lvs = Object::default();
    let mut is_meant = false;
    while let Some(word) = words.next() {
        let (key, most) = match word.text.as_str() {
            "inst" => {
                is_meant |= words.next().is_some_and(|word| word.text == name);
                continue;
            }
            "id" | "syncid" => ("syncId", 255),
            "maxlen" => ("maxLength", 65_507),
            "port" => ("port", 65_535),
            "ttl" => ("ttl", 255),
            "group" => {
                if let Some(group) = words.next() {
                    lvs.set("group", group.text.as_str(), group.place);
                }
                continue;
            }
            other if words.as_slice().len() + 2 == global.arguments.len() => {
                is_meant |= other == name;
                continue;
            }
            other => {
                let known = ["inst", "id", "maxlen", "port", "ttl", "group"];
                notes.unknown(word.place, "option of lvs_sync_daemon", other, known);
                return;
            }
        };
        let number = words
            .next()
            .and_then(|value| number(&word.text, value, 0..=most, notes));
        if let Some(number) = number {
            lvs.set(key, number.value, number.place);
        }
    }
    if is_meant {
        context.has_lvs = true;
        instance.set("lvsSyncInterface", interface.text.as_str(), interface.place);
        instance.set_some("lvs", lvs, global.place());
    }
}

/// Virtual routes and rules.
fn routes(instance: &mut Object, settings: &Settings<'_>, notes: &mut Notes) {
    let routes = settings.entries("virtual_routes", notes).into_iter();
    let routes: Vec<Node> = routes
        .filter_map(|entry| routing::route(entry, notes))
        .collect();
    let place = routing::place(&routes);
    instance.set_some("routes", routes, place);
    let rules = settings.entries("virtual_rules", notes).into_iter();
    let rules: Vec<Node> = rules
        .filter_map(|entry| routing::rule(entry, notes))
        .collect();
    let place = routing::place(&rules);
    instance.set_some("rules", rules, place);
}
