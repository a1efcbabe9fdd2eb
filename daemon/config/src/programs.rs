//! Programs that every local user may replace, although the daemon runs them as another user.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path as FilePath;

use vrrp_proto::notify::Subject;

use crate::file::Mode;
use crate::problem::{Path, Problem};
use crate::{Loaded, Probe};

/// Returns a warning for each program that every local user may replace, at the first place that names it for a
/// user. A program that does not exist is not one of them.
pub(crate) fn replaceable(loaded: &Loaded) -> Vec<Problem> {
    let root = Path::default();
    let mut programs = Vec::new();
    for (name, probe) in &loaded.probes {
        if let Probe::Script(script) = probe {
            let path = root.key("trackers").key(name).key("script").key("command");
            programs.push((path, &script.command, &script.user));
        }
    }
    for (subject, notify) in &loaded.notify {
        let kind = match subject {
            Subject::Instance(_) => "instances",
            Subject::Group(_) => "groups",
        };
        let path = root.key(kind).key(subject.name()).key("notify");
        let commands = notify.commands_by_key();
        programs.extend(commands.map(|(key, c)| (path.key(key), &c.words, &c.user)));
    }
    let mut known = BTreeSet::new();
    let warnings = programs.into_iter().filter_map(|(path, words, user)| {
        let program = words.first()?;
        let reason = reason(FilePath::new(program)).filter(|_| known.insert((program, user)))?;
        let user = user.as_deref().unwrap_or("the user of scripts");
        Some(Problem {
            path: path.index(0).to_string(),
            value: None,
            message: format!("every local user may run any program as {user}: {reason}"),
        })
    });
    warnings.collect()
}

/// Returns what permits every user to replace a program, and the remedy.
fn reason(program: &FilePath) -> Option<String> {
    let mode = |file: &FilePath| fs::metadata(file).ok().as_ref().map(Mode::of);
    if mode(program)?.is_writable_by_all() {
        let program = program.display();
        return Some(format!("{program} is world-writable, chmod o-w {program}"));
    }
    let directory = program.parent()?;
    let mode = mode(directory)?;
    if mode.is_writable_by_all() && !mode.is_sticky() {
        let directory = directory.display();
        return Some(format!(
            "the directory {directory} is world-writable, chmod o-w {directory}"
        ));
    }
    None
}
