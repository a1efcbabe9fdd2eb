//! Programs and their users.

use crate::Format;
use crate::place::Place;
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;

/// Returns a command with an absolute path.
pub(super) fn command(mut words: Vec<String>, place: Place, notes: &mut Notes) -> Vec<String> {
    let Some(program) = words.first() else {
        notes.error(
            place,
            "the command is empty: write the path of a program and its arguments",
        );
        return words;
    };
    if program.starts_with(['<', '>', '|', '&', ';']) {
        let message = "this is no program, and neither keepalived nor vrrpd runs a shell: write \
                       `/bin/sh -c '...'`; for the port of a service vrrpd has `tcp` trackers";
        notes.error(place, message);
    } else if !program.starts_with('/') {
        let message = format!(
            "vrrpd runs absolute paths only: /usr/bin/env finds `{program}` in the daemon's PATH"
        );
        notes.differs(place, message);
        words.insert(0, "/usr/bin/env".to_owned());
    }
    words
}

/// Returns the user of `user NAME [GROUP]` or `script_user NAME [GROUP]`.
pub(super) fn user<'s>(
    statement: &'s Statement,
    format: Format,
    notes: &mut Notes,
) -> Option<&'s Word> {
    if statement.arguments.is_empty() {
        notes.error(
            statement.place(),
            format!("`{}` needs the name of a user", statement.keyword.text),
        );
    }
    user_of(&statement.arguments, 0, format, notes)
}

/// Returns the user at a position of `words`, and reports a group after it.
pub(super) fn user_of<'s>(
    words: &'s [Word],
    at: usize,
    format: Format,
    notes: &mut Notes,
) -> Option<&'s Word> {
    let user = words.get(at)?;
    if format == Format::Nix {
        let message = "the daemon of the NixOS module is no root user and runs all programs as its own user; see \
                       `mayManage` and `resources`";
        notes.not_converted(user.place, message);
        return None;
    }
    if let Some(group) = words.get(at + 1)
        && group.text != user.text
    {
        notes.differs(group.place, "programs run with the groups of their user");
    }
    Some(user)
}
