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
    let only = settings.only("group", notes);
    let members: Vec<Node> = settings
        .entries("group", notes)
        .into_iter()
        .flat_map(Statement::words)
        .map(|word| Node {
            value: Value::Text(context.instances.get(&word.text)),
            place: word.place,
        })
        .collect();
    let place = only.map_or(statement.place(), Statement::place);
    group.set("members", members, place);
    let followed = context.trackers.followed(&settings, None, notes);
    let place = followed
        .first()
        .map_or(statement.place(), |node| node.place);
    group.set_some("track", followed, place);
    let programs = notify::lower(&settings, &context.globals, notes);
    let place = notify::place(&settings).unwrap_or_else(|| statement.place());
    group.set_some("notify", programs, place);
    settings.finish("vrrp_sync_group", lacking::GROUP, notes);
    group
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Error, NotConverted};
    use crate::testing::instance;

    #[test]
    fn group_has_members_and_programs() {
        let found = instance(
            "vrrp_sync_group G { group { VI_1 } notify_master /bin/a }",
            "nopreempt",
        );
        let group = json!({ "members": ["VI_1"], "notify": { "master": ["/bin/a"] } });
        assert_eq!(found.json["syncGroups"]["G"], group, "{found}");
    }

    #[test]
    fn second_list_of_members_is_rejected_as_in_keepalived() {
        let found = instance("vrrp_sync_group G { group { VI_1 } group { VI_1 } }", "");
        assert!(
            found.reports(Error, "1:36: `group` occurs before"),
            "{found}"
        );
        let found = instance("vrrp_sync_group G { group { VI_1 } smtp_alert }", "");
        assert!(found.reports(NotConverted, "1:36: `smtp_alert`"), "{found}");
    }
}
