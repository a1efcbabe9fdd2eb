//! Capabilities that the daemon requires (capabilities(7)).

use std::fmt;

use caps::{CapSet, Capability};

/// Required capabilities: CAP_NET_ADMIN to change addresses, CAP_NET_RAW to open raw sockets.
const NEEDED: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// Required capabilities that the process lacks. The text says how to grant them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    names: Vec<String>,
}

impl Missing {
    /// Names of the capabilities, such as `CAP_NET_ADMIN`.
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
            "{names} {verb} missing: run vrrpd as root, or grant them by \
             `setcap cap_net_admin,cap_net_raw+ep PROGRAM`, or in the systemd unit by \
             `AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW`"
        )
    }
}

impl std::error::Error for Missing {}

/// Checks that this thread may change addresses and open raw sockets.
///
/// # Errors
///
/// [`Missing`] lists the missing capabilities.
pub fn check() -> Result<(), Missing> {
    // Without an answer from the kernel the first privileged call decides.
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

/// Clears the ambient set, so that programs that the daemon starts inherit no capability.
///
/// # Errors
///
/// Fails on kernels older than 4.3.
pub fn clear_ambient() -> Result<(), caps::errors::CapsError> {
    caps::clear(None, CapSet::Ambient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capability_text_names_the_remedy() {
        let missing = Missing {
            names: vec!["CAP_NET_RAW".to_owned()],
        };
        assert_eq!(
            missing.to_string(),
            "CAP_NET_RAW is missing: run vrrpd as root, or grant them by `setcap \
             cap_net_admin,cap_net_raw+ep PROGRAM`, or in the systemd unit by \
             `AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW`"
        );
    }
}
