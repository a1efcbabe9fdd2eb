//! Reason why a probe failed.

use std::fmt;
use std::io;

use nix::libc::{EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM};

use crate::services::program::RunnerLost;

/// Reason why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The probed object is down.
    Down(String),
    /// The probe could not begin, because this process or host lacks descriptors, memory or processes.
    /// That says nothing of the object: its last verdict stays.
    Shortage(String),
}

impl Complaint {
    /// Complaint about an error of the probe's first steps: a socket, a process.
    pub(super) fn of(what: impl fmt::Display, error: &io::Error) -> Self {
        let text = format!("{what}: {error}");
        match is_shortage(error) {
            true => Self::Shortage(text),
            false => Self::Down(text),
        }
    }

    /// Complaint about several attempts, if there were any. Any of them that could begin decides.
    pub(super) fn of_all(complaints: &[Self]) -> Self {
        let texts: Vec<_> = complaints.iter().map(ToString::to_string).collect();
        let text = texts.join("; ");
        let is_shortage = |complaint| matches!(complaint, &Self::Shortage(_));
        match !complaints.is_empty() && complaints.iter().all(is_shortage) {
            true => Self::Shortage(text),
            false => Self::Down(text),
        }
    }
}

impl From<String> for Complaint {
    fn from(text: String) -> Self {
        Self::Down(text)
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Down(text) | Self::Shortage(text)) = self;
        f.write_str(text)
    }
}

/// Whether an error means that this process or host lacks descriptors, memory or processes, or that the
/// script runner does not answer.
pub(in crate::services) fn is_shortage(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    let is_lost = error
        .get_ref()
        .is_some_and(|error| error.is::<RunnerLost>());
    is_lost
        || number.is_some_and(|number| [EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN].contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_of_all_attempts_is_no_verdict() {
        let shortage = Complaint::of("cannot connect", &io::Error::from_raw_os_error(EMFILE));
        let refused = io::Error::from_raw_os_error(nix::libc::ECONNREFUSED);
        let down = Complaint::of("cannot connect", &refused);
        assert!(matches!(shortage, Complaint::Shortage(_)));
        assert!(matches!(down, Complaint::Down(_)));
        let all = |complaints: &[Complaint]| Complaint::of_all(complaints);
        assert!(matches!(
            all(std::slice::from_ref(&shortage)),
            Complaint::Shortage(_)
        ));
        assert_eq!(
            all(&[shortage, down]),
            Complaint::Down(
                "cannot connect: Too many open files (os error 24); \
                 cannot connect: Connection refused (os error 111)"
                    .to_owned()
            )
        );
        assert!(matches!(all(&[]), Complaint::Down(_)));
    }
}
