//! Passwords and keys.

use super::lacking;
use super::timing::Role;
use crate::document::Object;
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::{Settings, number};

/// Converts `authentication` and `auth_hmac`.
pub(super) fn lower(
    instance: &mut Object,
    settings: &Settings<'_>,
    role: &Role,
    notes: &mut Notes,
) {
    let mut authentication = Object::default();
    let block = settings.last("authentication");
    if let Some(block) = block {
        password(&mut authentication, block, role, notes);
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

fn password(authentication: &mut Object, block: &Statement, role: &Role, notes: &mut Notes) {
    let settings = secrets(block, notes);
    let kind = settings
        .last("auth_type")
        .and_then(|given| given.one(notes));
    let password = settings
        .last("auth_pass")
        .and_then(|given| given.one(notes));
    settings.finish("authentication", lacking::NONE, notes);
    match kind.map(|word| (word.text.as_str(), word.place)) {
        Some(("PASS" | "AH", _)) if role.strict.is_some() => {
            let message =
                "keepalived ignores `authentication` with strict mode, and so it is left out";
            return notes.differs(block.place(), message);
        }
        Some(("PASS", _)) => {}
        Some(("AH", place)) => {
            let message = "`auth_type AH`: RFC 3768 has removed it, and vrrpd lacks it: use `auth_type PASS` on all \
                           hosts first, or `auth_hmac` with version 3: a host with AH drops these advertisements";
            return notes.not_converted(place, message);
        }
        Some((other, place)) => return notes.unknown(place, "type", other, ["PASS", "AH"]),
        None => {
            let message =
                "without `auth_type PASS` keepalived uses no authentication, and neither does this";
            return notes.differs(block.place(), message);
        }
    }
    let Some(Word { text, place }) = password else {
        return notes.error(block.place(), "`authentication` needs `auth_pass`");
    };
    if role.version == 3 {
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
    let settings = secrets(block, notes);
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

/// Returns the settings of a block with secrets. Its lines are in no report.
fn secrets<'s>(block: &'s Statement, notes: &mut Notes) -> Settings<'s> {
    for word in block.inside().iter().flat_map(Statement::words) {
        notes.hide(word.place);
    }
    Settings::new(block.inside())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Differs, Error, NotConverted};
    use crate::testing::instance;

    #[test]
    fn password_without_a_type_is_left_out() {
        let found = instance("", "authentication {\nauth_pass 1111\n}");
        assert_eq!(found.instance()["authentication"], json!(null), "{found}");
        assert!(
            found.reports(Differs, "4:1: without `auth_type PASS`"),
            "{found}"
        );
    }

    #[test]
    fn password_is_cut_to_eight_bytes_between_characters() {
        let found = instance(
            "",
            "authentication {\nauth_type PASS\nauth_pass 1234567ü\n}",
        );
        assert_eq!(
            found.instance()["authentication"]["pass"]["password"],
            "1234567",
            "{found}"
        );
        assert!(
            found.reports(Differs, "6:11: the password has 9 bytes"),
            "{found}"
        );
    }

    #[test]
    fn type_without_a_password_is_rejected() {
        let found = instance("", "authentication {\nauth_type PASS\n}");
        assert!(
            found.reports(Error, "4:1: `authentication` needs `auth_pass`"),
            "{found}"
        );
        let found = instance("", "authentication {\nauth_type AH\nauth_pass 1\n}");
        assert!(
            found.reports(NotConverted, "5:11: `auth_type AH`"),
            "{found}"
        );
    }
}
