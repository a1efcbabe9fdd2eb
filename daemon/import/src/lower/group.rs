//! Sync groups.

use super::{Context, lacking, notify};
use crate::document::{Node, Object, Value};
use crate::read::statement::Statement;
use crate::report::Notes;
use crate::settings::Settings;

/// Converts a `vrrp_sync_group`.
pub(super) fn lower<'s>(
    statement: &'s Statement,
    context: &mut Context<'s>,
    notes: &mut Notes,
) -> Object {
    let settings = Settings::new(statement.inside());
    let mut group = Object::default();
    let members: Vec<Node> = settings
        .entries("group", notes)
        .into_iter()
        .flat_map(Statement::words)
        .map(|word| Node {
            value: Value::Text(context.instances.get(&word.text)),
            place: word.place,
        })
        .collect();
    let place = settings
        .last("group")
        .map_or(statement.place(), Statement::place);
    group.set("members", members, place);
    let followed = context.trackers.followed(&settings, None, notes);
    let place = followed
        .first()
        .map_or(statement.place(), |node| node.place);
    group.set_some("track", followed, place);
    let programs = notify::lower(&settings, &context.globals, context.format, notes);
    let place = notify::place(&settings).unwrap_or_else(|| statement.place());
    group.set_some("notify", programs, place);
    settings.finish("vrrp_sync_group", lacking::GROUP, notes);
    group
}
