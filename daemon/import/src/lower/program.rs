//! Programs and their users.

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
    if program.starts_with("</") {
        let message = "keepalived gives a redirection to /bin/sh, and so does this. Only bash opens /dev/tcp: with \
                       another shell the command always fails; vrrpd has `tcp` trackers for the port of a service";
        notes.differs(place, message);
        let quoted = words.iter().skip(1).map(|word| format!(" '{word}'"));
        let line: String = core::iter::once(program.clone()).chain(quoted).collect();
        return ["/bin/sh", "-c", &line].map(str::to_owned).into();
    }
    if program.starts_with(['<', '>', '|', '&', ';']) {
        let message =
            "this is no program, and keepalived does not find it: write `/bin/sh -c '...'`";
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
pub(super) fn user<'s>(statement: &'s Statement, notes: &mut Notes) -> Option<&'s Word> {
    if statement.arguments.is_empty() {
        notes.error(
            statement.place(),
            format!("`{}` needs the name of a user", statement.keyword.text),
        );
    }
    user_of(&statement.arguments, 0, notes)
}

/// Returns the user at a position of `words`, and reports a group after it.
pub(super) fn user_of<'s>(words: &'s [Word], at: usize, notes: &mut Notes) -> Option<&'s Word> {
    let user = words.get(at)?;
    if let Some(group) = words.get(at + 1)
        && group.text != user.text
    {
        notes.differs(group.place, "programs run with the groups of their user");
    }
    Some(user)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Differs, Error};
    use crate::testing::{Converted, file};

    fn script(line: &str) -> Converted {
        file(&format!("vrrp_script check {{\n{line}\ntimeout 1\n}}\n"))
    }

    #[test]
    fn redirection_runs_in_a_shell_as_in_keepalived() {
        let found = script("script \"</dev/tcp/127.0.0.1/80\"");
        let command = json!(["/bin/sh", "-c", "</dev/tcp/127.0.0.1/80"]);
        assert_eq!(
            found.json["trackers"]["check"]["script"]["command"], command,
            "{found}"
        );
        assert!(
            found.reports(Differs, "2:8: keepalived gives a redirection"),
            "{found}"
        );
    }

    #[test]
    fn pipe_is_no_program() {
        let found = script("script \"| cat\"");
        assert!(found.reports(Error, "2:8: this is no program"), "{found}");
    }

    #[test]
    fn program_without_a_directory_is_found_in_path() {
        let found = script("script \"killall -0 haproxy\"");
        let command = json!(["/usr/bin/env", "killall", "-0", "haproxy"]);
        assert_eq!(
            found.json["trackers"]["check"]["script"]["command"], command,
            "{found}"
        );
        assert!(
            found.reports(Differs, "2:8: vrrpd runs absolute paths only"),
            "{found}"
        );
    }
}
