//! Notifications, and the users of programs.

use super::program::{command, user, user_of};
use crate::document::{Object, Value};
use crate::place::Place;
use crate::read::statement::Statement;
use crate::read::word::{Word, shell_words};
use crate::report::Notes;
use crate::settings::Settings;

/// Keywords with a program, and the events of vrrpd.
const EVENTS: [(&str, &str); 6] = [
    ("notify_master", "master"),
    ("notify_backup", "backup"),
    ("notify_fault", "fault"),
    ("notify_stop", "stop"),
    ("notify_master_rx_lower_pri", "contested"),
    ("notify", "any"),
];

/// Converts the programs of an instance or a group.
pub(super) fn lower(settings: &Settings<'_>, globals: &Settings<'_>, notes: &mut Notes) -> Object {
    let mut notify = Object::default();
    let mut users: Vec<&Word> = Vec::new();
    let mut place = None;
    for (keyword, event) in EVENTS {
        let Some(statement) = settings.only(keyword, notes) else {
            continue;
        };
        let Some(program) = statement.arguments.first() else {
            notes.error(statement.place(), format!("`{keyword}` needs a program"));
            continue;
        };
        let words = shell_words(&program.text, true);
        if words.is_empty() {
            let message =
                format!("`{keyword}` has no program: keepalived runs none, and so it is left out");
            notes.differs(program.place, message);
            continue;
        }
        let words = command(words, program.place, notes);
        notify.set(event, Value::texts(words, program.place), program.place);
        place.get_or_insert(statement.place());
        if statement.arguments.len() > 1 {
            users.extend(user_of(&statement.arguments, 1, notes));
        }
    }
    let Some(place) = place else {
        return notify;
    };
    describe(settings, &mut notify, notes);
    if users.is_empty() {
        users.extend(
            globals
                .last("script_user")
                .and_then(|given| user(given, notes)),
        );
    }
    if let Some(first) = users.first() {
        notify.set("user", first.text.as_str(), place);
        for other in users.iter().filter(|other| other.text != first.text) {
            let message = format!(
                "all programs of `notify` have one user in vrrpd: `{}`",
                first.text
            );
            notes.not_converted(other.place, message);
        }
    }
    notify
}

/// Sets the form of the arguments, and reports what differs.
fn describe(settings: &Settings<'_>, notify: &mut Object, notes: &mut Notes) {
    if let Some(statement) = settings.last("notify") {
        notify.set("style", "keepalived", statement.place());
        let others = EVENTS
            .iter()
            .filter(|(_, event)| *event != "any" && notify.has(event));
        if others.count() > 0 {
            let message = "with `notify` all programs of the instance or group receive the four arguments that \
                           keepalived passes to the program of `notify` only";
            notes.differs(statement.place(), message);
        }
    }
    if let Some(statement) = settings.last("notify_master_rx_lower_pri") {
        let message = "the program of `contested` runs once when the other master has gone; keepalived runs it \
                       for each advertisement of a lower priority";
        notes.differs(statement.place(), message);
    }
}

/// Place of the first statement about notifications.
pub(super) fn place(settings: &Settings<'_>) -> Option<Place> {
    let places = EVENTS
        .iter()
        .filter_map(|(keyword, _)| settings.last(keyword));
    places.map(Statement::place).min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Differs, Error, NotConverted};
    use crate::testing::instance;

    #[test]
    fn empty_program_is_left_out() {
        let found = instance("", "notify_master \"\"\nnotify_backup /bin/b");
        assert_eq!(
            found.instance()["notify"],
            json!({ "backup": ["/bin/b"] }),
            "{found}"
        );
        assert!(
            found.reports(Differs, "4:15: `notify_master` has no program"),
            "{found}"
        );
        let found = instance("", "notify_master");
        assert!(
            found.reports(Error, "4:1: `notify_master` needs a program"),
            "{found}"
        );
    }

    #[test]
    fn programs_of_an_instance_have_one_user() {
        let found = instance(
            "",
            "notify_master \"/bin/a 'b c'\" web\nnotify_backup /bin/b mail mail",
        );
        let notify = json!({ "master": ["/bin/a", "b c"], "backup": ["/bin/b"], "user": "web" });
        assert_eq!(found.instance()["notify"], notify, "{found}");
        let beginning = "5:22: all programs of `notify` have one user in vrrpd: `web`";
        assert!(found.reports(NotConverted, beginning), "{found}");
    }
}
