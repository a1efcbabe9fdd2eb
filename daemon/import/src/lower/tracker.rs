//! Trackers: `vrrp_script`, `vrrp_track_process`, `vrrp_track_file`, and interfaces that are followed.

use std::collections::{BTreeMap, BTreeSet};

use super::{lacking, named, names, program};
use crate::document::{Node, Object, Value};
use crate::place::Place;
use crate::read::statement::Statement;
use crate::read::word::{Word, shell_words};
use crate::report::Notes;
use crate::settings::{At, Micros, Settings, number};

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
    /// Order of the definition.
    order: usize,
}

/// All trackers.
#[derive(Debug, Default)]
pub(super) struct Trackers<'s> {
    by_name: BTreeMap<(Kind, &'s str), Tracker>,
    used: BTreeSet<String>,
    document: Object,
    /// Names of the reversed trackers by those of the others.
    reversed: BTreeMap<String, String>,
    /// Names of the trackers that an instance or a group follows.
    followed: BTreeSet<String>,
    delays: BTreeMap<&'s str, Delays<'s>>,
}

/// An entry of `interface_up_down_delays`.
#[derive(Debug)]
struct Delays<'s> {
    down: Option<At<Micros>>,
    up: Option<At<Micros>>,
    entry: &'s Statement,
    /// Whether a tracker has the delays.
    is_used: bool,
    /// Whether it is the interface of an instance, which tracks it without a tracker.
    is_own: bool,
}

