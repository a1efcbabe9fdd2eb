//! What went wrong, in the words of what was being done.

use std::error::Error as StdError;

/// An error of the lab: what it was doing, and the cause.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {cause}")]
pub struct Error {
    doing: String,
    cause: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// An error with a cause in words or another error.
    pub fn new(
        doing: impl Into<String>,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            doing: doing.into(),
            cause: cause.into(),
        }
    }
}

/// A result with the lab's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|cause| Error::new(what, cause))
    }
}
