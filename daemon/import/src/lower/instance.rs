//! Instances.

use super::timing::Role;
use super::{
    Context, address, authentication, distinct, lacking, lvs, notify, routing, timing, transport,
};
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
    identity(&mut instance, statement, &settings, context, notes);
    let role = timing::role(&mut instance, &settings, context, notes);
    timing::interval(&mut instance, &settings, &role, notes);
    timing::preemption(&mut instance, &settings, context, &role, notes);
    timing::announcements(&mut instance, &settings, context, &role, notes);
    accept(&mut instance, &settings, &role, notes);
    authentication::lower(&mut instance, &settings, &role, notes);

    let own = settings
        .last("interface")
        .and_then(|given| given.arguments.first());
    let own = own.filter(|_| settings.last("dont_track_primary").is_none());
    let own = own.map(|word| word.text.as_str());
    let followed = context.trackers.followed(&settings, own, notes);
    let place = routing::place(&followed);
    instance.set_some("track", followed, place);
    let programs = notify::lower(&settings, &context.globals, notes);
    let place = notify::place(&settings).unwrap_or_default();
    instance.set_some("notify", programs, place);
    transport::lower(&mut instance, &settings, notes);
    lvs::lower(&mut instance, statement, &settings, context, notes);

    let name = statement.arguments.first().map_or("", |name| &name.text);
    let addresses = address::addresses(name, &settings, &mut context.addresses, notes);
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
    statement: &Statement,
    settings: &Settings<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) {
    let mut needs = |what| {
        let message = format!("the instance needs `{what}`");
        notes.error(statement.value_place(), message);
    };
    let interface = settings
        .last("interface")
        .or_else(|| context.globals.last("default_interface"));
    let vrid = settings.last("virtual_router_id");
    if interface.is_none() {
        needs("interface NAME");
    }
    if vrid.is_none() {
        needs("virtual_router_id NUMBER");
    }
    if let Some(Word { text, place }) = interface.and_then(|given| given.one(notes)) {
        instance.set("interface", text.as_str(), *place);
    }
    if let Some(vrid) = vrid.and_then(|given| given.number(1..=255, notes)) {
        instance.set("virtualRouterId", vrid.value, vrid.place);
    }
}

/// Converts `accept` and `no_accept`, which have no value.
fn accept(instance: &mut Object, settings: &Settings<'_>, role: &Role, notes: &mut Notes) {
    let explicit = settings.last_of(&["accept", "no_accept"]);
    for statement in settings
        .all("accept")
        .iter()
        .chain(settings.all("no_accept"))
    {
        statement.without_value(notes);
    }
    let strict = role.strict.filter(|_| !role.is_owner);
    match explicit {
        Some(given) if given.keyword.text == "accept" => {
            if let Some(strict) = strict.filter(|_| role.version == 2) {
                let message = "keepalived ignores `accept` with strict mode and version 2, and so it is left out";
                notes.differs(given.place(), message);
                instance.set("acceptMode", false, strict);
            }
        }
        Some(given) => instance.set("acceptMode", false, given.place()),
        None => {
            if let Some(strict) = strict {
                instance.set("acceptMode", false, strict);
            }
        }
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
    if let Some(untracked) = untracked {
        untracked.without_value(notes);
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
    let routes = distinct(routes, "route", notes);
    let place = routing::place(&routes);
    instance.set_some("routes", routes, place);
    let rules = settings.entries("virtual_rules", notes).into_iter();
    let rules: Vec<Node> = rules
        .filter_map(|entry| routing::rule(entry, notes))
        .collect();
    let rules = distinct(rules, "rule", notes);
    let place = routing::place(&rules);
    instance.set_some("rules", rules, place);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Differs, Error};
    use crate::testing::{file, instance};

    #[test]
    fn word_after_accept_is_ignored_as_in_keepalived() {
        let found = instance("", "no_accept\naccept false");
        assert_eq!(found.instance()["acceptMode"], json!(null), "{found}");
        assert!(
            found.reports(Differs, "5:8: `accept` has no value"),
            "{found}"
        );
        let found = instance("", "no_accept true");
        assert_eq!(found.instance()["acceptMode"], false, "{found}");
    }

    #[test]
    fn interface_is_tracked_also_where_all_addresses_are_elsewhere() {
        let settings = "virtual_ipaddress_excluded {\n192.0.2.7 dev eth2\n}";
        let found = instance("", settings);
        assert_eq!(found.instance()["trackInterface"], json!(null), "{found}");
        let found = instance("", "dont_track_primary off");
        assert_eq!(found.instance()["trackInterface"], false, "{found}");
        let beginning = "4:20: `dont_track_primary` has no value";
        assert!(found.reports(Differs, beginning), "{found}");
        let elsewhere = file(
            "vrrp_instance VI_1 {\ninterface eth1\nvirtual_router_id 1\n\
             virtual_ipaddress {\n192.0.2.1 dev eth2\n}\n}\n",
        );
        assert_eq!(elsewhere.instance()["trackInterface"], true, "{elsewhere}");
    }

    #[test]
    fn instance_needs_interface_and_number() {
        let found = file("vrrp_instance VI_1 {\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n");
        for what in ["interface NAME", "virtual_router_id NUMBER"] {
            let beginning = format!("1:15: the instance needs `{what}`");
            assert!(found.reports(Error, &beginning), "{found}");
        }
    }

    #[test]
    fn repeated_program_is_rejected_as_in_keepalived() {
        let found = instance("", "notify_master /bin/a\nnotify_master /bin/b");
        let beginning = "5:1: `notify_master` occurs before: keepalived ignores the second one";
        assert!(found.reports(Error, beginning), "{found}");
    }
}
