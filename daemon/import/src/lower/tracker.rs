//! Trackers: `vrrp_script`, `vrrp_track_process`, `vrrp_track_file`, and interfaces that are followed.

use std::collections::{BTreeMap, BTreeSet};

use super::{lacking, named, names, program};
use crate::Format;
use crate::document::{Node, Object, Value};
use crate::read::statement::Statement;
use crate::read::word::{Word, shell_words};
use crate::report::Notes;
use crate::settings::{Micros, Settings, number};

/// Kind of a tracker: keepalived has separate names for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    File,
    Interface,
    Process,
    Script,
}

impl Kind {
    /// Keyword that lists the trackers of the kind in an instance.
    pub(super) const fn keyword(self) -> &'static str {
        match self {
            Self::File => "track_file",
            Self::Interface => "track_interface",
            Self::Process => "track_process",
            Self::Script => "track_script",
        }
    }

    /// Key of the kind in a tracker of vrrpd.
    const fn key(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Interface => "interface",
            Self::Process => "process",
            Self::Script => "script",
        }
    }

    /// Order in which an instance lists them.
    pub(super) const ALL: [Self; 4] = [Self::Script, Self::Interface, Self::Process, Self::File];

    const WEIGHTS: core::ops::RangeInclusive<i64> = -253..=253;
}

/// A tracker that instances may follow.
#[derive(Debug)]
struct Tracker {
    /// Name in vrrpd.
    name: String,
    /// Weight where the instance names none; 0 is a reason for fault.
    weight: i64,
    /// Whether the result counts the other way round.
    is_reversed: bool,
}

/// All trackers.
#[derive(Debug, Default)]
pub(super) struct Trackers<'s> {
    by_name: BTreeMap<(Kind, &'s str), Tracker>,
    used: BTreeSet<String>,
    document: Object,
}

/// Settings that the definitions of trackers depend on.
struct Scope<'a, 's> {
    globals: &'a Settings<'s>,
    format: Format,
}

impl<'s> Trackers<'s> {
    /// Reads the definitions.
    pub(super) fn read(
        top: &Settings<'s>,
        globals: &Settings<'s>,
        format: Format,
        notes: &mut Notes,
    ) -> Self {
        let mut trackers = Self::default();
        let scope = Scope { globals, format };
        for (name, statement) in named(top.all("vrrp_script"), notes) {
            let settings = Settings::new(statement.inside());
            let weight = weight(&settings, 0, notes);
            let script = script(statement, &settings, &scope, notes);
            settings.finish("vrrp_script", lacking::SCRIPT, notes);
            trackers.add(Kind::Script, name, weight, script, statement, notes);
        }
        for (name, statement) in named(top.all("vrrp_track_process"), notes) {
            let settings = Settings::new(statement.inside());
            let weight = weight(&settings, 0, notes);
            let process = process(statement, &settings, notes);
            settings.finish("vrrp_track_process", lacking::NONE, notes);
            trackers.add(Kind::Process, name, weight, process, statement, notes);
        }
        let files: Vec<_> = [top.all("vrrp_track_file"), top.all("track_file")].concat();
        for (name, statement) in named(&files, notes) {
            let settings = Settings::new(statement.inside());
            let weight = weight(&settings, 1, notes);
            let file = file(statement, &settings, notes);
            settings.finish("track_file", lacking::FILE, notes);
            trackers.add(Kind::File, name, weight, file, statement, notes);
        }
        trackers
    }

    fn add(
        &mut self,
        kind: Kind,
        given: &'s str,
        (weight, is_reversed): (i64, bool),
        settings: Object,
        statement: &Statement,
        notes: &mut Notes,
    ) {
        let name = names::unused(given, &mut self.used);
        if name != given {
            let message = format!("the tracker becomes `{name}`: {}", names::RULE);
            notes.differs(statement.value_place(), message);
        }
        let mut definition = Object::default();
        definition.set(kind.key(), settings, statement.place());
        self.document.set(&name, definition, statement.place());
        self.by_name.insert(
            (kind, given),
            Tracker {
                name,
                weight,
                is_reversed,
            },
        );
    }