impl<'s> Trackers<'s> {
    /// Reads the definitions.
    pub(super) fn read(top: &Settings<'s>, globals: &Settings<'s>, notes: &mut Notes) -> Self {
        let mut trackers = Self::default();
        for (name, statement) in named(top.all("vrrp_script"), notes) {
            let settings = Settings::new(statement.inside());
            let weight = weight(&settings, 0, notes);
            let script = script(statement, &settings, globals, notes);
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
        for entry in top.entries("interface_up_down_delays", notes) {
            let mut delays = entry.arguments.iter().map(|word| delay(word, notes));
            let (down, up) = (delays.next().flatten(), delays.next().flatten());
            let delays = Delays {
                down,
                up,
                entry,
                is_used: false,
                is_own: false,
            };
            trackers.delays.insert(&entry.keyword.text, delays);
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
                order: statement.order,
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
        if let Some(delays) = own.and_then(|own| self.delays.get_mut(own)) {
            delays.is_own = true;
        }
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
        if tracker.order > entry.order {
            let message = format!(
                "keepalived ignores `{given}` here, because its definition follows later: write the definition first"
            );
            notes.error(place, message);
            return None;
        }
        let (mut weight, mut is_reversed) = (tracker.weight, tracker.is_reversed);
        let mut words = entry.arguments.iter();
        while let Some(word) = words.next() {
            match (word.text.as_str(), words.as_slice().first()) {
                ("weight", Some(value)) => {
                    words.next();
                    weight = number("weight", value, Kind::WEIGHTS, notes)?.value;
                }
                ("weight", None) => {
                    notes.error(word.place, "`weight` needs a number");
                    return None;
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
        let mut name = tracker.name.clone();
        if is_reversed {
            (name, weight) = self.reversed(kind, &name, weight, place, notes)?;
        }
        self.followed.insert(name.clone());
        if weight == 0 {
            return Some(Node {
                value: name.into(),
                place,
            });
        }
        let mut object = Object::default();
        object.set("tracker", name, place);
        object.set("weight", weight, place);
        Some(Node {
            value: object.into(),
            place,
        })
    }

    /// Returns the name and the weight with which a tracker has the effect of `reverse`: the weight is subtracted
    /// instead of added, and without a weight the instance is in fault while the object is up.
    fn reversed(
        &mut self,
        kind: Kind,
        name: &str,
        weight: i64,
        place: Place,
        notes: &mut Notes,
    ) -> Option<(String, i64)> {
        if kind == Kind::File && weight != 0 {
            return Some((name.to_owned(), -weight));
        }
        if let Some(reversed) = self.reversed.get(name) {
            return Some((reversed.clone(), -weight));
        }
        let node = self.document.get(name)?.clone();
        let Value::Object(mut definition) = node.value else {
            return None;
        };
        let is_possible = match definition.get_mut(kind.key()) {
            Some(Value::Object(script)) if kind == Kind::Script => {
                reverse_script(script, node.place);
                let message = "`reverse`: the script runs in a shell that inverts its exit status; a script that is \
                               killed after its timeout counts as up";
                notes.differs(place, message);
                true
            }
            Some(Value::Object(process)) if kind == Kind::Process => {
                reverse_process(process, node.place)
            }
            Some(_) | None => false,
        };
        if !is_possible {
            let message = "`reverse`: a negative weight counts while a tracker is down, a positive one while it is \
                           up; write a `script` tracker that fails while the object is up";
            notes.not_converted(place, message);
            return None;
        }
        let reversed = names::unused(&format!("{name}-reversed"), &mut self.used);
        self.document.set(&reversed, definition, node.place);
        self.reversed.insert(name.to_owned(), reversed.clone());
        Some((reversed, -weight))
    }

    fn add_interface(&mut self, given: &'s str, entry: &Statement, notes: &mut Notes) {
        let mut interface = Object::default();
        interface.set("name", given, entry.place());
        if let Some(delays) = self.delays.get_mut(given) {
            delays.is_used = true;
            for (key, delay) in [("downDelay", delays.down), ("upDelay", delays.up)] {
                if let Some(delay) = delay.filter(|delay| delay.value.0 > 0) {
                    interface.set(key, delay.value, delay.place);
                }
            }
        }
        self.add(Kind::Interface, given, (0, false), interface, entry, notes);
    }

    /// Returns all trackers by name, and reports delays that no tracker or not only a tracker would have.
    pub(super) fn finish(mut self, notes: &mut Notes) -> Object {
        for name in self.reversed.keys() {
            if !self.followed.contains(name) {
                self.document.remove(name);
            }
        }
        for delays in self.delays.values() {
            if delays.is_own || !delays.is_used {
                let message = "`interface_up_down_delays`: the interface of an instance has no delay, because short \
                               interruptions are no fault; the interfaces of `track_interface` have one";
                notes.not_converted(delays.entry.place(), message);
            }
        }
        self.document
    }
}

/// Reads a delay of `interface_up_down_delays`.
fn delay(word: &Word, notes: &mut Notes) -> Option<At<Micros>> {
    const MOST: Micros = Micros(255_000_000);
    let value = Micros::parse(&word.text).filter(|delay| *delay <= MOST);
    if value.is_none() {
        let message = "a delay of an interface must be a number of seconds, 0 to 255";
        notes.error(word.place, message);
    }
    Some(At {
        value: value?,
        place: word.place,
    })
}

/// Has the script fail where it would succeed. keepalived assumes that a script is up before its first result.
fn reverse_script(script: &mut Object, place: Place) {
    if let Some(Value::List(command)) = script.get_mut("command") {
        let shell = ["/bin/sh", "-c", "! \"$@\"", "sh"];
        let shell = shell.map(|word| Node {
            value: word.into(),
            place,
        });
        command.splice(0..0, shell);
    }
    script.swap("rise", "fall");
    if script.remove("initial").is_none() {
        script.set("initial", "down", place);
    }
}

/// Has the tracker be up with too few processes; `false` if it also limits their number.
fn reverse_process(process: &mut Object, place: Place) -> bool {
    let at_least = match process.remove("atLeast").map(|node| node.value) {
        Some(Value::Number(number)) => number,
        Some(_) | None => 1,
    };
    if process.has("atMost") || at_least == 0 {
        return false;
    }
    process.set("atLeast", 0, place);
    process.set("atMost", at_least - 1, place);
    process.swap("upDelay", "downDelay");
    true
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
    globals: &Settings<'_>,
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
    if let Some(given) = settings.last("init_fail") {
        given.without_value(notes);
        script.set("initial", "down", given.place());
    }
    let user = settings
        .last("user")
        .or_else(|| globals.last("script_user"));
    if let Some(user) = user.and_then(|user| program::user(user, notes)) {
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
    match settings.only("process", notes) {
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
    match settings
        .only("file", notes)
        .and_then(|given| given.one(notes))
    {
        Some(Word { text, place }) => file.set("path", text.as_str(), *place),
        None => notes.error(
            statement.place(),
            "a track_file needs `file \"/path/of/file\"`",
        ),
    }
    file
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use crate::Kind::{Differs, Error, NotConverted};
    use crate::testing::{file, instance};
    use crate::{Format, MemoryFiles, convert};

    #[test]
    fn reversed_script_is_inverted_and_its_weight_subtracted() {
        let found = file(
            "vrrp_script check {\nscript \"/bin/c a\"\nrise 3\ntimeout 1\nweight 20 reverse\n}\n\
             vrrp_instance VI_1 {\ninterface eth1\nvirtual_router_id 1\npriority 100\n\
             track_script {\ncheck\n}\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n\
             vrrp_instance VI_2 {\ninterface eth2\nvirtual_router_id 2\npriority 100\n\
             track_script {\ncheck weight -5 reverse\n}\nvirtual_ipaddress {\n192.0.2.2\n}\n}\n",
        );
        let command = json!(["/bin/sh", "-c", "! \"$@\"", "sh", "/bin/c", "a"]);
        let reversed = &found.json["trackers"]["check-reversed"]["script"];
        assert_eq!(reversed["command"], command, "{found}");
        assert_eq!(
            (&reversed["fall"], &reversed["rise"]),
            (&json!(3), &json!(null)),
            "{found}"
        );
        assert_eq!(reversed["initial"], "down", "{found}");
        let track = json!([{ "tracker": "check-reversed", "weight": -20 }]);
        assert_eq!(found.instance()["track"], track, "{found}");
        assert_eq!(
            found.json["instances"]["VI_2"]["track"][0]["weight"], 5,
            "{found}"
        );
        assert!(found.reports(Differs, "12:1: `reverse`"), "{found}");
    }

    #[test]
    fn reversed_file_has_the_opposite_weight() {
        let found = file(
            "track_file f {\nfile /run/f\n}\nvrrp_instance VI_1 {\ninterface eth1\nvirtual_router_id 1\n\
             track_file {\nf weight 2 reverse\n}\nvirtual_ipaddress {\n192.0.2.1\n}\n}\n",
        );
        assert_eq!(found.instance()["track"][0]["weight"], -2, "{found}");
    }

    #[test]
    fn reversed_process_is_up_below_its_quorum() {
        let found = file(
            "vrrp_track_process p {\nprocess a\nquorum 3\nfork_delay 2\n}\nvrrp_instance VI_1 {\ninterface eth1\n\
             virtual_router_id 1\ntrack_process {\np weight 0 reverse\n}\n\
             virtual_ipaddress {\n192.0.2.1\n}\n}\n",
        );
        let process = json!({ "name": "a", "atLeast": 0, "atMost": 2, "downDelay": 2 });
        assert_eq!(
            found.json["trackers"]["p-reversed"]["process"], process,
            "{found}"
        );
        assert_eq!(found.instance()["track"], json!(["p-reversed"]), "{found}");
    }

    #[test]
    fn delays_of_interfaces_belong_to_trackers() {
        let found = instance(
            "interface_up_down_delays { eth1 1\neth2 1.5 3\n}",
            "track_interface {\neth2\n}",
        );
        let interface = json!({ "name": "eth2", "downDelay": "1500ms", "upDelay": 3 });
        assert_eq!(
            found.json["trackers"]["eth2"]["interface"], interface,
            "{found}"
        );
        let beginning = "1:28: `interface_up_down_delays`";
        assert!(found.reports(NotConverted, beginning), "{found}");
        assert_eq!(found.count(NotConverted), 1, "{found}");
    }

    #[test]
    fn weight_without_a_number_is_rejected() {
        let found = instance("", "track_interface {\neth2 weight\n}");
        assert!(
            found.reports(Error, "5:6: `weight` needs a number"),
            "{found}"
        );
    }

    #[test]
    fn reversed_interface_is_not_converted() {
        let found = instance("", "track_interface {\neth2 weight 5 reverse\n}");
        assert!(found.reports(NotConverted, "5:1: `reverse`"), "{found}");
    }

    #[test]
    fn tracker_is_defined_before_it_is_followed() {
        let instance = "vrrp_instance VI_1 {\ninterface eth1\nvirtual_router_id 1\ntrack_file {\nf\n}\n\
                        virtual_ipaddress {\n192.0.2.1\n}\n}\n";
        let definition = "vrrp_track_file f {\nfile /run/f\n}\n";
        let found = file(&format!("{instance}{definition}"));
        assert!(
            found.reports(Error, "5:1: keepalived ignores `f` here"),
            "{found}"
        );
        assert!(file(&format!("{definition}{instance}")).instance()["track"].is_array());
        let files = MemoryFiles::default()
            .with("/k.conf", format!("include f.conf\n{instance}"))
            .with("/f.conf", definition);
        let conversion = convert(&files, Path::new("/k.conf"), "here", Format::Json);
        assert!(conversion.output.is_some(), "{}", conversion.report);
    }

    #[test]
    fn first_of_two_trackers_with_one_name_counts() {
        let script = |path| format!("vrrp_script check {{\nscript {path}\ntimeout 1\n}}\n");
        let found = file(&(script("/bin/a") + &script("/bin/b")));
        assert_eq!(
            found.json["trackers"]["check"]["script"]["command"],
            json!(["/bin/a"]),
            "{found}"
        );
        assert!(
            found.reports(Differs, "5:13: `vrrp_script check` occurs before"),
            "{found}"
        );
        let found = file("track_file f {\nfile /a\nfile /b\n}\n");
        assert!(found.reports(Error, "3:1: `file` occurs before"), "{found}");
    }
}
