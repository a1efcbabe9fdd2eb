//! Programs in the configuration, and the users that run them.

use crate::field::Field;
use crate::lower::all;
use crate::problem::{Findings, Path};

/// Returns a required program with its arguments. `None` if a problem has been reported.
pub(crate) fn required(
    path: &Path,
    command: &Field<Vec<Field<String>>>,
    findings: &mut Findings,
) -> Option<Vec<String>> {
    const EXAMPLE: &str = r#""command": ["/path/to/program"]"#;
    lower(path, command.required(path, EXAMPLE, findings)?, findings)
}

/// Returns a program with its arguments. `None` if a problem has been reported.
pub(crate) fn lower(
    path: &Path,
    words: &[Field<String>],
    findings: &mut Findings,
) -> Option<Vec<String>> {
    match words.first() {
        None => {
            findings.add(path, "must not be empty: the first element is the program");
            return None;
        }
        Some(Field::Value(program)) if !program.starts_with('/') => {
            findings.add(
                &path.index(0),
                "the program must be an absolute path, like /usr/local/bin/check",
            );
        }
        Some(_) => {}
    }
    all(words.iter().enumerate().map(|(index, word)| {
        let word = word.value()?;
        if word.contains('\0') {
            findings.add(&path.index(index), "must not contain a NUL character");
        }
        Some(word.clone())
    }))
}

/// Returns the user that runs the program. `None` if a problem has been reported.
pub(crate) fn user(
    path: &Path,
    user: &Field<String>,
    findings: &mut Findings,
) -> Option<Option<String>> {
    let user = user.optional()?;
    let sane = |c: char| c.is_ascii_alphanumeric() || "_-.$".contains(c);
    if user.is_some_and(|user| user.is_empty() || user.starts_with('-') || !user.chars().all(sane))
    {
        findings.add(path, "must be the name of a user, like \"nobody\"");
    }
    Some(user.cloned())
}