    /// Returns what an instance or a group follows. keepalived tracks the instance's `own` interface
    /// anyway, and ignores it in the list.
    pub(super) fn followed(
        &mut self,
        settings: &Settings<'s>,
        own: Option<&str>,
        notes: &mut Notes,
    ) -> Vec<Node> {
        let mut followed = Vec::new();
        for kind in Kind::ALL {
            for entry in settings.entries(kind.keyword(), notes) {
                if kind == Kind::Interface && own == Some(&entry.keyword.text) {
                    let message = "the interface of the instance is tracked anyway: keepalived ignores it here, and \
                                   so it is left out";
                    notes.differs(entry.place(), message);
                } else {
                    followed.extend(self.follow(kind, entry, notes));
                }
            }
        }
        followed
    }

    /// Reads `NAME [weight NUMBER] [reverse]`.
    fn follow(&mut self, kind: Kind, entry: &'s Statement, notes: &mut Notes) -> Option<Node> {
        let place = entry.place();
        let given = entry.keyword.text.as_str();
        if kind == Kind::Interface && !self.by_name.contains_key(&(kind, given)) {
            self.add_interface(given, entry, notes);
        }
        let Some(tracker) = self.by_name.get(&(kind, given)) else {
            let known = self.by_name.keys().filter(|(other, _)| *other == kind);
            let known: Vec<_> = known.map(|(_, name)| *name).collect();
            notes.unknown(place, &format!("name in {}", kind.keyword()), given, known);
            return None;
        };
        let (mut weight, mut is_reversed) = (tracker.weight, tracker.is_reversed);
        let mut words = entry.arguments.iter();
        while let Some(word) = words.next() {
            match (word.text.as_str(), words.as_slice().first()) {
                ("weight", Some(value)) => {
                    words.next();
                    weight = number("weight", value, Kind::WEIGHTS, notes)?.value;
                }
                ("reverse", _) => is_reversed = true,
                ("noreverse", _) => is_reversed = false,
                (other, _) => {
                    notes.unknown(
                        word.place,
                        "word",
                        other,
                        ["weight", "reverse", "noreverse"],
                    );
                    return None;
                }
            }
        }
        if is_reversed {
            let message = "`reverse`: a negative weight counts while a tracker is down, a positive one while it is \
                           up; write a `script` tracker that fails while the object is up";
            notes.not_converted(place, message);
            return None;
        }
        if weight == 0 {
            return Some(Node {
                value: tracker.name.as_str().into(),
                place,
            });
        }
        let mut object = Object::default();
        object.set("tracker", tracker.name.as_str(), place);
        object.set("weight", weight, place);
        Some(Node {
            value: object.into(),
            place,
        })
    }

    fn add_interface(&mut self, given: &'s str, entry: &Statement, notes: &mut Notes) {
        let mut interface = Object::default();
        interface.set("name", given, entry.place());
        self.add(Kind::Interface, given, (0, false), interface, entry, notes);
    }

    /// Returns all trackers by name.
    pub(super) fn finish(self) -> Object {
        self.document
    }
}

/// Reads `weight NUMBER [reverse]`.
fn weight(settings: &Settings<'_>, default: i64, notes: &mut Notes) -> (i64, bool) {
    let Some(statement) = settings.last("weight") else {
        return (default, false);
    };
    let is_reversed = match statement.arguments.get(1) {
        Some(word) if word.text == "reverse" => true,
        Some(word) if word.text == "noreverse" => false,
        Some(word) => {
            notes.unknown(word.place, "word", &word.text, ["reverse", "noreverse"]);
            false
        }
        None => false,
    };
    let Some(word) = statement.arguments.first() else {
        notes.error(statement.place(), "`weight` needs a number");
        return (default, is_reversed);
    };
    let weight = number("weight", word, Kind::WEIGHTS, notes);
    (weight.map_or(default, |weight| weight.value), is_reversed)
}

/// Longest interval and timeout of a script: a day.
const DAY: u64 = 24 * 60 * 60;
/// Least default timeout of vrrpd.
const PATIENCE: Micros = Micros(10_000_000);

