//! What the daemon must be allowed to do (capabilities(7)).

use std::fmt;

use caps::{CapSet, Capability};

/// What is needed: addresses are changed with the one, and raw sockets opened with the other.
const NEEDED: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// The capabilities that the daemon needs and does not have. Its text says how to grant them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    names: Vec<String>,
}

impl Missing {
    /// The names, such as `CAP_NET_ADMIN`.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.join(" and ");
        let verb = if self.names.len() == 1 { "is" } else { "are" };
        write!(
            f,
            "{names} {verb} missing: run it as root, grant them to the program by \
             `setcap cap_net_admin,cap_net_raw+ep PROGRAM`, or in a systemd unit by \
             `AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW`"
        )
    }
}

impl std::error::Error for Missing {}

/// Checks that this thread may change addresses and open raw sockets.
///
/// # Errors
///
/// [`Missing`] names what it may not.
pub fn check() -> Result<(), Missing> {
    // A kernel that does not say is asked by doing.
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(true);
    let names: Vec<_> = NEEDED
        .into_iter()
        .filter(|capability| !has(*capability))
        .map(|capability| capability.to_string())
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(Missing { names })
    }
}

/// Empties the ambient set, so that no program that this one starts inherits a capability.
///
/// # Errors
///
/// On kernels older than 4.3.
pub fn clear_ambient() -> Result<(), caps::errors::CapsError> {
    caps::clear(None, CapSet::Ambient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_the_remedy() {
        let missing = Missing {
            names: vec!["CAP_NET_RAW".to_owned()],
        };
        assert_eq!(
            missing.to_string(),
            "CAP_NET_RAW is missing: run it as root, grant them to the program by `setcap \
             cap_net_admin,cap_net_raw+ep PROGRAM`, or in a systemd unit by \
             `AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW`"
        );
    }
}
