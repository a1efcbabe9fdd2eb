//! Instances.

use super::timing::Role;
use super::{Context, address, authentication, lacking, lvs, notify, routing, timing, transport};
use crate::document::{Node, Object, Value};
use crate::place::Place;
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::Settings;

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
    authentication::lower(&mut instance, &settings, role.version, notes);

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
    transport::lower(&mut instance, &settings, notes);
    lvs::lower(&mut instance, statement, &settings, context, notes);

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
