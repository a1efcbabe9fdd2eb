//! Access to the files of a configuration, which the caller provides.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Files of a configuration: the file to convert and those that it includes.
pub trait Files {
    /// Returns the text of a file.
    ///
    /// # Errors
    ///
    /// The file and the reason, for a message.
    fn read(&self, path: &Path) -> Result<String, String>;

    /// Names of the entries of a directory, in any order; none if it cannot be read.
    fn entries(&self, directory: &Path) -> Vec<String>;
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(BTreeMap<PathBuf, String>);

impl MemoryFiles {
    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: impl AsRef<Path>, text: impl Into<String>) -> Self {
        self.0.insert(normal(path.as_ref()), text.into());
        self
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        let text = self.0.get(&normal(path));
        text.cloned()
            .ok_or_else(|| format!("{}: no such file", path.display()))
    }

    fn entries(&self, directory: &Path) -> Vec<String> {
        let directory = normal(directory);
        let below = self.0.keys().filter_map(|path| {
            let rest = path.strip_prefix(&directory).ok()?;
            match rest.components().next()? {
                Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
                Component::Prefix(_)
                | Component::RootDir
                | Component::CurDir
                | Component::ParentDir => None,
            }
        });
        let mut names: Vec<_> = below.collect();
        names.dedup();
        names
    }
}

/// Returns `path` without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                normal.push(component);
            }
        }
    }
    normal
}
