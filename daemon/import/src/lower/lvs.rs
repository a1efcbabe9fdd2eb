//! The IPVS sync daemon.

use super::Context;
use crate::document::Object;
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::{Settings, number};

/// Converts `lvs_sync_daemon_interface`, and `lvs_sync_daemon` of `global_defs` for this instance.
pub(super) fn lower(
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
    let Some(daemon) = sync_daemon(global, notes) else {
        return;
    };
    let name = statement.arguments.first().map(|name| &name.text);
    if daemon.instance.map(|word| &word.text) == name {
        context.has_lvs = true;
        let Word { text, place } = daemon.interface;
        instance.set("lvsSyncInterface", text.as_str(), *place);
        instance.set_some("lvs", daemon.options, global.place());
    }
}

/// `lvs_sync_daemon INTERFACE [INSTANCE] [OPTIONS]`.
struct SyncDaemon<'s> {
    interface: &'s Word,
    instance: Option<&'s Word>,
    options: Object,
}

/// Numbers among the options: their keywords, keys and greatest values.
const NUMBERS: [(&str, &str, i64); 5] = [
    ("id", "syncId", 255),
    ("syncid", "syncId", 255),
    ("maxlen", "maxLength", 65_507),
    ("port", "port", 65_535),
    ("ttl", "ttl", 255),
];

/// Reads the arguments; `None` if a mistake has been reported.
fn sync_daemon<'s>(global: &'s Statement, notes: &mut Notes) -> Option<SyncDaemon<'s>> {
    let mut words = global.arguments.iter().peekable();
    let Some(interface) = words.next() else {
        notes.error(global.place(), "`lvs_sync_daemon` needs an interface");
        return None;
    };
    let known = || {
        NUMBERS
            .iter()
            .map(|(keyword, ..)| *keyword)
            .chain(["inst", "group"])
    };
    // The second word is the instance unless it is an option.
    let instance = words.next_if(|word| !known().any(|keyword| keyword == word.text));
    let mut daemon = SyncDaemon {
        interface,
        instance,
        options: Object::default(),
    };
    while let Some(word) = words.next() {
        let name = word.text.as_str();
        let Some(value) = words.next() else {
            notes.error(word.place, format!("`{name}` needs a value"));
            return None;
        };
        if let Some((_, key, most)) = NUMBERS.iter().find(|(keyword, ..)| *keyword == name) {
            let number = number(name, value, 0..=*most, notes)?;
            daemon.options.set(key, number.value, number.place);
        } else if name == "inst" {
            daemon.instance = Some(value);
        } else if name == "group" {
            daemon
                .options
                .set("group", value.text.as_str(), value.place);
        } else {
            notes.unknown(word.place, "option of lvs_sync_daemon", name, known());
            return None;
        }
    }
    Some(daemon)
}
