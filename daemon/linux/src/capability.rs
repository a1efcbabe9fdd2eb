//! What the daemon must be allowed to do (capabilities(7)).

/// A capability that the daemon needs and does not have. Its text says how to grant it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("todo")]
pub struct Missing {
    names: Vec<&'static str>,
}

impl Missing {
    /// The names, such as `CAP_NET_ADMIN`.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }
}

/// Checks that this thread may change addresses and open raw sockets.
///
/// # Errors
///
/// [`Missing`] names what it may not.
pub fn check() -> Result<(), Missing> {
    todo!()
}

/// Empties the ambient set, so that no program that this one starts inherits a capability.
///
/// # Errors
///
/// On kernels older than 4.3.
pub fn clear_ambient() -> std::io::Result<()> {
    todo!()
}