fn script(
    statement: &Statement,
    settings: &Settings<'_>,
    scope: &Scope<'_, '_>,
    notes: &mut Notes,
) -> Object {
    let mut script = Object::default();
    match settings.last("script") {
        Some(given) => {
            let words = program::command(split(&given.rest), given.value_place(), notes);
            script.set(
                "command",
                Value::texts(words, given.value_place()),
                given.value_place(),
            );
        }
        None => notes.error(
            statement.place(),
            "a vrrp_script needs `script \"/path/to/program\"`",
        ),
    }
    let interval = settings
        .last("interval")
        .and_then(|given| given.seconds(DAY, notes));
    if let Some(interval) = interval {
        script.set("interval", interval.value, interval.place);
    }
    if let Some(timeout) = settings.last("timeout") {
        if let Some(timeout) = timeout.seconds(DAY, notes) {
            script.set("timeout", timeout.value, timeout.place);
        }
    } else {
        let interval = interval.map_or(Micros(1_000_000), |interval| interval.value);
        if interval < PATIENCE {
            let message = format!(
                "without `timeout` keepalived kills the script after its interval, {interval}, and vrrpd after \
                 {PATIENCE}, because a script may start the service that it checks"
            );
            notes.differs(statement.place(), message);
        }
    }
    for keyword in ["rise", "fall"] {
        let count = settings
            .last(keyword)
            .and_then(|given| given.number(1..=1000, notes));
        if let Some(count) = count {
            script.set(keyword, count.value, count.place);
        }
    }
    if let Some(given) = settings.last("init_fail")
        && given.flag(notes) == Some(true)
    {
        script.set("initial", "down", given.place());
    }
    let user = settings
        .last("user")
        .or_else(|| scope.globals.last("script_user"));
    if let Some(user) = user.and_then(|user| program::user(user, scope.format, notes)) {
        script.set("user", user.text.as_str(), user.place);
    }
    script
}

/// Splits the command of a script. One that is quoted as a whole is split again.
fn split(text: &str) -> Vec<String> {
    let words = shell_words(text, false);
    match &*words {
        [whole] => shell_words(whole, true),
        _ => words,
    }
}

/// Largest number of processes.
const PROCESSES: i64 = 65_535;
/// Longest delay of a process tracker: an hour.
const HOUR: u64 = 60 * 60;

fn process(statement: &Statement, settings: &Settings<'_>, notes: &mut Notes) -> Object {
    let mut process = Object::default();
    match settings.last("process") {
        Some(given) => select(&mut process, given, settings, notes),
        None => notes.error(
            statement.place(),
            "a vrrp_track_process needs `process NAME`",
        ),
    }
    for (keyword, key) in [("quorum", "atLeast"), ("quorum_max", "atMost")] {
        let limit = settings
            .last(keyword)
            .and_then(|given| given.number(0..=PROCESSES, notes));
        if let Some(limit) = limit {
            process.set(key, limit.value, limit.place);
        }
    }
    let both = settings.last("delay");
    for (keyword, key) in [("fork_delay", "upDelay"), ("terminate_delay", "downDelay")] {
        let given = settings.last(keyword).or(both);
        if let Some(delay) = given.and_then(|given| given.seconds(HOUR, notes)) {
            process.set(key, delay.value, delay.place);
        }
    }
    process
}

/// Converts `process`, `param_match` and `full_command`.
fn select(process: &mut Object, given: &Statement, settings: &Settings<'_>, notes: &mut Notes) {
    let is_full = settings.last("full_command").is_some();
    let part = settings.last("param_match").filter(|given| {
        given
            .arguments
            .first()
            .is_none_or(|word| word.text != "exact")
    });
    if let Some(part) = part {
        let message = "`param_match`: vrrpd compares all words of a command line, or the name of the program alone";
        notes.not_converted(part.place(), message);
    }
    let Some(name) = given.arguments.first() else {
        return notes.error(given.place(), "`process` needs the name of a program");
    };
    if is_full || (given.arguments.len() > 1 && part.is_none()) {
        let words = given
            .arguments
            .iter()
            .map(|word| word.text.clone())
            .collect();
        process.set("commandLine", Value::texts(words, name.place), name.place);
        return;
    }
    let (directory, base) = name.text.rsplit_once('/').unwrap_or(("", &name.text));
    if !directory.is_empty() || name.text.starts_with('/') {
        let message =
            format!("vrrpd compares the name of the program without its directory: `{base}`");
        notes.differs(name.place, message);
    }
    process.set("name", base, name.place);
}

fn file(statement: &Statement, settings: &Settings<'_>, notes: &mut Notes) -> Object {
    let mut file = Object::default();
    match settings.last("file").and_then(|given| given.one(notes)) {
        Some(Word { text, place }) => file.set("path", text.as_str(), *place),
        None => notes.error(
            statement.place(),
            "a track_file needs `file \"/path/of/file\"`",
        ),
    }
    file
}
