//! File of the standing commands, in the state directory: a restart of the daemon and of the host keeps
//! them.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use vrrp_commands::Saved;
use vrrp_linux::clock;
use vrrp_proto::operator::StandingCommand;

use crate::replace::{Outlives, replace};

/// Time limit for the file system.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file. Clones lead to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Path>);

impl Store {
    /// The file in a state directory.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self(directory.join("commands.json").into())
    }

    /// Reads the commands that still stand. None if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or is malformed: the reason, with the path.
    pub(crate) fn load(&self) -> Result<Vec<StandingCommand>, String> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.unread(error)),
        };
        let saved = Saved::parse(&text);
        let commands = saved.and_then(|saved| saved.commands(clock::now(), clock::wall()));
        commands.map_err(|error| self.unread(error))
    }

    fn unread(&self, error: impl std::fmt::Display) -> String {
        format!(
            "cannot read the standing commands from {}: {error}; none is in force: give them again",
            self.0.display()
        )
    }

    /// Replaces the file, at once or not at all.
    ///
    /// # Errors
    /// If the file system does not take it: the consequence and the reason.
    pub(super) async fn save(&self, commands: Vec<StandingCommand>) -> Result<(), String> {
        let text = Saved::new(commands, clock::now(), clock::wall()).text();
        let path = Arc::clone(&self.0);
        let written = spawn_blocking(move || write(&path, text.as_bytes()));
        let error = match timeout(PATIENCE, written).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "no answer of the file system within {} s",
                PATIENCE.as_secs()
            ),
        };
        Err(format!(
            "in force, but not saved to {}: {error}; a restart of the daemon ends it",
            self.0.display()
        ))
    }
}

/// Writes the file, and its directory if there is none.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    replace(path, content, Outlives::Host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Directory, block_on};
    use vrrp_proto::operator::Order;

    fn drain() -> StandingCommand {
        StandingCommand {
            order: Order::Drain { last_resort: true },
            until: None,
            by: "root (uid 0)".into(),
            reason: None,
        }
    }

    #[test]
    fn commands_are_read_as_they_were_saved() {
        let directory = Directory::new();
        let store = Store::in_directory(&directory.path("state/below"));
        assert_eq!(store.load(), Ok(vec![]));
        block_on(store.save(vec![drain()])).unwrap();
        assert_eq!(store.load(), Ok(vec![drain()]));
        block_on(store.save(vec![])).unwrap();
        assert_eq!(store.load(), Ok(vec![]));
    }

    #[test]
    fn malformed_file_is_an_error_with_its_path() {
        let directory = Directory::new();
        fs::write(directory.path("commands.json"), "{").unwrap();
        let store = Store::in_directory(&directory.path(""));
        let error = store.load().unwrap_err();
        assert!(error.contains("commands.json: malformed: "), "{error}");
    }

    #[test]
    fn directory_that_cannot_be_made_is_reported() {
        let directory = Directory::new();
        fs::write(directory.path("file"), "").unwrap();
        let store = Store::in_directory(&directory.path("file"));
        let error = block_on(store.save(vec![drain()])).unwrap_err();
        assert!(error.starts_with("in force, but not saved to "), "{error}");
    }
}
