//! The statements of keepalived.conf as a configuration of vrrpd.
//!
//! Each kind of block has its module, and `lacking` lists the keywords without an equivalent. Trackers
//! come first, because the instances refer to them; the defaults of `global_defs` are looked up where an
//! instance lacks a setting, so that their order in the file does not matter, as in keepalived.

mod address;
mod authentication;
mod group;
mod instance;
mod lacking;
mod lvs;
mod names;
mod notify;
mod program;
mod routing;
mod timing;
mod tracker;
mod transport;

use std::collections::BTreeSet;

use crate::document::{Node, Object, Value};
use crate::place::Place;
use crate::read::statement::Statement;
use crate::render;
use crate::report::Notes;
use crate::settings::Settings;
use address::Addresses;
use names::Names;
use tracker::Trackers;

/// Keywords with which a block of keepalived.conf begins.
pub(crate) const BLOCKS: &[&str] = &[
    "bfd_instance",
    "global_defs",
    "static_ipaddress",
    "static_routes",
    "virtual_server",
    "virtual_server_group",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "vrrp_track_process",
];

/// Keywords of `global_defs` that count where an instance or a script lacks a setting.
const DEFAULTS: &[&str] = &[
    "default_interface",
    "lvs_sync_daemon",
    "script_user",
    "vrrp_garp_interval",
    "vrrp_garp_lower_prio_repeat",
    "vrrp_garp_master_delay",
    "vrrp_garp_master_refresh",
    "vrrp_garp_master_repeat",
    "vrrp_gna_interval",
    "vrrp_startup_delay",
    "vrrp_strict",
    "vrrp_version",
];

/// State that the instances and groups share.
struct Context<'s> {
    globals: Settings<'s>,
    trackers: Trackers<'s>,
    /// Names of the instances.
    instances: Names<'s>,
    /// Whether an instance has the IPVS sync daemon.
    has_lvs: bool,
    addresses: Addresses,
}

/// Converts all statements.
pub(crate) fn lower(statements: &[Statement], notes: &mut Notes) -> Object {
    let top = Settings::new(statements);
    let globals = Settings::new(
        top.all("global_defs")
            .iter()
            .flat_map(|block| block.inside()),
    );
    let trackers = Trackers::read(&top, &globals, notes);
    let blocks = named(top.all("vrrp_instance"), notes);
    let groups = named(top.all("vrrp_sync_group"), notes);
    let mut context = Context {
        globals,
        trackers,
        instances: Names::new(&blocks, notes),
        has_lvs: false,
        addresses: Addresses::default(),
    };
    let instances: Vec<_> = blocks
        .iter()
        .map(|(name, statement)| {
            let lowered = instance::lower(statement, &mut context, notes);
            (context.instances.get(name), lowered, statement.place())
        })
        .collect();
    let group_names = Names::new(&groups, notes);
    let groups: Vec<_> = groups
        .iter()
        .map(|(name, statement)| {
            let lowered = group::lower(statement, &mut context, notes);
            (group_names.get(name), lowered, statement.place())
        })
        .collect();

    let lvs = context.globals.last("lvs_sync_daemon");
    if let Some(lvs) = lvs.filter(|_| !context.has_lvs) {
        let message = "`lvs_sync_daemon` names none of the instances: write `lvs_sync_daemon INTERFACE INSTANCE`";
        notes.error(lvs.place(), message);
    }
    context.globals.take(DEFAULTS);

    let start = statements
        .first()
        .map_or_else(Place::default, Statement::place);
    let mut document = Object::default();
    document.set_some("trackers", context.trackers.finish(notes), start);
    document.set_some("instances", by_name(instances), start);
    document.set_some("syncGroups", by_name(groups), start);
    context
        .globals
        .finish("global_defs", lacking::GLOBAL, notes);
    top.finish("keepalived.conf", lacking::TOP, notes);
    document
}

fn by_name(entries: Vec<(String, Object, Place)>) -> Object {
    let entry = |(name, object, place)| {
        (
            name,
            Node {
                value: Value::Object(object),
                place,
            },
        )
    };
    Object(entries.into_iter().map(entry).collect())
}

/// Returns the blocks with their names, and reports those without a name or a block, and those whose name
/// another one has.
fn named<'s>(blocks: &[&'s Statement], notes: &mut Notes) -> Vec<(&'s str, &'s Statement)> {
    let mut seen = BTreeSet::new();
    let mut named = Vec::new();
    for block in blocks {
        let keyword = &block.keyword.text;
        let Some(name) = block.arguments.first() else {
            notes.error(block.place(), format!("`{keyword}` needs a name"));
            continue;
        };
        if block.block.is_none() {
            notes.error(
                name.place,
                format!("`{keyword}` needs a block: write `{{` and `}}`"),
            );
        }
        if let Some(surplus) = block.arguments.get(1) {
            notes.error(
                surplus.place,
                format!("`{keyword}` has one name: write it without blanks"),
            );
        }
        if seen.insert(name.text.as_str()) {
            named.push((name.text.as_str(), *block));
        } else if matches!(keyword.as_str(), "vrrp_instance" | "vrrp_sync_group") {
            let message = format!(
                "`{keyword} {}` occurs before: keepalived ignores the second one",
                name.text
            );
            notes.error(name.place, message);
        } else {
            // `keepalived -t` accepts a tracker that occurs twice.
            let message = format!(
                "`{keyword} {}` occurs before: keepalived uses the first one, and so does this",
                name.text
            );
            notes.differs(name.place, message);
        }
    }
    named
}

/// Leaves out entries of a list that occur before, which keepalived accepts.
fn distinct(list: Vec<Node>, what: &str, notes: &mut Notes) -> Vec<Node> {
    let mut seen = BTreeSet::new();
    let is_new = |node: &Node| {
        let entry = match &node.value {
            Value::Object(object) => render::json(object),
            Value::Text(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) | Value::List(_) => return true,
        };
        let is_new = seen.insert(entry);
        if !is_new {
            notes.differs(
                node.place,
                format!("the {what} occurs before: written once"),
            );
        }
        is_new
    };
    list.into_iter().filter(is_new).collect()
}
